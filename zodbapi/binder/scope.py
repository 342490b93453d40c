"""What names mean: the relations that are visible at a place of the statement.

In: tables, views, CTEs and subqueries as FROM introduces them. Out: ``Column`` and ``Rowid`` expressions for names.
A ``Binding`` is shared by the whole statement; a ``Scope`` belongs to one SELECT (or to the row of a writing statement)
and knows its outer scope, so that a name not found here makes the query correlated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING

from zodbapi.binder.collation import named
from zodbapi.catalog import Column as TableColumn
from zodbapi.catalog import Schema, Table, Type
from zodbapi.errors import OperationalError
from zodbapi.plan.expr import Case, Column, Expr, IsNull, Not, Rowid
from zodbapi.record import field, record

if TYPE_CHECKING:
    from sqlglot import exp

    from zodbapi.binder.aggregate import Aggregation
    from zodbapi.binder.cte import Cte
    from zodbapi.binder.window import Windows
    from zodbapi.functions.registry import Functions

ROWID_NAMES = frozenset({"rowid", "oid", "_rowid_"})


@record(frozen=True, slots=True)
class Field:
    """A column that a relation shows: ``affinity`` is None for a computed column without one.

    ``brings`` is the collation that a query's column brings by its expression, for what looks into the query: see
    ``binder.collation``. To who uses the column by name it always has ``collation``.
    """

    name: str
    type: Type
    nullable: bool
    collation: str = "BINARY"
    affinity: Type | None = None
    brings: tuple[str, bool] | None = None


@record(slots=True)
class Binding:
    """Statement-wide state: what is known, and what was given out so far.

    ``sql`` is the text that the trees being bound come from (a view's while the view is expanded). ``fields``
    remembers the fields of every derived source, for affinity. ``views`` are the views being expanded.
    """

    schema: Schema
    functions: Functions
    sql: str = ""
    sources: Iterator[int] = field(default_factory=count)
    ctes: Iterator[int] = field(default_factory=count)
    fields: dict[int, Sequence[Field]] = field(default_factory=dict)
    views: tuple[str, ...] = ()
    for_update: str = ""  # wait, nowait or skip locked
    around: Scope | None = None  # a trigger's rows, which all of its statements see
    collates: bool = False  # whether there is a COLLATE

    def new_source(self) -> int:
        """A source number that nothing else in the statement has."""
        return next(self.sources)

    def new_cte(self) -> int:
        """A CTE number that nothing else in the statement has."""
        return next(self.ctes)


@record()
class Relation:
    """One FROM item. ``table`` is set when it has rowids. ``nullable``: an outer join may extend it with NULLs.

    ``hidden`` are the positions of columns that a USING or NATURAL join has merged into one further left.
    """

    name: str
    source: int
    fields: Sequence[Field]
    table: Table | None = None
    nullable: bool = False
    hidden: set[int] = field(default_factory=set)
    folded: str = field(init=False)  # the name as it is compared

    def __post_init__(self) -> None:
        self.folded = self.name.lower()

    @property
    def positions(self) -> Mapping[str, int]:
        """Folded column name -> position; the first of equal names wins."""
        return self._positions if self.table is None else self.table.positions

    @cached_property
    def _positions(self) -> Mapping[str, int]:
        return {f.name.lower(): i for i, f in reversed(list(enumerate(self.fields)))}

    def column(self, position: int) -> Column:
        """The expression for a column."""
        shown = self.fields[position]
        return Column(self.source, position, shown.type, shown.nullable or self.nullable, shown.collation, shown.name)

    def rowid(self) -> Expr | None:
        """The expression for the rowid, if there is one."""
        if self.table is None:
            return None
        if self.table.rowid_column is not None:
            return self.column(self.table.rowid_column)
        return Rowid(self.source, nullable=self.nullable)


@record(slots=True)
class Merged:
    """A column of USING: its occurrences from left to right, and the side (RIGHT, FULL) of the join that added each."""

    parts: list[tuple[Relation, int, str]]

    def expr(self) -> Expr:
        """The occurrence that no join leaves out: the leftmost, that of a RIGHT join, or for FULL what is not NULL."""
        relation, position, _ = self.parts[0]
        value: Expr = relation.column(position)
        for relation, position, side in self.parts[1:]:
            if side == "RIGHT":
                value = relation.column(position)
            elif side == "FULL":
                value = _coalesce(value, relation.column(position))
        return value


def _coalesce(first: Expr, second: Column) -> Expr:
    from zodbapi.binder.typing import merge_types

    if not first.nullable:
        return first
    kind = merge_types((first.type, second.type))
    return Case(((Not(IsNull(first), nullable=False), first),), second, kind, second.nullable)


@record(slots=True)
class Scope:
    """The relations of one query level; ``outer`` is the enclosing level.

    ``aggregation`` and ``windows`` collect calls while a clause is bound in which such calls may stand, and are None
    elsewhere. ``aliases`` are the select list's, which stand in for names that no relation has.
    """

    binding: Binding
    outer: Scope | None = None
    ctes: Mapping[str, Cte] = field(default_factory=dict)
    relations: list[Relation] = field(default_factory=list)
    merged: dict[str, Merged] = field(default_factory=dict)
    aliases: dict[str, exp.Expression | Expr] = field(default_factory=dict)
    aggregation: Aggregation | None = None
    windows: Windows | None = None
    clause: str = ""  # what is being bound, for error messages
    bind_alias: Callable[[exp.Expression, Scope], Expr] | None = None

    def add(self, relation: Relation) -> Relation:
        """Makes a relation visible."""
        self.relations.append(relation)
        return relation

    def add_table(self, table: Table, alias: str = "", source: int | None = None) -> Relation:
        """Makes the row of a table visible under its name or alias (``excluded``, ``new``); gives the new relation."""
        number = self.binding.new_source() if source is None else source
        return self.add(Relation(alias or table.name, number, table_fields(table), table))

    def inner(self) -> Scope:
        """An empty scope for a query inside of this one."""
        return Scope(self.binding, self, self.ctes)

    def local_sources(self) -> frozenset[int]:
        """The sources of this level's relations."""
        return frozenset(relation.source for relation in self.relations)

    def resolve(self, name: str, qualifier: str = "") -> Expr:
        """The expression that a column name means here, searched outwards."""
        folded, wanted = name.lower(), qualifier.lower()
        scope: Scope | None = self
        while scope is not None:
            found = scope.find(folded, wanted)
            if found is not None:
                return found
            if not wanted and folded in scope.aliases:
                return scope.alias(folded)
            scope = scope.outer
        raise OperationalError(f"no such column: {qualifier}.{name}" if qualifier else f"no such column: {name}")

    def find(self, folded: str, wanted: str) -> Expr | None:
        """The column of this level's relations that a folded name means, or None."""
        found: Expr | None = None
        for relation in self.relations:
            if wanted and relation.folded != wanted:
                continue
            position = relation.positions.get(folded)
            if position is None or (not wanted and position in relation.hidden):
                continue
            if found is not None:
                raise OperationalError(f"ambiguous column name: {f'{wanted}.{folded}' if wanted else folded}")
            found = relation.column(position)
            if not wanted and folded in self.merged:
                found = self.merged[folded].expr()
        return found if found is not None or folded not in ROWID_NAMES else self._find_rowid(wanted)

    def _find_rowid(self, wanted: str) -> Expr | None:
        tables = [r for r in self.relations if r.table is not None and (not wanted or r.name.lower() == wanted)]
        if len(tables) > 1:
            raise OperationalError("ambiguous column name: rowid")
        return tables[0].rowid() if tables else None

    def alias(self, folded: str) -> Expr:
        """The expression of a select-list alias, bound where it is used."""
        found = self.aliases[folded]
        if isinstance(found, Expr):
            return named(found, self.binding)
        assert self.bind_alias is not None
        del self.aliases[folded]  # not visible inside itself
        try:
            return named(self.bind_alias(found, self), self.binding)
        finally:
            self.aliases[folded] = found


def table_fields(table: Table) -> Sequence[Field]:
    """The fields of a table's columns; kept with the table, because every statement asks."""
    fields: list[Field] | None = table.__dict__.get("binder_fields")
    if fields is None:
        fields = table.__dict__["binder_fields"] = [table_field(column) for column in table.columns]
    return fields


def table_field(column: TableColumn) -> Field:
    """The field that a table's column shows."""
    return Field(column.name, column.type, not column.not_null, column.collation, column.type)


def database_of(tree: exp.Expression, schema: Schema) -> Schema:
    """Where to look for a table: ``main.name`` is not hidden by what is temporary, ``temp.name`` has to be."""
    database = tree.args.get("db")
    if database is None:
        return schema
    if database.name.lower() == "main":
        return schema.stored
    found = schema.table(tree.name) or schema.views.get(tree.name.lower())
    if database.name.lower() != "temp" or (found is not None and not found.temporary):
        raise OperationalError(f"no such table: {database.name}.{tree.name}")
    return schema
