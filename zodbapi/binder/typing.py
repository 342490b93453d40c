"""Static types, nullability and affinity of bound expressions.

Types are what generated code may rely on, so they are never guessed: ANY where a value could be of another class.
Affinity follows https://www.sqlite.org/datatype3.html, extended to native types.
"""

from __future__ import annotations

from collections.abc import Iterable

from zodbapi.binder.scope import Binding
from zodbapi.catalog import ANY, DECIMAL, INTEGER, INTERVAL, NUMERIC, REAL, TEXT, Kind, Type
from zodbapi.plan.expr import Affine, Binary, Cast, Collate, Column, Const, Expr, Rowid, ScalarQuery, Unary
from zodbapi.plan.nodes import output_source

NATIVE = frozenset({Kind.DECIMAL, Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMPTZ, Kind.INTERVAL, Kind.UUID})
NUMERIC_AFFINITY = frozenset({Kind.INTEGER, Kind.REAL, Kind.NUMERIC, Kind.BOOLEAN, Kind.DECIMAL})
_MOMENTS = frozenset({Kind.TIMESTAMP, Kind.TIMESTAMPTZ})
_INT_FLOAT = frozenset({Kind.INTEGER, Kind.REAL, Kind.NUMERIC, Kind.BOOLEAN})


def type_of(expr: Expr) -> Type:
    """The static type of any expression."""
    kind: Type = expr.type
    return kind


def nullable(expr: Expr) -> bool:
    """Whether an expression can be NULL."""
    can: bool = expr.nullable
    return can


def merge_types(types: Iterable[Type]) -> Type:
    """The type of a value that comes from one of several places."""
    merged: Type | None = None
    for kind in types:
        merged = kind if merged is None else _merge(merged, kind)
    return merged or ANY


def _merge(a: Type, b: Type) -> Type:
    if a == b:
        return a
    if a.kind is b.kind:
        return Type(a.kind)
    if a.kind in _INT_FLOAT and b.kind in _INT_FLOAT and Kind.BOOLEAN not in (a.kind, b.kind):
        return NUMERIC
    return ANY


def merge_exprs(exprs: Iterable[Expr]) -> Type:
    """The type of a value that is one of several expressions; NULL literals do not count."""
    return merge_types(type_of(e) for e in exprs if not (isinstance(e, Const) and e.value is None))


def arithmetic(op: str, left: Expr, right: Expr) -> Binary:
    """A binary operation with its type. Integers overflow to floats, and floats can give NaN, which is NULL."""
    a, b = type_of(left).kind, type_of(right).kind
    can = nullable(left) or nullable(right)
    if op == "||":
        return Binary(op, left, right, TEXT, can)
    if op in ("&", "|", "<<", ">>"):
        return Binary(op, left, right, INTEGER if a in _INT_FLOAT and b in _INT_FLOAT else ANY, can)
    if op in "/%":
        can = True
    if a is Kind.INTEGER and b is Kind.INTEGER:
        return Binary(op, left, right, INTEGER if op == "%" else NUMERIC, can)
    return Binary(op, left, right, _mixed(op, a, b), True)


def _mixed(op: str, a: Kind, b: Kind) -> Type:
    if Kind.REAL in (a, b) and a in _INT_FLOAT | {Kind.DECIMAL} and b in _INT_FLOAT | {Kind.DECIMAL}:
        return REAL
    if a in _INT_FLOAT and b in _INT_FLOAT:
        return NUMERIC
    if Kind.DECIMAL in (a, b) and {a, b} <= {Kind.DECIMAL, Kind.INTEGER}:
        return DECIMAL
    if a is b is Kind.INTERVAL and op in "+-":
        return INTERVAL
    if a in _MOMENTS and b is Kind.INTERVAL and op in "+-":
        return Type(a)
    if a in _MOMENTS and a is b and op == "-":
        return INTERVAL
    return ANY


def negation(operand: Expr) -> Expr:
    """``-operand``; folded for number literals, so that the smallest integer can be written."""
    kind = type_of(operand)
    if isinstance(operand, Const) and type(operand.value) in (int, float):
        value = -operand.value
        return Const(float(value), REAL) if value == 2**63 else Const(value, kind)
    result = {
        Kind.INTEGER: NUMERIC,
        Kind.REAL: REAL,
        Kind.NUMERIC: NUMERIC,
        Kind.DECIMAL: DECIMAL,
        Kind.INTERVAL: INTERVAL,
    }
    return Unary("-", operand, result.get(kind.kind, ANY), nullable(operand))


