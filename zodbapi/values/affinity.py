"""Affinity: what comparing with a value of a kind does to the other side.

In: any native value or None. Out: a value of the kind where that loses nothing, else the value unchanged. Never raises.
It is SQLite's (https://www.sqlite.org/datatype3.html#type_conversions_prior_to_comparison), extended to the native types.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from zodbapi.catalog import Kind
from zodbapi.values.conversion import to_text, whole_number
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
BOOLEANS = {
    "true": True, "t": True, "yes": True, "y": True, "on": True, "1": True,
    "false": False, "f": False, "no": False, "n": False, "off": False, "0": False,
}  # fmt: skip


def exact_class(kind: Kind) -> type | None:
    """The one class of the values of a kind, for tests of ``type(v) is cls``; None where there are several."""
    return _CLASSES[kind]


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
    return BOOLEANS.get(value.strip().lower(), value) if type(value) is str else value


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


def converted(kind: Kind) -> Callable[[Any], Any]:
    """The function that converts as ``affine`` does, and gives None for what did not become a value of the kind."""
    convert, cls = affine(kind), exact_class(kind)

    def apply(value: Any) -> Any:
        found = convert(value)
        return found if type(found) is cls else None

    return apply
