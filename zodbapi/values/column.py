"""Columns: what writing a value into a column does.

In: a native value and the label of the column. Out: a value of the column's type, converted without loss, or DataError. Decimals
are rounded to their scale; NaN is NULL.
"""
# A float that differs from itself is NaN; that test is the fastest.

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import cache
from typing import Any

from zodbapi.catalog import Kind, Type
from zodbapi.errors import DataError
from zodbapi.values.affinity import BOOLEANS, converted, exact_class
from zodbapi.values.conversion import MAX_INTEGER, MIN_INTEGER, integral, to_text, typeof, whole_decimal, whole_number

ROUNDING = Context(prec=2000, rounding=ROUND_HALF_UP)


def store(type_: Type) -> Callable[[Any, str], Any]:
    """The function ``(value, "table.column")`` that coerces a value for a column of this type, or raises DataError."""
    return _store(type_.kind, type_.precision, type_.scale)


@cache
def _store(kind: Kind, precision: int | None, scale: int | None) -> Callable[[Any, str], Any]:
    if kind is Kind.ANY:
        return _store_any
    if kind is Kind.DECIMAL:
        return _decimal_store(precision, scale)
    cls, convert = exact_class(kind), _STORE[kind]
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
    whole = None if precision is None else precision - (scale or 0)  # digits before the point
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
        if step is not None:
            try:
                number = number.quantize(step, None, ROUNDING)
            except InvalidOperation:  # more digits than any column has
                raise DataError(f"number out of range for DECIMAL column {label}") from None
        if whole is not None and number.adjusted() >= whole and number:
            raise DataError(f"number out of range for DECIMAL({precision}, {scale or 0}) column {label}")
        return number

    return write


def _to_decimal(value: Any) -> Decimal | None:
    kind = type(value)
    if kind is int or kind is bool:
        return Decimal(int(value))
    if kind is float and value == value:
        return Decimal(repr(value))
    return whole_decimal(value) if kind is str else None


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
        return BOOLEANS.get(value.strip().lower())
    if kind is int or kind is float or kind is Decimal:
        return bool(value) if value in (0, 1) else None
    return None


def json_text(value: Any) -> str | None:
    """The JSON text that a value is: a well-formed text, a number or a boolean; else None."""
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
        decode_json(text)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined]


def decode_json(text: str) -> Any:
    """The document of a JSON text; ValueError or RecursionError if it is none."""
    try:
        document, end = _scan(text, 0)
    except StopIteration:  # it starts with a space, or is no JSON
        return _decoder.decode(text)
    return document if end == len(text) else _decoder.decode(text)


# Kinds for which a value of the right class may still need work.
_CHECKED = frozenset({Kind.REAL, Kind.NUMERIC, Kind.TIMESTAMP, Kind.TIMESTAMPTZ, Kind.JSON})
_STORE: dict[Kind, Callable[[Any], Any]] = {
    Kind.INTEGER: _store_integer,
    Kind.REAL: _store_real,
    Kind.NUMERIC: _store_numeric,
    Kind.TEXT: _store_text,
    Kind.BLOB: _store_blob,
    Kind.BOOLEAN: _store_boolean,
    Kind.DATE: converted(Kind.DATE),
    Kind.TIMESTAMP: converted(Kind.TIMESTAMP),
    Kind.TIMESTAMPTZ: converted(Kind.TIMESTAMPTZ),
    Kind.TIME: converted(Kind.TIME),
    Kind.INTERVAL: converted(Kind.INTERVAL),
    Kind.UUID: converted(Kind.UUID),
    Kind.JSON: json_text,
}
