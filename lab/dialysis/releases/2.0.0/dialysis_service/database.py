"""One connection a thread, made again when the database has been away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from .configuration import Configuration

T = TypeVar("T")
Cursor = psycopg2.extensions.cursor
LOST = (psycopg2.OperationalError, psycopg2.InterfaceError)
log = logging.getLogger("dialysis.database")


class DatabaseUnavailable(Exception):  # noqa: N818  (a state of the world, not of the program)
    """The database does not answer; nothing was stored."""


class OutcomeUnknown(Exception):  # noqa: N818
    """The connection broke during COMMIT: it may or may not be stored; ask, or repeat with the same reference."""


class Database:
    """Runs units of work, each in one transaction."""

    def __init__(self, configuration: Configuration) -> None:
        """Remember how to connect; the first use connects."""
        self.configuration = configuration
        self.local = threading.local()

    def run(self, operator: str, work: Callable[[Cursor], T]) -> T:
        """Do the work in a transaction. A connection that was lost before COMMIT is replaced, once."""
        try:
            return self.attempt(operator, work)
        except LOST as error:
            # The server ended an idle connection (restart, switch-over): nothing had been committed.
            log.warning("数据库连接中断，重新连接：%s", type(error).__name__)
        try:
            return self.attempt(operator, work)
        except LOST as error:
            raise DatabaseUnavailable(type(error).__name__) from error

    def attempt(self, operator: str, work: Callable[[Cursor], T]) -> T:
        """One transaction on this thread's connection."""
        connection = self.connection()
        try:
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                # For the audit trigger; local to the transaction, so it cannot leak to the next request.
                cursor.execute("SELECT set_config('dialysis.operator', %s, true)", (operator,))
                result = work(cursor)
        except LOST:
            self.discard()
            raise
        except BaseException:
            self.roll_back(connection)
            raise
        try:
            connection.commit()
        except LOST as error:
            self.discard()
            raise OutcomeUnknown(type(error).__name__) from error
        return result

    def connection(self) -> Any:
        """This thread's connection."""
        connection = getattr(self.local, "connection", None)
        if connection is None or connection.closed:
            connection = psycopg2.connect(**self.configuration.connection())
            self.local.connection = connection
        return connection

    def roll_back(self, connection: Any) -> None:
        """Undo; a connection that cannot even do that is replaced at the next use."""
        try:
            connection.rollback()
        except LOST:
            self.discard()

    def discard(self) -> None:
        """Forget this thread's connection."""
        connection = getattr(self.local, "connection", None)
        self.local.connection = None
        if connection is not None and not connection.closed:
            connection.close()
