"""``Connection``: a session with a database, PEP 249's with what sqlite3 adds.

Transactions, three ways:

* ``autocommit=False`` (the default): INSERT, UPDATE, DELETE and DDL open a transaction unless one is open; it lasts until
  ``commit()`` or ``rollback()``. Outside one, every query sees the newest snapshot.
* ``autocommit=True`` (``isolation_level=None`` is the same): every statement is a transaction, unless ``begin()`` or BEGIN
  opened one.
* ``with connection:`` commits at the end of the block, or rolls back when it raises.

A statement that opens its own transaction and loses a write conflict is run again, for as long as a writer would wait for
its turn: nothing the caller saw depends on what it read. Inside a longer transaction only the caller can do that, so
``ConflictError`` is raised. A statement that fails leaves nothing behind, whatever the transaction did before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from zodbapi import errors
from zodbapi.catalog import Schema
from zodbapi.compiled import Statement
from zodbapi.cursor import Cursor
from zodbapi.functions import BUILTIN, user
from zodbapi.functions.registry import Functions
from zodbapi.interrupt import interrupt_thread
from zodbapi.isolation import LEVELS, Isolation
from zodbapi.parameters import Parameters
from zodbapi.statement import complete, prepare
from zodbapi.storage.database import Database
from zodbapi.storage.stats import Stats

if TYPE_CHECKING:
    from zodbapi.storage.browse import Root

_SQLITE_LEVELS = frozenset({"", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"})  # of the sqlite3 module: snapshots, all of them


def isolation_named(name: str) -> Isolation:
    """The level of that name; ProgrammingError if there is none."""
    level = LEVELS.get(name.upper())
    if level is None:
        raise errors.ProgrammingError(f"unknown isolation level: {name}")
    return level


class Xid(NamedTuple):
    """The id of a transaction that several databases take part in."""

    format_id: int
    global_transaction_id: str
    branch_qualifier: str


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
        paramstyle: str = "auto",
        check_same_thread: bool = True,
        functions: Functions = BUILTIN,
        transaction_manager: Any = None,
        **options: Any,
    ) -> None:
        if paramstyle not in ("auto", "qmark", "named", "format", "pyformat"):
            raise errors.ProgrammingError(f"unknown paramstyle: {paramstyle}")
        self.paramstyle = {"named": "qmark", "pyformat": "format"}.get(paramstyle, paramstyle)
        self.row_factory: Callable[[Cursor, tuple[Any, ...]], Any] | None = None
        self._autocommit = autocommit
        self._thread = get_ident() if check_same_thread else None
        self._functions = complete(functions)
        self._functions_version = self._functions.version
        self._trace: Callable[[str], Any] | None = None
        self._progress: tuple[Callable[[], Any], int] | None = None
        self._observed = False  # whether queries need more than to be run
        self._running = 0  # ident of the thread that is inside a program
        self._txn: Any = None  # None before it is open, and once it is closed
        self._database = Database.open(dsn, **options)
        try:
            self._txn = self._database.begin_session(transaction_manager)
        except BaseException:
            self._database.close()
            raise
        self._two_phase = False  # between tpc_begin and its end
        self.isolation_level = isolation_level

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

    def _prepare(self, sql: str, style: str, parameters: Parameters | None = None) -> Statement:
        if not isinstance(sql, str):
            raise TypeError(f"execute() argument 1 must be str, not {type(sql).__name__}")
        return prepare(sql, self._txn.schema, self._functions, Stats(self._txn), style, parameters)

    # --- watching what runs -------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Stops the statement that another thread is running on this connection; it raises OperationalError."""
        self._check_open()
        running = self._running
        if running:
            interrupt_thread(running)

    def set_trace_callback(self, trace_callback: Callable[[str], Any] | None) -> None:
        """Calls a function with the text of each statement before it runs; None stops that."""
        self._check_usable()
        self._trace = trace_callback
        self._observed = trace_callback is not None or self._progress is not None

    def set_progress_handler(self, progress_handler: Callable[[], Any] | None, n: int) -> None:
        """Calls a function about every ``n`` lines of a running program, which then is slow; a true answer stops it."""
        self._check_usable()
        self._progress = (progress_handler, n) if progress_handler is not None else None
        self._observed = self._trace is not None or progress_handler is not None

    # --- transactions -------------------------------------------------------------------------------------------

    @property
    def root(self) -> Root:
        """The tables as mappings of rowid to row, to look at; ``root.objects`` is ZODB's own root."""
        self._check_usable()
        from zodbapi.storage.browse import Root

        return Root(self._txn)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._txn is not None and self._txn.active

    @property
    def text_factory(self) -> type[str]:
        """What texts become: ``str``, and nothing else."""
        return str

    @text_factory.setter
    def text_factory(self, factory: type[str]) -> None:
        if factory is not str:
            raise errors.NotSupportedError("texts are str: there is no other text_factory")

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

    @property
    def isolation_level(self) -> str | None:
        """READ COMMITTED, SNAPSHOT or SERIALIZABLE; one of sqlite3's, which are snapshots; None for autocommit.

        It is the level of the transactions to come; ``begin`` and SET TRANSACTION ask for another once.
        """
        return self._isolation_level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        self._check_usable()
        if not isinstance(level, str | None):
            raise TypeError("isolation_level must be str or None")
        meant = Isolation.SNAPSHOT if level is None or level.upper() in _SQLITE_LEVELS else isolation_named(level)
        self._isolation_level = level
        self._txn.set_session_isolation(meant)
        if level is None:
            self.autocommit = True

    @property
    def transaction_isolation(self) -> str:
        """The level of the open transaction, or of the next one."""
        self._check_usable()
        return self._txn.isolation.value  # type: ignore[no-any-return]

    def begin(self, mode: str = "deferred", *, isolation: str | None = None) -> None:
        """Opens a transaction; ``immediate`` makes it a writing one at once, ``isolation`` is a level for it alone."""
        self._check_usable()
        if self._txn.active:
            raise errors.OperationalError("cannot start a transaction within a transaction")
        level = None if isolation is None else isolation_named(isolation)
        self._txn.begin(write=mode.lower() != "deferred", isolation=level)

    def commit(self) -> None:
        """Makes the open transaction permanent; without one, does nothing."""
        self._check_usable()
        self._refuse_in_two_phase("commit")
        if self._txn.active:
            self._txn.commit()

    def rollback(self) -> None:
        """Undoes the open transaction; without one, does nothing."""
        self._check_usable()
        self._refuse_in_two_phase("rollback")
        if self._txn.active:
            self._txn.rollback()

    # --- transactions in two phases (PEP 249's TPC extension) ---------------------------------------------------

    def xid(self, format_id: int, global_transaction_id: str, branch_qualifier: str) -> Xid:
        """A transaction id for ``tpc_begin``."""
        return Xid(format_id, global_transaction_id, branch_qualifier)

    def tpc_begin(self, xid: Xid) -> None:
        """Opens a transaction that is committed in two phases."""
        self._check_usable()
        if self._txn.active:
            raise errors.ProgrammingError("tpc_begin() must be called outside a transaction")
        self._txn.begin()
        self._two_phase = True

    def tpc_prepare(self) -> None:
        """The first phase: checks and stores everything. After it ``tpc_commit`` will not fail; others cannot commit."""
        self._check_two_phase("tpc_prepare")
        if self._txn.prepared:
            raise errors.ProgrammingError("tpc_prepare() was called already")
        try:
            self._txn.prepare()
        except BaseException:
            self._two_phase = self._txn.active
            raise

    def tpc_commit(self, xid: Xid | None = None) -> None:
        """The second phase, or both when ``tpc_prepare`` was not called."""
        self._check_two_phase("tpc_commit", xid)
        try:
            self._txn.commit()
        finally:
            self._two_phase = self._txn.active

    def tpc_rollback(self, xid: Xid | None = None) -> None:
        """Undoes the transaction, whether it is prepared or not."""
        self._check_two_phase("tpc_rollback", xid)
        self._two_phase = False
        self._txn.rollback()

    def tpc_recover(self) -> list[Xid]:
        """No prepared transaction outlives its connection, so there is never one to recover."""
        self._check_usable()
        return []

    def _check_two_phase(self, method: str, xid: Xid | None = None) -> None:
        self._check_usable()
        if xid is not None:
            raise errors.NotSupportedError("no prepared transaction outlives its connection")
        if not self._two_phase:
            raise errors.ProgrammingError(f"{method}() must be called after tpc_begin()")

    def _refuse_in_two_phase(self, method: str) -> None:
        if self._two_phase:
            raise errors.ProgrammingError(f"{method}() cannot be called in a transaction begun by tpc_begin()")

    # --- savepoints, checks, the end ------------------------------------------------------------------------------

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

    def check(self, *, rebuild: bool = False) -> list[str]:
        """What is wrong with the database, a sentence each; ``zodbapi.check`` says more."""
        if rebuild:
            begun = not self.in_transaction
            self.execute("REINDEX")
            if begun:
                self.commit()
        with self._snapshot():
            problems = [problem for (problem,) in self.execute("PRAGMA integrity_check") if problem != "ok"]
            try:
                for table, rowid, parent, _ in self.execute("PRAGMA foreign_key_check"):
                    problems.append(f"table {table}: row {rowid} refers to a row of {parent} that is not there")
            except errors.Error as error:
                problems.append(f"foreign keys cannot be checked: {error}")
        return problems

    @property
    def schema(self) -> Schema:
        """All tables and views, as the open transaction sees them, or as they were last committed."""
        with self._snapshot() as txn:
            schema: Schema = txn.schema
            return schema

    @contextmanager
    def _snapshot(self) -> Iterator[Any]:
        """The open transaction, or one for the length of a block."""
        self._check_usable()
        txn = self._txn
        begun = not txn.active
        if begun:
            txn.begin()
        try:
            yield txn
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
        self._two_phase = False
        if txn is not None:
            self._thread = 0  # equal to no thread: every later call arrives at _check_usable
            txn.close()
            self._database.close()

    def __del__(self) -> None:
        """Lets go of the write lock and the file of a connection that nobody closed, as sqlite3 does."""
        if getattr(self, "_txn", None) is not None:
            with suppress(Exception):  # the interpreter may be shutting down
                self.close()

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

    def _check_open(self) -> None:
        if self._txn is None:
            raise errors.ProgrammingError("Cannot operate on a closed database.")

    def _check_usable(self) -> None:
        self._check_open()
        if self._thread is not None and self._thread != get_ident():
            raise errors.ProgrammingError(
                "A connection can only be used in the thread that made it. "
                f"It was made in thread id {self._thread} and this is thread id {get_ident()}."
            )

    # --- functions and collations -------------------------------------------------------------------------------

    def create_function(
        self, name: str, narg: int, func: Callable[..., Any] | None, *, deterministic: bool = False
    ) -> None:
        """Makes a Python function callable from SQL with ``narg`` arguments (-1: any number); None removes it."""
        if func is None:
            self._extend(self._functions.without(name, narg))
        else:
            self._extend(self._functions.extended(user.scalar(name, narg, func, deterministic)))

    def create_aggregate(self, name: str, n_arg: int, aggregate_class: Callable[[], Any] | None) -> None:
        """Makes a class with ``step`` and ``finalize`` an aggregate; None removes it."""
        if aggregate_class is None:
            self._extend(self._functions.without(name, n_arg))
        else:
            self._extend(self._functions.extended(user.aggregate(name, n_arg, aggregate_class)))

    def create_window_function(self, name: str, num_params: int, aggregate_class: Callable[[], Any] | None, /) -> None:
        """Makes a class with ``step``, ``inverse``, ``value`` and ``finalize`` an aggregate for moving frames, too."""
        self.create_aggregate(name, num_params, aggregate_class)

    def create_collation(self, name: str, compare: Callable[[str, str], int] | None, /) -> None:
        """Makes a function that returns a negative number, 0 or a positive one a collation; None removes it."""
        if compare is None:
            self._extend(self._functions.without_collation(name))
        elif not callable(compare):
            raise TypeError("parameter must be callable")
        else:
            self._extend(self._functions.extended(collations={name.upper(): user.collation(compare)}))

    def _extend(self, functions: Functions) -> None:
        self._check_usable()
        self._functions = functions
        self._functions_version = functions.version

    # --- copies -------------------------------------------------------------------------------------------------

    def iterdump(self) -> Iterator[str]:
        """The statements that make an equal database."""
        self._check_usable()
        from zodbapi.copying import dump

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
        from zodbapi.copying import copy_database

        copy_database(self, target)
        if progress is not None:
            progress(0, 0, 0)
