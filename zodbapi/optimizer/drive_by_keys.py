"""Rule: ``x IN (SELECT ...)`` drives seeks into x's table instead of testing each of its rows.

In: AND-ed terms ``column IN (uncorrelated query)`` whose column leads an index or is the rowid. Out: an inner join with the
distinct values of the query, in ascending order, so that ``order_joins`` can put them first and the table's rows still
come in the order of the column. Where the query is expected to give too many values for that, nothing changes.
"""

from __future__ import annotations

from zodbapi.catalog import TEXTS, Kind, Table
from zodbapi.optimizer.access import ROWID, target_of
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.cost import SCAN_ROW, SEEK, rows_of
from zodbapi.optimizer.predicates import each_input, each_query, filtered, kind_of, split, used
from zodbapi.plan.expr import Column, Compare, Expr, InQuery, SortKey
from zodbapi.plan.nodes import Aggregate, Compound, Distinct, Filter, Join, Limit, Node, Project, Scan, Sort

EXACT = frozenset({Kind.INTEGER, Kind.TEXT, Kind.UUID, Kind.DATE})  # kinds whose equal values are alike


def drive_by_keys(node: Node, context: Context) -> Node:
    """The plan with IN subqueries as joins where their values can be looked up."""
    if not context.occurs(InQuery):
        return node
    node = each_query(node, lambda query: _drive(query, context))
    return _drive(node, context)


def _drive(node: Node, context: Context) -> Node:
    node = each_input(node, lambda child: _drive(child, context))
    if not isinstance(node, Filter):
        return node
    scans = {scan.source: scan for scan in _scans(node.input)}
    driving: list[tuple[InQuery, Column]] = []
    rest: list[Expr] = []
    for term in split(node.predicate):
        values = _values_of(term, scans, context)
        if values is not None and isinstance(term, InQuery) and not driving:
            driving.append((term, values))
        else:
            rest.append(term)
    if not driving:
        return node
    term, values = driving[0]
    collation = term.collations[0] if term.collations else "BINARY"
    distinct = Distinct(term.query, 1, (), (collation,))
    keys = Sort(distinct, (SortKey(values, collation=collation),))
    equal = Compare("=", term.operands[0], values, collation)
    context.introduce(Join, Sort, Distinct)
    return filtered(Join("inner", node.input, keys, equal), rest)


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


def _values_of(term: Expr, scans: dict[int, Scan], context: Context) -> Column | None:
    """The column of the query's values, if the term is an IN that is better answered by seeks."""
    if not isinstance(term, InQuery) or len(term.operands) != 1:
        return None
    operand, project = term.operands[0], _root(term.query)
    if not isinstance(operand, Column) or operand.source not in scans or project is None or used(term.query):
        return None
    scan, shown = scans[operand.source], project.columns[0]
    kind = kind_of(operand)
    if kind_of(shown) is not kind or kind not in EXACT or not _leads_index(operand, term, scan.table):
        return None
    expected = rows_of(term.query, context)
    if expected * SEEK >= context.rows(scan.table) * SCAN_ROW:
        return None
    nullable = bool(getattr(shown, "nullable", True))
    return Column(project.source, 0, shown.type, nullable, "BINARY", project.names[0])


def _root(query: Node) -> Project | None:
    """The Project that makes the query's rows, if they are no compound's or group's."""
    match query:
        case Project():
            return None if isinstance(query.input, (Aggregate, Compound)) else query
        case Sort() | Distinct() | Limit():
            return _root(query.input)
        case _:
            return None


def _leads_index(operand: Column, term: InQuery, table: Table) -> bool:
    target = target_of(operand, operand.source, table, False)
    if target == ROWID:
        return True
    collation = term.collations[0] if term.collations else "BINARY"
    return any(
        index.where is None
        and index.columns[0].position == target
        and (index.columns[0].collation == collation or kind_of(operand) not in TEXTS)
        for index in table.indexes
    )
