"""Expressions as text, close to the SQL that they came from."""

from __future__ import annotations

from collections.abc import Sequence

from zodbapi.plan.expr import (
    Affine,
    AggregateCall,
    And,
    Between,
    Binary,
    Call,
    Case,
    Cast,
    Column,
    Compare,
    Const,
    Exists,
    Expr,
    Frame,
    FrameBound,
    InList,
    InQuery,
    IsNull,
    Not,
    Or,
    Param,
    ParamList,
    Raise,
    Rowid,
    RowValue,
    ScalarQuery,
    SortKey,
    Unary,
    WindowCall,
)
from zodbapi.plan.walk import Part


def expression(part: Part) -> str:
    """The text of an expression, sort key or call."""
    match part:
        case SortKey():
            return _sort_key(part)
        case AggregateCall():
            return _aggregate_call(part)
        case WindowCall():
            return _window_call(part)
        case Column() | Rowid() | Const() | Param() | ParamList():
            return _leaf(part)
        case And() | Or() | Not() | Compare() | IsNull() | Between() | InList():
            return _predicate(part)
        case Exists() | ScalarQuery() | InQuery():
            return _query(part)
        case _:
            return _operation(part)


def _leaf(expr: Expr) -> str:
    match expr:
        case Column():
            return f"{expr.name or expr.position}#{expr.source}"
        case Rowid():
            return f"rowid#{expr.source}"
        case Param():
            return f"?{expr.index + 1}"
        case ParamList():
            return f"?{expr.index + 1}..."
        case Const(value=None):
            return "NULL"
        case Const(value=str() as value):
            return "'" + value.replace("'", "''") + "'"
        case Const(value=bytes() as value):
            return f"x'{value.hex()}'"
        case Const():
            return str(expr.value)
        case _:
            raise AssertionError(type(expr).__name__)


def _predicate(expr: Expr) -> str:
    match expr:
        case And():
            return " AND ".join(_bracketed(term) for term in expr.terms)
        case Or():
            return " OR ".join(_bracketed(term) for term in expr.terms)
        case Not(operand=IsNull(operand=operand)):
            return f"{_bracketed(operand)} IS NOT NULL"
        case Not():
            return f"NOT {_bracketed(expr.operand)}"
        case Compare():
            return f"{_bracketed(expr.left)} {expr.op.upper()} {_bracketed(expr.right)}{_collation(expr.collation)}"
        case IsNull():
            return f"{_bracketed(expr.operand)} IS NULL"
        case Between():
            bounds = f"{_bracketed(expr.low)} AND {_bracketed(expr.high)}"
            return f"{_bracketed(expr.operand)} BETWEEN {bounds}{_collation(expr.collation)}"
        case InList():
            return f"{_bracketed(expr.operand)} IN ({listed(expr.items)}){_collation(expr.collation)}"
        case _:
            raise AssertionError(type(expr).__name__)


def _query(expr: Expr) -> str:
    match expr:
        case Exists():
            return "EXISTS (...)"
        case ScalarQuery():
            return "(SELECT ...)"
        case InQuery():
            operands = listed(expr.operands)
            return f"{operands if len(expr.operands) == 1 else f'({operands})'} IN (SELECT ...)"
        case _:
            raise AssertionError(type(expr).__name__)


def _operation(part: Part) -> str:
    match part:
        case Affine():
            return f"{_bracketed(part.operand)}:{part.type.kind.value}"
        case Unary():
            return f"{part.op}{_bracketed(part.operand)}"
        case Binary():
            return f"{_bracketed(part.left)} {part.op} {_bracketed(part.right)}"
        case Case():
            whens = " ".join(f"WHEN {expression(c)} THEN {expression(r)}" for c, r in part.whens)
            return f"CASE {whens} ELSE {expression(part.default)} END"
        case Cast():
            return f"CAST({expression(part.operand)} AS {part.type})"
        case Call():
            return f"{part.function.name}({listed(part.args)})"
        case RowValue():
            return f"({listed(part.items)})"
        case Raise():
            return f"RAISE({part.action}, {expression(part.message)})"
        case _:
            raise AssertionError(type(part).__name__)


def listed(items: Sequence[Part]) -> str:
    """The texts of several expressions, with commas."""
    return ", ".join(expression(item) for item in items)


def _bracketed(expr: Expr) -> str:
    text = expression(expr)
    return f"({text})" if isinstance(expr, (And, Or, Binary, Compare, Between, InList)) else text


def _collation(collation: str) -> str:
    return "" if collation == "BINARY" else f" COLLATE {collation}"


def _sort_key(key: SortKey) -> str:
    text = expression(key.expr) + _collation(key.collation) + (" DESC" if key.descending else "")
    if key.nulls_first == key.descending:  # not the default
        text += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
    return text


def _aggregate_call(call: AggregateCall) -> str:
    inside = ("DISTINCT " if call.distinct else "") + (listed(call.args) or "*")
    if call.order:
        inside += f" ORDER BY {listed(call.order)}"
    kept = "" if call.filter is None else f" FILTER (WHERE {expression(call.filter)})"
    return f"{call.function.name}({inside}){kept}"


def _window_call(call: WindowCall) -> str:
    over = []
    if call.partition:
        over.append(f"PARTITION BY {listed(call.partition)}")
    if call.order:
        over.append(f"ORDER BY {listed(call.order)}")
    if call.frame is not None:
        over.append(_frame(call.frame))
    kept = "" if call.filter is None else f" FILTER (WHERE {expression(call.filter)})"
    return f"{call.function.name}({listed(call.args)}){kept} OVER ({' '.join(over)})"


def _frame(frame: Frame) -> str:
    exclude = "" if frame.exclude == "no others" else f" EXCLUDE {frame.exclude.upper()}"
    return f"{frame.unit.upper()} BETWEEN {_frame_bound(frame.start)} AND {_frame_bound(frame.end)}{exclude}"


def _frame_bound(bound: FrameBound) -> str:
    offset = "" if bound.offset is None else f"{expression(bound.offset)} "
    return offset + bound.kind.upper()
