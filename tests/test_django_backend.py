"""The backend's own decisions, without Django's suite: names, values in and out, and which form of an expression is taken."""

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models
from django.db.models import Aggregate, F, Func, Value
from django.db.models.expressions import Col
from django.db.models.functions import Cast, Greatest, Now, Round, TruncDay
from django.test import override_settings

from django_zodb.base import DatabaseWrapper


def settings_of(**changes: Any) -> dict[str, Any]:
    return {**connection.settings_dict, **changes}


@pytest.mark.parametrize(
    ("name", "dsn", "in_memory"),
    [
        (":memory:", "memory://somewhere", True),
        ("memory://shop", "memory://shop", True),
        ("/srv/shop.fs", "/srv/shop.fs", False),
        ("zeo://127.0.0.1:8100", "zeo://127.0.0.1:8100", False),
    ],
)
def test_dsn(name: str, dsn: str, in_memory: bool) -> None:
    wrapper = DatabaseWrapper(settings_of(NAME=name), alias="somewhere")
    assert wrapper.get_connection_params()["dsn"] == dsn
    assert wrapper.is_in_memory_db() is in_memory


def test_a_password_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="TLS"):
        DatabaseWrapper(settings_of(NAME="zeo://localhost:8100", PASSWORD="secret")).get_connection_params()


def test_a_name_is_needed() -> None:
    with pytest.raises(ImproperlyConfigured, match="NAME"):
        DatabaseWrapper(settings_of(NAME="")).get_connection_params()


class Fallback(Func):
    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return "sqlite", []


class Native(Fallback):
    def as_zodb(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return "zodb", []


def compiled(expression: Any) -> str:
    compiler = models.sql.Query(None).get_compiler(connection=connection)
    sql, _ = compiler.compile(expression)
    return str(sql)


def test_vendor_fallback() -> None:
    assert compiled(Native()) == "zodb"
    assert compiled(Fallback()) == "sqlite"
    assert compiled(Func(function="F")) == "F()"


def test_decimals_are_not_cast() -> None:
    field = models.DecimalField(max_digits=5, decimal_places=2)
    assert compiled(Aggregate(Value(Decimal(1), field), function="SUM", output_field=field)) == "SUM(%s)"
    assert compiled(Greatest(Value(1), Value(2), output_field=models.IntegerField())) == "GREATEST(%s, %s)"


def test_casts_are_native() -> None:
    assert compiled(Cast(Value("x"), models.DateTimeField())) == "CAST(%s AS timestamp with time zone)"
    assert (
        compiled(Cast(Value("x"), models.DecimalField(max_digits=5, decimal_places=2))) == "CAST(%s AS decimal(5, 2))"
    )
    assert compiled(Round(Value(15), -1, output_field=models.IntegerField())) == "ROUND(%s, %s)"


@override_settings(USE_TZ=False, TIME_ZONE="Europe/Paris")
def test_now_is_the_wall_clock_without_use_tz() -> None:
    assert compiled(Now()) == "DJANGO_AT_TIME_ZONE(CURRENT_TIMESTAMP, 'Europe/Paris')"


def test_date_parts_come_from_a_list() -> None:
    with pytest.raises(ValueError, match="Invalid lookup type"):
        connection.ops.date_extract_sql("year' FROM x)--", "x", ())
    assert connection.ops.date_extract_sql("year", "x", ()) == ("DJANGO_EXTRACT_YEAR(x)", ())


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (None, "NULL"),
        (True, "TRUE"),
        (1.5, "1.5"),
        (Decimal("1.50"), "1.50"),
        ("it's", "'it''s'"),
        (b"\x00\xff", "X'00ff'"),
        (datetime.date(2024, 1, 2), "CAST('2024-01-02' AS DATE)"),
        (datetime.timedelta(days=1, seconds=2), "CAST('1 day, 0:00:02' AS INTERVAL)"),
        (uuid.UUID(int=1), "CAST('00000000-0000-0000-0000-000000000001' AS UUID)"),
    ],
)
def test_literals(value: Any, literal: str) -> None:
    assert connection.ops.quote_value(value) == literal


def test_moments_with_use_tz() -> None:
    moment = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)
    assert connection.ops.adapt_datetimefield_value(moment) is moment


@pytest.mark.django_db
@override_settings(USE_TZ=False)
def test_moments_without_use_tz() -> None:
    wall_clock = datetime.datetime(2024, 1, 2)
    stored = connection.ops.adapt_datetimefield_value(wall_clock)
    assert stored == wall_clock.replace(tzinfo=datetime.UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT CAST(%s AS timestamp with time zone), 1", [wall_clock])
        assert cursor.fetchall() == [(wall_clock, 1)]
    with override_settings(TIME_ZONE="Asia/Kolkata"):
        assert connection.ops.adapt_datetimefield_value(stored) == stored + datetime.timedelta(hours=5, minutes=30)


@pytest.mark.parametrize(
    "field",
    [
        models.BooleanField(),
        models.DateField(),
        models.DateTimeField(),
        models.DecimalField(max_digits=5, decimal_places=2),
        models.DurationField(),
        models.TimeField(),
        models.UUIDField(),
    ],
    ids=lambda field: str(field.get_internal_type()),
)
def test_columns_are_not_converted(field: Any) -> None:
    assert connection.ops.get_db_converters(Col("t", field)) == []


def test_trunc_of_moments_names_the_zone_as_parameter() -> None:
    expression = TruncDay(
        Value(datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)), output_field=models.DateTimeField()
    )
    with override_settings(TIME_ZONE="Europe/Paris"):
        compiler = models.sql.Query(None).get_compiler(connection=connection)
        sql, params = compiler.compile(expression.resolve_expression())
    assert sql == "DJANGO_TRUNC_DAY(DJANGO_AT_TIME_ZONE(%s, %s))"
    assert params[1] == "Europe/Paris"


def test_power_and_xor_are_functions() -> None:
    assert connection.ops.combine_expression("^", ["a", "b"]) == "POWER(a,b)"
    assert connection.ops.combine_expression("#", ["a", "b"]) == "BITXOR(a,b)"
    assert isinstance(F("a") ** 2, models.expressions.CombinedExpression)
