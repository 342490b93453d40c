"""LIMIT and OFFSET at the top of a query or subquery: the rows of one page."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

from zodbapi.codegen.whole_trees import as_range
from zodbapi.plan.expr import is_positive
from zodbapi.plan.nodes import IndexRange, Limit, Node, Project, RowidRange, Scan

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit


_NEAR = 1000  # items that are skipped one by one: a slice asks all leaves of a tree for their lengths


def page(items: Any, limit: int | None, offset: int | None) -> Any:
    """Of the items of a tree, or any others, those of one page; a tree skips many items without reading them."""
    start = max(offset or 0, 0)
    stop = None if limit is None or limit < 0 else min(start + limit, sys.maxsize)
    if start > _NEAR and hasattr(items, "__getitem__"):
        return items[start:stop]
    return islice(items, min(start, sys.maxsize), stop)


def collect(unit: Unit, node: Limit) -> None:
    """Writes the body of a function that returns the page's rows."""
    body = unit.body
    limit = unit.query.count(node.limit)
    offset = unit.query.count(node.offset)
    if limit is not None and not is_positive(node.limit):
        with body.block(f"if {limit} == 0"):
            body.line("return []")
    start = len(body.lines)
    body.line("out = []")
    if _is_row_for_row(node.input):
        _slice(unit, node.input, start, limit, offset)
        return
    seen = unit.fresh("n")
    if offset is not None:
        body.line(f"{seen} = -max({offset}, 0)")

    def consume() -> None:
        body = unit.body
        if offset is None:
            body.line(f"out.append({unit.query.row(node)})")
            with body.block(f"if len(out) == {limit}"):
                body.line("return out")
            return
        body.line(f"{seen} += 1")
        with body.block(f"if {seen} > 0"):
            body.line(f"out.append({unit.query.row(node)})")
            if limit is not None:
                with body.block(f"if {seen} == {limit}"):
                    body.line("return out")

    unit.query.produce(node.input, consume, whole=True)
    body.line("return out")


def _is_row_for_row(node: Node) -> bool:
    """Whether the node's code is one loop, each of whose items gives a row."""
    return isinstance(node, Project) and isinstance(node.input, (Scan, RowidRange, IndexRange))


def _is_backwards(node: Node) -> bool:
    match node:
        case Project(input=IndexRange(rotated=True)):
            return False
        case Project(input=Scan(descending=True) | RowidRange(descending=True) | IndexRange(descending=True)):
            return True
        case _:
            return False


def _slice(unit: Unit, node: Node, start: int, limit: str | None, offset: str | None) -> None:
    """The rows of one loop: the items before the page are not looked at."""
    lines = unit.body.lines
    unit.query.append_rows(node)
    place = next(i for i in range(start, len(lines)) if lines[i][1].startswith("for "))
    target, _, items = as_range(lines[place][1]).removesuffix(":").partition(" in ")
    if offset is not None and _is_backwards(node):
        items, offset = f"{items.removesuffix(')')}, skip={offset})", None
    lines[place] = lines[place][0], f"{target} in {unit.call(page)}({items}, {limit}, {offset}):"
    unit.query.return_rows(start)
