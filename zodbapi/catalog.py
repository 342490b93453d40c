"""Frozen schema objects: what the database knows about its tables.

In: definitions from the binder's DDL or from storage. Out: objects that every stage reads and none changes.
Names keep the case they were written in; lookups fold case, as SQLite's do. Expressions (DEFAULT, CHECK, generated
columns, partial and expression indexes) are kept as SQL text and bound again where they are compiled.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from zodbapi.large import LIMIT
from zodbapi.record import field, record, replace

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_TEMPORARY_ID = 1 << 40  # tables and indexes from here on belong to one connection


class Kind(Enum):
    """What a value of a type is in Python; the declared name's family."""

    ANY = "any"  # no declared type: every native value
    INTEGER = "integer"  # int, 64-bit signed
    REAL = "real"  # float
    NUMERIC = "numeric"  # int or float, SQLite's NUMERIC affinity (expressions; NUMERIC without precision)
    DECIMAL = "decimal"  # decimal.Decimal, rounded to its scale
    TEXT = "text"  # str
    BLOB = "blob"  # bytes
    BOOLEAN = "boolean"  # bool
    DATE = "date"  # datetime.date
    TIME = "time"  # datetime.time, naive
    TIMESTAMP = "timestamp"  # datetime.datetime, naive
    TIMESTAMPTZ = "timestamp with time zone"  # datetime.datetime, aware, always in UTC
    INTERVAL = "interval"  # datetime.timedelta
    UUID = "uuid"  # uuid.UUID
    JSON = "json"  # str: JSON text, checked at the write

    __hash__ = object.__hash__  # Enum's own is a function in Python: kinds are looked up in sets all the time


NUMBERS = frozenset({Kind.INTEGER, Kind.REAL, Kind.NUMERIC, Kind.DECIMAL, Kind.BOOLEAN})
TEXTS = frozenset({Kind.TEXT, Kind.JSON})
_SIZED = frozenset({Kind.TEXT, Kind.JSON, Kind.BLOB, Kind.ANY})  # kinds of values that can be large


@record(frozen=True, slots=True)
class Type:
    """A declared or inferred type: its kind, with precision (or length) and scale where declared."""

    kind: Kind
    precision: int | None = None
    scale: int | None = None
    declared: str = ""  # the words of the CREATE TABLE, for introspection; "" when inferred

    def __str__(self) -> str:
        return self.declared or self.kind.value


ANY = Type(Kind.ANY)
INTEGER = Type(Kind.INTEGER)
REAL = Type(Kind.REAL)
NUMERIC = Type(Kind.NUMERIC)
DECIMAL = Type(Kind.DECIMAL)
TEXT = Type(Kind.TEXT)
BLOB = Type(Kind.BLOB)
BOOLEAN = Type(Kind.BOOLEAN)
DATE = Type(Kind.DATE)
TIME = Type(Kind.TIME)
TIMESTAMP = Type(Kind.TIMESTAMP)
TIMESTAMPTZ = Type(Kind.TIMESTAMPTZ)
INTERVAL = Type(Kind.INTERVAL)
UUID = Type(Kind.UUID)
JSON = Type(Kind.JSON)


@record(frozen=True, slots=True)
class Column:
    """One column of a table. Its position is its place in ``Table.columns`` and in every row tuple."""

    name: str
    type: Type
    not_null: bool = False
    default: str | None = None  # SQL text of the expression
    collation: str = "BINARY"
    generated: str | None = None  # SQL text; the value is kept in the row either way
    stored: bool = False  # GENERATED ... STORED, as against VIRTUAL: for introspection
    comment: str = ""
    large: bool = False  # some rows have a marker in the place of the value: see ``zodbapi.large``


UUID_NUMBER = "number of a UUID"  # no collation has this name


@record(frozen=True, slots=True)
class IndexColumn:
    """One key part of an index: a column by position, or an expression."""

    position: int | None
    expression: str | None = None  # SQL text, when position is None
    collation: str = "BINARY"
    descending: bool = False  # kept for introspection; entries are stored ascending and read both ways
    numbered: bool = False  # UUIDs are integers in keys, which compare faster; in older indexes they are themselves

    @property
    def folding(self) -> str:
        """The collation through which values go into keys, or ``UUID_NUMBER``."""
        return UUID_NUMBER if self.numbered else self.collation


