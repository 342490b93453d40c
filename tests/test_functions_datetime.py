"""Date and time functions against sqlite3, and on native values."""

from __future__ import annotations

import itertools
import random
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest

from tests.sqlite_oracle import ask, same
from tests.test_functions_text import call
from zodbapi.functions import BUILTIN

NAMES = ["date", "time", "datetime", "julianday", "unixepoch"]
VALUES: list[Any] = [
    "2024-02-29", "2023-02-28 23:59:59", "2024-01-01T00:00", "2020-12-31 12:34:56.789", "0000-01-01", "-4713-11-24 12:00:00",
    "9999-12-31 23:59:59.999", "12:34", "12:34:56.7", "2024-03-10 05:06:07+02:30", "2024-03-10 05:06:07Z",
    "2024-03-10 05:06 -14:00", "2024-03-10 05:06:07 +15:00", 2460000.5, 0, "2460000.5", 1700000000, "1700000000",
    -1, 5373484.4, 5373484.5, 1e12, "", "abc",
    "2024-13-01", "2024-01-32", "2024-01-01x", "2024-1-1", "2024-01-01 1:00", "2000-06-15 08:09:10.123456",
    " 2024-01-01", "2024-01-01   12:00  ", None, b"2024-01-01", "2022-01-02", "-0001-05-05", "1e3", "0x1",
]  # fmt: skip
MODIFIERS = [
    "+1 day", "1 days", "-1.5 days", "+1 month", "-13 months", "+0.5 month", "1 year", "-1 years", "+0.25 years",
    "start of month", "start of year", "start of day", "start of week", "weekday 0", "weekday 3", "weekday 6",
    "weekday 7", "weekday 2.5",
    "unixepoch", "julianday", "auto", "+10 hours", "-90 minutes", "+1.234 seconds", "+12:30", "-00:00:01.5",
    "12:30:00", "+25:00",
    "foo", "", "+1", "+ 1 day", "+1day", "1  day", "NOW", "Start Of Month", "+1 DAY", "-1.5 months", "+400 years",
    "-3000 years", "+99999999 days",
    ".5 day", "+1e1 days", "+24:00", "12:60",
]  # fmt: skip
FORMATS = ["%d %f %H %j %J %m %M %s %S %w %W %Y %%", "%Y-%m-%d %H:%M:%f", "%q", "abc", "%", ""]


def check(name: str, *args: Any) -> None:
    marks = ", ".join("?" * len(args))
    expected = ask(f"{name}({marks})", *args)
    assert same(expected, call(name, *args)), (name, args, expected)


@pytest.mark.parametrize("name", NAMES)
def test_every_value_with_every_modifier(name: str) -> None:
    for value in VALUES:
        check(name, value)
    for value, modifier in itertools.product(VALUES, MODIFIERS):
        check(name, value, modifier)


def test_strftime() -> None:
    for template, value in itertools.product(FORMATS, VALUES):
        check("strftime", template, value)


def test_random_moments_and_several_modifiers() -> None:
    source = random.Random(1)
    for _ in range(1500):
        year, month, day = source.randint(0, 9999), source.randint(1, 12), source.randint(1, 28)
        clock = time(source.randint(0, 23), source.randint(0, 59), source.randint(0, 59), source.randint(1, 999) * 1000)
        moment = f"{year:04d}-{month:02d}-{day:02d} {clock.isoformat('milliseconds')}"
        shift = f"{source.randint(-500, 500)} {source.choice(['days', 'months', 'years', 'hours'])}"
        check("strftime", FORMATS[0], moment)
        check("datetime", moment, shift, source.choice(MODIFIERS))


def test_local_time_and_back() -> None:
    for value in ["2024-03-31 01:30:00", "2024-07-01", "1999-12-31 23:59:59", "2024-03-10 05:06:07Z"]:
        check("datetime", value, "localtime")
        check("datetime", value, "utc")
        check("datetime", value, "localtime", "utc")


def test_native_values_count_as_their_text() -> None:
    moment = datetime(2024, 2, 29, 12, 34, 56, 789000)
    assert call("date", date(2024, 2, 29)) == "2024-02-29"
    assert call("datetime", moment, "+1 year") == "2025-03-01 12:34:56"
    assert call("strftime", "%f", moment) == "56.789"
    assert call("time", time(5, 6)) == "05:06:00"
    assert call("datetime", datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == "2023-12-31 22:00:00"
    assert call("unixepoch", datetime(2024, 1, 1, tzinfo=UTC)) == 1704067200


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (call("timediff", "2024-03-01", "2023-01-31"), "+0001-00-30 00:00:00.000"),
        (call("timediff", "2023-01-31", "2024-03-01 12:00"), "-0001-01-01 12:00:00.000"),
        (call("timediff", "2024-01-01", "2024-01-01"), "+0000-00-00 00:00:00.000"),
        (call("timediff", "x", "2024-01-01"), None),
        (call("datetime", "2024-01-31", "+0001-01-01 10:00"), "2025-03-04 10:00:00"),
        (call("time", "12:00:00.25", "subsec"), "12:00:00.250"),
        (call("unixepoch", "1970-01-01 00:00:01.5", "subsec"), 1.5),
        (
            call("strftime", "%F %T %R %I %p %e %u %G-%V", "2024-01-01 15:04:05"),
            "2024-01-01 15:04:05 15:04 03 PM  1 1 2024-01",
        ),
    ],
)
def test_what_newer_sqlite_has(found: Any, expected: Any) -> None:
    assert found == expected


def test_now() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", call("current_timestamp"))
    assert call("date", "now") in (call("current_date"), call("date", "now"))
    assert call("now").tzinfo is UTC
    current = BUILTIN.scalar("current_timestamp", 0)
    given = BUILTIN.scalar("date", 1)
    assert current is not None
    assert current.stable
    assert not current.deterministic
    assert given is not None
    assert given.deterministic
