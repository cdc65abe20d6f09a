"""What the trusted tools let through: each trap is laid for real, `info` still says ok, check_backup names it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import PGBACKREST, PSQL, REPOSITORY_PATH, YOUNG, First, Root, findings

from lab.calls import Done
from maintenance.record import Finding

BACKUPS = f"{REPOSITORY_PATH}/backup/dialysis"
ARCHIVE = f"{REPOSITORY_PATH}/archive/dialysis/15-1"
STRICT = (*YOUNG[:1], YOUNG[1].replace("{", '{"backup_hours": 0, ', 1))
SWITCH = f"{PSQL} -c \"select pg_create_restore_point('trap')\" -c 'select pg_switch_wal()' postgres"
DAMAGE = """
flip() { python3 - "$1" <<'END'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(-9, 2)
    byte = file.read(1)[0]
    file.seek(-9, 2)
    file.write(bytes([byte ^ 1]))
END
}
segments=($(find ARCHIVE -name '*.zst' | sort))
rm "${segments[-3]}"
flip "${segments[-2]}"
label=$(ls BACKUPS | grep -E '^[0-9]+-[0-9]+F$' | tail -1)
flip "BACKUPS/$label/pg_data/base/1/1247.zst"
rm "BACKUPS/$label/pg_data/base/1/1249.zst"
install -d -o pgbackrest -g pgbackrest BACKUPS/20200101-000000F
"""
PATH = "select current_setting('data_directory') || '/' || pg_relation_filepath('trap')"
TABLE = f"{PSQL} -c 'create table trap as select generate_series(1, 1000) as n' -c checkpoint -c \"{PATH}\" dialysis"
BAD_PAGE = """
systemctl stop postgresql@15-main
printf x | dd of=PATH bs=1 seek=8500 conv=notrunc status=none
systemctl start postgresql@15-main
"""
DRILL = r"""
cd /
install -d -o postgres -m 700 /var/tmp/drill
own() { runuser -u postgres -- "$@"; }
ask() { own psql -p 5439 -XqAt -v ON_ERROR_STOP=1 postgres "$@"; }
# The oldest backup: the newest is damaged by now.
first=$(own pgbackrest --stanza=dialysis info --output=json |
  python3 -c "import json, sys; print(json.load(sys.stdin)[0]['backup'][0]['label'])")
own pgbackrest --stanza=dialysis --set="$first" --pg1-path=/var/tmp/drill --type=immediate --target-action=promote restore
cp /etc/postgresql/15/main/pg_*.conf /var/tmp/drill/
cat > /var/tmp/drill/postgresql.conf <<END
port = 5439
unix_socket_directories = '/var/run/postgresql'
listen_addresses = ''
archive_mode = on
END
chown -R postgres: /var/tmp/drill
sed -i 's#archive-push %p#--pg1-path=/var/tmp/drill archive-push %p#' /var/tmp/drill/postgresql.auto.conf
own /usr/lib/postgresql/15/bin/pg_ctl -D /var/tmp/drill -w -t 60 -l /var/tmp/drill/log start
until [ "$(ask -c 'select pg_is_in_recovery()')" = f ]; do sleep 0.2; done
ask -c "select pg_create_restore_point('drill')" -c "select pg_switch_wal()"
"""
STOP = """
cd /
runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_ctl -D /var/tmp/drill -m immediate stop
rm -rf /var/tmp/drill
"""


@pytest.fixture(scope="module")
def damaged(first: First, run: Callable[..., Done], root: Root) -> dict[str, Finding]:
    """A repository with everything wrong that can be, side by side, and what check_backup says of it."""
    assert first.done.code == 0
    # From here on only this test closes segments: none may come behind the damaged ones by itself.
    root("db1", f"{PSQL} -c 'alter system set archive_timeout = 0' -c 'select pg_reload_conf()' postgres")
    path = root("db1", TABLE).split()[-1]
    root("db1", BAD_PAGE.replace("PATH", path))
    root("backup1", f"{PGBACKREST} --type=full backup")
    root("db1", f"{PSQL} -c 'drop table trap' dialysis")
    for _ in range(5):
        root("db1", SWITCH)
    last = root(
        "db1", f'{PSQL} -c "select pg_walfile_name(pg_current_wal_lsn() - 16777216)" postgres'
    ).strip()
    root("backup1", f"timeout 60 bash -c 'until ls {ARCHIVE}/*/{last}-* >/dev/null 2>&1; do sleep 0.2; done'")
    root("backup1", DAMAGE.replace("ARCHIVE", ARCHIVE).replace("BACKUPS", BACKUPS))
    return findings(run("check_backup", *STRICT))


def test_pgbackrest_itself_says_ok(damaged: dict[str, Finding], root: Root) -> None:
    assert damaged
    assert "status: ok" in root("backup1", f"{PGBACKREST} info")


def test_a_missing_segment_is_named(damaged: dict[str, Finding]) -> None:
    broken = [one for name, one in damaged.items() if name.startswith("BAK-WAL-01 ")]
    assert broken
    assert all(one.verdict == "fail" and "missing 00000001" in one.actual for one in broken)


def test_a_flipped_byte_in_the_archive_is_found(damaged: dict[str, Finding]) -> None:
    assert damaged["BAK-WAL-02 backup1"].verdict == "fail"


def test_a_flipped_byte_and_a_missing_file_of_a_backup_are_found(damaged: dict[str, Finding]) -> None:
    (found,) = [one for name, one in damaged.items() if name.startswith("BAK-SUM-01 ")]
    assert "damaged 1, missing 1" in found.actual
    assert "1247" in found.actual
    assert "1249" in found.actual


def test_the_trial_restore_does_not_succeed(damaged: dict[str, Finding]) -> None:
    assert damaged["BAK-TRY-01 backup1"].verdict in ("fail", "unknown")


def test_an_old_backup_and_an_unfinished_one_are_told(damaged: dict[str, Finding]) -> None:
    assert damaged["BAK-AGE-01 backup1"].verdict == "fail"
    assert "20200101-000000F" in damaged["BAK-TMP-01 backup1"].actual


def test_a_bad_page_that_was_backed_up_is_found(damaged: dict[str, Finding]) -> None:
    assert any(name.startswith("BAK-ERR-01 ") and one.verdict == "fail" for name, one in damaged.items())


def test_a_drill_that_archives_into_the_repository_is_found(
    damaged: dict[str, Finding], run: Callable[..., Done], root: Root
) -> None:
    assert damaged
    root("db1", DRILL)
    try:
        root(
            "backup1",
            f"timeout 60 bash -c 'until ls {ARCHIVE}/*/00000002* >/dev/null 2>&1; do sleep 0.2; done'",
        )
        found = findings(run("check_backup", *YOUNG))
        assert "timeline 2" in found["BAK-WAL-03 backup1"].actual
        assert "status: ok" in root("backup1", f"{PGBACKREST} info")
    finally:
        root("db1", STOP)
