"""Aggregate functions: one accumulator object a group.

In: ``step(*args)`` for each row; rows whose first argument is NULL are left out by the caller where ``skip_nulls`` says so.
Out: ``finalize()``, which may be called again after further steps, as running windows do.

``inverse(*args)`` takes away the oldest row still counted: moving frames drop rows in the order in which they came.

Sums of integers are exact and raise if they do not fit 64 bits in the end; sums and averages of decimals are exact;
intervals add up to intervals. A float among the values makes a float of the sum, as in SQLite.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

from zodbapi.catalog import ANY, BOOLEAN, INTEGER, REAL, TEXT
from zodbapi.errors import DataError, OperationalError
from zodbapi.functions import result_types
from zodbapi.functions.registry import AggregateFunction
from zodbapi.record import replace
from zodbapi.values import (
    MAX_INTEGER,
    MIN_INTEGER,
    sort_key,
    to_integer,
    to_number,
    to_text,
    truth,
    whole_number,
)
from zodbapi.values.arithmetic import DIVISION, EXACT, exact_sum
from zodbapi.values.collation import binary
from zodbapi.values.conversion import microseconds


class Count:
    """``count(x)`` and ``count(*)``."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows = 0

    def step(self, *args: Any) -> None:
        self.rows += 1

    def inverse(self, *args: Any) -> None:
        self.rows -= 1

    def finalize(self) -> int:
        return self.rows


_add_exact = EXACT.add


def sum_of(numbers: Sequence[Any]) -> Any:
    """``sum`` of all, whatever their classes; None of nothing."""
    try:
        total = exact_sum(numbers, 0)
    except (TypeError, ArithmeticError):  # texts, or floats among decimals
        total = None
    if numbers and type(total) is Decimal:
        return total
    if numbers and type(total) is int:
        return _in_range(total)
    accumulator = Sum()
    for number in numbers:
        accumulator.step(number)
    return accumulator.finalize()


class Sum:
    """``sum(x)``: each class of number is added up by itself, so that integers and decimals stay exact."""

    __slots__ = (
        "decimals",
        "exact",
        "infinities",
        "intervals",
        "length",
        "minus_infinities",
        "real",
        "reals",
        "rows",
        "whole",
    )

    def __init__(self) -> None:
        self.rows = self.reals = self.decimals = self.intervals = 0  # how many values, and of which class
        self.infinities = self.minus_infinities = 0
        self.whole = 0  # the sum of the integers; likewise the others
        self.real = 0.0
        self.exact = Decimal(0)
        self.length = 0  # microseconds

    def step(self, value: Any, *_: Any) -> None:
        if type(value) is int:
            self.whole += value
            self.rows += 1
        elif type(value) is Decimal:
            self.exact = _add_exact(self.exact, value)
            self.decimals += 1
            self.rows += 1
        else:
            self._count(value, 1)

    def inverse(self, value: Any, *_: Any) -> None:
        self._count(value, -1)

    def _count(self, value: Any, by: int) -> None:
        self.rows += by
        value = _summand(value)
        kind = type(value)
        if kind is int:
            self.whole += by * value
        elif kind is float:
            self._count_real(value, by)
        elif kind is Decimal:
            self.decimals += by
            self.exact = EXACT.add(self.exact, value) if by > 0 else EXACT.subtract(self.exact, value)
        else:
            self.intervals += by
            self.length += by * microseconds(value)

    def _count_real(self, value: float, by: int) -> None:
        self.reals += by
        if math.isfinite(value):
            self.real += by * value
        elif value > 0:
            self.infinities += by
        else:
            self.minus_infinities += by

    def total(self) -> Any:
        """The sum in the widest class seen; None where infinities cancel out."""
        if self.intervals:
            return _interval(self.length + self.whole)
        if self.reals:
            if self.infinities or self.minus_infinities:
                return None if self.infinities and self.minus_infinities else math.inf if self.infinities else -math.inf
            return self.real + self.whole + float(self.exact)
        if self.decimals:
            return EXACT.add(self.exact, Decimal(self.whole))
        return self.whole

    def finalize(self) -> Any:
        if not self.rows:
            return None
        return _in_range(self.total())


def _in_range(total: Any) -> Any:
    if type(total) is int and not MIN_INTEGER <= total <= MAX_INTEGER:
        raise OperationalError("integer overflow")
    return total


def _interval(length: int) -> timedelta:
    try:
        return timedelta(microseconds=length)
    except OverflowError as error:
        raise DataError("interval out of range") from error


