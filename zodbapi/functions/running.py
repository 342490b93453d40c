"""Running totals: aggregates over all rows from the first of a partition to the one at hand, made by ``accumulate``.

In: the values of a partition, in order. Out: the result after each of them, or None where only the accumulators of ``aggregate``
give it: there are NULLs, or values of several classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import accumulate, count
from math import isfinite
from operator import add
from typing import Any

from zodbapi.functions.aggregate import Average, Count, Sum, average
from zodbapi.values import MAX_INTEGER, MIN_INTEGER
from zodbapi.values.arithmetic import EXACT

Results = Sequence[Any]


def running(call: Callable[..., Any], args: Sequence[tuple[Any, ...]]) -> Results | None:
    """The results of an aggregate after each row; ``call`` makes its accumulator, ``args`` are its arguments of each row."""
    make = _MAKERS.get(call)
    return None if make is None else make(args)


def _counts(args: Sequence[tuple[Any, ...]]) -> Results | None:
    return None if any(row and row[0] is None for row in args) else range(1, len(args) + 1)


def _sums(args: Sequence[tuple[Any, ...]]) -> Results | None:
    values = [value for (value,) in args]
    match list(set(map(type, values))):
        case [kind] if kind is int:
            totals = list(accumulate(values))
            return totals if min(totals) >= MIN_INTEGER and max(totals) <= MAX_INTEGER else None
        case [kind] if kind is Decimal:
            return _accumulated(values, EXACT.add, Decimal(0))
        case [kind] if kind is float:
            totals = _accumulated(values, add, 0.0)
            return totals if isfinite(totals[-1]) else None
        case _:
            return None


def _accumulated(values: Iterable[Any], plus: Callable[[Any, Any], Any], start: Any) -> list[Any]:
    return list(accumulate(values, plus, initial=start))[1:]


def _averages(args: Sequence[tuple[Any, ...]]) -> Results | None:
    totals = _sums(args)
    return None if totals is None else list(map(average, totals, count(1)))


_MAKERS: dict[Callable[..., Any], Callable[[Sequence[tuple[Any, ...]]], Results | None]] = {
    Count: _counts,
    Sum: _sums,
    Average: _averages,
}
