"""Date and time functions, with SQLite's time values and modifiers.

In: texts, Julian day numbers, or native dates, times and timestamps (an aware one counts in UTC). Out: texts and numbers, as
SQLite's functions give, for native values too: ``date(ts)`` is the text ``2024-05-01``. To get native values use CAST.
Comparing the text with a native column converts it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from zodbapi.catalog import ANY, INTEGER, REAL, TEXT, TIMESTAMPTZ, Type
from zodbapi.functions.moment import DAY, UNIX_EPOCH, Moment, julian, moment, now
from zodbapi.functions.registry import Function
from zodbapi.values import to_text


def _found(args: tuple[Any, ...]) -> Moment | None:
    return moment(args[0], args[1:]) if args else now()


def _date_text(at: Moment) -> str:
    year, month, day = at.ymd()
    return f"{'-' if year < 0 else ''}{abs(year):04d}-{month:02d}-{day:02d}"


def _time_text(at: Moment) -> str:
    hour, minute, second = at.hms()
    if at.subsecond:
        return f"{hour:02d}:{minute:02d}:{min(second, 59.999):06.3f}"
    return f"{hour:02d}:{minute:02d}:{int(second):02d}"


def date_text(*args: Any) -> str | None:
    """``date(value, modifier...)``: ``YYYY-MM-DD``."""
    if len(args) == 1 and isinstance(args[0], date) and not isinstance(args[0], datetime):
        return args[0].isoformat()
    at = _found(args)
    return None if at is None else _date_text(at)


def time_text(*args: Any) -> str | None:
    """``time(value, modifier...)``: ``HH:MM:SS``."""
    at = _found(args)
    return None if at is None else _time_text(at)


def datetime_text(*args: Any) -> str | None:
    """``datetime(value, modifier...)``: ``YYYY-MM-DD HH:MM:SS``."""
    at = _found(args)
    return None if at is None else f"{_date_text(at)} {_time_text(at)}"


def julianday(*args: Any) -> float | None:
    """``julianday(value, modifier...)``: days since noon of 24 November 4714 BC."""
    at = _found(args)
    return None if at is None or at.ms is None else at.ms / DAY


def unixepoch(*args: Any) -> int | float | None:
    """``unixepoch(value, modifier...)``: seconds since 1970, with a fraction if ``subsec`` is among the modifiers."""
    at = _found(args)
    if at is None or at.ms is None:
        return None
    return (at.ms - UNIX_EPOCH) / 1000 if at.subsecond else (at.ms - UNIX_EPOCH) // 1000


def strftime(template: Any, *args: Any) -> str | None:
    """``strftime(format, value, modifier...)``; NULL for a conversion that does not exist."""
    if template is None:
        return None
    at = _found(args)
    if at is None:
        return None
    text = to_text(template)
    parts: list[str] = []
    position = 0
    while (found := text.find("%", position)) >= 0:
        parts.append(text[position:found])
        convert = _CONVERSIONS.get(text[found + 1 : found + 2])
        if convert is None:
            return None
        parts.append(convert(at))
        position = found + 2
    parts.append(text[position:])
    return "".join(parts)


def _day_of_year(at: Moment) -> int:
    year, month, day = at.ymd()
    return (julian(year, month, day) - julian(year, 1, 1)) // DAY


def _weekday(at: Moment) -> int:
    """0 for Sunday."""
    return ((at.ms or 0) + 129_600_000) // DAY % 7


def _iso(at: Moment) -> tuple[int, int]:
    """ISO year and week."""
    year, month, day = at.ymd()
    if not 1 <= year <= 9999:
        return year, 1
    iso = date(year, month, day).isocalendar()
    return iso.year, iso.week


def _seconds(at: Moment) -> str:
    seconds = (at.ms or 0) - UNIX_EPOCH
    return f"{seconds / 1000:.3f}" if at.subsecond else str(seconds // 1000)


def _hour12(at: Moment) -> int:
    return (at.hms()[0] + 11) % 12 + 1


_CONVERSIONS: dict[str, Callable[[Moment], str]] = {
    "d": lambda at: f"{at.ymd()[2]:02d}",
    "e": lambda at: f"{at.ymd()[2]:2d}",
    "f": lambda at: f"{min(at.hms()[2], 59.999):06.3f}",
    "F": _date_text,
    "G": lambda at: f"{_iso(at)[0]:04d}",
    "g": lambda at: f"{_iso(at)[0] % 100:02d}",
    "H": lambda at: f"{at.hms()[0]:02d}",
    "I": lambda at: f"{_hour12(at):02d}",
    "j": lambda at: f"{_day_of_year(at) + 1:03d}",
    "J": lambda at: f"{(at.ms or 0) / DAY:.16g}",
    "k": lambda at: f"{at.hms()[0]:2d}",
    "l": lambda at: f"{_hour12(at):2d}",
    "m": lambda at: f"{at.ymd()[1]:02d}",
    "M": lambda at: f"{at.hms()[1]:02d}",
    "p": lambda at: "PM" if at.hms()[0] >= 12 else "AM",
    "P": lambda at: "pm" if at.hms()[0] >= 12 else "am",
    "R": lambda at: f"{at.hms()[0]:02d}:{at.hms()[1]:02d}",
    "s": _seconds,
    "S": lambda at: f"{int(at.hms()[2]):02d}",
    "T": lambda at: f"{at.hms()[0]:02d}:{at.hms()[1]:02d}:{int(at.hms()[2]):02d}",
    "u": lambda at: str(_weekday(at) or 7),
    "U": lambda at: f"{(_day_of_year(at) + 7 - _weekday(at)) // 7:02d}",
    "V": lambda at: f"{_iso(at)[1]:02d}",
    "w": lambda at: str(_weekday(at)),
    "W": lambda at: f"{(_day_of_year(at) + 7 - (_weekday(at) + 6) % 7) // 7:02d}",
    "Y": lambda at: f"{at.ymd()[0]:04d}",
    "%": lambda at: "%",
}


def timediff(later: Any, earlier: Any) -> str | None:
    """``±YYYY-MM-DD HH:MM:SS.SSS``: what added to the second value gives the first."""
    first, second = moment(later, ()), moment(earlier, ())
    if first is None or second is None or first.ms is None or second.ms is None:
        return None
    sign = 1 if first.ms >= second.ms else -1
    year, month, _ = first.ymd()
    other_year, other_month, day = second.ymd()
    clock = second.ms - julian(*second.ymd())
    months = ((year - other_year) * 12 + month - other_month) * sign

    def moved() -> int:
        total = other_year * 12 + other_month - 1 + sign * months
        return julian(total // 12, total % 12 + 1, day) + clock

    while (first.ms - moved()) * sign < 0:
        months -= 1
    rest = Moment(148_699_540_800_000 + abs(first.ms - moved()))  # counted from 2000-01-01, whose day is 1
    hour, minute, seconds = rest.hms()
    days = ((rest.ms or 0) - 148_699_540_800_000) // DAY
    mark = "+" if sign > 0 else "-"
    return f"{mark}{months // 12:04d}-{months % 12:02d}-{days:02d} {hour:02d}:{minute:02d}:{seconds:06.3f}"


def current_moment() -> datetime:
    """``now()``: the current time as a native timestamp with time zone."""
    return datetime.now(UTC)


def _at(name: str, call: Callable[..., Any], least: int, result: Type) -> tuple[Function, Function]:
    """The function of a time value, and without one of the current time, which no index or generated column may use."""
    return (
        Function(name, call, least, least, safe=True, deterministic=False, stable=True, result=result),
        Function(name, call, least + 1, -1, safe=True, stable=True, result=ANY if name == "unixepoch" else result),
    )


def _current(name: str, call: Callable[..., Any], result: Type) -> Function:
    return Function(name, call, 0, 0, nullable=False, safe=True, deterministic=False, stable=True, result=result)


FUNCTIONS: tuple[Function, ...] = (
    *_at("date", date_text, 0, TEXT),
    *_at("time", time_text, 0, TEXT),
    *_at("datetime", datetime_text, 0, TEXT),
    *_at("julianday", julianday, 0, REAL),
    *_at("unixepoch", unixepoch, 0, INTEGER),
    *_at("strftime", strftime, 1, TEXT),
    Function("timediff", timediff, 2, 2, safe=True, stable=True, result=TEXT),
    _current("current_date", date_text, TEXT),
    _current("current_time", time_text, TEXT),
    _current("current_timestamp", datetime_text, TEXT),
    _current("now", current_moment, TIMESTAMPTZ),
)