@record(frozen=True, slots=True)
class Index:
    """A secondary access path. Unique ones also enforce UNIQUE and PRIMARY KEY constraints.

    A keyed index is an ``OOBTree`` key -> rowid, any other an ``OOTreeSet`` of (key, rowid): see ``codegen.keys``.
    """

    id: int
    name: str
    columns: tuple[IndexColumn, ...]
    unique: bool = False
    where: str | None = None  # SQL text of a partial index's predicate
    origin: str = "c"  # as in PRAGMA index_list: c CREATE INDEX, u UNIQUE constraint, pk PRIMARY KEY
    nulls_distinct: bool = True
    deferred: bool = False  # DEFERRABLE INITIALLY DEFERRED unique constraint: checked at commit
    include: tuple[int, ...] = ()  # positions of INCLUDE columns
    comment: str = ""
    deferrable: bool = False  # checked at the end of the statement, or at commit after SET CONSTRAINTS

    @property
    def keyed(self) -> bool:
        """Whether a key has one entry at any time, which is then found by the key alone.

        A deferrable constraint lets keys be double for a while, so its entries are those of an index that is not unique.
        """
        return self.unique and not self.deferred and not self.deferrable


@record(frozen=True, slots=True)
class ForeignKey:
    """Child columns (by position) that refer to a key of the parent table (by name, which may not exist yet)."""

    name: str
    columns: tuple[int, ...]
    parent: str
    parent_columns: tuple[str, ...]  # () refers to the parent's primary key
    on_delete: str = "NO ACTION"  # or RESTRICT, CASCADE, SET NULL, SET DEFAULT
    on_update: str = "NO ACTION"
    deferred: bool = False  # DEFERRABLE INITIALLY DEFERRED
    deferrable: bool = False


@record(frozen=True, slots=True)
class Check:
    """A CHECK constraint."""

    name: str  # "" when the user gave none
    expression: str  # SQL text


@record(frozen=True)
class Table:
    """A table. ``id`` names its tree in storage and survives renames; ids are never used again."""

    id: int
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[int, ...] = ()  # positions
    rowid_column: int | None = None  # position of the INTEGER PRIMARY KEY, which is the rowid
    autoincrement: bool = False
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    primary_key_name: str = ""
    comment: str = ""

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Folded column name -> position."""
        return MappingProxyType({column.name.lower(): i for i, column in enumerate(self.columns)})

    @property
    def temporary(self) -> bool:
        """Whether it belongs to one connection."""
        return self.id >= FIRST_TEMPORARY_ID

    @cached_property
    def computes_keys(self) -> bool:
        """Whether an index has an expression for a key part."""
        return any(column.position is None for index in self.indexes for column in index.columns)

    @cached_property
    def index_of_prefix(self) -> Mapping[tuple[int | None, ...], Index]:
        """Positions of leading key parts -> the first index of all rows that begins with them."""
        found: dict[tuple[int | None, ...], Index] = {}
        for index in self.indexes:
            positions = tuple([part.position for part in index.columns])
            for length in range(1, len(positions) + 1) if index.where is None else ():
                found.setdefault(positions[:length], index)
        return found

    @cached_property
    def large(self) -> tuple[int, ...]:
        """Positions of the columns some of whose values are not in the rows."""
        return tuple(i for i, column in enumerate(self.columns) if column.large)

    def keeps_in_rows(self, position: int) -> bool:
        """Whether all values of a column stay in the rows: they are small, or keys, which are looked at all the time."""
        type_ = self.columns[position].type
        if type_.kind not in _SIZED or (type_.precision is not None and type_.precision <= LIMIT):
            return True
        keys = [part.position for index in self.indexes for part in index.columns]
        return position in keys or any(position in key.columns for key in self.foreign_keys)

    def name_of(self, constraint: ForeignKey | Check) -> str:
        """The constraint's name; for one without, what PostgreSQL would call it."""
        if constraint.name:
            return constraint.name
        if isinstance(constraint, ForeignKey):
            return f"{self.name}_{'_'.join(self.columns[i].name for i in constraint.columns)}_fkey"
        number = [check for check in self.checks if not check.name].index(constraint)
        return f"{self.name}_check{number or ''}"

    @cached_property
    def digest(self) -> int:
        """Hash of the whole definition; equal definitions have equal digests in every process."""
        return _digest(self)


