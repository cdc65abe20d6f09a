"""Rules of sudo: a password again, no rule that gives everything, no line that visudo refuses.

Lines are changed in their place and never lost: what a rule said stays as a comment. Whoever makes the change must be
able to become root by what is left; otherwise nothing is changed.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible.module_utils.resource import Difference, NotPossibleError, read_text, run, said
from ansible.module_utils.resource_access import groups_of, visitor
from ansible.module_utils.restore_engine import RestoreError, write_file

MAIN, FOLDER = "/etc/sudoers", "/etc/sudoers.d"
_OFF = "# taken out by the maintenance runbook harden: "
_RULE = re.compile(r"\s*(\S+)\s+([^=#]+?)\s*=\s*(.+)$")
_NOT_RULES = re.compile(r"\s*(#|@|Defaults|(User|Runas|Host|Cmnd|Cmd)_Alias\b)")
_EVERYTHING = re.compile(r"(^|[\s,:)])ALL\s*(,|$)")
_ROUNDS = 40


class Rule(NamedTuple):
    """A user specification."""

    who: str
    rest: str  # after the equals sign

    @property
    def everything(self) -> bool:
        """Whether it is for every command."""
        return bool(_EVERYTHING.search(re.sub(r"\([^)]*\)", "", self.rest)))

    @property
    def free(self) -> bool:
        """Whether it asks for no password."""
        return "NOPASSWD:" in self.rest


def a_sudoers_change(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{changes}: of the files of sudo, each {take: nopasswd | everything | authenticate | broken, who, password}.

    One after the other, as two that are harmless alone may shut out together. password: whether the one who comes in has
    given a password for sudo. What is not done is named in resource["refused"].
    """
    if not os.path.exists(MAIN):
        raise NotPossibleError("sudo is not installed", "package")
    before = files()
    after, refused = taken(before, resource["changes"], visitor().account)
    if isinstance(resource, dict):
        resource["refused"] = refused
    changed = [path for path in before if before[path] != after[path]]
    rights = wrong_modes() if any(one["take"] == "broken" for one in resource["changes"]) else []
    if not changed and not rights:
        return None

    def apply() -> None:
        for path in changed:
            status = os.stat(path)
            content = after[path].encode("utf-8", "surrogateescape")
            write_file(path, content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        for path in rights:
            os.chown(path, 0, 0)
            os.chmod(path, 0o440)

    said_before, said_after = (
        "\n".join([f"{path}: {line}" for path in changed for line in _only(one[path], other[path])])
        for one, other in ((before, after), (after, before))
    )
    return Difference("sudoers", said_before, said_after, apply, check=("visudo", "-c"))


def taken(
    before: Mapping[str, str], changes: Sequence[Mapping[str, Any]], account: str
) -> Tuple[Dict[str, str], List[Tuple[str, str]]]:
    """The files after these changes, and which were not made: the reason and its kind."""
    texts, refused = dict(before), []
    for one in changes:
        change = _change(one)
        made = {path: change(text) for path, text in texts.items()} if change else _mended(texts)
        password, free = bool(one.get("password")), one["take"] != "nopasswd"
        lost = loses(made, account, password, free) if change and made != texts else ""
        if lost:
            refused.append((f"{one['take']} {one.get('who', '')}".rstrip() + f": {lost}", "access"))
        else:
            texts = made
    return texts, refused


def _only(text: str, other: str) -> List[str]:
    there = set(other.splitlines())
    return [line for line in text.splitlines() if line not in there]


def files() -> Dict[str, str]:
    """The files that sudo reads, in its order."""
    found = {MAIN: read_text(MAIN) or ""}
    names = sorted(os.listdir(FOLDER)) if os.path.isdir(FOLDER) else []
    for name in names:
        path = f"{FOLDER}/{name}"
        if "." not in name and not name.endswith("~") and os.path.isfile(path):
            found[path] = read_text(path) or ""
    return found


def _change(resource: Mapping[str, Any]) -> Optional[Callable[[str], str]]:
    take, who = resource["take"], resource.get("who", "")
    if take == "nopasswd":
        return lambda text: with_password(text, who)
    if take == "everything":
        return lambda text: without_everything(text, who)
    if take == "authenticate":
        return always_asking
    if take == "broken":
        return None
    raise RestoreError(f"'{take}' is nothing that is taken out of sudo's files")


def rule_of(line: str) -> Optional[Rule]:
    """The rule of a line, or none. A rule over several lines is none: it is left to a person."""
    if _NOT_RULES.match(line) or line.rstrip().endswith("\\"):
        return None
    match = _RULE.match(line)
    return Rule(match.group(1), match.group(3).split("#")[0].strip()) if match else None


def with_password(text: str, who: str) -> str:
    """The text where nobody of this name runs everything without a password."""

    def one(line: str) -> str:
        rule = rule_of(line)
        if rule is None or rule.who != who or not (rule.everything and rule.free):
            return line
        return re.sub(r"NOPASSWD:\s*", "", line)

    return _each(text, one)


def without_everything(text: str, who: str) -> str:
    """The text without this name's rules for every command."""

    def one(line: str) -> str:
        rule = rule_of(line)
        return _OFF + line if rule is not None and rule.who == who and rule.everything else line

    return _each(text, one)


def always_asking(text: str) -> str:
    """The text without `!authenticate` among the defaults; what else a line sets stays."""

    def one(line: str) -> str:
        match = re.match(r"(\s*Defaults\S*)\s+(.*)$", line)
        if not match or not re.search(r"!\s*authenticate\b", line) or line.rstrip().endswith("\\"):
            return line
        kept = [part.strip() for part in match.group(2).split(",")]
        kept = [part for part in kept if not re.fullmatch(r"!\s*authenticate", part)]
        return f"{match.group(1)} {', '.join(kept)}" if kept else _OFF + line

    return _each(text, one)


def _each(text: str, change: Callable[[str], str]) -> str:
    return "".join(change(line.rstrip("\n")) + "\n" for line in text.splitlines())


def loses(texts: Mapping[str, str], account: str, password: bool, defaults: bool = True) -> str:
    """Why an account does not become root any more by these rules, or ''. The last rule that fits counts.

    defaults: whether `!authenticate` is counted on; it is a deviation itself, and goes sooner or later.
    """
    if not account or account == "root":
        return ""
    names = {account, "ALL", *(f"%{group}" for group in groups_of(account))}
    fitting = [
        rule
        for text in texts.values()
        for rule in map(rule_of, text.splitlines())
        if rule is not None and rule.who in names and rule.everything
    ]
    if not fitting:
        return f"{account}, who makes this change, would not become root any more"
    free = defaults and any(
        re.search(r"!\s*authenticate\b", line) for text in texts.values() for line in _defaults(text)
    )
    if not (fitting[-1].free or free or password):
        return (
            f"{account}, who makes this change, has given no password for sudo: list the account in "
            "automation_accounts, or come in with --ask-become-pass"
        )
    return ""


def _defaults(text: str) -> List[str]:
    return [line for line in text.splitlines() if re.match(r"\s*Defaults", line)]


def _mended(texts: Mapping[str, str]) -> Dict[str, str]:
    """The files without the lines that visudo refuses: sudo passes over them already, or refuses everybody."""
    made = dict(texts)
    for path in made:
        for _ in range(_ROUNDS):
            number = broken_line(made[path])
            lines = made[path].splitlines()
            if number is None or not 0 < number <= len(lines):
                break
            lines[number - 1] = _OFF + lines[number - 1]
            made[path] = "\n".join(lines) + "\n"
    return made


def broken_line(text: str) -> Optional[int]:
    """The first line of a file that visudo refuses."""
    name = f"/run/maintenance-sudoers-{os.getpid()}"
    # Alone, without what the main file includes: that is looked at by itself.
    write_file(
        name, re.sub(r"(?m)^\s*[#@]include", "##include", text).encode("utf-8", "surrogateescape"), 0o440
    )
    try:
        told = said(run(["visudo", "-c", "-f", name]))
    finally:
        os.unlink(name)
    match = re.search(re.escape(name) + r":(\d+)(?::\d+)?: ", told) or re.search(r"near line (\d+)", told)
    return int(match.group(1)) if match and "parsed OK" not in told else None


def wrong_modes() -> List[str]:
    """Files that sudo does not read, as others could have written them."""
    found = []
    for path in files():
        status = os.stat(path)
        if status.st_uid != 0 or stat.S_IMODE(status.st_mode) & 0o022:
            found.append(path)
    return found
