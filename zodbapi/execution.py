"""Running statements in transactions: snapshots, atomicity, retries, commits.

In: a connection and a compiled statement. Out: its rows. A statement that fails leaves nothing behind. One that opens its
own transaction and loses a write conflict is run again; inside a longer transaction only the caller can do that.
"""

from __future__ import annotations

import random
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count, islice
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar

from zodbapi.compiled import Statement
from zodbapi.depth import has_room, run_with_room
from zodbapi.errors import (
    ConflictError,
    DataError,
    Error,
    InternalError,
    LockError,
    OperationalError,
    ProgrammingError,
    Warning,
)
from zodbapi.interrupt import GENERATED, progress
from zodbapi.large import Oversize
from zodbapi.parameters import Parameters
from zodbapi.parser import split
from zodbapi.plan.commands import Need
from zodbapi.statement import prepare
from zodbapi.storage import ddl
from zodbapi.storage.cache import Passing
from zodbapi.storage.stats import Stats
from zodbapi.uncollected import UNCOLLECTED

if TYPE_CHECKING:
    from zodbapi.connection import Connection
    from zodbapi.storage.transaction import Transaction

ATTEMPTS = 12  # at least, of a statement that is its own transaction; it gives up no sooner than a writer that waits
LARGE = 50_000  # rows of a table from which on its scans are streamed
BLOCK = 1000  # rows that a stream reads, or executemany() inserts, at a time
Row = tuple[Any, ...]
Rows = list[Row]
T = TypeVar("T")
Given = TypeVar("Given")  # parameters of one execution, or of many


def run(
    connection: Connection, statement: Statement, params: tuple[Any, ...], begun: bool
) -> tuple[Statement, Rows | None]:
    """Runs a statement of any kind; gives it back (recompiled, if the schema moved on) with its rows.

    ``begun`` says that the open transaction was begun for this statement alone.
    """
    trace(connection, statement.sql)
    txn = connection._txn
    with watched(connection):
        if statement.kind is Need.CONTROL:
            if begun:
                txn.cancel()
            return statement, statement.run(txn, params)
        if statement.kind is Need.READ:
            try:
                return statement, statement.run(txn, params)
            finally:
                if begun:
                    txn.rollback()
        if statement.lock:
            found = run_for_update(connection, statement, params)
            if begun and connection.autocommit:
                txn.rollback()  # it was a transaction of its own, which only had to wait for its turn
            return found
        work = run_whole if statement.is_dml else run_watched
        if not begun:
            current = start_writing(connection, statement)
            return current, work(connection, current, params)
        return run_begun(connection, statement, params, work)


def trace(connection: Connection, sql: str) -> None:
    """Shows a text to the trace callback, if there is one; what that raises is ignored, as by sqlite3."""
    if connection._trace is not None:
        with suppress(Exception):
            connection._trace(sql)


def translate(error: BaseException) -> Error | None:
    """What to raise in the place of an exception of Python's that a program let out; None for any other."""
    match error:
        case Error() | Warning():
            return None
        case ArithmeticError():
            return DataError(f"number out of range: {error}")
        case UnicodeError():
            return DataError(f"text is not valid Unicode: {error}")
        case RecursionError() | MemoryError():
            return OperationalError(f"out of memory: {error}")
        case Exception() if _passed_program(error):
            return InternalError(f"{type(error).__name__}: {error}")
        case _:
            return None


def raise_translated(error: BaseException) -> None:
    """Raises what stands for an exception that a program let out; nothing happens when it may go on as it is."""
    if (translated := translate(error)) is not None:
        raise translated from error


def _passed_program(error: BaseException) -> bool:
    if any(frame.f_code.co_filename.startswith(GENERATED) for frame, _ in traceback.walk_tb(error.__traceback__)):
        return True
    return error.__context__ is not None and _passed_program(error.__context__)  # raised while it was undone


class Stream:
    """The rest of a large result: read as it is asked for, or at once when the trees are about to change."""

    __slots__ = ("__weakref__", "_passing", "_rows", "_txn")

    def __init__(self, txn: Transaction, rows: Iterator[Row], passing: Passing) -> None:
        self._txn = txn
        self._rows = rows
        self._passing = passing
        txn.streams[id(self)] = weakref.ref(self)

    def __del__(self) -> None:
        self._txn.streams.pop(id(self), None)

    def blocks(self, block: Rows) -> Iterator[Rows]:
        """The block that was read already, then the others."""
        while block:
            yield block
            try:
                with self._txn.passing(self._passing):
                    block = list(islice(self._rows, BLOCK))
            except Exception as error:
                raise_translated(error)
                raise
            self._txn.shrink_cache()
        self._txn.streams.pop(id(self), None)

    def read_rest(self) -> None:
        """Reads what is left; an error on the way is raised where the rows before it have been fetched."""
        rest: Rows = []
        try:
            rest.extend(self._rows)
        except Exception as error:
            self._rows = _followed_by(rest, error)
        else:
            self._rows = iter(rest)


