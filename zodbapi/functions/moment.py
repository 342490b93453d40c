"""Moments: SQLite's reading of time values and modifiers.

In: a time value (text, Julian day number, native date or timestamp) and modifiers. Out: a ``Moment``, or None where SQLite
gives NULL. The arithmetic is that of SQLite's date.c: whole milliseconds since noon of 24 November 4714 BC (Gregorian), so
that years from -4713 to 9999 work.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from zodbapi.record import record
from zodbapi.values import to_text
from zodbapi.values.temporal import naive_utc

DAY = 86_400_000  # milliseconds
UNIX_EPOCH = 210_866_760_000_000
_END_OF_32_BITS = 213_014_145_600_000  # 2038-01-18
_END = 464_269_060_800_000  # the end of year 9999
_ORDINAL_ZERO = 17_214_245 * DAY // 10  # the day before 0001-01-01, where Python's ordinals start

_TIME = r"(\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?[ \t\n\v\f\r]*(?:([zZ])|([+-])(\d\d):(\d\d))?[ \t\n\v\f\r]*"
_DATE_TIME = re.compile(rf"(-?)(\d{{4}})-(\d\d)-(\d\d)[ \t\n\v\f\rT]*(?:{_TIME})?\Z", re.ASCII)
_USUAL = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d:\d\d)?\Z", re.ASCII)
_TIME_ONLY = re.compile(rf"{_TIME}\Z", re.ASCII)
_NUMBER = re.compile(r"[ \t\n\v\f\r]*[+-]?(\d+(?:\.\d*)?|\.\d+)([eE][+-]?\d+)?[ \t\n\v\f\r]*\Z", re.ASCII)
_SHIFT = re.compile(r"((?:[+-]|(?=\d))\d*(?:\.\d*)?(?:e[+-]?\d+)?)[ \t\n\v\f\r]+([a-z]+)\Z", re.ASCII)
_CLOCK_SHIFT = re.compile(r"([+-]?)(\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?\Z", re.ASCII)
_DATE_SHIFT = re.compile(r"([+-])(\d{4})-(\d\d)-(\d\d)(?:[ t]+(\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?)?\Z", re.ASCII)

# unit -> (limit of the number, milliseconds)
_UNITS = {
    "second": (4.6427e14, 1000.0),
    "minute": (7.7379e12, 60_000.0),
    "hour": (1.2897e11, 3_600_000.0),
    "day": (5_373_485.0, 86_400_000.0),
    "month": (176_546.0, 30 * 86_400_000.0),
    "year": (14_713.0, 365 * 86_400_000.0),
}


@record(slots=True)
class Moment:
    """A point in time: Julian day in milliseconds, or a ``raw`` number that a modifier may still give a meaning.

    ``day`` (year, month, day) and ``clock`` (hour, minute, second) keep what was written until a modifier changes something;
    seconds may have more digits than the milliseconds. ``utc``: known to be in UTC, so that the modifier ``utc`` changes nothing.
    """

    ms: int | None
    raw: float | None = None
    clock: tuple[int, int, float] | None = None
    subsecond: bool = False
    utc: bool = False
    day: tuple[int, int, int] | None = None

    def ymd(self) -> tuple[int, int, int]:
        """Year, month and day."""
        return self.day or _ymd(self.ms or 0)

    def hms(self) -> tuple[int, int, float]:
        """Hour, minute, and second with its fraction."""
        if self.clock is not None:
            return self.clock
        rest = ((self.ms or 0) + DAY // 2) % DAY
        return rest // 3_600_000, rest // 60_000 % 60, rest % 60_000 / 1000


def julian(year: int, month: int, day: int) -> int:
    """Milliseconds of the midnight at which that day begins; day may be beyond the month's end."""
    if 0 < year <= 9999:
        return _ORDINAL_ZERO + (date(year, month, 1).toordinal() + day - 1) * DAY
    if month <= 2:
        year, month = year - 1, month + 12
    century = int(year / 100)
    leap = 2 - century + int(century / 4)
    days = 36525 * (year + 4716) // 100 + 306001 * (month + 1) // 10000 + day + leap
    return int((days - 1524.5) * DAY)


