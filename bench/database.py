"""Backup, restore, rebuild and row proof of more than 1 GB: against cp and pgBackRest by hand, in one run."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.baseline import play
from bench.measure import Line, alternate, cost
from lab import builder, remote
from lab.calls import call
from lab.plan import Lab
from lab.site import describe, folder

Root = Callable[[str, str], str]
HOSTS = ["db1", "standby1", "backup1", "app1", "gate1"]
ROUNDS = 3
SCALE = 75  # of pgbench: 7.5 million rows, more than 1 GB with their index
PSQL = "cd /; runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1"
FILL = f"""
cd /; runuser -u postgres -- createdb bench
runuser -u postgres -- pgbench -iq -s {SCALE} --partitions=8 bench >&2
{PSQL} -c checkpoint
du -sbL $({PSQL} -c 'show data_directory') | cut -f1
"""
# What a person types who knows pgBackRest well.
BY_HAND = "cd /; runuser -u {account} -- pgbackrest --stanza=dialysis --process-max=2 {words}"
COPY = "/var/lib/postgresql/bench-copy"
CP = f"rm -rf {COPY}; cp -a $({PSQL} -c 'show data_directory') {COPY}; sync -f {COPY}; rm -rf {COPY}"
JOB = """
- hosts: {host}
  gather_facts: false
  tasks:
    - detached_job:
        name: bench
        argv: {argv}
        user: {account}
        again: true
        progress: {{kind: pgbackrest}}
"""
DIGEST = """
- hosts: database
  gather_facts: false
  tasks:
    - database_digest: {jobs: 2}
"""
# Every column of every row is taken out of its page once, two tables at a time.
COLUMNS = "select 'select count(aid), count(bid), count(abalance), count(filler) from ' || oid::regclass from pg_class"
SCAN = f"""
cd /; {PSQL} -d bench -c "{COLUMNS} where relname ~ '^pgbench_accounts_' and relkind = 'r'" |
  xargs -P 2 -I {{}} runuser -u postgres -- psql -Xqd bench -c "set max_parallel_workers_per_gather = 0" -c {{}} >&2
