"""The fixtures of the scenarios of hardening."""

from lab.hardening import lab, ledger, root, run, site

__all__ = ["lab", "ledger", "root", "run", "site"]
