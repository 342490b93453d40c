"""Plans as text, for EXPLAIN QUERY PLAN, the golden files and debugging.

In: any node. Out: one line a node, inputs indented below their consumer, then the queries that its expressions hold:

    LIMIT 20
      PROJECT id, name
        INDEX SEEK author USING author_name (name = ?1)

A column shows as its name with the number of its source (``name#3``), a parameter as ``?1``, an access by its keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zodbapi.catalog import Index, Table
from zodbapi.plan.commands import Command
from zodbapi.plan.expr import Exists, Expr, InQuery, ScalarQuery
from zodbapi.plan.lists import seeks_once
from zodbapi.plan.nodes import (
    Aggregate,
    Bound,
    Compound,
    Delete,
    Distinct,
    Filter,
    FirstOfEach,
    HashJoin,
    HashSeek,
    IndexGroups,
    IndexRange,
    IndexSeek,
    Insert,
    Join,
    Limit,
    Materialize,
    Node,
    Project,
    Recursive,
    RowidRange,
    RowidSeek,
    Scan,
    Sort,
    TableFunctionScan,
    Update,
    Values,
    Window,
    WorkingRow,
)
from zodbapi.plan.text import expression, listed
from zodbapi.plan.walk import Part, parts

INDENT = "  "


def explain(node: Node) -> list[str]:
    """The lines that describe a plan."""
    return list(_lines(node, 0))


def _lines(node: Node, depth: int) -> Iterable[str]:
    yield INDENT * depth + describe(node)
    for part in parts(node):
        if isinstance(part, Node):
            yield from _lines(part, depth + 1)
    for part in parts(node):
        if not isinstance(part, Node):
            yield from _queries(part, depth + 1)


def _queries(part: Part, depth: int) -> Iterable[str]:
    """The lines of the queries that an expression holds."""
    match part:
        case Exists(query=query):
            yield INDENT * depth + "EXISTS"
            yield from _lines(query, depth + 1)
        case ScalarQuery(query=query):
            yield INDENT * depth + "SCALAR"
            yield from _lines(query, depth + 1)
        case InQuery(query=query):
            yield INDENT * depth + "IN"
            yield from _lines(query, depth + 1)
    for below in parts(part):
        if not isinstance(below, Node):
            yield from _queries(below, depth)


def describe(node: Node) -> str:
    """One line for one node, without its inputs."""
    match node:
        case Scan() | RowidSeek() | RowidRange() | IndexSeek() | IndexRange():
            either = " OR SCAN" if isinstance(node, (IndexSeek, IndexRange)) and node.tests else ""
            rotated = " ROTATED" if isinstance(node, IndexRange) and node.rotated else ""
            return _access(node) + rotated + (" BACKWARDS" if node.descending else "") + either
        case Join():
            return f"{node.kind.upper()} JOIN{_on(node.on)}"
        case HashJoin():
            return _hash_join(node)
        case HashSeek():
            default = f" ELSE {listed(node.default)}" if node.default else ""
            return f"HASH SEEK {_pairs(node.keys, node.probes)}{default}"
        case FirstOfEach():
            order = f" BY {listed(node.keys)}" if node.keys else ""
            return f"FIRST OF EACH {listed(node.alike)}{order}"
        case Insert() | Update() | Delete():
            return _write(node)
        case Command():
            return type(node).__name__
        case _:
            return _pipeline(node)


def _pipeline(node: Node) -> str:
    match node:
        case Filter():
            return f"FILTER {expression(node.predicate)}"
        case Project():
            return f"PROJECT {_projected(node)}"
        case Aggregate():
            keys = f" BY {listed(node.keys)}" if node.keys else ""
            each = "" if node.each is None else f" EACH ROW #{node.each}"
            return f"AGGREGATE{_space(listed(node.calls))}{keys}{each}"
        case Window():
            return f"WINDOW {listed(node.calls)}"
        case Distinct():
            return f"DISTINCT ON ({listed(node.on)})" if node.on else f"DISTINCT {node.columns} columns"
        case Sort():
            top = f" TOP {expression(node.limit)}" if node.limit is not None else ""
            already = f" AFTER {listed(node.keys[: node.presorted])}" if node.presorted else ""
            return f"SORT{top} BY {listed(node.keys[node.presorted :])}{already}"
        case Limit():
            limit = "ALL" if node.limit is None else expression(node.limit)
            return f"LIMIT {limit}" + (f" OFFSET {expression(node.offset)}" if node.offset is not None else "")
        case Compound():
            return node.op.upper() + (" ALL" if node.all else "")
        case Materialize():
            return f"MATERIALIZE {node.cte}"
        case Recursive():
            return f"RECURSIVE {node.cte}" + (" ALL" if node.all else "")
        case WorkingRow():
            return f"WORKING ROW {node.cte}"
        case Values():
            return "ONE ROW" if node.rows == ((),) else f"VALUES {len(node.rows)} rows"
        case IndexGroups():
            names = ", ".join(_index_names(node.table, node.index)[: node.width])
            return f"INDEX GROUPS {node.table.name}#{node.source} USING {node.index.name} ({names})"
        case TableFunctionScan():
            return f"TABLE FUNCTION {node.function.name}({listed(node.args)})"
        case _:
            raise AssertionError(type(node).__name__)


def _projected(node: Project) -> str:
    shown = []
    for i, column in enumerate(node.columns):
        text = expression(column)
        name = node.names[i] if i < len(node.names) else ""
        shown.append(text if not name or text.partition("#")[0] == name else f"{text} AS {name}")
    return ", ".join(shown)


def _space(text: str) -> str:
    return f" {text}" if text else ""


def _on(predicate: Expr | None) -> str:
    return "" if predicate is None else f" ON {expression(predicate)}"


def _pairs(left: Sequence[Expr], right: Sequence[Expr]) -> str:
    return " AND ".join(f"{expression(a)} = {expression(b)}" for a, b in zip(left, right, strict=True))


def _hash_join(node: HashJoin) -> str:
    kind = "" if node.kind == "inner" else f"{node.kind.upper()} "
    aware = " NULL AWARE" if node.null_aware else ""
    keys = _pairs(node.left_keys, node.right_keys)
    rest = "" if node.on is None else f" AND {expression(node.on)}"
    return f"HASH {kind}JOIN{aware} ON {keys}{rest}"


# --- access -----------------------------------------------------------------------------------------------------------


def _access(node: Scan | RowidSeek | RowidRange | IndexSeek | IndexRange) -> str:
    table = f"{node.table.name}#{node.source}"
    match node:
        case Scan():
            return f"SCAN {table}"
        case RowidSeek():
            keys = listed(node.rowids)
            condition = f"rowid = {keys}" if seeks_once(node) else f"rowid IN ({keys})"
            return f"ROWID SEEK {table} ({condition})"
        case RowidRange():
            return f"ROWID RANGE {table} ({' AND '.join(_bounds('rowid', node.lower, node.upper))})"
        case IndexSeek():
            return f"INDEX SEEK {table} USING {node.index.name} ({_alternatives(node)})"
        case IndexRange():
            names = _index_names(node.table, node.index)
            shown = [f"{name} = {expression(key)}" for name, key in zip(names, node.prefix, strict=False)]
            if len(node.prefix) < len(names):
                name = names[len(node.prefix)]
                shown += [f"{name} IS NOT NULL"] if node.present else _bounds(name, node.lower, node.upper)
            keys = f" ({' AND '.join(shown)})" if shown else ""
            return f"INDEX {'RANGE' if shown else 'SCAN'} {table} USING {node.index.name}{keys}"


def _index_names(table: Table, index: Index) -> list[str]:
    return [c.expression or "" if c.position is None else table.columns[c.position].name for c in index.columns]


def _bounds(name: str, lower: Bound | None, upper: Bound | None) -> list[str]:
    shown = []
    if lower is not None:
        shown.append(f"{name} {'>=' if lower.inclusive else '>'} {expression(lower.value)}")
    if upper is not None:
        shown.append(f"{name} {'<=' if upper.inclusive else '<'} {expression(upper.value)}")
    return shown


def _alternatives(node: IndexSeek) -> str:
    names = _index_names(node.table, node.index)
    if not seeks_once(node):
        width = len(node.alternatives[0]) if node.alternatives else 0
        found = ", ".join(f"({listed(keys)})" if width > 1 else listed(keys) for keys in node.alternatives)
        return f"{', '.join(names[:width])} IN ({found})"
    shown = []
    for i, key in enumerate(node.alternatives[0]):
        operator = "IS" if i < len(node.null_safe) and node.null_safe[i] else "="
        shown.append(f"{names[i]} {operator} {expression(key)}")
    return " AND ".join(shown)


# --- statements that write --------------------------------------------------------------------------------------------


def _write(node: Insert | Update | Delete) -> str:
    returning = "" if node.returning is None else f" RETURNING {listed(node.returning)}"
    match node:
        case Insert():
            values = ", ".join("-" if value is None else expression(value) for value in node.values)
            conflicts = "".join(f" ON CONFLICT {clause.action.upper()}" for clause in node.clauses)
            return f"INSERT {node.table.name} ({values}){conflicts}{returning}"
        case Update():
            columns = node.table.columns
            shown = ", ".join(f"{columns[i].name} = {expression(value)}" for i, value in node.assignments)
            action = "" if node.action == "abort" else f" OR {node.action.upper()}"
            return f"UPDATE{action} {node.table.name}#{node.source} SET {shown}{returning}"
        case Delete():
            return f"DELETE {node.table.name}#{node.source}{returning}"
