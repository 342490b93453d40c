"""Rule: evaluate what is constant, and write logic so that the other rules see plain AND-ed comparisons.

In: any plan. Out: the same plan with ``x AND true``, double NOT, comparisons of literals and filters that are always
true gone. NULL semantics are kept: only where just "is it true?" is asked (a Filter, an ON) is NULL taken for false.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from zodbapi.catalog import INTEGER, REAL
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.predicates import LEAVES, split
from zodbapi.plan.expr import (
    AggregateCall,
    And,
    Between,
    Case,
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
    Rowid,
    Unary,
)
from zodbapi.plan.nodes import Filter, Join, Node
from zodbapi.plan.walk import Part, rebuild
from zodbapi.record import replace

P = TypeVar("P", bound=Part)
TRUE = Const(1, INTEGER)
FALSE = Const(0, INTEGER)
UNKNOWN = Const(None)
TRUTHS = (And, Or, Not, Compare, IsNull, Between, InList, Exists, InQuery)  # give 1, 0 or NULL and nothing else
OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "is": "is not", "is not": "is"}


def fold_constants(node: Node, context: Context) -> Node:
    """The plan with constant expressions evaluated."""
    if not context.occurs(*_FOLDS):
        return node
    return fold(node)


def fold(part: P) -> P:
    """A node or expression with everything constant at and below it evaluated."""
    if part.__class__ in LEAVES:
        return part
    rebuilt: Any = rebuild(part, fold)
    change = _FOLDS.get(rebuilt.__class__)
    return change(rebuilt) if change else rebuilt  # type: ignore[no-any-return]


def _truth(predicate: Expr) -> Expr:
    """The predicate where only "is it true?" matters: NULL counts as false."""
    match predicate:
        case Const() if _known(predicate):
            return TRUE if predicate.value else FALSE
        case And():
            terms = [_truth(term) for term in split(predicate)]
            if any(term is FALSE for term in terms):
                return FALSE
            return _joined(And, [term for term in terms if term is not TRUE], TRUE, predicate)
        case Or():
            terms = [_truth(term) for term in predicate.terms]
            if any(term is TRUE for term in terms):
                return TRUE
            return _joined(Or, [term for term in terms if term is not FALSE], FALSE, predicate)
        case Not(operand=Not(operand=operand)):
            return _truth(operand)
        case Not(operand=Or() as either):
            return _truth(And(tuple(_negated(term) for term in either.terms)))
        case Not():
            negated = _negated(predicate.operand)
            return predicate if negated == predicate else negated
        case _:
            return predicate


def _joined(cls: type[And | Or], terms: list[Expr], empty: Const, old: Expr) -> Expr:
    if not terms:
        return empty
    if len(terms) == 1:
        return terms[0]
    if isinstance(old, cls) and old.terms == tuple(terms):
        return old
    return cls(tuple(terms), nullable=any(getattr(term, "nullable", True) for term in terms))


def _known(expr: Expr) -> bool:
    """Whether the expression is a literal whose truth is plain; that of a text or blob is left to the run time."""
    return isinstance(expr, Const) and (expr.value is None or isinstance(expr.value, (int, float)))


def _negated(expr: Expr) -> Expr:
    match expr:
        case Const() if _known(expr):
            return UNKNOWN if expr.value is None else FALSE if expr.value else TRUE
        case Compare():
            return replace(expr, op=OPPOSITE[expr.op])
        case Not(operand=operand) if isinstance(operand, TRUTHS):
            return operand
        case _:
            return Not(expr, nullable=getattr(expr, "nullable", True))


def _fold_not(expr: Not) -> Expr:
    match expr.operand:
        case Const() | Compare() | Not():
            negated = _negated(expr.operand)
            return expr if negated == expr else negated
        case _:
            return expr


def _fold_and(expr: And) -> Expr:
    if any(_known(term) and term.value == 0 and term.value is not None for term in expr.terms):  # type: ignore[attr-defined]
        return FALSE
    return _without(expr, True)


def _fold_or(expr: Or) -> Expr:
    if any(_known(term) and term.value for term in expr.terms):  # type: ignore[attr-defined]
        return TRUE
    same = _as_in_list(expr)
    return same if same is not None else _without(expr, False)


def _without(expr: And | Or, neutral: bool) -> Expr:
    """The expression without terms that are ``neutral``; a single term left must give a truth value by itself."""
    terms = [t for t in expr.terms if not (_known(t) and t.value is not None and bool(t.value) is neutral)]  # type: ignore[attr-defined]
    if len(terms) == len(expr.terms):
        return expr
    if not terms:
        return TRUE if neutral else FALSE
    if len(terms) == 1:
        return terms[0] if isinstance(terms[0], TRUTHS) else expr
    return replace(expr, terms=tuple(terms))


def _as_in_list(expr: Or) -> InList | None:
    """``a = 1 OR a = 2`` as ``a IN (1, 2)``, so that an index can answer it."""
    items: list[Expr] = []
    operand: Expr | None = None
    collation = ""
    for term in expr.terms:
        match term:
            case Compare(op="=", left=Column() | Rowid() as left, right=right) if _is_plain(right):
                if operand is not None and (left != operand or term.collation != collation):
                    return None
                operand, collation = left, term.collation
                items.append(right)
            case _:
                return None
    assert operand is not None
    return InList(operand, tuple(items), collation, nullable=expr.nullable)


def _is_plain(expr: Expr) -> bool:
    operand = getattr(expr, "operand", expr)
    return isinstance(operand, (Const, Param))


def _fold_is_null(expr: IsNull) -> Expr:
    match expr.operand:
        case Const(value=value):
            return TRUE if value is None else FALSE
        case Column(nullable=False) | Rowid(nullable=False):
            return FALSE
        case _:
            return expr


def _fold_compare(expr: Compare) -> Expr:
    left, right = expr.left, expr.right
    if not (isinstance(left, Const) and isinstance(right, Const)):
        return expr
    a, b = left.value, right.value
    if expr.op in ("is", "is not"):
        if a is None or b is None:
            return TRUE if (a is b) is (expr.op == "is") else FALSE
    elif a is None or b is None:
        return UNKNOWN
    if not _plainly_comparable(a, b, expr.collation):
        return expr
    return TRUE if _COMPARE[expr.op](a, b) else FALSE


def _plainly_comparable(a: Any, b: Any, collation: str) -> bool:
    if a.__class__ is str and b.__class__ is str:
        return collation == "BINARY"
    return a.__class__ in (int, float, bool) and b.__class__ in (int, float, bool)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "is": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "is not": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _fold_unary(expr: Unary) -> Expr:
    match expr:
        case Unary(op="-", operand=Const(value=int() as value)) if value.__class__ is int and value != -(2**63):
            return Const(-value, INTEGER)
        case Unary(op="-", operand=Const(value=float() as value)):
            return Const(0.0 - value, REAL)
        case _:
            return expr


def _fold_case(expr: Case) -> Expr:
    """CASE without the branches that cannot be taken."""
    whens = [when for when in expr.whens if not (_known(when[0]) and not when[0].value)]  # type: ignore[attr-defined]
    if len(whens) == len(expr.whens):
        return expr
    return replace(expr, whens=tuple(whens)) if whens else expr.default


def _fold_count(call: AggregateCall) -> AggregateCall:
    """``count(x)`` of what is never NULL counts rows."""
    if call.function.name != "count" or call.distinct or len(call.args) != 1 or call.function.min_args > 0:
        return call
    return call if getattr(call.args[0], "nullable", True) else replace(call, args=())


def _fold_filter(node: Filter) -> Node:
    predicate = _truth(node.predicate)
    if predicate is TRUE:
        return node.input
    return node if predicate is node.predicate else Filter(node.input, predicate)


def _fold_join(node: Join) -> Node:
    if node.on is None:
        return node
    on: Expr | None = _truth(node.on)
    if on is TRUE:
        on = None
    return node if on is node.on else replace(node, on=on)


_FOLDS: dict[type, Callable[[Any], Any]] = {
    And: _fold_and,
    Or: _fold_or,
    Not: _fold_not,
    IsNull: _fold_is_null,
    Compare: _fold_compare,
    Unary: _fold_unary,
    Case: _fold_case,
    AggregateCall: _fold_count,
    Filter: _fold_filter,
    Join: _fold_join,
}
