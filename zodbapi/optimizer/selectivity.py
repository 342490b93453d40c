"""How many rows pass a predicate: seen in a sample of the table, for the values of the call that is planned for, else guessed."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from zodbapi import values
from zodbapi.catalog import Kind
from zodbapi.functions.registry import Function
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.peeking import UNKNOWN
from zodbapi.optimizer.predicates import kind_of
from zodbapi.plan.expr import Between, Call, Column, Compare, Expr, InList, IsNull, Not
from zodbapi.plan.lists import how_many

_FLIPPED = {"=": "=", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

_FOLDS = {"like": "ascii", "clike": "none", "ilike": "unicode"}


def passing(rows: float, terms: list[Expr], context: Context) -> float:
    """Rows expected to pass all terms."""
    for term in terms:
        rows *= selectivity(term, context)
    return max(rows, 1.0)


def selectivity(term: Expr, context: Context) -> float:
    """The part of rows for which a term is expected to be true."""
    known = context.passing.get(id(term))
    if known is None:
        seen = _seen(term, context) if context.samples is not None else None
        known = context.passing[id(term)] = term, _guessed(term) if seen is None else seen
    return known[1]


def _guessed(term: Expr) -> float:
    match term:
        case Compare(op="=" | "is"):
            return 0.5 if kind_of(term.left) is Kind.BOOLEAN else 0.1
        case Compare(op="!=" | "is not") | Not(operand=IsNull()):
            return 0.9
        case Compare():
            return 0.3
        case Between() | IsNull():
            return 0.1
        case InList():
            return min(0.5, 0.1 * how_many(term.items))
        case Call(function=function) if function.name in ("like", "clike", "ilike", "glob", "regexp"):
            return 0.1
        case Not():
            return 0.8
        case _:
            return 0.5


def _seen(term: Expr, context: Context) -> float | None:
    """What a sample says of a column compared with known values; None if there is no sample, or the term is another one."""
    match term:
        case Compare(op=op, left=Column() as column, right=other) if op in _TESTS:
            return _compared(column, [(op, other)], term.collation, context)
        case Compare(op=op, left=other, right=Column() as column) if op in _TESTS:
            return _compared(column, [(_FLIPPED[op], other)], term.collation, context)
        case Between(operand=Column() as column):
            return _compared(column, [(">=", term.low), ("<=", term.high)], term.collation, context)
        case InList(operand=Column() as column):
            sample = _sample(column, context)
            return min(0.9, how_many(term.items) / _values(column, context)) if sample else None
        case Call(function=function, args=(pattern, Column() as column, *escape)) if function.name in _FOLDS:
            return _matched(function, column, [pattern, *escape], context)
        case IsNull(operand=Column() as column):
            sample = _sample(column, context)
            return _part(sample.count(None), len(sample)) if sample else None
        case Column():
            sample = _sample(term, context) if kind_of(term) is Kind.BOOLEAN else []
            return _part(sample.count(True), len(sample)) if sample else None
        case Not(operand=IsNull(operand=Column()) | Column() as test):
            seen = _seen(test, context)
            return None if seen is None else 1 - seen
        case _:
            return None


def _compared(column: Column, tests: list[tuple[str, Expr]], collation: str, context: Context) -> float | None:
    known = [(op, context.value(other)) for op, other in tests]
    fold = values.COLLATIONS.get(collation.upper())
    kind = kind_of(column)
    if fold is None or kind is Kind.ANY or any(value is UNKNOWN for _, value in known):
        return None
    sample = [value for value in _sample(column, context) if value is not None]
    if not sample:
        return None
    ready = values.comparable(kind)
    found = sample if collation.upper() == "BINARY" else [fold(value) for value in sample]
    for op, value in known:
        test, key = _TESTS[op], fold(ready(value))
        found = [value for value in found if test(value, key)]
    if known[0][0] != "=":
        return _part(len(found), len(sample))
    several = 1 / _values(column, context)
    return max(_part(len(found), len(sample)), several) if len(found) > 1 else several


def _matched(function: Function, column: Column, pattern: list[Expr], context: Context) -> float | None:
    known = [context.value(expr) for expr in pattern]
    if any(type(value) is not str for value in known) or any(len(escape) != 1 for escape in known[1:]):
        return None
    if function.call.__module__.split(".")[0] != "zodbapi":  # the user's own
        return None
    sample = [value for value in _sample(column, context) if type(value) is str]
    matches = values.like_matcher(*known, fold=_FOLDS[function.name])
    return _part(sum(map(matches, sample)), len(sample)) if sample else None


def _part(hits: int, size: int) -> float:
    """The part of a population that is expected to be hit, never none and never all of it."""
    return (hits + 0.5) / (size + 1)


def _sample(column: Column, context: Context) -> list[Any]:
    table = context.table_of(column.source)
    return [] if table is None else context.sample(table, column.position)


def _values(column: Column, context: Context) -> float:
    table = context.table_of(column.source)
    return 1.0 if table is None else context.values(table, column.position)
