"""Lines of pg_hba.conf, all of one server at once: each stays in its place, whoever comes in now must come in still."""

from __future__ import annotations

import os
import re
import stat
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible.module_utils.resource import Difference, NotPossibleError, must, outside, read_text
from ansible.module_utils.resource_access import in_network
from ansible.module_utils.resource_postgresql import psql, reload_command
from ansible.module_utils.restore_engine import RestoreError, write_file

# A file with an error stays out of force at a reload, but the next start fails with it.
_SOUND = (
    "do $$ begin if exists (select from pg_hba_file_rules where error is not null) "
    "then raise 'pg_hba.conf has an error'; end if; end $$"
)
_OFF = "# taken out by the maintenance runbook harden: "
_CLIENTS = """select distinct usename, host(client_addr), backend_type = 'walsender' from pg_stat_activity
    where client_addr is not null"""


def a_hba_file(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{port, edits}: edits, each {file, line, type | method | networks | rejects | broken}, of a server's pg_hba.conf.

    line: by the server's own reading. networks: one line for each in the place of one for every address. rejects: a
    role that is refused before this line. broken: a line that the server does not understand is taken out.
    What cannot be done is named in resource["refused"], and the rest is done.
    """
    port = str(resource["port"])
    path, folder = must([*psql(port), "show hba_file", "-c", "show data_directory"]).split("\n")[:2]
    text = read_text(path) or ""
    clients = [tuple(line.split("|")) for line in must([*psql(port), _CLIENTS]).splitlines()]
    after, refused = edited(text.splitlines(), resource["edits"], os.path.basename(path), clients)
    if isinstance(resource, dict):
        resource["refused"] = refused
    made = "\n".join(after) + "\n"
    if after == text.splitlines():
        return None
    status = os.stat(path)

    def apply() -> None:
        if read_text(path) != text:
            raise RestoreError(f"{path} was changed while it was looked at")
        content = made.encode("utf-8", "surrogateescape")
        write_file(path, content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)

    return Difference(
        path,
        "\n".join(line for line in text.splitlines() if line not in after),
        "\n".join(line for line in after if line not in text.splitlines()),
        apply,
        outside(path),
        then=(reload_command(folder),),
        check=(*psql(port), _SOUND),
    )


def edited(
    lines: Sequence[str], edits: Sequence[Mapping[str, Any]], file: str, clients: Sequence[Tuple[str, ...]]
) -> Tuple[List[str], List[Tuple[str, str]]]:
    """The lines with these edits, and what is not done: the reason and its kind. From the last line to the first, so
    that numbers hold."""
    after, refused = list(lines), []
    by_line: Dict[int, List[Mapping[str, Any]]] = {}
    for edit in edits:
        by_line.setdefault(int(edit["line"]), []).append(edit)
    rejecting = min(
        (number for number, of in by_line.items() if any("rejects" in edit for edit in of)), default=0
    )
    for number in sorted(by_line, reverse=True):
        for edit in sorted(by_line[number], key=lambda one: ("rejects" in one, "networks" in one)):
            try:
                if edit.get("file", file) != file:
                    raise NotPossibleError(
                        f"the line stands in {edit['file']}, which {file} includes: mend it by hand"
                    )
                if not 0 < number <= len(lines):
                    raise NotPossibleError(f"{file} has no line {number}")
                if "rejects" in edit and number != rejecting and not _of_replication(after[number - 1]):
                    continue  # one refusal before all of them is enough
                after[number - 1 : number] = _edited(after[number - 1], edit, after[: number - 1], clients)
            except NotPossibleError as error:
                refused.append((f"{file}:{number}: {error}", error.kind))
    return after, refused


def _edited(
    line: str, edit: Mapping[str, Any], earlier: Sequence[str], clients: Sequence[Tuple[str, ...]]
) -> List[str]:
    if edit.get("broken"):
        return [_OFF + line]
    if "rejects" in edit:
        role = edit["rejects"]
        used = sorted({client[1] for client in clients if client[0] == role and not _here(client[1])})
        if used:
            raise NotPossibleError(f"{role} has sessions from {', '.join(used)}", "access")
        return [f"host {'replication' if _of_replication(line) else 'all'} {role} all reject", line]
    if "networks" in edit:
        return _narrowed(line, [str(network) for network in edit["networks"]], clients)
    return [changed_hba_line(line, edit.get("type"), edit.get("method"), earlier)]


def _of_replication(line: str) -> bool:
    return line.split()[1:2] == ["replication"]


def _here(address: str) -> bool:
    return address == "::1" or address.startswith("127.")


def _narrowed(line: str, networks: Sequence[str], clients: Sequence[Tuple[str, ...]]) -> List[str]:
    """A line for each network in the place of one for every address; the sessions of now must come from them."""
    if '"' in line:
        raise NotPossibleError("the line has names in quotes: mend it by hand")
    for _role, address, _sends in clients:
        try:
            inside = _here(address) or any(in_network(address, network) for network in networks)
        except ValueError as error:
            raise NotPossibleError(str(error)) from None
        if not inside:
            raise NotPossibleError(
                f"a session comes from {address}, which is in none of the networks", "access"
            )
    fields = re.split(r"(\s+)", line.strip())
    masked = len(fields) > 10 and re.match(r"[\d.:a-f]+$", fields[8])
    six = ":" in fields[6]
    fits = [network for network in networks if fields[6] == "all" or (":" in network) == six]
    made = ["".join([*fields[:6], network, *fields[9 if masked else 7 :]]) for network in fits]
    # One that gives way to nothing refuses all that came by it.
    return made or [_OFF + line]


def changed_hba_line(line: str, kind: Optional[str], method: Optional[str], earlier: Sequence[str]) -> str:
    """The line with another type or method; raises NotPossibleError where that would shut out whoever takes it back."""
    if '"' in line:
        raise NotPossibleError("the line has names in quotes: mend it by hand")
    fields = re.split(r"(\s+)", line.strip())
    words = list(range(0, len(fields), 2))
    if kind:
        fields[0] = kind
    if method:
        own = [" ".join(other.split()) for other in earlier]
        if fields[0] == "local" and "local all postgres peer" not in own:
            raise NotPossibleError(
                "root would lose the way in: put `local all postgres peer` before this line first", "access"
            )
        # TYPE DATABASE USER [ADDRESS [MASK]] METHOD [OPTIONS]
        masked = len(words) > 5 and re.match(r"[\d.:a-f]+$", fields[8])
        fields[words[3 if fields[0] == "local" else 5 if masked else 4]] = method
    return "".join(fields)
