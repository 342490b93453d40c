"""WITH: common table expressions, plain and recursive.

A CTE that is used once is bound in its place. One that is used more often, or is recursive, or says MATERIALIZED,
becomes a ``Materialize`` node, whose number says that it is computed once a statement; unless it is correlated, for
then it has different rows each time. A recursive one reads its own rows as ``WorkingRow``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from zodbapi.binder.from_clause import rename
from zodbapi.binder.scope import Binding, Field, Scope
from zodbapi.binder.typing import merge_types
from zodbapi.errors import OperationalError
from zodbapi.plan.nodes import Aggregate, Compound, Materialize, Node, Recursive, Window, WorkingRow, output_source
from zodbapi.plan.walk import everything, free_sources
from zodbapi.record import field, record, replace


@record(slots=True)
class Cte:
    """One common table expression. ``plan`` is kept when several references share it; ``working`` are the fields of
    the row in work while the recursive part is being bound."""

    name: str
    columns: tuple[str, ...]
    tree: exp.Expression
    outer: Scope | None
    env: Mapping[str, Cte] = field(default_factory=dict)
    materialized: bool = False
    number: int = -1
    plan: Node | None = None
    fields: Sequence[Field] = ()
    working: Sequence[Field] | None = None
    active: bool = False


def bind_with(tree: exp.Expression, scope: Scope) -> None:
    """Makes the CTEs of a WITH clause (``tree.args.get("with_")``) visible in the scope and all scopes inside it."""
    clause = tree.args.get("with_")
    if clause is None:
        return
    known: dict[str, Cte] = dict(scope.ctes)
    uses = _count_uses(tree)
    made: list[Cte] = []
    for item in clause.expressions:
        alias = item.args["alias"]
        name = alias.name.lower()
        if name in (cte.name.lower() for cte in made):
            raise OperationalError(f"duplicate WITH table name: {alias.name}")
        columns = tuple(column.name for column in alias.args.get("columns") or ())
        materialized = bool(item.args.get("materialized")) or (
            uses.get(name, 0) > 1 and item.args.get("materialized") is not False
        )
        made.append(Cte(alias.name, columns, item.this, scope.outer, materialized=materialized))
    known.update((cte.name.lower(), cte) for cte in made)
    for cte in made:  # SQLite lets a CTE see those defined after it, too
        cte.env = known
    scope.ctes = known


def _count_uses(tree: exp.Expression) -> dict[str, int]:
    uses: dict[str, int] = {}
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier):
            uses[table.this.name.lower()] = uses.get(table.this.name.lower(), 0) + 1
    return uses


def bind_reference(cte: Cte, binding: Binding) -> Node:
    """The plan of one occurrence of a CTE in FROM."""
    if cte.working is not None:
        source = binding.new_source()
        binding.fields[source] = list(cte.working)
        return WorkingRow(source, cte.number)
    if cte.active:
        raise OperationalError(f"circular reference: {cte.name}")
    if cte.plan is None:
        cte.active = True
        try:
            node = _bind_cte(cte, binding)
        finally:
            cte.active = False
        if not cte.materialized or free_sources(node):
            return node
        cte.plan, cte.number = node, binding.new_cte()
        cte.fields = binding.fields[output_source(node)]
    source = binding.new_source()
    binding.fields[source] = list(cte.fields)
    return Materialize(source, cte.number, cte.plan)


def _bind_cte(cte: Cte, binding: Binding) -> Node:
    recursive = _recursive_parts(cte)
    if recursive is not None:
        return _bind_recursive(cte, *recursive, binding)
    from zodbapi.binder.select import bind_query

    node = bind_query(cte.tree, binding, cte.outer, cte.env)
    source = output_source(node)
    binding.fields[source] = rename(binding.fields[source], cte.columns, cte.name)
    return node


# --- recursion ----------------------------------------------------------------------------------------------------


def _refers(tree: exp.Expression, name: str) -> bool:
    return any(
        isinstance(table.this, exp.Identifier) and table.this.name.lower() == name and table.args.get("db") is None
        for table in tree.find_all(exp.Table)
    )


def _recursive_parts(cte: Cte) -> tuple[list[exp.Expression], list[exp.Expression], bool] | None:
    """The terms of the compound that do not, and those that do, refer to the CTE, and whether all rows are kept."""
    name = cte.name.lower()
    if not _refers(cte.tree, name):
        return None
    terms: list[exp.Expression] = []
    kept: list[bool] = []
    tree = cte.tree
    while isinstance(tree, exp.SetOperation):
        terms.append(tree.expression)
        kept.append(isinstance(tree, exp.Union) and not tree.args.get("distinct"))
        if not isinstance(tree, exp.Union) and _refers(tree.expression, name):
            raise OperationalError(f"circular reference: {cte.name}")
        if _refers(tree.this, name) or not _refers(tree.expression, name):
            tree = tree.this
            continue
        step = list(reversed(terms))
        return [tree.this], step, all(kept)
    raise OperationalError(f"circular reference: {cte.name}")


def _bind_recursive(
    cte: Cte, initial: list[exp.Expression], step: list[exp.Expression], keep_all: bool, binding: Binding
) -> Node:
    from zodbapi.binder.compound import bind_compound_order
    from zodbapi.binder.order import bind_limit
    from zodbapi.binder.select import bind_query

    scope = Scope(binding, cte.outer, cte.env)
    bind_with(cte.tree, scope)
    cte.number = binding.new_cte()
    start = bind_query(initial[0], binding, cte.outer, scope.ctes)
    fields = rename(binding.fields[output_source(start)], cte.columns, cte.name)
    while True:
        cte.working = fields
        try:
            bound = [bind_query(term, binding, cte.outer, scope.ctes) for term in step]
        finally:
            cte.working = None
        merged = _merged(fields, [binding.fields[output_source(node)] for node in bound], cte.name)
        if merged == fields:
            break
        fields = merged  # the steps make values that the initial rows do not have: bind them again, knowing that
    source = binding.new_source()
    binding.fields[source] = fields
    order = bind_compound_order(cte.tree, source, fields, scope)
    limit, offset = bind_limit(cte.tree, scope)
    number, cte.number = cte.number, -1
    for term in bound:
        _check_term(term, number, cte.name)
    return Recursive(source, number, start, _union_all(bound, binding), keep_all, order, limit, offset)


def _check_term(term: Node, number: int, name: str) -> None:
    """Raises for what would see the one row in work where the query means all rows so far."""
    if len(_working_rows(term, number)) > 1:
        raise OperationalError(f"multiple references to recursive table: {name}")
    for part in everything(term):
        if isinstance(part, Aggregate | Window) and _working_rows(part, number):
            if isinstance(part, Window):
                raise OperationalError("cannot use window functions in recursive queries")
            raise OperationalError("recursive aggregate queries not supported")


def _working_rows(node: Node, number: int) -> list[WorkingRow]:
    return [part for part in everything(node) if isinstance(part, WorkingRow) and part.cte == number]


def _merged(fields: Sequence[Field], steps: Sequence[Sequence[Field]], name: str) -> list[Field]:
    merged = list(fields)
    for step in steps:
        if len(step) != len(merged):
            raise OperationalError(
                f"SELECTs to the left and right of UNION do not have the same number of result columns: {name}"
            )
        merged = [
            replace(a, type=merge_types((a.type, b.type)), nullable=a.nullable or b.nullable)
            for a, b in zip(merged, step, strict=True)
        ]
    return merged


def _union_all(nodes: Sequence[Node], binding: Binding) -> Node:
    node = nodes[0]
    for right in nodes[1:]:
        source = binding.new_source()
        binding.fields[source] = binding.fields[output_source(node)]
        node = Compound(source, "union", True, node, right, ())
    return node