def _followed_by(rows: Rows, error: Exception) -> Iterator[Row]:
    yield from rows
    raise error


def read(connection: Connection, statement: Statement, params: tuple[Any, ...]) -> Iterable[Row]:
    """The rows of a query that scans a table: all of them, or a stream when the table is large and there are many."""
    txn = connection._txn
    assert statement.scanned is not None
    if not _is_large(txn, statement.scanned):
        return statement.run(txn, params) or []
    rows = statement.stream(txn, params, connection._functions.collations)
    passing = Passing()
    with txn.passing(passing):
        block = list(islice(rows, BLOCK))
    return block if len(block) < BLOCK else chain.from_iterable(Stream(txn, rows, passing).blocks(block))


def _is_large(txn: Transaction, table_id: int) -> bool:
    return Stats(txn).row_count(table_id, LARGE) >= LARGE


def run_for_update(
    connection: Connection, statement: Statement, params: tuple[Any, ...]
) -> tuple[Statement, Rows | None]:
    """Runs a SELECT ... FOR UPDATE: who finds rows is the writer until the end of the transaction."""
    txn = connection._txn
    was_writing, had_read, had_noted = txn.writing, txn.has_read, dict(txn.read_set)
    try:
        statement = start_writing(connection, statement)
    except LockError:
        if statement.lock == "skip locked":
            return statement, []  # the writer may have any row
        raise
    rows = run_watched(connection, statement, params)
    if not rows and not was_writing:
        txn.stop_writing()  # without rows nothing is locked
        if not txn.serializable:  # and nothing was seen that a newer snapshot could belie
            txn.has_read = had_read
            txn.read_set.clear()
            txn.read_set.update(had_noted)
    return statement, rows


def start_writing(connection: Connection, statement: Statement) -> Statement:
    """Makes the open transaction a writing one; gives the statement for the schema that it then sees."""
    txn = connection._txn
    if not txn.writing:
        txn.start_writing(wait=statement.lock in ("", "wait"))
    return renewed(connection, statement)


def renewed(connection: Connection, statement: Statement) -> Statement:
    """The statement compiled for the schema that the transaction sees."""
    txn = connection._txn
    if txn.schema.version != statement.schema_version:
        return prepare(statement.sql, txn.schema, connection._functions, Stats(txn), statement.style)
    return statement


def run_whole(connection: Connection, statement: Statement, params: tuple[Any, ...]) -> Rows | None:
    """Runs a writing statement inside the open transaction; if it fails, what it did is undone.

    A statement that meets the first large value of a column is compiled again for a schema that expects them. One that runs out
    of stack, because triggers fire triggers or cascades start cascades, is run again with more of it.
    """
    txn = connection._txn
    mark, last_rowid = txn.mark(), txn.last_rowid
    try:
        rows = statement.run(txn, params)
        if txn.immediate:
            txn.run_immediate()
    except BaseException as error:
        resolution = getattr(error, "resolution", "") or "ABORT"
        txn.policy = ""
        if resolution == "ROLLBACK":
            txn.rollback()
        if txn.active:
            txn.immediate.clear()
            if resolution == "ABORT":
                txn.undo_to(mark)
                txn.last_rowid = last_rowid
        if isinstance(error, RecursionError) and not has_room():
            return _run_with_room(connection, statement, params)
        if not isinstance(error, Oversize):
            raise
        ddl.mark_large(txn, error.table_id, error.position)
        return run_whole(connection, renewed(connection, statement), params)
    return rows


def _run_with_room(connection: Connection, statement: Statement, params: tuple[Any, ...]) -> Rows | None:
    """Runs, in a thread with room for that, a statement whose triggers or cascades go deep."""
    ident = connection._running

    def run() -> Rows | None:
        connection._running = get_ident()
        return run_whole(connection, statement, params)

    try:
        return run_with_room(run)
    finally:
        connection._running = ident


