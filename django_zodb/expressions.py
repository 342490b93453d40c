"""``as_zodb`` for the few expressions of Django whose SQLite form is not right here.

Set on Django's classes from outside, which is how a third-party backend does it:
https://docs.djangoproject.com/en/stable/ref/models/expressions/#adding-support-in-third-party-database-backends
"""

from __future__ import annotations

from copy import copy
from typing import Any

from django.conf import settings
from django.db.models.expressions import Window
from django.db.models.fields.json import (
    ContainedBy,
    DataContains,
    KeyTextTransform,
    KeyTransform,
    KeyTransformExact,
    KeyTransformIn,
)
from django.db.models.fields.tuple_lookups import Tuple
from django.db.models.functions import Cast, Greatest, Least, Now, Round

Sql = Any  # the SQL and its parameters


def standard(self: Any, compiler: Any, connection: Any, **context: Any) -> Sql:
    """The standard form: what SQLite needs another one for, the engine has."""
    return self.as_sql(compiler, connection, **context)


def now(self: Any, compiler: Any, connection: Any, **context: Any) -> Sql:
    """SQLite's is text of the time in UTC; here it is a value, and without USE_TZ the wall clock of TIME_ZONE."""
    template = "CURRENT_TIMESTAMP"
    if not settings.USE_TZ and settings.TIME_ZONE != "UTC":
        template = "DJANGO_AT_TIME_ZONE(CURRENT_TIMESTAMP, '{}')".format(settings.TIME_ZONE.replace("'", "''"))
    return self.as_sql(compiler, connection, template=context.pop("template", template), **context)


# JSON: SQLite's forms ask connection.vendor by name, or look into one document three times.


def key_transform(self: Any, compiler: Any, connection: Any, **context: Any) -> Sql:
    """The value at a path; true, false and null as words, which tells them from 1, 0 and a missing key."""
    lhs, params, keys = self.preprocess_lhs(compiler, connection)
    return f"DJANGO_JSON_KEY({lhs}, %s)", (*params, connection.ops.compile_json_path(keys))


def _as_another(lookup: type) -> Any:
    """An ``as_zodb`` that compiles a copy of the node which has methods of ours."""

    def as_zodb(self: Any, compiler: Any, connection: Any, **context: Any) -> Sql:
        clone = copy(self)
        clone.__class__ = lookup
        return clone.as_sql(compiler, connection, **context)

    return as_zodb


class _KeyIn(KeyTransformIn):
    def resolve_expression_parameter(self, compiler: Any, connection: Any, sql: str, param: Any) -> Sql:
        sql, params = super().resolve_expression_parameter(compiler, connection, sql, param)
        return (sql if hasattr(param, "as_sql") else "DJANGO_JSON_KEY(%s, '$')"), params


class _KeyExact(KeyTransformExact):
    def process_rhs(self, compiler: Any, connection: Any) -> Sql:
        rhs, params = super().process_rhs(compiler, connection)
        if not isinstance(self.rhs, KeyTransform):
            rhs %= ("DJANGO_JSON_KEY(%s, '$')",) * len(params)
        return rhs, params


class _JsonSides:
    """Compares documents: a key of one is taken as JSON, where a comparison with a scalar wants its value."""

    lhs: Any
    rhs: Any

    def process_lhs(self, compiler: Any, connection: Any, lhs: Any = None) -> Sql:
        lhs = lhs or self.lhs
        if isinstance(lhs, KeyTransform):
            return _as_json(lhs, compiler, connection)
        return super().process_lhs(compiler, connection, lhs)  # type: ignore[misc]

    def process_rhs(self, compiler: Any, connection: Any) -> Sql:
        if isinstance(self.rhs, KeyTransform):
            return _as_json(self.rhs, compiler, connection)
        return super().process_rhs(compiler, connection)  # type: ignore[misc]


class _Contains(_JsonSides, DataContains):
    pass


class _ContainedBy(_JsonSides, ContainedBy):
    pass


def _as_json(transform: KeyTransform, compiler: Any, connection: Any) -> Sql:
    lhs, params, keys = transform.preprocess_lhs(compiler, connection)
    return f"({lhs} -> %s)", [*params, connection.ops.compile_json_path(keys)]


FORMS: dict[type, Any] = {
    # The engine's CAST knows dates and times with their fractions of a second, and rounds decimals.
    Cast: standard,
    # As on PostgreSQL they leave NULLs out; SQLite's MAX and MIN are NULL then.
    Greatest: standard,
    Least: standard,
    # ROUND takes a negative precision.
    Round: standard,
    # Decimals are exact: SQLite's form computes with floats and casts around the window.
    Window: standard,
    # SQLite's asks for the version of SQLite, and takes ours for an old one.
    Tuple: standard,
    Now: now,
    KeyTransform: key_transform,
    KeyTextTransform: key_transform,
    KeyTransformIn: _as_another(_KeyIn),
    KeyTransformExact: _as_another(_KeyExact),
    DataContains: _as_another(_Contains),
    ContainedBy: _as_another(_ContainedBy),
}


def register_expressions() -> None:
    """Gives the classes their ``as_zodb``."""
    for expression, form in FORMS.items():
        expression.as_zodb = form  # type: ignore[attr-defined]
