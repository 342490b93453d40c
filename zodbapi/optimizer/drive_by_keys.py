"""Rule: ``x IN (SELECT ...)`` drives seeks into x's table instead of testing each of its rows.

In: AND-ed terms ``column IN (uncorrelated query)`` whose column leads an index or is the rowid, or ``(column, ...) IN`` of
which one column does. Out: an inner join with the distinct values of the query, in ascending order, so that ``order_joins``
can put them first and the table's rows still come in the order of the column. Where the query is expected to give too many
values for that, nothing changes.
"""

from __future__ import annotations

from typing import NamedTuple

from zodbapi.catalog import ANY, TEXTS, Kind, Table
from zodbapi.optimizer.access import ROWID, target_of
from zodbapi.optimizer.choose_access import choose_access
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.cost import SCAN_ROW, SEEK, rows_of
from zodbapi.optimizer.order_joins import order_joins
from zodbapi.optimizer.predicates import conjoin, each_query, filtered, kind_of, split, used
from zodbapi.optimizer.push_filters import push_filters
from zodbapi.plan.expr import Affine, Column, Compare, Expr, InQuery, SortKey
from zodbapi.plan.nodes import (
    Aggregate,
    Compound,
    Distinct,
    Filter,
    Join,
    Limit,
    Node,
    Project,
    Scan,
    Sort,
    TableFunctionScan,
)
from zodbapi.plan.walk import rebuild_inputs
from zodbapi.record import replace

EXACT = frozenset({Kind.INTEGER, Kind.TEXT, Kind.UUID, Kind.DATE})  # kinds whose equal values are alike


def drive_by_keys(node: Node, context: Context) -> Node:
    """The plan with IN subqueries as joins where their values can be looked up."""
    if not context.occurs(InQuery):
        return node
    node = each_query(node, lambda query: _drive(query, context))
    return _drive(node, context)


def _drive(node: Node, context: Context) -> Node:
    node = rebuild_inputs(node, lambda child: _drive(child, context))
    if not isinstance(node, Filter):
        return node
    scans = {scan.source: scan for scan in _scans(node.input)}
    terms = split(node.predicate)
    for i, term in enumerate(terms):
        if isinstance(term, InQuery) and (values := _values_of(term, scans)) is not None:
            others = terms[:i] + terms[i + 1 :]
            if len(values.targets) < len(term.operands):
                term = replace(term, query=_list_again(term.query, context))
                values = _values_of(term, scans) or values
                others = terms
            planned = choose_access(order_joins(push_filters(term.query, context), context), context)
            table = scans[values.targets[0].source].table
            if rows_of(planned, context) * SEEK < context.rows(table) * SCAN_ROW:
                context.introduce(Join, Sort, Distinct)
                return filtered(_joined(node.input, planned, values, context), others)
    return node


class _Values(NamedTuple):
    """Columns that an IN tests, the query's columns as they are compared, and the collations that compare them.

    Of a list of rows they need not be all columns: the others are then tested row by row.
    """

    targets: tuple[Column, ...]
    shown: tuple[Expr, ...]
    collations: tuple[str, ...]
    names: tuple[str, ...]


def _joined(node: Node, query: Node, values: _Values, context: Context) -> Join:
    """The join with the distinct values in ascending order."""
    shown = compared = values.shown
    if not all(isinstance(value, Column) for value in shown):
        # What a conversion gives is of another class where the value cannot be converted.
        source = context.new_source()
        query = Project(source, query, shown, values.names)
        shown = tuple(Column(source, i, ANY, name=name) for i, name in enumerate(values.names))
        compared = tuple(Affine(value, old.type) for value, old in zip(shown, values.shown, strict=True))
    distinct = Distinct(query, len(shown), (), values.collations)
    keys = [SortKey(value, collation=c) for value, c in zip(shown, values.collations, strict=True)]
    pairs = zip(values.targets, compared, values.collations, strict=True)
    tests = [Compare("=", target, value, collation) for target, value, collation in pairs]
    return Join("inner", node, Sort(distinct, tuple(keys)), conjoin(tests))


def _scans(node: Node) -> list[Scan]:
    """The tables whose rows pass through, null-extended sides of outer joins left out."""
    match node:
        case Scan():
            return [node]
        case Filter():
            return _scans(node.input)
        case Join(kind="inner"):
            return _scans(node.left) + _scans(node.right)
        case Join(kind="left" | "semi" | "anti"):
            return _scans(node.left)
        case _:
            return []


def _values_of(term: InQuery, scans: dict[int, Scan]) -> _Values | None:
    """What is compared, if the term is an IN that seeks can answer."""
    project = _root(term.query)
    sources = {operand.source if isinstance(operand, Column) else None for operand in term.operands}
    if project is None or len(sources) != 1 or not sources <= scans.keys() or used(term.query):
        return None
    found = [
        (operand, shown, collation, name)
        for operand, shown, collation, name in zip(
            term.operands,
            [_shown(term, project, i) for i in range(len(term.operands))],
            term.collations or ("BINARY",) * len(term.operands),
            project.names,
            strict=True,
        )
        if isinstance(operand, Column) and shown is not None
    ]
    if len(found) < len(term.operands) and not isinstance(project.input, TableFunctionScan):
        return None
    if not any(_leads_index(target, collation, scans[target.source].table) for target, _, collation, _ in found):
        return None
    targets, shown, collations, names = zip(*found, strict=True)
    return _Values(targets, shown, collations, names)


def _list_again(query: Node, context: Context) -> Project:
    """The query for the rows of a list, under other sources."""
    assert isinstance(query, Project) and isinstance(query.input, TableFunctionScan)
    inner, outer = context.new_source(), context.new_source()
    columns = tuple(replace(c, source=inner) if isinstance(c, Column) else c for c in query.columns)
    return Project(outer, replace(query.input, source=inner), columns, query.names)


def _shown(term: InQuery, project: Project, position: int) -> Expr | None:
    """The query's column as the IN compares it, or None if equal values of it may differ."""
    target, column, name = term.operands[position], project.columns[position], project.names[position]
    kind = kind_of(target)
    if kind not in EXACT:
        return None
    shown = Column(project.source, position, target.type, bool(getattr(column, "nullable", True)), "BINARY", name)
    if kind_of(column) is kind:
        return shown
    wanted = term.affinities[position] if term.affinities else None
    if wanted is None or wanted.kind is not kind or kind_of(column) is not Kind.ANY:
        return None
    return Affine(replace(shown, type=ANY), wanted)


def _root(query: Node) -> Project | None:
    """The Project that makes the query's rows, if they are no compound's or group's."""
    match query:
        case Project():
            return None if isinstance(query.input, (Aggregate, Compound)) else query
        case Sort() | Distinct() | Limit():
            return _root(query.input)
        case _:
            return None


def _leads_index(operand: Column, collation: str, table: Table) -> bool:
    target = target_of(operand, operand.source, table, False)
    if target == ROWID:
        return True
    return any(
        index.where is None
        and index.columns[0].position == target
        and (index.columns[0].collation == collation or kind_of(operand) not in TEXTS)
        for index in table.indexes
    )
