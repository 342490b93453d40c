"""Functions on numbers.

In: native values. Out: SQLite's results: a text that is no number gives NULL in the mathematical functions, a result
outside the domain is NULL. Decimals stay exact in abs, round, ceil, floor, trunc, sign and mod; elsewhere they count as
floats. ``abs``, and ``sign`` by Django's meaning, take intervals too.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from typing import Any

from zodbapi.catalog import INTEGER, REAL
from zodbapi.errors import OperationalError
from zodbapi.functions import result_types
from zodbapi.functions.registry import Function
from zodbapi.values import MIN_INTEGER, mod, to_integer, to_number, to_real, whole_number

_EXACT = Context(prec=2000, rounding=ROUND_HALF_UP, traps=[])


def absolute(value: Any) -> Any:
    """The number without its sign; an interval likewise. A text counts as a float."""
    kind = type(value)
    if kind is int:
        if value == MIN_INTEGER:
            raise OperationalError("integer overflow")
        return abs(value)
    if kind is float or kind is timedelta:
        return abs(value)
    if kind is Decimal:
        return _EXACT.abs(value)
    return abs(value) if kind is bool else abs(to_real(value))


def round_number(value: Any, digits: Any = 0) -> Any:
    """The number rounded half away from zero to this many decimals: a float, or a decimal for a decimal.

    Negative digits round before the point, as in PostgreSQL; SQLite takes them for 0.
    """
    places = min(max(to_integer(digits), -400), 30)
    if type(value) is Decimal:
        return _quantized(value, places)
    number = to_real(value)
    if not math.isfinite(number) or abs(number) >= 4503599627370496.0 and places >= 0:
        return number
    if places == 0:
        return float(int(number + (0.5 if number >= 0 else -0.5)))
    return float(_quantized(Decimal(repr(number)), places))


def _quantized(number: Decimal, places: int) -> Decimal:
    rounded = _EXACT.quantize(number, Decimal(1).scaleb(-places))
    return rounded if places >= 0 else _EXACT.quantize(rounded, Decimal(1))


def sign(value: Any) -> int | None:
    """-1, 0 or 1; NULL for what is no number."""
    if type(value) is timedelta:
        return (value > timedelta()) - (value < timedelta())
    number = numeric(value)
    return None if number is None else (number > 0) - (number < 0)


def numeric(value: Any) -> Any:
    """The value if it is a number, the number that a text wholly is, or None."""
    kind = type(value)
    if kind is int or kind is float or kind is Decimal:
        return value
    if kind is bool:
        return int(value)
    if kind is str:
        return None if whole_number(value) is None else to_number(value)
    return None


def _integral(rounding: str, of_float: Callable[[float], int]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        number = numeric(value)
        if type(number) is float:
            return float(of_float(number)) if math.isfinite(number) else number
        if type(number) is Decimal:
            return number.to_integral_value(rounding)
        return number

    return apply


def _real(function: Callable[[float], float], *, pole: float | None = None) -> Callable[[Any], float | None]:
    """A mathematical function of one float. ``pole`` is the result where Python reports an overflow."""

    def apply(value: Any) -> float | None:
        number = value if type(value) is int or type(value) is float else numeric(value)
        if number is None:
            return None
        try:
            result = function(float(number))
        except (ValueError, ZeroDivisionError):
            return None
        except OverflowError:
            return pole if pole is None or number >= 0 else pole * _odd(function)
        return result if not math.isnan(result) else None

    return apply


def _hyperbolic_arctangent(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) == 1 else math.atanh(value)


def _odd(function: Callable[[float], float]) -> int:
    return -1 if function is math.sinh else 1


def _real2(function: Callable[[float, float], float]) -> Callable[[Any, Any], float | None]:
    def apply(left: Any, right: Any) -> float | None:
        a, b = numeric(left), numeric(right)
        if a is None or b is None:
            return None
        try:
            result = function(float(a), float(b))
        except (ValueError, ZeroDivisionError):
            return None
        return result if not math.isnan(result) else None

    return apply


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:
        if base == 0:  # a pole, not a domain error
            return -math.inf if math.copysign(1, base) < 0 and exponent % 2 == 1 else math.inf
        raise


def _logarithm(base: float, value: float) -> float:
    if base <= 0 or value <= 0:
        raise ValueError
    divisor = math.log(base)
    if divisor <= 0:
        raise ValueError
    return math.log(value) / divisor


def modulo(left: Any, right: Any) -> Any:
    """The remainder with the sign of the first argument: a float, or exact if both are decimals or integers of one."""
    if type(left) is type(right) is int:
        return math.fmod(left, right) if right else None
    a, b = numeric(left), numeric(right)
    if a is None or b is None:
        return None
    if float not in (type(a), type(b)) and Decimal in (type(a), type(b)):
        return mod(a, b)
    try:
        result = math.fmod(a, b)
    except ValueError:
        return None
    return result


def bitxor(left: Any, right: Any) -> int:
    """Bitwise exclusive or."""
    return to_integer(left) ^ to_integer(right)


def _cotangent(value: float) -> float:
    return 1 / math.tan(value)


def random_integer() -> int:
    """A random 64-bit integer, of either sign."""
    return random.getrandbits(64) - 2**63


def _function(name: str, call: Callable[..., Any], arity: int = 1) -> Function:
    return Function(name, call, arity, arity, safe=True, result=REAL)


_LOG = _real(math.log)
_LOG10 = _real(math.log10)
_POWER = _real2(_power)
_CEIL = _integral(ROUND_CEILING, math.ceil)

FUNCTIONS: tuple[Function, ...] = (
    Function("abs", absolute, 1, 1, nullable=False, result=result_types.magnitude),
    Function("round", round_number, 1, 2, nullable=False, safe=True, result=result_types.rounded),
    Function("sign", sign, 1, 1, safe=True, result=INTEGER),
    Function("ceil", _CEIL, 1, 1, safe=True, result=result_types.magnitude),
    Function("ceiling", _CEIL, 1, 1, safe=True, result=result_types.magnitude),
    Function("floor", _integral(ROUND_FLOOR, math.floor), 1, 1, safe=True, result=result_types.magnitude),
    Function("trunc", _integral(ROUND_DOWN, math.trunc), 1, 1, safe=True, result=result_types.magnitude),
    Function("mod", modulo, 2, 2, safe=True),
    Function("bitxor", bitxor, 2, 2, nullable=False, safe=True, result=INTEGER),
    Function("pi", lambda: math.pi, 0, 0, nullable=False, safe=True, result=REAL),
    Function("random", random_integer, 0, 0, nullable=False, deterministic=False, result=INTEGER),
    Function("rand", random.random, 0, 0, nullable=False, deterministic=False, result=REAL),
    _function("acos", _real(math.acos)),
    _function("acosh", _real(math.acosh)),
    _function("asin", _real(math.asin)),
    _function("asinh", _real(math.asinh)),
    _function("atan", _real(math.atan)),
    _function("atan2", _real2(math.atan2), 2),
    _function("atanh", _real(_hyperbolic_arctangent)),
    _function("cos", _real(math.cos)),
    _function("cosh", _real(math.cosh, pole=math.inf)),
    _function("cot", _real(_cotangent)),
    _function("degrees", _real(math.degrees)),
    _function("exp", _real(math.exp, pole=math.inf)),
    _function("ln", _LOG),
    _function("log", _LOG10),
    _function("log", _real2(_logarithm), 2),
    _function("log10", _LOG10),
    _function("log2", _real(math.log2)),
    _function("pow", _POWER, 2),
    _function("power", _POWER, 2),
    _function("radians", _real(math.radians)),
    _function("sin", _real(math.sin)),
    _function("sinh", _real(math.sinh, pole=math.inf)),
    _function("sqrt", _real(math.sqrt)),
    _function("tan", _real(math.tan)),
    _function("tanh", _real(math.tanh)),
)
