"""Options of mounted file systems: a line of /etc/fstab for the next start, and in force now by a remount."""

from __future__ import annotations

import re
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from ansible.module_utils.resource import Difference, NotPossibleError, must, read_text
from ansible.module_utils.restore_engine import mount_options, remount, write_file

FSTAB = "/etc/fstab"


def a_mount(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{mount, options, type}: a mount with these options. One that is not there begins with the next start.

    type: what is mounted where there is no mount yet (tmpfs); without it a mount must be there.
    """
    mount, wanted = resource["mount"], list(resource["options"])
    now = mount_options(mount)
    text = read_text(FSTAB) or ""
    if now is None and "type" not in resource:
        raise NotPossibleError(f"{mount} has no file system of its own")
    kind = resource.get("type") or "tmpfs"
    line, after = with_options(text, mount, wanted, kind, known=now or ())
    missing = [] if now is None else [option for option in wanted if option not in now]
    if after == text and not missing:
        return None

    def apply() -> None:
        # From the file as it is by now: another resource may have changed it in the same run.
        _line, made = with_options(read_text(FSTAB) or "", mount, wanted, kind, known=now or ())
        write_file(FSTAB, made.encode("utf-8", "surrogateescape"), 0o644)
        must(["systemctl", "daemon-reload"])
        there = mount_options(mount)
        if there is not None:
            remount(mount, _joined(there, wanted))

    return Difference(
        mount,
        ",".join(now) if now is not None else "no mount of its own",
        line,
        apply,
        mounts=(mount,) if now is not None else (),
        next_start="" if now is not None else f"{mount} is mounted with the next start",
    )


def with_options(
    text: str, mount: str, wanted: Sequence[str], kind: str, known: Sequence[str] = ()
) -> Tuple[str, str]:
    """The mount's line and the whole file with these options; all else of the line stays."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        fields = re.split(r"(\s+)", line.strip())
        if line.strip().startswith("#") or len(fields) < 7 or fields[2] != mount:
            continue
        options = _joined(fields[6].split(","), wanted)
        if options == fields[6].split(","):
            return line, text
        fields[6] = ",".join(options)
        lines[number] = "".join(fields)
        return lines[number], "\n".join(lines) + "\n"
    own = [option for option in known if option in ("nosuid", "nodev", "noexec")]
    mode = ["mode=1777"] if kind == "tmpfs" else []
    line = f"{kind} {mount} {kind} {','.join(_joined(['rw', *own], [*wanted, *mode]))} 0 0"
    return line, "\n".join([*lines, line]) + "\n"


def _joined(there: Sequence[str], wanted: Sequence[str]) -> List[str]:
    """Options with these; what contradicts one of them goes."""
    against = {option[2:] for option in wanted if option.startswith("no")} | {
        f"no{option}" for option in wanted
    }
    kept = [option for option in there if option not in against]
    return kept + [option for option in wanted if option not in kept]
