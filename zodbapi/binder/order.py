"""ORDER BY terms and LIMIT."""

from __future__ import annotations

from sqlglot import exp

from zodbapi.binder.collation import own_collation
from zodbapi.binder.scope import Scope
from zodbapi.errors import OperationalError
from zodbapi.plan.expr import Expr, SortKey


def sort_key(term: exp.Ordered, expr: Expr) -> SortKey:
    """The sort key of an ORDER BY term whose expression is bound."""
    args = term.args
    return SortKey(expr, bool(args.get("desc")), bool(args.get("nulls_first")), own_collation(expr))


def bind_order_terms(order: exp.Order | None, scope: Scope) -> tuple[SortKey, ...]:
    """The keys of an ORDER BY in which numbers and aliases mean nothing special (windows, aggregates, UPDATE)."""
    from zodbapi.binder.expr import bind_expr

    return tuple(sort_key(term, bind_expr(term.this, scope)) for term in order.expressions) if order else ()


def ordinal(tree: exp.Expression) -> int | None:
    """The number that an ORDER BY or GROUP BY term is, if it is an integer literal."""
    if isinstance(tree, exp.Literal) and not tree.is_string and tree.this.isdigit():
        return int(tree.this)
    if isinstance(tree, exp.Neg):
        inner = ordinal(tree.this)
        return None if inner is None else -inner
    return None


def checked_ordinal(number: int, size: int, clause: str, term: int) -> int:
    """The position that an ordinal means."""
    if not 1 <= number <= size:
        raise OperationalError(
            f"{ordinal_word(term + 1)} {clause} BY term out of range - should be between 1 and {size}"
        )
    return number - 1


def ordinal_word(number: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def without_collate(tree: exp.Expression) -> tuple[exp.Expression, str]:
    """An ORDER BY term without COLLATE, which leaves an ordinal or alias behind, and the collation ("" without)."""
    collation = ""
    while isinstance(tree, exp.Collate):
        collation = collation or tree.expression.name.upper()
        tree = tree.this
    return tree, collation


def bind_limit(tree: exp.Expression, scope: Scope) -> tuple[Expr | None, Expr | None]:
    """LIMIT and OFFSET of a tree that may have them (``limit`` and ``offset`` args)."""
    from zodbapi.binder.expr import bind_expr

    limit, offset = tree.args.get("limit"), tree.args.get("offset")
    if limit is None and offset is None:
        return None, None
    empty = Scope(scope.binding, scope.outer, scope.ctes)
    if limit is None:
        raise OperationalError('near "OFFSET": syntax error')
    count = bind_expr(limit.expression, empty)
    skip = limit.args.get("offset") or (offset.expression if offset is not None else None)
    return count, bind_expr(skip, empty) if skip is not None else None