"""
# Where the new server is emptied, and made again by hand from the same backup to the same end.
EMPTY = """systemctl stop 'postgresql@*'; rm -rf {data}; install -d -o postgres -g postgres -m 700 {data}"""
ANEW = """
set -e
options="--set={label} --type=lsn --target={target_lsn} --target-timeline={timeline} --target-action=promote"
cd /; runuser -u postgres -- pgbackrest --stanza=dialysis --process-max=2 $options --archive-mode=off restore
systemctl start {unit}
until [ "$(runuser -u postgres -- psql -XqAt -c 'select not pg_is_in_recovery()' 2>&1)" = t ]; do sleep 0.1; done
"""


@contextmanager
def hospital() -> Iterator[tuple[Lab, Path, Path]]:
    """A hospital whose database has no backup yet, its site, and a folder for playbooks."""
    lab = Lab.from_environment({"LAB_NAME": "benchdb"})
    builder.up(lab, HOSTS, backups=False)
    site = describe(lab, HOSTS)
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield lab, site, work
    finally:
        builder.down(lab)
        shutil.rmtree(site, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)


def database() -> Iterator[Line]:
    """One database of 1 GB and more, and its repository on another host."""
    with hospital() as (lab, site, work):

        def root(host: str, script: str) -> str:
            return remote.as_root(lab, host, script)

        def runbook(name: str, *more: str) -> None:
            done = call(
                "run",
                name,
                "--site",
                folder(lab).name,
                "--ledger",
                work / "ledger",
                "--json",
                "--quiet",
                *more,
            )
            if done.code:
                raise RuntimeError(f"{name}: {done.err}{done.out}")

        def job(name: str, host: str, account: str, words: str) -> Path:
            path = work / f"{name}.yml"
            argv = ["pgbackrest", "--stanza=dialysis", "--process-max=2", "--log-level-console=detail"]
            argv += shlex.split(words)
            path.write_text(JOB.format(host=host, argv=json.dumps(argv), account=account))
            return path

        print(f"database of {int(root('db1', FILL)) / 1e9:.2f} GB, medians of {ROUNDS}", flush=True)
        runbook("configure_backup", "--reason", "bench")
        yield from backups(root, site, job("backup", "backup", "pgbackrest", "--type=full backup"))
        words = f"--pg1-path={COPY} --archive-mode=off --type=immediate --set=LATEST restore"
        label = json.loads(root("backup1", BY_HAND.format(account="pgbackrest", words="info --output=json")))
        words = words.replace("LATEST", label[0]["backup"][-1]["label"])
        yield from restores(root, site, job("restore", "database", "postgres", words), words)
        yield from proofs(root, site, work)
        yield from rebuild(lab, root, runbook)


def backups(root: Root, site: Path, ours: Path) -> Iterator[Line]:
    """A full backup, as a detached job with progress."""
    hand = BY_HAND.format(account="pgbackrest", words="--type=full backup")
    costs = alternate(
        ROUNDS,
        ours=lambda: play(site, ours),
        hand=lambda: root("backup1", hand),
        cp=lambda: root("db1", CP),
    )
    yield Line("full backup", costs["ours"].wall, costs["hand"].wall, "pgbackrest by hand", 1.15)
    yield Line("full backup", costs["ours"].wall, costs["cp"].wall, "cp of the same bytes", None)


def restores(root: Root, site: Path, ours: Path, words: str) -> Iterator[Line]:
    """A restore beside production, as a detached job with progress."""
    hand = BY_HAND.format(account="postgres", words=words)
    empty = f"rm -rf {COPY}; install -d -o postgres -g postgres -m 700 {COPY}"
    costs = alternate(
        ROUNDS,
        empty=lambda: root("db1", empty),
        ours=lambda: play(site, ours),
        again=lambda: root("db1", empty),
        hand=lambda: root("db1", hand),
        cp=lambda: root("db1", CP),
    )
    yield Line("restore", costs["ours"].wall, costs["hand"].wall, "pgbackrest by hand", 1.15)
    yield Line("restore", costs["ours"].wall, costs["cp"].wall, "cp of the same bytes", None)


def proofs(root: Root, site: Path, work: Path) -> Iterator[Line]:
    """The digest of every row of every table, in one snapshot."""
    (work / "digest.yml").write_text(DIGEST)
    costs = alternate(ROUNDS, ours=lambda: play(site, work / "digest.yml"), scan=lambda: root("db1", SCAN))
    yield Line("proof of every row", costs["ours"].wall, costs["scan"].wall, "a scan of every column", 5)


def rebuild(lab: Lab, root: Root, runbook: Callable[..., None]) -> Iterator[Line]:
    """The power of the database server is cut; the runbook from its start to the application at work, by its journal."""
    builder.cut_power(lab, "db1")
    words = ("--set", "failed=db1", "--set", "standby=standby1", "--reason", "bench")
    whole = cost(lambda: runbook("rebuild_database", *words)).wall
    journal = json.loads(root("standby1", "cat /var/lib/maintenance/rebuild/journal.json"))
    marks = journal["marks"]
    served = marks["serving"] - marks["begun"]
    facts = journal["facts"]
    data, unit = (
        root("standby1", "ls -d /var/lib/postgresql/*/main").strip(),
        "postgresql@$(ls /etc/postgresql)-main",
    )
    root("standby1", EMPTY.format(data=data))
    by_hand = cost(lambda: root("standby1", ANEW.format(unit=unit, **facts))).wall
    yield Line("rebuild, until the ward works again", served, by_hand, "restore and replay by hand", 1.15)
    yield Line("rebuild, with the new full backup", whole, by_hand, "restore and replay by hand", None)
