"""Sorting: rows are buffered with ready-made keys and sorted by ``list.sort``, one pass for each run of equal
direction.

A buffered row is a tuple: the keys first, then what the rest of the program needs of the sources. Python's sort is
stable, so sorting by the last run of keys first and by the first run last gives the whole order, and descending is
``reverse``. Values of a column compare as they are. A column that may be NULL adds a flag before the value, because
None compares with nothing; an expression whose class is only known at run time uses ``values.sort_key``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from zodbapi import values
from zodbapi.codegen.compare import comparison_class
from zodbapi.codegen.rowbuffer import RowBuffer

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit
    from zodbapi.plan.expr import SortKey
    from zodbapi.plan.nodes import Sort

_SMALL_LIMIT = 1000  # above, a full sort is as good as a heap


def key_code(unit: Unit, key: SortKey) -> str:
    """Code of a value that Python sorts as the key demands, NULL included, up to the direction."""
    writer = unit.expr
    code = writer.folded(writer.value(key.expr), key.collation)
    typed = comparison_class(key.expr.type) is not None
    if not writer.nullable(key.expr):
        return code if typed else f"{unit.call(values.sort_key)}({code})"
    first, again = writer.hold(code)
    # Ascending with NULL first, and descending (which is reversed) with NULL last, want NULL to be the smallest.
    smallest = key.descending != key.nulls_first
    test = "is not None" if smallest else "is None"
    return f"({first} {test}, {again if typed else f'{unit.call(values.sort_key)}({again})'})"


def produce(unit: Unit, node: Sort, consume: Callable[[], None], *, whole: bool) -> None:
    """Writes the sort of the node's input."""
    rows = unit.fresh("buffer")
    unit.body.line(f"{rows} = []")
    buffer = RowBuffer(unit, node.input, whole=whole)
    runs = [(descending, len(list(run))) for descending, run in groupby(k.descending for k in node.keys)]

    def keep() -> None:
        codes = [key_code(unit, key) for key in node.keys]
        unit.body.line(f"{rows}.append({buffer.pack(codes)})")

    unit.query.produce(node.input, keep, whole=whole)
    _sort(unit, rows, runs, unit.query.count(node.limit))
    with unit.body.block(f"for {buffer.unpack(len(node.keys))} in {rows}"):
        buffer.bind()
        consume()


def _sort(unit: Unit, rows: str, runs: list[tuple[bool, int]], limit: str | None) -> None:
    body = unit.body
    passes = []
    place = 0
    for descending, length in runs:
        getter = unit.namespace.constant(itemgetter(*range(place, place + length)))
        passes.append((getter, descending))
        place += length
    if limit is not None and len(passes) == 1:
        getter, descending = passes[0]
        best = unit.call(heapq.nlargest if descending else heapq.nsmallest)
        with body.block(f"if 0 <= {limit} <= {_SMALL_LIMIT}"):
            body.line(f"{rows} = {best}({limit}, {rows}, {getter})")
        with body.block("else"):
            body.line(f"{rows}.sort(key={getter}{', reverse=True' if descending else ''})")
        return
    for getter, descending in reversed(passes):
        body.line(f"{rows}.sort(key={getter}{', reverse=True' if descending else ''})")
