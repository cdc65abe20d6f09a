"""db1 has lost its power, and something else is wrong as well: a clear refusal, and nothing that was there is lost.

In the order in which a rebuild finds it: what is refused before anything is changed comes first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import JOURNAL, PGBACKREST, REBUILD, Cut, Root, flipped

from lab.calls import Done
from lab.plan import REPOSITORY
from lab.scenario import start_playbook

HOSTS = ("standby1", "backup1", "app1", "gate1")
STATE = (
    "(find /etc /srv /var/lib/postgresql /var/lib/maintenance /var/lib/pgbackrest /var/lib/pgbackrest-home"
    " -printf '%p %m %u %s\\n' 2>/dev/null || true) | sort; nft list tables"
)
PLAN = {"stanza": "dialysis", "account": "pgbackrest"}
Run = Callable[..., Done]


def state(root: Root) -> dict[str, str]:
    return {host: root(host, STATE) for host in HOSTS}


def reason(done: Done) -> str:
    assert done.code == 1, done.out + done.err
    told = str(done.record.outcome_reason)
    assert "\n" not in told
    return told


def test_a_server_that_serves_is_never_given_up(cut: Cut) -> None:
    assert "db1 still serves" in reason(cut.refused)
    assert cut.untouched == "yes"
    assert not cut.refused.record.changes


def test_a_rehearsal_refuses_a_machine_that_is_too_small_and_changes_nothing(
    cut: Cut, run: Run, root: Root
) -> None:
    assert cut.segments
    before = state(root)
    told = reason(run(*REBUILD, "--check", "--set", "rebuild_room=100000"))
    assert "too little room in /" in told
    assert "bytes are free" in told
    assert state(root) == before


def test_a_folder_of_a_tablespace_that_is_full_is_never_emptied(cut: Cut, run: Run, root: Root) -> None:
    assert cut.segments
    root("standby1", "install -d -o postgres /srv/ward; echo x > /srv/ward/somebodys")
    assert "/srv/ward/somebodys is in it" in reason(run(*REBUILD, "--check"))
    assert root("standby1", "cat /srv/ward/somebodys; rm -r /srv/ward") == "x\n"


@contextmanager
def clock_ahead(root: Root) -> Iterator[None]:
    """The hosts of the lab share the machine's clock: a `date` stands before the own one."""
    date = "/usr/local/bin/date"
    root(
        "standby1",
        f'printf \'#!/bin/sh\\nexec /usr/bin/date -d "+1 hour" "$@"\\n\' > {date}; chmod 755 {date}',
    )
    try:
        yield
    finally:
        root("standby1", f"rm {date}")


def test_what_is_wrong_is_refused_before_anything_is_changed(cut: Cut, run: Run, root: Root) -> None:
    assert cut.segments
    before = state(root)
    assert "Say which server failed" in reason(run(*REBUILD, "--set", "failed=db7"))
    assert "backup1 has backups of db1, and app1 is to have failed" in reason(
        run(*REBUILD, "--set", "failed=app1")
    )
    other = reason(run(*REBUILD, "--set", "database_backup_stanza=laboratory"))
    assert "backup1 has no repository" in other
    assert "stanza laboratory" in other
    with clock_ahead(root):
        assert "standby1's clock is 36" in reason(run(*REBUILD))
    assert state(root) == before


def plan_refused(site: str, folder: Path) -> str:
    """What the runbook's own module says of the repository, without the phases before it."""
    asked = [{"hosts": "backup1", "gather_facts": False, "tasks": [{"recovery_plan": PLAN}]}]
    path = folder / "plan.yml"
    path.write_text(json.dumps(asked))
    process = start_playbook(path, REPOSITORY / "inventories" / site, {})
    told = process.communicate(timeout=120)[0]
    assert process.returncode == 2, told
    return str(told)


def test_a_flipped_byte_in_the_only_backup_is_refused_by_the_file(
    cut: Cut, site: str, root: Root, tmp_path: Path
) -> None:
    assert cut.segments
    newest = "find /var/lib/pgbackrest/backup -path '*F/pg_data/base/*' -type f -size +8k | sort | tail -n 1"
    path = root("backup1", newest).strip()
    with flipped(root, "backup1", path):
        told = plan_refused(site, tmp_path)
    assert "no backup can be used" in told
    assert f"{path.partition('/pg_data/')[2].removesuffix('.zst')}: its checksum is wrong" in told


def test_a_whole_repository_of_another_system_is_refused_by_the_system(
    cut: Cut, run: Run, root: Root
) -> None:
    assert cut.segments
    configuration = "/etc/pgbackrest/pgbackrest.conf"
    root("backup1", f"sed -i.right 's/^# Backups are of the database system [0-9]*/&9/' {configuration}")
    try:
        told = reason(run(*REBUILD, "--check"))
    finally:
        root("backup1", f"mv {configuration}.right {configuration}")
    assert "it is the wrong one. Nothing was restored" in told
    assert not root("standby1", f"ls {JOURNAL} 2>/dev/null || true")


@contextmanager
def taken_away(root: Root, segment: str) -> Iterator[str]:
    """A segment of the archive is not there; its place is."""
    path = root("backup1", f"find /var/lib/pgbackrest/archive -name '{segment}-*'").strip()
    root("backup1", f"mv {path} /root/")
    try:
        yield path.rpartition("/")[0]
    finally:
        root("backup1", f"mv /root/{segment}-* {path}")


def test_a_segment_that_is_missing_in_the_middle_is_refused_by_its_name(
    cut: Cut, run: Run, root: Root
) -> None:
    with taken_away(root, cut.segments[0]):
        told = reason(run(*REBUILD))
    assert cut.segments[0] in told
    assert "rebuild_until_gap" in told


# As pgBackRest encrypts: with the pass that archive.info has, which is itself encrypted by that of the configuration.
FOREIGN = f"""
export PASS=$({PGBACKREST} repo-get archive/dialysis/archive.info | sed -n 's/^cipher-pass="\\(.*\\)"$/\\1/p')
[ -n "$PASS" ]
cd {{folder}}
python3 -c "import struct; open('/root/foreign', 'wb').write(struct.pack('<HHIQI4xQII', 0xD110, 2, 1, \\
  int('{{segment}}'[-8:], 16) << 24, 0, 4711, 1 << 24, 8192).ljust(1 << 24, bytes(1)))"
name={{segment}}-$(sha1sum < /root/foreign | cut -d ' ' -f 1)
openssl enc -aes-256-cbc -md sha1 -pass env:PASS -in /root/foreign -out "$name" 2>/dev/null
chown pgbackrest: "$name"
rm /root/foreign
"""


def test_a_segment_of_another_system_is_refused_by_the_system(
    cut: Cut, site: str, root: Root, tmp_path: Path
) -> None:
    segment = cut.segments[0]
    with taken_away(root, segment) as folder:
        root("backup1", FOREIGN.format(folder=folder, segment=segment))
        told = plan_refused(site, tmp_path)
        root("backup1", f"rm {folder}/{segment}-*")
    assert f"{segment}: it is of the system 4711" in told
