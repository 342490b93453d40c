"""Window functions: the input is buffered, each window is computed over it partition by partition, and rows go on.

The arithmetic of frames is in ``functions.window``; the code here hands it columns of ready values. Rows come out
in the order of the first window, as they do in SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from zodbapi import values
from zodbapi.codegen import runtime
from zodbapi.codegen.rowbuffer import RowBuffer
from zodbapi.codegen.unit import StoredRow, tuple_code
from zodbapi.functions.window import WHOLE_FRAMES, WITHOUT_PEERS, partition, whole

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit
    from zodbapi.functions.registry import AggregateFunction
    from zodbapi.plan.expr import Frame, WindowCall
    from zodbapi.plan.nodes import Window

Directions = tuple[tuple[bool, bool], ...]
Spec = tuple["AggregateFunction", Directions]
# partition keys (None: one partition), values of each ORDER BY term, tuples of arguments (None: none), filter (None: no FILTER)
Input = tuple[list[Any] | None, Sequence[list[Any]], list[tuple[Any, ...]] | None, list[bool] | None]


def compute(
    calls: Sequence[Spec], frames: Sequence[Any], rows: list[Any], inputs: Sequence[Input]
) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Results of all calls for each buffered row.

    Args:
        calls: the function and the directions of its ORDER BY, one a call.
        frames: (unit, (kind, offset), (kind, offset), exclude) or None, one a call.
        rows: what was kept of each row.
        inputs: what each call needs of the rows, as columns.

    Returns:
        (kept row, results) in the order of the first call's window.
    """
    order: list[int] = []
    columns: list[list[Any]] = []  # results, in that order
    for (function, directions), frame, (keys, orders, args, flags) in zip(calls, frames, inputs, strict=True):
        arguments = [()] * len(rows) if args is None else args
        peers = _peers(len(rows), () if function.call in WITHOUT_PEERS else orders)
        places: list[int] = []
        found: list[Any] = []
        of_all = not orders and flags is None and frame in WHOLE_FRAMES
        for members in _partitions(len(rows), keys, orders, directions):
            places += members
            if of_all and (total := whole(function, [arguments[i] for i in members])):
                found += total * len(members)
                continue
            found += partition(
                function,
                frame,
                bool(directions and directions[0][0]),
                [arguments[i] for i in members],
                [peers[i] for i in members],
                None if flags is None else [flags[i] for i in members],
            )
        if not columns:
            order = places
        elif places != order:
            by_row = dict(zip(places, found, strict=True))
            found = [by_row[i] for i in order]
        columns.append(found)
    return zip([rows[i] for i in order], zip(*columns, strict=True), strict=True)


def _peers(count: int, orders: Sequence[list[Any]]) -> Sequence[Any]:
    """What rows that are peers have in common: the values of ORDER BY."""
    if not orders:
        return [()] * count
    return orders[0] if len(orders) == 1 else list(zip(*orders, strict=True))


def _partitions(
    count: int, keys: list[Any] | None, orders: Sequence[list[Any]], directions: Directions
) -> list[list[int]]:
    """Row numbers of each partition, sorted by the window's ORDER BY; partitions in the order of their keys."""
    groups: dict[Any, list[int]] = {}
    if keys is None:
        groups[None] = list(range(count))
    else:
        for i, key in enumerate(keys):
            groups.setdefault(key, []).append(i)
    passes = [
        (_sortable(values_, descending != nulls_first).__getitem__, descending)
        for values_, (descending, nulls_first) in zip(orders, directions, strict=True)
    ]
    for place, descending in reversed(passes):  # the last term first: sorting is stable
        for members in groups.values():
            members.sort(key=place, reverse=descending)
    return [groups[key] for key in _in_order(groups)]


def _in_order(keys: Collection[Any]) -> list[Any]:
    """Keys of partitions in their order, NULL first."""
    classes = set(map(type, keys)) - {type(None)}
    if len(classes) == 1 and classes <= _ORDERED:
        return [None] * (None in keys) + sorted(key for key in keys if key is not None)
    return sorted(keys, key=_partition_place)


_ORDERED = frozenset({int, str})


def _partition_place(key: Any) -> Any:
    if type(key) is tuple:
        return tuple(runtime.directed(value, False, True) for value in key)
    return runtime.directed(key, False, True)


_COMPARABLE = frozenset({int, float, Decimal})


def _sortable(values_: list[Any], nulls_smallest: bool) -> list[Any]:
    """Values that Python sorts as the engine does: as they are, if they are of one class."""
    classes = set(map(type, values_))
    null = type(None) in classes
    classes.discard(type(None))
    if not (classes <= _COMPARABLE or (len(classes) == 1 and (datetime not in classes or _are_alike(values_)))):
        values_ = [None if value is None else values.sort_key(value) for value in values_]
    if null:
        return [((value is not None) is nulls_smallest, value) for value in values_]
    return values_


def _are_alike(moments: list[Any]) -> bool:
    """Whether timestamps have all the same time zone, or none."""
    return len({moment.tzinfo for moment in moments if moment is not None}) == 1


def produce(unit: Unit, node: Window, consume: Callable[[], None]) -> None:
    """Writes the buffering of the input and the loop over its rows with their results."""
    rows = unit.fresh("buffer")
    unit.body.line(f"{rows} = []")
    buffer = RowBuffer(unit, node.input)
    place = len(unit.body.lines)
    at = unit.body.depth
    inputs: list[str] = []
    columns: list[str] = []

    def keep() -> None:
        unit.body.line(f"{rows}.append({buffer.pack()})")
        inputs.extend(_kept_input(unit, call, columns) for call in node.calls)

    unit.query.produce(node.input, keep)
    unit.body.lines[place:place] = [(at, f"{column} = []") for column in columns]
    specs = unit.constant(
        tuple((c.function, tuple((k.descending, k.nulls_first) for k in c.order)) for c in node.calls)
    )
    frames = tuple_code([_frame(unit, call.frame) for call in node.calls])
    name = f"r{node.source}"
    found = f"{unit.call(compute)}({specs}, {frames}, {rows}, {tuple_code(inputs)})"
    with unit.body.block(f"for {buffer.unpack()}, {name} in {found}"):
        buffer.bind()
        unit.env[node.source] = StoredRow(name)
        consume()


def _kept_input(unit: Unit, call: WindowCall, columns: list[str]) -> str:
    """Writes what keeps the input of one call for a row; code of its columns: keys, order, arguments, filter."""
    writer = unit.expr

    def kept(code: str) -> str:
        name = unit.fresh("w")
        columns.append(name)
        unit.body.line(f"{name}.append({code})")
        return name

    pairs = zip(call.partition, call.collations or ("BINARY",) * len(call.partition), strict=True)
    keys = [writer.folded(writer.value(key), collation) for key, collation in pairs]
    order = [kept(writer.folded(writer.value(k.expr), k.collation)) for k in call.order]
    args = [writer.value(arg) for arg in call.args]
    items = [
        "None" if not keys else kept(keys[0] if len(keys) == 1 else tuple_code(keys)),
        tuple_code(order) if order else "()",
        kept(tuple_code(args)) if args else "None",
        "None" if call.filter is None else kept(f"bool({writer.is_true(call.filter)})"),
    ]
    return tuple_code(items)


def _frame(unit: Unit, frame: Frame | None) -> str:
    if frame is None:
        return "None"
    bounds = [
        f"({bound.kind!r}, {'None' if bound.offset is None else unit.expr.value(bound.offset)})"
        for bound in (frame.start, frame.end)
    ]
    return f"({frame.unit!r}, {bounds[0]}, {bounds[1]}, {frame.exclude!r})"