def _summand(value: Any) -> Any:
    """The number that a value adds: texts count as integers only if they wholly are one, blobs as floats."""
    kind = type(value)
    if kind is int or kind is float or kind is Decimal or kind is timedelta:
        return value
    if kind is bool:
        return int(value)
    number = to_number(value)
    return number if kind is str and whole_number(value) is not None else float(number)


class Total(Sum):
    """``total(x)``: the sum as a float, 0.0 of nothing."""

    __slots__ = ()

    def finalize(self) -> float | None:
        if self.intervals:
            return float(microseconds(self.total()))
        result = self.total()
        return None if result is None else float(result)


class Average(Sum):
    """``avg(x)``: a float; of decimals a decimal, of intervals an interval."""

    __slots__ = ()

    def finalize(self) -> Any:
        if not self.rows:
            return None
        return average(self.total(), self.rows)


def average(total: Any, rows: int) -> Any:
    """The average of ``rows`` values with this sum, in the class that ``avg`` gives; None for a sum of None."""
    if type(total) is Decimal:
        return DIVISION.divide(total, Decimal(rows))
    return None if total is None else total / rows


class Maximum:
    """``max(x)``. Candidates that a later value outdoes are dropped, so a moving frame costs no more than a fixed one.

    ``fold`` gives what a collation compares.
    """

    __slots__ = ("candidates", "dropped", "fold", "steps")

    def __init__(self, fold: Callable[[Any], Any] = binary) -> None:
        self.fold = fold
        self.candidates: deque[tuple[int, Any, Any]] = deque()  # (number of the step, sort key, value)
        self.steps = self.dropped = 0

    def outdone(self, old: Any, new: Any) -> bool:
        return old < new  # type: ignore[no-any-return]

    def step(self, value: Any, *_: Any) -> None:
        key = sort_key(self.fold(value))
        candidates = self.candidates
        while candidates and self.outdone(candidates[-1][1], key):
            candidates.pop()
        candidates.append((self.steps, key, value))
        self.steps += 1

    def inverse(self, *_: Any) -> None:
        if self.candidates and self.candidates[0][0] == self.dropped:
            self.candidates.popleft()
        self.dropped += 1

    def finalize(self) -> Any:
        return self.candidates[0][2] if self.candidates else None


class Minimum(Maximum):
    """``min(x)``."""

    __slots__ = ()

    def outdone(self, old: Any, new: Any) -> bool:
        return old > new  # type: ignore[no-any-return]


@lru_cache(maxsize=64)
def collating(function: AggregateFunction, fold: Callable[[Any], Any]) -> AggregateFunction:
    """``max`` or ``min`` over a window with texts compared under a collation."""
    return replace(function, call=partial(function.call, fold))