def _ymd(ms: int) -> tuple[int, int, int]:
    ordinal = (ms - _ORDINAL_ZERO) // DAY
    if 0 < ordinal <= date.max.toordinal():
        found = date.fromordinal(ordinal)
        return found.year, found.month, found.day
    number = (ms + DAY // 2) // DAY
    a = int((number - 1867216.25) / 36524.25)
    b = number + 1 + a - int(a / 4) + 1524
    c = int((b - 122.1) / 365.25)
    e = int((b - 36525 * (c & 32767) // 100) / 30.6001)
    month = e - 1 if e < 14 else e - 13
    return (c - 4716 if month > 2 else c - 4715), month, b - 36525 * (c & 32767) // 100 - int(30.6001 * e)


def moment(value: Any, modifiers: tuple[Any, ...]) -> Moment | None:
    """The point in time that a time value means after all modifiers; None if any of them has no meaning."""
    found = _read(value)
    for place, modifier in enumerate(modifiers):
        if found is None or modifier is None:
            return None
        found = _modified(found, to_text(modifier).lower(), first=place == 0)
    if found is None or found.ms is None or not 0 <= found.ms < _END:
        return None
    return found


def now() -> Moment:
    """The current time in UTC."""
    return _native(datetime.now(UTC).replace(tzinfo=None))


def _read(value: Any) -> Moment | None:
    match value:
        case str():
            return _read_text(value)
        case bool() | None:
            return None if value is None else _number(float(value))
        case int() | float() | Decimal():
            return _number(float(value))
        case datetime():
            return _native(naive_utc(value))
        case date():
            return Moment(_ORDINAL_ZERO + value.toordinal() * DAY, day=(value.year, value.month, value.day))
        case time():
            return _native(datetime.combine(date(2000, 1, 1), value))
        case _:
            return _read_text(to_text(value))


def _native(value: datetime) -> Moment:
    clock = (value.hour, value.minute, value.second + value.microsecond / 1_000_000)
    ms = (value.hour * 3600 + value.minute * 60 + value.second) * 1000 + (value.microsecond + 500) // 1000
    midnight = _ORDINAL_ZERO + value.toordinal() * DAY
    return Moment(midnight + ms, clock=clock, day=(value.year, value.month, value.day))


def _number(value: float) -> Moment:
    ms = int(value * DAY + 0.5) if 0 <= value < 5_373_484.5 else None
    return Moment(ms, raw=value)


def _read_text(text: str) -> Moment | None:
    if _USUAL.match(text):
        try:  # what Python does not read (day 31 of a short month, year 0) may still be a moment for SQLite
            return _native(datetime.fromisoformat(text))
        except ValueError:
            pass
    match = _DATE_TIME.match(text)
    if match is not None:
        minus, year, month, day, *clock = match.groups()
        if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
            return None
        written = (-int(year) if minus else int(year), int(month), int(day))
        return _with_clock(julian(*written), clock, written)
    match = _TIME_ONLY.match(text)
    if match is not None:
        return _with_clock(julian(2000, 1, 1), list(match.groups()))
    if text.lower() == "now":
        return now()
    if text.lower() in ("subsec", "subsecond"):
        current = now()
        current.subsecond = True
        return current
    return _number(float(text)) if _NUMBER.match(text) else None


def _with_clock(midnight: int, clock: list[Any], day: tuple[int, int, int] | None = None) -> Moment | None:
    hour, minute, second, zulu, sign, zone_hour, zone_minute = clock
    if hour is None:
        return Moment(midnight, day=day)
    h, m, s = int(hour), int(minute), float(second or 0)
    if h > 24 or m > 59 or s >= 60:
        return None
    ms = midnight + h * 3_600_000 + m * 60_000 + int(s * 1000 + 0.5)
    if sign is None:
        return Moment(ms, clock=(h, m, s), utc=zulu is not None, day=day)
    if int(zone_hour) > 14 or int(zone_minute) > 59:
        return None
    offset = (int(zone_hour) * 60 + int(zone_minute)) * 60_000
    if not offset:
        return Moment(ms, clock=(h, m, s), utc=True, day=day)
    return Moment(ms + offset if sign == "-" else ms - offset, utc=True)


# --- modifiers ------------------------------------------------------------------------------------------------------


def _modified(before: Moment, modifier: str, *, first: bool) -> Moment | None:
    if modifier in ("auto", "julianday", "unixepoch"):
        return _interpreted(before, modifier) if first else None
    if before.ms is None:
        return None
    if modifier in ("subsec", "subsecond"):
        return Moment(before.ms, clock=before.clock, subsecond=True, utc=before.utc, day=before.day)
    if modifier == "utc" and before.utc:
        return before
    if modifier.startswith("start of "):
        return _started(before, modifier[9:])
    after = _shifted(before, before.ms, modifier)
    if after is None:
        return None
    return Moment(after, subsecond=before.subsecond, utc=before.utc or modifier == "utc")


def _started(before: Moment, unit: str) -> Moment | None:
    """The start of a day, month or year; a day that was written stays as it was, 30 February too."""
    year, month, day = before.ymd()
    start = {"day": (year, month, day), "month": (year, month, 1), "year": (year, 1, 1)}.get(unit)
    return None if start is None else Moment(julian(*start), subsecond=before.subsecond, utc=before.utc, day=start)


def _interpreted(before: Moment, modifier: str) -> Moment | None:
    """What a number means; these modifiers come first or not at all."""
    raw, ms = before.raw, before.ms
    if modifier == "julianday":
        return Moment(ms) if raw is not None and ms is not None else None
    if modifier == "auto" and (raw is None or ms is not None):
        return Moment(ms, clock=before.clock, day=before.day)
    if raw is None:
        return None
    moment = raw * 1000.0 + UNIX_EPOCH
    return Moment(int(moment + 0.5)) if 0 <= moment < _END else None


def _shifted(before: Moment, ms: int, modifier: str) -> int | None:
    if modifier == "localtime":
        return ms + _local_offset(ms)
    if modifier == "utc":
        guess = ms - _local_offset(ms)
        return ms - _local_offset(guess)
    if modifier.startswith("weekday "):
        return _weekday(ms, modifier[8:])
    match = _CLOCK_SHIFT.match(modifier)
    if match is not None:
        sign, *clock = match.groups()
        length = _length(clock)
        return None if length is None else ms - length if sign == "-" else ms + length
    match = _DATE_SHIFT.match(modifier)
    if match is not None:
        return _by_date(before, ms, match)
    match = _SHIFT.match(modifier)
    return None if match is None else _by_unit(before, ms, *match.groups())


def _local_offset(ms: int) -> int:
    """How far local time is ahead of UTC at that moment, in milliseconds.

    Before 1970 and after 2038 it is what it was at that day of one of the years 1997 to 2003, as in SQLite.
    """
    if not UNIX_EPOCH <= ms <= _END_OF_32_BITS:
        year, month, day = _ymd(ms)
        ms += julian(2000 + int(math.fmod(year, 4)), month, day) - julian(year, month, day)
    there = datetime.fromtimestamp((ms - UNIX_EPOCH) / 1000, UTC).astimezone()
    offset = there.utcoffset()
    return 0 if offset is None else int(offset.total_seconds() * 1000)


def _weekday(ms: int, text: str) -> int | None:
    try:
        wanted = float(text)
    except ValueError:
        return None
    if not wanted.is_integer() or not 0 <= wanted < 7:
        return None
    day = (ms + 129_600_000) // DAY % 7
    return ms + (int(wanted) - day + (7 if day > wanted else 0)) * DAY


def _length(clock: list[Any]) -> int | None:
    hour, minute, second = int(clock[0]), int(clock[1]), float(clock[2] or 0)
    if hour > 24 or minute > 59 or second >= 60:
        return None
    return (hour * 3_600_000 + minute * 60_000 + int(second * 1000 + 0.5)) % DAY


def _by_date(before: Moment, ms: int, match: re.Match[str]) -> int | None:
    """``+YYYY-MM-DD HH:MM:SS``: years and months first, then days and the clock."""
    sign, years, months, days, *clock = match.groups()
    if int(months) > 11 or int(days) > 30:
        return None
    way = -1 if sign == "-" else 1
    moved = _by_months(before, ms, way * (int(years) * 12 + int(months))) + way * int(days) * DAY
    length = _length(clock) if clock[0] is not None else 0
    return None if length is None else moved + way * length


def _by_unit(before: Moment, ms: int, number: str, unit: str) -> int | None:
    try:
        amount = float(number)
    except ValueError:
        return None
    limit, length = _UNITS.get(unit.removesuffix("s"), (0.0, 0.0))
    if not -limit < amount < limit:
        return None
    rounder = -0.5 if amount < 0 else 0.5
    if unit.startswith(("month", "year")):
        whole = int(amount)
        ms = _by_months(before, ms, whole * (12 if unit.startswith("year") else 1))
        amount -= whole
    return ms + int(amount * length + rounder)


def _by_months(before: Moment, ms: int, months: int) -> int:
    year, month, day = before.ymd()
    start = julian(year, month, day)
    total = year * 12 + month - 1 + months
    return julian(total // 12, total % 12 + 1, day) + ms - start