def affinity_of(expr: Expr, binding: Binding | None) -> Type | None:
    """The affinity that an operand has: a type, or None. Native-typed expressions have their type as affinity."""
    while isinstance(expr, Collate):
        expr = expr.operand
    match expr:
        case Column(source=source, position=position, type=kind):
            fields = binding.fields.get(source) if binding else None
            if fields is not None:
                found = fields[position].affinity
                return found if found is not None or kind.kind not in NATIVE else kind
            return kind
        case Rowid():
            return INTEGER
        case Cast(type=kind) | Affine(type=kind):
            return kind
        case ScalarQuery(query=query) if binding is not None:
            fields = binding.fields.get(output_source(query))
            return fields[0].affinity if fields else None
        case _:
            kind = type_of(expr)
            return kind if kind.kind in NATIVE and not isinstance(expr, Const) else None


def coerce_comparison(left: Expr, right: Expr, binding: Binding | None = None) -> tuple[Expr, Expr]:
    """Both sides after comparison affinity: the one to be converted is wrapped in ``Affine``."""
    a, b = affinity_of(left, binding), affinity_of(right, binding)
    to_left, to_right = conversions(a, b)
    return (
        convert(left, to_left) if to_left else left,
        convert(right, to_right) if to_right else right,
    )


def conversions(a: Type | None, b: Type | None) -> tuple[Type | None, Type | None]:
    """What is applied to the left and to the right side of a comparison of these affinities (None: nothing)."""
    if a is None and b is None:
        return None, None
    native = _native_conversions(a, b)
    if native is not None:
        return native
    left_numeric = a is not None and a.kind in NUMERIC_AFFINITY
    right_numeric = b is not None and b.kind in NUMERIC_AFFINITY
    if left_numeric or right_numeric:
        return (None if left_numeric else b), (None if right_numeric else a)
    if a is None and b is not None and b.kind in (Kind.TEXT, Kind.JSON):
        return b, None
    if b is None and a is not None and a.kind in (Kind.TEXT, Kind.JSON):
        return None, a
    return None, None


def member_conversions(a: Type | None, b: Type | None) -> tuple[Type | None, Type | None]:
    """What is applied to the operand and to the rows of IN (SELECT): of the SELECTs of a compound only one has affinity b."""
    if any(kind is not None and kind.kind in NATIVE for kind in (a, b)):
        return conversions(a, b)
    numeric = next((kind for kind in (a, b) if kind is not None and kind.kind in NUMERIC_AFFINITY), None)
    if numeric is not None:
        return numeric, numeric
    one = next((kind for kind in (a, b) if kind is not None and kind.kind in (Kind.TEXT, Kind.JSON)), None)
    return (None, None) if a is not None and b is not None else (one, one)


def _native_conversions(a: Type | None, b: Type | None) -> tuple[Type | None, Type | None] | None:
    """Native types convert the other side; of two, the one that holds more wins (a date becomes a timestamp)."""
    left = a is not None and a.kind in NATIVE
    right = b is not None and b.kind in NATIVE
    if left and right and a is not None and b is not None:
        if a.kind is b.kind:
            return None, None
        ranks = (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ)
        if a.kind in ranks and b.kind in ranks:
            return (b, None) if ranks.index(a.kind) < ranks.index(b.kind) else (None, a)
        return None, None
    if left:
        return None, a
    if right:
        return b, None
    return None


def convert(expr: Expr, kind: Type) -> Expr:
    """The expression converted, unless its own type says that there is nothing to convert."""
    own = type_of(expr).kind
    if own is kind.kind or (isinstance(expr, Const) and expr.value is None):
        return expr
    if kind.kind in (Kind.INTEGER, Kind.REAL, Kind.NUMERIC) and own in NUMERIC_AFFINITY:
        return expr
    if kind.kind in (Kind.DECIMAL, Kind.BOOLEAN) and own in (Kind.INTEGER, Kind.BOOLEAN):
        return expr
    if kind.kind in (Kind.TEXT, Kind.JSON) and own in (Kind.TEXT, Kind.JSON):
        return expr
    return Affine(expr, kind, nullable(expr))
