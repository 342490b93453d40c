"""Select lists: stars expanded, and what the result columns are called.

A result column has its alias as name, or the name of the column that it plainly is, or else the text of its expression.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from zodbapi.binder.expr import bind_expr
from zodbapi.binder.from_clause import visible
from zodbapi.binder.scope import Relation, Scope
from zodbapi.errors import OperationalError
from zodbapi.parser.column_runs import RunColumn, run_columns
from zodbapi.plan.expr import Column, Expr, Rowid
from zodbapi.record import record


@record(slots=True)
class Item:
    """One result column: ``tree`` until it is bound (None when it comes from a star), then ``expr``.

    A column of a run (see ``parser.column_runs``) has both from the start, and the run's tree.
    """

    name: str
    tree: exp.Expression | None
    expr: Expr | None = None
    alias: bool = False


def expand_items(trees: Sequence[exp.Expression], scope: Scope) -> list[Item]:
    """The items of a select list, with a bound one for each column that a star stands for."""
    if not trees:
        raise OperationalError('near "FROM": syntax error')
    items: list[Item] = []
    for tree in trees:
        if isinstance(tree, exp.Alias):
            items.append(Item(tree.alias, tree.this, alias=True))
        elif isinstance(tree, exp.Concat) and len(tree.expressions) == 2:  # 'value' 'name'
            value, name = tree.expressions
            items.append(Item(name.name, value, alias=True))
        elif isinstance(tree, exp.Star):
            if not scope.relations:
                raise OperationalError("no tables specified")
            for relation in scope.relations:
                items.extend(Item(name, None, expr) for expr, name in visible(scope, relation))
        elif isinstance(tree, exp.Column) and isinstance(tree.this, exp.Star):
            for relation in _named(tree.args["table"].name, scope):
                items.extend(Item(f.name, None, relation.column(i)) for i, f in enumerate(relation.fields))
        else:
            columns = run_columns(tree)
            items += [Item("", tree)] if columns is None else _run_items(tree, columns, scope)
    return items


def _run_items(tree: exp.Expression, columns: Sequence[RunColumn], scope: Scope) -> Iterator[Item]:
    relations: dict[str, Relation | None] = {}
    for table, name, alias in columns:
        if table not in relations:
            found = [relation for relation in scope.relations if relation.folded == table.lower()]
            relations[table] = found[0] if len(found) == 1 else None
        relation = relations[table]
        position = None if relation is None else relation.positions.get(name.lower())
        if relation is None or position is None:
            expr = scope.resolve(name, table)
        else:
            expr = relation.column(position)
        yield Item(alias or _column_name(expr, name), tree, expr, bool(alias))


def _named(name: str, scope: Scope) -> list[Relation]:
    found = [relation for relation in scope.relations if relation.name.lower() == name.lower()]
    if not found:
        raise OperationalError(f"no such table: {name}")
    return found


def bind_items(items: Sequence[Item], scope: Scope) -> list[Item]:
    """The items bound, and named."""
    bound: list[Item] = []
    for item in items:
        if item.expr is not None or item.tree is None:
            bound.append(item)
            continue
        expr = bind_expr(item.tree, scope)
        bound.append(Item(item.name if item.alias else _name(item.tree, expr, scope), item.tree, expr, item.alias))
    return bound


def _name(tree: exp.Expression, expr: Expr, scope: Scope) -> str:
    plain = tree
    while isinstance(plain, exp.Paren):
        plain = plain.this
    if isinstance(expr, Rowid):
        return "rowid"
    if isinstance(plain, exp.Column):
        return _column_name(expr, plain.name) if plain is tree else plain.name
    return _text(tree, scope.binding.sql)


def _column_name(expr: Expr, name: str) -> str:
    """What a column without alias is called that a statement calls ``name``."""
    if isinstance(expr, Rowid):
        return "rowid"
    return (isinstance(expr, Column) and expr.name) or name


def _text(tree: exp.Expression, sql: str) -> str:
    from zodbapi.parser import item_text

    first = min(_positions(tree), default=None)
    if first is None or not sql:
        return tree.sql("sqlite")
    return item_text(sql, *first)


def _positions(tree: exp.Expression) -> Iterator[tuple[int, int]]:
    """Where the names and literals of a tree start, each with the number of SELECTs around it inside the tree."""
    stack: list[tuple[exp.Expression, int]] = [(tree, 0)]
    while stack:
        node, nested = stack.pop()
        meta = node._meta
        if meta and "start" in meta:
            yield meta["start"], nested
        for key, value in node.args.items():
            inside = nested + (isinstance(node, exp.Select) and key != "with_")
            children = value if isinstance(value, list) else (value,)
            stack.extend((child, inside) for child in children if isinstance(child, exp.Expression))
