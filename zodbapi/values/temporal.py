"""Texts of dates, times and intervals, read strictly: ISO 8601 as SQLite and Django write it.

In: a text. Out: the native value, or None when the text is not one. Time zones are turned into UTC. An hour may have one
digit, as PostgreSQL and Django read it.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from zodbapi.errors import DataError

_INTERVAL = re.compile(
    r"\s*(?P<sign>[-+]?)(?:(?P<days>\d{1,12})(?:\s+days?,?|(?=\s+\d+:)))?\s*"
    r"(?:(?P<clock_sign>[-+]?)(?P<hours>\d{1,12}):(?P<minutes>\d\d)(?::(?P<seconds>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?)?\s*\Z",
    re.ASCII | re.IGNORECASE,
)
_ISO_INTERVAL = re.compile(
    r"\s*(?P<sign>[-+]?)P(?:(?P<weeks>\d{1,12})W)?(?:(?P<days>\d{1,12})D)?"
    r"(?:T(?:(?P<hours>\d{1,12})H)?(?:(?P<minutes>\d{1,12})M)?(?:(?P<seconds>\d{1,12})(?:\.(?P<fraction>\d{1,9}))?S)?)?\s*\Z",
    re.ASCII,
)


def parse_date(text: str) -> date | None:
    """``YYYY-MM-DD``; a time of day of 00:00 may follow."""
    if len(text) != 10:
        moment = parse_timestamp(text)
        return moment.date() if moment is not None and moment.time() == time() else None
    if text[4] != "-" or text[7] != "-":
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def parse_timestamp(text: str) -> datetime | None:
    """``YYYY-MM-DD[ HH:MM[:SS[.ffffff]][zone]]`` as a naive datetime; with a zone it is converted to UTC."""
    moment = _parse_moment(text)
    if moment is None or moment.tzinfo is None:
        return moment
    return naive_utc(moment)


def parse_timestamptz(text: str) -> datetime | None:
    """The same as an aware datetime in UTC; without a zone the text is taken as UTC."""
    moment = _parse_moment(text)
    return None if moment is None else aware_utc(moment)


def _parse_moment(text: str) -> datetime | None:
    text = text.strip()
    if len(text) < 10 or text[4] != "-" or text[7] != "-":
        return None
    if text[12:13] == ":":
        text = f"{text[:11]}0{text[11:]}"
    if len(text) > 10 and (len(text) < 16 or text[10] not in " T" or text[13] != ":"):
        return None
    try:
        return datetime.fromisoformat(text.replace(" ", "") if " " in text[11:] and text[10] == "T" else text)
    except ValueError:
        return None


def parse_time(text: str) -> time | None:
    """``HH:MM[:SS[.ffffff]]``."""
    if text[1:2] == ":":
        text = f"0{text}"
    if len(text) < 5 or text[2] != ":":
        return None
    try:
        found = time.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is None else None


def parse_interval(text: str) -> timedelta | None:
    """``[-][D [days]] [HH:MM[:SS[.ffffff]]]`` or ISO 8601 ``P1DT2H3M4.5S``."""
    match = _INTERVAL.match(text) or _ISO_INTERVAL.match(text)
    if match is None or not any(value and value.isdigit() for value in match.groups()):
        return None
    parts = match.groupdict()
    length = {name: int(parts.get(name) or 0) for name in ("weeks", "hours", "minutes", "seconds")}
    fraction = int((parts["fraction"] or "0").ljust(6, "0")[:6])
    try:
        days = timedelta(days=int(parts["days"] or 0))
        clock = timedelta(**length, microseconds=fraction)
        if parts.get("clock_sign") == "-":
            clock = -clock
        return -(days + clock) if parts["sign"] == "-" else days + clock
    except OverflowError:
        return None


def interval_text(value: timedelta) -> str:
    """``[-][D ]HH:MM:SS[.ffffff]``, which ``parse_interval`` reads back."""
    sign = ""
    if value.days < 0:
        sign, value = "-", -value
    hours, rest = divmod(value.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    days = f"{value.days} " if value.days else ""
    fraction = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}{days}{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}"


def naive_utc(moment: datetime) -> datetime:
    """The datetime in UTC without its zone; a naive one is UTC already."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def aware_utc(moment: datetime) -> datetime:
    """The datetime in UTC with the zone ``datetime.timezone.utc``; a naive one is taken as UTC."""
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise DataError(f"timestamp out of range in UTC: {moment}") from error
