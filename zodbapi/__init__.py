"""An SQL database in pure Python on ZODB BTrees, with the face of PEP 249.

::

    import zodbapi

    connection = zodbapi.connect("app.fs")
    connection.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text VARCHAR NOT NULL)")
    connection.execute("INSERT INTO note (text) VALUES (?)", ("hello",))
    connection.commit()
    connection.execute("SELECT text FROM note WHERE id = ?", (1,)).fetchone()

The life of a SELECT:

1. ``Cursor.execute`` takes the newest snapshot (``storage.transaction``), unless a transaction is open.
2. ``statement`` looks (text, schema version) up in the cache; a hit goes on at step 8.
3. ``parser`` makes sqlglot's tree of the text.
4. ``binder`` resolves names against the schema: a plan of ``plan.nodes`` and ``plan.expr``, without any names.
5. ``optimizer`` rewrites the plan, one rule after the other: filters move to the scans, scans become seeks.
6. ``codegen`` writes one Python function for the whole plan, and compiles it.
7. ``statement`` puts the result into the cache, for every connection of the process.
8. The parameters are checked and handed to the function, which loops over BTrees and returns the rows.

The life of an INSERT:

1. as above up to step 7; the function then is codegen's for ``Insert``, and uses the table's *writer*.
2. ``Connection`` makes the transaction a writing one: the write lock, and a snapshot that is the newest.
3. The writer coerces each value to its column, computes generated columns, checks NOT NULL, CHECK, UNIQUE and foreign
   keys (deferred ones are noted for the commit), stores the row and its index entries, and logs how to undo each step.
4. An exception replays that log backwards, so that the statement leaves nothing behind.
5. ``commit`` runs the deferred checks, then ZODB's two phases.

``threadsafety`` is 1: threads may share the module, not a connection, unless it was made with ``check_same_thread=False``: then
its calls wait for one another.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

from zodbapi.deferred import deferred, load

if TYPE_CHECKING:
    from zodbapi.catalog import Schema
    from zodbapi.connection import Connection
    from zodbapi.cursor import Cursor
    from zodbapi.errors import (
        ConflictError,
        DatabaseError,
        DataError,
        Error,
        IntegrityError,
        InterfaceError,
        InternalError,
        NotSupportedError,
        OperationalError,
        ProgrammingError,
        Warning,
    )
    from zodbapi.row import Row
    from zodbapi.type_objects import (
        BINARY,
        DATETIME,
        NUMBER,
        ROWID,
        STRING,
        Binary,
        Date,
        DateFromTicks,
        Time,
        TimeFromTicks,
        Timestamp,
        TimestampFromTicks,
    )

__version__ = "0.1.0"
apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"

__all__ = [
    "BINARY", "DATETIME", "NUMBER", "ROWID", "STRING", "Binary", "ConflictError", "Connection", "Cursor", "DataError",
    "DatabaseError", "Date", "DateFromTicks", "Error", "IntegrityError", "InterfaceError", "InternalError",
    "NotSupportedError", "OperationalError", "ProgrammingError", "Row", "Schema", "Time", "TimeFromTicks", "Timestamp",
    "TimestampFromTicks", "Warning", "apilevel", "check", "connect", "paramstyle",
    "remove_database", "threadsafety",
]  # fmt: skip

_sessions = deferred("zodbapi.connection")
_shared_sessions = deferred("zodbapi.shared")
_databases = deferred("zodbapi.storage.database")

# Where the names are that are loaded when they are first used: who only looks in, as pytest does for its fixtures, does not
# wait for the engine.
_HOMES = {"Connection": "connection", "Cursor": "cursor", "Row": "row", "Schema": "catalog"}
_HOMES.update((name, "errors") for name in __all__ if name.endswith("Error") or name == "Warning")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = load(f"zodbapi.{_HOMES.get(name, 'type_objects')}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def connect(dsn: str | os.PathLike[str], **options: Any) -> Connection:
    """Opens a session with the database of a DSN: a path, ``:memory:``, ``memory://NAME`` or a zodburi URI.

    Options: ``autocommit`` or ``isolation_level``, ``paramstyle`` (auto reads ``?``, ``:name``, ``%s`` and ``%(name)s``; qmark,
    named, format and pyformat read only theirs), ``timeout``
    (seconds to wait for the write lock), ``check_same_thread``, ``functions``, ``transaction_manager`` (the connection then
    commits with it); others go to ``ZODB.DB``.
    """
    kind = _sessions.Connection if options.get("check_same_thread", True) else _shared_sessions.SharedConnection
    connection: Connection = kind(os.fspath(dsn), **options)
    return connection


def check(database: Connection | str | os.PathLike[str], *, rebuild: bool = False) -> list[str]:
    """What is wrong with a database, a sentence each: trees, rows, constraints, indexes, foreign keys; [] if all is well.

    Takes a connection (whose functions and collations the schema may need) or a DSN. ``rebuild`` first makes every index
    again from the rows, which mends all that can be wrong with an index but two rows with the same key.
    """
    from zodbapi.errors import OperationalError

    if not isinstance(database, str | os.PathLike):
        return database.check(rebuild=rebuild)
    dsn = os.fspath(database)
    if "://" not in dsn and not os.path.exists(dsn):
        raise OperationalError(f"unable to open database file: there is no {dsn}")
    with closing(connect(dsn, autocommit=True)) as connection:
        return connection.check(rebuild=rebuild)


def remove_database(path: str | os.PathLike[str]) -> None:
    """Deletes a database file and what lies beside it; OperationalError while this process has it open."""
    _databases.Database.remove(os.fspath(path))
