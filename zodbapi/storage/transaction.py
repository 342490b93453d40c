"""One transaction at a time of one connection: snapshot, undo log, savepoints, deferred checks, commit.

In: calls of the driver (begin, commit, savepoint) and of generated code (rows, index, undo). Out: BTrees of one snapshot.

With ``read_committed`` the snapshot moves with every statement until the first write, as PostgreSQL's default isolation
does. The writer of a local database is alone from then on, so such a transaction meets no conflict there.

A transaction that only reads never touches the ``transaction`` package. Between transactions the ZODB connection keeps its
snapshot, and ``begin`` goes on with it when nothing was committed since; this is what makes a point SELECT cost
microseconds. The manager's transaction begins at the first write, together with the write lock::

    begin ---------- start_writing ------------------- commit
      |  snapshot       |  write lock (local databases)   |  deferred checks, two phases, locks released
      |                 |  newer snapshot if nothing was read so far
      `-- reads          `-- writes: each appends (tree, key, old) to the undo log

The undo log gives statement atomicity and savepoints: going back to a mark replays it backwards. A ZODB savepoint would
cost in proportion to the dirty objects instead of to the rows to undo.
"""

from __future__ import annotations

import random
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from BTrees.OOBTree import OOTreeSet
from ZODB.utils import z64

from zodbapi import errors
from zodbapi.catalog import Schema
from zodbapi.storage import ddl
from zodbapi.storage.failures import translated
from zodbapi.storage.leaves import find_leaf, loaded_nodes
from zodbapi.storage.overflow import put_away
from zodbapi.undo import MISSING, PRESENT, Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zodbapi.storage.database import Database

MAX_ROWID: Final = 2**63 - 1


_SCHEMA: Final = Mark("SCHEMA")  # in the place of the tree: the third item is the schema to go back to


class Stream(Protocol):
    """A result of which rows are still to be read."""

    def read_rest(self) -> None: ...


class _Trees(dict[int, Any]):
    """Id -> tree, filled from the database as ids are asked for."""

    __slots__ = ("_entry", "_name")

    def __init__(self, entry: Any, name: str) -> None:
        super().__init__()
        self._entry = entry
        self._name = name

    def __missing__(self, key: int) -> Any:
        tree = self[key] = self._entry[self._name][key]
        return tree


