"""The keys of seeks and ranges: expressions -> code of the parts of an entry's key, as ``keys`` describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zodbapi import values
from zodbapi.catalog import Index, IndexColumn, Table, Type
from zodbapi.codegen import runtime
from zodbapi.codegen.compare import comparable, comparison_class
from zodbapi.codegen.keys import MIXED, encode, is_raw, part_type
from zodbapi.codegen.unit import tuple_code
from zodbapi.plan.expr import Affine, Const, Expr
from zodbapi.plan.nodes import IndexRange, IndexSeek

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit


def index_tree(unit: Unit, index: Index) -> str:
    """The name of the variable that holds an index's tree."""
    return unit.hoist(f"txn.index({index.id})", "x")


def key_part(unit: Unit, table: Table, column: IndexColumn, expr: Expr, *, null_safe: bool) -> tuple[str, str]:
    """A test that the part can match at all ("" if it can), and code of the encoded part."""
    type_, nullable = part_type(table, column)
    writer = unit.expr
    if null_safe and isinstance(expr, Const) and expr.value is None and nullable and type_.kind not in MIXED:
        return "", "()"
    if null_safe and (nullable or type_.kind in MIXED):
        code = writer.value(expr)
        if type_.kind not in MIXED and _needs_guard(expr, type_):
            first, code = writer.hold(code)
            code = f"(None if {first} is None else {unit.call(runtime.guard(type_.kind))}({code}))"
        code = writer.folded(code, column.folding)
        return "", encode(unit, code, type_, nullable, maybe_null=True)
    if type_.kind in MIXED:
        first, again = writer.hold(writer.value(expr)) if writer.nullable(expr) else ("", writer.value(expr))
        test = f"{first} is not None" if first else ""
        return test, f"{unit.call(values.sort_key)}({writer.folded(again, column.folding)})"
    if writer.independent(expr):
        # NEVER and its like are equal to no entry, so the seek finds nothing.
        code = comparable(writer, _without_affinity_to(expr, type_), type_)
        return "", encode(unit, writer.folded(code, column.folding), type_, nullable, maybe_null=False)
    code = writer.value(expr)
    test = ""
    if writer.nullable(expr):
        first, code = writer.hold(code)
        test = f"{first} is not None"
    if _needs_guard(expr, type_):
        code = f"{unit.call(runtime.guard(type_.kind))}({code})"
        code = writer.folded(code, column.folding)
    elif column.numbered:
        code = f"{code}.int"
    else:
        code = writer.folded(code, column.folding)
    return test, encode(unit, code, type_, nullable, maybe_null=False)


def _without_affinity_to(expr: Expr, type_: Type) -> Expr:
    return expr if isinstance(expr, (Affine, Const)) else Affine(expr, type_)


def _needs_guard(expr: Expr, type_: Type) -> bool:
    return isinstance(expr, Affine) or comparison_class(expr.type) != comparison_class(type_)


def key_parts(unit: Unit, node: IndexSeek | IndexRange, exprs: tuple[Expr, ...]) -> tuple[str, list[str]]:
    """A test that a key can match at all ("" if it can), and code of its parts."""
    null_safe = node.null_safe if isinstance(node, IndexSeek) and node.null_safe else (False,) * len(exprs)
    pairs = [
        key_part(unit, node.table, column, expr, null_safe=safe)
        for column, expr, safe in zip(node.index.columns, exprs, null_safe, strict=False)
    ]
    return " and ".join(test for test, _ in pairs if test), [code for _, code in pairs]


def full_key(unit: Unit, node: IndexSeek, exprs: tuple[Expr, ...]) -> tuple[str, str]:
    """The test and the code of a full key of a unique index."""
    test, codes = key_parts(unit, node, exprs)
    return test, codes[0] if is_raw(node.table, node.index) else tuple_code(codes)
