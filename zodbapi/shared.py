"""A connection that several threads use at a time, made by ``connect(..., check_same_thread=False)``.

Each call that reads or writes the database waits until no other thread is in one, as with the sqlite3 module. There is still
one transaction, which the threads share: whose statements belong to it is for them to agree on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from threading import RLock
from typing import Any, TypeVar

from zodbapi.connection import Connection
from zodbapi.cursor import Cursor
from zodbapi.parameters import Parameters

T = TypeVar("T")


def _in_turn(method: Callable[..., T]) -> Callable[..., T]:
    """The method of a connection or of its cursors, for one thread at a time."""

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> T:
        connection: Any = self.connection if isinstance(self, Cursor) else self
        with connection._turn:
            return method(self, *args, **kwargs)

    return call


@cache
def _shared(factory: type[Cursor]) -> type[Cursor]:
    """The same class of cursors, whose methods wait for their turn."""
    names = ("execute", "executemany", "executescript", "fetchone", "fetchmany", "fetchall", "__next__", "close")
    return type(f"Shared{factory.__name__}", (factory,), {n: _in_turn(getattr(factory, n)) for n in names})


class SharedConnection(Connection):
    """A session that threads may share."""

    def __init__(self, dsn: str, **options: Any) -> None:
        self._turn = RLock()
        super().__init__(dsn, **options)

    def cursor(self, factory: Callable[[Connection], Cursor] = Cursor) -> Cursor:
        """A new cursor; any number may be open."""
        return super().cursor(_shared(factory) if isinstance(factory, type) else factory)

    def execute(self, sql: str, parameters: Parameters | None = None, /) -> Cursor:
        """Runs one statement on a new cursor."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameter_rows: Any, /) -> Cursor:
        """Runs one statement for each item on a new cursor."""
        return self.cursor().executemany(sql, parameter_rows)

    def executescript(self, script: str, /) -> Cursor:
        """Runs every statement of a text on a new cursor."""
        return self.cursor().executescript(script)

    begin = _in_turn(Connection.begin)
    commit = _in_turn(Connection.commit)
    rollback = _in_turn(Connection.rollback)
    savepoint = _in_turn(Connection.savepoint)
    release = _in_turn(Connection.release)
    rollback_to = _in_turn(Connection.rollback_to)
    check_deferred = _in_turn(Connection.check_deferred)
    check = _in_turn(Connection.check)
    is_usable = _in_turn(Connection.is_usable)
    tpc_begin = _in_turn(Connection.tpc_begin)
    tpc_prepare = _in_turn(Connection.tpc_prepare)
    tpc_commit = _in_turn(Connection.tpc_commit)
    tpc_rollback = _in_turn(Connection.tpc_rollback)
    backup = _in_turn(Connection.backup)
    close = _in_turn(Connection.close)
    schema = property(_in_turn(Connection.schema.fget))  # type: ignore[attr-defined]
