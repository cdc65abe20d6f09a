"""What can go wrong for a user, each with the exit code that the README promises."""

from __future__ import annotations


class MaintenanceError(Exception):
    """One clear line for the user: what, where, how to mend. Never shown with a traceback."""

    exit_code = 1


class CallError(MaintenanceError):
    """The command was called wrongly or its input is unusable; nothing was changed."""

    exit_code = 2


class RefusedError(MaintenanceError):
    """The call is well formed but must not be carried out (order, witness, ledger, secret)."""

    exit_code = 3


class VerificationError(MaintenanceError):
    """A ledger or an entry is not what was signed."""

    exit_code = 4
