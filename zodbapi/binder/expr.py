"""Expressions: sqlglot trees in, plan expressions out.

One rule a class of tree, found in ``_RULES``. Chains of AND, OR and left-leaning operators are walked in loops,
because they get long; everything else recurses two frames a level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from sqlglot import exp

from zodbapi.binder.calls import bind_call, bind_named, bind_window_call
from zodbapi.binder.collation import collated
from zodbapi.binder.compare import (
    between,
    bind_row,
    compare,
    compare_rows,
    conjunction,
    disjunction,
    in_list,
    in_query,
    negate,
    row_size,
)
from zodbapi.binder.row_list import bind_row_list
from zodbapi.binder.scope import Scope
from zodbapi.binder.types import declared_type
from zodbapi.binder.typing import (
    affinity_of,
    arithmetic,
    coerce_comparison,
    merge_exprs,
    negation,
    nullable,
    type_of,
)
from zodbapi.catalog import BLOB, BOOLEAN, INTEGER, REAL, TEXT, Kind
from zodbapi.errors import OperationalError
from zodbapi.plan.expr import Case, Cast, Const, Exists, Expr, IsNull, Param, ParamList, ScalarQuery, Unary
from zodbapi.plan.nodes import Node, output_source
from zodbapi.values.collation import collation_key

__all__ = [
    "affinity_of",
    "bind_expr",
    "bind_predicate",
    "bind_projection",
    "bind_row",
    "bind_subquery",
    "coerce_comparison",
    "plus",
]

Rule = Callable[[Any, Scope], Expr]


def bind_expr(tree: exp.Expression, scope: Scope) -> Expr:
    """The plan expression of a tree; subqueries in it are bound with ``scope`` as their outer scope."""
    while type(tree) is exp.Paren:
        tree = tree.this
    rule = _RULES.get(type(tree))
    if tree is None:
        raise OperationalError("incomplete input")
    if isinstance(tree, exp.Concat):  # texts side by side
        tree = tree.expressions[-1]
        rule = None
    if rule is None:
        raise OperationalError(f"near {tree.sql('sqlite')!r}: syntax error")
    return rule(tree, scope)


def bind_predicate(tree: exp.Expression | None, scope: Scope) -> Expr | None:
    """A WHERE, ON or CHECK condition, where aggregates and windows are an error; None stays None.

    ``tree`` may be the ``exp.Where`` itself.
    """
    if tree is None:
        return None
    if isinstance(tree, exp.Where):
        tree = tree.this
    aggregation, windows = scope.aggregation, scope.windows
    scope.aggregation = scope.windows = None
    try:
        return bind_expr(tree, scope)
    finally:
        scope.aggregation, scope.windows = aggregation, windows


def bind_subquery(tree: exp.Expression, scope: Scope) -> Node:
    """The plan of a query inside an expression."""
    from zodbapi.binder.select import bind_query

    return bind_query(tree, scope.binding, scope, scope.ctes)


def bind_projection(trees: Sequence[exp.Expression], scope: Scope) -> tuple[tuple[Expr, ...], tuple[str, ...]]:
    """Expressions and result column names of a RETURNING, with stars expanded."""
    from zodbapi.binder.projection import bind_items, expand_items

    items = bind_items(expand_items(trees, scope), scope)
    return tuple(item.expr for item in items if item.expr is not None), tuple(item.name for item in items)


# --- leaves -------------------------------------------------------------------------------------------------------


def _column(tree: exp.Column, scope: Scope) -> Expr:
    args = tree.args
    name = args["this"]
    if type(name) is not exp.Identifier:
        raise OperationalError(f'near "{name.sql()}": syntax error')
    database = args.get("db")
    if database is not None and database.name.lower() not in ("main", "temp"):
        raise OperationalError(f"no such column: {tree.sql()}")
    table = args.get("table")
    return scope.resolve(name.args["this"], table.args["this"] if table is not None else "")


def _literal(tree: exp.Literal, scope: Scope) -> Expr:
    text = tree.args["this"]
    if tree.args["is_string"]:
        return Const(text, TEXT)
    if text.isdigit():
        value = int(text)
        return Const(value, INTEGER) if value < 2**63 else Const(float(text), REAL)
    try:
        return Const(float(text), REAL)
    except ValueError:
        raise OperationalError(f'unrecognized token: "{text}"') from None


def _blob(tree: exp.HexString, scope: Scope) -> Expr:
    try:
        return Const(bytes.fromhex(tree.name), BLOB)
    except ValueError:
        raise OperationalError(f"unrecognized token: \"x'{tree.name}'\"") from None


_LITERAL_TYPES = {"INTEGER": INTEGER, "REAL": REAL, "TEXT": TEXT}


def _param(tree: exp.Placeholder, scope: Scope) -> Expr:
    index, _, kind = tree.args["this"].partition("=")  # see ``parser.shapes``
    return Param(int(index), _LITERAL_TYPES[kind], nullable=False) if kind else Param(int(index))


def _null(tree: exp.Null, scope: Scope) -> Expr:
    return Const(None)


def _boolean(tree: exp.Boolean, scope: Scope) -> Expr:
    return Const(bool(tree.this), BOOLEAN)


# --- operators ----------------------------------------------------------------------------------------------------

_ARITHMETIC: dict[type, str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.DPipe: "||",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
}


def _arithmetic(tree: exp.Binary, scope: Scope) -> Expr:
    rest: list[tuple[str, exp.Expression]] = []
    operand = cast("exp.Expression", tree)
    while True:
        op = _ARITHMETIC.get(type(operand))
        if op is not None:
            rest.append((op, operand.args["expression"]))
        elif type(operand) is not exp.Paren:
            break
        operand = operand.args["this"]
    value = bind_expr(operand, scope)
    for op, right in reversed(rest):
        value = arithmetic(op, value, bind_expr(right, scope))
    return value


def _negative(tree: exp.Neg, scope: Scope) -> Expr:
    operand = tree.this.unnest()
    is_literal = isinstance(operand, exp.Literal)
    if is_literal and operand.this == "9223372036854775808" and not operand.is_string:
        return Const(-(2**63), INTEGER)
    value = bind_expr(operand, scope)
    if is_literal and isinstance(value, Const) and type(value.value) is float:
        return Const(-value.value, REAL)  # only a literal gives -0.0
    return negation(value)


def _bit_not(tree: exp.BitwiseNot, scope: Scope) -> Expr:
    operand = bind_expr(tree.this, scope)
    return Unary("~", operand, INTEGER, nullable(operand))


def plus(tree: exp.Expression, scope: Scope) -> Expr:
    """``+tree``: the value without its affinity."""
    operand = bind_expr(tree, scope)
    return Unary("+", operand, type_of(operand), nullable(operand))


def _collate(tree: exp.Collate, scope: Scope) -> Expr:
    operand = bind_expr(tree.this, scope)
    name = tree.expression.name
    collation_key(name, scope.binding.functions.collations)
    return collated(operand, (name.upper(), True), scope.binding)


def _cast(tree: exp.Cast, scope: Scope) -> Expr:
    operand = bind_expr(tree.this, scope)
    target = declared_type(tree.args["to"].args.get("kind") or tree.args["to"].sql())
    plain = target.kind in (Kind.INTEGER, Kind.REAL, Kind.NUMERIC, Kind.TEXT, Kind.BLOB)
    return Cast(operand, target, nullable(operand) or not plain)


def _case(tree: exp.Case, scope: Scope) -> Expr:
    base = tree.args.get("this")
    whens: list[tuple[Expr, Expr]] = []
    for when in tree.args["ifs"]:
        if base is None:
            condition = bind_expr(when.this, scope)
        else:
            condition = _compare_trees("=", base, when.this, scope)
        whens.append((condition, bind_expr(when.args["true"], scope)))
    other = tree.args.get("default")
    default: Expr = bind_expr(other, scope) if other is not None else Const(None)
    results = [result for _, result in whens] + [default]
    return Case(tuple(whens), default, merge_exprs(results), any(nullable(r) for r in results))


# --- logic and comparisons ----------------------------------------------------------------------------------------


def _flat(tree: exp.Expression, kind: type) -> list[exp.Expression]:
    """The operands of a chain of the same connector, in order, whichever way it leans."""
    terms: list[exp.Expression] = []
    stack = [tree]
    while stack:
        current = stack.pop()
        while type(current) is exp.Paren:
            current = current.this
        if type(current) is kind:
            stack.append(current.args["expression"])
            stack.append(current.args["this"])
        else:
            terms.append(current)
    return terms


def _and(tree: exp.And, scope: Scope) -> Expr:
    return conjunction([bind_expr(term, scope) for term in _flat(tree, exp.And)])


def _or(tree: exp.Or, scope: Scope) -> Expr:
    return disjunction([bind_expr(term, scope) for term in _flat(tree, exp.Or)])


def _not(tree: exp.Not, scope: Scope) -> Expr:
    return negate(bind_expr(tree.this, scope))


_COMPARISONS: dict[type, str] = {
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "is",
    exp.NullSafeNEQ: "is not",
}


_SINGLE = frozenset({exp.Column, exp.Placeholder, exp.Literal})  # what cannot be a row value, in most comparisons


def _comparison(tree: exp.Binary, scope: Scope) -> Expr:
    return _compare_trees(_COMPARISONS[type(tree)], tree.args["this"], tree.args["expression"], scope)


def _compare_trees(op: str, left: exp.Expression, right: exp.Expression, scope: Scope) -> Expr:
    if type(left) in _SINGLE and type(right) in _SINGLE:
        return compare(op, bind_expr(left, scope), bind_expr(right, scope), scope.binding)
    return compare_rows(op, bind_row(left, scope), bind_row(right, scope), scope.binding)


def _is(tree: exp.Is, scope: Scope) -> Expr:
    """``IS NULL``, ``IS TRUE`` and ``IS FALSE``; others are parsed as NullSafeEQ."""
    operand = bind_expr(tree.this, scope)
    right = tree.expression
    if isinstance(right, exp.Null):
        return IsNull(operand)
    # a condition that is never NULL: 1 where the operand is true
    truth = Case(((operand, Const(1, INTEGER)),), Const(0, INTEGER), INTEGER, nullable=False)
    if right.this:
        return truth
    return Case(((IsNull(operand), Const(0, INTEGER)), (operand, Const(0, INTEGER))), Const(1, INTEGER), INTEGER, False)


def _between(tree: exp.Between, scope: Scope) -> Expr:
    args = tree.args
    binding = scope.binding
    operand, low, high = (bind_row(args[name], scope) for name in ("this", "low", "high"))
    if len(operand) == len(low) == len(high) == 1:
        return between(operand[0], low[0], high[0], binding)
    return conjunction([compare_rows(">=", operand, low, binding), compare_rows("<=", operand, high, binding)])


def _in(tree: exp.In, scope: Scope) -> Expr:
    args = tree.args
    query = args.get("query")
    if query is None and args.get("field") is not None:
        query = _all_of(args["field"])
    items: Sequence[exp.Expression] | None = args.get("expressions")
    if query is None and items is None:
        raise OperationalError('near "IN": syntax error')
    items = items or ()
    if query is None and len(items) == 1 and isinstance(items[0], exp.Values):
        query = items[0]
    if query is not None:
        return in_query(bind_row(tree.this, scope), bind_subquery(query, scope), scope.binding)
    if (rows := bind_row_list(items, scope.binding)) is not None:
        return in_query(bind_row(tree.this, scope), rows, scope.binding)
    if row_size(tree.this) > 1 and items:
        operand = bind_row(tree.this, scope)
        return disjunction([compare_rows("=", operand, bind_row(item, scope), scope.binding) for item in items])
    return in_list(bind_expr(tree.this, scope), _list_items(items, scope), scope.binding)


def _all_of(field: exp.Expression) -> exp.Select:
    """``SELECT * FROM table``, for ``IN table``."""
    if not isinstance(field, exp.Column) or not isinstance(field.this, exp.Identifier):
        raise OperationalError(f'near "{field.sql("sqlite")}": syntax error')
    table = exp.Table(this=exp.Identifier(this=field.name, quoted=True))
    if field.table:
        table.set("db", exp.Identifier(this=field.table, quoted=True))
    return exp.Select(expressions=[exp.Star()], from_=exp.From(this=table))


def _list_items(items: Sequence[exp.Expression], scope: Scope) -> list[Expr]:
    """The items of IN; a placeholder ``first:last`` stands for as many parameters (see ``parser``)."""
    if len(items) == 1 and isinstance(items[0], exp.Placeholder) and ":" in items[0].this:
        first, last = items[0].this.split(":")
        if last[0] == "~":
            size, _, kind = last[1:].partition("=")
            return [
                ParamList(int(first), int(size), _LITERAL_TYPES[kind], nullable=False)
                if kind
                else ParamList(int(first), int(size))
            ]
        return [Param(index) for index in range(int(first), int(last))]
    return [bind_expr(item, scope) for item in items]


# --- patterns, subqueries -----------------------------------------------------------------------------------------


# SQLite's, which folds ASCII letters; one that folds all letters; one that folds none (CLIKE, see ``dialect``).
_LIKES: dict[type, str] = {exp.Like: "like", exp.ILike: "ilike", exp.SimilarTo: "clike"}


def _pattern(name: str) -> Rule:
    def rule(tree: exp.Binary, scope: Scope, *more: Expr) -> Expr:
        subject, pattern = bind_expr(tree.this, scope), bind_expr(tree.expression, scope)
        test = bind_named(name, (pattern, subject, *more), scope)
        return negate(test) if tree.args.get("negate") else test

    return rule


def _escape(tree: exp.Escape, scope: Scope) -> Expr:
    inner = tree.this
    name = _LIKES.get(type(inner))
    if name is None:
        raise OperationalError('near "ESCAPE": syntax error')
    pattern, subject = bind_expr(inner.expression, scope), bind_expr(inner.this, scope)
    test = bind_named(name, (pattern, subject, bind_expr(tree.expression, scope)), scope)
    return negate(test) if inner.args.get("negate") else test


def _exists(tree: exp.Exists, scope: Scope) -> Expr:
    return Exists(bind_subquery(tree.this, scope))


def _scalar_query(tree: exp.Expression, scope: Scope) -> Expr:
    query = bind_subquery(tree, scope)
    fields = scope.binding.fields[output_source(query)]
    if len(fields) != 1:
        raise OperationalError(f"sub-select returns {len(fields)} columns - expected 1")
    return ScalarQuery(query, fields[0].type)


def _misused_row(tree: exp.Tuple, scope: Scope) -> Expr:
    raise OperationalError("row value misused")


_RULES: dict[type, Rule] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.HexString: _blob,
    exp.Placeholder: _param,
    exp.Null: _null,
    exp.Boolean: _boolean,
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    exp.Neg: _negative,
    exp.BitwiseNot: _bit_not,
    exp.Collate: _collate,
    exp.Cast: _cast,
    exp.Case: _case,
    exp.And: _and,
    exp.Or: _or,
    exp.Not: _not,
    **dict.fromkeys(_COMPARISONS, _comparison),
    exp.Is: _is,
    exp.Between: _between,
    exp.In: _in,
    **{form: _pattern(name) for form, name in _LIKES.items()},
    exp.Glob: _pattern("glob"),
    exp.RegexpLike: _pattern("regexp"),
    exp.Match: _pattern("match"),
    exp.Escape: _escape,
    exp.Exists: _exists,
    exp.Subquery: _scalar_query,
    exp.Select: _scalar_query,
    exp.Values: _scalar_query,
    exp.Tuple: _misused_row,
    exp.Anonymous: bind_call,
    exp.Filter: bind_call,
    exp.Window: bind_window_call,
    exp.CurrentDate: lambda tree, scope: bind_named("current_date", (), scope),
    exp.CurrentTime: lambda tree, scope: bind_named("current_time", (), scope),
    exp.CurrentTimestamp: lambda tree, scope: bind_named("current_timestamp", (), scope),
}
