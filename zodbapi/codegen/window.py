"""Window functions: the input is buffered, each window is computed over it partition by partition, and rows go on.

The arithmetic of frames is in ``functions.window``; the code here hands it columns of ready values. Rows come out
in the order of the first window, as they do in SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from zodbapi import values
from zodbapi.codegen import runtime
from zodbapi.codegen.rowbuffer import RowBuffer
from zodbapi.codegen.unit import StoredRow, tuple_code
from zodbapi.functions.window import partition

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit
    from zodbapi.functions.registry import AggregateFunction
    from zodbapi.plan.expr import Frame, WindowCall
    from zodbapi.plan.nodes import Window

Directions = tuple[tuple[bool, bool], ...]
Spec = tuple["AggregateFunction", Directions]


def compute(
    calls: Sequence[Spec], frames: Sequence[Any], rows: list[tuple[Any, ...]]
) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Results of all calls for each buffered row.

    Args:
        calls: the function and the directions of its ORDER BY, one a call.
        frames: (unit, (kind, offset), (kind, offset), exclude) or None, one a call.
        rows: ((partition key, order values, arguments, filter) a call, kept row).

    Returns:
        (kept row, results) in the order of the first call's window.
    """
    results: list[list[Any]] = []
    order: list[int] = []
    for number, ((function, directions), frame) in enumerate(zip(calls, frames, strict=True)):
        column: list[Any] = [None] * len(rows)
        parts = [row[0][number] for row in rows]
        for members in _partitions(parts, directions):
            found = partition(
                function,
                frame,
                bool(directions and directions[0][0]),
                [parts[i][2] for i in members],
                [parts[i][1] for i in members],
                [parts[i][3] for i in members],
            )
            for i, value in zip(members, found, strict=True):
                column[i] = value
            if number == 0:
                order.extend(members)
        results.append(column)
    packed = list(zip(*results, strict=True))
    return [(rows[i][1], packed[i]) for i in order]


def _partitions(parts: list[tuple[Any, ...]], directions: Directions) -> list[list[int]]:
    """Row numbers of each partition, sorted by the window's ORDER BY; partitions in the order of their keys."""
    groups: dict[Any, list[int]] = {}
    for i, part in enumerate(parts):
        groups.setdefault(part[0], []).append(i)
    passes = [
        (_sortable([part[1][place] for part in parts], descending != nulls_first).__getitem__, descending)
        for place, (descending, nulls_first) in enumerate(directions)
    ]
    for key, descending in reversed(passes):  # the last term first: sorting is stable
        for members in groups.values():
            members.sort(key=key, reverse=descending)
    keys = sorted(groups, key=lambda key: tuple(runtime.directed(v, False, True) for v in key))
    return [groups[key] for key in keys]


_COMPARABLE = frozenset({int, float, Decimal})


def _sortable(values_: list[Any], nulls_smallest: bool) -> list[Any]:
    """Values that Python sorts as the engine does: as they are, if they are of one class."""
    classes = set(map(type, values_))
    null = type(None) in classes
    classes.discard(type(None))
    if not (classes <= _COMPARABLE or (len(classes) == 1 and datetime not in classes)):
        values_ = [None if value is None else values.sort_key(value) for value in values_]
    if null:
        return [((value is not None) is nulls_smallest, value) for value in values_]
    return values_


def produce(unit: Unit, node: Window, consume: Callable[[], None]) -> None:
    """Writes the buffering of the input and the loop over its rows with their results."""
    rows = unit.fresh("buffer")
    unit.body.line(f"{rows} = []")
    buffer = RowBuffer(unit, node.input)

    def keep() -> None:
        parts = tuple_code([_call_values(unit, call) for call in node.calls])
        unit.body.line(f"{rows}.append(({parts}, {buffer.pack()}))")

    unit.query.produce(node.input, keep)
    specs = unit.constant(
        tuple((c.function, tuple((k.descending, k.nulls_first) for k in c.order)) for c in node.calls)
    )
    frames = tuple_code([_frame(unit, call.frame) for call in node.calls])
    name = f"r{node.source}"
    with unit.body.block(f"for {buffer.unpack()}, {name} in {unit.call(compute)}({specs}, {frames}, {rows})"):
        buffer.bind()
        unit.env[node.source] = StoredRow(name)
        consume()


def _call_values(unit: Unit, call: WindowCall) -> str:
    """Code of what one call needs of a row: partition key, order values, arguments, filter."""
    writer = unit.expr
    pairs = zip(call.partition, call.collations or ("BINARY",) * len(call.partition), strict=True)
    keys = [writer.folded(writer.value(key), collation) for key, collation in pairs]
    partition_key = tuple_code(keys) if keys else "()"
    order = [writer.folded(writer.value(k.expr), k.collation) for k in call.order]
    args = [writer.value(arg) for arg in call.args]
    test = "True" if call.filter is None else f"bool({writer.is_true(call.filter)})"
    return f"({partition_key}, {tuple_code(order) if order else '()'}, {tuple_code(args) if args else '()'}, {test})"


def _frame(unit: Unit, frame: Frame | None) -> str:
    if frame is None:
        return "None"
    bounds = [
        f"({bound.kind!r}, {'None' if bound.offset is None else unit.expr.value(bound.offset)})"
        for bound in (frame.start, frame.end)
    ]
    return f"({frame.unit!r}, {bounds[0]}, {bounds[1]}, {frame.exclude!r})"
