"""Calls of scalar functions -> Python.

A strict function is called only when no argument is NULL, so the tests for NULL stand in the generated code, and
only for arguments that can be NULL. Functions that choose among their arguments (coalesce, iif...) become Python's
own choice. A pattern that does not depend on the row is compiled into a matcher once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zodbapi.catalog import NUMBERS, TEXTS
from zodbapi.codegen import runtime
from zodbapi.codegen.compare import comparison_class
from zodbapi.codegen.unit import is_cheap
from zodbapi.functions import conditional
from zodbapi.functions.text import MATCHERS, length, lower, upper
from zodbapi.plan.expr import Column, Compare
from zodbapi.values import to_text
from zodbapi.values.pattern import plain_texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from zodbapi.codegen.expr import ExprWriter
    from zodbapi.plan.expr import Call, Expr


def call_value(writer: ExprWriter, expr: Call) -> str:
    """Code of the function's value."""
    if expr.function.lazy:
        return _LAZY[expr.function.name.lower()](writer, list(expr.args))
    if expr.function.call is length and isinstance(expr.args[0], Column):
        stored = writer.stored(expr.args[0])
        if stored != writer.value(expr.args[0]):
            return f"(None if {stored} is None else {writer.unit.call(runtime.length_of)}({stored}))"
    test = _EXTREMES.get(expr.function.call)
    if test is not None and len(expr.args) == 2 and not writer.independent(expr):
        kinds = {comparison_class(arg.type) for arg in expr.args}
        if len(kinds) == 1 and None not in kinds:
            return _extreme(writer, expr, test)
    matched = _matcher(writer, expr)
    if matched is not None:
        text, test = matched
        return f"({_unknown_value(writer, expr)} if {_unknown(writer, expr)}{text} is None else 1 if {test} else 0)"
    tests, call = _call(writer, expr)
    code = f"(None if {' or '.join(tests)} else {call})" if tests else call
    return writer.unit.hoist(code) if writer.independent(expr) and not expr.function.with_txn else code


# When the first of two arguments is the result.
_EXTREMES: dict[Callable[..., Any], str] = {
    conditional.greatest: ">=",
    conditional.least: "<=",
    conditional.largest: ">=",
    conditional.smallest: "<",
}


def _extreme(writer: ExprWriter, expr: Call, test: str) -> str:
    """The larger or the smaller of two values of one class; a strict function gives NULL if one of them is."""
    (left, right), strict = (writer.value(arg) for arg in expr.args), expr.function.strict
    (first_left, again_left), (first_right, again_right) = writer.hold(left), writer.hold(right)
    may_lack = [writer.nullable(arg) for arg in expr.args]
    code = f"{again_left} if {again_left} {test} {again_right} else {again_right}"
    match may_lack:
        case [True, True] if not strict:
            code = f"{again_left} if {first_right} is None or {again_left} {test} {again_right} else {again_right}"
            return f"({right} if {first_left} is None else {code})"
        case [True, True]:
            return f"(None if {first_left} is None or {first_right} is None else {code})"
        case [True, False]:
            code = f"{again_left} if {again_left} {test} {first_right} else {again_right}"
            return f"({'None' if strict else right} if {first_left} is None else {code})"
        case [False, True]:
            code = f"{again_left} if {first_left} {test} {again_right} else {again_right}"
            return f"({'None' if strict else left} if {first_right} is None else {code})"
        case _:
            return f"({again_left} if {first_left} {test} {first_right} else {again_right})"


def call_true(writer: ExprWriter, expr: Call) -> str:
    """Code that is true when the function's value is."""
    matched = None if expr.function.lazy else _matcher(writer, expr)
    if matched is not None:
        text, test = matched
        if not writer.nullable(expr.args[1]) and is_cheap(text):
            return test
        return f"({text} is not None and {test})"
    return writer.truth(call_value(writer, expr), expr.type)


def _call(writer: ExprWriter, expr: Call) -> tuple[list[str], str]:
    """The tests for NULL arguments that come first, and the call itself."""
    codes = [writer.value(arg) for arg in expr.args]
    prepared = _prepared(writer, expr, codes)
    tests: list[str] = []
    if expr.function.strict:
        tests, codes = writer.not_null(list(zip(expr.args, codes, strict=True)))
    if prepared:
        return tests, f"{prepared}({codes[0]})"
    if expr.function.with_txn:
        codes.insert(0, "txn")
    own = _OF_TEXTS.get(expr.function.call)
    if own is not None and isinstance(expr.args[0], Column) and expr.args[0].type.kind in TEXTS:
        return tests, own.format(*codes)
    return tests, f"{writer.unit.call(expr.function.call)}({', '.join(codes)})"


_OF_TEXTS: dict[Callable[..., Any], str] = {length: "len({})", lower: "{}.lower()", upper: "{}.upper()"}