class Collected:
    """Root of the aggregates that need all values of the group."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: deque[Any] = deque()

    def step(self, value: Any, *_: Any) -> None:
        self.values.append(value)

    def inverse(self, *_: Any) -> None:
        self.values.popleft()


class GroupConcat(Collected):
    """``group_concat(x[, separator])``: the texts, each but the first behind its separator."""

    __slots__ = ()

    def step(self, value: Any, separator: Any = ",", *_: Any) -> None:
        self.values.append(("" if separator is None else to_text(separator), to_text(value)))

    def finalize(self) -> str | None:
        if not self.values:
            return None
        pieces = [piece for pair in self.values for piece in pair]
        return "".join(pieces[1:])


class Spread(Collected):
    """Variance and standard deviation; ``sample`` divides by one less than the number of values."""

    __slots__ = ()
    sample = False

    def step(self, value: Any, *_: Any) -> None:
        self.values.append(float(to_number(value)))

    def variance(self) -> float | None:
        count = len(self.values)
        if count < (2 if self.sample else 1):
            return None
        try:
            mean = math.fsum(self.values) / count
            result = math.fsum((value - mean) * (value - mean) for value in self.values) / (count - self.sample)
        except (OverflowError, ValueError):  # beyond the range of floats, or infinities of both signs
            return None
        return None if math.isnan(result) else result

    def finalize(self) -> float | None:
        return self.variance()


class SampleVariance(Spread):
    """``var_samp(x)``."""

    __slots__ = ()
    sample = True


class Deviation(Spread):
    """``stddev_pop(x)``."""

    __slots__ = ()

    def finalize(self) -> float | None:
        variance = self.variance()
        return None if variance is None else math.sqrt(variance)


class SampleDeviation(Deviation):
    """``stddev_samp(x)``."""

    __slots__ = ()
    sample = True


class Median(Collected):
    """``median(x)``: the middle value, or the mean of the two in the middle."""

    __slots__ = ()

    def finalize(self) -> Any:
        if not self.values:
            return None
        ordered = sorted(self.values, key=sort_key)
        middle = len(ordered) // 2
        if len(ordered) % 2:
            return ordered[middle]
        pair = Sum()
        pair.step(ordered[middle - 1])
        pair.step(ordered[middle])
        return average(pair.total(), 2)


class AnyValue(Collected):
    """``any_value(x)``: the first value."""

    __slots__ = ()

    def finalize(self) -> Any:
        return self.values[0] if self.values else None


class Truths:
    """How many values were true and how many were not."""

    __slots__ = ("false", "true")

    def __init__(self) -> None:
        self.true = self.false = 0

    def step(self, value: Any) -> None:
        self._count(value, 1)

    def inverse(self, value: Any) -> None:
        self._count(value, -1)

    def _count(self, value: Any, by: int) -> None:
        if truth(value):
            self.true += by
        else:
            self.false += by


class AllTrue(Truths):
    """``bool_and(x)``."""

    __slots__ = ()

    def finalize(self) -> bool | None:
        return not self.false if self.true or self.false else None


class AnyTrue(Truths):
    """``bool_or(x)``."""

    __slots__ = ()

    def finalize(self) -> bool | None:
        return bool(self.true) if self.true or self.false else None


def _bitwise(operate: Callable[[int, int], int]) -> type:
    class Bits(Collected):
        """``bit_and``, ``bit_or`` or ``bit_xor``."""

        __slots__ = ()

        def finalize(self) -> int | None:
            result: int | None = None
            for value in self.values:
                number = to_integer(value)
                result = number if result is None else operate(result, number)
            return result

    return Bits


class Bare:
    """A column that is neither grouped nor aggregated: the value of the first row."""

    __slots__ = ("seen", "value")

    def __init__(self) -> None:
        self.seen, self.value = False, None

    def step(self, value: Any) -> None:
        if not self.seen:
            self.seen, self.value = True, value

    def finalize(self) -> Any:
        return self.value


SUM = AggregateFunction("sum", Sum, 1, 1, inline=True, result=result_types.total)
FUNCTIONS: tuple[AggregateFunction, ...] = (
    AggregateFunction("count", Count, 0, 1, inline=True, nullable=False, result=INTEGER),
    SUM,
    AggregateFunction("total", Total, 1, 1, inline=True, result=REAL),
    AggregateFunction("avg", Average, 1, 1, inline=True, result=result_types.average),
    AggregateFunction("min", Minimum, 1, 1, inline=True, result=result_types.first),
    AggregateFunction("max", Maximum, 1, 1, inline=True, result=result_types.first),
    AggregateFunction("bare", Bare, 1, 1, inline=True, skip_nulls=False, result=result_types.first),
    AggregateFunction("group_concat", GroupConcat, 1, 2, result=TEXT),
    AggregateFunction("string_agg", GroupConcat, 2, 2, result=TEXT),
    AggregateFunction("var_pop", Spread, 1, 1, result=REAL),
    AggregateFunction("var_samp", SampleVariance, 1, 1, result=REAL),
    AggregateFunction("variance", SampleVariance, 1, 1, result=REAL),
    AggregateFunction("stddev_pop", Deviation, 1, 1, result=REAL),
    AggregateFunction("stddev_samp", SampleDeviation, 1, 1, result=REAL),
    AggregateFunction("stddev", SampleDeviation, 1, 1, result=REAL),
    AggregateFunction("median", Median, 1, 1, result=ANY),
    AggregateFunction("any_value", AnyValue, 1, 1, result=result_types.first),
    AggregateFunction("bool_and", AllTrue, 1, 1, result=BOOLEAN),
    AggregateFunction("every", AllTrue, 1, 1, result=BOOLEAN),
    AggregateFunction("bool_or", AnyTrue, 1, 1, result=BOOLEAN),
    AggregateFunction("bit_and", _bitwise(lambda a, b: a & b), 1, 1, result=INTEGER),
    AggregateFunction("bit_or", _bitwise(lambda a, b: a | b), 1, 1, result=INTEGER),
    AggregateFunction("bit_xor", _bitwise(lambda a, b: a ^ b), 1, 1, result=INTEGER),
)
