"""A copy restored to the digests' restore point is equal to production there, while writers go on; another is not."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from ansible.module_utils.database_digest import compare

from lab import remote
from lab.plan import REPOSITORY, Lab
from lab.scenario import engine

COPY = "/var/tmp/digest-copy"
BINARIES = "$(ls -d /usr/lib/postgresql/*/bin | tail -1)"
WRITERS = """cd /
runuser -u postgres -- psql -Xqd dialysis -c 'create table if not exists digest_beat (n bigserial, t text)'
printf "insert into digest_beat (t) values ('x');\\n" > /var/tmp/beat.sql
systemd-run -q --unit digest-writers --uid postgres pgbench -n -c 4 -R 200 -T 120 -f /var/tmp/beat.sql dialysis
until [ "$(runuser -u postgres -- psql -XAtd dialysis -c 'select count(*) > 50 from digest_beat')" = t ]; do
  sleep 0.1
done
"""
RESTORE = """cd /; install -d -o postgres -m 700 {copy}
runuser -u postgres -- pgbackrest --stanza=dialysis --pg1-path={copy} --archive-mode=off --type=name \\
  --target={name} --target-timeline=current --target-action=promote restore
runuser -u postgres -- {binaries}/pg_ctl -w -t 60 -D {copy} -l {copy}/log start -o "-p 5499 -c listen_addresses='' \\
  -c archive_command=/bin/false -c config_file=$(ls -d /etc/postgresql/*/main | tail -1)/postgresql.conf \\
  -c data_directory={copy} -c external_pid_file={copy}/pid -c cluster_name=digest" >&2
until [ "$(runuser -u postgres -- psql -p 5499 -XAtc 'select pg_is_in_recovery()')" = f ]; do sleep 0.1; done
"""
CLEAN = """systemctl stop digest-writers || true
cd /; runuser -u postgres -- {binaries}/pg_ctl -m immediate -D {copy} stop || true
rm -rf {copy} /var/tmp/beat.sql
runuser -u postgres -- psql -Xqd dialysis -c 'drop table if exists digest_beat'
test ! -e {copy}
"""


def digest(site: str, **options: Any) -> dict[str, Any]:
    """The module's answer on db1."""
    given = " ".join(f"{key}={value}" for key, value in options.items())
    inventory = str(REPOSITORY / "inventories" / site)
    command = ["ansible", "db1", "-i", inventory, "-b", "-m", "database_digest", "-a", given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=engine())
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.partition("=>")[2])
    return answer


def verdicts(one: dict[str, Any], other: dict[str, Any]) -> dict[str, str]:
    return {f"{row['database']} {row['table']}": row["verdict"] for row in compare(one, other)}


def test_a_restored_copy_is_equal_at_the_restore_point_and_not_beside_it(lab: Lab, site: str) -> None:
    try:
        remote.as_root(lab, "db1", WRITERS)
        production = digest(site, label="digest-test")
        later = digest(site)
        remote.as_root(
            lab, "db1", RESTORE.format(copy=COPY, binaries=BINARIES, name=production["point"]["name"])
        )
        sees = production["point"]["sees"]
        assert digest(site, port=5499, unseen_by=sees)["unseen"] == []
        assert digest(site, port=5432, unseen_by=sees)["unseen"]
        copy = digest(site, port=5499)
        equal = verdicts(production, copy)
        assert set(equal.values()) == {"equal", "excluded"}, equal
        assert equal["dialysis public.digest_beat"] == "equal"
        assert verdicts(later, copy)["dialysis public.digest_beat"] == "different"
    finally:
        remote.as_root(lab, "db1", CLEAN.format(copy=COPY, binaries=BINARIES))