def _prepared(writer: ExprWriter, expr: Call, codes: list[str]) -> str:
    """The function of the first argument that a call is when the others are the same for all rows; "" if they are not.

    Those that may be NULL become names in ``codes``: their tests are made for each row.
    """
    if expr.function.prepare is None or len(codes) < 2 or not all(map(writer.independent, expr.args[1:])):
        return ""
    missing = []
    for i, arg in enumerate(expr.args[1:], 1):
        if writer.nullable(arg):
            codes[i] = writer.unit.hoist(codes[i])
            missing.append(f"{codes[i]} is None")
    call = f"{writer.unit.call(expr.function.prepare)}({', '.join(codes[1:])})"
    return writer.unit.hoist(f"(None if {' or '.join(missing)} else {call})" if missing else call, "read")


def _unknown(writer: ExprWriter, expr: Call) -> str:
    """Code of the test that the pattern, or the escape character, is NULL; "" when neither can be."""
    pattern, _, *escape = expr.args
    codes = [writer.value(arg) for arg in (pattern, *escape) if writer.nullable(arg)]
    return "".join(f"{code} is None or " for code in codes)


def _unknown_value(writer: ExprWriter, expr: Call) -> str:
    """Code of what a match is when an operand is NULL: NULL, but 0 if the pattern is a blob."""
    if expr.function.strict:
        return "None"
    return writer.unit.hoist(f"(0 if type({writer.value(expr.args[0])}) is bytes else None)")


def _matcher(writer: ExprWriter, expr: Call) -> tuple[str, str] | None:
    """For a pattern match whose pattern is independent: code of the text (first use), and of the test after it."""
    factory = MATCHERS.get(expr.function.name.lower())
    if factory is None or len(expr.args) < 2 or expr.function.call.__module__.split(".")[0] != "zodbapi":
        return None
    pattern, text, *escape = expr.args
    # A blob is no text, so what may be one is left to the function.
    plain = text.type.kind in TEXTS or text.type.kind in NUMBERS
    if not plain or not all(writer.independent(arg) for arg in (pattern, *escape)):
        return None
    arguments = ", ".join(writer.value(arg) for arg in (pattern, *escape))
    matcher = writer.unit.hoist(f"{writer.unit.call(factory)}({arguments})")
    first, again = writer.hold(writer.value(text))
    if text.type.kind not in TEXTS:
        return first, f"{matcher}({writer.unit.call(to_text)}({again}))"
    form = _FOLDED.get(expr.function.name.lower())
    if form is None:
        return first, f"{matcher}({again})"
    fold, folded, check = form
    tests = [f"{{0}} in {folded}", f"{folded}.startswith({{0}})", f"{folded} == {{0}}", f"{folded}.endswith({{0}})"]
    tests = [f"{test}{check}" for test in tests]
    if fold != "none":
        tests.append("{0} in {1}")
    code = f"{writer.unit.call(plain_texts)}({arguments}, fold={fold!r})"
    names = writer.unit.hoist_several(code, ("text", "lead", "whole", "tail", "same"))
    arms = [
        f"{test.format(name, again, matcher)} if {name} is not None else "
        for name, test in zip(names, tests, strict=False)
    ]
    return first, f"({''.join(arms)}{matcher}({again}))"


# What most patterns are, a text at the beginning, at the end or anywhere, is for Python's operators: the fold, what is compared
# of a text, and what has to hold besides. ``str.lower`` also folds other letters than SQLite's LIKE, and some of them become
# ASCII, so that the few texts found by it are looked at again.
_FOLDED = {
    "like": ("ascii", "{1}.lower()", " and ({1}.isascii() or {2}({1}))"),
    "clike": ("none", "{1}", ""),
    "ilike": ("unicode", "{1}.casefold()", ""),
}


def _coalesce(writer: ExprWriter, args: list[Expr]) -> str:
    arms = []
    for arg in args[:-1]:
        if not writer.nullable(arg):
            arms.append(writer.value(arg))
            return f"({''.join(arms)})"
        first, again = writer.hold(writer.value(arg))
        arms.append(f"{again} if {first} is not None else ")
    arms.append(writer.value(args[-1]))
    return f"({''.join(arms)})"


def _iif(writer: ExprWriter, args: list[Expr]) -> str:
    otherwise = writer.value(args[2]) if len(args) > 2 else "None"
    return f"({writer.value(args[1])} if {writer.is_true(args[0])} else {otherwise})"


def _nullif(writer: ExprWriter, args: list[Expr]) -> str:
    first, again = writer.hold(writer.value(args[0]))
    return f"(None if {first} is None or {writer.is_true(Compare('=', args[0], args[1]))} else {again})"


_LAZY = {"coalesce": _coalesce, "ifnull": _coalesce, "iif": _iif, "if": _iif, "nullif": _nullif}
