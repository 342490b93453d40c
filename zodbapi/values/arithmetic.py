"""The operators ``+ - * / % || & | << >> ~`` over all native values.

In: native values or None. Out: what SQLite gives for integers, floats, texts, blobs and NULL: integers that overflow
64 bits become floats, division by zero is NULL, texts count as the number they start with. Extended:

- Decimal with Decimal or integer is exact (division: 38 digits); with a float it is a float.
- date, timestamp and time plus or minus interval; their differences are intervals; date plus or minus integer counts days.
- interval times or divided by a number; interval by interval is a float; remainders of intervals.

Each operator tests for the common classes first and leaves the rest to a slow path.
"""
# A float that differs from itself is NaN; that test is the fastest.

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Any

from zodbapi.errors import DataError
from zodbapi.values.conversion import MAX_INTEGER, MIN_INTEGER, to_integer, to_number, to_text
from zodbapi.values.temporal import naive_utc

# Without traps no operation raises; results that are not numbers become NULL below.
EXACT = Context(prec=2000, rounding=ROUND_HALF_EVEN, traps=[])
DIVISION = Context(prec=38, rounding=ROUND_HALF_EVEN, traps=[])

_NATURAL = frozenset({int, float})
_EXACT = frozenset({int, Decimal})
_TEMPORAL = frozenset({date, datetime, time, timedelta})
_MIDNIGHT = datetime(2000, 1, 1)


def exact_sum(numbers: Iterable[Any], start: Decimal | int) -> Any:
    """The sum of decimals and integers, added to ``start`` without rounding; TypeError if there are texts among them."""
    with localcontext(EXACT):
        return sum(numbers, start)


def add(a: Any, b: Any) -> Any:
    """``a + b``."""
    if type(a) is int and type(b) is int:
        total = a + b
        return total if MIN_INTEGER <= total <= MAX_INTEGER else float(a) + float(b)
    if type(a) in _NATURAL and type(b) in _NATURAL:
        real = a + b
        return real if real == real else None
    if type(a) in _EXACT and type(b) in _EXACT:
        exact = EXACT.add(a, b)
        return exact if exact.is_finite() else None
    if a is None or b is None:
        return None
    if type(a) in _TEMPORAL or type(b) in _TEMPORAL:
        return _temporal(_add_temporal, a, b, add)
    a, b = to_number(a), to_number(b)
    if type(a) is Decimal or type(b) is Decimal:
        return _decimal(EXACT.add, a, b, add)
    if type(a) is int and type(b) is int:
        return add(a, b)
    return add(float(a), float(b))


def sub(a: Any, b: Any) -> Any:
    """``a - b``."""
    if type(a) is int and type(b) is int:
        total = a - b
        return total if MIN_INTEGER <= total <= MAX_INTEGER else float(a) - float(b)
    if type(a) in _NATURAL and type(b) in _NATURAL:
        real = a - b
        return real if real == real else None
    if type(a) in _EXACT and type(b) in _EXACT:
        exact = EXACT.subtract(a, b)
        return exact if exact.is_finite() else None
    if a is None or b is None:
        return None
    if type(a) in _TEMPORAL or type(b) in _TEMPORAL:
        return _temporal(_sub_temporal, a, b, sub)
    a, b = to_number(a), to_number(b)
    if type(a) is Decimal or type(b) is Decimal:
        return _decimal(EXACT.subtract, a, b, sub)
    if type(a) is int and type(b) is int:
        return sub(a, b)
    return sub(float(a), float(b))


def mul(a: Any, b: Any) -> Any:
    """``a * b``."""
    if type(a) is int and type(b) is int:
        product = a * b
        return product if MIN_INTEGER <= product <= MAX_INTEGER else float(a) * float(b)
    if type(a) in _NATURAL and type(b) in _NATURAL:
        real = a * b
        return real if real == real else None
    if type(a) in _EXACT and type(b) in _EXACT:
        exact = EXACT.multiply(a, b)
        return exact if exact.is_finite() else None
    if a is None or b is None:
        return None
    if type(a) in _TEMPORAL or type(b) in _TEMPORAL:
        return _temporal(_mul_temporal, a, b, mul)
    a, b = to_number(a), to_number(b)
    if type(a) is Decimal or type(b) is Decimal:
        return _decimal(EXACT.multiply, a, b, mul)
    if type(a) is int and type(b) is int:
        return mul(a, b)
    return mul(float(a), float(b))


