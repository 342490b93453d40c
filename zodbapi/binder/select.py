"""Queries: SELECT in all its clauses, and the choice among SELECT, compounds, VALUES and parentheses.

The plan of a SELECT, from the bottom up: FROM, Filter (WHERE), Aggregate, Filter (HAVING), Window, Sort, Project,
Distinct, Limit. With DISTINCT, and where sorting below the projection would evaluate an expression twice, Sort comes
above the Project, which then carries what is only sorted by as hidden trailing columns that a last Project drops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from zodbapi.binder.aggregate import Aggregation, make_aggregation
from zodbapi.binder.collation import BINARY, collated, collation_of, own_collation, uncollated
from zodbapi.binder.compound import bind_compound, bind_modifiers, bind_values
from zodbapi.binder.cte import bind_with
from zodbapi.binder.expr import bind_expr, bind_predicate
from zodbapi.binder.from_clause import bind_from
from zodbapi.binder.order import bind_limit, checked_ordinal, ordinal, sort_key, without_collate
from zodbapi.binder.projection import Item, bind_items, expand_items
from zodbapi.binder.scope import Binding, Field, Scope
from zodbapi.binder.typing import affinity_of, nullable, type_of
from zodbapi.binder.window import Windows, make_windows
from zodbapi.errors import OperationalError
from zodbapi.plan.expr import Call, Column, Exists, Expr, InQuery, ScalarQuery, SortKey
from zodbapi.plan.nodes import Distinct, Filter, Limit, Node, Project, Sort, Window
from zodbapi.plan.walk import descend
from zodbapi.record import record

if TYPE_CHECKING:
    from zodbapi.binder.cte import Cte

__all__ = ["bind_from", "bind_limit", "bind_query", "bind_with", "query_fields"]


def bind_query(
    tree: exp.Expression, binding: Binding, outer: Scope | None = None, ctes: Mapping[str, Cte] | None = None
) -> Node:
    """The plan of a query (SELECT, VALUES, compound, parenthesised, with its WITH); the root is a single-source node.

    ``plan.nodes.output_source`` gives its source and ``output_names`` its names; ``binding.fields[source]`` its fields.
    """
    if ctes is None:
        ctes = outer.ctes if outer is not None else {}
    while isinstance(tree, exp.Subquery) and not any(tree.args.get(key) for key in _MODIFIERS):
        tree = tree.this
    scope = Scope(binding, outer, ctes, bind_alias=bind_expr)
    bind_with(tree, scope)
    match tree:
        case exp.Select():
            return _bind_select(tree, scope)
        case exp.SetOperation():
            return bind_compound(tree, scope)
        case exp.Values():
            return bind_values(tree, scope)
        case exp.Subquery():
            return bind_modifiers(bind_query(tree.this, binding, outer, scope.ctes), tree, scope)
        case _:
            raise OperationalError(f'near "{tree.sql("sqlite")}": syntax error')


_MODIFIERS = ("with_", "order", "limit", "offset")


def query_fields(node: Node, binding: Binding) -> Sequence[Field]:
    """The fields of a bound query."""
    from zodbapi.plan.nodes import output_source

    return binding.fields[output_source(node)]


@record(slots=True)
class Parts:
    """What a SELECT consists of, bound: expressions are lifted above the Aggregate node already."""

    items: list[Item]
    having: Expr | None
    order: list[SortKey]
    on: list[Expr]  # of DISTINCT ON
    aggregation: Aggregation | None
    windows: Windows


def _bind_select(tree: exp.Select, scope: Scope) -> Node:
    args = tree.args
    for lock in args.get("locks") or ():
        scope.binding.for_update = {None: "wait", True: "nowait", False: "skip locked"}[lock.args.get("wait")]
    below = bind_from(tree, scope)
    trees = expand_items(tree.expressions, scope)
    scope.aliases = _aliases(trees)
    where = bind_predicate(args.get("where"), scope)
    if where is not None:
        below = Filter(below, where)
    parts = _bind_parts(tree, trees, scope)
    if parts.aggregation is not None:
        below = parts.aggregation.node(below)
    if parts.having is not None:
        below = Filter(below, parts.having)
    if parts.windows.calls:
        below = Window(parts.windows.source, below, tuple(parts.windows.calls))
    node = _project(tree, below, parts, scope.binding)
    limit, offset = bind_limit(tree, scope)
    return Limit(node, limit, offset) if limit is not None else node


def _aliases(items: Sequence[Item]) -> dict[str, exp.Expression | Expr]:
    """What each alias stands for; of equal aliases the first counts."""
    found: dict[str, exp.Expression | Expr] = {}
    for item in items:
        if item.alias:
            value = item.tree if item.expr is None else item.expr
            assert value is not None
            found.setdefault(item.name.lower(), value)
    return found


# --- binding the clauses above WHERE ------------------------------------------------------------------------------


def _bind_parts(tree: exp.Select, trees: list[Item], scope: Scope) -> Parts:
    args, binding = tree.args, scope.binding
    aggregation = make_aggregation(binding)
    aggregation.local = scope.local_sources()
    _bind_group(args.get("group"), trees, aggregation, scope)
    windows = make_windows(binding, args.get("windows") or ())
    scope.aggregation, scope.windows = aggregation, windows
    aliases, scope.aliases = scope.aliases, {}  # items do not see each other
    items = bind_items(trees, scope)
    scope.aliases, scope.windows = aliases, None
    having = bind_expr(args["having"].this, scope) if args.get("having") else None
    grouped = bool(args.get("group") or aggregation.calls)
    scope.aggregation, scope.windows = aggregation if grouped else None, windows
    order = _bind_order(args.get("order"), items, scope)
    distinct = args.get("distinct")
    on = [bind_expr(e, scope) for e in distinct.args["on"].expressions] if distinct and distinct.args.get("on") else []
    scope.aggregation = scope.windows = None
    if having is not None and not grouped:
        raise OperationalError("HAVING clause on a non-aggregate query")
    if not grouped:
        return Parts(items, having, order, on, None, windows)
    lift = aggregation.lift
    having = lift(having) if having is not None else None
    windows.calls = {lift(call): i for call, i in windows.calls.items()}
    return Parts(
        [Item(item.name, None, lift(item.expr)) for item in items],
        having,
        [lift(key) for key in order],
        [lift(expr) for expr in on],
        aggregation,
        windows,
    )


def _bind_group(group: exp.Group | None, trees: Sequence[Item], aggregation: Aggregation, scope: Scope) -> None:
    """Adds the keys of GROUP BY: ordinals of the select list, columns, aliases, expressions."""
    if group is None:
        return
    for i, term in enumerate(group.expressions):
        plain, collation = without_collate(term)
        number = ordinal(plain)
        if number is None:
            aggregation.add_key(bind_expr(term, scope))
            continue
        item = trees[checked_ordinal(number, len(trees), "GROUP", i)]
        expr = item.expr
        if expr is None:
            assert item.tree is not None
            expr = bind_expr(item.tree, scope)
        aggregation.add_key(collated(expr, (collation, True), scope.binding) if collation else expr)


def _bind_order(order: exp.Order | None, items: Sequence[Item], scope: Scope) -> list[SortKey]:
    """The keys of ORDER BY: ordinals and aliases of the select list, before columns and expressions."""
    keys: list[SortKey] = []
    for i, term in enumerate(order.expressions if order is not None else ()):
        wanted, collation = without_collate(term.this)
        while isinstance(wanted, exp.Paren):
            wanted = wanted.this
        number = ordinal(wanted)
        position = None if number is None else checked_ordinal(number, len(items), "ORDER", i)
        if isinstance(wanted, exp.Column) and wanted.args.get("table") is None:
            position = _named_item(wanted.name.lower(), items)
        if position is None:
            expr = bind_expr(term.this, scope)
        else:
            found = items[position].expr
            assert found is not None
            expr = collated(found, (collation, True), scope.binding) if collation else found
        keys.append(sort_key(term, expr))
    return keys


def _named_item(name: str, items: Sequence[Item]) -> int | None:
    """The first result column with that alias, or with that name out of a star."""
    named = (i for i, item in enumerate(items) if (item.alias or item.tree is None) and item.name.lower() == name)
    return next(named, None)


# --- building the top ---------------------------------------------------------------------------------------------


def _project(tree: exp.Select, below: Node, parts: Parts, binding: Binding) -> Node:
    exprs = [item.expr for item in parts.items if item.expr is not None]
    names = tuple([item.name for item in parts.items])
    fields = [_field(name, expr, binding) for name, expr in zip(names, exprs, strict=True)]
    columns = [uncollated(expr, binding) for expr in exprs]
    parts.order = [uncollated(key, binding) for key in parts.order]
    folds = tuple([own_collation(expr) for expr in parts.on])
    parts.on = [uncollated(expr, binding) for expr in parts.on]
    distinct = tree.args.get("distinct")
    if distinct is None and not _sorts_above(parts.order, columns):
        if parts.order:
            below = Sort(below, tuple(parts.order))
        return _make_project(below, columns, names, fields, binding)
    top = _Top(list(columns), list(names), list(fields), binding.new_source())
    keys = [top.key(key) for key in parts.order]
    on = tuple(top.column(expr) for expr in parts.on)
    binding.fields[top.source] = top.fields
    node: Node = Project(top.source, below, tuple(top.columns), tuple(top.names))
    collations = tuple(field.collation for field in fields)
    if distinct is not None and not on:
        node = Distinct(node, len(names), (), collations)
    if keys:
        node = Sort(node, tuple(keys))
    if on:
        node = Distinct(node, len(names), on, folds)
    if len(top.columns) > len(names):
        kept = [top.column(expr) for expr in columns]
        node = _make_project(node, kept, names, fields, binding)
    return node


@record(slots=True)
class _Top:
    """The columns of a Project below Distinct or Sort, which grow by what has to be sorted by."""

    columns: list[Expr]
    names: list[str]
    fields: list[Field]
    source: int

    def column(self, expr: Expr) -> Column:
        """The output column with the value of an expression, added when there is none."""
        if expr not in self.columns:
            self.columns.append(expr)
            self.names.append("")
            self.fields.append(Field("", type_of(expr), nullable(expr), own_collation(expr)))
        position = self.columns.index(expr)
        shown = self.fields[position]
        return Column(self.source, position, shown.type, shown.nullable, shown.collation, shown.name)

    def key(self, key: SortKey) -> SortKey:
        """A sort key over the output columns."""
        return SortKey(self.column(key.expr), key.descending, key.nulls_first, key.collation)


def _make_project(
    below: Node, columns: Sequence[Expr], names: tuple[str, ...], fields: Sequence[Field], binding: Binding
) -> Project:
    source = binding.new_source()
    binding.fields[source] = fields
    return Project(source, below, tuple(columns), names)


def _field(name: str, expr: Expr, binding: Binding) -> Field:
    if type(expr) is Column and expr.source not in binding.fields:  # a table's
        return Field(name, expr.type, expr.nullable, expr.collation, expr.type, (expr.collation, False))
    brings = collation_of(expr)
    collation = brings[0] if brings else BINARY
    return Field(name, type_of(expr), nullable(expr), collation, affinity_of(expr, binding), brings)


def _sorts_above(order: Sequence[SortKey], columns: Sequence[Expr]) -> bool:
    """Whether a result column that is sorted by costs too much, or changes, when it is evaluated twice."""
    return any(not isinstance(key.expr, Column) and key.expr in columns and _dear(key.expr) for key in order)


def _dear(expr: Expr) -> bool:
    return any(
        isinstance(part, (ScalarQuery, Exists, InQuery)) or (isinstance(part, Call) and not part.function.deterministic)
        for part in descend(expr)
    )
