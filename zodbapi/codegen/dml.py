"""INSERT, UPDATE and DELETE -> programs around the functions of ``table_writer``.

The rows to change are collected before the first of them is changed, so a statement never sees its own writes
(https://en.wikipedia.org/wiki/Halloween_Problem). RETURNING rows are made as each row is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from zodbapi.codegen import runtime
from zodbapi.codegen.constraints import rowid_name
from zodbapi.codegen.insert_rows import can_insert_many, generate_rows_insert
from zodbapi.codegen.page import page
from zodbapi.codegen.plain_writes import (
    SimpleUpdate,
    comes_once,
    is_single,
    return_row,
    simple_delete,
    simple_touch,
    writer_function,
)
from zodbapi.codegen.table_writer import WriterProgram, convert_column
from zodbapi.codegen.unit import StoredRow, stored_row, tuple_code
from zodbapi.errors import IntegrityError
from zodbapi.plan.expr import Const, Expr
from zodbapi.plan.nodes import OLD_ROW, Delete, Insert, Instead, Limit, Update, Values, output_source
from zodbapi.plan.walk import needs_its_row_alone
from zodbapi.uncollected import UNCOLLECTED

if TYPE_CHECKING:
    from zodbapi.catalog import Table
    from zodbapi.codegen.unit import Unit
    from zodbapi.plan.nodes import ConflictClause

WORTHWHILE: Final = 16  # rows of a query: from that number on, inserting them in one go is worth a program of its own


def write(unit: Unit, node: Insert | Update | Delete, writer: WriterProgram) -> None:
    """Writes the body of a program that changes rows."""
    body = unit.body
    body.line("n = 0")
    policy = "" if isinstance(node, Delete) else node.policy
    if writer.silent is not None:
        body.line(f"txn.policy = {policy!r}")
    if node.returning is not None:
        body.line("out = []")
    with _uncollected(unit) if _is_of_many(node) else nullcontext():
        _write(unit, node, writer)
    if writer.silent is not None and policy:
        body.line("txn.policy = ''")
    body.line("txn.count_changes(n)")
    body.line("return None" if node.returning is None else "return out")


def _is_of_many(node: Insert | Update | Delete) -> bool:
    """Whether the statement may write many rows."""
    return not (isinstance(node.input, Values) or is_single(node.input))


def _uncollected(unit: Unit) -> AbstractContextManager[None]:
    """What the ``with`` writes runs while the garbage collector rests."""
    return unit.body.block(f"with {unit.call_value(UNCOLLECTED, 'uncollected')}")


def _write(unit: Unit, node: Insert | Update | Delete, writer: WriterProgram) -> None:
    match node:
        case Insert():
            _Insert(unit, node, writer).write()
        case Update() if (touch := simple_touch(node, writer)) is not None:
            SimpleUpdate(unit, node, writer, touch).write()
        case Update():
            _update(unit, node, writer)
        case Delete() if writer.silent is None and not writer.cascades and comes_once(node.input, node.source):
            simple_delete(unit, node, writer)
        case Delete():
            _delete(unit, node, writer)


@contextmanager
def _writing(unit: Unit, writer: WriterProgram, call: str) -> Iterator[None]:
    """Writes the call that changes a row; what the ``with`` writes is for a row that no trigger had ignored."""
    if writer.silent is None:
        unit.body.line(call)
        yield
    else:
        with unit.body.block(f"if not {call}"):
            unit.body.line("pass")
            yield


@contextmanager
def _undone(unit: Unit, action: str) -> Iterator[None]:
    """What the ``with`` writes changes one row; under IGNORE and FAIL it is undone if a constraint fails."""
    body = unit.body
    if action not in ("ignore", "fail"):
        yield
        return
    body.line("mark = txn.mark()")
    with body.block("try"):
        yield
    with body.block(f"except {unit.call_value(IntegrityError, 'IntegrityError')} as error"):
        with body.block("if error.resolution"):
            body.line("raise  # of a trigger or a foreign key, which decide for themselves")
        body.line("txn.undo_to(mark)")
        if action == "fail":
            body.line("raise")


class _Insert:
    def __init__(self, unit: Unit, node: Insert, writer: WriterProgram) -> None:
        self.unit = unit
        self.node = node
        self.writer = writer
        self.table = node.table

    def write(self) -> None:
        unit, node = self.unit, self.node
        if isinstance(node.input, Values):
            unit.query.produce(node.input, self._row)
            return
        # A SELECT may read the table that it is inserted into.
        name = unit.query.rows_function(node.input)
        source = output_source(node.input)
        unit.env[source] = StoredRow(f"r{source}")
        unit.body.line(f"found = {name}()")
        if can_insert_many(node, self.writer) and OLD_ROW not in unit.env:  # whose parameters are not a trigger's rows
            insert = cache(partial(generate_rows_insert, node, self.writer, unit.collations))
            done = f"(done := {unit.call_value(insert, 'insert_many')}().attempt(txn, found, p)) is not None"
            with unit.body.block(f"if len(found) >= {WORTHWHILE} and {done}"):
                unit.body.line("return done[0]")
        with unit.body.block(f"for r{source} in found"):
            self._row()

    def _row(self) -> None:
        """Makes one row and writes it."""
        unit, table = self.unit, self.table
        codes = ["None" if expr is None else unit.expr.value(expr) for expr in self.node.values]
        position = table.rowid_column
        given = self.node.rowid if position is None else self.node.values[position]
        if self.writer.before_insert is None:
            self._rowid(given)
            self._checked_row(codes)
            return
        # BEFORE triggers fire first, whatever comes of the row; what they insert may have the next rowid.
        names = [f"v{i}" for i in range(len(codes))]
        for i, name in enumerate(names):
            if i != position:
                unit.body.line(f"{name} = {codes[i]}")
        self._given_rowid(given, names[position] if position is not None else "given")
        arguments = f"txn, {names[position] if position is not None else 'given'}, {tuple_code(names)}"
        with unit.body.block(f"if not {writer_function(unit, self.writer, 'before_insert')}({arguments})"):
            unit.body.line(f"rowid = {names[position] if position is not None else 'given'}")
            with unit.body.block("if rowid is None"):
                unit.body.line(f"rowid = {self._following()}")
            self._checked_row(names)

    def _checked_row(self, codes: list[str]) -> None:
        """Makes the row, for which NOT NULL and CHECK hold, and writes it."""
        unit, body = self.unit, self.unit.body
        if self.table.rowid_column is not None:
            codes[self.table.rowid_column] = "rowid"
        make_row = f"row = {writer_function(unit, self.writer, 'make_row')}({', '.join(codes)})"
        if not any(clause.any_constraint and clause.action == "ignore" for clause in self.node.clauses):
            body.line(make_row)
            self._write_row()
            return
        with body.block("try"):
            body.line(make_row)
        with body.block(f"except {unit.call_value(IntegrityError, 'IntegrityError')}"):
            body.line("pass  # NOT NULL or CHECK")
        with body.block("else"):
            self._write_row()

    def _write_row(self) -> None:
        """Stores the row, or does what the clauses say if one of its keys is there already."""
        if not self.node.clauses:
            self._store()
        else:
            self._resolve(list(self.node.clauses))

    def _following(self) -> str:
        return f"txn.next_rowid({self.table.id}, {self.table.autoincrement})"

    def _rowid(self, given: Expr | None) -> None:
        if given is None or (isinstance(given, Const) and given.value is None):
            self.unit.body.line(f"rowid = {self._following()}")
            return
        self._given_rowid(given, "rowid")
        with self.unit.body.block("if rowid is None"):
            self.unit.body.line(f"rowid = {self._following()}")

    def _given_rowid(self, given: Expr | None, variable: str) -> None:
        unit = self.unit
        name = unit.namespace.constant(rowid_name(self.table))
        code = "None" if given is None else f"{unit.call(runtime.given_rowid)}({unit.expr.value(given)}, {name})"
        unit.body.line(f"{variable} = {code}")

    def _store(self) -> None:
        with _writing(self.unit, self.writer, f"{writer_function(self.unit, self.writer, 'insert')}(txn, rowid, row)"):
            self.unit.body.line("txn.last_rowid = rowid")
            return_row(self.unit, self.node, "row", "rowid")

    def _resolve(self, clauses: list[ConflictClause]) -> None:
        """What happens to a row with conflicts: the first clause that covers one of them decides."""
        body = self.unit.body
        body.line(f"found = {writer_function(self.unit, self.writer, 'conflicts')}(txn, rowid, row)")
        for number, clause in enumerate(clauses):
            keyword = "if" if number == 0 else "elif"
            with body.block(f"{keyword} {self._covers(clause)}"):
                self._act(clause)
        with body.block("else"):
            self._store()

    def _covers(self, clause: ConflictClause) -> str:
        if clause.indexes is None:
            return "found"
        wanted = self.unit.namespace.constant(frozenset(clause.indexes))
        return f"found and any([index in {wanted} for index, _ in found])"

    def _act(self, clause: ConflictClause) -> None:
        body = self.unit.body
        match clause.action:
            case "ignore":
                body.line("pass")
            case "replace":
                delete = writer_function(
                    self.unit, self.writer, "displace" if self.writer.displace else "delete", "displace"
                )
                with body.block("for other in {other for _, other in found}"):
                    body.line(f"{delete}(txn, other, txn.rows({self.table.id})[other])")
                self._store()
            case "update":
                self._update_existing(clause)
            case "fail":
                with _undone(self.unit, "fail"):
                    self._store()
            case _:
                self._store()  # fails with the constraint's own message

    def _update_existing(self, clause: ConflictClause) -> None:
        unit, body, table = self.unit, self.unit.body, self.table
        wanted = "None" if clause.indexes is None else unit.namespace.constant(frozenset(clause.indexes))
        body.line(f"other = {unit.call(runtime.conflicting_rowid)}(found, {wanted})")
        body.line(f"old = txn.rows({table.id})[other]")
        unit.env[clause.existing] = unit.table_row(table, "old", "other")
        unit.env[clause.excluded] = unit.table_row(table, "row", "rowid")

        def change() -> None:
            with _changing(unit, table, self.writer, clause.assignments, old="old", old_rowid="other"):
                return_row(unit, self.node, "new", "new_rowid")

        if self.writer.silent is not None:
            body.line("txn.policy = 'abort'")
        if clause.where is None:
            change()
        else:
            with body.block(f"if {unit.expr.is_true(clause.where)}"):
                change()
        if self.writer.silent is not None:
            body.line(f"txn.policy = {self.node.policy!r}")


@contextmanager
def _changing(
    unit: Unit,
    table: Table,
    writer: WriterProgram,
    assignments: tuple[tuple[int, Expr], ...],
    *,
    old: str,
    old_rowid: str,
    computed: dict[int, str] | None = None,
    rowid: str | None = None,
    action: str = "abort",
) -> Iterator[None]:
    """Writes the change of one row to ``new`` and ``new_rowid``; what the ``with`` writes is for a row that was changed."""
    body = unit.body
    codes = [f"{old}[{position}]" for position in range(len(table.columns))]
    for position, expr in assignments:
        codes[position] = computed[position] if computed else unit.expr.value(expr)
    column = table.rowid_column
    changed = rowid or (codes[column] if column is not None and codes[column] != f"{old}[{column}]" else None)
    if changed is None:
        body.line(f"new_rowid = {old_rowid}")
    else:
        name = unit.namespace.constant(rowid_name(table))
        body.line(f"new_rowid = {unit.call(runtime.required_rowid)}({changed}, {name})")
        if column is not None:
            codes[column] = "new_rowid"
    assigned = unit.namespace.constant(frozenset(position for position, _ in assignments)) if writer.silent else ""
    if writer.before_update is not None:  # constraints are looked at after the BEFORE triggers
        before_update = writer_function(unit, writer, "before_update")
        body.line(f"proposal = {before_update}(txn, {old_rowid}, {old}, new_rowid, {tuple_code(codes)}, {assigned})")
        with body.block("if proposal is not None"), _undone(unit, action):
            body.line("standing, proposal = proposal")
            body.line(f"new = {writer_function(unit, writer, 'make_row')}(*proposal)")
            _displace(unit, table, writer, action, old_rowid)
            after = f"{old_rowid}, {old}, standing, new_rowid, new, {assigned}"
            body.line(f"{writer_function(unit, writer, 'update_after')}(txn, {after})")
            yield
        return
    with _undone(unit, action):
        _new_row(unit, table, writer, assignments, codes)
        _displace(unit, table, writer, action, old_rowid)
        arguments = ", ".join(filter(None, (f"txn, {old_rowid}, {old}, new_rowid, new", assigned)))
        with _writing(unit, writer, f"{writer_function(unit, writer, 'update')}({arguments})"):
            yield


def _new_row(
    unit: Unit, table: Table, writer: WriterProgram, assignments: tuple[tuple[int, Expr], ...], codes: list[str]
) -> None:
    """Writes the making of ``new``, for which all constraints of the row itself hold."""
    for position, _ in assignments:
        if position != table.rowid_column:
            name = f"new{position}"
            unit.body.line(f"{name} = {codes[position]}")
            convert_column(unit, table, position, name)
            codes[position] = name
    row = tuple_code(codes)
    unit.body.line(
        f"new = {row}" if writer.complete is None else f"new = {writer_function(unit, writer, 'complete')}({row})"
    )


def _displace(unit: Unit, table: Table, writer: WriterProgram, action: str, old_rowid: str) -> None:
    """Under REPLACE, writes the deletion of the rows that are in the way of ``new``."""
    if action != "replace":
        return
    delete = writer_function(unit, writer, "displace" if writer.displace else "delete", "displace")
    conflicts = writer_function(unit, writer, "conflicts")
    with unit.body.block(f"for other in {{other for _, other in {conflicts}(txn, new_rowid, new)}} - {{{old_rowid}}}"):
        unit.body.line(f"{delete}(txn, other, txn.rows({table.id})[other])")


def _collect(unit: Unit, node: Update | Delete, codes: Callable[[], list[str]] | None) -> None:
    """Collects the rows to change in ``found``, by rowid; if there are ``codes``, as the first of what each item has."""
    unit.rowids_used.add(node.source)
    start = len(unit.body.lines)
    unit.body.line("found = {}")

    def keep() -> None:
        row = unit.env[node.source]
        item = stored_row(row) if codes is None else tuple_code([stored_row(row), *codes()])
        once = codes is None and comes_once(node.input, node.source)
        unit.body.line(f"found[{row.rowid}] = {item}" if once else f"found.setdefault({row.rowid}, {item})")

    if not isinstance(node.input, Limit):
        unit.query.produce(node.input, keep)
        unit.comprehend(start, "found")
        return
    # What LIMIT cuts are rows of the table, which need their rowids: they are all found first.
    unit.query.produce(node.input.input, keep)
    limit, offset = unit.query.count(node.input.limit), unit.query.count(node.input.offset)
    unit.body.line(f"found = dict({unit.call(page)}(found.items(), {limit}, {offset}))")


def _update(unit: Unit, node: Update, writer: WriterProgram) -> None:
    """The new values are computed from the rows as they were before the statement."""
    exprs = [expr for _, expr in node.assignments]
    if node.rowid is not None:
        exprs.append(node.rowid)
    _collect(unit, node, lambda: [unit.expr.value(expr) for expr in exprs])
    names = [f"v{i}" for i in range(len(exprs))]
    computed = {position: names[i] for i, (position, _) in enumerate(node.assignments)}
    rowid = names[-1] if node.rowid is not None else None
    body, table = unit.body, node.table
    with body.block(f"for rowid, {tuple_code(['row', *names])} in found.items()"):
        _current_row(unit, node)

        with _changing(
            unit, table, writer, node.assignments, old="row", old_rowid="rowid", computed=computed, rowid=rowid,
            action=node.action,
        ):  # fmt: skip
            return_row(unit, node, "new", "new_rowid")


def _current_row(unit: Unit, node: Update | Delete) -> None:
    """A cascade of an earlier row may have changed or deleted this one."""
    unit.body.line(f"row = {unit.query.tree(node.table.id)}.get(rowid)")
    with unit.body.block("if row is None"):
        unit.body.line("continue")


def _delete(unit: Unit, node: Delete, writer: WriterProgram) -> None:
    _collect(unit, node, None)
    if writer.silent is None and writer.cascades and all(map(needs_its_row_alone, node.returning or ())):
        with unit.body.block(f"if {unit.call_value(writer.delete_all, 'delete_all')}(txn, found=found)"):
            if node.returning is None:
                unit.body.line("n = len(found)")
            else:
                with unit.body.block("for rowid, row in found.items()"):
                    return_row(unit, node, "row", "rowid")
            unit.body.line("found = ()")
    with unit.body.block("for rowid in found"):
        _current_row(unit, node)
        with _writing(unit, writer, f"{writer_function(unit, writer, 'delete')}(txn, rowid, row)"):
            return_row(unit, node, "row", "rowid")


def write_instead(unit: Unit, node: Instead, fire: Callable[..., None]) -> None:
    """Writes the body of a program that hands rows of a view to its triggers. They do not count as changed."""
    unit.body.line("found = []")
    unit.body.line(f"txn.policy = {node.policy!r}")
    if node.returning is not None:
        unit.body.line("out = []")

    def keep() -> None:
        codes = []
        for row in (node.old, node.new):
            cells = None if row is None else ["None" if e is None else unit.expr.value(e) for e in row]
            codes.append("None" if cells is None else tuple_code(cells))
        unit.body.line(f"found.append({tuple_code(codes)})")

    unit.query.produce(node.input, keep, whole=True)
    assigned = unit.namespace.constant(frozenset(node.assigned))
    with unit.body.block("for old, new in found"):
        unit.body.line(f"{unit.call_value(fire, 'instead')}(txn, {node.event!r}, old, new, {assigned})")
        if node.returning is not None:
            unit.env[node.source] = StoredRow("old" if node.event == "DELETE" else "new")
            returned = tuple_code([unit.expr.value(expr) for expr in node.returning])
            unit.body.line(f"out.append({returned})")
    unit.body.line("txn.count_changes(0)")
    unit.body.line("return None" if node.returning is None else "return out")