def div(a: Any, b: Any) -> Any:
    """``a / b``: integers divide to an integer, rounded towards zero; by zero is NULL."""
    if type(a) is int and type(b) is int:
        if b == 0:
            return None
        quotient = a // b if (a < 0) == (b < 0) else -(-a // b)
        return quotient if quotient <= MAX_INTEGER else float(quotient)
    if type(a) in _NATURAL and type(b) in _NATURAL:
        if b == 0:
            return None
        real = a / b
        return real if real == real else None
    if a is None or b is None:
        return None
    if type(a) in _TEMPORAL or type(b) in _TEMPORAL:
        return _temporal(_div_temporal, a, b, div)
    a, b = to_number(a), to_number(b)
    if type(a) is Decimal or type(b) is Decimal:
        return _decimal(DIVISION.divide, a, b, div)
    if type(a) is int and type(b) is int:
        return div(a, b)
    return div(float(a), float(b))


def mod(a: Any, b: Any) -> Any:
    """``a % b`` over the integer parts, with the sign of ``a``; exact for decimals; by zero is NULL."""
    if type(a) is int and type(b) is int:
        if b == 0:
            return None
        rest = abs(a) % abs(b)
        return rest if a >= 0 else -rest
    if a is None or b is None:
        return None
    if type(a) in _TEMPORAL or type(b) in _TEMPORAL:
        return _temporal(_mod_temporal, a, b, mod)
    x, y = to_number(a), to_number(b)
    if type(x) is float or type(y) is float:
        rest = mod(to_integer(a), to_integer(b))
        return None if rest is None else float(rest)
    if type(x) is Decimal or type(y) is Decimal:
        return _decimal(EXACT.remainder, x, y, mod)
    return mod(x, y)


def concat(a: Any, b: Any) -> str | None:
    """``a || b``: always a text."""
    if type(a) is str and type(b) is str:
        return a + b
    if a is None or b is None:
        return None
    return to_text(a) + to_text(b)


def bit_and(a: Any, b: Any) -> int | None:
    """``a & b`` over 64-bit integers."""
    if type(a) is int and type(b) is int:
        return a & b
    return None if a is None or b is None else to_integer(a) & to_integer(b)


def bit_or(a: Any, b: Any) -> int | None:
    """``a | b`` over 64-bit integers."""
    if type(a) is int and type(b) is int:
        return a | b
    return None if a is None or b is None else to_integer(a) | to_integer(b)


def shift_left(a: Any, b: Any) -> int | None:
    """``a << b`` in 64 bits; a negative ``b`` shifts to the right."""
    if a is None or b is None:
        return None
    return _shift(to_integer(a), to_integer(b))


def shift_right(a: Any, b: Any) -> int | None:
    """``a >> b`` in 64 bits, keeping the sign; a negative ``b`` shifts to the left."""
    if a is None or b is None:
        return None
    return _shift(to_integer(a), -to_integer(b))


def _shift(number: int, left: int) -> int:
    if left < 0:
        return number >> min(-left, 64)
    if left >= 64:
        return 0
    bits = (number << left) & 0xFFFF_FFFF_FFFF_FFFF
    return bits - 2**64 if bits > MAX_INTEGER else bits


def negate(a: Any) -> Any:
    """``-a``."""
    if type(a) is int:
        return -a if a != MIN_INTEGER else -float(a)
    if a is None:
        return None
    if type(a) is timedelta:
        return _temporal(lambda zero, interval: zero - interval, timedelta(0), a, sub)
    number = to_number(a)
    if type(number) is Decimal:
        return EXACT.minus(number)
    return negate(number) if type(number) is int else 0.0 - number  # so that -x of 0.0 is 0.0, as SQLite has it