class Transaction:
    """The transactions of one driver connection, one after the other."""

    entry: Any  # our entry of the root, None until the first write to a database makes it
    _connection: Any
    _manager: Any
    _mvcc: Any  # the connection's view of the storage, which collects invalidations
    _seen: Any  # the last transaction id that the snapshot includes
    _outside: Callable[[], bool] | None  # whether another process has committed since
    _shrink: Callable[[], None]
    _epoch: int
    _cookie: int | None  # of the schema
    _rows: _Trees
    _indexes: _Trees

    def __init__(self, database: Database, manager: Any = None) -> None:
        self.database = database
        self.active = False
        self.writing = False
        self.alone = False  # whether no other transaction can commit, or has since the snapshot
        self.has_read = False
        self.schema = Schema()
        self.undo: list[tuple[Any, Any, Any]] = []
        self.pending: dict[Callable[[Transaction, Any], None], set[Any]] = {}
        self.immediate: dict[Callable[[Transaction, Any], None], set[Any]] = {}
        self.last_rowid = 0
        self.firing: set[str] = set()  # the triggers that are running
        self.changes = 0
        self.total_changes = 0
        self.streams: dict[int, weakref.ref[Stream]] = {}  # results that are not read to their end yet
        self.foreign_keys_enabled = True
        self.read_committed = False
        self.defer_foreign_keys = False
        self.check_at_once = False  # SET CONSTRAINTS ALL IMMEDIATE: nothing is put off to the commit
        self.serializable = False  # for all transactions to come
        self.prepared = False
        self.begun_by_savepoint = False  # a SAVEPOINT outside a transaction opened this one: its release commits
        self._savepoints: list[tuple[str, int]] = []
        self._given_manager = manager
        self._connection: Any = None
        self._attach()

    # --- begin and end ----------------------------------------------------------------------------------------------

    def begin(self, write: bool = False, mode: str = "") -> None:
        """Start a transaction on the newest snapshot; ``write``, or a mode other than deferred, takes the write lock."""
        if self.active:
            raise errors.OperationalError("cannot start a transaction within a transaction")
        if self._epoch != self.database.epoch:
            self._attach()
        self.active = True  # before the snapshot is judged: the memory storage keeps what active transactions may read
        outside = self._outside
        if (outside is not None and outside()) or self._mvcc._ltid is not self._seen:
            self._or_end(self._refresh)
        if write or mode in ("immediate", "exclusive"):
            self._or_end(self.start_writing)

    def renew(self) -> None:
        """With ``read_committed``, before each statement: the newest snapshot, until the transaction writes."""
        if not self.writing and self._is_stale():
            self._or_end(self._refresh)

    def start_writing(self, wait: bool = True) -> bool:
        """Get ready to write: the lock of a local database and, when nothing was read yet, the newest snapshot.

        True when the snapshot moved, so that ``schema`` may be another than before. Once per transaction; later calls do
        nothing. Raises LockError when the lock is not free within the timeout, or without ``wait`` at once.
        """
        if self.writing:
            return False
        self._check_alive()
        self.database.lock_for_writing(self, None if wait else 0.0)
        try:
            with translated():
                moved = self._is_stale() and self._move_snapshot()
                self._begin_managed()
                self.writing = True
                self.alone = self.database.local and not self._is_stale()
                if self.entry is None:
                    self._create_entry()
        except BaseException:
            self._stop_writing()
            raise
        return moved

    def _move_snapshot(self) -> bool:
        """Get the newest snapshot for a writer, unless it has read from another; whether it did."""
        if self.read_committed or not self.has_read:
            self._refresh()
            return True
        if self.serializable and self.database.local:
            raise errors.ConflictError("could not serialize access: others committed since this transaction first read")
        return False

    def _begin_managed(self) -> None:
        self._manager.begin()

    def commit(self) -> None:
        """Run the deferred checks and commit. A failing check leaves the transaction open, anything else ends it."""
        if not self.active:
            return
        self._check_alive()
        if self.pending:
            self._run(self.pending)
        if not self.writing:
            self._end()
            return
        try:
            with translated():
                if self.prepared:
                    self._connection.tpc_finish(self._manager.get())
                    self._manager.abort()  # nothing is left to commit
                else:
                    self._guard_reads()
                    self._manager.commit()
        except BaseException:
            self.rollback()
            raise
        committed = self._mvcc._ltid
        self._finished()
        if self._connection.durable_later:
            with translated():
                self.database.storage.make_durable(committed)

    def prepare(self) -> None:
        """The first phase of a two-phase commit: after it, ``commit`` will not fail. A failure rolls back.

        Nobody else can commit to the database until ``commit`` or ``rollback``.
        """
        self._check_alive()
        if self.pending:
            self._run(self.pending)
        self.start_writing()
        managed = self._manager.get()
        try:
            with translated():
                self._guard_reads()
                self._connection.tpc_begin(managed)
                self.prepared = True
                self._connection.commit(managed)
                self._connection.tpc_vote(managed)
        except BaseException:
            self.rollback()
            raise

    def _guard_reads(self) -> None:
        """Make a serializable commit fail when something it may have read has changed.

        In a local database nothing has: the write lock was taken while the snapshot was the newest. Elsewhere every node
        in memory of the trees that were asked for is declared as read, which includes the places of missing rows.
        """
        if self.database.local or not self.serializable:
            return
        for tree in (*self._rows.values(), *self._indexes.values()):
            self.read_whole(tree)

    def rollback(self) -> None:
        """End the transaction and forget its changes; nothing happens when there is none."""
        self._roll_back()

    def _roll_back(self) -> None:
        if self.writing:
            if self.streams:
                self.settle()
            try:
                if self._epoch == self.database.epoch:
                    self._abort()
            finally:
                self._rolled_back()
        else:
            self._end()

    def _abort(self) -> None:
        if self.prepared:
            self._connection.tpc_abort(self._manager.get())
        self._manager.abort()

    def close(self) -> None:
        """Roll back and give the ZODB connection back."""
        self.rollback()
        connection, self._connection = self._connection, None
        if connection is not None and self._epoch == self.database.epoch:
            self.database.detach(self, connection)

    def _finished(self) -> None:
        self._stop_writing()
        self._end()

    def _rolled_back(self) -> None:
        self._stop_writing()
        self._end()
        self._seen = None  # read root, schema and trees again: some may have been made by this transaction
        self.entry = None

    def stop_writing(self) -> None:
        """Let others write, if nothing has changed yet; the transaction goes on reading."""
        if self.writing and not self.undo:
            self._manager.abort()
            self._stop_writing()
            if self.entry._p_jar is None:  # the first write of a database made it, and it went with the abort
                self.entry = None
                self.forget_trees()

    def _stop_writing(self) -> None:
        self.writing = self.prepared = self.alone = False
        self._connection.unmerged.clear()
        self.database.unlock(self)

    def _end(self) -> None:
        self.active = False
        self.has_read = False
        if self.undo:
            self.undo.clear()
        if self._savepoints:
            self._savepoints.clear()
        if self.pending:
            self.pending.clear()
        if self.immediate:
            self.immediate.clear()
        self.defer_foreign_keys = self.check_at_once = False
        self.begun_by_savepoint = False
        self._shrink()

    def _or_end(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except BaseException:
            self._roll_back()
            raise

    def _check_alive(self) -> None:
        if self._epoch != self.database.epoch:
            self._end()
            raise errors.OperationalError("the transaction was lost: the process was forked or the database reopened")
        if not self.active:
            raise errors.OperationalError("no transaction is active")

    # --- snapshot -----------------------------------------------------------------------------------------------------

    def _attach(self) -> None:
        """Get a ZODB connection of the database as it is now; the one before belonged to another process."""
        was_active = self.active
        self._end_quietly()
        with translated():
            self._connection, self._manager, self._outside = self.database.attach(self, self._given_manager)
        self._connection.durable_later = self._given_manager is None and hasattr(self.database.storage, "make_durable")
        self._epoch = self.database.epoch
        self._mvcc = self._connection._normal_storage
        self._shrink = self._connection._cache.incrgc
        self._seen = None
        self.entry = None
        self._cookie = None
        self.forget_trees()
        if was_active:
            raise errors.OperationalError("the transaction was lost: the process was forked or the database reopened")

    def _end_quietly(self) -> None:
        self.active = self.writing = self.prepared = self.alone = self.has_read = False
        self._savepoints = []
        for container in (self.undo, self.pending, self.immediate):
            container.clear()

    @property
    def snapshot(self) -> bytes | None:
        """The transaction id before which everything is seen."""
        start: bytes | None = self._mvcc._start
        return start

    def _is_stale(self) -> bool:
        return (self._outside is not None and self._outside()) or self._mvcc._ltid is not self._seen

    def _refresh(self) -> None:
        """Move to the newest snapshot."""
        if self.streams:
            self.settle()
        with translated():
            self._mvcc.sync(True)
            seen = self._mvcc._ltid
            self._connection.newTransaction(None, False)
            self._read_schema()
            self._seen = seen

    def _read_schema(self) -> None:
        if self.entry is None:
            self.entry = self._connection.get(z64).get(ddl.ENTRY)
            self.forget_trees()
            if self.entry is None:
                self.schema = Schema()
                return
            self.database.check_format(self.entry)
            self._cookie = None
        records = self.entry["schema"]
        cookie = records["cookie"]
        if cookie != self._cookie:  # changed by another connection, or by this one and then rolled back
            self.schema = self.database.known_schema(cookie, records)
            self._cookie = cookie
            self.forget_trees()

    def _create_entry(self) -> None:
        self.entry = ddl.new_entry()
        self._connection.get(z64)[ddl.ENTRY] = self.entry
        self._connection.add(self.entry)
        self._cookie = self.schema.version
        self.forget_trees()

    # --- trees --------------------------------------------------------------------------------------------------------

    def rows(self, table_id: int) -> Any:
        """The rowid -> row tree of a table."""
        self.has_read = True
        return self._rows[table_id]

    def index(self, index_id: int) -> Any:
        """The tree of an index: key -> rowid, or a set of (key, rowid)."""
        self.has_read = True
        return self._indexes[index_id]

    def forget_trees(self) -> None:
        """Look trees up again: one was put in the place of another."""
        self._rows = _Trees(self.entry, "rows")
        self._indexes = _Trees(self.entry, "indexes")

    def next_rowid(self, table_id: int, autoincrement: bool) -> int:
        """A rowid for a new row: one more than the largest; with ``autoincrement`` than the largest that ever was."""
        rows = self._rows[table_id]
        if not self.database.local and rows._p_serial not in (None, z64):
            return self.database.reserved_rowid(table_id, rows)
        top = rows.maxKey() if rows else 0
        if autoincrement:
            top = max(top, self.entry["sequences"].get(table_id, 0))
            if top >= MAX_ROWID:
                raise errors.OperationalError("database or disk is full")
            self.put(self.entry["sequences"], table_id, top + 1)
            return int(top + 1)
        if top < MAX_ROWID:
            return int(top + 1)
        for _ in range(100):  # as SQLite does once the largest rowid is taken
            candidate = random.randrange(1, 2**62)
            if candidate not in rows:
                return candidate
        raise errors.OperationalError("database or disk is full")

    def saw_rowid(self, table_id: int, rowid: int) -> None:
        """Note a rowid that the user gave, so that AUTOINCREMENT goes on after it."""
        sequences = self.entry["sequences"]
        if rowid > sequences.get(table_id, 0):
            self.put(sequences, table_id, rowid)

    def put_away(self, row: tuple[Any, ...], positions: tuple[int, ...]) -> tuple[Any, ...]:
        """The row as it is stored, without the large values at those positions."""
        return put_away(row, positions, self.database.blob_folder)

    def count_changes(self, rows: int) -> None:
        """Note how many rows a statement inserted, updated or deleted."""
        self.changes = rows
        self.total_changes += rows

    def put(self, tree: Any, key: Any, value: Any) -> None:
        """Set a key of a mapping, so that it can be undone."""
        self.undo.append((tree, key, tree.get(key, MISSING)))
        tree[key] = value

    def drop(self, tree: Any, key: Any) -> None:
        """Remove a key of a mapping, so that it can be undone."""
        self.undo.append((tree, key, tree[key]))
        del tree[key]

    def schema_changed(self, schema: Schema) -> None:
        """Go on with another schema, or other trees under the same, so that it can be undone; called by ``ddl``."""
        self.undo.append((_SCHEMA, self._cookie, self.schema))
        self.schema = schema
        self._cookie = schema.version
        self.forget_trees()

    def read_current(self, tree: Any, low: Any, high: Any = None) -> None:
        """Make the commit fail with a conflict if others change, before it, what is there from ``low`` to ``high``.

        That is: the leaves that hold (or would hold) these keys; without ``high``, the one leaf of ``low``. It also keeps
        the changes of those leaves from being merged with ours. A constraint that reads before it writes needs this: the
        parent of a new child, the absence of children of a deleted parent. Costs nothing while no other transaction can
        have committed since the snapshot.
        """
        if self.alone:
            return
        leaf = find_leaf(tree, low)
        while leaf is not None:
            if leaf._p_jar is not None:
                leaf._p_activate()
                self._connection.readCurrent(leaf)
                self._connection.unmerged.add(leaf._p_oid)
            if high is None or leaf is tree or (leaf and leaf.maxKey() >= high):
                return
            state = leaf.__getstate__()
            leaf = state[1] if len(state) > 1 else None

    def read_whole(self, tree: Any) -> None:
        """``read_current`` for all that was read of a tree so far."""
        if self.alone:
            return
        for node in loaded_nodes(tree):
            self._connection.readCurrent(node)
            self._connection.unmerged.add(node._p_oid)

    # --- statements and savepoints --------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Read open results to their end, because the trees they read from are about to change."""
        while self.streams:
            _, reference = self.streams.popitem()
            stream = reference()
            if stream is not None:
                stream.read_rest()

    def shrink_cache(self) -> None:
        """Forget objects that were not used lately, if there are more than the cache should hold."""
        self._shrink()

    def mark(self) -> int:
        """A point to go back to with ``undo_to``."""
        if self.streams:
            self.settle()
        return len(self.undo)

    def undo_to(self, mark: int) -> None:
        """Take back every change since ``mark()`` returned that mark."""
        undo = self.undo
        schema_moved = False
        while len(undo) > mark:
            tree, key, old = undo[-1]
            if tree is _SCHEMA:
                self._cookie, self.schema = key, old
                schema_moved = True
            elif old is MISSING:  # logged before it was made: it may not be there
                if isinstance(tree, OOTreeSet):
                    tree.discard(key)
                else:
                    tree.pop(key, None)
            elif old is PRESENT:
                tree.add(key)
            else:
                tree[key] = old
            del undo[-1]
        if schema_moved:
            self.forget_trees()

    @contextmanager
    def statement(self) -> Iterator[None]:
        """Run one writing statement: all of it happens, or nothing."""
        self.start_writing()
        mark, last_rowid = len(self.undo), self.last_rowid
        try:
            yield
            if self.immediate:
                self.run_immediate()
        except BaseException:
            if self.active:
                self.immediate.clear()
                self.undo_to(mark)
                self.last_rowid = last_rowid
            raise

    def run_pending(self) -> None:
        """Run the deferred checks now, once and for all."""
        self._run(self.pending)

    def check_pending(self) -> None:
        """Run the deferred checks now; they run again at the commit, for what happens until then."""
        for check, found in list(self.pending.items()):
            for key in list(found):
                check(self, key)

    def run_immediate(self) -> None:
        """Run the checks that were put off to the end of the statement."""
        try:
            self._run(self.immediate)
        finally:
            self.immediate.clear()

    def _run(self, checks: dict[Callable[[Transaction, Any], None], set[Any]]) -> None:
        for check, found in list(checks.items()):
            for key in list(found):
                check(self, key)
        checks.clear()

    def constraints_immediate(self) -> None:
        """Run the checks that were put off to the commit, now; until the commit none is put off any more."""
        self._run(self.pending)
        self.defer_foreign_keys = False
        self.check_at_once = True

    def savepoint(self, name: str) -> None:
        """Set a savepoint; several may have one name, the newest counts."""
        self._savepoints.append((name.lower(), len(self.undo)))

    def release(self, name: str) -> None:
        """Forget a savepoint and those after it; their changes stay."""
        del self._savepoints[self._find_savepoint(name) :]

    def rollback_to(self, name: str) -> None:
        """Take back what happened since the savepoint, which stays."""
        if self.streams:
            self.settle()
        place = self._find_savepoint(name)
        del self._savepoints[place + 1 :]
        self.undo_to(self._savepoints[place][1])

    @property
    def savepoints(self) -> tuple[str, ...]:
        """The names of the open savepoints, oldest first."""
        return tuple(name for name, _ in self._savepoints)

    def _find_savepoint(self, name: str) -> int:
        folded = name.lower()
        for place in range(len(self._savepoints) - 1, -1, -1):
            if self._savepoints[place][0] == folded:
                return place
        raise errors.OperationalError(f"no such savepoint: {name}")
