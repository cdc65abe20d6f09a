"""Questions to the database, and instants of its own clock."""

from __future__ import annotations

from lab.calls import Done
from lab.scenario import Root, wait_until

PSQL = "cd /; runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 -d dialysis"


def asked(root: Root, statement: str, database: str = "dialysis") -> str:
    return root("db1", f'{PSQL.removesuffix("dialysis")}{database} -c "{statement}"').strip()


def next_second(root: Root) -> str:
    """The next whole second of the database's own clock, when it has come, with its zone."""
    at = asked(root, "select extract(epoch from clock_timestamp())::bigint + 1")
    come = f"select extract(epoch from clock_timestamp()) >= {at}"  # noqa: S608
    wait_until("the next second", 10, lambda: asked(root, come) == "t")
    return asked(
        root, f"select to_char(to_timestamp({at}) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS+00:00')"
    )


def reason(done: Done) -> str:
    return str(done.record.outcome_reason)