@record(frozen=True)
class View:
    """A named SELECT."""

    name: str
    columns: tuple[str, ...]  # () takes the names of the SELECT
    sql: str
    temporary: bool = field(default=False, repr=False)  # belongs to one connection

    @cached_property
    def digest(self) -> int:
        """Hash of the whole definition."""
        return _digest(self)


@record(frozen=True)
class Trigger:
    """What happens when a row is written: statements, kept as SQL text, that see the row as ``old`` and ``new``."""

    name: str
    table: str  # or view, for INSTEAD OF
    timing: str  # BEFORE, AFTER or INSTEAD OF
    event: str  # INSERT, UPDATE or DELETE
    body: tuple[str, ...]
    when: str = ""
    columns: tuple[str, ...] = ()  # of UPDATE OF; () is any
    number: int = 0  # triggers have ascending ones in the order in which they were made
    temporary: bool = field(default=False, repr=False)  # belongs to one connection

    @property
    def key(self) -> str:
        """Its place in a schema: temporary triggers have names of their own."""
        return f"temp.{self.name.lower()}" if self.temporary else self.name.lower()

    @cached_property
    def digest(self) -> int:
        """Hash of the whole definition."""
        return _digest(self)


@record(frozen=True)
class Procedure:
    """Named statements, which use their parameters as ``:name``."""

    name: str
    parameters: tuple[str, ...]
    sql: str

    @cached_property
    def digest(self) -> int:
        """Hash of the whole definition."""
        return _digest(self)


