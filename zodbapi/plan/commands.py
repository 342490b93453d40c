"""Statements about the schema, transactions and the connection: the other root of a plan beside ``nodes``.

In: made by the binder. Out: run by commands.py; nothing is generated for them.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from zodbapi.catalog import Index, Procedure, Table, Trigger, Type, View
from zodbapi.isolation import Isolation
from zodbapi.record import record

if TYPE_CHECKING:
    from zodbapi.plan.nodes import Node


class Need(Enum):
    """What a statement, query or not, needs of its connection."""

    READ = "a snapshot"
    WRITE = "a transaction that writes"
    CONTROL = "nothing: it acts on the transaction itself"


@record(frozen=True, slots=True)
class Command:
    """Root of the statements that are not queries."""


@record(frozen=True, slots=True)
class CreateTable(Command):
    """``table.id`` and index ids are 0 here: commands.py allots them. ``query`` is CREATE TABLE AS SELECT's."""

    table: Table
    if_not_exists: bool
    query: Node | None = None
    temporary: bool = False


@record(frozen=True, slots=True)
class CreateIndex(Command):
    table: str
    index: Index
    if_not_exists: bool


@record(frozen=True, slots=True)
class CreateView(Command):
    view: View
    if_not_exists: bool


@record(frozen=True, slots=True)
class CreateTrigger(Command):
    """``trigger.number`` is 0 here: commands.py allots it."""

    trigger: Trigger
    if_not_exists: bool


@record(frozen=True, slots=True)
class CreateProcedure(Command):
    procedure: Procedure
    or_replace: bool


@record(frozen=True, slots=True)
class CallProcedure(Command):
    """CALL: ``arguments`` emits one row, the values of the parameters; None without any."""

    procedure: Procedure
    arguments: Node | None


@record(frozen=True, slots=True)
class Drop(Command):
    """``what`` is table, index, view, trigger or procedure. ``cascade`` drops the foreign keys that refer to a table too."""

    what: str
    name: str
    if_exists: bool
    cascade: bool = False


@record(frozen=True, slots=True)
class Truncate(Command):
    """TRUNCATE: empties tables; ``cascade`` those that refer to them too, ``restart`` AUTOINCREMENT begins anew."""

    tables: tuple[str, ...]
    restart: bool
    cascade: bool


@record(frozen=True, slots=True)
class AlterTable(Command):
    """``steps`` are applied in order, all or none; comma-separated actions of one ALTER TABLE."""

    table: str
    steps: tuple[AlterStep, ...]


@record(frozen=True, slots=True)
class AlterStep:
    """One action. Which fields matter is said by ``action``:

    rename_table(name), rename_column(column, name), add_column(definition: Table of one column, with its constraints),
    drop_column(column, cascade), set_type(column, type, using), set_default(column, default), drop_default(column),
    set_not_null(column), drop_not_null(column), set_collation(column, name),
    add_constraint(definition: Table of no column), drop_constraint(name),
    set_identity(column), drop_identity(column), restart_identity(column), rename_constraint(column: old name, name),
    rename_index(column: old name, name). Positions in a definition are those in the changed table.
    """

    action: str
    column: str = ""
    name: str = ""
    type: Type | None = None
    default: str | None = None  # SQL text
    using: str | None = None  # SQL text
    definition: Table | None = None
    if_exists: bool = False
    cascade: bool = False


@record(frozen=True, slots=True)
class Comment(Command):
    """COMMENT ON TABLE / COLUMN / INDEX ... IS text."""

    what: str
    table: str
    column: str
    text: str


@record(frozen=True, slots=True)
class TransactionControl(Command):
    """``action`` is begin (``mode`` deferred, immediate or exclusive), commit, rollback, savepoint, release, rollback_to,
    for SET CONSTRAINTS check_constraints or defer_constraints, and set_isolation for SET TRANSACTION.
    """

    action: str
    name: str = ""
    mode: str = ""
    isolation: Isolation | None = None


@record(frozen=True, slots=True)
class Pragma(Command):
    """``PRAGMA name``, ``PRAGMA name = value`` or ``PRAGMA name(value)``."""

    name: str
    value: object = None


@record(frozen=True, slots=True)
class Explain(Command):
    """``EXPLAIN`` (the generated Python) or ``EXPLAIN QUERY PLAN`` (the plan) of a statement."""

    statement: Node
    query_plan: bool


@record(frozen=True, slots=True)
class Maintenance(Command):
    """VACUUM (pack), ANALYZE, REINDEX."""

    action: str
    name: str = ""
