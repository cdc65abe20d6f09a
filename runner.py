#!/usr/bin/env python3
"""Run a maintenance runbook and leave a signed record of it.

Exit codes: 0 succeeded, 1 the run failed (a record exists), 2 wrong call, 3 refused, 4 verification failed.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent


def use_environment() -> None:
    """Continue in the repository's own environment, so that ./runner.py works from any shell."""
    python = REPOSITORY / ".venv" / "bin" / "python"
    if Path(sys.prefix).resolve() == python.parent.parent.resolve():
        return
    if not python.exists():
        sys.exit(_say(f"the environment is missing; make it with: make -C {REPOSITORY} setup", 2))
    os.execv(python, [str(python), str(REPOSITORY / "runner.py"), *sys.argv[1:]])  # noqa: S606


def _say(text: str, code: int) -> int:
    print(f"runner.py: {text}", file=sys.stderr)
    return code


def main(arguments: list[str] | None = None) -> int:
    """Parse, act, and turn every expected problem into one line and its exit code."""
    from maintenance import commands
    from maintenance.errors import MaintenanceError

    args = commands.parser(__doc__.splitlines()[0] if __doc__ else "").parse_args(arguments)
    try:
        return int(args.action(args))
    except MaintenanceError as error:
        return _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _say("stopped before anything was run", 130)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        # Nobody reads any more (a pager was closed, a VPN dropped); what was to be done is done and recorded.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    use_environment()
    sys.exit(main())
