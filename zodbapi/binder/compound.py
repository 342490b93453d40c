"""Compound queries, VALUES, and ORDER BY and LIMIT on top of any finished query."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from zodbapi.binder.collation import BINARY, collated, collation_of, own_collation
from zodbapi.binder.order import bind_limit, checked_ordinal, ordinal, ordinal_word, sort_key, without_collate
from zodbapi.binder.scope import Binding, Field, Scope
from zodbapi.binder.typing import affinity_of, merge_exprs, merge_types, nullable
from zodbapi.errors import OperationalError
from zodbapi.parser.column_runs import item_trees
from zodbapi.plan.expr import Column, SortKey
from zodbapi.plan.nodes import Compound, Limit, Node, Sort, Values, output_source
from zodbapi.record import replace


def bind_compound(tree: exp.SetOperation, scope: Scope) -> Node:
    """UNION, INTERSECT and EXCEPT. They are left-associative; the chain is walked in a loop."""
    from zodbapi.binder.select import bind_query

    chain: list[exp.SetOperation] = [tree]
    while isinstance(first := _left(chain[-1]), exp.SetOperation) and not first.args.get("with_"):
        chain.append(first)
    for operation in chain:
        for clause, word in (("order", "ORDER BY"), ("limit", "LIMIT")):
            if operation.this.args.get(clause) and not isinstance(operation.this, exp.Subquery):
                raise OperationalError(f"{word} clause should come after {operation.key.upper()} not before")
    node = bind_query(chain[-1].this, scope.binding, scope.outer, scope.ctes)
    rights = [bind_query(operation.expression, scope.binding, scope.outer, scope.ctes) for operation in reversed(chain)]
    # All operations of a chain tell rows apart in one way, as in SQLite.
    every = [scope.binding.fields[output_source(part)] for part in (node, *rights)]
    brought = [next((f.brings for f in column if f.brings), None) for column in zip(*every, strict=False)]
    for operation, right in zip(reversed(chain), rights, strict=True):
        node = _combine(operation, node, right, scope.binding, brought)
    return bind_modifiers(node, tree, scope)


def _left(operation: exp.SetOperation) -> exp.Expression:
    """The left part; sqlglot puts parentheses around what comes before an INTERSECT, which SQLite binds no tighter."""
    left: exp.Expression = operation.this
    if not isinstance(left, exp.Subquery) or any(value for name, value in left.args.items() if name != "this"):
        return left
    inner: exp.Expression = left.this
    return left if inner.args.get("order") or inner.args.get("limit") else inner


def _combine(
    operation: exp.SetOperation, left: Node, right: Node, binding: Binding, brought: Sequence[tuple[str, bool] | None]
) -> Node:
    a, b = binding.fields[output_source(left)], binding.fields[output_source(right)]
    keep_all = not operation.args.get("distinct")
    if len(a) != len(b):
        word = f"{operation.key.upper()}{' ALL' if keep_all else ''}"
        raise OperationalError(f"SELECTs to the left and right of {word} do not have the same number of result columns")
    if keep_all and not isinstance(operation, exp.Union):
        raise OperationalError('near "ALL": syntax error')
    source = binding.new_source()
    binding.fields[source] = [_field(operation.key, x, y) for x, y in zip(a, b, strict=True)]
    brings = brought or [field.brings for field in binding.fields[source]]
    collations = tuple(found[0] if found else BINARY for found in brings)
    return Compound(source, operation.key, keep_all, left, right, collations)


def _field(op: str, a: Field, b: Field) -> Field:
    """The column of a compound: duplicates and ORDER BY use what the leftmost expression brings that brings any collation."""
    brings = a.brings or b.brings
    if op != "union":  # the rows are the left ones
        return replace(a, brings=brings)
    return replace(a, type=merge_types((a.type, b.type)), nullable=a.nullable or b.nullable, brings=brings)


def bind_values(tree: exp.Values, scope: Scope) -> Node:
    """VALUES as a query; its columns are called column1, column2, ..."""
    from zodbapi.binder.expr import bind_expr

    inner = Scope(scope.binding, scope.outer, scope.ctes)
    rows = tuple(tuple(bind_expr(item, inner) for item in _row_items(row)) for row in tree.expressions)
    if len({len(row) for row in rows}) != 1:
        raise OperationalError("all VALUES must have the same number of terms")
    source = scope.binding.new_source()
    fields: list[Field] = []
    for i in range(len(rows[0])):
        column = [row[i] for row in rows]
        affinity = affinity_of(column[0], scope.binding) if len(rows) == 1 else None
        can = any(map(nullable, column))
        collation = own_collation(column[0])
        brings = collation_of(column[0])
        fields.append(Field(f"column{i + 1}", merge_exprs(column), can, collation, affinity, brings))
    scope.binding.fields[source] = fields
    return bind_modifiers(Values(source, rows), tree, scope)


def _row_items(row: exp.Expression) -> Sequence[exp.Expression]:
    if isinstance(row, exp.Tuple):
        return row.expressions
    return [row.this] if isinstance(row, exp.Paren) else [row]


def bind_modifiers(node: Node, tree: exp.Expression, scope: Scope) -> Node:
    """The query with ORDER BY, LIMIT and OFFSET of ``tree`` on top, which see its result columns only."""
    source = output_source(node)
    order = bind_compound_order(tree, source, scope.binding.fields[source], scope)
    if order:
        node = Sort(node, order)
    limit, offset = bind_limit(tree, scope)
    return Limit(node, limit, offset) if limit is not None else node


def bind_compound_order(
    tree: exp.Expression, source: int, fields: Sequence[Field], scope: Scope
) -> tuple[SortKey, ...]:
    """The keys of an ORDER BY whose terms must be result columns: by number, name, or the same expression."""
    order = tree.args.get("order")
    keys: list[SortKey] = []
    for i, term in enumerate(order.expressions if order is not None else ()):
        wanted, collation = without_collate(term.this)
        position = _result_column(wanted, i, tree, fields)
        shown = fields[position]
        column = Column(source, position, shown.type, shown.nullable, BINARY, shown.name)
        brings = (collation, True) if collation else shown.brings
        keys.append(sort_key(term, collated(column, brings, scope.binding)))
    return tuple(keys)


def _result_column(wanted: exp.Expression, term: int, tree: exp.Expression, fields: Sequence[Field]) -> int:
    number = ordinal(wanted)
    if number is not None:
        return checked_ordinal(number, len(fields), "ORDER", term)
    if isinstance(wanted, exp.Column) and wanted.args.get("table") is None:
        for i, shown in enumerate(fields):
            if shown.name.lower() == wanted.name.lower():
                return i
    for select in _selects(tree):
        for i, item in enumerate(item_trees(select)):
            plain = item.this if isinstance(item, exp.Alias) else item
            if plain == wanted or (isinstance(wanted, exp.Column) and item.alias.lower() == wanted.name.lower()):
                return i
    raise OperationalError(f"{ordinal_word(term + 1)} ORDER BY term does not match any column in the result set")


def _selects(tree: exp.Expression) -> list[exp.Select]:
    """The SELECTs of a compound, from left to right."""
    found: list[exp.Select] = []
    stack = [tree]
    while stack:
        current = stack.pop()
        if isinstance(current, exp.SetOperation):
            stack += [current.expression, current.this]
        elif isinstance(current, exp.Subquery):
            stack.append(current.this)
        elif isinstance(current, exp.Select) and not any(isinstance(e, exp.Star) for e in current.expressions):
            found.append(current)
    return found
