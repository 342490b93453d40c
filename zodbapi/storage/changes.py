"""What a transaction has changed so far: rows, the undo log, checks that were put off, savepoints.

In: calls of generated code (put, drop, undo) and of the driver (savepoints). Out: changed trees, and the way back.

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
from zodbapi.storage import ddl, rowids
from zodbapi.storage.bulk import move_by_leaf, move_one_by_one
from zodbapi.storage.leaves import plain
from zodbapi.storage.overflow import put_away
from zodbapi.storage.restoring import put_back
from zodbapi.storage.snapshot import Snapshot
from zodbapi.storage.stats import place_of
from zodbapi.undo import MISSING, Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zodbapi.catalog import Table
    from zodbapi.storage.cache import Passing
    from zodbapi.storage.database import Database

Checks = dict["Callable[[Any, Any], None]", set[Any]]  # function of transaction and key -> keys
_SCHEMA: Final = Mark("SCHEMA")  # in the place of the tree: the others are cookie and schemas to go back to


class Stream(Protocol):
    """A result of which rows are still to be read."""

    def read_rest(self) -> None: ...


class Changes(Snapshot):
    """The part of a transaction that changes what it sees."""

    _shrink: Callable[[], None]

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.undo: list[tuple[Any, Any, Any]] = []
        self.undone: list[tuple[Any, Any, Any]] = []  # what was taken back; leaves that it has split may still be
        self.pending: Checks = {}
        self.immediate: Checks = {}
        self.last_rowid = 0
        self.newest_tops: dict[int, int] = {}  # table id -> the largest rowid outside a snapshot that is not the newest
        self.firing: frozenset[str] = frozenset()  # the triggers that are running
        self.trigger_depth = 0  # how many of them
        self.policy = ""  # the word of INSERT OR or UPDATE OR of what is running, for the triggers that it fires
        self.recursive_triggers = False  # whether what a trigger writes may start it again
        self.changes = 0
        self.total_changes = 0
        self.streams: dict[int, weakref.ref[Stream]] = {}  # results that are not read to their end yet
        self.foreign_keys_enabled = True
        self.defer_foreign_keys = False
        self.check_at_once = False  # SET CONSTRAINTS ALL IMMEDIATE: nothing is put off to the commit
        self._savepoints: list[tuple[str, int]] = []
        self._half_undone = False

    def start_writing(self, wait: bool = True) -> bool:
        """Get ready to write; True when the snapshot moved."""
        raise NotImplementedError

    def rollback(self) -> None:
        """End the transaction and forget its changes."""
        raise NotImplementedError

    # --- rows and entries ---------------------------------------------------------------------------------------------

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
        by_leaf = self.alone and type(tree) is OOTreeSet
        (move_by_leaf if by_leaf else move_one_by_one)(tree, gone, added)

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

    def changed_keys(self) -> Iterator[tuple[Any, Any, Any]]:
        """What the undo log has of trees: tree, key, and what was there."""
        return (entry for entry in self.undo if entry[0] is not _SCHEMA)

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

    def _run(self, checks: Checks) -> None:
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

    def is_outermost(self, name: str) -> bool:
        """Whether no savepoint is older than this."""
        return self._find_savepoint(name) == 0

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
