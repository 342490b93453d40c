"""What is known of values when a statement is planned: its literals, and the parameters of the call that it is planned for.

In: expressions. Out: their values, and the places of such values in an index. Programs do not depend on any of this: a plan for
the parameters of one call runs with those of all later ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from zodbapi import values
from zodbapi.catalog import Index, IndexColumn, Table
from zodbapi.plan.entries import MIXED, is_raw, part_type
from zodbapi.plan.expr import Affine, Const, Expr, Param

UNKNOWN = object()


class Edge(NamedTuple):
    """The known value of a bound of a range."""

    value: Any
    is_inclusive: bool


def value_of(expr: Expr, params: Sequence[Any]) -> Any:
    """The value of a literal, or of a parameter as the comparison converts it; else UNKNOWN."""
    match expr:
        case Const():
            return expr.value
        case Param():
            return params[expr.index] if expr.index < len(params) else UNKNOWN
        case Affine():
            value = value_of(expr.operand, params)
            return value if value is UNKNOWN else values.affine(expr.type.kind)(value)
        case _:
            return UNKNOWN


def is_fixed(expr: Expr) -> bool:
    """Whether the value is the same in every call."""
    while isinstance(expr, Affine):
        expr = expr.operand
    return isinstance(expr, Const)


def entry_part(value: Any, table: Table, column: IndexColumn) -> Any:
    """A value as it stands in a key; UNKNOWN where only a collation of the user could say."""
    type_, nullable = part_type(table, column)
    fold = values.uuid_number if column.numbered else values.COLLATIONS.get(column.collation.upper())
    if fold is None:
        return UNKNOWN
    if type_.kind in MIXED:
        return values.sort_key(fold(value))
    if value is None:
        return () if nullable else UNKNOWN
    part = fold(values.comparable(type_.kind)(value))
    return (part,) if nullable else part


def seek_ends(
    table: Table, index: Index, prefix: Sequence[Any], lower: Edge | None, upper: Edge | None
) -> tuple[Any, Any] | None:
    """The keys between which the entries stand that have the values ``prefix`` and then one from ``lower`` to ``upper``.

    None: the place of a value is not known, or it is NULL, which is in no range.
    """
    parts = [entry_part(value, table, column) for value, column in zip(prefix, index.columns, strict=False)]
    low: Any = (*parts,)
    high: Any = (*parts, values.ABOVE)
    if lower or upper:
        column = index.columns[len(prefix)]
        bounds = [entry_part(bound.value, table, column) for bound in (lower, upper) if bound is not None]
        if any(bound is not None and bound.value is None for bound in (lower, upper)):
            return None
        if is_raw(table, index):
            low, high = (bounds[0] if lower else None), (bounds[-1] if upper else None)
            return None if low is UNKNOWN or high is UNKNOWN else (low, high)
        if lower:
            low = (*parts, bounds[0], *_above(not lower.is_inclusive))
        elif part_type(table, column)[1]:
            null = values.sort_key(None) if part_type(table, column)[0].kind in MIXED else ()
            low = (*parts, null, values.ABOVE)
        high = (*parts, bounds[-1], *_above(upper.is_inclusive)) if upper else high
        parts += bounds
    return None if any(part is UNKNOWN for part in parts) else (low, high)


def _above(after: bool) -> tuple[Any, ...]:
    return (values.ABOVE,) if after else ()
