#!/usr/bin/env python3
"""Run a maintenance runbook and leave a signed record of it.

Exit codes: 0 succeeded, 1 the run failed (a record exists), 2 wrong call, 3 refused, 4 verification failed.
"""

from __future__ import annotations

import errno
import os
import sys
from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

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


class _Given(Action):
    """An empty text is a shell variable that was not set: going on as if the option were absent would be wrong."""

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: Any, option_string: str | None = None
    ) -> None:
        if not str(values).strip():
            parser.error(f"argument {option_string}: must not be empty")
        setattr(namespace, self.dest, values)


def parser() -> ArgumentParser:
    """All commands and their options."""
    top = ArgumentParser(prog="runner.py", description=__doc__.splitlines()[0] if __doc__ else "")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    runbooks = commands.add_parser("runbooks", help="the table of runbooks")
    runbooks.set_defaults(action="list_runbooks")

    run = commands.add_parser("run", help="run a runbook on a site and record it")
    run.set_defaults(action="run_runbook")
    run.add_argument("runbook")
    run.add_argument("--site", required=True, help="a folder of inventories/")
    run.add_argument("--check", action="store_true", help="change nothing, tell what would change")
    run.add_argument("--reason", default="", help="why; required where the runbook changes something")
    run.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of the runbook"
    )
    run.add_argument("--vars", action="append", default=[], metavar="FILE", help="variables from a YAML file")
    run.add_argument("--limit", action=_Given, default="", metavar="HOSTS", help="only these hosts or groups")
    run.add_argument("--forks", type=_positive, default=0, metavar="N", help="hosts at a time")
    run.add_argument(
        "--offline",
        action=_Given,
        default="",
        metavar="REASON",
        help="go on without the hospital's witness, and say why",
    )
    run.add_argument("--quiet", action="store_true", help="no progress")

    verify = commands.add_parser("verify", help="is a ledger sound, and if not, what and where")
    verify.set_defaults(action="verify")
    verify.add_argument("ledger", nargs="?", default="")
    verify.add_argument("--site", default="self")
    verify.add_argument(
        "--heads", action=_Given, default="", metavar="FILE", help="the hospital's list of heads"
    )
    verify.add_argument(
        "--allowed-signers", action=_Given, default="", metavar="FILE", help="whom the reader trusts"
    )
    verify.add_argument("--revoked", action=_Given, default="", metavar="FILE", help="revocation list (KRL)")

    show = commands.add_parser("show", help="one entry in words")
    show.set_defaults(action="show")
    countersign = commands.add_parser("countersign", help="the hospital's signature over an entry")
    countersign.set_defaults(action="countersign")
    countersign.add_argument("--key", required=True, help="the hospital's SSH key")
    countersign.add_argument("--remark", default="", help="a remark that is signed with it")
    for command in (show, countersign):
        command.add_argument("entry", help="its folder, number or run id")
        command.add_argument("--site", default="self")
    for command in (run, show, countersign):
        command.add_argument(
            "--ledger", action=_Given, default="", metavar="DIR", help="instead of the site's own"
        )
    for command in (runbooks, run, verify, show, countersign):
        command.add_argument("--json", action="store_true", help="one JSON object on stdout")
        command.add_argument(
            "--lang", choices=["zh", "en"], default=None, help="language of what the hospital reads"
        )
    return top


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 500:
        raise ArgumentTypeError(f"takes a number from 1 to 500, not '{text[:40]}'")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Parse, act, and turn every expected problem into one line and its exit code."""
    args = parser().parse_args(arguments)
    from maintenance import commands
    from maintenance.errors import MaintenanceError

    try:
        return int(getattr(commands, args.action)(args))
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
