"""Conversions that every operator leans on: to number, to text, to truth, and the name of a value's type.

In: any native value or None. Out: SQLite's result for integers, floats, texts, blobs and NULL (sqlite3 is the oracle of
the tests); for the other native types what their ISO text would give, except where a docstring says better.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from zodbapi.values.temporal import interval_text

MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1
MAX_EXPONENT = 6144  # of decimals, as in IEEE 754's decimal128

_SPACES = " \t\n\v\f\r"
_PREFIX = re.compile(r"[ \t\n\v\f\r]*([+-]?)(?:(\d+)(\.\d*)?|(\.\d+))([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[ \t\n\v\f\r]*[+-]?(?:\d+(\.\d*)?|(\.\d+))([eE][+-]?\d+)?[ \t\n\v\f\r]*\Z", re.ASCII)
_INTEGER_PREFIX = re.compile(r"[ \t\n\v\f\r]*([+-]?\d+)", re.ASCII)

TYPE_NAMES: dict[type, str] = {
    int: "integer",
    float: "real",
    str: "text",
    bytes: "blob",
    type(None): "null",
    bool: "boolean",
    Decimal: "decimal",
    datetime: "timestamp",
    date: "date",
    time: "time",
    timedelta: "interval",
    UUID: "uuid",
}


def typeof(value: Any) -> str:
    """SQLite's five names, and decimal, boolean, date, time, timestamp, interval, uuid for the other native types."""
    name = TYPE_NAMES.get(type(value))
    if name is None:
        name = next((n for t, n in TYPE_NAMES.items() if isinstance(value, t)), "unknown")
    return name


def to_text(value: Any) -> str:
    """The text that ``CAST(value AS TEXT)`` gives. NULL stays NULL; callers that care about types have ruled it out."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return str(value)
    if kind is float:
        return float_text(value)
    if kind is bool:
        return "1" if value else "0"
    if kind is bytes:
        return value.decode("utf-8", "replace")  # type: ignore[no-any-return]
    if kind is Decimal:
        return format(value, "f")
    if kind is timedelta:
        return interval_text(value)
    return str(value) if value is not None else None  # type: ignore[return-value]


def exact_float(value: float) -> str:
    """SQLite's text of a finite float if it means exactly that float, else Python's."""
    text = float_text(value)
    return text if float(text) == value else repr(value)


def float_text(value: float) -> str:
    """SQLite's text of a float: 15 significant digits, always recognisable as a float."""
    text = f"{value:.15g}"
    if "." in text:
        return text
    if "e" in text:
        return text.replace("e", ".0e")
    if text in ("inf", "-inf"):
        return "Inf" if value > 0 else "-Inf"
    return text + ".0" if value else "0.0"


def to_number(value: Any) -> Any:
    """The number that arithmetic uses for a value: int, float, Decimal, or None for None.

    Texts give the number they start with, or 0. An interval gives its microseconds.
    """
    kind = type(value)
    if kind is int or kind is float or kind is Decimal or value is None:
        return value
    if kind is str:
        return text_number(value)
    if kind is bool:
        return int(value)
    if kind is bytes:
        return text_number(value.decode("utf-8", "replace"))
    if kind is timedelta:
        return microseconds(value)
    return text_number(str(value))


def microseconds(value: timedelta) -> int:
    """The whole length of an interval in microseconds."""
    return (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds


def text_number(text: str) -> int | float:
    """The number a text starts with, as arithmetic sees it: an int unless it has a point or an exponent; 0 without one."""
    try:
        number = int(text) if text.isascii() and "_" not in text else None
    except ValueError:
        number = None
    if number is not None and MIN_INTEGER <= number <= MAX_INTEGER:
        return number
    match = _PREFIX.match(text)
    if match is None:
        return 0
    sign, digits, fraction, bare, exponent = match.groups()
    if fraction is None and bare is None and exponent is None:
        return _integer_or_real(sign + digits)
    return float(match.group().lstrip(_SPACES))


def whole_number(text: str) -> int | float | None:
    """The number that a text as a whole is, or None: what numeric affinity converts. Integral values become ints."""
    match = _WHOLE.match(text)
    if match is None:
        return None
    if match.lastindex is None:
        return _integer_or_real(text)
    return integral(float(text))


def _integer_or_real(text: str) -> int | float:
    """The number of a text of digits: a float if it does not fit 64 bits."""
    digits = text.strip(_SPACES).lstrip("+-0")
    if len(digits) < 20:  # int() does not read thousands of digits
        number = -int(digits or 0) if "-" in text else int(digits or 0)
        if MIN_INTEGER <= number <= MAX_INTEGER:
            return number
    return float(text)


def whole_decimal(text: str) -> Decimal | None:
    """The decimal that a text as a whole is, or None; also None beyond ``MAX_EXPONENT``, where digits would fill the memory."""
    if whole_number(text) is None:
        return None
    number = Decimal(text.strip(_SPACES))
    return number if abs(number.adjusted()) <= MAX_EXPONENT else None


def integral(number: float) -> int | float:
    """The int that equals this float, where one of 64 bits does; else the float."""
    if -9.2e18 < number < 9.2e18 and number == (whole := int(number)):
        return whole
    return number


def to_integer(value: Any) -> int:
    """The 64-bit integer that ``CAST(value AS INTEGER)`` gives; the value must not be None."""
    kind = type(value)
    if kind is int:
        return value  # type: ignore[no-any-return]
    if kind is float or kind is Decimal:
        return _clamp(value)
    if kind is bool:
        return int(value)
    if kind is timedelta:
        return microseconds(value)
    match = _INTEGER_PREFIX.match(value if kind is str else to_text(value))
    return _clamp(_integer_or_real(match.group(1))) if match else 0


def _clamp(number: float | Decimal) -> int:
    if number >= MAX_INTEGER:
        return MAX_INTEGER
    if number <= MIN_INTEGER:
        return MIN_INTEGER
    return int(number)


def to_real(value: Any) -> float:
    """The float that ``CAST(value AS REAL)`` gives; the value must not be None."""
    return float(to_number(value))


def truth(value: Any) -> bool:
    """Whether SQL takes a value for true: a number other than 0, or a text that starts with one. NULL is not true."""
    kind = type(value)
    if kind is int or kind is bool or kind is float or kind is Decimal or value is None or kind is timedelta:
        return bool(value)
    if kind is str or kind is bytes:
        return bool(to_number(value))
    return True
