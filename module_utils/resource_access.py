"""Who comes in, and from where: what narrows the way in must let in the account and the address that it is made from.

Read from the processes above ours: sudo has cleaned our own environment, but not that of the shell that sshd started.
"""

from __future__ import annotations

import contextlib
import grp
import ipaddress
import os
import pwd
import re
from typing import Any, Iterable, List, Mapping, NamedTuple, Optional, Set

from ansible.module_utils.resource import Difference, NotPossibleError, must, read_text
from ansible.module_utils.restore_engine import RestoreError
from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_pam import facts, parse_pam

_DEPTH = 40
# Names only: a pattern of sshd, as user@host or !user, would be judged here otherwise than there.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?")


class Visitor(NamedTuple):
    """The login that this process belongs to; what is not known is empty."""

    account: str
    address: str


def visitor() -> Visitor:
    """The account and the address that this change is made from."""
    return Visitor(os.environ.get("SUDO_USER", "") or _logged_in(), _address())


def _logged_in() -> str:
    try:
        return pwd.getpwuid(int((read_text("/proc/self/loginuid") or "").strip())).pw_name
    except (ValueError, KeyError, OverflowError, OSError):
        return ""


def _address() -> str:
    process = os.getpid()
    for _ in range(_DEPTH):
        try:
            with open(f"/proc/{process}/environ", "rb") as file:
                environment = file.read().split(b"\0")
            with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return ""
        for item in environment:
            if item.startswith(b"SSH_CONNECTION="):
                return item.split(b"=", 1)[1].split(b" ")[0].decode("ascii", "replace")
        if parent <= 1:
            return ""
        process = parent
    return ""


def shut_out(wanted: Mapping[str, Any], who: Optional[Visitor] = None) -> str:
    """Why a rule that lets in only these (users, groups, networks) must not be made from here, or ''.

    spared: accounts with keys that the site means to shut out.
    """
    who = who or visitor()
    users, groups = list(wanted.get("users") or ()), list(wanted.get("groups") or ())
    for name in [*users, *groups]:
        if not _NAME.fullmatch(str(name)):
            return f"'{name}' is no plain name of an account or group"
    if users or groups:
        if not who.account:
            return "it is not known which account this connection is of"
        left = [name for name in [who.account, *accounts_with_keys()] if not _let_in(name, users, groups)]
        spared = set(wanted.get("spared") or ()) - {who.account}
        left = sorted(set(left) - spared)
        if left:
            return f"it would shut out {', '.join(left)}: let them in, or list them in harden_ssh.spared"
    return _outside(wanted.get("networks") or (), who.address)


def _outside(networks: Iterable[Any], address: str) -> str:
    listed = list(networks)
    if not listed:
        return ""
    if not address:
        return "it is not known from which address this connection comes"
    try:
        inside = any(in_network(address, str(network)) for network in listed)
    except ValueError as error:
        return str(error)
    return "" if inside else f"it would shut out {address}, from where this connection comes"


def in_network(address: str, network: str) -> bool:
    """Whether an address lies in a network; raises ValueError where one of them is none."""
    place = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(place, "ipv4_mapped", None)
    return (mapped or place) in ipaddress.ip_network(network, strict=False)


def accounts_with_keys() -> List[str]:
    """Accounts that a key opens: programs come in by them too, as a backup does."""
    found = []
    for entry in pwd.getpwall():
        for name in ("authorized_keys", "authorized_keys2"):
            with contextlib.suppress(OSError):
                text = read_text(os.path.join(entry.pw_dir, ".ssh", name)) or ""
                if any(line.strip() and not line.strip().startswith("#") for line in text.splitlines()):
                    found.append(entry.pw_name)
    return sorted(set(found))


def _let_in(name: str, users: List[str], groups: List[str]) -> bool:
    """As sshd: where both are given, both must hold."""
    return (not users or name in users) and (not groups or bool(groups_of(name) & set(groups)))


def groups_of(name: str) -> Set[str]:
    """The names of an account's groups."""
    found = set()
    with contextlib.suppress(KeyError):
        for number in os.getgrouplist(name, pwd.getpwnam(name).pw_gid):
            with contextlib.suppress(KeyError):
                found.add(grp.getgrgid(number).gr_name)
    return found


def a_pam_stack(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{service}: a login stack that lets in the right password alone; else Debian's own common files come back."""
    service = resource["service"]
    if _sound(service):
        return None
    if not os.path.exists("/etc/pam.d/common-auth") or _sound("common-auth"):
        raise NotPossibleError(f"the fault is in /etc/pam.d/{service} itself: mend it by hand")
    if not os.path.exists("/usr/sbin/pam-auth-update"):
        raise NotPossibleError("pam-auth-update is not installed", "package")

    def apply() -> None:
        # It changes lines between its own marks only; a file that is not there it makes anew from its template.
        os.unlink("/etc/pam.d/common-auth")
        must(["pam-auth-update", "--package", "--force"])
        if not _sound(service):
            raise RestoreError(f"/etc/pam.d/{service} still lets in a wrong password, or not the right one")

    return Difference(
        f"/etc/pam.d/common-auth ({service})",
        "not the right password alone",
        "made anew by pam-auth-update",
        apply,
        paths=("/var/lib/pam",),
    )


def _sound(service: str) -> bool:
    host = Host()
    try:
        told = facts(lambda name: parse_pam(host.read(_file(name))), service, {})
    except UnreadError as reason:
        raise NotPossibleError(str(reason)) from None
    return bool(told.get("right_password_enters", True)) and not told.get("wrong_password_enters", False)


def _file(name: str) -> str:
    return name if name.startswith("/") else "/etc/pam.d/" + name
