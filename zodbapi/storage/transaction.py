"""One transaction at a time of one connection: snapshot, undo log, savepoints, deferred checks, commit.

In: calls of the driver (begin, commit, savepoint) and of generated code (rows, index, undo). Out: BTrees of one snapshot.

``isolation`` says what a transaction sees of others. At READ COMMITTED the snapshot moves with every statement until the
first write, as PostgreSQL's default does. At SERIALIZABLE every leaf of a tree that is read is noted in ``read_set``, also
those in which nothing was found, so that phantoms count. What was read has to be so when the transaction takes effect:

* The writer of a local database is alone from its first write on. If others have committed since the snapshot, but
  nothing that was read has changed, the snapshot moves to the newest and there is no conflict any more.
* Elsewhere ZODB compares the serial numbers of these leaves while it commits.

So transactions take effect in the order of their commits, and one that only reads sees a prefix of that order.

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

import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from BTrees.OOBTree import OOTreeSet

from zodbapi import errors
from zodbapi.catalog import Schema
from zodbapi.isolation import Isolation
from zodbapi.storage import ddl, rowids
from zodbapi.storage.bulk import move_entries
from zodbapi.storage.failures import raise_translated, translated
from zodbapi.storage.leaves import plain
from zodbapi.storage.overflow import put_away
from zodbapi.storage.restoring import put_back, restore
from zodbapi.storage.snapshot import Snapshot
from zodbapi.storage.stats import place_of
from zodbapi.undo import MISSING, Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zodbapi.catalog import Table
    from zodbapi.storage.cache import Passing
    from zodbapi.storage.database import Database

_SCHEMA: Final = Mark("SCHEMA")  # in the place of the tree: the others are cookie and schemas to go back to


class Stream(Protocol):
    """A result of which rows are still to be read."""

    def read_rest(self) -> None: ...


class Transaction(Snapshot):
    """The transactions of one driver connection, one after the other."""

    _manager: Any
    _shrink: Callable[[], None]
    _epoch: int

    def __init__(self, database: Database, manager: Any = None) -> None:
        super().__init__(database)
        self.active = False
        self.writing = False
        self.must_store = True  # whether an UPDATE stores also the rows that it leaves as they are
        self.undo: list[tuple[Any, Any, Any]] = []
        self.undone: list[tuple[Any, Any, Any]] = []  # what was taken back; leaves that it has split may still be
        self.pending: dict[Callable[[Transaction, Any], None], set[Any]] = {}
        self.immediate: dict[Callable[[Transaction, Any], None], set[Any]] = {}
        self.last_rowid = 0
        self.newest_tops: dict[int, int] = {}  # table id -> the largest rowid outside a snapshot that is not the newest
        self.firing: frozenset[str] = frozenset()  # the triggers that are running
        self.recursive_triggers = False  # whether what a trigger writes may start it again
        self.changes = 0
        self.total_changes = 0
        self.streams: dict[int, weakref.ref[Stream]] = {}  # results that are not read to their end yet
        self.foreign_keys_enabled = True
        self.isolation = self.session_isolation = Isolation.SNAPSHOT  # of the transaction, and of those to come
        self.read_committed = False  # the same, for a quick question; ``serializable`` is another
        self.defer_foreign_keys = False
        self.check_at_once = False  # SET CONSTRAINTS ALL IMMEDIATE: nothing is put off to the commit
        self.prepared = False
        self._half_undone = False
        self.begun_by_savepoint = False  # a SAVEPOINT outside a transaction opened this one: its release commits
        self._savepoints: list[tuple[str, int]] = []
        self._given_manager = manager
        self._attach()

    # --- begin and end ----------------------------------------------------------------------------------------------

    def begin(
        self, write: bool = False, mode: str = "", isolation: Isolation | None = None, late: bool = False
    ) -> None:
        """Start a transaction on the newest snapshot; ``write``, or a mode other than deferred, takes the write lock.

        ``late`` is for those who call ``start_writing`` before they read anything: it gets them the newest snapshot.
        """
        if self.active:
            raise errors.OperationalError("cannot start a transaction within a transaction")
        if self._epoch != self.database.epoch:
            self._attach()
        self.active = True  # before the snapshot is judged: the memory storage keeps what active transactions may read
        outside = self._outside
        if not late and ((behind := outside is not None and outside()) or self._mvcc._ltid is not self._seen):
            self._or_end(self._refresh, behind)
        if isolation is not None:
            self._set_level(isolation)
        if self.serializable:
            self._watch(True)
        if write or mode in ("immediate", "exclusive"):
            self._or_end(self.start_writing)

    def set_isolation(self, level: Isolation) -> None:
        """Have the open transaction run at that level; OperationalError once it has read or written something."""
        if not self.active:
            raise errors.OperationalError("SET TRANSACTION works only inside a transaction: after BEGIN")
        if self.has_read or self.writing:
            raise errors.OperationalError("SET TRANSACTION ISOLATION LEVEL must be called before any query")
        self._set_level(level)
        self._watch(self.serializable)

    def set_session_isolation(self, level: Isolation) -> None:
        """Have the transactions to come run at that level, unless they say otherwise."""
        self.session_isolation = level
        if not self.active:
            self._set_level(level)

    def _set_level(self, level: Isolation) -> None:
        self.isolation = level
        self.read_committed = level is Isolation.READ_COMMITTED
        self.serializable = level is Isolation.SERIALIZABLE

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
            told = self.database.lock_tells
            moved = self._is_stale(told) and self._move_snapshot()
            self._begin_managed()
            self.writing = True
            self.alone = self.database.local and not self._is_stale(told)
            # On snapshots that never move it is how two transactions that read the same are made to conflict.
            self.must_store = not self.alone or self.isolation is Isolation.SNAPSHOT
            self._connection.rely_on_nodes(not self.alone)
            if self.alone and self.serializable:
                self._watch(False)
            if self.entry is None:
                self._create_entry()
        except BaseException as error:
            self._stop_writing()
            raise_translated(error)
            raise
        return moved

    def _move_snapshot(self) -> bool:
        """Get the newest snapshot for a writer, unless it has read from another; whether it did."""
        if self.read_committed or not self.has_read:
            self.read_set.clear()
            self._refresh(not self.database.lock_tells)
            return True
        if not (self.serializable and self.database.local):
            return False
        self._rely_on_schema()
        self._mvcc.sync(True)
        if self.read_set.is_touched(self._mvcc._invalidations):  # the objects that were changed since the snapshot
            raise errors.ConflictError("could not serialize access, retry the transaction: what it read has changed")
        self._refresh(False)
        return True

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
            if self.prepared:
                self._connection.tpc_finish(self._manager.get())
                self._manager.abort()  # nothing is left to commit
            else:
                if not self.alone:
                    self._guard_reads()
                self._manager.commit()
        except BaseException as error:
            self.rollback()
            raise_translated(error)
            raise
        committed = self._mvcc._ltid
        if self._mvcc._start > committed:  # it has moved: nobody else had committed since, and what we did is known
            self._seen = self._known = committed
        self._finished()
        if self._connection.durable_later:
            try:
                self.database.storage.make_durable(committed)
            except Exception as error:
                raise_translated(error)
                raise

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
        """Make the commit fail if others have changed the schema, or what this transaction relies on."""
        if self.alone:
            return
        self._rely_on_schema()
        self.read_set.note_what_came_back(entry for entry in self.undo if entry[0] is not _SCHEMA)
        self.read_set.require(self._connection)

    def _rely_on_schema(self) -> None:
        """Rely on the schema, and on the trees that belong to it: DDL shows in no leaf that was read."""
        if self.entry is not None:
            self.read_set.note_range(self.entry["schema"], "cookie", ddl.TREES_COOKIE)

    def rollback(self) -> None:
        """End the transaction and forget its changes; nothing happens when there is none."""
        self._roll_back()

    def _roll_back(self) -> None:
        if self.writing:
            if self.streams:
                self.settle()
            restored = False
            try:
                self._undo_temporary()
                if self._epoch == self.database.epoch:
                    restored = self._abort()
            finally:
                if restored:
                    self._finished()
                else:
                    self._rolled_back()
        else:
            self._end()

    def _abort(self) -> bool:
        """End the managed transaction; whether all objects are as they were, and none has to be read again."""
        restored = False
        try:
            if self.prepared:
                self._connection.tpc_abort(self._manager.get())
            else:
                restored = not self._half_undone and restore(self, self._connection)
        finally:
            self._manager.abort()
        return restored

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
        self.newest_tops.clear()
        self.database.unlock(self)
        if self.serializable:
            self._watch(True)

    def _end(self) -> None:
        self.active = False
        self.has_read = False
        if self.undo:
            self.undo.clear()
        if self.undone:
            self.undone.clear()
        if self._savepoints:
            self._savepoints.clear()
        if self.pending:
            self.pending.clear()
        if self.immediate:
            self.immediate.clear()
        if self.read_set:
            self.read_set.clear()
        if self.isolation is not self.session_isolation:
            self._set_level(self.session_isolation)
        if self._watching:
            self._watch(False)
        self.defer_foreign_keys = self.check_at_once = False
        self.begun_by_savepoint = self._half_undone = False
        self._shrink()

    def _or_end(self, step: Callable[..., Any], *arguments: Any) -> None:
        try:
            step(*arguments)
        except BaseException:
            self._roll_back()
            raise

    def _check_alive(self) -> None:
        if self._epoch != self.database.epoch:
            self._end()
            raise errors.OperationalError("the transaction was lost: the process was forked or the database reopened")
        if not self.active:
            raise errors.OperationalError("no transaction is active")

    # --- the ZODB connection ------------------------------------------------------------------------------------------

    def _attach(self) -> None:
        """Get a ZODB connection of the database as it is now; the one before belonged to another process."""
        was_active = self.active
        self._end_quietly()
        with translated():
            self._connection, self._manager, self._outside = self.database.attach(self, self._given_manager)
        self._connection.durable_later = self._given_manager is None and hasattr(self.database.storage, "make_durable")
        self._epoch = self.database.epoch
        self._mvcc = self._connection._normal_storage
        self._learn = getattr(self.database.storage, "catch_up", self._mvcc.sync)
        self._shrink = self._connection._cache.incrgc
        self._seen = None
        self.entry = None
        self._cookie = None
        self._trees_cookie = 0
        self.forget_trees()
        if was_active:
            raise errors.OperationalError("the transaction was lost: the process was forked or the database reopened")

    def _end_quietly(self) -> None:
        self._undo_temporary()
        self.active = self.writing = self.prepared = self.alone = self.has_read = False
        self._savepoints = []
        self._set_level(self.session_isolation)
        for container in (self.undo, self.undone, self.pending, self.immediate, self.read_set):
            container.clear()

    # --- rows ---------------------------------------------------------------------------------------------------------

    def next_rowid(self, table_id: int, autoincrement: bool) -> int:
        """A rowid for a new row: one more than the largest; with ``autoincrement`` than the largest that ever was."""
        rows = self._rows[table_id]
        if self.alone and rows:
            top: int = rows.maxKey()
            if autoincrement:
                top = max(top, self.home(table_id)["sequences"].get(table_id, 0))
            if top < rowids.MAX_ROWID:
                return top + 1
        return rowids.next_rowid(self, table_id, rows, autoincrement)

    def next_rowids(self, table_id: int, autoincrement: bool, count: int) -> Sequence[int] | None:
        """So many of them, in ascending order; None where they have to be asked for one by one."""
        return rowids.next_rowids(self, table_id, self._rows[table_id], autoincrement, count)

    def are_free(self, table_id: int, wanted: Sequence[int]) -> bool:
        """Whether these rowids are all different, and none is taken."""
        return rowids.are_free(self._rows[table_id], wanted)

    def empty(self, table: Table) -> None:
        """Take all rows out of a table that no foreign key refers to; only while no other transaction can commit."""
        ddl.clear_rows(self, table)

    def free_rowid(self, table_id: int, rowid: int) -> None:
        """Note that a row of an AUTOINCREMENT table has gone."""
        rowids.free_rowid(self, table_id, self._rows[table_id], rowid)

    def put_away(self, row: tuple[Any, ...], positions: tuple[int, ...]) -> tuple[Any, ...]:
        """The row as it is stored, without the large values at those positions."""
        return put_away(row, positions, self.database.blob_folder)

    def count_changes(self, rows: int) -> None:
        """Note how many rows a statement inserted, updated or deleted."""
        self.changes = rows
        self.total_changes += rows

    def part_between(self, tree: Any, low: Any, high: Any) -> float:
        """About which part of a tree's keys is between two (None: no bound); 0 if looking would count as reading."""
        if plain(tree) is not tree:
            return 0.0
        return (1.0 if high is None else place_of(tree, high)) - (0.0 if low is None else place_of(tree, low))

    def put(self, tree: Any, key: Any, value: Any) -> None:
        """Set a key of a mapping, so that it can be undone."""
        self.undo.append((tree, key, tree.get(key, MISSING)))
        tree[key] = value

    def drop(self, tree: Any, key: Any) -> None:
        """Remove a key of a mapping, so that it can be undone."""
        self.undo.append((tree, key, tree[key]))
        del tree[key]

    def move_entries(self, tree: Any, gone: Sequence[Any], added: Sequence[Any]) -> None:
        """Remove entries of an index, and add others; both are in ascending order, and logged already."""
        if self.alone and type(tree) is OOTreeSet:
            move_entries(tree, gone, added)
            return
        for key in gone:
            tree.remove(key)
        tree.update(added)

    def schema_changed(self, stored: Schema, temporary: Schema) -> None:
        """Go on with another schema, so that it can be undone; called by ``ddl``."""
        self.undo.append((_SCHEMA, self._cookie, (self.stored, self.temporary.schema)))
        self.temporary.used |= temporary is not self.temporary.schema
        self._see(stored, temporary)
        self._cookie = stored.version
        self.forget_trees()

    # --- statements and savepoints --------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Read open results to their end, because the trees they read from are about to change."""
        while self.streams:
            _, reference = self.streams.popitem()
            stream = reference()
            if stream is not None:
                stream.read_rest()

    @contextmanager
    def passing(self, objects: Passing) -> Iterator[None]:
        """Count what is loaded in this block as what a long result passes by."""
        self._connection.passing = objects
        try:
            yield
        finally:
            self._connection.passing = None

    def shrink_cache(self) -> None:
        """Forget objects that were not used lately, if there are more than the cache should hold."""
        self._shrink()

    def mark(self) -> int:
        """A point to go back to with ``undo_to``."""
        if self.streams:
            self.settle()
        return len(self.undo)

    def undo_to(self, mark: int) -> None:
        """Take back every change since ``mark()`` returned that mark; where that fails, the whole transaction."""
        try:
            self._undo_to(mark)
        except Exception:  # the server is gone, or the file damaged: nothing half undone may be committed
            self._half_undone = True
            self.rollback()
            raise

    def undo_all(self) -> None:
        """Take back every change; whoever is asked for that ends the transaction, whether it works or not."""
        self._undo_to(0)

    def _undo_to(self, mark: int) -> None:
        undo = self.undo
        self.undone += undo[mark:]
        schema_moved = False
        while len(undo) > mark:
            tree, key, old = undo[-1]
            if tree is _SCHEMA:
                self._cookie = key
                self._see(*old)
                schema_moved = True
            else:
                put_back(tree, key, old)
            del undo[-1]
        if schema_moved:
            self.forget_trees()

    def _undo_temporary(self) -> None:
        """Before the database forgets a transaction's changes: take back those that it knows nothing of."""
        for tree, key, old in reversed(self.undo if self.temporary.used else ()):
            if tree is _SCHEMA:
                self._see(self.stored, old[1])
            elif getattr(plain(tree), "_p_jar", None) is None:
                put_back(tree, key, old)

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
