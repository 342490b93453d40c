"""Comparisons: ``= < IS BETWEEN IN`` over values and row values.

In: bound operands, or trees that may be row values. Out: predicates whose operands carry their ``Affine`` and whose
collation is decided. Row values are split into And and Or of single comparisons, which is what their meaning is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from zodbapi.binder.collation import Collation, collated, collation_of, comparison_collation, own_collation, uncollated
from zodbapi.binder.scope import Binding, Scope
from zodbapi.binder.typing import (
    affinity_of,
    coerce_comparison,
    conversions,
    convert,
    member_conversions,
    nullable,
    type_of,
)
from zodbapi.catalog import INTEGER
from zodbapi.errors import OperationalError
from zodbapi.plan.expr import (
    Affine,
    And,
    Between,
    Binary,
    Case,
    Cast,
    Collate,
    Column,
    Compare,
    Const,
    Expr,
    InList,
    InQuery,
    Not,
    Or,
    Param,
    ParamList,
    ScalarQuery,
    Unary,
)
from zodbapi.plan.nodes import Compound, Limit, Node, Project, Sort, Values, output_source
from zodbapi.plan.walk import descend
from zodbapi.record import replace

if TYPE_CHECKING:
    from zodbapi.catalog import Type

NULL_SAFE = frozenset({"is", "is not"})


def compare(op: str, left: Expr, right: Expr, binding: Binding) -> Compare:
    """``left op right`` with collation and affinity."""
    collation = comparison_collation(left, right)
    left, right = coerce_comparison(left, right, binding)
    can = op not in NULL_SAFE and (nullable(left) or nullable(right))
    return Compare(op, left, right, collation, can)


def conjunction(terms: Sequence[Expr]) -> Expr:
    """AND of the terms, flat; of one term, the term."""
    flat: list[Expr] = []
    for term in terms:
        flat.extend(term.terms) if isinstance(term, And) else flat.append(term)
    return flat[0] if len(flat) == 1 else And(tuple(flat), any(nullable(t) for t in flat))


def disjunction(terms: Sequence[Expr]) -> Expr:
    """OR of the terms, flat; of one term, the term."""
    flat: list[Expr] = []
    for term in terms:
        flat.extend(term.terms) if isinstance(term, Or) else flat.append(term)
    return flat[0] if len(flat) == 1 else Or(tuple(flat), any(nullable(t) for t in flat))


def negate(expr: Expr) -> Expr:
    """``NOT expr``."""
    return Not(expr, nullable(expr))


def compare_rows(op: str, left: Sequence[Expr], right: Sequence[Expr], binding: Binding) -> Expr:
    """A comparison of two row values of the same size, or of two values."""
    if len(left) != len(right):
        raise OperationalError("row value misused")
    pairs = list(zip(left, right, strict=True))
    if op in ("=", "is"):
        return conjunction([compare(op, a, b, binding) for a, b in pairs])
    if op in ("!=", "is not"):
        return disjunction([compare(op, a, b, binding) for a, b in pairs])
    strict = op[0]
    result: Expr = compare(op, *pairs[-1], binding)
    for a, b in reversed(pairs[:-1]):
        equal = conjunction([compare("=", a, b, binding), result])
        result = disjunction([compare(strict, a, b, binding), equal])
    return result


def between(operand: Expr, low: Expr, high: Expr, binding: Binding) -> Expr:
    """``operand BETWEEN low AND high``; as two comparisons when the bounds convert or collate differently.

    A COLLATE in a bound decides nothing further out, in SQLite too.
    """
    above, below = (
        replace(test, right=uncollated(test.right, binding))
        for test in (compare(">=", operand, low, binding), compare("<=", operand, high, binding))
    )
    if above.left == below.left and above.collation == below.collation:
        return Between(above.left, above.right, below.right, above.collation, above.nullable or below.nullable)
    return conjunction([above, below])


def in_list(operand: Expr, items: Sequence[Expr], binding: Binding) -> Expr:
    """``operand IN (items)``. Only the operand's affinity and collation count, unless the list is one constant."""
    if not items:
        return Const(0, INTEGER)
    single = len(items) == 1 and not isinstance(items[0], ParamList) and _is_constant(items[0])
    collation = comparison_collation(operand, items[0]) if single else own_collation(operand)
    affinity = affinity_of(operand, binding)
    _, conversion = conversions(affinity, None)
    converted = tuple(items)
    if conversion is not None:
        converted = tuple(convert(item, conversion) for item in converted)
    can = nullable(operand) or any(nullable(item) for item in converted)
    return InList(operand, converted, collation, can)


