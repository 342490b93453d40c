"""Calls: scalar functions, aggregates, and window functions.

In: ``exp.Anonymous``, alone or inside ``exp.Filter`` and ``exp.Window``. Out: a ``Call``; or the column under which
the query's Aggregate or Window node will give the result, with the call added to that query's ``Aggregation`` or
``Windows``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from zodbapi.binder.collation import BINARY, collated, collation_of, first_collation, own_collation
from zodbapi.binder.order import bind_order_terms
from zodbapi.binder.scope import Scope
from zodbapi.binder.typing import merge_exprs, nullable, type_of
from zodbapi.catalog import JSON, Kind
from zodbapi.errors import OperationalError
from zodbapi.functions import aggregate, conditional
from zodbapi.functions.json import MARK, NESTING
from zodbapi.parser.dialect import PLUS
from zodbapi.plan.expr import AggregateCall, Call, Case, Column, Compare, Const, Expr, SortKey, WindowCall
from zodbapi.plan.walk import free_sources
from zodbapi.record import record, replace
from zodbapi.values.collation import collation_key

if TYPE_CHECKING:
    from zodbapi.functions.registry import AggregateFunction, Function


@record(slots=True)
class CallParts:
    """A call taken apart."""

    name: str
    args: Sequence[exp.Expression]
    star: bool = False
    distinct: bool = False
    order: exp.Order | None = None
    filter: exp.Expression | None = None


def read_call(tree: exp.Expression) -> CallParts:
    """Takes a call apart: ``name(DISTINCT args ORDER BY terms) FILTER (WHERE condition)``."""
    condition: exp.Expression | None = None
    if isinstance(tree, exp.Filter):
        condition = tree.expression.this
        tree = tree.this
    if not isinstance(tree, exp.Anonymous):
        raise OperationalError(f'near "{tree.sql("sqlite")}": syntax error')
    name = tree.this if isinstance(tree.this, str) else tree.this.name
    parts = CallParts(name, tree.expressions, filter=condition)
    if not parts.args:
        return parts
    last = parts.args[-1]
    if isinstance(last, exp.Order):
        parts.order = last
        parts.args = [*parts.args[:-1], last.this] if last.this is not None else parts.args[:-1]
    if parts.args and isinstance(parts.args[0], exp.Distinct):
        parts.distinct = True
        parts.args = [*parts.args[0].expressions, *parts.args[1:]]
    if len(parts.args) == 1 and isinstance(parts.args[0], exp.Star):
        parts.star = True
        parts.args = ()
    return parts


def bind_call(tree: exp.Expression, scope: Scope) -> Expr:
    """A scalar function or an aggregate."""
    parts = read_call(tree)
    functions = scope.binding.functions
    found = functions.aggregate(parts.name, len(parts.args))
    if found is not None:
        if found.kind == "window":
            raise OperationalError(f"misuse of window function {parts.name}()")
        return _bind_aggregate(found, parts, scope)
    if parts.name == PLUS and parts.args:
        from zodbapi.binder.expr import plus

        return plus(parts.args[0], scope)
    if parts.star:
        raise _wrong_call(parts.name, scope)
    if parts.filter is not None or parts.distinct or parts.order is not None:
        clause = "FILTER" if parts.filter is not None else "DISTINCT" if parts.distinct else "ORDER BY"
        if functions.knows(parts.name):
            raise OperationalError(f"{clause} may not be used with non-aggregate {parts.name}()")
        raise _wrong_call(parts.name, scope)
    return bind_named(parts.name, _bind_args(parts, scope), scope)


def bind_named(name: str, args: Sequence[Expr], scope: Scope) -> Expr:
    """A call of a scalar function by name."""
    function = scope.binding.functions.scalar(name, len(args))
    if function is None:
        raise _wrong_call(name, scope)
    folded = _bind_collated(function, args, scope)
    if folded is not None:
        return folded
    if function.name in ("like", "glob") and any(map(_may_be_blob, args)):
        function = replace(function, strict=False, nullable=True)  # a blob is like nothing, not even like NULL
    if function.name in ("coalesce", "ifnull"):
        can = all(nullable(arg) for arg in args)
    elif function.strict and not function.nullable:
        can = any(nullable(arg) for arg in args)
    else:
        can = function.nullable
    return Call(function, _inputs(function, args), function.result_type([type_of(arg) for arg in args]), can)


def _inputs(function: Function | AggregateFunction, args: Sequence[Expr]) -> tuple[Expr, ...]:
    """The arguments as the function wants them: those known to be JSON marked, so that they nest."""
    if not function.json_args:
        return tuple(args)
    return tuple(_nesting(arg) for arg in args)


def _may_be_blob(expr: Expr) -> bool:
    return isinstance(expr.value, bytes) if isinstance(expr, Const) else type_of(expr).kind in (Kind.BLOB, Kind.ANY)


def _nesting(arg: Expr) -> Expr:
    if isinstance(arg, Call) and arg.function.name in NESTING:
        return replace(arg, function=NESTING[arg.function.name])
    return Call(MARK, (arg,), JSON, nullable(arg)) if type_of(arg).kind is Kind.JSON else arg


def _bind_collated(function: Function, args: Sequence[Expr], scope: Scope) -> Expr | None:
    """``nullif``, ``min`` and ``max`` under a collation other than BINARY."""
    if function.name not in ("nullif", "min", "max"):
        return None
    collation = first_collation(args)
    if collation == BINARY:
        return None
    if function.name == "nullif":
        first, second = args
        equal = Compare("=", first, second, collation, nullable(first) or nullable(second))
        return Case(((equal, Const(None)),), first, type_of(first), True)
    folding = conditional.collating(function, collation_key(collation, scope.binding.functions.collations))
    return Call(folding, tuple(args), merge_exprs(args), any(nullable(arg) for arg in args))


def _wrong_call(name: str, scope: Scope) -> OperationalError:
    if scope.binding.functions.knows(name):
        return OperationalError(f"wrong number of arguments to function {name}()")
    return OperationalError(f"no such function: {name}")


def _bind_args(parts: CallParts, scope: Scope) -> tuple[Expr, ...]:
    from zodbapi.binder.expr import bind_expr

    return tuple(bind_expr(arg, scope) for arg in parts.args)


# --- aggregates ---------------------------------------------------------------------------------------------------


def _bind_aggregate(function: AggregateFunction, parts: CallParts, scope: Scope) -> Expr:
    if parts.distinct and not parts.args:
        # SQLite's words; unlike SQLite we take more than one, as PostgreSQL does.
        raise OperationalError("DISTINCT aggregates must have exactly one argument")
    call = _bind_inputs(function, parts, scope)
    owner = _owner(call, scope)
    if owner.aggregation is None:
        raise OperationalError(f"misuse of aggregate: {parts.name}()")
    return _bringing(owner.aggregation.add(call), call.args, scope)


def _bind_inputs(function: AggregateFunction, parts: CallParts, scope: Scope) -> AggregateCall:
    """The call with its inputs, in which other aggregates and windows of the same query are an error."""
    from zodbapi.binder.expr import bind_expr

    aggregation, windows = scope.aggregation, scope.windows
    scope.aggregation = scope.windows = None
    try:
        args = _bind_args(parts, scope)
        condition = bind_expr(parts.filter, scope) if parts.filter is not None else None
        order = bind_order_terms(parts.order, scope)
    finally:
        scope.aggregation, scope.windows = aggregation, windows
    return AggregateCall(
        function,
        _inputs(function, args),
        parts.distinct,
        condition,
        order,
        own_collation(args[0]) if args else BINARY,
        type=function.result_type([type_of(arg) for arg in args]),
        nullable=function.nullable,
    )


def _bringing(result: Column, args: Sequence[Expr], scope: Scope) -> Expr:
    """The result of an aggregate, which brings the first collation that COLLATE gives in its arguments, and no other."""
    found = next((found for found in map(collation_of, args) if found and found[1]), None)
    return collated(result, found, scope.binding)


def _owner(call: AggregateCall, scope: Scope) -> Scope:
    """The query level that an aggregate belongs to: the innermost whose columns its inputs use; without any, its
    own."""
    if scope.outer is None:
        return scope
    inputs: list[Expr | SortKey] = [*call.args, *call.order]
    if call.filter is not None:
        inputs.append(call.filter)
    used = frozenset().union(*(free_sources(part) for part in inputs))
    level: Scope | None = scope
    while used and level is not None:
        if used & level.local_sources():
            return level
        level = level.outer
    return scope


# --- windows ------------------------------------------------------------------------------------------------------


def bind_window_call(tree: exp.Window, scope: Scope) -> Expr:
    """A call with OVER."""
    parts = read_call(tree.this)
    functions, windows = scope.binding.functions, scope.windows
    function = functions.aggregate(parts.name, len(parts.args))
    if function is None:
        if functions.scalar(parts.name, len(parts.args)) is not None:
            raise OperationalError(f"{parts.name}() may not be used as a window function")
        raise _wrong_call(parts.name, scope)
    if windows is None:
        raise OperationalError(f"misuse of window function {parts.name}()")
    if parts.distinct:
        raise OperationalError("DISTINCT is not supported for window functions")
    if parts.filter is not None and function.kind == "window":
        raise OperationalError("FILTER clause may only be used with aggregate window functions")
    scope.windows = None
    try:
        call = _bind_over(function, parts, scope, windows.resolve(tree))
        return _bringing(windows.add(call), call.args, scope)
    finally:
        scope.windows = windows


def _bind_over(function: AggregateFunction, parts: CallParts, scope: Scope, over: exp.Window) -> WindowCall:
    from zodbapi.binder.expr import bind_expr
    from zodbapi.binder.window import bind_frame

    args = _bind_args(parts, scope)
    order = bind_order_terms(over.args.get("order"), scope)
    keys = [bind_expr(key, scope) for key in over.args.get("partition_by") or ()]
    collation = own_collation(args[0]) if args else BINARY
    if function.name in ("min", "max") and collation != BINARY:
        function = aggregate.collating(function, collation_key(collation, scope.binding.functions.collations))
    return WindowCall(
        function,
        _inputs(function, args),
        tuple(keys),
        order,
        bind_frame(over.args.get("spec"), order, scope),
        bind_expr(parts.filter, scope) if parts.filter is not None else None,
        function.result_type([type_of(arg) for arg in args]),
        function.nullable,
        tuple(own_collation(key) for key in keys),
    )
