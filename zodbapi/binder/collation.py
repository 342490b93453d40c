"""Which collation a comparison, an order or a group uses, as SQLite's sqlite3ExprCollSeq decides it.

While a statement is bound, ``Collate`` stays where COLLATE stood, so that whatever is built around it can still be
asked: COLLATE anywhere below an operand decides, wherever it stands but in a subquery; of several the leftmost. An alias
that stands for COLLATE does so too, but only as the operand itself. A column decides where no COLLATE does, as the operand
itself or below CAST and unary plus. Once bound, ``uncollated`` takes all of them out: below the binder only comparisons,
keys and calls name collations.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zodbapi.plan.expr import Affine, Cast, Collate, Column, Expr, Unary
from zodbapi.plan.nodes import Node
from zodbapi.plan.walk import P, Part, parts, transform

if TYPE_CHECKING:
    from zodbapi.binder.scope import Binding

Collation = tuple[str, bool]  # the name, and whether COLLATE gave it

BINARY = "BINARY"
IMPLIED, NAMED, GIVEN = range(3)  # the strengths of Collate: like a column's, by an alias, by COLLATE on the spot


def collation_of(expr: Expr) -> Collation | None:
    """The collation that an operand brings; None when it brings none."""
    found = _explicit(expr)
    if found is not None:
        return found, True
    while isinstance(expr, (Cast, Affine)) or (isinstance(expr, Unary) and expr.op == "+"):
        expr = expr.operand
    if isinstance(expr, Collate):
        return expr.collation, False
    return (expr.collation, False) if isinstance(expr, Column) else None


def _explicit(expr: Expr) -> str | None:
    """The leftmost COLLATE in an operand."""
    if isinstance(expr, Column):
        return None
    if isinstance(expr, Collate) and expr.strength == NAMED:
        return expr.collation
    stack: list[Part] = [expr]
    while stack:
        part = stack.pop()
        if isinstance(part, Collate) and part.strength == GIVEN:
            return part.collation
        if not isinstance(part, (Column, Node)):
            stack += reversed(parts(part))
    return None


def comparison_collation(left: Expr, right: Expr) -> str:
    """The collation of a comparison: an explicit one, left first, then a column's, left first."""
    a, b = collation_of(left), collation_of(right)
    if a and a[1]:
        return a[0]
    if b and b[1]:
        return b[0]
    return a[0] if a else b[0] if b else BINARY


def first_collation(exprs: Iterable[Expr]) -> str:
    """The collation of a function: that of its first argument that brings one."""
    return next((found[0] for found in map(collation_of, exprs) if found), BINARY)


def own_collation(expr: Expr) -> str:
    """The collation that sorting, grouping or DISTINCT by an expression uses."""
    return first_collation((expr,))


def named(expr: Expr, binding: Binding) -> Expr:
    """The expression as its alias brings it."""
    found = collation_of(expr) if binding.collates else None
    if found is None or not found[1]:
        return expr
    return Collate(uncollated(expr, binding), found[0], expr.type, expr.nullable, NAMED)


def collated(expr: Expr, collation: Collation | None, binding: Binding) -> Expr:
    """The expression as one that brings the collation."""
    if collation is None:
        return expr
    binding.collates = True
    return Collate(expr, collation[0], expr.type, expr.nullable, GIVEN if collation[1] else IMPLIED)


def uncollated(part: P, binding: Binding) -> P:
    """The part without any COLLATE in it."""
    return transform(part, _operand) if binding.collates else part


def _operand(part: Part) -> Part:
    while isinstance(part, Collate):
        part = part.operand
    return part