def in_query(operands: Sequence[Expr], query: Node, binding: Binding) -> Expr:
    """``(operands) IN (query)``. Of a compound's SELECTs the last decides on affinity and collation, as in SQLite."""
    fields = binding.fields[output_source(query)]
    columns = _last_select(query, binding)
    if len(fields) != len(operands):
        if len(operands) == 1:
            raise OperationalError(f"sub-select returns {len(fields)} columns - expected 1")
        raise OperationalError(f"sub-select returns {len(fields)} columns - expected {len(operands)}")
    converted: list[Expr] = []
    affinities: list[Type | None] = []
    collations: list[str] = []
    can = False
    for operand, shown in zip(operands, fields, strict=True):
        position = len(converted)
        affinity, brings = columns[position]
        to_left, to_right = member_conversions(affinity_of(operand, binding), affinity)
        column = Column(output_source(query), position, shown.type, shown.nullable)
        given = convert(column, to_right) if to_right else column
        converted.append(convert(operand, to_left) if to_left else operand)
        affinities.append(given.type if isinstance(given, Affine) else None)
        collations.append(comparison_collation(operand, collated(column, brings, binding)))
        can = can or nullable(operand) or shown.nullable
    return InQuery(tuple(converted), query, tuple(affinities), tuple(collations), can)


def _last_select(query: Node, binding: Binding) -> list[tuple[Type | None, Collation | None]]:
    """The affinities of a query's columns, and the collations that they bring: of a compound, those of its last SELECT."""
    while isinstance(query, (Compound, Limit, Sort)):
        query = query.right if isinstance(query, Compound) else query.input
    if isinstance(query, Values):
        return [(affinity_of(expr, binding), collation_of(expr)) for expr in query.rows[-1]]
    fields = binding.fields[output_source(query)]
    return [
        (affinity_of(Column(output_source(query), i, shown.type), binding), shown.brings)
        for i, shown in enumerate(fields)
    ]


def _is_constant(expr: Expr) -> bool:
    """Whether SQLite reads ``x IN (expr)`` as ``x = +expr``: a computation without columns, calls and subqueries."""
    return all(isinstance(part, (Const, Param, Unary, Binary, Cast, Collate, Case, Compare)) for part in descend(expr))


def row_size(tree: exp.Expression) -> int:
    """How many values a tree stands for: a row value's size, 0 for a subquery (as many as it has columns), else 1."""
    while isinstance(tree, exp.Paren):
        tree = tree.this
    if isinstance(tree, exp.Tuple):
        return len(tree.expressions)
    return 0 if isinstance(tree, exp.Subquery) else 1


def bind_row(tree: exp.Expression, scope: Scope) -> tuple[Expr, ...]:
    """The values of a row value ``(a, b)`` or of a row-valued subquery; one value for anything else.

    A subquery of several columns becomes one scalar subquery a column.
    """
    from zodbapi.binder.expr import bind_expr, bind_subquery

    while isinstance(tree, exp.Paren):
        tree = tree.this
    if isinstance(tree, exp.Tuple):
        return tuple(bind_expr(item, scope) for item in tree.expressions)
    if not isinstance(tree, exp.Subquery):
        return (bind_expr(tree, scope),)
    query = bind_subquery(tree, scope)
    width = len(scope.binding.fields[output_source(query)])
    if width == 1:
        return (bind_expr(tree, scope),)
    queries = [query, *(bind_subquery(tree, scope) for _ in range(width - 1))]
    return tuple(_one_column(query, i, scope.binding) for i, query in enumerate(queries))


def _one_column(query: Node, position: int, binding: Binding) -> Expr:
    shown = binding.fields[output_source(query)][position]
    column = Column(output_source(query), position, shown.type, shown.nullable, shown.collation, shown.name)
    source = binding.new_source()
    binding.fields[source] = (shown,)
    value = ScalarQuery(Project(source, query, (column,), (shown.name,)), type_of(column))
    return collated(value, shown.brings, binding)
