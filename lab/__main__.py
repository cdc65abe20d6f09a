"""The command: python -m lab up | down | status | ..."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import FrameType

from lab import builder, faults, relay, remote
from lab.plan import DEFAULT_HOSTS, HOSTS, Lab
from lab.shell import LabError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m lab", description="The rehearsal hospital.")
    commands = top.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help=f"start hosts (default: {' '.join(DEFAULT_HOSTS)})")
    up.add_argument("hosts", nargs="*", metavar="HOST")
    up.add_argument("--bare", action="store_true", help="without the dialysis system and its backups")
    down = commands.add_parser("down", help="power hosts off and remove them (default: all)")
    down.add_argument("hosts", nargs="*", metavar="HOST")
    commands.add_parser("status", help="which hosts run")
    for name, text in (
        ("kill", "a power failure: the disk stays"),
        ("off", "an orderly power-off: the disk stays"),
        ("boot", "start a host again with its disk"),
    ):
        commands.add_parser(name, help=text).add_argument("host", metavar="HOST")
    ssh = commands.add_parser("ssh", help="log in, or run a command")
    ssh.add_argument("host", metavar="HOST")
    ssh.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    inventory = commands.add_parser("inventory", help="print an inventory (default: of the running hosts)")
    inventory.add_argument("hosts", nargs="*", metavar="HOST")
    fault = commands.add_parser("fault", help="plant a fault, or take it back", epilog=fault_list())
    fault.formatter_class = argparse.RawDescriptionHelpFormatter
    fault.add_argument("name", metavar="NAME", choices=list(faults.FAULTS))
    fault.add_argument("host", metavar="HOST")
    fault.add_argument("--undo", action="store_true", help="take it back")
    line = commands.add_parser("relay", help="a TCP relay with a delay each way, as a VPN has")
    line.add_argument("--listen", type=int, required=True, metavar="PORT", help="port on 127.0.0.1; 0: any")
    line.add_argument("--to", required=True, metavar="HOST:PORT", help="a lab host's name or any address")
    line.add_argument("--delay-ms", type=float, default=50, metavar="MS", help="each way (default: 50)")
    return top


def fault_list() -> str:
    """The faults, one a line."""
    return "\n".join(f"{name:22}{fault.text}" for name, fault in faults.FAULTS.items())


def dispatch(arguments: argparse.Namespace) -> int:
    """Do what was asked."""
    lab = Lab.from_environment()
    command = arguments.command
    if command == "up":
        return report(builder.up(lab, arguments.hosts, bare=arguments.bare))
    if command == "down":
        builder.down(lab, arguments.hosts)
    elif command == "status":
        for name, state in builder.status(lab).items():
            print(f"{name:10}{lab.address(name):16}{state}")
    elif command == "kill":
        builder.cut_power(lab, arguments.host)
    elif command == "off":
        builder.power_off(lab, arguments.host)
    elif command == "boot":
        return report({arguments.host: builder.boot(lab, arguments.host)})
    elif command == "ssh":
        line = remote.ssh_command(lab, arguments.host)
        os.execvp(line[0], [*line, *arguments.words])  # noqa: S606  (becomes ssh; there is no shell)
    elif command == "fault":
        act = faults.take_back if arguments.undo else faults.plant
        act(lab, arguments.name, arguments.host)
    elif command == "relay":
        target, port = relay_target(lab, arguments.to)
        relay.main(arguments.listen, target, port, arguments.delay_ms / 1000)
    elif command == "inventory":
        print(builder.inventory_yaml(lab, arguments.hosts or None), end="")
    return 0


def relay_target(lab: Lab, text: str) -> tuple[str, int]:
    """The address and port of HOST:PORT; a host of the plan goes by its name."""
    name, _, port = text.rpartition(":")
    if not name or not port.isdigit() or not 0 < int(port) < 65536:
        raise LabError(f"--to {text}: give HOST:PORT, for example db1:22")
    return (lab.address(name) if name in HOSTS else name), int(port)


def report(states: dict[str, str]) -> int:
    """Print what systemd says of each host; anything but `running` is worth a look."""
    for name, state in states.items():
        hint = "" if state == "running" else f"; see: python -m lab ssh {name} systemctl --failed"
        print(f"lab: {name} is {state}{hint}")
    return 0


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """End on SIGTERM as on Ctrl-C: with the clean-up."""
    raise KeyboardInterrupt


def main() -> int:
    """Run the command; an error is one line and exit 2."""
    signal.signal(signal.SIGTERM, interrupt)
    try:
        return dispatch(parser().parse_args())
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lab: interrupted; what this run had started is removed", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
