"""PRAGMA: questions about the schema, checks, and the few settings that mean something here.

In: ``Pragma`` commands. Out: rows as SQLite's (https://www.sqlite.org/pragma.html). The questions are also table-valued
functions (``pragma_table_info('t')``). Settings about files and caches are accepted and answer what they cannot change;
a name that nobody knows does nothing, as in SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from zodbapi.catalog import INTEGER, TEXT, Column, Schema, Table, Type, View
from zodbapi.errors import NotSupportedError, OperationalError
from zodbapi.functions.registry import TableFunction
from zodbapi.integrity import find_orphans, find_problems, numbered_keys
from zodbapi.plan.commands import Need, Pragma
from zodbapi.record import record
from zodbapi.storage.rowids import highest_rowid

if TYPE_CHECKING:
    from zodbapi.commands import Columns, Stages
    from zodbapi.storage.transaction import Transaction

Answer = Iterable[tuple[Any, ...]]
_OWN_TYPES = frozenset({"ANY", "BLOB", "INT", "INTEGER", "REAL", "TEXT"})
_ON = frozenset({"1", "on", "yes", "true"})


@record(frozen=True, slots=True)
class Question:
    """A PRAGMA that gives rows: its columns, and what computes them from the transaction and the value."""

    columns: tuple[tuple[str, Type], ...]
    answer: Callable[[Transaction, Stages, Any], Answer]
    needs_value: bool = False


@record(frozen=True, slots=True)
class Setting:
    """A PRAGMA that reads and sets a number."""

    read: Callable[[Transaction], Any]
    write: Callable[[Transaction, Any], None]
    persistent: bool = False  # lives in the database, as against the connection


# --- tables -------------------------------------------------------------------------------------------------------


def _columns_of(txn: Transaction, stages: Stages, name: Any) -> Iterator[tuple[int, Column, int]]:
    """(position, column, place in the primary key or 0) of a table or view."""
    folded = str(name).lower()
    table = txn.schema.tables.get(folded)
    if table is not None:
        for position, column in enumerate(table.columns):
            place = table.primary_key.index(position) + 1 if position in table.primary_key else 0
            yield position, column, place
    view = txn.schema.views.get(folded)
    if view is not None:
        names, types = stages.describe(view.sql, txn.schema)
        for position, (column_name, type_) in enumerate(zip(view.columns or names, types, strict=True)):
            yield position, Column(column_name, type_), 0


def _hidden(column: Column) -> int:
    return 0 if column.generated is None else 3 if column.stored else 2


def _table_xinfo(txn: Transaction, stages: Stages, name: Any) -> Answer:
    for position, column, place in _columns_of(txn, stages, name):
        not_null = int(column.not_null and (place == 0 or column.type.kind.value != "integer"))
        yield position, column.name, _shown_type(column.type), not_null, column.default, place, _hidden(column)


def _shown_type(type_: Type) -> str:
    """The declared type; SQLite shows the names of its own types in capital letters."""
    return type_.declared.upper() if type_.declared.upper() in _OWN_TYPES else type_.declared


def _table_info(txn: Transaction, stages: Stages, name: Any) -> Answer:
    visible = [row for row in _table_xinfo(txn, stages, name) if row[6] == 0]
    return [(number, *row[1:6]) for number, row in enumerate(visible)]


def _database(item: Table | View) -> str:
    return "temp" if item.temporary else "main"


def _table_list(txn: Transaction, stages: Stages, name: Any) -> Answer:
    for table in txn.schema.tables.values():
        if name is None or table.name.lower() == str(name).lower():
            yield _database(table), table.name, "table", len(table.columns), 0, 1
    for view in txn.schema.views.values():
        if name is None or view.name.lower() == str(name).lower():
            yield _database(view), view.name, "view", len(stages.describe(view.sql, txn.schema)[0]), 0, 0


def sqlite_master(txn: Transaction) -> Answer:
    """SQLite's own table of the schema; indexes of constraints have no SQL."""
    return _master(txn.stored)


def sqlite_temp_master(txn: Transaction) -> Answer:
    """The same of what belongs to the connection alone."""
    return _master(txn.temporary.schema)


def _master(schema: Schema) -> Answer:
    from zodbapi.binder.schema_sql import index_sql, table_sql, trigger_sql, view_sql

    for table in sorted(schema.tables.values(), key=lambda table: table.id):
        yield "table", table.name, table.name, table.id, table_sql(table)
        for index in table.indexes:
            yield "index", index.name, table.name, index.id, index_sql(table, index) if index.origin == "c" else None
    for view in schema.views.values():
        yield "view", view.name, view.name, 0, view_sql(view)
    for trigger in schema.triggers.values():
        yield "trigger", trigger.name, trigger.table, 0, trigger_sql(trigger)


def sqlite_sequence(txn: Transaction) -> Answer:
    """The highest rowid that each AUTOINCREMENT table ever had."""
    for table in txn.stored.tables.values():
        if table.autoincrement and (highest := highest_rowid(txn.entry, table.id)):
            yield table.name, highest


