"""Cheap numbers about tables for the optimizer.

In: a transaction. Out: estimates. Nothing is stored for them: a BTree is a histogram already, whose nodes say where between the
first key and the last any key would stand. A few paths from the root of a tree to a leaf are read, once for a snapshot: all
connections of the process that see it share what was found, until one sees another.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import ne, sub
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from zodbapi.catalog import FIRST_TEMPORARY_ID
from zodbapi.storage.nodes import children, children_and_keys
from zodbapi.values import ABOVE

if TYPE_CHECKING:
    from zodbapi.storage.database import Database
    from zodbapi.storage.transaction import Transaction

_FEW = 200  # rowids this close together are not worth a closer look
# Keys of a tree that tells something about those that it will have: plans are cached while tables grow.
ENOUGH = 500
_AS_CLOSE = 2  # of two gaps in memory, how many times as wide the wider one may be
_LOOKED_AT = 10  # rows of a leaf, or up to twice as many
_PLACES = (0.5, 0.1, 0.9, 0.3, 0.7)  # where in a tree samples are taken


Known = dict[tuple[object, ...], Any]


class _Seen(NamedTuple):
    """What was found in one snapshot of a database."""

    epoch: int
    snapshot: bytes | None
    known: Known


_SEEN: WeakKeyDictionary[Database, _Seen] = WeakKeyDictionary()  # the last snapshot of each that somebody asked about


class Stats:
    """Estimates for one transaction's snapshot, each made once: an object is to be used for one statement."""

    __slots__ = ("_own", "_txn")

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn
        self._own: Known = {}  # of what nobody else sees

    def row_count(self, table_id: int, few: int = _FEW) -> int:
        """About how many rows the table has: right for rowids without gaps, and never less than one if there is a row.

        Up to ``few`` the answer is the cheapest one, the number of rowids from the first to the last.
        """
        known = self._known(table_id)
        spread = known.get(("spread", table_id))
        if spread is None:
            home = self._txn.home(table_id)
            rows = home["rows"].get(table_id) if home is not None else None
            spread = known["spread", table_id] = int(rows.maxKey() - rows.minKey() + 1) if rows else 0
        return spread if spread <= few else min(spread, self._size("rows", table_id))

    def part_between(self, index_id: int, low: Any, high: Any) -> float | None:
        """The part of an index's entries from the key ``low`` to ``high`` (None: no bound); None if there are too few to tell."""
        return self._part("indexes", index_id, low, high)

    def part_of_rowids(self, table_id: int, low: Any, high: Any) -> float | None:
        """The part of a table's rows with rowids from ``low`` to ``high``, as above."""
        return self._part("rows", table_id, low, high)

    def part_of_key(self, index_id: int, width: int) -> float | None:
        """The part of an index's entries that have the same first ``width`` parts, on average; None as above."""
        known = self._known(index_id)
        if ("key", index_id, width) not in known:
            known["key", index_id, width] = self._count_keys(index_id, width)
        found: float | None = known["key", index_id, width]
        return found

    def _count_keys(self, index_id: int, width: int) -> float | None:
        """Entries stand in order, so a leaf shows how often the parts change from one to the next."""
        if self._size("indexes", index_id) < ENOUGH:
            return None
        steps = changes = 0
        keys: list[Any] = []
        for leaf in _leaves(self._tree("indexes", index_id)):
            keys = list(leaf.keys())
            if type(keys[0]) is tuple:
                keys = [key[:width] for key in keys]
            steps += len(keys) - 1
            changes += sum(map(ne, keys, keys[1:]))
        if changes:
            return max(1.0, steps / changes) / self._size("indexes", index_id)
        return self.part_between(index_id, keys[0], (*keys[0], ABOVE)) if type(keys[0]) is tuple else None

    def lie_together(self, table_id: int, index_id: int) -> bool:
        """Whether the entries of an index that follow one another are as close in memory as rows that do.

        They are if they were read from a file, and reading all of them then takes less than reading the rows. Entries that were
        written in this process lie where their rows are, and it takes several times as much.
        """
        known = self._known(index_id)
        found: bool | None = known.get(("together", index_id))
        if found is None:
            found = known["together", index_id] = (
                self._size("indexes", index_id) >= ENOUGH
                and self._gap("indexes", index_id) <= self._gap("rows", table_id) * _AS_CLOSE
            )
        return found

    def _gap(self, name: str, number: int) -> float:
        """Bytes from an entry, or a row, to the next one."""
        gaps: list[int] = []
        for leaf in _leaves(self._tree(name, number)):
            places = list(map(id, leaf.keys() if name == "indexes" else leaf.values()))
            gaps += map(abs, map(sub, places, places[1:]))
        return median(gaps)

    def sample_rows(self, table_id: int) -> list[tuple[Any, ...]]:
        """Some rows of a table, large values missing; none if it is too small to tell anything."""
        known = self._known(table_id)
        found: list[tuple[Any, ...]] | None = known.get(("sample", table_id))
        if found is None:
            found = []
            if self._size("rows", table_id) >= ENOUGH:
                for leaf in _leaves(self._tree("rows", table_id)):
                    rows = list(leaf.values())
                    found += map(_without_markers, rows[:: max(1, len(rows) // _LOOKED_AT)])
            known["sample", table_id] = found
        return found

    def _known(self, number: int) -> Known:
        """What is known of a table or index: shared if others see the same, for nothing is changed in this transaction yet."""
        txn = self._txn
        if txn.undo or not txn.active or number >= FIRST_TEMPORARY_ID:
            return self._own
        seen, epoch, snapshot = _SEEN.get(txn.database), txn.database.epoch, txn.snapshot
        if seen is None or seen.snapshot != snapshot or seen.epoch != epoch:
            seen = _SEEN[txn.database] = _Seen(epoch, snapshot, {})
        return seen.known

    def _tree(self, name: str, number: int) -> Any:
        home = self._txn.home(number)
        return home[name].get(number) if home is not None else None

    def _size(self, name: str, number: int) -> int:
        """About how many keys a tree has."""
        known = self._known(number)
        size: int | None = known.get(("size", name, number))
        if size is None:
            tree = self._tree(name, number)
            size = known["size", name, number] = tree_size(tree) if tree else 0
        return size

    def _part(self, name: str, number: int, low: Any, high: Any) -> float | None:
        if self._size(name, number) < ENOUGH:
            return None
        tree, places = self._tree(name, number), [0.0, 1.0]
        for i, key in enumerate((low, high)):
            if key is not None:
                place = self._own.get((name, number, key))
                if place is None:
                    try:
                        place = self._own[name, number, key] = place_of(tree, key)
                    except TypeError:  # a key that does not compare with these
                        return None
                places[i] = place
        return max(0.0, places[1] - places[0])


def _without_markers(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row without the objects of its large values, which are of one connection and would keep it in memory."""
    if any(value.__class__ is tuple for value in row):
        return tuple([None if value.__class__ is tuple else value for value in row])
    return row


def tree_size(tree: Any) -> int:
    """About how many keys a BTree has, if all its nodes are like those half way down."""
    size = 1
    while below := children(tree):
        size *= len(below)
        tree = below[len(below) // 2]
    return size * len(tree)


def place_of(tree: Any, key: Any) -> float:
    """The part of a BTree's keys that are below ``key``, if all nodes of a level are alike."""
    low, width = 0.0, 1.0
    while below := children_and_keys(tree):
        at = bisect_right(below[1::2], key)
        width /= len(below) // 2 + 1
        low += at * width
        tree = below[2 * at]
    keys = list(tree.keys())
    return low + width * bisect_left(keys, key) / max(1, len(keys))


def _leaves(tree: Any) -> Iterator[Any]:
    """Leaves from several places of a BTree, each once."""
    seen = set()
    for place in _PLACES:
        leaf = tree
        while below := children(leaf):
            leaf = below[int(len(below) * place)]
        if id(leaf) not in seen:
            seen.add(id(leaf))
            yield leaf
