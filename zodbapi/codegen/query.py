"""Relational nodes -> nested loops (produce/consume: Neumann, VLDB 2011).

``produce(node, consume)`` writes the code that makes the node's rows, and calls ``consume`` at the place where one
row is there, to write what happens with it. So a scan, its filters, joins and the projection become one loop nest,
and rows are only buffered where they must be: sorts, groups, hash tables, DISTINCT and compounds.

A subquery, a LIMIT below the root, a compound and a CTE become functions inside the program, which see the rows of
the enclosing loops through their closure: that is all there is to correlation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zodbapi.codegen import access, aggregate, distinct, index_groups, join, page, row_groups, runtime, sort, window
from zodbapi.codegen.descending import take_last
from zodbapi.codegen.unit import ComputedRow, RowAccess, StoredRow, Unit, is_cheap, tuple_code
from zodbapi.plan.expr import Column, Const, Expr, InQuery, Param, is_positive
from zodbapi.plan.nodes import (
    Aggregate,
    Compound,
    Distinct,
    Filter,
    FirstOfEach,
    HashJoin,
    HashSeek,
    IndexGroups,
    IndexRange,
    IndexSeek,
    Join,
    Limit,
    Materialize,
    Node,
    Passed,
    Project,
    Recursive,
    RowidRange,
    RowidSeek,
    Scan,
    Sort,
    TableFunctionScan,
    Values,
    Window,
    WorkingRow,
    output_source,
)
from zodbapi.plan.walk import free_sources, working_source

Consume = Callable[[], None]


class QueryWriter:
    """Writes the relational nodes of one program."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._ctes: dict[int, str] = {}
        self._working: dict[int, str] = {}

    # --- whole queries --------------------------------------------------------------------------------------------

    def collect(self, node: Node) -> None:
        """Writes the body of a function that returns the query's rows as a list of tuples."""
        body = self.unit.body
        if isinstance(node, Limit):
            if not sort.is_cut(node):
                page.collect(self.unit, node)
                return
            node = node.input
        stored = self._stored_as_it_is(node)
        if stored is not None:
            body.line(f"return list({stored}.values())")
            return
        start = len(body.lines)
        body.line("out = []")
        self.append_rows(node)
        self.return_rows(start)

    def return_rows(self, start: int) -> None:
        """Returns the list that the body makes from the line at ``start`` on."""
        body = self.unit.body
        if self.unit.comprehend(start, "out"):
            at, line = body.lines.pop()
            body.lines.append((at, f"return {line.removeprefix('out = ')}"))
        else:
            body.line("return out")

    def stream(self, node: Node) -> None:
        """Writes the body of a function that gives the query's rows one after the other."""
        stored = self._stored_as_it_is(node)
        if stored is not None:
            self.unit.body.line(f"return iter({stored}.values())")
        else:
            self.produce(node, lambda: self.unit.body.line(f"yield {self.row(node)}"), whole=True)

    def append_rows(self, node: Node) -> None:
        """Writes what appends the node's rows to ``out``."""
        if isinstance(node, Compound):
            self._append_compound(node)
        elif isinstance(node, Limit):
            self.unit.body.line(f"out += {self.rows_function(node)}()")
        else:
            self.produce(node, lambda: self.unit.body.line(f"out.append({self.row(node)})"), whole=True)

    def row(self, node: Node) -> str:
        """Code of the current row of a single-source node, after produce with ``whole``."""
        row = self.unit.env[output_source(node)]
        if isinstance(row, ComputedRow) and row.whole is None:
            row = ComputedRow(self.unit.taken_apart(row.columns))
        return row.row

    def _stored_as_it_is(self, node: Node) -> str | None:
        match node:
            case Project(input=Scan(table=table, source=source, descending=False), columns=columns):
                positions = [c.position for c in columns if isinstance(c, Column) and c.source == source]
                if table.large:
                    return None
                if positions == list(range(len(table.columns))) and len(positions) == len(columns):
                    return self.tree(table.id)
        return None

    def count(self, expr: Expr | None) -> str | None:
        """Code of a LIMIT or OFFSET, None when there is none."""
        if expr is None:
            return None
        if isinstance(expr, Const) and type(expr.value) is int:
            return self.unit.constant(expr.value)
        code = f"{self.unit.call(runtime.row_count)}({self.unit.expr.value(expr)})"
        if self.unit.expr.independent(expr):
            return self.unit.hoist(code)
        name = self.unit.fresh("n")
        self.unit.body.line(f"{name} = {code}")
        return name

    # --- functions inside the program -------------------------------------------------------------------------------

    @contextmanager
    def function_for(self, node: Node, prefix: str = "s") -> Iterator[str]:
        """A new function for the node; outermost when it needs no row from outside, so that it is made once."""
        unit = self.unit
        name = unit.fresh(prefix)
        scopes = unit.scopes
        if not free_sources(node):
            unit.scopes = scopes[:1]
        counts, unit.counts_entries = unit.counts_entries, False
        with unit.function(f"def {name}()"):
            yield name
        unit.counts_entries = counts
        unit.scopes = scopes

    def rows_function(self, node: Node) -> str:
        """The name of a function that returns the node's rows."""
        with self.function_for(node) as name:
            self.collect(node)
        return name

    def remembered(self, node: Node, name: str) -> str:
        """The function, or for an uncorrelated query one that computes it once a statement."""
        if free_sources(node):
            return name
        unit = self.unit
        remembered = unit.fresh("q")
        unit.scopes[0].prologue.line(f"{remembered} = {unit.call(runtime.once)}({name})")
        return remembered

    def exists(self, node: Node) -> str:
        """Code that is true if the query has a row."""
        found = _without_projection(node)
        if isinstance(found, HashSeek):
            return join.is_found(self.unit, found)
        with self.function_for(node) as name:
            if isinstance(node, Limit) and not (
                is_positive(node.limit) and node.offset is None
            ):  # there may be rows but no page
                self.produce(node, lambda: self.unit.body.line("return True"))
            else:
                self.produce(_without_projection(node), lambda: self.unit.body.line("return True"))
            self.unit.body.line("return False")
        return f"{self.remembered(node, name)}()"

    def scalar(self, node: Node) -> str:
        """Code of the first column of the first row, or None."""
        match node:
            case Project(input=HashSeek(single=True) as seek):
                return join.sought_value(self.unit, seek)
        with self.function_for(node) as name:
            inner = node
            match node:
                case Limit(input=inner, limit=Const(value=int() as limit), offset=None) if limit > 0:
                    pass
                case _:
                    inner = node
            source = output_source(inner)
            self.unit.use(source, 0)
            start = len(self.unit.body.lines)
            self.produce(inner, lambda: self.unit.body.line(f"return {self.unit.env[source].column(0)}"))
            if start < len(self.unit.body.lines):
                take_last(self.unit, start)
            self.unit.body.line("return None")
        return f"{self.remembered(node, name)}()"

    def members(self, expr: InQuery) -> str:
        """The name of a function that returns the values of an IN subquery as a set."""
        unit, node = self.unit, expr.query
        with self.function_for(node) as name:
            source = output_source(node)
            width = len(expr.operands)
            for position in range(width):
                unit.use(source, position)
            body = unit.body
            body.line("found = set()")

            def consume() -> None:
                codes = [self._member(expr, source, position) for position in range(width)]
                unit.body.line(f"found.add({codes[0] if width == 1 else tuple_code(codes)})")

            self.produce(node, consume)
            body.line(f"return {unit.call(runtime.members if width == 1 else runtime.row_members)}(found)")
        return self.remembered(node, name)

    def _member(self, expr: InQuery, source: int, position: int) -> str:
        from zodbapi import values

        code = self.unit.env[source].column(position)
        type_ = expr.affinities[position] if expr.affinities else None
        if type_ is not None:
            code = f"{self.unit.call(values.affine(type_.kind))}({code})"
        return self.unit.expr.folded(code, expr.collations[position]) if expr.collations else code

    def _needle(self, expr: InQuery) -> str:
        writer = self.unit.expr
        codes = [writer.value(operand) for operand in expr.operands]
        if expr.collations:
            codes = [writer.folded(code, c) for code, c in zip(codes, expr.collations, strict=True)]
        return codes[0] if len(codes) == 1 else tuple_code(codes)

    def membership(self, expr: InQuery) -> str:
        """Code of the value of ``operands IN (query)``: 1, 0 or None."""
        contains = runtime.contains if len(expr.operands) == 1 else runtime.contains_row
        return f"{self.unit.call(contains)}({self.members(expr)}(), {self._needle(expr)})"

    def is_member(self, expr: InQuery) -> str:
        """Code that is true when ``operands IN (query)`` is: a row with a NULL is never among the members."""
        return f"{self._needle(expr)} in {self.members(expr)}()"

    # --- nodes ----------------------------------------------------------------------------------------------------

    def tree(self, table_id: int) -> str:
        """The name of the variable that holds a table's rows."""
        return self.unit.hoist(f"txn.rows({table_id})", "rows")

    def produce(self, node: Node, consume: Consume, *, whole: bool = False) -> None:
        """Writes code that makes the node's rows, with what ``consume`` writes inside.

        With ``whole``, all columns of a single-source node are made, because its row is taken as a tuple.
        """
        match node:
            case Scan() | RowidSeek() | RowidRange() | IndexSeek() | IndexRange():
                access.produce(self.unit, node, consume)
            case IndexGroups():
                index_groups.produce(self.unit, node, consume)
            case Filter(input=child, predicate=predicate):
                self.produce(child, lambda: self._filtered(predicate, consume), whole=whole)
            case Project():
                self.produce(node.input, lambda: self._project(node, consume, whole))
            case Join():
                join.produce(self.unit, node, consume)
            case HashJoin():
                join.produce_hash(self.unit, node, consume)
            case HashSeek():
                join.produce_seek(self.unit, node, consume)
            case FirstOfEach():
                sort.produce_first(self.unit, node, consume)
            case Aggregate() if node.each is not None:
                row_groups.produce(self.unit, node, consume)
            case Passed():
                consume()
            case Aggregate():
                aggregate.produce(self.unit, node, consume)
            case Window():
                window.produce(self.unit, node, consume)
            case Sort():
                sort.produce(self.unit, node, consume, whole=whole)
            case Distinct():
                distinct.produce(self.unit, node, consume)
            case Limit() | Compound():
                self._loop(output_source(node), f"{self.rows_function(node)}()", consume)
            case Materialize():
                self._loop(node.source, f"{self._materialized(node)}()", consume)
            case Recursive():
                self._loop(node.source, f"{self._recursive(node)}()", consume)
            case WorkingRow(source=source, cte=cte):
                self.unit.env[source] = StoredRow(self._working[cte])
                consume()
            case Values():
                self._values(node, consume)
            case TableFunctionScan(source=source, function=function, args=args):
                codes = ["txn", *(self.unit.expr.value(arg) for arg in args)]
                self._loop(source, f"{self.unit.call(function.call)}({', '.join(codes)})", consume)
            case _:
                raise AssertionError(f"no code for {type(node).__name__}")

    def _filtered(self, predicate: Expr, consume: Consume) -> None:
        with self.unit.body.block(f"if {self.unit.expr.is_true(predicate)}"):
            consume()

    def _loop(self, source: int, iterable: str, consume: Consume) -> None:
        name = f"r{source}"
        self.unit.env[source] = StoredRow(name)
        with self.unit.body.block(f"for {name} in {iterable}"):
            consume()

    def _project(self, node: Project, consume: Consume, whole: bool) -> None:
        unit = self.unit
        codes: list[str | None] = []
        for position, column in enumerate(node.columns):
            used = unit.uses[node.source, position]
            if not used and not whole:
                codes.append(None)
                continue
            code = unit.expr.stored(column) if unit.as_stored else unit.expr.value(column)
            if used and not is_cheap(code) and not isinstance(column, (Column, Const, Param)):
                name = f"v{node.source}_{position}"
                unit.body.line(f"{name} = {code}")
                code = name
            codes.append(code)
        unit.env[node.source] = ComputedRow(codes, self._whole_row(node))
        consume()

    def _whole_row(self, node: Project) -> str | None:
        """Code of the input's row, when the projection is exactly that row."""
        first = node.columns[0] if node.columns else None
        if not isinstance(first, Column):
            return None
        access_ = self.unit.env.get(first.source)
        if not isinstance(access_, StoredRow) or access_.width != len(node.columns):
            return None
        same = all(
            isinstance(c, Column) and c.source == first.source and c.position == i for i, c in enumerate(node.columns)
        )
        return access_.row if same else None

    def _values(self, node: Values, consume: Consume) -> None:
        unit = self.unit
        if len(node.rows) == 1:
            unit.env[node.source] = ComputedRow([unit.expr.value(e) for e in node.rows[0]])
            consume()
            return
        rows = ", ".join(tuple_code([unit.expr.value(e) for e in row]) for row in node.rows)
        self._loop(node.source, f"({rows})", consume)

    def _append_compound(self, node: Compound) -> None:
        unit, body = self.unit, self.unit.body
        if node.op == "union" and node.all:
            self.append_rows(node.left)
            self.append_rows(node.right)
            return
        # A chain is one list after the other: functions in functions would nest as deep as it is long.
        chain = [node]
        while isinstance(first := chain[-1].left, Compound) and not (first.op == "union" and first.all):
            chain.append(first)
        rows = f"{self.rows_function(first)}()"
        for term in reversed(chain):
            folds = [runtime.folding(c, unit.collations) if c.upper() != "BINARY" else None for c in term.collations]
            key = f", {unit.constant(tuple(folds))}" if any(folds) else ""
            function = {"union": runtime.union, "intersect": runtime.intersect, "except": runtime.except_}[term.op]
            code = f"{unit.call(function)}({rows}, {self.rows_function(term.right)}(){key})"
            if term is node:
                body.line(f"out += {code}")
                return
            rows = unit.fresh("terms")
            body.line(f"{rows} = {code}")

    def _materialized(self, node: Materialize) -> str:
        name = self._ctes.get(node.cte)
        if name is None:
            name = self.remembered(node.input, self.rows_function(node.input))
            if not free_sources(node.input):
                self._ctes[node.cte] = name
        return name

    def _recursive(self, node: Recursive) -> str:
        """A generator: what reads it may stop early, as the outer LIMIT of an endless recursion does."""
        unit = self.unit
        with self.function_for(node) as name:
            body = unit.body
            queue, row = unit.fresh("queue"), f"w{node.cte}"
            self._working[node.cte] = row
            limit, offset = self.count(node.limit), self.count(node.offset)
            directions = tuple((k.descending, k.nulls_first) for k in node.order)
            body.line(f"{queue} = {unit.call(runtime.WorkQueue)}({not node.all}, {unit.constant(directions)})")
            self.produce(node.initial, lambda: self._enqueue(node, queue, node.initial), whole=True)
            done = unit.fresh("n")
            body.line(f"{done} = {f'-max({offset}, 0)' if offset else 0}")
            with body.block(f"while {queue}"):
                if limit is not None:
                    with body.block(f"if 0 <= {limit} <= {done}"):
                        body.line("return")
                body.line(f"{row} = {queue}.take()")
                body.line(f"{done} += 1")
                with body.block(f"if {done} > 0"):
                    body.line(f"yield {row}")
                with unit.bound({working_source(node.cte): StoredRow(row)}):
                    self.produce(node.step, lambda: self._enqueue(node, queue, node.step), whole=True)
        return name

    def _enqueue(self, node: Recursive, queue: str, part: Node) -> None:
        unit = self.unit
        row = self.row(part)
        if not node.order:
            unit.body.line(f"{queue}.put({row})")
            return
        name = f"r{node.source}"
        unit.body.line(f"{name} = {row}")
        rows: dict[int, RowAccess] = {node.source: StoredRow(name)}
        with unit.bound(rows):
            keys = tuple_code([unit.expr.folded(unit.expr.value(k.expr), k.collation) for k in node.order])
        unit.body.line(f"{queue}.put({name}, {keys})")


def _without_projection(node: Node) -> Node:
    """The part of a query that decides whether it has rows: what it selects does not matter."""
    match node:
        case Project(input=child) | Sort(input=child) | Distinct(input=child):
            return _without_projection(child)
        case Limit(input=child, limit=limit, offset=None) if is_positive(limit):
            return _without_projection(child)
        case _:
            return node
