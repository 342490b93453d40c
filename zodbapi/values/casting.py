"""CAST: explicit conversion.

In: any native value or None. Out: a value of the type. SQLite's results for its types (texts give the number they start with);
NULL where a text is no date, time, UUID and so on. It never raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from zodbapi.catalog import Kind, Type
from zodbapi.values.affinity import BOOLEANS, affine, converted
from zodbapi.values.column import ROUNDING, json_text
from zodbapi.values.conversion import (
    integral,
    microseconds,
    text_number,
    to_integer,
    to_number,
    to_real,
    to_text,
    truth,
    whole_number,
)
from zodbapi.values.temporal import naive_utc, parse_timestamp

_to_date = affine(Kind.DATE)
_to_time = affine(Kind.TIME)
_to_interval = converted(Kind.INTERVAL)
_to_timestamp = converted(Kind.TIMESTAMP)
_to_timestamptz = converted(Kind.TIMESTAMPTZ)


def cast(type_: Type) -> Callable[[Any], Any]:
    """The function that ``CAST(value AS type_)`` applies. NULL stays NULL; it never raises."""
    return _cast(type_.kind, type_.precision, type_.scale)


@cache
def _cast(kind: Kind, precision: int | None, scale: int | None) -> Callable[[Any], Any]:
    if kind is Kind.DECIMAL:
        convert = _decimal_cast(precision, scale)
    elif kind is Kind.TEXT and precision is not None:
        convert = _text_cast(precision)
    else:
        convert = _CAST[kind]

    def apply(value: Any) -> Any:
        return None if value is None else convert(value)

    return apply


def _decimal_cast(precision: int | None, scale: int | None) -> Callable[[Any], Any]:
    digits = scale if scale is not None else 0 if precision is not None else None
    step = None if digits is None else Decimal(1).scaleb(-digits)

    def convert(value: Any) -> Decimal | None:
        number = to_decimal(value)
        if number is None or step is None:
            return number
        try:
            return number.quantize(step, context=ROUNDING)
        except InvalidOperation:
            return None

    return convert


def _text_cast(length: int) -> Callable[[Any], str]:
    """CAST to ``varchar(length)`` cuts, as the SQL standard says and SQLite does not."""
    return lambda value: to_text(value)[:length]


def to_decimal(value: Any) -> Decimal | None:
    """The decimal nearest to what a value looks like: floats by their shortest text, texts by their leading number."""
    kind = type(value)
    if kind is Decimal:
        return value  # type: ignore[no-any-return]
    if kind is str and whole_number(value) is not None:
        return Decimal(value.strip())
    number = to_number(value)
    if type(number) is float:
        return Decimal(repr(number)) if math.isfinite(number) else None
    return Decimal(number)


def _cast_numeric(value: Any) -> Any:
    kind = type(value)
    if kind is int or kind is float or kind is Decimal:
        return value
    if kind is bool:
        return int(value)
    if kind is timedelta:
        return microseconds(value)
    number = text_number(to_text(value))
    return integral(number) if type(number) is float else number


def _cast_blob(value: Any) -> bytes:
    return value if type(value) is bytes else to_text(value).encode("utf-8", "surrogatepass")


def _cast_boolean(value: Any) -> bool:
    if type(value) is str and (known := BOOLEANS.get(value.strip().lower())) is not None:
        return known
    return truth(value)


def _cast_date(value: Any) -> date | None:
    if type(value) is datetime:
        return naive_utc(value).date()
    found = _to_date(_loose(value))
    return found.date() if type(found) is datetime else found if type(found) is date else None


def _loose(value: Any) -> Any:
    return to_text(value) if type(value) is bytes else value


def _cast_time(value: Any) -> time | None:
    found = _to_time(_loose(value))
    if type(found) is str:
        found = parse_timestamp(found)
    if type(found) is datetime:
        return naive_utc(found).time()
    return found if type(found) is time else None


def _cast_interval(value: Any) -> timedelta | None:
    kind = type(value)
    if kind is int or kind is float or kind is Decimal:
        try:
            return timedelta(microseconds=int(value))
        except OverflowError:
            return None
    found: timedelta | None = _to_interval(_loose(value))
    return found


def _cast_json(value: Any) -> str:
    return json_text(value) or to_text(value)


_CAST: dict[Kind, Callable[[Any], Any]] = {
    Kind.ANY: affine(Kind.ANY),
    Kind.INTEGER: to_integer,
    Kind.REAL: to_real,
    Kind.NUMERIC: _cast_numeric,
    Kind.TEXT: to_text,
    Kind.BLOB: _cast_blob,
    Kind.BOOLEAN: _cast_boolean,
    Kind.DATE: _cast_date,
    Kind.TIMESTAMP: lambda value: _to_timestamp(_loose(value)),
    Kind.TIMESTAMPTZ: lambda value: _to_timestamptz(_loose(value)),
    Kind.TIME: _cast_time,
    Kind.INTERVAL: _cast_interval,
    Kind.UUID: converted(Kind.UUID),
    Kind.JSON: _cast_json,
}
