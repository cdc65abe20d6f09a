"""Store what waits in the interface queue; a timer starts this every few seconds on each application server."""

from __future__ import annotations

import logging
import sys

from . import hl7, store
from .configuration import ConfigurationError, load
from .database import Cursor, Database, DatabaseUnavailable, OutcomeUnknown

OPERATOR = "interface"
# A patient may be registered after the first result arrives: about two minutes of tries.
ATTEMPTS = 6
log = logging.getLogger("dialysis.worker")


def process_one(cursor: Cursor, after: int) -> int | None:
    """Store one message, or remember why not; its number, or None when nothing waits."""
    row = store.next_waiting(cursor, after)
    if row is None:
        return None
    cursor.execute("SAVEPOINT message")
    try:
        store.store_report(cursor, row["queue_id"], hl7.parse(row["payload"]))
    except hl7.Hl7Error as error:
        refuse(cursor, row["queue_id"], str(error), final=True)
    except store.NotFound as error:
        refuse(cursor, row["queue_id"], str(error), final=row["attempts"] + 1 >= ATTEMPTS)
    return int(row["queue_id"])


def refuse(cursor: Cursor, queue_id: int, reason: str, *, final: bool) -> None:
    """Undo what the message had stored and keep the reason, here and in the log."""
    cursor.execute("ROLLBACK TO SAVEPOINT message")
    store.mark_failed(cursor, queue_id, reason, final=final)
    log.warning("接口消息 %s 未入库：%s", queue_id, reason)


def drain(database: Database) -> int:
    """Each message in its own transaction, each at most once a run."""
    count, last = 0, 0
    while (done := database.run(OPERATOR, lambda cursor, after=last: process_one(cursor, after))) is not None:
        count, last = count + 1, done
    return count


def main() -> int:
    """Run once; a database that is away is the next run's matter, not a failed unit."""
    # The journal takes the priority from this prefix (sd-daemon(3)); the unit keeps what is a notice or worse.
    for level, priority in ((logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3)):
        logging.addLevelName(level, f"<{priority}>")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s%(message)s")
    try:
        count = drain(Database(load()))
    except ConfigurationError as error:
        log.error("配置错误：%s", error)
        return 2
    except (DatabaseUnavailable, OutcomeUnknown) as error:
        log.warning("数据库不可用，稍后再试：%s", error)
        return 0
    if count:
        log.info("处理接口消息 %d 条", count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
