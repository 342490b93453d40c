"""ZODB's connection and database, with readers and writers of our own.

In: a storage. Out: connections that read ahead, keep to the limits of the cache that they share, give PEP 249's exceptions
for those of the storage, and commit in one phase where the storage can do that.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import ZODB.Connection
from BTrees.OOBTree import OOBucket, OOSet
from ZODB.POSException import ConflictError
from ZODB.utils import z64

from zodbapi import errors
from zodbapi.storage.cache import Passing, share_of_bytes, share_of_objects
from zodbapi.storage.classes import find_class
from zodbapi.storage.failures import translate
from zodbapi.storage.nodes import TREES, children
from zodbapi.storage.pickling import pickle_values
from zodbapi.storage.read_ahead import ReadAhead
from zodbapi.storage.record_form import LEAF_FORMS, PROTO
from zodbapi.storage.record_reader import RecordReader, unpickle_values
from zodbapi.storage.record_writer import RecordWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHRINK_EVERY = 1024  # loads: how far a long scan may go above what the cache should hold
SCATTERED = 4096  # objects that a transaction has written: fewer are in the processor's caches anyway
_ENTRIES = (OOSet, OOBucket)


class Connection(ZODB.Connection.Connection):  # type: ignore[misc]
    """ZODB's connection with our writer; it offers no other way to choose one than the name that ``_commit`` looks up."""

    _commit = types.FunctionType(
        ZODB.Connection.Connection._commit.__code__, {**vars(ZODB.Connection), "ObjectWriter": RecordWriter}, "_commit"
    )

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self._reader = RecordReader(self, self._cache, find_class)
        self._ahead = ReadAhead(self._reader)
        self._writer: RecordWriter | None = None
        self._relies = True
        self.passing: Passing | None = None  # notes what is loaded, while a long result is read
        self.unmerged: set[bytes] = set()  # objects whose changes must not be merged with those of others

    def setstate(self, item: Any) -> None:
        """Load the state of an object; every read of a tree that goes to the storage comes through here."""
        try:
            in_scan = False
            if type(item) not in LEAF_FORMS or self._storage is not self._normal_storage or self.opened is None:
                super().setstate(item)
            else:
                in_scan = self._set_leaf(item)
            if self.passing is not None:
                self.passing.add(item, in_scan)
            if not self._load_count % SHRINK_EVERY:
                self._cache.incrgc()
        except Exception as error:
            replacement = translate(error)
            if replacement is None:
                raise
            raise replacement from error

    def _set_leaf(self, leaf: Any) -> bool:
        """Load the state of a leaf, and maybe of those after it; whether a scan came to it."""
        oid = leaf._p_oid
        found, in_scan = self._ahead.leaf(oid, type(leaf), self._storage)
        if found is None:
            super().setstate(leaf)
            return in_scan
        state, serial, size = found
        leaf.__setstate__(state)
        leaf._p_serial = serial
        self._load_count += 1
        self._cache.update_object_size_estimation(oid, size)
        leaf._p_estimated_size = size
        return in_scan

    def register(self, obj: Any) -> None:
        """Note that an object was changed; called once for each leaf that a transaction writes to."""
        if self._added or self._needs_to_join or obj._p_oid is None:
            super().register(obj)
        else:
            self._registered_objects.append(obj)

    def rely_on_nodes(self, rely: bool) -> None:
        """Whether the commit compares the serial numbers of the inner nodes on the way to what was changed, as usual.

        A tree tells of each such node at every change; nobody needs that while nobody else can commit.
        """
        if rely is self._relies:
            return
        self._relies = rely
        if rely:
            del self.__dict__["readCurrent"]
        else:
            self.readCurrent = callable  # the cheapest function that takes an object and does nothing

    def should_retry(self, error: BaseException) -> bool:
        """Whether a transaction that failed so may be run again; transaction managers ask."""
        return isinstance(error, errors.ConflictError)

    def commit_at_once(self) -> bool:
        """Commit in one phase, if the storage can do that and nobody has asked for more; whether it did.

        A failure leaves the storage as it was, and the changes to be aborted.
        """
        storage: Any = self._db.storage
        if self._savepoint_storage is not None or self._import is not None:
            return False
        if not hasattr(storage, "append") or storage.blob_dir:
            return False
        stored: list[tuple[Any, int]] = []
        mvcc = self._normal_storage
        tid, merged = storage.append(self._records(stored), mvcc, self._readCurrent, self.unmerged)
        cache = self._cache
        for item, size in stored:
            oid = item._p_oid
            if item._p_serial == z64:
                cache[oid] = item
            item._p_changed = False
            item._p_serial = tid
            item._p_estimated_size = size
            cache.update_object_size_estimation(oid, size)
            if oid in merged:
                item._p_deactivate()  # its state is the merged one, in the storage
        self._store_count += len(stored)
        self._added.clear()
        self._tpc_cleanup()
        if len(stored) > SCATTERED:
            self._tidy_entries(item for item, _ in stored)
        return True

    def _records(self, stored: list[tuple[Any, int]]) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Object id, serial number and record of what was changed, and of the new objects that it refers to."""
        writer, self._writer = self._writer or RecordWriter(), None  # one that has failed is not used again
        writer._jar = self
        stack = writer._stack  # what is serialized puts new objects there
        self._put_in_order()
        for changed in self._registered_objects:
            if changed._p_changed or changed._p_oid in self._added:
                stack.append(changed)
            while stack:
                item = stack.pop()
                data = writer.serialize(item)
                stored.append((item, len(data)))
                yield item._p_oid, item._p_serial, data
        writer._p.clear_memo()
        self._writer = writer

    def _put_in_order(self) -> None:
        """Have leaves stored before the nodes above them, and nodes far above leaves before those next to them.

        A node whose only child is a new leaf takes it into its own record, as if it were the root of a small tree, unless the
        leaf has an object id. But the leaf before it, or the root if it is the first one, refers to that leaf as an object, and
        gives it an id when it is stored: were that later, the keys would be stored twice, and only one of both be changed.
        """
        if len(self._registered_objects) > 1:
            self._registered_objects.sort(key=_height)

    durable_later = False  # whether somebody will wait for the disk after the locks are released

    def tpc_begin(self, transaction: Any) -> None:
        """Begin to commit."""
        super().tpc_begin(transaction)
        self._put_in_order()
        transaction.data(self).durable_later = self.durable_later

    def tpc_finish(self, transaction: Any) -> Any:
        """Make the changes visible."""
        written = [*self._modified, *self._creating]
        serial = super().tpc_finish(transaction)
        if len(written) > SCATTERED:
            self._tidy_entries(map(self._cache.get, written))
        return serial

    def _tidy_entries(self, written: Iterable[Any]) -> None:
        """Make the index entries that a large transaction has made again, leaf by leaf.

        They were made in the order of the rows, so that those of a leaf are all over the memory: passing them takes ten times
        as long as passing those of a leaf that was made as a whole.
        """
        for leaf in written:
            if type(leaf) in _ENTRIES and leaf._p_changed is False:
                entries, *following = leaf.__getstate__()
                copies = unpickle_values([pickle_values(entries)[len(PROTO) : -1]])
                if copies is not None:
                    leaf.__setstate__((copies[0], *following))

    def tpc_vote(self, transaction: Any) -> None:
        """Verify that the commit will not fail."""
        merged = self._storage.tpc_vote(transaction.data(self)) or ()
        for oid in merged:
            if oid in self.unmerged:
                raise ConflictError("others changed what this transaction has read and changed", oid=oid)
            item = self._cache.get(oid)
            if item is not None:
                del item._p_changed  # its state is the merged one, in the storage


def _height(node: Any) -> int:
    """0 of a leaf, or what is no node of a tree; 2 of what is next to leaves or has keys itself, 1 of other nodes."""
    if type(node) not in TREES:
        return 0
    below = children(node)
    return 1 if below and type(below[0]) in TREES else 2


class DB(ZODB.DB):  # type: ignore[misc]
    """ZODB's database, which opens such connections; they share the limits of the cache."""

    klass = Connection

    def __init__(self, storage: Any, *, cache_size: int, cache_size_bytes: int, **options: Any) -> None:
        self._objects, self._bytes = cache_size, cache_size_bytes
        self._sharing = 1
        super().__init__(
            storage,
            cache_size=share_of_objects(cache_size, 1),
            cache_size_bytes=share_of_bytes(cache_size_bytes, 1),
            **options,
        )

    def open(self, *args: Any, **kw: Any) -> Any:
        """A connection; when there is one more than before, each may keep less in memory."""
        connection = super().open(*args, **kw)
        with self._lock:
            connections = len(self.pool.all)
            if connections != self._sharing:
                self._sharing = connections
                self.setCacheSize(share_of_objects(self._objects, connections))
                self.setCacheSizeBytes(share_of_bytes(self._bytes, connections))
        return connection
