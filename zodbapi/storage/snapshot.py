"""What one connection sees of the database: schema and trees as they were at one moment.

In: a ZODB connection. Out: the trees of its snapshot, by the ids of tables and indexes. Where reads count, every leaf that
is read is noted; where a constraint reads before it writes, what it relies on.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ZODB.utils import z64

from zodbapi.catalog import FIRST_TEMPORARY_ID, Schema
from zodbapi.storage import ddl
from zodbapi.storage.failures import raise_translated
from zodbapi.storage.leaves import WatchedTrees
from zodbapi.storage.read_set import ReadSet
from zodbapi.storage.temporary import Temporary, combined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zodbapi.storage.database import Database


class _Trees(dict[int, Any]):
    """Id -> tree, filled from the database, or from what is temporary, as ids are asked for."""

    __slots__ = ("_home", "_name")

    def __init__(self, home: Callable[[int], Any], name: str) -> None:
        super().__init__()
        self._home = home
        self._name = name

    def __missing__(self, key: int) -> Any:
        tree = self[key] = self._home(key)[self._name][key]
        return tree


class Snapshot:
    """The part of a transaction that reads."""

    active: bool
    entry: Any  # our entry of the root, None until the first write to a database makes it
    _mvcc: Any  # the connection's view of the storage, which collects invalidations
    _seen: Any  # the last transaction id that the snapshot includes
    _outside: Callable[[], bool] | None  # whether another process has committed since
    _learn: Callable[[], Any]  # takes note of what it has committed
    _cookie: int | None  # of the schema
    _trees_cookie: int
    _rows: _Trees
    _indexes: _Trees
    _read_rows: dict[int, Any]  # the same trees, watched where reads count
    _read_indexes: dict[int, Any]

    def __init__(self, database: Database) -> None:
        self.database = database
        self.alone = False  # whether no other transaction can commit, or has since the snapshot
        self.has_read = False
        self.serializable = False
        self.schema = Schema()  # what the connection sees: ``stored`` with ``temporary.schema`` over it
        self.stored = self.schema
        self.temporary = Temporary()
        self.read_set = ReadSet()
        self._watching = False  # whether what is read is noted
        self._connection: Any = None
        self.data_version = 0  # grows with each snapshot that has what other connections committed
        self._known: Any = None  # the last transaction id of a snapshot, or of what this connection did right after it

    def settle(self) -> None:
        """Read the rest of unfinished results, before the snapshot moves."""
        raise NotImplementedError

    @property
    def snapshot(self) -> bytes | None:
        """The transaction id before which everything is seen."""
        start: bytes | None = self._mvcc._start
        return start

    @property
    def root(self) -> Any:
        """ZODB's own root object, in which we have one entry."""
        return self._connection.get(z64)

    def empty_cache(self) -> None:
        """Forget the state of all objects that were read, but not of those that were changed."""
        self._connection.cacheMinimize()

    def _is_stale(self, told: bool = False) -> bool:
        """Whether others have committed since the snapshot; ``told`` if this process knows of what other processes did."""
        return (not told and self._outside is not None and self._outside()) or self._mvcc._ltid is not self._seen

    def _refresh(self, behind: bool = True) -> None:
        """Move to the newest snapshot; without ``behind`` this process knows already what others have committed."""
        self.settle()
        try:
            if behind:
                self._learn()
            seen = self._mvcc._ltid
            self._connection.newTransaction(None, False)
            self._read_schema()
            if seen != self._known:
                self.data_version += 1
            self._seen = self._known = seen
        except Exception as error:
            raise_translated(error)
            raise

    def _read_schema(self) -> None:
        if self.entry is None:
            entry = self.root.get(ddl.ENTRY)
            if entry is None:
                self.forget_trees()
                self._see(Schema(), self.temporary.schema)
                return
            self.database.check_format(entry)
            self.entry = entry
            self.forget_trees()
            self._cookie = None
        records = self.entry["schema"]
        cookie, trees_cookie = records["cookie"], records.get(ddl.TREES_COOKIE, 0)
        if cookie != self._cookie:  # changed by another connection, or by this one and then rolled back
            self._see(self.database.known_schema(cookie, records), self.temporary.schema)
        if cookie != self._cookie or trees_cookie != self._trees_cookie:
            self._cookie, self._trees_cookie = cookie, trees_cookie
            self.forget_trees()

    def _see(self, stored: Schema, temporary: Schema) -> None:
        self.stored, self.temporary.schema = stored, temporary
        self.schema = combined(stored, temporary)

    def _create_entry(self) -> None:
        self.entry = ddl.new_entry()
        self.root[ddl.ENTRY] = self.entry
        self._connection.add(self.entry)
        self._cookie = self.stored.version
        self.forget_trees()

    # --- trees --------------------------------------------------------------------------------------------------------

    def rows(self, table_id: int) -> Any:
        """The rowid -> row tree of a table."""
        self.has_read = True
        return self._read_rows[table_id]

    def index(self, index_id: int) -> Any:
        """The tree of an index: key -> rowid, or a set of (key, rowid)."""
        self.has_read = True
        return self._read_indexes[index_id]

    def home(self, number: int) -> Any:
        """Where the trees of a table or index are kept, by its id: the database's entry, or what is temporary."""
        return self.entry if number < FIRST_TEMPORARY_ID else self.temporary.entry

    def forget_trees(self) -> None:
        """Look trees up again: one was put in the place of another."""
        self._rows = _Trees(self.home, "rows")
        self._indexes = _Trees(self.home, "indexes")
        self._watch(self._watching)

    def _watch(self, watching: bool) -> None:
        """From the next statement on, note what is read; or do not."""
        self._watching = watching
        if watching:
            self._read_rows = WatchedTrees(self._rows, self.read_set.note)
            self._read_indexes = WatchedTrees(self._indexes, self.read_set.note)
        else:
            self._read_rows, self._read_indexes = self._rows, self._indexes

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Have others not change, before the commit, what is read in this block."""
        if self.alone and not self.serializable:
            yield
            return
        before = self._watching
        self._watch(True)
        try:
            yield
        finally:
            self._watch(before and self.active)

    def read_current(self, tree: Any, low: Any, high: Any = None) -> None:
        """Make the commit fail with a conflict if others change, before it, what is there from ``low`` to ``high``.

        That is: the leaves that hold (or would hold) these keys; without ``high``, the one leaf of ``low``. It also keeps
        the changes of those leaves from being merged with ours. A constraint that reads before it writes needs this: the
        parent of a new child, the absence of children of a deleted parent. Costs nothing while no other transaction can
        have committed since the snapshot.
        """
        if self.alone:
            return
        if high is None:
            self.read_set.note_key(tree, low)
        else:
            self.read_set.note_range(tree, low, high)

    def read_whole(self, tree: Any) -> None:
        """``read_current`` for all of a tree."""
        if not self.alone:
            self.read_set.note_range(tree)
