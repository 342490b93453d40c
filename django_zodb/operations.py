"""SQL fragments, and values on their way in and out."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DataError
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.models import fields
from django.db.models.constants import OnConflict
from django.db.models.expressions import Col
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime, parse_duration, parse_time

from zodbapi.deferred import deferred

if TYPE_CHECKING:
    from django_zodb import functions
    from django_zodb.base import DatabaseWrapper
else:
    functions = deferred("django_zodb.functions")

UTC = datetime.UTC
Params = Sequence[Any]
Sql = tuple[str, Params]


class DatabaseOperations(BaseDatabaseOperations):
    """How this database says what Django wants."""

    connection: DatabaseWrapper

    compiler_module = "django_zodb.compiler"
    cast_char_field_without_max_length = "varchar"
    # A sequence belongs to a table, a value has none.
    cast_data_types = {"AutoField": "integer", "BigAutoField": "bigint", "SmallAutoField": "smallint"}  # noqa: RUF012
    explain_prefix = "EXPLAIN"

    # --- dates and times: native values, moved to a time zone and then taken apart -----------------------------------

    def date_extract_sql(self, lookup_type: str, sql: str, params: Params) -> Sql:
        # The part is a name in the SQL: it may come from a user (CVE-2022-34265).
        if lookup_type not in functions.PARTS:
            raise ValueError(f"Invalid lookup type: {lookup_type!r}")
        return f"DJANGO_EXTRACT_{lookup_type.upper()}({sql})", params

    def datetime_extract_sql(self, lookup_type: str, sql: str, params: Params, tzname: str | None) -> Sql:
        return self.date_extract_sql(lookup_type, *self._at_time_zone(sql, params, tzname))

    def datetime_trunc_sql(self, lookup_type: str, sql: str, params: Params, tzname: str | None) -> Any:
        if lookup_type not in functions.UNITS:
            raise DataError(f"Invalid lookup type: {lookup_type!r}")
        sql, params = self._at_time_zone(sql, params, tzname)
        return f"DJANGO_TRUNC_{lookup_type.upper()}({sql})", params

    def date_trunc_sql(self, lookup_type: str, sql: str, params: Params, tzname: str | None = None) -> Sql:
        sql, params = self.datetime_trunc_sql(lookup_type, sql, params, tzname)
        return f"CAST({sql} AS DATE)", params

    def time_trunc_sql(self, lookup_type: str, sql: str, params: Params, tzname: str | None = None) -> Any:
        sql, params = self.datetime_trunc_sql(lookup_type, sql, params, tzname)
        return f"CAST({sql} AS TIME)", params

    def datetime_cast_date_sql(self, sql: str, params: Params, tzname: str | None) -> Sql:
        sql, params = self._at_time_zone(sql, params, tzname)
        return f"CAST({sql} AS DATE)", params

    def datetime_cast_time_sql(self, sql: str, params: Params, tzname: str | None) -> Sql:
        sql, params = self._at_time_zone(sql, params, tzname)
        return f"CAST({sql} AS TIME)", params

    def _at_time_zone(self, sql: str, params: Params, tzname: str | None) -> Sql:
        # Moments are stored in UTC; without USE_TZ their wall clock is what was meant.
        if tzname is None or tzname == "UTC" or not settings.USE_TZ:
            return sql, params
        return f"DJANGO_AT_TIME_ZONE({sql}, %s)", (*params, tzname)

    # --- values in: as they are ---------------------------------------------------------------------------------------

    def adapt_datefield_value(self, value: Any) -> Any:
        return value

    def adapt_timefield_value(self, value: Any) -> Any:
        if isinstance(value, datetime.time) and value.tzinfo is not None:
            raise ValueError("ZODB backend does not support timezone-aware times.")
        return value

    def adapt_datetimefield_value(self, value: Any) -> Any:
        """Moments are stored in UTC. Without USE_TZ the wall clock is stored as if it were UTC's."""
        if not isinstance(value, datetime.datetime) or settings.USE_TZ:
            return value
        if value.tzinfo is not None:
            value = timezone.make_naive(value, timezone.get_default_timezone())
        return value.replace(tzinfo=UTC)

    def adapt_unknown_value(self, value: Any) -> Any:
        # As the super class does, for the one type that is changed.
        return self.adapt_datetimefield_value(value) if isinstance(value, datetime.datetime) else value

    # --- values out: as they are, unless they were computed -----------------------------------------------------------

    def get_db_converters(self, expression: Any) -> list[Any]:
        """A column needs none: its values are of the field's class. A computed value may be of another one."""
        converters = super().get_db_converters(expression)
        internal_type = expression.output_field.get_internal_type()
        if not isinstance(expression, Col) and internal_type in COMPUTED:
            converters.append(COMPUTED[internal_type])
        return converters

    # --- expressions --------------------------------------------------------------------------------------------------

    def combine_expression(self, connector: str, sub_expressions: list[str]) -> str:
        # ^ and # are no operators of SQLite's dialect.
        if connector == "^":
            return "POWER({})".format(",".join(sub_expressions))
        if connector == "#":
            return "BITXOR({})".format(",".join(sub_expressions))
        return super().combine_expression(connector, sub_expressions)

    def compile_json_path(self, key_transforms: Sequence[str], include_root: bool = True) -> str:
        """A JSON path. Django 6.0 has this method, where 5.2 has a function."""
        compile_path = getattr(super(), "compile_json_path", None) or fields.json.compile_json_path  # type: ignore[attr-defined]
        return str(compile_path(key_transforms, include_root))

    def format_json_path_numeric_index(self, num: int) -> str:
        # SQLite's paths count from the end with a mark.
        return f"[#{num}]" if num < 0 else f"[{num}]"

    def distinct_sql(self, fields: Sequence[str], params: Any) -> tuple[list[str], list[Any]]:
        if fields:
            return ["DISTINCT ON ({})".format(", ".join(fields))], [param for group in params for param in group]
        return ["DISTINCT"], []

    def no_limit_value(self) -> Any:
        # OFFSET has no form without LIMIT.
        return -1

    def explain_query_prefix(self, format: str | None = None, **options: Any) -> str:
        """EXPLAIN QUERY PLAN prints the plan, EXPLAIN the Python that was generated for it."""
        prefix = super().explain_query_prefix(format, **options)
        return prefix if format and format.upper() == "PYTHON" else f"{prefix} QUERY PLAN"

    # --- writes -------------------------------------------------------------------------------------------------------

    def deferrable_sql(self) -> str:
        return " DEFERRABLE INITIALLY DEFERRED"

    def integer_field_range(self, internal_type: str) -> tuple[int, int]:
        # All integers are of 64 bits; a CHECK keeps the positive ones positive.
        low = 0 if internal_type.startswith("Positive") else -0x8000000000000000
        return low, 0x7FFFFFFFFFFFFFFF

    # Django 6.0 has the next two itself, under other names.

    def fetch_returned_insert_rows(self, cursor: Any) -> Any:
        return cursor.fetchall()

    def return_insert_columns(self, fields: Any) -> Sql:
        if not fields:
            return "", ()
        qn = self.quote_name
        return "RETURNING " + ", ".join(f"{qn(f.model._meta.db_table)}.{qn(f.column)}" for f in fields), ()

    def on_conflict_suffix_sql(
        self, fields: Any, on_conflict: Any, update_fields: Iterable[str], unique_fields: Iterable[str]
    ) -> str:
        match on_conflict:
            case OnConflict.IGNORE:
                # Not SQLite's INSERT OR IGNORE, which drops rows that fail a NOT NULL or a CHECK too.
                return "ON CONFLICT DO NOTHING"
            case OnConflict.UPDATE:
                targets = ", ".join(map(self.quote_name, unique_fields))
                changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in map(self.quote_name, update_fields))
                return f"ON CONFLICT({targets}) DO UPDATE SET {changes}"
        return super().on_conflict_suffix_sql(fields, on_conflict, update_fields, unique_fields)

    # --- names, literals, whole tables --------------------------------------------------------------------------------

    def quote_name(self, name: str) -> str:
        return name if name.startswith('"') and name.endswith('"') else f'"{name}"'

    def quote_value(self, value: Any) -> str:
        """A literal: DDL has no parameters, and a log shows statements complete."""
        match value:
            case None:
                return "NULL"
            case bool():
                return "TRUE" if value else "FALSE"
            case int() | float() | decimal.Decimal():
                return str(value)
            case bytes() | bytearray() | memoryview():
                return f"X'{bytes(value).hex()}'"
            case datetime.datetime():
                return f"CAST('{value.isoformat(' ')}' AS TIMESTAMP WITH TIME ZONE)"
            case datetime.date():
                return f"CAST('{value.isoformat()}' AS DATE)"
            case datetime.time():
                return f"CAST('{value.isoformat()}' AS TIME)"
            case datetime.timedelta():
                return f"CAST('{value}' AS INTERVAL)"
            case uuid.UUID():
                return f"CAST('{value}' AS UUID)"
            case _:
                return "'{}'".format(str(value).replace("'", "''"))

    def compose_sql(self, sql: str, params: Any) -> str:
        """The statement with its parameters as literals."""
        if isinstance(params, dict):
            return sql % {name: self.quote_value(value) for name, value in params.items()}
        return sql % tuple(self.quote_value(value) for value in params)

    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> str:
        sql, params = getattr(cursor, "executed", None) or (sql, params)
        return self.compose_sql(sql, params) if params else sql

    def sql_flush(
        self, style: Any, tables: Sequence[str], *, reset_sequences: bool = False, allow_cascade: bool = False
    ) -> list[str]:
        if not tables:
            return []
        # One statement: the tables may refer to each other.
        names = ", ".join(style.SQL_FIELD(self.quote_name(table)) for table in tables)
        words = [style.SQL_KEYWORD("TRUNCATE"), names]
        words += [style.SQL_KEYWORD("RESTART IDENTITY")] if reset_sequences else []
        words += [style.SQL_KEYWORD("CASCADE")] if allow_cascade else []
        return [" ".join(words) + ";"]

    def sequence_reset_by_name_sql(self, style: Any, sequences: list[dict[str, Any]]) -> list[str]:
        alter_table, alter_column = style.SQL_KEYWORD("ALTER TABLE"), style.SQL_KEYWORD("ALTER COLUMN")
        return [
            f"{alter_table} {style.SQL_TABLE(self.quote_name(item['table']))} "
            f"{alter_column} {style.SQL_FIELD(self.quote_name(item['column']))} {style.SQL_KEYWORD('RESTART')};"
            for item in sequences
        ]


