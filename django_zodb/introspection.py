"""The tables of a database, read from the engine's catalog: its objects, never SQL text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import DatabaseError
from django.db.backends.base.introspection import BaseDatabaseIntrospection
from django.db.models import Index as ModelIndex

from zodbapi.catalog import Kind
from zodbapi.deferred import deferred

if TYPE_CHECKING:
    from django_zodb import engine
    from django_zodb.base import DatabaseWrapper
    from zodbapi.catalog import Column, Index, Schema, Table, View
else:
    engine = deferred("django_zodb.engine")


class TableInfo(NamedTuple):
    """Django's, with the comment that inspectdb writes into a model."""

    name: str
    type: str  # t or v
    comment: str | None


class FieldInfo(NamedTuple):
    """Django's, which begins as PEP 249's description of a column does, with what tells an AutoField, and the comment."""

    name: str
    type_code: str
    display_size: int | None
    internal_size: int | None
    precision: int | None
    scale: int | None
    null_ok: bool | None
    default: str | None
    collation: str | None
    is_autofield: bool
    comment: str | None


AUTO_FIELDS = {"IntegerField": "AutoField", "BigIntegerField": "BigAutoField", "SmallIntegerField": "SmallAutoField"}
FIELDS_BY_KIND = {
    Kind.ANY: "TextField",
    Kind.BLOB: "BinaryField",
    Kind.BOOLEAN: "BooleanField",
    Kind.DATE: "DateField",
    Kind.DECIMAL: "DecimalField",
    Kind.INTEGER: "IntegerField",
    Kind.INTERVAL: "DurationField",
    Kind.JSON: "JSONField",
    Kind.NUMERIC: "DecimalField",
    Kind.REAL: "FloatField",
    Kind.TEXT: "TextField",
    Kind.TIME: "TimeField",
    Kind.TIMESTAMP: "DateTimeField",
    Kind.TIMESTAMPTZ: "DateTimeField",
    Kind.UUID: "UUIDField",
}
# Within a kind the declared words tell fields apart, without their arguments.
FIELDS_BY_NAME = {
    "bigint": "BigIntegerField",
    "bigint unsigned": "PositiveBigIntegerField",
    "char": "CharField",
    "character varying": "CharField",
    "integer unsigned": "PositiveIntegerField",
    "smallint": "SmallIntegerField",
    "smallint unsigned": "PositiveSmallIntegerField",
    "varchar": "CharField",
}


