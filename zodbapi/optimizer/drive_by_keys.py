"""Rule: ``x IN (SELECT ...)`` drives seeks into x's table instead of testing each of its rows.

In: AND-ed terms ``column IN (uncorrelated query)`` whose column leads an index or is the rowid. Out: an inner join with the
distinct values of the query, in ascending order, so that ``order_joins`` can put them first and the table's rows still
come in the order of the column. Where the query is expected to give too many values for that, nothing changes.
"""

from __future__ import annotations

from typing import NamedTuple

from zodbapi.catalog import TEXTS, Kind, Table
from zodbapi.optimizer.access import ROWID, target_of
from zodbapi.optimizer.choose_access import choose_access
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.cost import SCAN_ROW, SEEK, rows_of
from zodbapi.optimizer.order_joins import order_joins
from zodbapi.optimizer.predicates import each_input, each_query, filtered, kind_of, split, used
from zodbapi.optimizer.push_filters import push_filters
from zodbapi.plan.expr import Column, Compare, InQuery, SortKey
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
    terms = split(node.predicate)
    for i, term in enumerate(terms):
        if isinstance(term, InQuery) and (values := _values_of(term, scans)) is not None:
            planned = choose_access(order_joins(push_filters(term.query, context), context), context)
            table = scans[values.target.source].table
            if rows_of(planned, context) * SEEK < context.rows(table) * SCAN_ROW:
                context.introduce(Join, Sort, Distinct)
                return filtered(_joined(node.input, planned, values), terms[:i] + terms[i + 1 :])
    return node


class _Values(NamedTuple):
    """The column that an IN tests, the column of the query's values, and the collation that compares them."""

    target: Column
    shown: Column
    collation: str


def _joined(node: Node, query: Node, values: _Values) -> Join:
    """The join with the distinct values in ascending order."""
    distinct = Distinct(query, 1, (), (values.collation,))
    keys = Sort(distinct, (SortKey(values.shown, collation=values.collation),))
    return Join("inner", node, keys, Compare("=", values.target, values.shown, values.collation))


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
    operand, project = term.operands[0], _root(term.query)
    if len(term.operands) != 1 or not isinstance(operand, Column) or operand.source not in scans or project is None:
        return None
    shown, kind = project.columns[0], kind_of(operand)
    collation = term.collations[0] if term.collations else "BINARY"
    if kind_of(shown) is not kind or kind not in EXACT or used(term.query):
        return None
    if not _leads_index(operand, collation, scans[operand.source].table):
        return None
    nullable = bool(getattr(shown, "nullable", True))
    return _Values(operand, Column(project.source, 0, operand.type, nullable, "BINARY", project.names[0]), collation)


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
