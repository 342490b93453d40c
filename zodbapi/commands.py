"""Statements that are not queries: transaction control, EXPLAIN, maintenance; DDL and PRAGMA have modules of their own.

In: a bound ``Command``, the stages that it may need (``Stages``), the transaction. Out: rows, or None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from zodbapi import pragmas
from zodbapi.catalog import INTEGER, TEXT, Schema, Type
from zodbapi.errors import OperationalError
from zodbapi.plan.commands import (
    AlterTable,
    CallProcedure,
    Command,
    Comment,
    CreateIndex,
    CreateProcedure,
    CreateTable,
    CreateTrigger,
    CreateView,
    Drop,
    Explain,
    Maintenance,
    Need,
    Pragma,
    TransactionControl,
    Truncate,
)
from zodbapi.plan.nodes import Node

if TYPE_CHECKING:
    from zodbapi.codegen import Program, WriterProgram
    from zodbapi.functions.registry import Functions
    from zodbapi.storage.transaction import Transaction

Rows = list[tuple[Any, ...]]
Columns = tuple[tuple[str, ...], tuple[Type, ...]]


class Stages(Protocol):
    """The stages of the pipeline, for commands that run queries and write rows."""

    @property
    def functions(self) -> Functions: ...

    def describe(self, sql: str, schema: Schema) -> Columns: ...

    def optimize(self, node: Node, schema: Schema, params: tuple[Any, ...] = ()) -> Node: ...

    def generate(self, plan: Node, schema: Schema) -> Program: ...

    def query(self, sql: str, schema: Schema, *, as_stored: bool = False) -> Program: ...

    def writer(self, schema: Schema, table_id: int) -> WriterProgram: ...

    def run_script(self, sql: str, txn: Transaction, params: dict[str, Any]) -> None: ...


def need(command: Command) -> Need:
    """What the command needs of its connection."""
    match command:
        case TransactionControl() | Maintenance(action="vacuum"):
            return Need.CONTROL
        case Explain():
            return Need.READ
        case Pragma():
            return pragmas.need(command)
        case _:
            return Need.WRITE


def output_columns(command: Command) -> Columns | None:
    """The names and types of the columns that the command answers with, or None when it gives no rows."""
    match command:
        case Explain(query_plan=True):
            return ("id", "parent", "notused", "detail"), (INTEGER, INTEGER, INTEGER, TEXT)
        case Explain():
            return ("addr", "source"), (INTEGER, TEXT)
        case Pragma():
            return pragmas.output_columns(command)
        case _:
            return None


def run(command: Command, stages: Stages, txn: Transaction, params: tuple[Any, ...]) -> Rows | None:
    """Does what the command says."""
    match command:
        case TransactionControl():
            control_transaction(command, txn)
            return None
        case AlterTable() | Drop(what="table") | Truncate():
            # Checks that wait for the commit know the tables as they are now.
            txn.run_pending()
            _change_schema(command, stages, txn, params)
        case Explain():
            return list(_explain(command, stages, txn, params))
        case Pragma():
            return pragmas.run(command, stages, txn)
        case CallProcedure():
            _call(command, stages, txn, params)
        case Maintenance():
            maintain(command, stages, txn)
        case _:
            _change_schema(command, stages, txn, params)
    return None


def _call(command: CallProcedure, stages: Stages, txn: Transaction, params: tuple[Any, ...]) -> None:
    values: tuple[Any, ...] = ()
    if command.arguments is not None:
        plan = stages.optimize(command.arguments, txn.schema)
        values = (stages.generate(plan, txn.schema).run(txn, params) or [()])[0]
    stages.run_script(command.procedure.sql, txn, dict(zip(command.procedure.parameters, values, strict=True)))


def _change_schema(command: Command, stages: Stages, txn: Transaction, params: tuple[Any, ...]) -> None:
    from zodbapi import schema_commands  # most processes never change one

    match command:
        case CreateTable():
            schema_commands.create_table(command, stages, txn, params)
        case CreateIndex():
            schema_commands.create_index(command, stages, txn)
        case CreateView():
            schema_commands.create_view(command, txn)
        case CreateTrigger():
            schema_commands.create_trigger(command, txn)
        case CreateProcedure():
            schema_commands.create_procedure(command, txn)
        case AlterTable():
            schema_commands.alter_table(command, stages, txn)
        case Drop():
            schema_commands.drop(command, stages, txn)
        case Truncate():
            schema_commands.truncate(command, txn)
        case Comment():
            schema_commands.comment(command, txn)
        case _:
            raise AssertionError(command)


def control_transaction(command: TransactionControl, txn: Transaction) -> None:
    """BEGIN, SET TRANSACTION, COMMIT, ROLLBACK and savepoints.

    A savepoint outside a transaction opens one, and its release commits it.
    """
    match command.action:
        case "begin":
            txn.begin(write=command.mode in ("immediate", "exclusive"), isolation=command.isolation)
        case "set_isolation":
            assert command.isolation is not None
            txn.set_isolation(command.isolation)
        case "commit" | "rollback" if not txn.active:
            raise OperationalError(f"cannot {command.action} - no transaction is active")
        case "check_constraints":
            txn.constraints_immediate()
        case "defer_constraints":
            txn.defer_foreign_keys, txn.check_at_once = True, False
        case "commit":
            txn.commit()
        case "rollback":
            txn.rollback()
        case "savepoint":
            if not txn.active:
                txn.begin()
                txn.begun_by_savepoint = True
            txn.savepoint(command.name)
        case "release":
            if txn.begun_by_savepoint and txn.is_outermost(command.name):
                txn.check_pending()  # if that fails, the savepoint is still there
            txn.release(command.name)
            if txn.begun_by_savepoint and not txn.savepoints:
                txn.commit()
        case "rollback_to":
            txn.rollback_to(command.name)
        case action:
            raise AssertionError(action)


def _explain(command: Explain, stages: Stages, txn: Transaction, params: tuple[Any, ...]) -> Rows:
    from zodbapi.plan.explain import explain

    plan = stages.optimize(command.statement, txn.schema, params)
    if not command.query_plan:
        source = stages.generate(plan, txn.schema).source
        return list(enumerate(source.splitlines(), 1))
    rows: Rows = []
    parents = [0]  # the id of the last line at each depth
    for number, line in enumerate(explain(plan), 1):
        text = line.lstrip()
        depth = (len(line) - len(text)) // 2
        del parents[depth + 1 :]
        rows.append((number, parents[depth], 0, text))
        parents.append(number)
    return rows


def maintain(command: Maintenance, stages: Stages, txn: Transaction) -> None:
    """VACUUM, ANALYZE, REINDEX."""
    match command.action:
        case "vacuum":
            if txn.active:
                raise OperationalError("cannot VACUUM from within a transaction")
            txn.database.pack()
        case "analyze":
            return  # row counts are read off the trees whenever a statement is planned
        case "reindex":
            from zodbapi import schema_commands

            schema_commands.reindex(command.name, stages, txn)
        case action:
            raise AssertionError(action)