class DatabaseIntrospection(BaseDatabaseIntrospection):
    """What inspectdb and the schema editor ask."""

    connection: DatabaseWrapper
    data_types_reverse: dict[Any, str] = {  # noqa: RUF012
        **{kind.value: field for kind, field in FIELDS_BY_KIND.items()},
        **FIELDS_BY_NAME,
    }

    @property
    def schema(self) -> Schema:
        """All tables and views, as the current transaction sees them."""
        self.connection.ensure_connection()
        return self.connection.connection.schema

    def _table(self, name: str) -> Table:
        table = self.schema.table(name)
        if table is None:
            raise DatabaseError(f"no such table: {name}")
        return table

    def get_field_type(self, data_type: str, description: Any) -> str:
        field_type = super().get_field_type(data_type, description)
        return AUTO_FIELDS.get(field_type, field_type) if description.is_autofield else field_type

    def get_table_list(self, cursor: Any) -> list[Any]:
        """The names of tables and views."""
        # Asked by a statement, so that it is logged and wrapped as the other backends' are.
        cursor.execute("PRAGMA table_list")
        found = [(name, kind[0]) for _, name, kind, *_ in cursor.fetchall()]
        return [TableInfo(name, kind, self._comment(name)) for name, kind in sorted(found)]

    def _comment(self, name: str) -> str | None:
        table = self.schema.table(name)
        return (table.comment or None) if table is not None else None

    def get_table_description(self, cursor: Any, table_name: str) -> list[Any]:
        """One ``FieldInfo`` a column."""
        view = self.schema.views.get(table_name.lower())
        if view is not None:
            return self._view_description(cursor, view)
        table = self._table(table_name)
        return [_field_info(table, position, column) for position, column in enumerate(table.columns)]

    def _view_description(self, cursor: Any, view: View) -> list[FieldInfo]:
        cursor.execute(f"SELECT * FROM {self.connection.ops.quote_name(view.name)} LIMIT 0")
        return [
            FieldInfo(name, kind, None, None, precision, scale, True, None, None, False, None)
            for name, kind, _, _, precision, scale, _ in cursor.description
        ]

    def get_sequences(self, cursor: Any, table_name: str, table_fields: Any = ()) -> list[Any]:
        """The one sequence that an AUTOINCREMENT table has."""
        table = self._table(table_name)
        if not table.autoincrement or table.rowid_column is None:
            return []
        return [{"table": table_name, "column": table.columns[table.rowid_column].name}]

    def get_relations(self, cursor: Any, table_name: str) -> dict[str, tuple[str, str]]:
        """Column -> (parent's column, parent)."""
        return {column: (parent_column, parent) for _, column, parent, parent_column in self._relations(table_name)}

    def _relations(self, table_name: str) -> Iterator[tuple[str, str, str, str]]:
        table = self.schema.table(table_name)
        if table is None:
            return
        for key in table.foreign_keys:
            parent = self.schema.table(key.parent)
            parent_columns = key.parent_columns or (_names(parent, parent.primary_key) if parent else [])
            for position, parent_column in zip(key.columns, parent_columns, strict=False):
                yield (
                    table.name_of(key),
                    _names(table, (position,))[0],
                    parent.name if parent else key.parent,
                    parent_column,
                )

    def get_constraints(self, cursor: Any, table_name: str) -> dict[str, Any]:
        """Constraints and indexes by name."""
        table = self.schema.table(table_name)
        if table is None:
            return {}
        constraints: dict[str, dict[str, Any]] = {}
        if table.primary_key:
            # An INTEGER PRIMARY KEY is the rowid: it has no index and may have no name.
            name = table.primary_key_name or next(
                (i.name for i in table.indexes if i.origin == "pk"), f"{table.name}_pkey"
            )
            constraints[name] = _constraint(_names(table, table.primary_key), primary_key=True, unique=True)
        for name, columns in self._check_columns(table):
            constraints[name] = _constraint(columns, check=True)
        for name, column, parent, parent_column in self._relations(table_name):
            entry = constraints.setdefault(name, _constraint([], foreign_key=(parent, parent_column)))
            entry["columns"].append(column)
        for index in table.indexes:
            if index.origin != "pk":
                constraints[index.name] = _index(table, index)
        return constraints

    def _check_columns(self, table: Table) -> Iterator[tuple[str, list[str]]]:
        """Each CHECK's name with the columns that its bound expression uses."""
        for check, positions in engine.check_columns(self.schema, table):
            yield table.name_of(check), _names(table, positions)


def _names(table: Table, positions: Iterable[int | None]) -> list[str]:
    return [table.columns[position].name for position in positions if position is not None]


def _field_info(table: Table, position: int, column: Column) -> FieldInfo:
    type_ = column.type
    words = type_.declared.lower().split("(", 1)[0].strip()
    is_decimal = type_.kind is Kind.DECIMAL
    return FieldInfo(
        name=column.name,
        type_code=words if words in FIELDS_BY_NAME else type_.kind.value,
        display_size=None if is_decimal else type_.precision,
        internal_size=None,
        precision=type_.precision if is_decimal else None,
        scale=type_.scale,
        null_ok=not column.not_null and table.primary_key != (position,),
        default=column.default,
        collation=None if column.collation == "BINARY" else column.collation,
        is_autofield=table.autoincrement and table.rowid_column == position,
        comment=column.comment or None,
    )


def _constraint(columns: Sequence[str | None], **flags: Any) -> dict[str, Any]:
    kinds = {"primary_key": False, "unique": False, "foreign_key": None, "check": False, "index": False}
    return {"columns": list(columns), **kinds, "definition": None, "options": None, **flags}


def _index(table: Table, index: Index) -> dict[str, Any]:
    """As on PostgreSQL: an expression has no column name, columns that an index includes come last, without an order."""
    parts = [None if part.position is None else table.columns[part.position].name for part in index.columns]
    columns = [*parts, *_names(table, index.include)]
    entry = _constraint([] if columns == [None] else columns, unique=index.unique)
    if index.origin == "c":  # what a UNIQUE constraint is kept in is not an index of the user's
        orders = ["DESC" if part.descending else "ASC" for part in index.columns]
        expressions = [part.expression for part in index.columns if part.expression is not None]
        entry |= {
            "index": True,
            "type": ModelIndex.suffix,
            "orders": orders,
            "definition": ", ".join(expressions) or None,
        }
    return entry
