"""The SQL functions that Django's expressions call and the engine has no reason to have.

All connections share the one table of them, so they share compiled statements too.

Date and time functions take and give native values. A moment is moved to a time zone first (``DJANGO_AT_TIME_ZONE``) and
then taken apart or truncated; its wall clock there stays marked as UTC, so that it compares with every other moment.
"""

from __future__ import annotations

import datetime
import random
import zoneinfo
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.db.backends.utils import split_tzname_delta

from zodbapi.catalog import ANY, INTEGER, REAL, TIMESTAMPTZ, Type
from zodbapi.functions import BUILTIN
from zodbapi.functions.json import reading, sql_value
from zodbapi.functions.json_documents import parse
from zodbapi.functions.json_path import MISSING, find, parse_path
from zodbapi.functions.registry import Function
from zodbapi.record import replace
from zodbapi.values import to_text

UTC = datetime.UTC


@lru_cache(maxsize=64)
def time_zone(name: str) -> datetime.tzinfo:
    """The time zone of a name like ``Europe/Paris``, ``UTC+05:00`` or ``+0530``."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        zone, sign, offset = split_tzname_delta(name)
        if not sign or offset is None:
            raise
        digits = (offset or "").replace(":", "")
        delta = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:4] or 0))
        base = time_zone(zone).utcoffset(None) if zone and zone != "UTC" else None
        return datetime.timezone((base or datetime.timedelta()) + (delta if sign == "+" else -delta))


def at_time_zone(moment: Any, name: str) -> Any:
    """The wall clock of a moment in a time zone, marked as UTC."""
    if not isinstance(moment, datetime.datetime):
        return moment
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(time_zone(name)).replace(tzinfo=UTC)


def _temporal(value: Any) -> Any:
    """A date or time that is given as text, as a parameter of an expression may be."""
    if not isinstance(value, str):
        return value
    for cls in (datetime.datetime, datetime.date, datetime.time):
        try:
            return cls.fromisoformat(value)
        except ValueError:
            continue
    return None


PARTS: dict[str, Callable[[Any], int]] = {
    "year": lambda value: value.year,
    "iso_year": lambda value: value.isocalendar().year,
    "quarter": lambda value: (value.month + 2) // 3,
    "month": lambda value: value.month,
    "week": lambda value: value.isocalendar().week,
    "day": lambda value: value.day,
    "week_day": lambda value: value.isoweekday() % 7 + 1,
    "iso_week_day": lambda value: value.isoweekday(),
    "hour": lambda value: value.hour,
    "minute": lambda value: value.minute,
    "second": lambda value: value.second,
    "microsecond": lambda value: value.microsecond,
}
# Of a duration, as datetime.timedelta counts: days, and what is left below a day.
INTERVAL_PARTS: dict[str, Callable[[datetime.timedelta], int]] = {
    "day": lambda value: value.days,
    "hour": lambda value: value.seconds // 3600,
    "minute": lambda value: value.seconds // 60 % 60,
    "second": lambda value: value.seconds % 60,
    "microsecond": lambda value: value.microseconds,
}


def _extract(part: str) -> Callable[[Any], int | None]:
    of_moment, of_interval = PARTS[part], INTERVAL_PARTS.get(part)

    def extract(value: Any) -> int | None:
        if of_interval is not None and isinstance(value, datetime.timedelta):
            return of_interval(value)
        value = _temporal(value)
        return None if value is None else of_moment(value)

    return extract


def _start_of_day(value: Any) -> Any:
    return value.replace(hour=0, minute=0, second=0, microsecond=0) if isinstance(value, datetime.datetime) else value


UNITS: dict[str, Callable[[Any], Any]] = {
    "year": lambda value: _start_of_day(value).replace(month=1, day=1),
    "quarter": lambda value: _start_of_day(value).replace(month=value.month - (value.month - 1) % 3, day=1),
    "month": lambda value: _start_of_day(value).replace(day=1),
    "week": lambda value: _start_of_day(value) - datetime.timedelta(days=value.weekday()),
    "day": _start_of_day,
    "hour": lambda value: value.replace(minute=0, second=0, microsecond=0),
    "minute": lambda value: value.replace(second=0, microsecond=0),
    "second": lambda value: value.replace(microsecond=0),
}


def _trunc(unit: str) -> Callable[[Any], Any]:
    truncate = UNITS[unit]

    def trunc(value: Any) -> Any:
        value = _temporal(value)
        return None if value is None else truncate(value)

    return trunc


_now = BUILTIN.scalar("now", 0)
_WORDS = {True: "true", False: "false", None: "null"}


def _key_value(found: Any) -> Any:
    """A part of a JSON document; ``true``, ``false`` and ``null`` as these words, which tells them from 1, 0 and nothing."""
    return _WORDS[found] if found is None or type(found) is bool else sql_value(found)


def json_key(document: str, path: str) -> Any:
    """The value at a path of a JSON document."""
    found = find(parse(document), parse_path(to_text(path)))
    return None if found is MISSING else _key_value(found)


def _same(args: Any) -> Type:
    """Truncation gives a value of the type that it takes."""
    return args[0] if args else ANY


assert _now is not None
FUNCTIONS = BUILTIN.extended(
    # SQLite's is a text, to the second.
    replace(_now, name="current_timestamp"),
    Function("django_at_time_zone", at_time_zone, 2, 2, result=TIMESTAMPTZ),
    *(Function(f"django_extract_{part}", _extract(part), 1, 1, result=INTEGER) for part in PARTS),
    *(Function(f"django_trunc_{unit}", _trunc(unit), 1, 1, result=_same) for unit in UNITS),
    Function("django_json_key", json_key, 2, 2, prepare=reading(json_key, _key_value)),
    # Django's Random() on SQLite: RANDOM() is an integer there.
    Function("rand", random.random, 0, 0, nullable=False, deterministic=False, safe=True, result=REAL),
)
