"""FROM: tables, views, CTEs, subqueries, table functions and the joins between them.

In: a tree with ``from_`` and ``joins``. Out: the plan of the joins; the relations become visible in the scope, in
order. Outer joins make the relations on their optional side nullable once their ON is bound. RIGHT joins become left
joins.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlglot import exp

from zodbapi.binder.compare import compare, conjunction
from zodbapi.binder.scope import Binding, Field, Merged, Relation, Scope, database_of
from zodbapi.catalog import INTEGER, View
from zodbapi.errors import OperationalError
from zodbapi.plan.expr import Const, Expr
from zodbapi.plan.nodes import Join, Node, Scan, TableFunctionScan, Values, output_source
from zodbapi.record import replace


def bind_from(tree: exp.Expression, scope: Scope) -> Node:
    """The plan of ``tree``'s FROM and JOIN clauses; their relations become visible in the scope.

    Without FROM it is the one empty row. ``tree`` may be a Select, an Update or a Delete with ``from_`` and ``joins``.
    """
    clause = tree.args.get("from_")
    if clause is None:
        source = scope.binding.new_source()
        scope.binding.fields[source] = ()
        return Values(source, ((),))
    node = bind_source(clause.this, scope)
    for join in tree.args.get("joins") or ():
        node = bind_join(node, join, scope)
    return node


def bind_source(tree: exp.Expression, scope: Scope) -> Node:
    """The plan of one FROM item, with the joins that parentheses or a late ON nest in it."""
    match tree:
        case exp.Table():
            node = _bind_table(tree, scope)
        case exp.Subquery() if isinstance(tree.this, (exp.Table, exp.Subquery)) and _is_group(tree):
            node = bind_source(tree.this, scope)
        case exp.Subquery() | exp.Values() | exp.Query():
            node = _bind_derived(tree, scope)
        case _:
            raise OperationalError(f'near "{tree.sql("sqlite")}": syntax error')
    for join in tree.args.get("joins") or ():
        node = bind_join(node, join, scope)
    return node


def _is_group(tree: exp.Subquery) -> bool:
    """Whether parentheses hold a join and not a query."""
    inner = tree.this
    if isinstance(inner, exp.Table):
        return True
    return bool(inner.args.get("joins")) or (isinstance(inner, exp.Subquery) and _is_group(inner))


# --- what has rows ------------------------------------------------------------------------------------------------


def _alias(tree: exp.Expression) -> str:
    alias = tree.args.get("alias")
    return alias.name if alias is not None else ""


def _alias_columns(tree: exp.Expression) -> Sequence[str]:
    alias = tree.args.get("alias")
    columns = alias.args.get("columns") if alias is not None else None
    return [column.name for column in columns] if columns else ()


def _bind_table(tree: exp.Table, scope: Scope) -> Node:
    if isinstance(tree.this, exp.Anonymous):
        return _bind_table_function(tree, tree.this.name, tree.this.expressions, scope)
    if isinstance(tree.this, (exp.Values, exp.Query)):
        return _bind_derived(tree, scope)
    if not isinstance(tree.this, exp.Identifier) or not isinstance(tree.this.this, str):
        raise OperationalError(f'near "{tree.sql("sqlite")}": syntax error')
    name: str = tree.this.this
    database = tree.args.get("db")
    schema = database_of(tree, scope.binding.schema)
    alias, binding = _alias(tree), scope.binding
    if _alias_columns(tree):
        raise OperationalError('near "(": syntax error')
    cte = scope.ctes.get(name.lower()) if database is None else None
    if cte is not None:
        from zodbapi.binder.cte import bind_reference

        return _add_derived(bind_reference(cte, binding), alias or name, scope)
    table = schema.table(name)
    if table is not None:
        relation = scope.add_table(table, alias or name)
        indexed = tree.args.get("indexed")
        if indexed and indexed.name.lower() not in {index.name.lower() for index in table.indexes}:
            raise OperationalError(f"no such index: {indexed.name}")
        return Scan(relation.source, table)
    view = schema.views.get(name.lower())
    if view is not None:
        return _add_derived(bind_view(view, binding), alias or name, scope)
    if name.lower() in binding.functions.tables:
        return _bind_table_function(tree, name, (), scope)
    raise OperationalError(f"no such table: {name}")


def _bind_table_function(tree: exp.Table, name: str, args: Sequence[exp.Expression], scope: Scope) -> Node:
    from zodbapi.binder.expr import bind_expr

    binding = scope.binding
    function = binding.functions.tables.get(name.lower())
    if function is None:
        raise OperationalError(f"no such table: {name}")
    if len(args) < function.min_args:
        raise OperationalError(f"wrong number of arguments to function {name}()")
    if 0 <= function.max_args < len(args):
        raise OperationalError(f"too many arguments on {name}() - max {function.max_args}")
    bound = tuple(bind_expr(arg, scope) for arg in args)
    source = binding.new_source()
    fields = [Field(column, kind, True, "BINARY", kind) for column, kind in function.columns]
    binding.fields[source] = fields
    scope.add(Relation(_alias(tree) or name, source, fields))
    return TableFunctionScan(source, function, bound)


def _bind_derived(tree: exp.Expression, scope: Scope) -> Node:
    from zodbapi.binder.select import bind_query

    query = tree.this if isinstance(tree, exp.Table) else tree
    node = bind_query(query, scope.binding, scope.outer, scope.ctes)
    return _add_derived(node, _alias(tree), scope, _alias_columns(tree))


def _add_derived(node: Node, name: str, scope: Scope, columns: Sequence[str] = ()) -> Node:
    source = output_source(node)
    fields = rename(scope.binding.fields[source], columns, name)
    scope.binding.fields[source] = fields
    scope.add(Relation(name, source, fields))
    return node


def rename(fields: Sequence[Field], columns: Sequence[str], name: str) -> list[Field]:
    """The fields under the names of a column list, if there is one, and with equal names told apart, as SQLite does."""
    if columns and len(columns) != len(fields):
        raise OperationalError(f"table {name} has {len(fields)} values for {len(columns)} columns")
    seen: set[str] = set()
    renamed: list[Field] = []
    for i, shown in enumerate(fields):
        label = columns[i] if columns else shown.name
        number = 0
        while label.lower() in seen:
            number += 1
            label = f"{columns[i] if columns else shown.name}:{number}"
        seen.add(label.lower())
        renamed.append(shown if label == shown.name else replace(shown, name=label))
    return renamed


@lru_cache(maxsize=256)
def _view_tree(sql: str) -> exp.Expression:
    from zodbapi.parser import parse_one

    tree = parse_one(sql).tree
    assert isinstance(tree, exp.Expression)
    return tree


def bind_view(view: View, binding: Binding) -> Node:
    """The plan of a view, which sees nothing of the statement around it."""
    from zodbapi.binder.select import bind_query

    if view.name.lower() in binding.views:
        raise OperationalError(f"view {view.name} is circularly defined")
    sql, views, schema = binding.sql, binding.views, binding.schema
    binding.sql, binding.views = view.sql, (*views, view.name.lower())
    binding.schema = schema if view.temporary else schema.stored
    try:
        node = bind_query(_view_tree(view.sql), binding, None, {})
    finally:
        binding.sql, binding.views, binding.schema = sql, views, schema
    source = output_source(node)
    if view.columns and len(view.columns) != len(binding.fields[source]):
        raise OperationalError(
            f"expected {len(view.columns)} columns for '{view.name}' but got {len(binding.fields[source])}"
        )
    binding.fields[source] = rename(binding.fields[source], view.columns, view.name)
    return node


# --- joins --------------------------------------------------------------------------------------------------------


def bind_join(left: Node, join: exp.Join, scope: Scope) -> Node:
    """One more FROM item, joined to those before it."""
    from zodbapi.binder.expr import bind_predicate

    before = list(scope.relations)
    right = bind_source(join.this, scope)
    added = scope.relations[len(before) :]
    side, kind = (join.args.get("side") or "").upper(), (join.args.get("kind") or "").upper()
    if kind not in (("", "OUTER") if side else ("", "INNER", "CROSS")):
        raise OperationalError(f"unknown join type: {f'{side} {kind}'.strip()}")
    using = join.args.get("using")
    if (join.args.get("method") or "").upper() == "NATURAL":
        names = _common_names(before, added)
    else:
        names = [column.name for column in using] if using else []
    if names:
        on: Expr | None = _bind_using(names, before, added, side, scope)
    else:
        on = bind_predicate(_condition(join), scope)
    if side in ("LEFT", "FULL"):
        _extend(added)
    if side in ("RIGHT", "FULL"):
        _extend(before)
    if not side:
        return Join("inner", left, right, on)
    if on is None:
        on = Const(1, INTEGER)
    if side == "RIGHT":
        left, right = right, left
    return Join("full" if side == "FULL" else "left", left, right, on)


def _condition(join: exp.Join) -> exp.Expression | None:
    on: exp.Expression | None = join.args.get("on")
    return None if isinstance(on, exp.Boolean) and on.this else on


def _extend(relations: Sequence[Relation]) -> None:
    for relation in relations:
        relation.nullable = True


def _common_names(left: Sequence[Relation], right: Sequence[Relation]) -> list[str]:
    known = {f.name.lower() for r in left for i, f in enumerate(r.fields) if i not in r.hidden}
    return [f.name for r in right for i, f in enumerate(r.fields) if i not in r.hidden and f.name.lower() in known]


def _bind_using(
    names: Sequence[str], left: Sequence[Relation], right: Sequence[Relation], side: str, scope: Scope
) -> Expr:
    tests: list[Expr] = []
    for name in names:
        folded = name.lower()
        found = [
            (r, r.positions[folded]) for r in right if folded in r.positions and r.positions[folded] not in r.hidden
        ]
        first = [
            (r, r.positions[folded]) for r in left if folded in r.positions and r.positions[folded] not in r.hidden
        ]
        if not found or not first:
            raise OperationalError(f"cannot join using column {name} - column not present in both tables")
        if len(first) > 1 and folded not in scope.merged:
            raise OperationalError(f"ambiguous reference to {name} in USING()")
        merged = scope.merged.setdefault(folded, Merged([(*first[0], "")]))
        relation, position = found[0]
        tests.append(compare("=", merged.expr(), relation.column(position), scope.binding))
        merged.parts.append((relation, position, side))
        relation.hidden.add(position)
    return conjunction(tests)


def visible(scope: Scope, relation: Relation) -> list[tuple[Expr, str]]:
    """The columns that ``*`` shows of a relation."""
    shown: list[tuple[Expr, str]] = []
    for i, column in enumerate(relation.fields):
        if i in relation.hidden:
            continue
        merged = scope.merged.get(column.name.lower())
        owner = merged is not None and merged.parts[0][0] is relation
        shown.append((merged.expr() if merged is not None and owner else relation.column(i), column.name))
    return shown
