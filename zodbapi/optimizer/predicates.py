"""Predicates: taking them apart, putting them together, and what follows from one being true."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from zodbapi.catalog import Kind, Type
from zodbapi.plan.expr import (
    Affine,
    And,
    Between,
    Binary,
    Call,
    Cast,
    Column,
    Compare,
    Const,
    Exists,
    Expr,
    InList,
    InQuery,
    IsNull,
    Not,
    Or,
    Param,
    ParamList,
    Raise,
    Rowid,
    ScalarQuery,
    Unary,
)
from zodbapi.plan.nodes import Filter, HashJoin, Join, Node, Scan, Window
from zodbapi.plan.walk import Part, everything, rebuild, rebuild_inputs, sources_made, transform
from zodbapi.record import replace
from zodbapi.values import glob, like

NONE: frozenset[int] = frozenset()
LEAVES = frozenset({Column, Rowid, Const, Param, ParamList})
P = TypeVar("P", bound=Part)


def split(predicate: Expr | None) -> list[Expr]:
    """The terms that must all be true for the predicate to be true."""
    if predicate is None:
        return []
    if not isinstance(predicate, And):
        return [predicate]
    return [term for part in predicate.terms for term in split(part)]


def conjoin(terms: Iterable[Expr]) -> Expr | None:
    """The predicate that is true when all terms are; None for no terms. Cheap terms come first."""
    found = list(terms)
    if not found:
        return None
    if len(found) == 1:
        return found[0]
    ordered = sorted(found, key=holds_query)
    return And(tuple(ordered), nullable=any(getattr(term, "nullable", True) for term in ordered))


def filtered(node: Node, terms: list[Expr]) -> Node:
    """The node with a Filter above it that tests the terms, merged with the one it may have."""
    if not terms:
        return node
    if isinstance(node, Filter):
        return filtered(node.input, split(node.predicate) + terms)
    predicate = conjoin(terms)
    assert predicate is not None
    return Filter(node, predicate)


def used(part: Any) -> frozenset[int]:
    """The sources that an expression or node takes from outside itself."""
    usual = _USED.get(part.__class__)  # this is asked for every term, again and again
    return _used(part) if usual is None else usual(part)


def _used(part: Part) -> frozenset[int]:
    wanted: set[int] = set()
    queries = False
    for p in everything(part):
        if p.__class__ is Column or p.__class__ is Rowid:
            wanted.add(p.source)
        elif isinstance(p, Node):
            queries = True
    if queries:
        wanted -= sources_made(part)
    return frozenset(wanted)


def _used_by_filter(node: Filter) -> frozenset[int]:
    return used(node.predicate) - {node.input.source} if isinstance(node.input, Scan) else _used(node)


_USED: dict[type, Callable[[Any], frozenset[int]]] = {
    Column: lambda expr: frozenset((expr.source,)),
    Rowid: lambda expr: frozenset((expr.source,)),
    Const: lambda expr: NONE,
    Param: lambda expr: NONE,
    Scan: lambda node: NONE,
    Compare: lambda expr: used(expr.left) | used(expr.right),
    Affine: lambda expr: used(expr.operand),
    And: lambda expr: NONE.union(*map(used, expr.terms)),
    Filter: _used_by_filter,
}


def emitted(node: Node) -> frozenset[int]:
    """The sources whose rows are visible above the node."""
    match node:
        case Join() | HashJoin():
            return emitted(node.left) if node.kind in ("semi", "anti") else emitted(node.left) | emitted(node.right)
        case Window():
            return emitted(node.input) | {node.source}
    source = getattr(node, "source", None)
    return emitted(node.input) if source is None else frozenset((source,))  # type: ignore[attr-defined]


def is_plain(expr: Any) -> bool:
    """Whether the expression is a comparison of columns, literals and parameters, or a part of one."""
    cls = expr.__class__
    if cls in LEAVES:
        return True
    if cls is Compare:
        return is_plain(expr.left) and is_plain(expr.right)
    return cls is Affine and is_plain(expr.operand)


def holds_query(expr: Expr) -> bool:
    """Whether evaluating the expression may run a query."""
    if is_plain(expr):
        return False
    return any(isinstance(part, (Exists, ScalarQuery, InQuery)) for part in everything(expr))


def kind_of(expr: Expr) -> Kind:
    """The kind of values that the expression is known to give."""
    found: Type = expr.type
    return found.kind


def volatile(expr: Expr) -> bool:
    """Whether the expression may give another value, or an effect, when it is evaluated more or less often."""
    if is_plain(expr):
        return False
    return any(
        isinstance(part, Raise)
        or (isinstance(part, Call) and (not part.function.deterministic or part.function.with_txn))
        for part in everything(expr)
    )


def substitute(part: P, source: int, columns: tuple[Expr, ...]) -> P:
    """The part with every column of ``source`` replaced by the expression at its position."""

    def change(p: Part) -> Part:
        if not isinstance(p, Column) or p.source != source:
            return p
        return _as_nullable(columns[p.position]) if p.nullable else columns[p.position]

    return transform(part, change)


def _as_nullable(expr: Expr) -> Expr:
    """What stands for a column that an outer join can make NULL can be NULL too."""
    if isinstance(expr, (Column, Rowid)) and not expr.nullable:
        return replace(expr, nullable=True)
    return expr


def rename(part: P, old: int, new: int) -> P:
    """The part with columns and rowids of source ``old`` read from source ``new``."""

    def change(p: Part) -> Part:
        if isinstance(p, (Column, Rowid)) and p.source == old:
            return replace(p, source=new)
        return p

    return transform(part, change)


def with_source(node: Node, old: int, new: int) -> Node:
    """The node with its source ``old`` as source ``new``, and everything in it that reads it."""
    return rename(_made_by(node, old, new), old, new)


def _made_by(node: Node, old: int, new: int) -> Node:
    if getattr(node, "source", None) == old:
        return replace(node, source=new)  # type: ignore[call-arg]
    return rebuild_inputs(node, lambda child: _made_by(child, old, new))


def each_query(part: P, change: Callable[[Node], Node]) -> P:
    """The part with every query that an expression holds replaced by ``change`` of it, innermost first."""

    def visit(p: Part) -> Part:
        if isinstance(p, (Exists, ScalarQuery, InQuery)):
            query = change(p.query)
            return p if query is p.query else replace(p, query=query)
        return p

    return transform(part, visit)


def outer_queries(part: P, change: Callable[[Node], Node]) -> P:
    """The expression with every query that it holds replaced by ``change`` of it; queries in those are left to that."""

    def visit(p: Part) -> Part:
        if isinstance(p, (Exists, ScalarQuery, InQuery)):
            rest = rebuild(p, lambda below: below if isinstance(below, Node) else visit(below))
            query = change(rest.query)
            return rest if query is rest.query else replace(rest, query=query)
        return rebuild(p, visit)

    return visit(part)  # type: ignore[return-value]


def rejects_null(predicate: Expr, sources: frozenset[int]) -> bool:
    """Whether the predicate cannot be true when every column of ``sources`` is NULL."""
    match predicate:
        case And():
            return any(rejects_null(term, sources) for term in predicate.terms)
        case Or():
            return all(rejects_null(term, sources) for term in predicate.terms)
        case Not(operand=IsNull(operand=operand)):
            return null_if_null(operand, sources)
        case Not(operand=operand):
            return null_if_null(operand, sources)
        case Const():
            return not predicate.value
        case Call(function=function) if function.call in (glob, like):
            return any(null_if_null(arg, sources) for arg in predicate.args)  # beside a blob it is false, not NULL
        case _:
            return null_if_null(predicate, sources)


def null_if_null(expr: Expr, sources: frozenset[int]) -> bool:
    """Whether the expression is surely NULL when every column of ``sources`` is."""
    match expr:
        case Column() | Rowid():
            return expr.source in sources
        case Const():
            return expr.value is None
        case Affine() | Unary() | Cast() | Not():
            return null_if_null(expr.operand, sources)
        case Binary():
            return null_if_null(expr.left, sources) or null_if_null(expr.right, sources)
        case Compare():
            if expr.op in ("is", "is not"):
                return False
            return null_if_null(expr.left, sources) or null_if_null(expr.right, sources)
        case Between() | InList():
            # An empty IN list is false even for NULL; false is not NULL, but the binder's Not would then be true.
            return null_if_null(expr.operand, sources) and not (isinstance(expr, InList) and not expr.items)
        case And() | Or():
            return all(null_if_null(term, sources) for term in expr.terms)
        case Call():
            strict = expr.function.strict and not expr.function.lazy
            return strict and any(null_if_null(arg, sources) for arg in expr.args)
        case _:
            return False