# --- indexes ------------------------------------------------------------------------------------------------------


def _index_list(txn: Transaction, stages: Stages, name: Any) -> Answer:
    table = txn.schema.table(str(name))
    for number, index in enumerate(reversed(table.indexes) if table else ()):
        yield number, index.name, int(index.unique), index.origin, int(index.where is not None)


def _index_xinfo(txn: Transaction, stages: Stages, name: Any) -> Answer:
    found = txn.schema.indexes.get(str(name).lower())
    if found is None:
        return
    table, index = found
    number = 0
    for number, part in enumerate(index.columns):
        cid = -2 if part.position is None else part.position
        column = None if part.position is None else table.columns[part.position].name
        yield number, cid, column, int(part.descending), part.collation, 1
    yield number + 1, -1, None, 0, "BINARY", 0


def _index_info(txn: Transaction, stages: Stages, name: Any) -> Answer:
    return [row[:3] for row in _index_xinfo(txn, stages, name) if row[5]]


# --- foreign keys -------------------------------------------------------------------------------------------------


def _foreign_key_list(txn: Transaction, stages: Stages, name: Any) -> Answer:
    table = txn.schema.table(str(name))
    for number, key in numbered_keys(table) if table else ():
        for place, position in enumerate(key.columns):
            to = key.parent_columns[place] if key.parent_columns else None
            child = table.columns[position].name if table else ""
            yield number, place, key.parent, child, to, key.on_update, key.on_delete, "NONE"


# --- checks -------------------------------------------------------------------------------------------------------


def _foreign_key_check(txn: Transaction, stages: Stages, name: Any) -> Answer:
    return find_orphans(txn, stages, None if name is None else str(name))


def _integrity_check(txn: Transaction, stages: Stages, name: Any) -> Answer:
    table = None if name is None else txn.schema.table(str(name))  # SQLite takes a limit in its place, too
    return [(problem,) for problem in find_problems(txn, stages, table)] or [("ok",)]


# --- the tables of this module --------------------------------------------------------------------------------------


def _typed(text: str) -> tuple[tuple[str, Type], ...]:
    """Columns from their names; those with ``#`` in front are integers."""
    return tuple((name.lstrip("#"), INTEGER if name.startswith("#") else TEXT) for name in text.split())


def _function_list(txn: Transaction, stages: Stages, name: Any) -> Answer:
    for scalars in stages.functions.scalars.values():
        for scalar in scalars:
            flags = 0x800 if scalar.deterministic else 0
            yield scalar.name, 1, "s", "utf8", _arguments(scalar.min_args, scalar.max_args), flags
    for aggregates in stages.functions.aggregates.values():
        for aggregate in aggregates:
            yield aggregate.name, 1, "w", "utf8", _arguments(aggregate.min_args, aggregate.max_args), 0


def _arguments(least: int, most: int) -> int:
    return least if least == most else -1


def _fixed(name: str, value: Any) -> Question:
    columns = ((name, INTEGER if isinstance(value, int) else TEXT),)
    return Question(columns, lambda txn, stages, _: [(value,)])


QUESTIONS: dict[str, Question] = {
    "table_info": Question(_typed("#cid name type #notnull dflt_value #pk"), _table_info, True),
    "table_xinfo": Question(_typed("#cid name type #notnull dflt_value #pk #hidden"), _table_xinfo, True),
    "table_list": Question(_typed("schema name type #ncol #wr #strict"), _table_list),
    "index_list": Question(_typed("#seq name #unique origin #partial"), _index_list, True),
    "index_info": Question(_typed("#seqno #cid name"), _index_info, True),
    "index_xinfo": Question(_typed("#seqno #cid name #desc coll #key"), _index_xinfo, True),
    "foreign_key_list": Question(_typed("#id #seq table from to on_update on_delete match"), _foreign_key_list, True),
    "foreign_key_check": Question(_typed("table #rowid parent #fkid"), _foreign_key_check),
    "integrity_check": Question(_typed("integrity_check"), _integrity_check),
    "quick_check": Question(_typed("quick_check"), _integrity_check),
    "database_list": Question(_typed("#seq name file"), lambda txn, stages, _: [(0, "main", txn.database.dsn)]),
    "collation_list": Question(_typed("#seq name"), lambda txn, stages, _: enumerate(stages.functions.collations)),
    "function_list": Question(_typed("name #builtin type enc #narg #flags"), _function_list),
    "compile_options": Question(_typed("compile_options"), lambda txn, stages, _: []),
    "encoding": _fixed("encoding", "UTF-8"),
    "journal_mode": _fixed("journal_mode", "delete"),
    "synchronous": _fixed("synchronous", 2),
    "locking_mode": _fixed("locking_mode", "normal"),
    "auto_vacuum": _fixed("auto_vacuum", 0),
    "cache_size": _fixed("cache_size", -2000),
    "page_size": _fixed("page_size", 4096),
    "page_count": _fixed("page_count", 0),
    "freelist_count": _fixed("freelist_count", 0),
    "temp_store": _fixed("temp_store", 0),
    "busy_timeout": Question((("timeout", INTEGER),), lambda txn, stages, _: [(int(txn.database.timeout * 1000),)]),
    "data_version": Question((("data_version", INTEGER),), lambda txn, stages, _: [(txn.data_version,)]),
    "schema_version": Question(
        (("schema_version", INTEGER),), lambda txn, stages, _: [(txn.schema.version & 0x7FFFFFFF,)]
    ),
}
_ECHOING = frozenset({"journal_mode", "locking_mode", "busy_timeout"})  # these answer when they are set, too


