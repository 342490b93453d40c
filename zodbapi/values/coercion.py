"""Conversions to a declared type: before a comparison, at the write, in a CAST, and of parameters.

- ``affine(kind)``: what comparing with a column of that kind does to the other side. Lossless or nothing, never raises.
- ``store(type)``: what writing into a column does. Lossless or DataError; decimals are rounded to their scale.
- ``cast(type)``: what CAST does. SQLite's for its types; NULL where a text is no date, time, UUID and so on.
- ``adapt(value)``: a parameter made native, or InterfaceError.
"""
# A float that differs from itself is NaN; that test is the fastest.

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import cache
from typing import Any
from uuid import UUID

from zodbapi.catalog import Kind, Type
from zodbapi.errors import DataError, InterfaceError
from zodbapi.values.conversion import (
    MAX_INTEGER,
    MIN_INTEGER,
    integral,
    microseconds,
    text_number,
    to_integer,
    to_number,
    to_real,
    to_text,
    truth,
    typeof,
    whole_number,
)
from zodbapi.values.temporal import (
    aware_utc,
    naive_utc,
    parse_date,
    parse_interval,
    parse_time,
    parse_timestamp,
    parse_timestamptz,
)

_CLASSES: dict[Kind, type | None] = {
    Kind.ANY: None,
    Kind.INTEGER: int,
    Kind.REAL: float,
    Kind.NUMERIC: None,
    Kind.DECIMAL: Decimal,
    Kind.TEXT: str,
    Kind.BLOB: bytes,
    Kind.BOOLEAN: bool,
    Kind.DATE: date,
    Kind.TIME: time,
    Kind.TIMESTAMP: datetime,
    Kind.TIMESTAMPTZ: datetime,
    Kind.INTERVAL: timedelta,
    Kind.UUID: UUID,
    Kind.JSON: str,
}
_ROUNDING = Context(prec=2000, rounding=ROUND_HALF_UP)
_BOOLEANS = {
    "true": True, "t": True, "yes": True, "y": True, "on": True, "1": True,
    "false": False, "f": False, "no": False, "n": False, "off": False, "0": False,
}  # fmt: skip


def exact_class(kind: Kind) -> type | None:
    """The one class of the values of a kind, for tests of ``type(v) is cls``; None where there are several."""
    return _CLASSES[kind]


# --- comparison -----------------------------------------------------------------------------------------------------


def affine(kind: Kind) -> Callable[[Any], Any]:
    """The function that converts the other side of a comparison with a value of ``kind``. NULL stays NULL."""
    return _AFFINE[kind]


def _unchanged(value: Any) -> Any:
    return value


def _affine_number(value: Any) -> Any:
    if type(value) is str:
        number = whole_number(value)
        return value if number is None else number
    return value


def _affine_real(value: Any) -> Any:
    if type(value) is Decimal:
        return float(value)
    return _affine_number(value)


