"""Django's SQL compilers, with the fallback from this database's forms to SQLite's.

The engine reads SQLite's dialect, so an expression that has a SQLite form (Django's own, and those of third parties)
works here as it is. ``vendor`` is another word nevertheless, so that code which asks for "sqlite" in order to send PRAGMAs
does not find it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import django
from django.db.models import Field
from django.db.models.expressions import Col, SQLiteNumericMixin
from django.db.models.sql import compiler

_numeric_cast = SQLiteNumericMixin.as_sqlite
_no_parameters: type[list[Any] | tuple[Any, ...]] = tuple if django.VERSION >= (6,) else list


class SQLCompiler(compiler.SQLCompiler):
    """Compiles a query; a node's ``as_zodb`` comes first, then ``as_sqlite``, then ``as_sql``."""

    def compile(self, node: Any) -> tuple[str, Any]:
        """The SQL and the parameters of one node; of a column, which most nodes are, without a detour."""
        if type(node) is Col:
            quoted = self.quote_cache
            if node.alias in quoted and (column := node.target.column) in quoted:
                return f"{quoted[node.alias]}.{quoted[column]}", _no_parameters()
        vendor_impl = getattr(node, "as_zodb", None)
        if vendor_impl is None:
            vendor_impl = getattr(node, "as_sqlite", None)
            # Decimals are exact here: SQLite's CAST of them AS NUMERIC has no reason, and would hide an index.
            if vendor_impl is None or getattr(vendor_impl, "__func__", None) is _numeric_cast:
                vendor_impl = node.as_sql
        compiled: tuple[str, Any] = vendor_impl(self, self.connection)
        return compiled

    def get_converters(self, expressions: Iterable[Any]) -> dict[int, Any]:
        """What values of columns go through, by position; columns without anything, which most are, are not asked."""
        asked: list[Any] = [None if type(item) is Col and _is_plain(item) else item for item in expressions]
        converters: dict[int, Any] = super().get_converters(asked)
        return converters


def _is_plain(column: Col) -> bool:
    """Whether nothing is done to the values of a column."""
    field = column.output_field
    return (
        field is column.target
        and type(field).get_db_converters is Field.get_db_converters
        and not hasattr(field, "from_db_value")
    )


class SQLInsertCompiler(compiler.SQLInsertCompiler, SQLCompiler):
    """INSERT."""


class SQLDeleteCompiler(compiler.SQLDeleteCompiler, SQLCompiler):
    """DELETE."""


class SQLUpdateCompiler(compiler.SQLUpdateCompiler, SQLCompiler):
    """UPDATE."""


class SQLAggregateCompiler(compiler.SQLAggregateCompiler, SQLCompiler):
    """SELECT of aggregates over a subquery."""