def bit_not(a: Any) -> int | None:
    """``~a`` over 64-bit integers."""
    if type(a) is int:
        return ~a
    return None if a is None else ~to_integer(a)


def plus(a: Any) -> Any:
    """``+a``: the value itself."""
    return a


def _decimal(operate: Callable[[Decimal, Decimal], Decimal], a: Any, b: Any, real: Callable[[Any, Any], Any]) -> Any:
    """Decimal arithmetic of which one side may be an int; a float on either side makes it float arithmetic."""
    if type(a) is float or type(b) is float:
        return real(float(a), float(b))
    result = operate(Decimal(a), Decimal(b))
    return result if result.is_finite() else None


def _temporal(operate: Callable[[Any, Any], Any], a: Any, b: Any, numeric: Callable[[Any, Any], Any]) -> Any:
    """Arithmetic with a date, time or interval; a pair without a meaning counts as numbers, as SQLite's texts do."""
    try:
        result = operate(a, b)
    except (OverflowError, ValueError) as error:
        raise DataError("date or interval out of range") from error
    return numeric(to_number(a), to_number(b)) if result is NotImplemented else result


def _add_temporal(a: Any, b: Any) -> Any:
    if type(a) is timedelta and type(b) is not timedelta:
        a, b = b, a
    if type(b) is timedelta:
        return _shifted(a, b)
    if type(a) is date and type(b) in (int, bool):
        return a + timedelta(days=b)
    if type(b) is date and type(a) in (int, bool):
        return b + timedelta(days=a)
    return NotImplemented


def _shifted(a: Any, length: timedelta) -> Any:
    if type(a) is datetime or type(a) is timedelta:
        return a + length
    if type(a) is date:
        return datetime(a.year, a.month, a.day) + length
    if type(a) is time:
        return (datetime.combine(_MIDNIGHT, a) + (length % timedelta(days=1))).time()
    return NotImplemented


def _sub_temporal(a: Any, b: Any) -> Any:
    if type(b) is timedelta:
        return _shifted(a, -b)
    if type(a) is date and type(b) is int:
        return a - timedelta(days=b)
    if type(a) is time and type(b) is time:
        return datetime.combine(_MIDNIGHT, a) - datetime.combine(_MIDNIGHT, b)
    if isinstance(a, date) and isinstance(b, date):
        return _moment(a) - _moment(b)
    return NotImplemented


def _moment(value: date) -> datetime:
    return naive_utc(value) if isinstance(value, datetime) else datetime(value.year, value.month, value.day)


def _mul_temporal(a: Any, b: Any) -> Any:
    if type(b) is timedelta:
        a, b = b, a
    if type(a) is not timedelta or type(b) in _TEMPORAL:
        return NotImplemented
    return _scaled(a, to_number(b))


def _scaled(length: timedelta, factor: Any) -> Any:
    if type(factor) is Decimal:
        exact = EXACT.multiply(Decimal(length // timedelta(microseconds=1)), factor)
        return timedelta(microseconds=int(exact.to_integral_value()))
    if type(factor) is float and not math.isfinite(factor):
        raise OverflowError
    return length * factor


def _div_temporal(a: Any, b: Any) -> Any:
    if type(a) is not timedelta:
        return NotImplemented
    if type(b) is timedelta:
        return a / b if b else None
    if type(b) in _TEMPORAL:
        return NotImplemented
    number = to_number(b)
    if number == 0:
        return None
    return _scaled(a, DIVISION.divide(Decimal(1), number)) if type(number) is Decimal else a / number


def _mod_temporal(a: Any, b: Any) -> Any:
    if type(a) is not timedelta or type(b) is not timedelta:
        return NotImplemented
    return abs(a) % abs(b) * (1 if a >= timedelta() else -1) if b else None
