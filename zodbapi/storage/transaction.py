"""One transaction at a time of one connection: how it begins, gets to write, and ends.

In: calls of the driver (begin, commit, rollback). Out: BTrees of one snapshot, and a commit of what was changed.

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

What it changes, and how that is taken back, is in ``changes``.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zodbapi import errors
from zodbapi.isolation import Isolation
from zodbapi.storage import ddl
from zodbapi.storage.changes import Changes
from zodbapi.storage.failures import raise_translated, translated
from zodbapi.storage.restoring import restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zodbapi.storage.database import Database


class Transaction(Changes):
    """The transactions of one driver connection, one after the other."""

    _manager: Any
    _shrink: Callable[[], None]
    _epoch: int

    def __init__(self, database: Database, manager: Any = None) -> None:
        super().__init__(database)
        self.active = False
        self.writing = False
        self.must_store = True  # whether an UPDATE stores also the rows that it leaves as they are
        self.isolation = self.session_isolation = Isolation.SNAPSHOT  # of the transaction, and of those to come
        self.read_committed = False  # the same, for a quick question; ``serializable`` is another
        self.prepared = False
        self.begun_by_savepoint = False  # a SAVEPOINT outside a transaction opened this one: its release commits
        self._given_manager = manager
        self._attach()

    # --- begin and end ----------------------------------------------------------------------------------------------

    def begin(self, write: bool = False, isolation: Isolation | None = None, late: bool = False) -> None:
        """Start a transaction on the newest snapshot; ``write`` takes the write lock, ``isolation`` is a level for it alone.

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
        if write:
            self._or_end(self.start_writing)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Sees one snapshot in the block: that of the open transaction, or else the newest."""
        begun = not self.active
        if begun:
            self.begin()
        try:
            yield
        finally:
            if begun:
                self.rollback()

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
        self.read_set.note_what_came_back(self.changed_keys())
        self.read_set.require(self._connection)

    def _rely_on_schema(self) -> None:
        """Rely on the schema, and on the trees that belong to it: DDL shows in no leaf that was read."""
        if self.entry is not None:
            self.read_set.note_range(self.entry["schema"], "cookie", ddl.TREES_COOKIE)

    def rollback(self) -> None:
        """End the transaction and forget its changes; nothing happens when there is none."""
        self._roll_back()

    def cancel(self) -> None:
        """End a transaction in which nothing happened; what was set for the next one stays."""
        deferring = self.defer_foreign_keys
        self.rollback()
        self.defer_foreign_keys = deferring

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
