"""A table that somebody has emptied, and the runbook as an engineer calls it."""

from __future__ import annotations

from lab.scenario import lab, ledger, options, root, run, site

__all__ = ["lab", "ledger", "options", "root", "run", "site"]