def convert_datetime(value: Any, expression: Any, connection: Any) -> Any:
    """A moment that an expression gave as text or as a date, or whose type the database did not know."""
    if isinstance(value, str):
        value = parse_datetime(value)
    elif isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if value is None or (value.tzinfo is not None) == settings.USE_TZ:
        return value
    return value.replace(tzinfo=UTC if settings.USE_TZ else None)


def convert_date(value: Any, expression: Any, connection: Any) -> Any:
    """A date that an expression gave as text."""
    return parse_date(value) if isinstance(value, str) else value


def convert_time(value: Any, expression: Any, connection: Any) -> Any:
    """A time that an expression gave as text."""
    return parse_time(value) if isinstance(value, str) else value


def convert_duration(value: Any, expression: Any, connection: Any) -> Any:
    """A duration that an expression gave as text."""
    return parse_duration(value) if isinstance(value, str) else value


def convert_uuid(value: Any, expression: Any, connection: Any) -> Any:
    """A UUID that an expression gave as text."""
    return uuid.UUID(value) if isinstance(value, str) else value


def convert_boolean(value: Any, expression: Any, connection: Any) -> Any:
    """Comparisons give 1 and 0, as SQLite's do."""
    return bool(value) if value in (1, 0) else value


_decimal_of_float = decimal.Context(prec=15).create_decimal_from_float


def convert_decimal(value: Any, expression: Any, connection: Any) -> Any:
    """A decimal that an expression gave as a float: its 15 digits that are certain."""
    return _decimal_of_float(value) if isinstance(value, float) else value


COMPUTED = {
    "BooleanField": convert_boolean,
    "DateField": convert_date,
    "DateTimeField": convert_datetime,
    "DecimalField": convert_decimal,
    "DurationField": convert_duration,
    "TimeField": convert_time,
    "UUIDField": convert_uuid,
}
