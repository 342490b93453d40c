"""UPDATE and DELETE of rows that come once each from a plain access, and write no rows but those.

In: the plan. Out: the body of a program that collects the rows to change and changes them, all in one go where no row can be in
the way of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zodbapi.codegen import access
from zodbapi.codegen.runtime import changed
from zodbapi.codegen.table_writer import PLAIN, Touch, WriterProgram, convert_column, converted, differs
from zodbapi.codegen.unit import stored_row, tuple_code
from zodbapi.plan.expr import Expr
from zodbapi.plan.nodes import (
    Delete,
    Filter,
    HashJoin,
    IndexRange,
    IndexSeek,
    Insert,
    Join,
    Node,
    RowidRange,
    RowidSeek,
    Scan,
    Update,
)
from zodbapi.plan.walk import needs_its_row_alone
from zodbapi.undo import REPLACED

if TYPE_CHECKING:
    from collections.abc import Container

    from zodbapi.codegen.unit import Unit

# Rows, from which on it pays to put empty trees in the place of a table's: that is a change of the trees of the schema.
WORTH_EMPTYING: Final = 1000


def writer_function(unit: Unit, writer: WriterProgram, name: str, shown: str = "") -> str:
    """The writer's function under its own name, or another."""
    return unit.call_value(getattr(writer, name), shown or name)


def return_row(unit: Unit, node: Insert | Update | Delete, row: str, rowid: str) -> None:
    """Counts the row, and appends what RETURNING makes of it."""
    unit.body.line("n += 1")
    if node.returning is None:
        return
    unit.env[node.source] = unit.table_row(node.table, row, rowid)
    codes = [unit.expr.value(expr) for expr in node.returning]
    unit.body.line(f"out.append({tuple_code(codes) if codes else '()'})")


def comes_once(node: Node, source: int) -> bool:
    """Whether the input is an access to the rows to change, which emits each of them once, or keeps some of them."""
    match node:
        case Filter(input=child):
            return comes_once(child, source)
        case Join(kind="semi" | "anti", left=child) | HashJoin(kind="semi" | "anti", left=child):
            return comes_once(child, source)
        case Scan() | RowidSeek() | RowidRange() | IndexSeek() | IndexRange():
            return node.source == source
        case _:
            return False


def is_single(node: Node) -> bool:
    """Whether the input is an access that finds one row at most."""
    while isinstance(node, Filter):
        node = node.input
    return access.finds_one(node)


def simple_touch(node: Update, writer: WriterProgram) -> Touch | None:
    """What the statement does besides storing rows, if it writes no other rows and leaves rowids and triggers alone."""
    positions = frozenset(position for position, _ in node.assignments)
    if writer.silent is not None or node.rowid is not None or node.table.rowid_column in positions:
        return None
    if node.action not in ("abort", "rollback") or not comes_once(node.input, node.source):
        return None
    touch = writer.touch(positions)
    return None if touch.cascades else touch


def _each_found(unit: Unit, node: Update | Delete, exprs: list[Expr]) -> str:
    """Writes the list ``found`` of the rows to change; the target of a loop over it.

    An item has the row, its rowid if that is no column, and the values of the expressions.
    """
    unit.rowids_used.add(node.source)
    start = len(unit.body.lines)
    unit.body.line("found = []")
    names = ["row"] if node.table.rowid_column is not None else ["row", "rowid"]

    def keep() -> None:
        row = unit.env[node.source]
        items = [stored_row(row), row.rowid][: len(names)] + [unit.expr.value(expr) for expr in exprs]
        unit.body.line(f"found.append({items[0] if len(items) == 1 else tuple_code(items)})")

    unit.query.produce(node.input, keep)
    unit.comprehend(start, "found")
    names += [f"v{i}" for i in range(len(exprs))]
    return ", ".join(names)


def simple_delete(unit: Unit, node: Delete, writer: WriterProgram) -> None:
    """Writes the deletion of rows that nothing but their own table depends on."""
    delete = writer_function(unit, writer, "delete")
    if is_single(node.input):

        def remove() -> None:
            row = unit.env[node.source]
            unit.body.line(f"{delete}(txn, {row.rowid}, {stored_row(row)})")
            return_row(unit, node, stored_row(row), row.rowid)

        unit.rowids_used.add(node.source)
        unit.query.produce(node.input, remove)
        return
    if isinstance(node.input, Scan) and not writer.has_children and node.returning is None:
        tree = unit.query.tree(node.table.id)
        with unit.body.block(f"if txn.alone and (n := len({tree})) >= {WORTH_EMPTYING}"):
            unit.body.line(f"txn.empty({unit.namespace.constant(node.table)})")
        with unit.body.block("else"):
            _delete_found(unit, node, writer)
        return
    _delete_found(unit, node, writer)


