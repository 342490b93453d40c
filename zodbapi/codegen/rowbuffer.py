"""Buffered rows: what a pipeline breaker keeps of the sources of its input, and how the code after it reads them.

The row of each source that is used anywhere, and its rowid if that is used and not a column, are packed into a
tuple and unpacked into variables of the same names on the other side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zodbapi.codegen.unit import StoredRow, stored_row, tuple_code
from zodbapi.plan import nodes
from zodbapi.plan.nodes import Distinct, Filter, HashJoin, Join, Limit, Node, Sort, Window, output_source
from zodbapi.plan.walk import descend
from zodbapi.record import replace

if TYPE_CHECKING:
    from zodbapi.codegen.unit import RowAccess, Unit


def visible_sources(node: Node) -> list[int]:
    """The sources that code above the node may read."""
    match node:
        case Filter(input=child) | Sort(input=child) | Limit(input=child) | Distinct(input=child):
            return visible_sources(child)
        case Join(kind="semi" | "anti", left=left) | HashJoin(kind="semi" | "anti", left=left):
            return visible_sources(left)
        case Join(left=left, right=right) | HashJoin(left=left, right=right):
            return visible_sources(left) + visible_sources(right)
        case Window(input=child, source=source):
            return [*visible_sources(child), source]
        case _:
            return [output_source(node)]


class RowBuffer:
    """Packs and unpacks the rows of one node's sources."""

    def __init__(self, unit: Unit, node: Node, *, whole: bool = False) -> None:
        self.unit = unit
        self.sources = [s for s in visible_sources(node) if whole or unit.uses_source(s)]
        self._bound: dict[int, RowAccess] = {}
        self._rowids: list[int] = []

    def pack(self, before: list[str] | None = None) -> str:
        """Code of the current row, or of a tuple of several or with other codes before. Call it where they are bound."""
        codes = list(before or ())
        self._rowids = []
        for source in self.sources:
            access = self.unit.env[source]
            codes.append(stored_row(access))
            if not isinstance(access, StoredRow):
                self._bound[source] = StoredRow(f"r{source}", f"i{source}")
                continue
            if access.rowid_column is None and source in self.unit.rowids_used:
                codes.append(access.rowid)
                self._rowids.append(source)
            self._bound[source] = replace(access, name=f"r{source}", rowid_name=f"i{source}")
        return _packed(codes, alone=not before)

    def unpack(self, skipped: int = 0) -> str:
        """Target of a ``for`` over what was packed, without its first ``skipped`` items. Call it after ``pack``."""
        names = ["_"] * skipped
        for source in self.sources:
            names.append(f"r{source}")
            if source in self._rowids:
                names.append(f"i{source}")
        return _packed(names, alone=not skipped) if names else "_"

    def nulls(self, widths: dict[int, int]) -> str:
        """Code of what is packed when the rows are all NULL, as on the missing side of an outer join."""
        codes = []
        for source in self.sources:
            codes.append(self.unit.constant((None,) * widths[source]))
            if source in self._rowids:
                codes.append("None")
        return _packed(codes, alone=True)

    def bind(self) -> None:
        """From here on the sources are read from the unpacked variables."""
        self.unit.env.update(self._bound)


def _packed(codes: list[str], *, alone: bool) -> str:
    if len(codes) == 1 and alone:
        return codes[0]
    return tuple_code(codes) if codes else "()"


def source_widths(node: Node) -> dict[int, int]:
    """Number of columns of each visible source."""
    widths: dict[int, int] = {}
    for part in descend(node):
        table = getattr(part, "table", None)
        source = getattr(part, "source", None)
        if isinstance(part, Node) and source is not None:
            widths[source] = len(table.columns) if table is not None else row_width(part)
    return widths


def row_width(node: Node) -> int:
    """Number of columns of the row that a source-making node emits."""
    match node:
        case nodes.Project(columns=columns):
            return len(columns)
        case nodes.Aggregate(keys=keys, calls=calls):
            return len(keys) + len(calls)
        case nodes.Window(calls=calls):
            return len(calls)
        case nodes.Values(rows=rows):
            return len(rows[0])
        case nodes.IndexGroups(width=width):
            return width + 1
        case nodes.TableFunctionScan(function=function):
            return len(function.columns)
        case nodes.Compound(left=child) | nodes.Materialize(input=child) | nodes.Recursive(initial=child):
            return row_width(child)
        case Filter(input=child) | Sort(input=child) | Limit(input=child) | Distinct(input=child):
            return row_width(child)
        case nodes.WorkingRow():
            return 0
        case _:
            table = getattr(node, "table", None)
            assert table is not None, type(node).__name__
            return len(table.columns)
