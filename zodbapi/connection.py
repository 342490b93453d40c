"""``Connection``: a session with a database, PEP 249's with what sqlite3 adds.

Transactions, three ways:

* ``autocommit=False`` (the default): INSERT, UPDATE, DELETE and DDL open a transaction unless one is open; it lasts until
  ``commit()`` or ``rollback()``. Outside one, every query sees the newest snapshot.
* ``autocommit=True`` (``isolation_level=None`` is the same): every statement is a transaction, unless ``begin()`` or BEGIN
  opened one.
* ``with connection:`` commits at the end of the block, or rolls back when it raises.

A statement that opens its own transaction and loses a write conflict is run again, a bounded number of times: nothing
the caller saw depends on what it read. Inside a longer transaction only the caller can do that, so ``ConflictError`` is
raised. A statement that fails leaves nothing behind, whatever the transaction did before.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cmp_to_key
from threading import get_ident
from typing import TYPE_CHECKING, Any, Self

from zodbapi import errors
from zodbapi.catalog import Schema
from zodbapi.copying import copy_database, dump
from zodbapi.cursor import Cursor
from zodbapi.functions import BUILTIN, user
from zodbapi.functions.registry import Functions
from zodbapi.interrupt import interrupt_thread, progress
from zodbapi.parser import parse
from zodbapi.statement import CONTROL, READ, Compiler, Parameters, Statement, compile_parsed, complete, prepare
from zodbapi.storage.browse import Root
from zodbapi.storage.database import Database
from zodbapi.storage.stats import Stats

if TYPE_CHECKING:
    from zodbapi.catalog import Schema

ATTEMPTS = 12  # of a statement that is its own transaction, before ConflictError reaches the caller
Rows = list[tuple[Any, ...]]


class Connection:
    """One session: at most one transaction at a time, used by one thread at a time."""

    Warning = errors.Warning
    Error = errors.Error
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    DataError = errors.DataError
    OperationalError = errors.OperationalError
    ConflictError = errors.ConflictError
    IntegrityError = errors.IntegrityError
    InternalError = errors.InternalError
    ProgrammingError = errors.ProgrammingError
    NotSupportedError = errors.NotSupportedError

    def __init__(
        self,
        dsn: str,
        *,
        autocommit: bool = False,
        isolation_level: str | None = "",
        paramstyle: str = "qmark",
        check_same_thread: bool = True,
        functions: Functions = BUILTIN,
        transaction_manager: Any = None,
        read_committed: bool = False,
        **options: Any,
    ) -> None:
        if paramstyle not in ("qmark", "named", "format", "pyformat"):
            raise errors.ProgrammingError(f"unknown paramstyle: {paramstyle}")
        self.paramstyle = "format" if paramstyle in ("format", "pyformat") else "qmark"
        self.row_factory: Callable[[Cursor, tuple[Any, ...]], Any] | None = None
        self.isolation_level = isolation_level
        self._autocommit = autocommit or isolation_level is None
        self._thread = get_ident() if check_same_thread else None
        self._functions = complete(functions)
        self._functions_version = self._functions.version
        self._trace: Callable[[str], Any] | None = None
        self._progress: tuple[Callable[[], Any], int] | None = None
        self._observed = False  # whether queries need more than to be run
        self._running = 0  # ident of the thread that is inside a program
        self._database = Database.open(dsn, **options)
        self._txn: Any = self._database.begin_session(transaction_manager)  # None once closed
        self._txn.read_committed = read_committed

    # --- statements ---------------------------------------------------------------------------------------------

    def cursor(self, factory: Callable[[Connection], Cursor] = Cursor) -> Cursor:
        """A new cursor; any number may be open."""
        self._check_usable()
        return factory(self)

    def execute(self, sql: str, parameters: Parameters | None = None, /) -> Cursor:
        """Runs one statement on a new cursor."""
        return Cursor(self).execute(sql, parameters)

    def executemany(self, sql: str, parameter_rows: Iterable[Parameters], /) -> Cursor:
        """Runs one statement for each item on a new cursor."""
        return Cursor(self).executemany(sql, parameter_rows)

    def executescript(self, script: str, /) -> Cursor:
        """Runs every statement of a text on a new cursor."""
        return Cursor(self).executescript(script)

    def _prepare(self, sql: str, style: str) -> Statement:
        if not isinstance(sql, str):
            raise TypeError(f"execute() argument 1 must be str, not {type(sql).__name__}")
        return prepare(sql, self._txn.schema, self._functions, Stats(self._txn), style)

    def _run(self, statement: Statement, params: tuple[Any, ...], begun: bool) -> tuple[Statement, Rows | None]:
        """Runs a statement of any kind; gives it back (recompiled, if the schema moved on) with its rows.

        ``begun`` says that the open transaction was begun for this statement alone.
        """
        if self._trace is not None:
            self._trace(statement.sql)
        txn = self._txn
        with self._watched():
            if statement.kind is CONTROL:
                if begun:
                    txn.rollback()
                return statement, statement.run(txn, params)
            if statement.kind is READ:
                try:
                    return statement, statement.run(txn, params)
                finally:
                    if begun:
                        txn.rollback()

            def work(current: Statement) -> Rows | None:
                return self._run_whole(current, params)

            if statement.lock and not begun:
                return self._run_for_update(statement, work)
            return self._run_begun(statement, work) if begun else (statement, work(self._start_writing(statement)))

    def _run_for_update(self, statement: Statement, work: Callable[[Statement], Rows | None]) -> tuple[Statement, Rows]:
        """Runs a SELECT ... FOR UPDATE: who finds rows is the writer until the end of the transaction."""
        txn = self._txn
        was_writing = txn.writing
        try:
            statement = self._start_writing(statement)
        except errors.LockError:
            if statement.lock == "skip locked":
                return statement, []  # the writer may have any row
            raise
        rows = work(statement) or []
        if not rows and not was_writing:
            txn.stop_writing()  # without rows nothing is locked
        return statement, rows

    def _start_writing(self, statement: Statement) -> Statement:
        """Makes the open transaction a writing one; gives the statement for the schema that it then sees."""
        txn = self._txn
        if not txn.writing:
            txn.start_writing(wait=statement.lock in ("", "wait"))
        if txn.schema.version != statement.schema_version:
            return prepare(statement.sql, txn.schema, self._functions, Stats(txn), statement.style)
        return statement

    def _run_whole(self, statement: Statement, params: tuple[Any, ...]) -> Rows | None:
        """Runs a writing statement inside the open transaction; if it fails, what it did is undone."""
        txn = self._txn
        mark, last_rowid = txn.mark(), txn.last_rowid
        try:
            rows = statement.run(txn, params)
            if txn.immediate:
                txn.run_immediate()
        except BaseException:
            if txn.active:
                txn.immediate.clear()
                txn.undo_to(mark)
                txn.last_rowid = last_rowid
            raise
        return rows

    def _run_begun(
        self, statement: Statement, work: Callable[[Statement], Rows | None]
    ) -> tuple[Statement, Rows | None]:
        """Runs ``work`` in the transaction just begun, again after a lost conflict; commits it if that is the mode."""
        txn = self._txn
        for attempt in range(1, ATTEMPTS + 1):
            try:
                statement = self._start_writing(statement)
                rows = work(statement)
                if self._autocommit:
                    txn.commit()
                return statement, rows
            except errors.ConflictError:
                txn.rollback()
                if attempt == ATTEMPTS:
                    raise
                time.sleep(random.random() * 0.001 * 2 ** min(attempt, 7))
                txn.begin()
            except BaseException:
                txn.rollback()
                raise
        raise AssertionError("the last attempt returns or raises")

    def _run_many(self, sql: str, parameter_rows: Iterable[Parameters]) -> tuple[Statement, int]:
        """Runs one compiled statement for each item; gives it and the number of changed rows."""
        txn = self._txn
        begun = not txn.active
        if begun:
            txn.begin()
            parameter_rows = list(parameter_rows)  # a lost conflict reads them again
        changes = 0

        def run_each(current: Statement) -> None:
            nonlocal changes
            changes = 0
            for parameters in parameter_rows:
                rows = self._run_whole(current, current.normalise(parameters))
                changes += txn.changes if rows is None else len(rows)

        try:
            statement = self._prepare(sql, self.paramstyle)
            if not statement.is_dml:
                raise errors.ProgrammingError("executemany() can only execute DML statements.")
            if self._trace is not None:
                self._trace(sql)
            with self._watched():
                if begun:
                    statement, _ = self._run_begun(statement, run_each)
                else:
                    statement = self._start_writing(statement)
                    run_each(statement)
        except BaseException:
            if begun:
                txn.rollback()
            raise
        return statement, changes

    def _run_script(self, script: str) -> None:
        txn = self._txn
        txn.commit()
        autocommit, self._autocommit = self._autocommit, True
        try:
            for parsed in parse(script):
                begun = not txn.active
                if begun:
                    txn.begin()
                try:
                    statement = compile_parsed(parsed, txn.schema, Compiler(self._functions, Stats(txn)))
                    self._run(statement, statement.normalise(()), begun)
                except BaseException:
                    if begun:
                        txn.rollback()
                    raise
        finally:
            self._autocommit = autocommit

    # --- watching what runs -------------------------------------------------------------------------------------

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Makes what runs inside interruptible, and calls the progress handler if there is one."""
        if self._running:  # a user's function runs a statement of its own
            yield
            return
        self._running = get_ident()
        try:
            if self._progress is None:
                yield
            else:
                with progress(*self._progress):
                    yield
        finally:
            self._running = 0

    def interrupt(self) -> None:
        """Stops the statement that another thread is running on this connection; it raises OperationalError."""
        running = self._running
        if running:
            interrupt_thread(running)

    def set_trace_callback(self, callback: Callable[[str], Any] | None) -> None:
        """Calls ``callback`` with the text of each statement before it runs; None stops that."""
        self._trace = callback
        self._observed = callback is not None or self._progress is not None

    def set_progress_handler(self, handler: Callable[[], Any] | None, n: int) -> None:
        """Calls ``handler`` about every ``n`` lines of a running program, which then is slow; a true answer stops it."""
        self._progress = (handler, n) if handler is not None else None
        self._observed = self._trace is not None or handler is not None

    # --- transactions -------------------------------------------------------------------------------------------

    @property
    def root(self) -> Root:
        """The tables as mappings of rowid to row, to look at; ``root.objects`` is ZODB's own root."""
        self._check_usable()
        return Root(self._txn)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._txn is not None and self._txn.active

    @property
    def total_changes(self) -> int:
        """How many rows the INSERT, UPDATE and DELETE statements of this connection changed."""
        self._check_usable()
        return self._txn.total_changes  # type: ignore[no-any-return]

    @property
    def autocommit(self) -> bool:
        """Whether each statement outside ``begin()`` is a transaction; setting it to True commits what is open."""
        return self._autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._check_usable()
        if value and self._txn.active:
            self._txn.commit()
        self._autocommit = value

    def begin(self, mode: str = "deferred") -> None:
        """Opens a transaction; ``immediate`` makes it a writing one at once."""
        self._check_usable()
        if self._txn.active:
            raise errors.OperationalError("cannot start a transaction within a transaction")
        self._txn.begin(write=mode.lower() != "deferred")

    def commit(self) -> None:
        """Makes the open transaction permanent; without one, does nothing."""
        self._check_usable()
        if self._txn.active:
            self._txn.commit()

    def rollback(self) -> None:
        """Undoes the open transaction; without one, does nothing."""
        self._check_usable()
        if self._txn.active:
            self._txn.rollback()

    def savepoint(self, name: str) -> None:
        """Marks a point of the open transaction that ``rollback_to`` can come back to."""
        self._check_usable()
        if not self._txn.active:
            self._txn.begin()
        self._txn.savepoint(name)

    def release(self, name: str) -> None:
        """Forgets a savepoint and those after it; what was done since stays."""
        self._check_usable()
        self._txn.release(name)

    def rollback_to(self, name: str) -> None:
        """Undoes what was done since a savepoint, which stays."""
        self._check_usable()
        self._txn.rollback_to(name)

    def check_deferred(self) -> None:
        """Runs the checks that wait for the commit (deferred foreign keys and unique constraints) now."""
        self._check_usable()
        if self._txn.active:
            self._txn.check_pending()

    @property
    def schema(self) -> Schema:
        """All tables and views, as the open transaction sees them, or as they were last committed."""
        self._check_usable()
        txn = self._txn
        begun = not txn.active
        if begun:
            txn.begin()
        try:
            schema: Schema = txn.schema
            return schema
        finally:
            if begun:
                txn.rollback()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is not None:
            self.rollback()
            return
        try:
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def close(self) -> None:
        """Rolls back what is open and lets go of the database; closing twice is allowed."""
        txn, self._txn = self._txn, None
        if txn is not None:
            self._thread = 0  # equal to no thread: every later call arrives at _check_usable
            txn.close()
            self._database.close()

    def is_usable(self) -> bool:
        """Whether the database answers."""
        txn = self._txn
        if txn is None:
            return False
        if not txn.active:
            try:
                txn.begin()
            except errors.Error:
                return False
            txn.rollback()
        return True

    def _check_usable(self) -> None:
        if self._txn is None:
            raise errors.ProgrammingError("Cannot operate on a closed database.")
        if self._thread is not None and self._thread != get_ident():
            raise errors.ProgrammingError(
                "A connection can only be used in the thread that made it. "
                f"It was made in thread id {self._thread} and this is thread id {get_ident()}."
            )

    # --- functions and collations -------------------------------------------------------------------------------

    def create_function(
        self, name: str, narg: int, func: Callable[..., Any] | None, /, *, deterministic: bool = False
    ) -> None:
        """Makes a Python function callable from SQL with ``narg`` arguments (-1: any number); None removes it."""
        if func is None:
            self._extend(self._functions.without(name, narg))
        else:
            self._extend(self._functions.extended(user.scalar(name, narg, func, deterministic)))

    def create_aggregate(self, name: str, narg: int, cls: Callable[[], Any] | None, /) -> None:
        """Makes a class with ``step`` and ``finalize`` an aggregate; None removes it."""
        if cls is None:
            self._extend(self._functions.without(name, narg))
        else:
            self._extend(self._functions.extended(user.aggregate(name, narg, cls)))

    def create_window_function(self, name: str, narg: int, cls: Callable[[], Any] | None, /) -> None:
        """Makes a class with ``step``, ``inverse``, ``value`` and ``finalize`` an aggregate for moving frames, too."""
        self.create_aggregate(name, narg, cls)

    def create_collation(self, name: str, compare: Callable[[str, str], int] | None, /) -> None:
        """Makes a function that returns a negative number, 0 or a positive one a collation; None removes it."""
        if compare is None:
            self._extend(self._functions.without_collation(name))
        else:
            key = cmp_to_key(compare)
            self._extend(self._functions.extended(collations={name.upper(): lambda text: key(text)}))

    def _extend(self, functions: Functions) -> None:
        self._check_usable()
        self._functions = functions
        self._functions_version = functions.version

    # --- copies -------------------------------------------------------------------------------------------------

    def iterdump(self) -> Iterator[str]:
        """The statements that make an equal database."""
        self._check_usable()
        return dump(self)

    def backup(
        self,
        target: Connection,
        *,
        pages: int = -1,
        progress: Callable[[int, int, int], Any] | None = None,
        name: str = "main",
        sleep: float = 0.25,
    ) -> None:
        """Makes the target a copy of this database, as this connection sees it; what the target had is dropped."""
        self._check_usable()
        if target is self:
            raise ValueError("target cannot be the same connection instance")
        target._check_usable()
        copy_database(self, target)
        if progress is not None:
            progress(0, 0, 0)