def _is_on(value: Any) -> bool:
    return str(value).lower() in _ON


def _set_foreign_keys(txn: Transaction, value: Any) -> None:
    if not txn.active:  # a no-op inside a transaction, as in SQLite
        txn.foreign_keys_enabled = _is_on(value)


def _set_recursive_triggers(txn: Transaction, value: Any) -> None:
    txn.recursive_triggers = _is_on(value)


def _set_defer_foreign_keys(txn: Transaction, value: Any) -> None:
    txn.defer_foreign_keys = _is_on(value)


def _stored_number(name: str) -> Setting:
    def read(txn: Transaction) -> int:
        return int(txn.entry["schema"].get(name, 0)) if txn.entry is not None else 0

    def write(txn: Transaction, value: Any) -> None:
        if not isinstance(value, int) or not -(2**31) <= value < 2**31:
            raise OperationalError(f"not a 32-bit integer: {value}")
        assert txn.entry is not None
        txn.put(txn.entry["schema"], name, value)

    return Setting(read, write, persistent=True)


def _never_on(name: str) -> Setting:
    """One that changes what statements do, and that would be missed if it were passed over as others are."""

    def write(txn: Transaction, value: Any) -> None:
        if _is_on(value):
            raise NotSupportedError(f"PRAGMA {name} is not supported")

    return Setting(lambda txn: 0, write)


SETTINGS: dict[str, Setting] = {
    **{name: _never_on(name) for name in ("case_sensitive_like", "ignore_check_constraints", "query_only")},
    "foreign_keys": Setting(lambda txn: int(txn.foreign_keys_enabled), _set_foreign_keys),
    "defer_foreign_keys": Setting(lambda txn: int(txn.defer_foreign_keys), _set_defer_foreign_keys),
    "user_version": _stored_number("user_version"),
    "recursive_triggers": Setting(lambda txn: int(txn.recursive_triggers), _set_recursive_triggers),
    "application_id": _stored_number("application_id"),
}


def need(command: Pragma) -> Need:
    """What the PRAGMA needs of its connection."""
    setting = SETTINGS.get(command.name)
    if setting is not None and setting.persistent:
        return Need.READ if command.value is None else Need.WRITE
    return Need.READ if setting is None and output_columns(command) is not None else Need.CONTROL


def output_columns(command: Pragma) -> Columns | None:
    """The columns of the PRAGMA's answer, or None when it has none."""
    if command.name in SETTINGS:
        return ((command.name,), (INTEGER,)) if command.value is None else None
    question = QUESTIONS.get(command.name)
    if question is None or (command.value is not None and _only_sets(command.name, question)):
        return None
    names, types = zip(*question.columns, strict=True)
    return names, types


def _only_sets(name: str, question: Question) -> bool:
    return len(question.columns) == 1 and name not in _ECHOING and not name.endswith("_check")


def run(command: Pragma, stages: Stages, txn: Transaction) -> list[tuple[Any, ...]] | None:
    """The rows of the PRAGMA's answer."""
    setting = SETTINGS.get(command.name)
    if setting is not None:
        if command.value is None:
            return [(setting.read(txn),)]
        setting.write(txn, command.value)
        return None
    if output_columns(command) is None:
        return None
    question = QUESTIONS[command.name]
    if question.needs_value and command.value is None:
        return []
    return list(question.answer(txn, stages, command.value))


def table_functions(stages_for: Callable[[Transaction], Stages]) -> Iterator[TableFunction]:
    """The questions as table-valued functions, and the tables that SQLite keeps about itself."""
    for name, question in QUESTIONS.items():
        if len(question.columns) > 1:
            yield TableFunction(f"pragma_{name}", _callable(question, stages_for), 0, 1, question.columns)
    master = _typed("type name tbl_name #rootpage sql")
    yield TableFunction("sqlite_master", sqlite_master, 0, 0, master)
    yield TableFunction("sqlite_schema", sqlite_master, 0, 0, master)
    yield TableFunction("sqlite_temp_master", sqlite_temp_master, 0, 0, master)
    yield TableFunction("sqlite_temp_schema", sqlite_temp_master, 0, 0, master)
    yield TableFunction("sqlite_sequence", sqlite_sequence, 0, 0, _typed("name #seq"))


def _callable(question: Question, stages_for: Callable[[Transaction], Stages]) -> Callable[..., Answer]:
    def call(txn: Transaction, value: Any = None) -> Answer:
        return list(question.answer(txn, stages_for(txn), value))

    return call
