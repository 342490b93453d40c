"""DISTINCT: the first of rows that are alike goes on, its key is kept in a set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zodbapi.codegen.unit import ComputedRow, StoredRow, is_cheap, tuple_code
from zodbapi.plan.nodes import Distinct, Filter, HashJoin, Join, Limit, Node, Passed, Project, Sort, output_source
from zodbapi.record import replace

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit

Consume = Callable[[], None]


def produce(unit: Unit, node: Distinct, consume: Consume) -> None:
    """Writes the loop over the input's rows, and the test that a row was not seen before."""
    seen = unit.fresh("seen")
    unit.body.line(f"{seen} = set()")
    match node.input:
        case (
            Project(
                columns=columns, input=Join(kind="semi" | "anti") | HashJoin(kind="semi" | "anti") as join
            ) as project
        ) if not node.on and len(columns) == node.columns and _is_binary(node.collations):
            unit.query.produce(join.left, lambda: _semi(unit, project, join, seen, consume))
        case _:
            unit.query.produce(node.input, lambda: _rows(unit, node, seen, consume), whole=True)


def _rows(unit: Unit, node: Distinct, seen: str, consume: Consume) -> None:
    source = output_source(node)
    row = unit.env[source]
    if node.on:
        _on(unit, node, seen, consume)
        return
    if isinstance(row, ComputedRow) and len(row.columns) == 1:
        _values(unit, node, row, seen, consume)
        return
    name = f"r{source}"
    unit.body.line(f"{name} = {row.row}")
    unit.env[source] = StoredRow(name)
    key = name
    if not _is_binary(node.collations):
        codes = [unit.expr.folded(f"{name}[{i}]", c) for i, c in enumerate(node.collations[: node.columns])]
        key = tuple_code(codes)
    elif _width(node.input) not in (-1, node.columns):
        key = f"{name}[:{node.columns}]"
    _once(unit, key, seen, consume)


def _once(unit: Unit, key: str, seen: str, consume: Consume) -> None:
    first, again = unit.expr.hold(key)
    with unit.body.block(f"if {first} not in {seen}"):
        unit.body.line(f"{seen}.add({again})")
        consume()


def _on(unit: Unit, node: Distinct, seen: str, consume: Consume) -> None:
    """Some expressions tell rows apart: a row is only made of the first."""
    source = output_source(node)
    row = unit.env[source]
    name = f"r{source}"
    collations = node.collations or ("BINARY",) * len(node.on)
    codes = [unit.expr.folded(unit.expr.value(e), c) for e, c in zip(node.on, collations, strict=True)]

    def keep() -> None:
        if not isinstance(row, StoredRow):
            unit.body.line(f"{name} = {row.row}")
            unit.env[source] = StoredRow(name)
        consume()

    _once(unit, codes[0] if len(codes) == 1 else tuple_code(codes), seen, keep)


def _semi(unit: Unit, project: Project, join: Join | HashJoin, seen: str, consume: Consume) -> None:
    """DISTINCT over a semi join: whether a left row has a match is only asked for a row not seen yet."""
    codes = [unit.expr.value(column) for column in project.columns]
    row = codes[0] if len(codes) == 1 else tuple_code(codes)
    name = row if is_cheap(row) else f"r{project.source}"
    if name != row:
        unit.body.line(f"{name} = {row}")

    def keep() -> None:
        unit.body.line(f"{seen}.add({name})")
        unit.env[project.source] = ComputedRow([name]) if len(codes) == 1 else StoredRow(name)
        consume()

    with unit.body.block(f"if {name} not in {seen}"):
        unit.query.produce(replace(join, left=Passed(-1)), keep)


def _values(unit: Unit, node: Distinct, row: ComputedRow, seen: str, consume: Consume) -> None:
    """DISTINCT over one column: the value is the key, and only new ones become rows."""
    first, again = unit.expr.hold(row.column(0))
    unit.env[output_source(node)] = ComputedRow([again])
    collation = node.collations[0] if node.collations else "BINARY"
    key = unit.expr.folded(again, collation)
    if first != again and key != again:
        unit.body.line(f"{again} = {row.column(0)}")
    test = first if key == again else key
    with unit.body.block(f"if {test} not in {seen}"):
        unit.body.line(f"{seen}.add({key})")
        consume()


def _width(node: Node) -> int:
    match node:
        case Project(columns=columns):
            return len(columns)
        case Filter() | Sort() | Limit() | Distinct():
            return _width(node.input)
        case _:
            return -1


def _is_binary(collations: tuple[str, ...]) -> bool:
    return all(collation.upper() == "BINARY" for collation in collations)
