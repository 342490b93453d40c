"""INSERT OR ... and ON CONFLICT: which unique keys are meant, and what happens then.

In: the INSERT tree. Out: its ``ConflictClause`` objects. A conflict target is matched as SQLite does it: a unique index over
just these columns or expressions in the same collations; a partial one when the target repeats its WHERE.
"""

from __future__ import annotations

from sqlglot import exp

from zodbapi.binder.expr import bind_expr, bind_predicate
from zodbapi.binder.scope import Scope
from zodbapi.binder.target import bind_assignments
from zodbapi.binder.writer import bind_index, row_scope
from zodbapi.catalog import Index, Table
from zodbapi.errors import NotSupportedError, OperationalError
from zodbapi.plan.expr import Collate, Column, Expr, Rowid
from zodbapi.plan.nodes import ConflictClause

_NO_MATCH = "ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint"


def bind_conflicts(tree: exp.Expression, table: Table, outer: Scope, alias: str) -> tuple[ConflictClause, ...]:
    """The clauses of an INSERT in the order in which they are tried."""
    clauses = [_bind_clause(clause, table, outer, alias) for clause in _clauses(tree)]
    match (tree.args.get("alternative") or "").upper():
        case "" | "ABORT":
            pass
        case "IGNORE" | "REPLACE" | "FAIL" | "ROLLBACK" as action:
            clauses.append(ConflictClause(action.lower(), any_constraint=True))
        case action:
            raise NotSupportedError(f"INSERT OR {action} is not supported")
    return tuple(clauses)


def _clauses(tree: exp.Expression) -> list[exp.Expression]:
    conflict = tree.args.get("conflict")
    if conflict is None:
        return []
    return conflict if isinstance(conflict, list) else [conflict]


def _bind_clause(tree: exp.Expression, table: Table, outer: Scope, alias: str) -> ConflictClause:
    indexes = _bind_target(tree, table, outer)
    if tree.args["action"].name.upper() == "DO NOTHING":
        return ConflictClause("ignore", indexes)
    binding = outer.binding
    # an unqualified name means the existing row, so the other one is a scope further out
    proposed = outer.inner()
    excluded = proposed.add_table(table, "excluded", binding.new_source()).source
    scope = proposed.inner()
    existing = scope.add_table(table, alias, binding.new_source()).source
    assignments = [(a.position, a.value) for a in bind_assignments(tree.expressions, table, scope)]
    where = tree.args.get("where")
    if any(position is None for position, _ in assignments):
        raise NotSupportedError("ON CONFLICT DO UPDATE cannot set the rowid")
    return ConflictClause(
        "update",
        indexes,
        existing,
        excluded,
        tuple(sorted({p: value for p, value in assignments if p is not None}.items())),
        bind_predicate(where.this if where else None, scope),
    )


def _bind_target(tree: exp.Expression, table: Table, outer: Scope) -> tuple[int, ...] | None:
    constraint = tree.args.get("constraint")
    if constraint is not None:
        return _named_constraint(constraint.name, table)
    keys = tree.args.get("conflict_keys")
    if not keys:
        return None
    scope = row_scope(outer.binding.schema, table, outer.binding.functions)
    target = frozenset(_normal(bind_expr(_key_tree(key), scope)) for key in keys)
    predicate = tree.args.get("index_predicate")
    where = bind_predicate(predicate.this if predicate else None, scope)
    if target == frozenset({_rowid_key(table)}) or target == frozenset({(Rowid(0), "")}):
        return (0,)
    found = tuple(index.id for index in table.indexes if index.unique and _matches(index, table, target, where, scope))
    if not found:
        raise OperationalError(_NO_MATCH)
    return found


def _key_tree(tree: exp.Expression) -> exp.Expression:
    while isinstance(tree, exp.Ordered | exp.Paren):
        tree = tree.this
    return tree


def _rowid_key(table: Table) -> tuple[Expr, str] | None:
    if table.rowid_column is None:
        return None
    return Column(0, table.rowid_column), ""


def _normal(expr: Expr) -> tuple[Expr, str]:
    """An expression in a form that is equal for equal keys, with the collation it names ("" for its own)."""
    collation = ""
    if isinstance(expr, Collate):
        collation = expr.collation
        expr = expr.operand
    if isinstance(expr, Column):
        expr = Column(expr.source, expr.position)
    return expr, collation


def _matches(index: Index, table: Table, target: frozenset[tuple[Expr, str]], where: Expr | None, scope: Scope) -> bool:
    bound = bind_index(table, index, scope)
    if bound.where is not None and bound.where != where:
        return False
    keys = set()
    for key, part in zip(bound.keys, index.columns, strict=True):
        expr, _ = _normal(key)
        # as in SQLite, a target without COLLATE matches an index in any collation
        if not {named for other, named in target if other == expr} & {"", part.collation}:
            return False
        keys.add(expr)
    return keys == {expr for expr, _ in target}


def _named_constraint(name: str, table: Table) -> tuple[int, ...]:
    folded = name.lower()
    for index in table.indexes:
        if index.unique and index.name.lower() == folded:
            return (index.id,)
    if table.rowid_column is not None and folded in (table.primary_key_name.lower(), f"{table.name}_pkey".lower()):
        return (0,)
    raise OperationalError(f'constraint "{name}" for table "{table.name}" does not exist')
