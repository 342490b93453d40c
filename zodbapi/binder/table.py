"""Definitions of columns and constraints -> catalog objects.

In: the trees of ``syntax``. Out: a ``catalog.Table`` with ids 0 and positions in place of names. Indexes of constraints
without a name are called ``sqlite_autoindex_TABLE_N``, as SQLite calls them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from zodbapi.binder.types import declared_type
from zodbapi.catalog import Check, Column, ForeignKey, Index, IndexColumn, Kind, Table
from zodbapi.errors import OperationalError
from zodbapi.parser.syntax import ColumnDefinition, Constraint, Term
from zodbapi.record import field, record, replace

AUTOINDEX = "sqlite_autoindex_"
_COLLATIONS = frozenset({"BINARY", "NOCASE", "RTRIM"})


def check_name(name: str) -> None:
    """Raises if a name belongs to the engine."""
    if name.lower().startswith("sqlite_"):
        raise OperationalError(f"object name reserved for internal use: {name}")


@record(slots=True)
class TableBuilder:
    """A table in the making. For ALTER TABLE, ``known`` are the columns that are there already.

    What is built then has only what was added, with positions that count from the first known column.
    """

    name: str
    known: tuple[Column, ...] = ()
    collations: Collection[str] = _COLLATIONS
    columns: list[Column] = field(default_factory=list)
    primary_key: tuple[int, ...] = ()
    primary_key_name: str = ""
    autoincrement: bool = False
    indexes: list[Index] = field(default_factory=list)
    foreign_keys: list[ForeignKey] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    has_key: bool = False

    def add_column(self, definition: ColumnDefinition) -> None:
        """Adds a column, then its constraints."""
        if definition.name.lower() in self._positions():
            raise OperationalError(f"duplicate column name: {definition.name}")
        position = len(self.known) + len(self.columns)
        self.columns.append(self._column(definition))
        term = Term(definition.name, definition.name)
        for constraint in definition.constraints:
            if constraint.kind == "primary key" or constraint.kind == "unique":
                descending = any(t.descending for t in constraint.terms)
                self.add_constraint(replace(constraint, terms=(replace(term, descending=descending),)))
            elif constraint.kind == "foreign key":
                self.add_constraint(replace(constraint, terms=(term,)))
            elif constraint.kind == "check":
                self.add_constraint(constraint)
        column = self._all()[position]
        if column.generated is not None and position in self.primary_key:
            raise OperationalError("generated columns cannot be part of the PRIMARY KEY")

    def _column(self, definition: ColumnDefinition) -> Column:
        column = Column(definition.name, declared_type(definition.type))
        for constraint in definition.constraints:
            match constraint.kind:
                case "not null":
                    column = replace(column, not_null=True)
                case "default":
                    column = replace(column, default=constraint.text)
                case "collate":
                    column = replace(column, collation=self._collation(constraint.text))
                case "generated":
                    column = replace(column, generated=constraint.text, stored=constraint.stored)
        if column.generated is not None and column.default is not None:
            raise OperationalError("cannot use DEFAULT on a generated column")
        return column

    def _collation(self, name: str) -> str:
        if name.upper() not in self.collations and name.upper() not in _COLLATIONS:
            raise OperationalError(f"no such collation sequence: {name}")
        return name.upper()

    def _all(self) -> tuple[Column, ...]:
        return (*self.known, *self.columns)

    def _positions(self) -> dict[str, int]:
        return {column.name.lower(): i for i, column in enumerate(self._all())}

    def add_constraint(self, constraint: Constraint) -> None:
        """Adds a constraint of the table."""
        match constraint.kind:
            case "primary key":
                self._add_primary_key(constraint)
            case "unique":
                self._add_unique(constraint)
            case "check":
                self.checks.append(Check(constraint.name, constraint.text))
            case "foreign key":
                self._add_foreign_key(constraint)
            case kind:
                raise AssertionError(kind)

    def key_columns(self, terms: Iterable[Term]) -> tuple[IndexColumn, ...]:
        """The key parts that the terms of an index or constraint mean."""
        return tuple(self._key_column(term) for term in terms)

    def _key_column(self, term: Term) -> IndexColumn:
        if not term.name:
            return IndexColumn(None, term.text, self._collation(term.collation or "BINARY"), term.descending)
        position = self._position(term.name)
        collation = self._collation(term.collation) if term.collation else self._all()[position].collation
        numbered = self._all()[position].type.kind is Kind.UUID
        return IndexColumn(position, None, collation, term.descending, numbered)

    def positions(self, names: Iterable[str]) -> tuple[int, ...]:
        """The positions of columns by name."""
        return tuple(self._position(name) for name in names)

    def _position(self, name: str) -> int:
        position = self._positions().get(name.lower())
        if position is None:
            raise OperationalError(f"no such column: {name}")
        return position

    def _plain_columns(self, constraint: Constraint) -> tuple[IndexColumn, ...]:
        if any(not term.name for term in constraint.terms):
            raise OperationalError("expressions prohibited in PRIMARY KEY and UNIQUE constraints")
        return self.key_columns(constraint.terms)

    def _add_primary_key(self, constraint: Constraint) -> None:
        if self.has_key:
            raise OperationalError(f'table "{self.name}" has more than one primary key')
        self.has_key = True
        columns = self._plain_columns(constraint)
        self.primary_key = tuple(dict.fromkeys(c.position for c in columns if c.position is not None))
        self.primary_key_name = constraint.name
        self.autoincrement = constraint.autoincrement
        rowid = rowid_position(self._all(), self.primary_key)
        if constraint.autoincrement and rowid is None:
            raise OperationalError("AUTOINCREMENT is only allowed on an INTEGER PRIMARY KEY")
        if rowid is None:
            self.indexes.append(self._unique_index(constraint, columns, "pk"))

    def _unique_index(self, constraint: Constraint, columns: tuple[IndexColumn, ...], origin: str) -> Index:
        return Index(
            0,
            constraint.name,
            columns,
            unique=True,
            origin=origin,
            nulls_distinct=constraint.nulls_distinct,
            deferred=constraint.deferred,
            deferrable=constraint.deferrable,
            include=self.positions(constraint.include),
        )

    def _add_unique(self, constraint: Constraint) -> None:
        self.indexes.append(self._unique_index(constraint, self._plain_columns(constraint), "u"))

    def _add_foreign_key(self, constraint: Constraint) -> None:
        reference = constraint.reference
        assert reference is not None
        known = self._positions()
        for term in constraint.terms:
            if term.name.lower() not in known:
                raise OperationalError(f'unknown column "{term.name}" in foreign key definition')
        if reference.columns and len(reference.columns) != len(constraint.terms):
            raise OperationalError(
                "number of columns in foreign key does not match the number of columns in the referenced table"
            )
        self.foreign_keys.append(
            ForeignKey(
                constraint.name,
                tuple(known[term.name.lower()] for term in constraint.terms),
                reference.parent,
                reference.columns,
                reference.on_delete,
                reference.on_update,
                constraint.deferred,
                constraint.deferrable,
            )
        )

    def build(self) -> Table:
        """The table so far. Columns of the primary key are NOT NULL; only ALTER TABLE builds without columns."""
        key = self.primary_key
        first = len(self.known)
        columns = tuple(replace(c, not_null=c.not_null or first + i in key) for i, c in enumerate(self.columns))
        rowid = rowid_position(self._all(), key)
        return Table(
            0,
            self.name,
            columns,
            key,
            rowid,
            self.autoincrement,
            tuple(_without_duplicates(self.indexes, rowid)),
            tuple(self.foreign_keys),
            tuple(self.checks),
            self.primary_key_name,
        )


def rowid_position(columns: tuple[Column, ...], primary_key: tuple[int, ...]) -> int | None:
    """The position of the column that is the rowid: a primary key of one column of an integer type, whatever its size."""
    if len(primary_key) == 1 and columns[primary_key[0]].type.kind is Kind.INTEGER:
        return primary_key[0]
    return None


def _without_duplicates(indexes: list[Index], rowid: int | None) -> Iterable[Index]:
    """Leaves out nameless UNIQUE constraints that repeat another key: the PRIMARY KEY, or one before."""
    seen: list[tuple[object, ...]] = [((IndexColumn(rowid),), True)] if rowid is not None else []
    for index in indexes:
        shape = (tuple(replace(c, descending=False) for c in index.columns), index.nulls_distinct)
        if index.name or index.origin == "pk" or shape not in seen:
            yield index
        seen.append(shape)


def name_indexes(table: Table, taken: Mapping[str, object]) -> Table:
    """The table with a name for each index of a nameless constraint; ``taken`` are the folded names of other indexes."""
    used = {index.name.lower() for index in table.indexes} | set(taken)
    named, number = [], 0
    for index in table.indexes:
        name = index.name
        while not name or (name != index.name and name.lower() in used):
            number += 1
            name = f"{AUTOINDEX}{table.name}_{number}"
        used.add(name.lower())
        named.append(replace(index, name=name))
    return replace(table, indexes=tuple(named))