@record(frozen=True)
class Schema:
    """All tables, views, triggers and procedures of a database, keyed by folded name.

    ``version`` is a hash of the content, so programs compiled for one schema serve every database, connection and
    process that has an equal one, and a DDL statement that is rolled back brings the old programs back.
    """

    tables: Mapping[str, Table] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)
    procedures: Mapping[str, Procedure] = field(default_factory=dict)
    triggers: Mapping[str, Trigger] = field(default_factory=dict)
    below: Schema | None = field(default=None, repr=False, compare=False)  # without what is temporary, if anything is

    @property
    def stored(self) -> Schema:
        """What every connection sees, and the views and triggers of the database see."""
        return self.below or self

    @cached_property
    def version(self) -> int:
        """Content hash over everything, whatever the order."""
        total = 0
        items: list[Table | View | Trigger | Procedure] = [
            *self.tables.values(),
            *self.views.values(),
            *self.triggers.values(),
            *self.procedures.values(),
        ]
        for item in items:
            total ^= item.digest
        return total if self.below is None else total ^ _digest(self.below.version)

    @cached_property
    def indexes(self) -> Mapping[str, tuple[Table, Index]]:
        """Folded index name -> its table and itself."""
        return {index.name.lower(): (table, index) for table in self.tables.values() for index in table.indexes}

    @cached_property
    def texts_of_indexes(self) -> str:
        """The expressions and predicates of all indexes, one after the other."""
        indexes = [index for table in self.tables.values() for index in table.indexes]
        texts = [part.expression for index in indexes for part in index.columns]
        return "\n".join(filter(None, [*texts, *(index.where for index in indexes)]))

    @cached_property
    def children(self) -> Mapping[str, tuple[tuple[Table, ForeignKey], ...]]:
        """Folded parent name -> the (child table, foreign key) pairs that refer to it."""
        found: dict[str, list[tuple[Table, ForeignKey]]] = {}
        for table in self.tables.values():
            for key in table.foreign_keys:
                found.setdefault(key.parent.lower(), []).append((table, key))
        return {parent: tuple(keys) for parent, keys in found.items()}

    def triggers_of(self, name: str) -> tuple[Trigger, ...]:
        """The triggers of a table or view; the last one made comes first, as in SQLite."""
        folded = name.lower()
        on = self.tables.get(folded) or self.views.get(folded)
        own = on is not None and on.temporary
        found = reversed(tuple(self.triggers.values()))
        return tuple(t for t in found if t.table.lower() == folded and (t.temporary or not own))

    def table(self, name: str) -> Table | None:
        """The table of that name in any case, or None."""
        return self.tables.get(name.lower())

    def table_by_id(self, table_id: int) -> Table:
        """The table with that id; it must exist."""
        return self._by_id[table_id]

    @cached_property
    def _by_id(self) -> Mapping[int, Table]:
        hidden = self.below._by_id if self.below is not None else {}
        return {**hidden, **{table.id: table for table in self.tables.values()}}

    def with_table(self, table: Table, *, instead_of: str | None = None) -> Schema:
        """This schema with the table added, or put in the place of the one of the same (or the given) name."""
        tables = dict(self.tables)
        old = tables.pop((instead_of or table.name).lower(), None)
        tables[table.name.lower()] = table
        return self._with_tables(tables, old, table)

    def without_table(self, name: str) -> Schema:
        """This schema without that table."""
        tables = dict(self.tables)
        return self._with_tables(tables, tables.pop(name.lower(), None), None)

    def _with_tables(self, tables: dict[str, Table], old: Table | None, new: Table | None) -> Schema:
        """A schema that differs in one table. What is derived is changed too, so that DDL costs the same at any size."""
        changed = replace(self, tables=tables)
        by_id, indexes, children = dict(self._by_id), dict(self.indexes), dict(self.children)
        version = self.version
        if old is not None:
            version ^= old.digest
            del by_id[old.id]
            for index in old.indexes:
                indexes.pop(index.name.lower(), None)
            for parent in {key.parent.lower() for key in old.foreign_keys}:
                children[parent] = tuple(pair for pair in children[parent] if pair[0] is not old)
        if new is not None:
            version ^= new.digest
            by_id[new.id] = new
            indexes.update((index.name.lower(), (new, index)) for index in new.indexes)
            for key in new.foreign_keys:
                children[key.parent.lower()] = (*children.get(key.parent.lower(), ()), (new, key))
        changed.__dict__.update(version=version, _by_id=by_id, indexes=indexes, children=children)
        return changed

    def with_view(self, view: View) -> Schema:
        """This schema with the view added."""
        return replace(self, views={**self.views, view.name.lower(): view})

    def without_view(self, name: str) -> Schema:
        """This schema without that view."""
        views = {k: v for k, v in self.views.items() if k != name.lower()}
        return replace(self.without_triggers(name), views=views)

    def with_trigger(self, trigger: Trigger) -> Schema:
        """This schema with the trigger added, or put in the place of the one of that name."""
        return replace(self, triggers={**self.triggers, trigger.key: trigger})

    def without_trigger(self, name: str) -> Schema:
        """This schema without that trigger; the temporary one, if there are two."""
        found = self.trigger(name)
        return replace(self, triggers={k: t for k, t in self.triggers.items() if t is not found})

    def trigger(self, name: str) -> Trigger | None:
        """The trigger of that name in any case, or None."""
        return self.triggers.get(f"temp.{name.lower()}") or self.triggers.get(name.lower())

    def without_triggers(self, table: str) -> Schema:
        """This schema without the triggers of a table or view."""
        gone = {trigger.key for trigger in self.triggers_of(table)}
        return replace(self, triggers={k: t for k, t in self.triggers.items() if k not in gone}) if gone else self

    def with_procedure(self, procedure: Procedure) -> Schema:
        """This schema with the procedure added, or in the place of the one of the same name."""
        return replace(self, procedures={**self.procedures, procedure.name.lower(): procedure})

    def without_procedure(self, name: str) -> Schema:
        """This schema without that procedure."""
        return replace(self, procedures={k: v for k, v in self.procedures.items() if k != name.lower()})


def _digest(item: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(item).encode(), digest_size=16).digest(), "big")