def _affine_decimal(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        return Decimal(repr(value))
    if kind is str and whole_number(value) is not None:
        return Decimal(value.strip())
    return value


def _affine_text(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is bytes or value is None:
        return value
    return to_text(value)


def _affine_boolean(value: Any) -> Any:
    return _BOOLEANS.get(value.strip().lower(), value) if type(value) is str else value


def _affine_date(value: Any) -> Any:
    if type(value) is str:
        found = parse_date(value) or parse_timestamp(value)
        return value if found is None else found
    if type(value) is datetime:
        moment = naive_utc(value)
        return moment.date() if moment.time() == time() else moment
    return value


def _affine_timestamp(value: Any) -> Any:
    if type(value) is datetime:
        return naive_utc(value)
    if type(value) is str:
        found = parse_timestamp(value)
        return value if found is None else found
    return datetime(value.year, value.month, value.day) if type(value) is date else value


def _affine_timestamptz(value: Any) -> Any:
    if type(value) is datetime:
        return aware_utc(value)
    if type(value) is str:
        found = parse_timestamptz(value)
        return value if found is None else found
    return aware_utc(datetime(value.year, value.month, value.day)) if type(value) is date else value


def _affine_time(value: Any) -> Any:
    found = parse_time(value) if type(value) is str else None
    return value if found is None else found


def _affine_interval(value: Any) -> Any:
    found = parse_interval(value) if type(value) is str else None
    return value if found is None else found


def _affine_uuid(value: Any) -> Any:
    found = _parse_uuid(value) if type(value) in (str, bytes) else None
    return value if found is None else found


def _parse_uuid(value: str | bytes) -> UUID | None:
    try:
        return UUID(bytes=value) if isinstance(value, bytes) else UUID(value)
    except ValueError:
        return None


_AFFINE: dict[Kind, Callable[[Any], Any]] = {
    Kind.ANY: _unchanged,
    Kind.BLOB: _unchanged,
    Kind.INTEGER: _affine_number,
    Kind.NUMERIC: _affine_number,
    Kind.REAL: _affine_real,
    Kind.DECIMAL: _affine_decimal,
    Kind.TEXT: _affine_text,
    Kind.JSON: _affine_text,
    Kind.BOOLEAN: _affine_boolean,
    Kind.DATE: _affine_date,
    Kind.TIMESTAMP: _affine_timestamp,
    Kind.TIMESTAMPTZ: _affine_timestamptz,
    Kind.TIME: _affine_time,
    Kind.INTERVAL: _affine_interval,
    Kind.UUID: _affine_uuid,
}


# --- writing --------------------------------------------------------------------------------------------------------


def store(type_: Type) -> Callable[[Any, str], Any]:
    """The function ``(value, "table.column")`` that coerces a value for a column of this type, or raises DataError."""
    return _store(type_.kind, type_.precision, type_.scale)


@cache
def _store(kind: Kind, precision: int | None, scale: int | None) -> Callable[[Any, str], Any]:
    if kind is Kind.ANY:
        return _store_any
    if kind is Kind.DECIMAL:
        return _decimal_store(precision, scale)
    cls, convert = _CLASSES[kind], _STORE[kind]
    checked = kind in _CHECKED

    def write(value: Any, label: str) -> Any:
        if type(value) is cls and not checked or value is None:
            return value
        result = convert(value)
        if result is None and value == value:
            raise refusal(value, kind, label)
        return result

    return write


def refusal(value: Any, kind: Kind, label: str) -> DataError:
    """The error for a value that a column does not take, in SQLite's words."""
    return DataError(f"cannot store {typeof(value).upper()} value in {kind.value.upper()} column {label}")


def _store_any(value: Any, label: str) -> Any:
    return value if value == value else None  # NaN


def _decimal_store(precision: int | None, scale: int | None) -> Callable[[Any, str], Any]:
    limit = None if precision is None else Decimal(10) ** (precision - (scale or 0))
    digits = scale if scale is not None else 0 if precision is not None else None
    step = None if digits is None else Decimal(1).scaleb(-digits)

    def write(value: Any, label: str) -> Any:
        if value is None:
            return None
        number = value if type(value) is Decimal else _to_decimal(value)
        if number is None:
            if value != value:
                return None
            raise refusal(value, Kind.DECIMAL, label)
        if not number.is_finite():
            raise DataError(f"number out of range for DECIMAL column {label}")
        if step is not None and number.as_tuple().exponent != -digits:  # type: ignore[operator]
            number = number.quantize(step, context=_ROUNDING)
        if limit is not None and abs(number) >= limit:
            raise DataError(f"number out of range for DECIMAL({precision}, {scale or 0}) column {label}")
        return number

    return write


def _to_decimal(value: Any) -> Decimal | None:
    kind = type(value)
    if kind is int or kind is bool:
        return Decimal(int(value))
    if kind is float and value == value:
        return Decimal(repr(value))
    if kind is str and whole_number(value) is not None:
        return Decimal(value.strip())
    return None


def _store_integer(value: Any) -> int | None:
    kind = type(value)
    if kind is str:
        value = whole_number(value)
        kind = type(value)
    if kind is int or kind is bool:
        return int(value)
    if (kind is float or kind is Decimal) and MIN_INTEGER <= value <= MAX_INTEGER:
        whole = int(value)
        return whole if whole == value and whole <= MAX_INTEGER else None
    return None


def _store_real(value: Any) -> float | None:
    kind = type(value)
    if kind is float:
        return value if value == value else None
    if kind is int or kind is bool or kind is Decimal:
        return float(value)
    if kind is str and whole_number(value) is not None:
        return float(value)
    return None


def _store_numeric(value: Any) -> Any:
    kind = type(value)
    if kind is int or kind is Decimal:
        return value
    if kind is float:
        return integral(value) if value == value else None
    if kind is bool:
        return int(value)
    return whole_number(value) if kind is str else None


def _store_text(value: Any) -> str | None:
    return None if type(value) is bytes else to_text(value)


def _store_blob(value: Any) -> bytes | None:
    return value if type(value) is bytes else None


def _store_boolean(value: Any) -> bool | None:
    kind = type(value)
    if kind is str:
        return _BOOLEANS.get(value.strip().lower())
    if kind is int or kind is float or kind is Decimal:
        return bool(value) if value in (0, 1) else None
    return None


def _store_date(value: Any) -> date | None:
    value = _affine_date(value)
    return value if type(value) is date else None


def _store_timestamp(value: Any) -> datetime | None:
    value = _affine_timestamp(value)
    return value if type(value) is datetime else None


def _store_timestamptz(value: Any) -> datetime | None:
    value = _affine_timestamptz(value)
    return value if type(value) is datetime else None


def _store_time(value: Any) -> time | None:
    value = _affine_time(value)
    return value if type(value) is time else None


def _store_interval(value: Any) -> timedelta | None:
    value = _affine_interval(value)
    return value if type(value) is timedelta else None


def _store_uuid(value: Any) -> UUID | None:
    value = _affine_uuid(value)
    return value if type(value) is UUID else None


def _store_json(value: Any) -> str | None:
    kind = type(value)
    if kind is str:
        return value if is_json(value) else None
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is Decimal or kind is float and math.isfinite(value):
        return to_text(value)
    return None


def is_json(text: str) -> bool:
    """Whether a text is well-formed JSON (RFC 8259)."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


# Kinds for which a value of the right class may still need work.
_CHECKED = frozenset({Kind.REAL, Kind.NUMERIC, Kind.TIMESTAMP, Kind.TIMESTAMPTZ, Kind.JSON})
_STORE: dict[Kind, Callable[[Any], Any]] = {
    Kind.INTEGER: _store_integer,
    Kind.REAL: _store_real,
    Kind.NUMERIC: _store_numeric,
    Kind.TEXT: _store_text,
    Kind.BLOB: _store_blob,
    Kind.BOOLEAN: _store_boolean,
    Kind.DATE: _store_date,
    Kind.TIMESTAMP: _store_timestamp,
    Kind.TIMESTAMPTZ: _store_timestamptz,
    Kind.TIME: _store_time,
    Kind.INTERVAL: _store_interval,
    Kind.UUID: _store_uuid,
    Kind.JSON: _store_json,
}


# --- CAST -----------------------------------------------------------------------------------------------------------


def cast(type_: Type) -> Callable[[Any], Any]:
    """The function that ``CAST(value AS type_)`` applies. NULL stays NULL; it never raises."""
    return _cast(type_.kind, type_.precision, type_.scale)


@cache
def _cast(kind: Kind, precision: int | None, scale: int | None) -> Callable[[Any], Any]:
    convert = _decimal_cast(precision, scale) if kind is Kind.DECIMAL else _CAST[kind]
    if kind is Kind.TEXT and precision is not None:
        return lambda value: None if value is None else to_text(value)[:precision]

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
            return number.quantize(step, context=_ROUNDING)
        except InvalidOperation:
            return None

    return convert


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
    if type(value) is str and (known := _BOOLEANS.get(value.strip().lower())) is not None:
        return known
    return truth(value)


def _cast_date(value: Any) -> date | None:
    if type(value) is datetime:
        return naive_utc(value).date()
    found = _affine_date(_loose(value))
    return found.date() if type(found) is datetime else found if type(found) is date else None


def _loose(value: Any) -> Any:
    return to_text(value) if type(value) is bytes else value


def _cast_time(value: Any) -> time | None:
    found = _affine_time(_loose(value))
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
    return _store_interval(_loose(value))


def _cast_uuid(value: Any) -> UUID | None:
    return _store_uuid(value)


def _cast_json(value: Any) -> str:
    return _store_json(value) or to_text(value)


_CAST: dict[Kind, Callable[[Any], Any]] = {
    Kind.ANY: _unchanged,
    Kind.INTEGER: to_integer,
    Kind.REAL: to_real,
    Kind.NUMERIC: _cast_numeric,
    Kind.TEXT: to_text,
    Kind.BLOB: _cast_blob,
    Kind.BOOLEAN: _cast_boolean,
    Kind.DATE: _cast_date,
    Kind.TIMESTAMP: lambda value: _store_timestamp(_loose(value)),
    Kind.TIMESTAMPTZ: lambda value: _store_timestamptz(_loose(value)),
    Kind.TIME: _cast_time,
    Kind.INTERVAL: _cast_interval,
    Kind.UUID: _cast_uuid,
    Kind.JSON: _cast_json,
}


# --- parameters -----------------------------------------------------------------------------------------------------

# Classes whose values are native whatever they hold. int, float, Decimal, datetime and time need a look at the value.
NATIVE: frozenset[type] = frozenset({str, bytes, bool, type(None), date, timedelta, UUID})


def adapt(value: Any) -> Any:
    """A parameter as a native value: NaN becomes NULL, aware timestamps UTC, subclasses their native class."""
    kind = type(value)
    if kind is int:
        if MIN_INTEGER <= value <= MAX_INTEGER:
            return value
        raise DataError("integer out of range: Python int too large to convert to a 64-bit INTEGER")
    if kind in NATIVE:
        return value
    if kind is float:
        return value if value == value else None
    if kind is datetime:
        return value if value.tzinfo is None else aware_utc(value)
    if kind is Decimal:
        return _adapt_decimal(value)
    if kind is time:
        if value.tzinfo is None:
            return value
        raise InterfaceError("a time with a time zone is not supported")
    return _adapt_subclass(value)


def _adapt_decimal(value: Decimal) -> Decimal | None:
    if value.is_nan():
        return None
    if value.is_infinite():
        raise DataError("number out of range: infinite Decimal")
    return value


def _adapt_subclass(value: Any) -> Any:
    match value:
        case bool():
            return bool(value)
        case int():
            return adapt(int(value))
        case float():
            return adapt(float(value))
        case str():
            return str.__str__(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case datetime():
            plain = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
            return adapt(datetime(*plain, tzinfo=value.tzinfo, fold=value.fold))
        case date():
            return date(value.year, value.month, value.day)
        case time():
            return adapt(time(value.hour, value.minute, value.second, value.microsecond, tzinfo=value.tzinfo))
        case timedelta():
            return timedelta(value.days, value.seconds, value.microseconds)
        case Decimal():
            return _adapt_decimal(Decimal(value))
        case UUID():
            return UUID(int=value.int)
        case _:
            raise InterfaceError(f"type '{type(value).__name__}' is not supported")
