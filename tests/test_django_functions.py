"""The SQL functions of the backend, called directly: no database is needed to say what they give."""

import datetime
import json
import zoneinfo
from typing import Any

import pytest

from django_zodb.functions import FUNCTIONS, at_time_zone, json_key, time_zone

UTC = datetime.UTC


def call(name: str, *args: Any) -> Any:
    function = FUNCTIONS.scalar(name, len(args))
    assert function is not None
    return function.call(*args)


@pytest.mark.parametrize(
    ("name", "offset"),
    [
        ("UTC", 0),
        ("Asia/Kolkata", 330),
        ("UTC+05:30", 330),
        ("UTC-05:17", -317),
        ("+0300", 180),
        ("-07", -420),
        ("Etc/GMT-10", 600),
    ],
)
def test_time_zone(name: str, offset: int) -> None:
    assert time_zone(name).utcoffset(datetime.datetime(2024, 1, 1)) == datetime.timedelta(minutes=offset)


def test_unknown_time_zone() -> None:
    with pytest.raises(zoneinfo.ZoneInfoNotFoundError):
        time_zone("Europe/Nowhere")


def test_wall_clock_stays_a_moment() -> None:
    moment = datetime.datetime(2024, 7, 1, 23, 30, tzinfo=UTC)
    assert at_time_zone(moment, "Europe/Paris") == datetime.datetime(2024, 7, 2, 1, 30, tzinfo=UTC)
    assert at_time_zone(moment.replace(tzinfo=None), "Europe/Paris") == at_time_zone(moment, "Europe/Paris")
    assert at_time_zone(datetime.date(2024, 7, 1), "Europe/Paris") == datetime.date(2024, 7, 1)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("year", 2020),
        ("iso_year", 2020),
        ("quarter", 4),
        ("month", 12),
        ("week", 53),
        ("day", 31),
        ("week_day", 5),
        ("iso_week_day", 4),
        ("hour", 13),
        ("minute", 14),
        ("second", 15),
    ],
)
def test_extract(part: str, value: int) -> None:
    moment = datetime.datetime(2020, 12, 31, 13, 14, 15, 16, tzinfo=UTC)
    assert call(f"django_extract_{part}", moment) == value
    assert call(f"django_extract_{part}", moment.isoformat(" ")) == value


def test_extract_from_interval() -> None:
    interval = datetime.timedelta(days=2, hours=3, minutes=4, seconds=5, microseconds=6)
    parts = ("day", "hour", "minute", "second", "microsecond")
    assert [call(f"django_extract_{part}", interval) for part in parts] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("unit", "moment", "date"),
    [
        ("year", "2020-01-01 00:00", "2020-01-01"),
        ("quarter", "2020-10-01 00:00", "2020-10-01"),
        ("month", "2020-12-01 00:00", "2020-12-01"),
        ("week", "2020-12-28 00:00", "2020-12-28"),
        ("day", "2020-12-31 00:00", "2020-12-31"),
        ("hour", "2020-12-31 13:00", None),
        ("minute", "2020-12-31 13:14", None),
        ("second", "2020-12-31 13:14:15", None),
    ],
)
def test_trunc_keeps_the_type(unit: str, moment: str, date: str | None) -> None:
    value = datetime.datetime(2020, 12, 31, 13, 14, 15, 16)
    assert call(f"django_trunc_{unit}", value) == datetime.datetime.fromisoformat(moment)
    if date is not None:
        truncated = call(f"django_trunc_{unit}", value.date())
        assert type(truncated) is datetime.date
        assert truncated == datetime.date.fromisoformat(date)


def test_trunc_of_time() -> None:
    assert call("django_trunc_minute", datetime.time(1, 2, 3, 4)) == datetime.time(1, 2)


def test_no_time_is_no_part() -> None:
    assert call("django_extract_year", "nonsense") is None
    assert call("django_trunc_year", "nonsense") is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.text", "a"),
        ("$.number", 1),
        ("$.yes", "true"),
        ("$.no", "false"),
        ("$.nothing", "null"),
        ("$.list", "[1,2]"),
        ("$.missing", None),
    ],
)
def test_json_key(path: str, value: Any) -> None:
    document = '{"text": "a", "number": 1, "yes": true, "no": false, "nothing": null, "list": [1, 2]}'
    assert json_key(document, path) == value


@pytest.mark.parametrize(
    ("document", "candidate", "contains"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": [{"b": 1}]}, {"a": {"b": 1}}, False),
        ([1, [2]], [[2]], True),
        ([1, 2, 2], [2, 1], True),
        ([1, 2], 2, True),
        ([[2]], 2, False),
        (1, [1], False),
        (1, True, False),
        ("a", "a", True),
        (None, None, True),
    ],
)
def test_json_contains(document: Any, candidate: Any, contains: bool) -> None:
    assert call("json_contains", json.dumps(document), json.dumps(candidate)) == int(contains)
