"""The schema as it is stored, and the trees of its tables and indexes.

In: catalog objects. Out: the same objects in another process, and trees by table and index id.

Everything of ours hangs below one entry of the root, and is made of stock BTrees and built-in types::

    root["zodbapi"]  OOBTree
        "format"     1
        "schema"     OOBTree  "cookie" -> Schema.version         a schema is read again when this changes
                              "cookie of trees" -> int           trees are looked up again when this changes
                              "next id" -> int                   ids of dropped tables and indexes never come back
                              "table 7" -> {"name": ..., ...}    fields that have their default are left out
                              "view totals" -> {...}, "trigger log" -> {...}, "procedure close_month" -> {...}
        "rows"       LOBTree  table id -> LOBTree  rowid -> tuple
        "indexes"    LOBTree  index id -> OOBTree  key -> rowid, or OOTreeSet of (key, rowid)
        "sequences"  LOBTree  table id -> the highest rowid ever used, where that may not be in the rows any more

Two transactions that change the schema both write a cookie, so the second one gets a conflict: DDL is serial. Every other
transaction that writes relies on both cookies, so none writes rows for another schema or into a tree that was replaced.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree, OOTreeSet

from zodbapi.catalog import (
    Check,
    Column,
    ForeignKey,
    Index,
    IndexColumn,
    Kind,
    Procedure,
    Schema,
    Table,
    Trigger,
    Type,
    View,
)
from zodbapi.record import fields, is_record, replace
from zodbapi.storage.rowids import highest_rowid
from zodbapi.storage.temporary import divided

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zodbapi.storage.changes import Changes

T = TypeVar("T")
ENTRY = "zodbapi"
FORMAT = 1
TREES_COOKIE = "cookie of trees"

_NESTED: dict[tuple[type, str], type] = {
    (Table, "columns"): Column,
    (Table, "indexes"): Index,
    (Table, "foreign_keys"): ForeignKey,
    (Table, "checks"): Check,
    (Column, "type"): Type,
    (Type, "kind"): Kind,
    (Index, "columns"): IndexColumn,
}


def new_entry() -> Any:
    """The entry of a database without tables."""
    return OOBTree(
        {
            "format": FORMAT,
            "schema": OOBTree({"cookie": Schema().version, "next id": 1}),
            "rows": LOBTree(),
            "indexes": LOBTree(),
            "sequences": LOBTree(),
        }
    )


# --- records ------------------------------------------------------------------------------------------------------


def dump(item: Any) -> Any:
    """A catalog object in built-in types."""
    known = _fields(item.__class__)
    if known is None:
        if isinstance(item, Enum):
            return item.value
        return tuple(map(dump, item)) if isinstance(item, tuple) else item
    found = {}
    for name, default in known:
        value = getattr(item, name)
        if value is not default and (value != default or type(value) is not type(default)):
            found[name] = dump(value)
    return found


@cache
def _fields(cls: type) -> tuple[tuple[str, Any], ...] | None:
    """The fields of a class of catalog objects, with their defaults; None for any other class."""
    return tuple((field.name, field.default) for field in fields(cls)) if is_record(cls) else None


def load(cls: Any, record: Any) -> Any:
    """The catalog object of class ``cls`` that ``dump`` made the record of."""
    if issubclass(cls, Enum):
        return cls(record)
    values = {}
    for name, value in record.items():
        nested = _NESTED.get((cls, name))
        if nested is None:
            values[name] = value
        elif isinstance(value, tuple):
            values[name] = tuple(load(nested, part) for part in value)
        else:
            values[name] = load(nested, value)
    return cls(**values)


def load_schema(records: Any) -> Schema:
    """The schema of the "schema" tree."""
    tables, views = {}, {}
    for name, record in records.items("table ", "table!"):  # "!" follows the space
        table = load(Table, record)
        assert name == f"table {table.id}"
        tables[table.name.lower()] = table
    for name, record in records.items("view ", "view!"):
        views[name.removeprefix("view ")] = load(View, record)
    loaded = [load(Trigger, record) for _, record in records.items("trigger ", "trigger!")]
    triggers = {trigger.name.lower(): trigger for trigger in sorted(loaded, key=lambda trigger: trigger.number)}
    found = records.items("procedure ", "procedure!")
    procedures = {name.removeprefix("procedure "): load(Procedure, record) for name, record in found}
    return Schema(tables, views, procedures, triggers)


# --- changes ------------------------------------------------------------------------------------------------------


def allot(txn: Changes, count: int) -> range:
    """Ids for that many new tables and indexes."""
    records = txn.entry["schema"]
    first = records["next id"]
    txn.put(records, "next id", first + count)
    return range(first, first + count)


def number(txn: Changes, table: Table, *, temporary: bool = False) -> Table:
    """The table with ids in the places where it and its indexes have 0."""
    missing = (table.id == 0) + sum(index.id == 0 for index in table.indexes)
    if temporary or table.temporary:
        ids = iter(txn.temporary.allot(missing))
    else:
        ids = iter(allot(txn, missing) if missing else ())
    table_id = table.id or next(ids)
    indexes = tuple(index if index.id else replace(index, id=next(ids)) for index in table.indexes)
    return replace(table, id=table_id, indexes=indexes)


def set_schema(txn: Changes, schema: Schema) -> None:
    """Make ``schema`` the transaction's: records, new trees, and the trees of what is gone. Undone with the statement.

    New indexes start empty: whoever adds one to a table with rows fills it.
    """
    _set_parts(txn, *divided(schema, txn.stored, txn.temporary.schema))


def part(txn: Changes, temporary: bool) -> Schema:
    """What the connection has for itself, or what the database has: names in the one hide those in the other."""
    return txn.temporary.schema if temporary else txn.stored


def set_part(txn: Changes, schema: Schema, temporary: bool) -> None:
    """``set_schema`` for one of them."""
    if temporary:
        _set_parts(txn, txn.stored, schema)
    else:
        _set_parts(txn, schema, txn.temporary.schema)


def _set_parts(txn: Changes, stored: Schema, temporary: Schema) -> None:
    """The same, with what the database has and what the connection has for itself told apart."""
    if stored is not txn.stored:
        _store(txn, txn.stored, stored)
    if temporary is not txn.temporary.schema:
        tables = txn.temporary.schema.tables
        _set_trees(txn, txn.temporary.entry, _changed(tables, temporary.tables), _changed(temporary.tables, tables))
    txn.schema_changed(stored, temporary)


def _store(txn: Changes, before: Schema, schema: Schema) -> None:
    records = txn.entry["schema"]
    old, new = _changed(before.tables, schema.tables), _changed(schema.tables, before.tables)
    old_records = _records(old, before, schema)
    new_records = _records(new, schema, before)
    for name in old_records.keys() - new_records.keys():
        txn.drop(records, name)
    for name, item in new_records.items():
        if old_records.get(name) != item:
            txn.put(records, name, dump(item))
    txn.put(records, "cookie", schema.version)
    _set_trees(txn, txn.entry, old, new)


def _changed(items: Mapping[str, T], others: Mapping[str, T]) -> dict[str, T]:
    """The tables, views or procedures that are not the same in the other schema: a DDL statement touches few of many."""
    return {name: item for name, item in items.items() if others.get(name) is not item}


def _records(tables: dict[str, Table], schema: Schema, other: Schema) -> dict[str, Table | View | Trigger | Procedure]:
    return {
        **{f"table {table.id}": table for table in tables.values()},
        **{f"view {name}": view for name, view in _changed(schema.views, other.views).items()},
        **{f"trigger {name}": item for name, item in _changed(schema.triggers, other.triggers).items()},
        **{f"procedure {name}": item for name, item in _changed(schema.procedures, other.procedures).items()},
    }


def _set_trees(txn: Changes, entry: Any, old: dict[str, Table], new: dict[str, Table]) -> None:
    rows, indexes, sequences = entry["rows"], entry["indexes"], entry["sequences"]
    old_tables, new_tables = {t.id for t in old.values()}, {t.id for t in new.values()}
    assert 0 not in new_tables, "tables get their ids from number()"
    for table_id in old_tables - new_tables:
        txn.drop(rows, table_id)
        if table_id in sequences:
            txn.drop(sequences, table_id)
    for table_id in new_tables - old_tables:
        txn.put(rows, table_id, LOBTree())
    old_indexes = {i.id: i.keyed for t in old.values() for i in t.indexes}
    new_indexes = {i.id: i.keyed for t in new.values() for i in t.indexes}
    assert 0 not in new_indexes, "indexes get their ids from number()"
    for index_id in old_indexes.keys() - new_indexes.keys():
        txn.drop(indexes, index_id)
    for index_id, keyed in new_indexes.items():
        if old_indexes.get(index_id) != keyed:
            txn.put(indexes, index_id, _new_index(keyed))


def _new_index(keyed: bool) -> Any:
    """An empty tree for an index: see ``Index.keyed``."""
    return OOBTree() if keyed else OOTreeSet()


def mark_large(txn: Changes, table_id: int, position: int) -> None:
    """Let rows have markers in the place of the values of a column."""
    table = txn.schema.table_by_id(table_id)
    column = replace(table.columns[position], large=True)
    columns = (*table.columns[:position], column, *table.columns[position + 1 :])
    changed = replace(table, columns=columns)
    set_part(txn, part(txn, table.temporary).with_table(changed), table.temporary)


def restart_sequence(txn: Changes, table: Table) -> None:
    """Forget the rowids that were ever used."""
    sequences = txn.home(table.id)["sequences"]
    if table.id in sequences:
        txn.drop(sequences, table.id)


def clear_index(txn: Changes, index: Index) -> None:
    """Put an empty tree in the place of the index's, for REINDEX."""
    home = txn.home(index.id)
    txn.put(home["indexes"], index.id, _new_index(index.keyed))
    _trees_replaced(txn, home)


def clear_rows(txn: Changes, table: Table) -> None:
    """Empty a table and its indexes in constant time."""
    home = txn.home(table.id)
    if table.autoincrement:
        txn.put(home["sequences"], table.id, highest_rowid(home, table.id))
    txn.put(home["rows"], table.id, LOBTree())
    for index in table.indexes:
        txn.put(home["indexes"], index.id, _new_index(index.keyed))
    _trees_replaced(txn, home)


def _trees_replaced(txn: Changes, home: Any) -> None:
    if home is txn.entry:
        records = txn.entry["schema"]
        txn.put(records, TREES_COOKIE, records.get(TREES_COOKIE, 0) + 1)
    txn.schema_changed(txn.stored, txn.temporary.schema)
