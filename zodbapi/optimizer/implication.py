"""Whether some predicates imply another, for partial indexes: only what can be seen from their form."""

from __future__ import annotations

from zodbapi.optimizer.predicates import rejects_null, split, used
from zodbapi.plan.expr import Column, Expr, IsNull, Not
from zodbapi.plan.walk import Part, transform
from zodbapi.record import replace


def implied(predicate: Expr, known: list[Expr]) -> bool:
    """Whether the predicate is surely true where all known terms are; expressions in ``access.canonical`` form."""
    return all(_is_implied(term, known) for term in split(predicate))


def _is_implied(term: Expr, known: list[Expr]) -> bool:
    if term in known:
        return True
    match term:
        case Not(operand=IsNull(operand=Column() as column)):
            return any(_needs_value(fact, column) for fact in known)
        case _:
            return False


def _needs_value(fact: Expr, column: Column) -> bool:
    """Whether the fact cannot be true when just this column is NULL."""
    return bool(used(fact)) and rejects_null(_only(fact, column), frozenset((column.source,)))


def _only(fact: Expr, column: Column) -> Expr:
    """The fact with every other column moved to another source, so that only this one is taken for NULL."""

    def change(part: Part) -> Part:
        if isinstance(part, Column) and part.position != column.position:
            return replace(part, source=-1)
        return part

    return transform(fact, change)