def run_watched(connection: Connection, statement: Statement, params: tuple[Any, ...]) -> Rows | None:
    """The same, where others must not change before the commit what it reads: DDL, which builds on rows, and FOR UPDATE."""
    with connection._txn.watched():
        return run_whole(connection, statement, params)


def run_begun(
    connection: Connection, statement: Statement, given: Given, work: Callable[[Connection, Statement, Given], T]
) -> tuple[Statement, T]:
    """Runs ``work`` in the transaction just begun, again after a lost conflict; commits it if that is the mode."""
    txn = connection._txn
    deadline = 0.0
    for attempt in count(1):
        try:
            txn.start_writing()
            if txn.schema.version != statement.schema_version:
                statement = renewed(connection, statement)
            found = work(connection, statement, given)
            if connection._autocommit:
                txn.commit()
            return statement, found
        except ConflictError:
            txn.rollback()
            deadline = deadline or time.monotonic() + txn.database.timeout
            if attempt >= ATTEMPTS and time.monotonic() > deadline:
                raise
            time.sleep(random.random() * 0.001 * 2 ** min(attempt, 7))
            txn.begin()
        except BaseException as error:
            if getattr(error, "resolution", "") == "FAIL":
                if connection._autocommit:
                    txn.commit()
            else:
                txn.rollback()
            raise
    raise AssertionError("the last attempt returns or raises")


def run_many(connection: Connection, sql: str, parameter_rows: Iterable[Parameters]) -> tuple[Statement, int]:
    """Runs one compiled statement for each item; gives it and the number of changed rows."""
    txn = connection._txn
    if not txn.active:
        parameter_rows = list(parameter_rows)  # a lost conflict reads them again
    begun = not txn.active
    if begun:
        txn.begin()
    try:
        statement = connection._prepare(sql, connection.paramstyle)
        if not statement.is_dml:
            raise ProgrammingError("executemany() can only execute DML statements.")
        trace(connection, sql)
        with watched(connection):
            if begun:
                return run_begun(connection, statement, parameter_rows, _run_each)
            statement = start_writing(connection, statement)
            return statement, _run_each(connection, statement, parameter_rows)
    except BaseException as error:
        UNCOLLECTED.leave()
        if begun:
            txn.rollback()
        raise_translated(error)
        raise


def _run_each(connection: Connection, statement: Statement, parameter_rows: Iterable[Parameters]) -> int:
    """Runs a statement that writes for each item, block by block; gives the number of changed rows."""
    txn = connection._txn
    changes = 0
    left = iter(parameter_rows)
    failure: Exception | None = None
    block: Rows | None = None
    while failure is None and (block is None or len(block) == BLOCK):
        statement = renewed(connection, statement)  # a large value may have changed the schema
        block, failure = _next_block(left, statement.normalise)
        total = txn.total_changes
        if statement.insert_rows(txn, block, statements=True) is not None:
            changes += txn.total_changes - total
            continue
        for params in block:
            statement = renewed(connection, statement)
            run_whole(connection, statement, params)
            changes += txn.changes
    if failure is not None:
        raise failure
    return changes


def _next_block(left: Iterator[Parameters], normalise: Callable[[Parameters], Row]) -> tuple[Rows, Exception | None]:
    """The next parameters as programs take them, and what went wrong after them: they are still to be used."""
    block: Rows = []
    try:
        for parameters in islice(left, BLOCK):
            block.append(normalise(parameters))
    except Exception as error:
        return block, error
    return block, None


def run_script(connection: Connection, script: str) -> None:
    """Commits what is open, then runs every statement of a text, each on its own unless the text says BEGIN."""
    txn = connection._txn
    txn.commit()
    autocommit, connection._autocommit = connection._autocommit, True
    try:
        for text in split(script):
            begun = not txn.active
            if begun:
                txn.begin()
            try:
                statement = prepare(text, txn.schema, connection._functions, Stats(txn), "qmark")
                run(connection, statement, statement.normalise(()), begun)
            except BaseException as error:
                if begun:
                    txn.rollback()
                raise_translated(error)
                raise
    finally:
        connection._autocommit = autocommit


@contextmanager
def watched(connection: Connection) -> Iterator[None]:
    """Makes what runs inside interruptible, and calls the progress handler if there is one."""
    if connection._running:  # a user's function runs a statement of its own
        yield
        return
    connection._running = get_ident()
    try:
        if connection._progress is None:
            yield
        else:
            with progress(*connection._progress):
                yield
    finally:
        connection._running = 0
