"""Django's SQL compilers, with the fallback from this database's forms to SQLite's.

The engine reads SQLite's dialect, so an expression that has a SQLite form (Django's own, and those of third parties)
works here as it is. ``vendor`` is another word nevertheless, so that code which asks for "sqlite" in order to send PRAGMAs
does not find it.
"""

from __future__ import annotations

from typing import Any

from django.db.models.expressions import SQLiteNumericMixin
from django.db.models.sql import compiler

_numeric_cast = SQLiteNumericMixin.as_sqlite


class SQLCompiler(compiler.SQLCompiler):
    """Compiles a query; a node's ``as_zodb`` comes first, then ``as_sqlite``, then ``as_sql``."""

    def compile(self, node: Any) -> tuple[str, Any]:
        """The SQL and the parameters of one node."""
        vendor_impl = getattr(node, "as_zodb", None)
        if vendor_impl is None:
            vendor_impl = getattr(node, "as_sqlite", None)
            # Decimals are exact here: SQLite's CAST of them AS NUMERIC has no reason, and would hide an index.
            if vendor_impl is None or getattr(vendor_impl, "__func__", None) is _numeric_cast:
                vendor_impl = node.as_sql
        compiled: tuple[str, Any] = vendor_impl(self, self.connection)
        return compiled


class SQLInsertCompiler(compiler.SQLInsertCompiler, SQLCompiler):
    """INSERT."""


class SQLDeleteCompiler(compiler.SQLDeleteCompiler, SQLCompiler):
    """DELETE."""


class SQLUpdateCompiler(compiler.SQLUpdateCompiler, SQLCompiler):
    """UPDATE."""


class SQLAggregateCompiler(compiler.SQLAggregateCompiler, SQLCompiler):
    """SELECT of aggregates over a subquery."""
