"""Triggers: what CREATE TRIGGER defines, and the plans of the statements that run when one fires.

The row that is written is two relations around each statement of the body, ``old`` and ``new``, whose sources no plan
makes: generated code finds these rows among its parameters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot import exp

from zodbapi.binder.scope import Binding, Field, Relation, Scope, table_fields
from zodbapi.catalog import Schema, Table, Trigger
from zodbapi.errors import OperationalError
from zodbapi.functions.registry import Functions
from zodbapi.functions.trigger import FUNCTIONS
from zodbapi.parser import parse_one
from zodbapi.parser.syntax import TriggerDefinition
from zodbapi.plan.commands import CreateTrigger
from zodbapi.plan.nodes import NEW_ROW, OLD_ROW, BoundTrigger, Delete, Insert, Instead, Node, Update
from zodbapi.record import replace

_RAISE = re.compile(r"('[^']*')|\bRAISE\s*\(\s*(IGNORE|ABORT|FAIL|ROLLBACK)\b", re.IGNORECASE)


def bind_create_trigger(tree: TriggerDefinition, schema: Schema) -> CreateTrigger:
    """CREATE TRIGGER; the table has to exist, what the body names need not."""
    folded = tree.table.lower()
    if folded in schema.views:
        if tree.timing != "INSTEAD OF":
            raise OperationalError(f"cannot create {tree.timing} trigger on view: {tree.table}")
    elif folded not in schema.tables:
        raise OperationalError(f"no such table: main.{tree.table}")
    elif tree.timing == "INSTEAD OF":
        raise OperationalError(f"cannot create INSTEAD OF trigger on table: {tree.table}")
    for statement in tree.body:
        parse_one(_raise_as_call(statement))
    trigger = Trigger(tree.name, tree.table, tree.timing, tree.event, tree.body, tree.when, tree.columns)
    target = schema.views[folded] if folded in schema.views else schema.tables[folded]
    return CreateTrigger(replace(trigger, temporary=tree.temporary or target.temporary), tree.if_not_exists)


def bind_trigger(trigger: Trigger, schema: Schema, functions: Functions, policy: str = "") -> BoundTrigger:
    """The plans of a trigger's WHEN and statements.

    ``policy``, the word of INSERT OR and UPDATE OR in the statement that fires the trigger, counts more than those in its own.
    """
    functions = functions.extended(*FUNCTIONS)
    when = _bind_text(f"SELECT {trigger.when}", trigger, schema, functions) if trigger.when else None
    return BoundTrigger(when, tuple(_bind_text(text, trigger, schema, functions, policy) for text in trigger.body))


def may_fire(trigger: Trigger, plan: Insert | Update | Delete | Instead) -> bool:
    """Whether a statement that writes the trigger's table can be an event for it."""
    assigned: tuple[int, ...] = ()
    match plan:
        case Insert():
            updates = [clause for clause in plan.clauses if clause.action == "update"]
            events = {"INSERT", "UPDATE"} if updates else {"INSERT"}
            assigned = tuple(position for clause in updates for position, _ in clause.assignments)
        case Update():
            events = {"UPDATE"}
            assigned = tuple(position for position, _ in plan.assignments)
        case Delete():
            events = {"DELETE"}
        case Instead():
            events, assigned = {plan.event}, plan.assigned
    if trigger.event not in events:
        return False
    positions = {plan.table.positions.get(column.lower(), -1) for column in trigger.columns}
    return trigger.event != "UPDATE" or not positions or not positions.isdisjoint(assigned)


def _bind_text(text: str, trigger: Trigger, schema: Schema, functions: Functions, policy: str = "") -> Node:
    from zodbapi.binder import bind_tree

    parsed = parse_one(_raise_as_call(text))
    binding = Binding(schema, functions, parsed.sql)
    binding.around = _rows(trigger, binding)
    assert isinstance(parsed.tree, exp.Expression)
    if policy and isinstance(parsed.tree, exp.Insert | exp.Update):
        parsed.tree.set("alternative", policy.upper())
    node = bind_tree(parsed.tree, binding)
    assert isinstance(node, Node)
    return node


def _raise_as_call(text: str) -> str:
    """The text with the first word in each RAISE quoted, which makes a function call of it."""
    return _RAISE.sub(lambda match: match[0] if match[1] else f"raise('{match[2].lower()}'", text)


def _rows(trigger: Trigger, binding: Binding) -> Scope:
    scope = Scope(binding)
    table, fields = _fields(trigger.table, binding)
    if trigger.event != "INSERT":
        scope.add(Relation("old", OLD_ROW, fields, table))
    if trigger.event != "DELETE":
        if trigger.timing == "BEFORE":  # constraints have not been looked at
            fields = [replace(field, nullable=True) for field in fields]
        scope.add(Relation("new", NEW_ROW, fields, table))
    return scope


def _fields(name: str, binding: Binding) -> tuple[Table | None, Sequence[Field]]:
    table = binding.schema.table(name)
    if table is not None:
        return table, table_fields(table)
    from zodbapi.binder.instead import bind_view_fields

    return None, bind_view_fields(binding.schema.views[name.lower()], binding)[1]
