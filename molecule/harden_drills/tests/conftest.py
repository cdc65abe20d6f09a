"""The fixtures of the scenarios of hardening."""

from lab.scenario import lab, ledger, options, root, run, site

__all__ = ["lab", "ledger", "options", "root", "run", "site"]
