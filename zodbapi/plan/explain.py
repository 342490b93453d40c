"""Plans as text, for EXPLAIN QUERY PLAN and golden files: one node a line, inputs indented below.

In: a plan. Out: lines such as ``IndexSeek t USING i (a = ?1)``. Columns show as ``source.name``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from zodbapi.catalog import Index, Table
from zodbapi.plan import expr as e
from zodbapi.plan import nodes as n
from zodbapi.plan.walk import parts


def explain(node: n.Node) -> str:
    """The plan as indented text, subqueries included."""
    return "\n".join(_lines(node, 0))


def _lines(node: n.Node, depth: int) -> Iterator[str]:
    yield "  " * depth + describe_node(node)
    for part in parts(node):
        yield from _subqueries(part, depth + 1)
    for part in parts(node):
        if isinstance(part, n.Node):
            yield from _lines(part, depth + 1)


def _subqueries(part: Any, depth: int) -> Iterator[str]:
    """The lines of the queries inside expressions."""
    if isinstance(part, n.Node):
        return
    for below in parts(part):
        if isinstance(below, n.Node):
            yield "  " * depth + f"{type(part).__name__}:"
            yield from _lines(below, depth + 1)
        else:
            yield from _subqueries(below, depth)


def describe_node(node: n.Node) -> str:
    """One line about a node, without its inputs."""
    words = " ".join(word for word in _words(node) if word)
    return f"{type(node).__name__} {words}".rstrip()


def _words(node: n.Node) -> Iterable[str]:
    match node:
        case n.Scan() | n.RowidSeek() | n.RowidRange() | n.IndexSeek() | n.IndexRange():
            return _access_words(node)
        case n.Values(rows=rows):
            return (_listed(rows[0]) if len(rows) == 1 else f"{len(rows)} rows",)
        case n.TableFunctionScan(function=function, args=args):
            return (f"{function.name}({_listed(args)})",)
        case n.Filter(predicate=predicate):
            return (describe(predicate),)
        case n.Project(columns=columns, names=names):
            return (", ".join(_labelled(c, name) for c, name in zip(columns, names, strict=True)),)
        case n.Join(kind=kind, on=on):
            return (kind, f"ON {describe(on)}" if on else "")
        case n.HashJoin():
            pairs = zip(node.left_keys, node.right_keys, strict=True)
            keys = " AND ".join(f"{describe(a)} = {describe(b)}" for a, b in pairs)
            return (node.kind, f"ON {keys}", f"AND {describe(node.on)}" if node.on else "")
        case n.Aggregate(keys=keys, calls=calls):
            return (", ".join(map(_describe_call, calls)), f"GROUP BY {_listed(keys)}" if keys else "")
        case n.Window(calls=calls):
            return (", ".join(call.function.name for call in calls),)
        case n.Distinct(on=on):
            return (f"ON {_listed(on)}" if on else "",)
        case n.Sort(keys=keys, limit=limit):
            return (", ".join(map(_describe_key, keys)), f"TOP {describe(limit)}" if limit else "")
        case n.Limit(limit=limit, offset=offset):
            return (describe(limit) if limit else "all", f"OFFSET {describe(offset)}" if offset else "")
        case n.Compound(op=op, all=all_):
            return (op, "all" if all_ else "")
        case n.Materialize(cte=cte) | n.Recursive(cte=cte) | n.WorkingRow(cte=cte):
            return (f"cte{cte}",)
        case n.Insert(table=table) | n.Update(table=table) | n.Delete(table=table):
            return (table.name,)
        case _:
            return ()


def _access_words(node: Any) -> Iterator[str]:
    yield node.table.name
    match node:
        case n.RowidSeek(rowids=rowids):
            yield f"(rowid = {_listed(rowids)})" if len(rowids) == 1 else f"(rowid IN ({_listed(rowids)}))"
        case n.RowidRange(lower=lower, upper=upper):
            yield f"({' AND '.join(_bounds('rowid', lower, upper))})"
        case n.IndexSeek(index=index, alternatives=alternatives):
            yield f"USING {_describe_index(index)}"
            names = _key_names(node.table, index)
            pairs = [" AND ".join(f"{name} = {describe(k)}" for name, k in zip(names, keys, strict=False)) for keys in alternatives[:4]]
            yield f"({' OR '.join(pairs)}{' OR ...' if len(alternatives) > 4 else ''})"
        case n.IndexRange(index=index, prefix=prefix, lower=lower, upper=upper):
            yield f"USING {_describe_index(index)}"
            names = _key_names(node.table, index)
            terms = [f"{name} = {describe(key)}" for name, key in zip(names, prefix, strict=False)]
            if lower or upper:
                terms += _bounds(names[len(prefix)], lower, upper)
            yield f"({' AND '.join(terms)})" if terms else ""
    if node.descending:
        yield "DESC"


def _describe_index(index: Index) -> str:
    return f"{'UNIQUE ' if index.unique else ''}INDEX {index.name}"


def _key_names(table: Table, index: Index) -> list[str]:
    return [
        table.columns[part.position].name if part.position is not None else part.expression or ""
        for part in index.columns
    ]


def _bounds(name: str, lower: n.Bound | None, upper: n.Bound | None) -> list[str]:
    terms = []
    if lower:
        terms.append(f"{name} {'>=' if lower.inclusive else '>'} {describe(lower.value)}")
    if upper:
        terms.append(f"{name} {'<=' if upper.inclusive else '<'} {describe(upper.value)}")
    return terms


def _labelled(column: e.Expr, name: str) -> str:
    text = describe(column)
    return text if text.rpartition(".")[2] == name else f"{text} AS {name}"


def _listed(items: Iterable[e.Expr]) -> str:
    return ", ".join(map(describe, items))


def _describe_key(key: e.SortKey) -> str:
    usual = not key.descending
    nulls = "" if key.nulls_first is usual else f" NULLS {'FIRST' if key.nulls_first else 'LAST'}"
    collation = f" COLLATE {key.collation}" if key.collation != "BINARY" else ""
    return f"{describe(key.expr)}{collation}{' DESC' if key.descending else ''}{nulls}"


def _describe_call(call: e.AggregateCall) -> str:
    distinct = "DISTINCT " if call.distinct else ""
    kept = f" FILTER ({describe(call.filter)})" if call.filter else ""
    return f"{call.function.name}({distinct}{_listed(call.args) or '*'}){kept}"


def describe(part: e.Expr) -> str:
    """An expression as text close to SQL."""
    match part:
        case e.Const(value=value):
            text = "NULL" if value is None else repr(value)
            return text if len(text) <= 40 else text[:37] + "..."
        case e.Param(index=index):
            return f"?{index + 1}"
        case e.Column(source=source, position=position, name=name):
            return f"{source}.{name or position}"
        case e.Rowid(source=source):
            return f"{source}.rowid"
        case e.Unary(op=op, operand=operand):
            return f"{op}{describe(operand)}"
        case e.Binary(op=op, left=left, right=right):
            return f"({describe(left)} {op} {describe(right)})"
        case e.Compare(op=op, left=left, right=right, collation=collation):
            ending = f" COLLATE {collation}" if collation != "BINARY" else ""
            return f"({describe(left)} {op.upper()} {describe(right)}{ending})"
        case e.Affine(operand=operand) | e.Collate(operand=operand):
            return describe(operand)
        case e.And(terms=terms):
            return f"({' AND '.join(map(describe, terms))})"
        case e.Or(terms=terms):
            return f"({' OR '.join(map(describe, terms))})"
        case e.Not(operand=operand):
            return f"NOT {describe(operand)}"
        case e.IsNull(operand=operand):
            return f"({describe(operand)} IS NULL)"
        case e.Between(operand=operand, low=low, high=high):
            return f"({describe(operand)} BETWEEN {describe(low)} AND {describe(high)})"
        case e.InList(operand=operand, items=items):
            shown = _listed(items[:4]) + (", ..." if len(items) > 4 else "")
            return f"({describe(operand)} IN ({shown}))"
        case _:
            return _describe_larger(part)


def _describe_larger(part: e.Expr) -> str:
    match part:
        case e.Case(whens=whens, default=default):
            arms = " ".join(f"WHEN {describe(test)} THEN {describe(value)}" for test, value in whens)
            return f"CASE {arms} ELSE {describe(default)} END"
        case e.Cast(operand=operand, type=type_):
            return f"CAST({describe(operand)} AS {type_})"
        case e.Call(function=function, args=args):
            return f"{function.name}({_listed(args)})"
        case e.RowValue(items=items):
            return f"({_listed(items)})"
        case e.InQuery(operands=operands):
            return f"(({_listed(operands)}) IN (query))"
        case e.Exists():
            return "EXISTS (query)"
        case e.ScalarQuery():
            return "(query)"
        case _:
            return type(part).__name__