def _delete_found(unit: Unit, node: Delete, writer: WriterProgram) -> None:
    """Writes the deletion of rows that are collected first."""
    delete = writer_function(unit, writer, "delete")
    target, body = _each_found(unit, node, []), unit.body
    column = node.table.rowid_column
    rowid = "rowid" if column is None else f"row[{column}]"
    if writer.restricts_itself or not all(map(needs_its_row_alone, node.returning or ())):
        with body.block(f"for {target} in found"):
            body.line(f"{delete}(txn, {rowid}, row)")
            return_row(unit, node, "row", rowid)
        return
    with body.block("if len(found) < 3"), body.block(f"for {target} in found"):
        body.line(f"{delete}(txn, {rowid}, row)")
    with body.block("else"):
        rows = "found" if target == "row" else f"[row for {target} in found]"
        many = unit.call_value(writer.many, "many")
        body.line(f"{many}().delete(txn, [{rowid} for {target} in found], {rows})")
    if node.returning is None:
        body.line("n = len(found)")
        return
    with body.block(f"for {target} in found"):
        return_row(unit, node, "row", rowid)


class SimpleUpdate:
    """An UPDATE that stores rows in the place of rows, and touches indexes and foreign keys of the columns it sets."""

    def __init__(self, unit: Unit, node: Update, writer: WriterProgram, touch: Touch) -> None:
        self.unit = unit
        self.node = node
        self.writer = writer
        self.touch = touch
        self.tree = unit.query.tree(node.table.id)

    def write(self) -> None:
        unit, node = self.unit, self.node
        if is_single(node.input):
            unit.rowids_used.add(node.source)
            unit.query.produce(node.input, self._change_one)
            return
        fixed = [(position, expr) for position, expr in node.assignments if unit.expr.independent(expr)]
        varied = [(position, expr) for position, expr in node.assignments if not unit.expr.independent(expr)]
        at_once = self.touch.fits_many and all(map(needs_its_row_alone, node.returning or ()))
        target = _each_found(unit, node, [] if at_once else [expr for _, expr in varied])
        column = node.table.rowid_column
        rowid = "rowid" if column is None else f"row[{column}]"
        with unit.body.block("if found"):
            for position, expr in fixed:
                self._convert(position, unit.expr.value(expr))
            if at_once:
                self._store_all(target, rowid, varied)
                return
            unit.body.line("undo = txn.undo")
            with unit.body.block(f"for {target} in found"):
                for number, (position, _) in enumerate(varied):
                    self._convert(position, f"v{number}")
                self._make(self._cells("row"))
                self._store("row", rowid)

    def _store_all(self, target: str, rowid: str, varied: list[tuple[int, Expr]]) -> None:
        """Writes what makes all rows, then stores them."""
        unit, body, table = self.unit, self.unit.body, self.node.table
        start = len(body.lines)
        body.line("made = []")
        # Taking a row apart and putting it together is faster than asking for one column after the other.
        assigned = {position for position, _ in self.node.assignments}
        cells = ["_" if i in assigned else f"o{i}" for i in range(len(table.columns))]
        with body.block(f"for {target} in found"):
            body.line(f"{tuple_code(cells)[1:-1]} = row")
            with unit.bound({self.node.source: unit.table_row(table, "row", rowid)}):
                for position, expr in varied:
                    cells[position] = converted(unit, table, position, unit.expr.value(expr))
            new = self._new_row(cells, {position for position, _ in varied})
            body.line(f"made.append({self._completed(new) if self._generates() else new})")
        unit.comprehend(start, "made")
        if not self._generates():
            self._check_all({position for position, _ in varied})
        if self._is_large():
            body.line(f"made = [txn.put_away(new, {table.large}) for new in made]")
        body.line(f"rowids = [{rowid} for {target} in found]")
        if target != "row":
            body.line(f"found = [row for {target} in found]")
        self._return_all()
        shown = tuple(sorted(i for i in assigned if table.columns[i].type.kind not in PLAIN))
        body.line(f"rowids, found, made = {unit.call(changed)}(txn, rowids, found, made, {shown})")
        body.line(f"txn.undo.append(({self.tree}, (rowids, found), {unit.call_value(REPLACED, 'REPLACED')}))")
        body.line(f"{self.tree}.update(list(zip(rowids, made)))")
        if not self.touch.is_nothing:
            body.line(f"{unit.call_value(self.touch.many(), 'touch_rows')}(txn, rowids, found, made)")

    def _check_all(self, varied: set[int]) -> None:
        """Writes the CHECKs of all new rows; a row for which one is false is asked again, for which it is."""
        unit, assigned = self.unit, {position for position, _ in self.node.assignments}
        asked = [(expr, columns) for expr, columns in self.writer.conditions if not columns.isdisjoint(assigned)]
        if not asked:
            return
        with unit.bound({0: unit.table_row(self.node.table, "new", "None")}):
            test = " or ".join(unit.expr.is_false(expr) for expr, _ in asked)
        # What only depends on values that all rows get is the same for all.
        same = all(columns <= assigned - varied for _, columns in asked)
        with unit.body.block(f"for new in {'made[:1]' if same else 'made'}"), unit.body.block(f"if {test}"):
            unit.body.line(f"{writer_function(unit, self.writer, 'complete')}(new)")

    def _return_all(self) -> None:
        """Counts the rows, and appends what RETURNING makes of them."""
        if self.node.returning is None:
            self.unit.body.line("n = len(made)")
            return
        with self.unit.body.block("for rowid, new in zip(rowids, made)"):
            return_row(self.unit, self.node, "new", "rowid")

    def _change_one(self) -> None:
        row = self.unit.env[self.node.source]
        for position, expr in self.node.assignments:
            self._convert(position, self.unit.expr.value(expr))
        self._make(self._cells(stored_row(row)))
        self.unit.body.line("undo = txn.undo")
        self._store(stored_row(row), row.rowid)

    def _is_large(self) -> bool:
        """Whether a new value may be one that leaves its row."""
        return any(position in self.node.table.large for position, _ in self.node.assignments) or (
            self.writer.complete is not None and bool(self.node.table.large)
        )

    def _convert(self, position: int, code: str) -> None:
        self.unit.body.line(f"new{position} = {code}")
        convert_column(self.unit, self.node.table, position, f"new{position}")

    def _cells(self, row: str) -> list[str]:
        """Code of the columns of a row."""
        return [f"{row}[{position}]" for position in range(len(self.node.table.columns))]

    def _new_row(self, cells: list[str], made: Container[int] = ()) -> str:
        """Code of the new row; that of the columns ``made`` is among the cells already."""
        codes = list(cells)
        for position, _ in self.node.assignments:
            if position not in made:
                codes[position] = f"new{position}"
        return tuple_code(codes)

    def _completed(self, new: str) -> str:
        """Code of the new row with what is computed from it, and checked, where that may have changed."""
        assigned = {position for position, _ in self.node.assignments}
        if self._generates() or not all(assigned.isdisjoint(columns) for _, columns in self.writer.conditions):
            return f"{writer_function(self.unit, self.writer, 'complete')}({new})"
        return new

    def _generates(self) -> bool:
        """Whether generated columns may get other values."""
        return not self.writer.generated_from.isdisjoint(position for position, _ in self.node.assignments)

    def _make(self, cells: list[str]) -> None:
        """Writes the making of ``new``."""
        self.unit.body.line(f"new = {self._completed(self._new_row(cells))}")
        if self._is_large():
            self.unit.body.line(f"new = txn.put_away(new, {self.node.table.large})")

    def _store(self, row: str, rowid: str) -> None:
        """Writes what stores one row, if it is another than before; it is logged before."""
        unit, body = self.unit, self.unit.body
        with body.block(f"if {differs('new', row, self.node.table, [p for p, _ in self.node.assignments])}"):
            body.line(f"undo.append(({self.tree}, {rowid}, {row}))")
            body.line(f"{self.tree}[{rowid}] = new")
            if not self.touch.is_nothing:
                body.line(f"{unit.call_value(self.touch.one(), 'touch')}(txn, {rowid}, {row}, new)")
        return_row(unit, self.node, "new", rowid)
