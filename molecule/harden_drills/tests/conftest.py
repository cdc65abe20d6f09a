"""The fixtures of the scenarios of hardening, and which drills may go on side by side."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from lab.scenario import lab, ledger, options, root, run, site

__all__ = ["lab", "ledger", "options", "root", "run", "site"]

# Where a file's drills are; those on one host follow each other.
PLACES = {
    "test_link.py": "backup1",
    "test_logging.py": "backup1",
    "test_lockout.py": "gate1",
    "test_packages.py": "gate1",
    "test_machine.py": "vm1",
    "long_machine.py": "vm1",
}


class ByHost(LoadScopeScheduling):
    """One host, one worker."""

    def _split_scope(self, nodeid: str) -> str:
        return PLACES[nodeid.partition("::")[0].rpartition("/")[2]]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByHost:
    """The hook of pytest-xdist; its own loadgroup does not see the groups under pytest 9.2."""
    return ByHost(config, log)
