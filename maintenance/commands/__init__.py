"""The commands of runner.py, one module a topic. Results go to stdout, progress and notes to stderr.

Each module has `declare(commands)`, which adds its commands and their options; what a command does is its
`action`, a function from the parsed options to an exit code.
"""

from __future__ import annotations

from argparse import ArgumentParser

from maintenance.commands import (
    accepting,
    case,
    checking,
    comparing,
    keys,
    logging_,
    ordering,
    packing,
    running,
    status,
    unrecorded,
)

_TOPICS = (
    running,
    ordering,
    checking,
    comparing,
    keys,
    accepting,
    logging_,
    case,
    status,
    packing,
    unrecorded,
)  # in the order of the help


def parser(description: str) -> ArgumentParser:
    """All commands and their options."""
    top = ArgumentParser(prog="runner.py", description=description)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for topic in _TOPICS:
        topic.declare(commands)
    return top
