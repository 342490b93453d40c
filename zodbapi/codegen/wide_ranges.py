"""Ranges of an index that may turn out to be wide: then all rows of the table are read instead, and tested.

How wide a range is depends on the parameters of a call, and is estimated from the nodes of the index when the range has some
hundred entries: a program suits all parameters, whichever it was planned for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from zodbapi.codegen.whole_trees import all_items, all_values

WORTH_ASKING: Final = 200  # entries, from which on it is asked whether they are a large part of all
WIDE: Final = 1 / 6  # part of a table's rows that take as long to read through an index as all of them do otherwise


def found_rows(txn: Any, tree: Any, rows: Any, keyed: bool, *bounds: Any) -> Iterator[Any]:
    """The rows of the entries of an index between two keys, or all rows if the entries are a large part of all."""
    if _is_wide(txn, tree, bounds):
        return iter(all_values(rows))
    return map(rows.__getitem__, _rowids_between(tree, keyed, bounds))


def found_items(txn: Any, tree: Any, rows: Any, keyed: bool, *bounds: Any) -> Iterator[Any]:
    """The same, with the rowids before the rows."""
    if _is_wide(txn, tree, bounds):
        return iter(all_items(rows))
    return ((rowid, rows[rowid]) for rowid in _rowids_between(tree, keyed, bounds))


def _rowids_between(tree: Any, keyed: bool, bounds: tuple[Any, ...]) -> Iterable[int]:
    return tree.values(*bounds) if keyed else map(_LAST, tree.keys(*bounds))


def _is_wide(txn: Any, tree: Any, bounds: tuple[Any, ...]) -> bool:
    several = next(islice(tree.keys(*bounds), WORTH_ASKING, None), None) is not None
    return several and txn.part_between(tree, *bounds[:2]) > WIDE


_LAST: Final = itemgetter(-1)
