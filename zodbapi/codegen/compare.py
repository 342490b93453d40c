"""Comparisons, BETWEEN and IN lists -> Python operators wherever the types allow it.

A stored column holds values of one class, so ``r0[2] < q1`` is right as soon as ``q1`` compares with that class.
The prologue sees to that: ``comparable`` converts a parameter as SQLite's affinity does, and what cannot be
converted becomes ABOVE or BELOW (they compare as the order of classes says) or, for NULL, NEVER (every comparison
is false). So no test for NULL or for the class of the parameter is left in the loop. Two values whose classes are
only known at run time are compared by ``values.lt`` and its siblings, which know the order of all classes.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from zodbapi import values
from zodbapi.catalog import ANY, NUMBERS, TEXTS, Kind, Type
from zodbapi.codegen import arithmetic, runtime
from zodbapi.codegen.unit import denied, is_cheap, tuple_code
from zodbapi.plan.expr import Affine, Between, Compare, Const, Expr, InList, Param, RowValue
from zodbapi.plan.lists import param_list

if TYPE_CHECKING:
    from zodbapi.codegen.expr import ExprWriter
    from zodbapi.codegen.unit import Unit

_NEGATED = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_FUNCTIONS = {"<": values.lt, "<=": values.le, ">": values.gt, ">=": values.ge}
_PYTHON = {"=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

_MOMENTS = {Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ}  # one class, whose members Python refuses to compare

_PLAIN_NUMBERS = NUMBERS - {Kind.BOOLEAN}
_NUMBER_CLASSES = frozenset({int, float, Decimal})


def comparison_class(type_: Type) -> object:
    """Types of one class compare with Python's operators; None when the class is only known at run time."""
    kind = type_.kind
    if kind in NUMBERS:
        return "number"
    if kind in TEXTS:
        return "text"
    return None if kind is Kind.ANY else kind


def is_true(writer: ExprWriter, expr: Compare) -> str:
    """Code that is true when the comparison is."""
    if expr.op in ("is", "is not"):
        return _is(writer, expr, negated=expr.op == "is not")
    return _test(writer, expr.op, expr)


def is_false(writer: ExprWriter, expr: Compare) -> str:
    """Code that is true when the comparison is false: with neither side NULL, the opposite is true."""
    if expr.op in ("is", "is not"):
        return _is(writer, expr, negated=expr.op == "is")
    return _test(writer, _NEGATED[expr.op], expr)


def as_value(writer: ExprWriter, expr: Compare) -> str:
    """Code of 1, 0 or None."""
    if expr.op in ("is", "is not"):
        return f"(1 if {is_true(writer, expr)} else 0)"
    if isinstance(expr.left, RowValue):
        rows = f"{writer.value(expr.left)}, {writer.value(expr.right)}"
        return f"{writer.unit.call(runtime.compare_rows)}({expr.op!r}, {rows})"
    left, right = _sides(writer, expr, hoist=False)
    tests, codes = writer.not_null([(expr.left, left), (expr.right, right)])
    test = _operator(writer, expr.op, expr, codes[0], codes[1], sentinels=False)
    return f"(None if {' or '.join(tests)} else 1 if {test} else 0)" if tests else f"(1 if {test} else 0)"


def _test(writer: ExprWriter, op: str, expr: Compare) -> str:
    if isinstance(expr.left, RowValue):
        rows = f"{writer.value(expr.left)}, {writer.value(expr.right)}"
        return f"{writer.unit.call(runtime.compare_rows)}({op!r}, {rows})"
    if (code := _number_test(writer, op, expr)) is not None:
        return code
    left, right = _sides(writer, expr, hoist=True)
    hoisted = [_is_hoisted(writer, side) for side in (expr.left, expr.right)]
    tests: list[str] = []
    codes: list[str] = []
    nullable = [writer.nullable(s) and not h for s, h in zip((expr.left, expr.right), hoisted, strict=True)]
    # None equals nothing that is not None: an equality needs a test only when both sides may be NULL.
    need = nullable if op != "=" else [nullable[0] and nullable[1], False]
    for code, test in zip((left, right), need, strict=True):
        if test:
            first, code = writer.hold(code)
            tests.append(f"{first} is not None")
        codes.append(code)
    tests.append(_operator(writer, op, expr, codes[0], codes[1], sentinels=any(hoisted)))
    return f"({' and '.join(tests)})" if len(tests) > 1 else tests[0]


def _number_test(writer: ExprWriter, op: str, expr: Compare) -> str | None:
    """The comparison of a number with a value of any class, which mostly is a number too: then Python's operator does."""
    for typed, loose, flipped in ((expr.left, expr.right, False), (expr.right, expr.left, True)):
        raw = loose.operand if isinstance(loose, Affine) else loose
        if typed.type.kind not in _PLAIN_NUMBERS or isinstance(typed, Affine) or raw.type.kind is not Kind.ANY:
            continue
        if raw is not loose and loose.type.kind not in _PLAIN_NUMBERS:
            continue
        if writer.independent(typed) or writer.independent(raw) or writer.fallible(raw):
            continue
        expected = arithmetic.expected(writer, raw)
        if expected is None:
            return _loose_test(writer, op, typed, loose, writer.value(raw), flipped=flipped)
        asked, fast, general, maybe_null = expected
        slow = _loose_test(writer, op, typed, loose, general, flipped=flipped)
        if slow is None:
            return None
        tests, codes = [], []
        for code, may_be in ((writer.value(typed), writer.nullable(typed)), (fast, maybe_null)):
            first, again = writer.hold(code) if may_be else ("", code)
            tests += [f"{first} is not None"] if first else []
            codes.append(again)
        tests.append(_in_order(codes, f" {_PYTHON[op]} ", flipped=flipped))
        return f"(({' and '.join(tests)}) if {asked} else {slow})"
    return None


def _in_order(codes: list[str], separator: str, *, flipped: bool) -> str:
    return separator.join(reversed(codes) if flipped else codes)


def _loose_test(writer: ExprWriter, op: str, typed: Expr, loose: Expr, raw: str, *, flipped: bool) -> str | None:
    """The comparison of a number with ``loose``, which before its conversion is ``raw``; None if there is nothing to gain."""
    tests, (number, value) = writer.not_null([(typed, writer.value(typed)), (loose, raw)])
    if not value.isidentifier():
        return None
    exact = f"{writer.unit.call(values.affine(loose.type.kind))}({value})" if isinstance(loose, Affine) else value
    numbers = writer.unit.call_value(_NUMBER_CLASSES, "numbers")
    fast = _in_order([number, value], f" {_PYTHON[op]} ", flipped=flipped)
    if op in _FUNCTIONS:
        general = f"{writer.unit.call(_FUNCTIONS[op])}({_in_order([number, exact], ', ', flipped=flipped)})"
    else:
        general = _in_order([number, exact], f" {_PYTHON[op]} ", flipped=flipped)
    code = f"({fast} if type({value}) in {numbers} else {general})"
    return f"({' and '.join([*map(denied, tests), code])})"


def _operator(writer: ExprWriter, op: str, expr: Compare, left: str, right: str, *, sentinels: bool) -> str:
    """The comparison itself, for two values that are not NULL."""
    left, right = writer.folded(left, expr.collation), writer.folded(right, expr.collation)
    moments = {expr.left.type.kind, expr.right.type.kind} & _MOMENTS
    if op in ("=", "!=") and len(moments) > 1:
        return f"{'not ' if op == '!=' else ''}{writer.unit.call(values.eq)}({left}, {right})"
    if op in ("=", "!=") or _same_class(expr):
        return f"{left} {_PYTHON[op]} {right}"
    code = f"{left} {_PYTHON[op]} {right}" if sentinels else f"{writer.unit.call(_FUNCTIONS[op])}({left}, {right})"
    if expr.collation.upper() == "BINARY":
        return _of_one_class(writer, op, (expr.left, left), (expr.right, right), code)
    return code


def _of_one_class(writer: ExprWriter, op: str, left: tuple[Expr, str], right: tuple[Expr, str], code: str) -> str:
    """The comparison of a value of any class with one from outside: mostly both are of one class, which the prologue knows."""
    for (loose, held), (given, _), flipped in ((left, right, False), (right, left, True)):
        is_loose = comparison_class(_known_type(loose)) is None and not writer.independent(loose)
        if not is_loose or not is_cheap(held) or writer.fallible(given) or not writer.independent(given):
            continue
        value = writer.value(given)
        class_ = writer.unit.hoist(f"{writer.unit.call(runtime.plain_class)}({value})")
        fast = _in_order([held, value], f" {_PYTHON[op]} ", flipped=flipped)
        return f"({fast} if type({held}) is {class_} else {code})"
    return code


def _same_class(expr: Compare) -> bool:
    left, right = comparison_class(expr.left.type), comparison_class(expr.right.type)
    converted = isinstance(expr.left, Affine) or isinstance(expr.right, Affine)  # which may have failed
    return left is not None and left == right and not converted


def _is_hoisted(writer: ExprWriter, expr: Expr) -> bool:
    if writer.fallible(expr):
        return True
    return writer.independent(expr) and (writer.nullable(expr) or not isinstance(expr, (Const, Param)))


def _sides(writer: ExprWriter, expr: Compare, *, hoist: bool) -> tuple[str, str]:
    return (
        _side(writer, expr.left, expr.right, expr, hoist=hoist),
        _side(writer, expr.right, expr.left, expr, hoist=hoist),
    )


def _side(writer: ExprWriter, side: Expr, other: Expr, expr: Compare, *, hoist: bool) -> str:
    """Code of one side. With ``hoist``, an independent one is made comparable with the other side in the prologue."""
    if not (hoist and _is_hoisted(writer, side)):
        return writer.value(side)
    return comparable(writer, side, _known_type(other), expr)


def _known_type(expr: Expr) -> Type:
    """The type of an expression; after a conversion for a comparison it is open, for that may not have been possible."""
    return ANY if isinstance(expr, Affine) else expr.type


def comparable(writer: ExprWriter, side: Expr, other: Type, test: Compare | None = None) -> str:
    """Code of an independent value that any value of type ``other`` compares with by Python's operators.

    ``test`` is the comparison, if it is one; else the value is looked up in an index. Texts that come out are not folded yet.
    """
    unit = writer.unit
    convert = isinstance(side, Affine)
    operand = side.operand if isinstance(side, Affine) else side
    target = side.type if isinstance(side, Affine) else other
    function: Callable[[Any], Any]
    if comparison_class(other) is None:
        operand = side
        function = runtime.not_null
        if test is None or test.op not in ("=", "!="):
            function = runtime.ordered
            if test is not None and test.collation.upper() != "BINARY":
                function = runtime.ordered_by(runtime.folding(test.collation, unit.collations))
    elif convert and comparison_class(target) == comparison_class(other):
        function = values.comparable(target.kind)
    else:
        function = runtime.guard(other.kind)
        operand = side
    if isinstance(operand, Const):
        return unit.namespace.constant(function(operand.value))
    code = f"{unit.call(function)}({writer.value(operand)})"
    return unit.hoist(f"{unit.call(runtime.attempt)}(lambda: {code})" if writer.fallible(side) else code)


def _is(writer: ExprWriter, expr: Compare, *, negated: bool) -> str:
    """IS: None equals None, and Python's ``==`` does the rest."""
    left = writer.folded(writer.value(expr.left), expr.collation)
    right = writer.folded(writer.value(expr.right), expr.collation)
    for a, b in ((left, right), (right, left)):
        if b == "None":
            return f"{a} is {'not ' if negated else ''}None"
    return f"{left} {'!=' if negated else '=='} {right}"


def between_true(writer: ExprWriter, expr: Between) -> str:
    """Code that is true when the operand lies between the bounds; the operand is evaluated once."""
    test, low, high = _between(writer, expr, ">=", "<=")
    return f"({test}{low} and {high})"


def between_false(writer: ExprWriter, expr: Between) -> str:
    """Code that is true when the operand lies outside."""
    test, low, high = _between(writer, expr, "<", ">")
    return f"({test}({low} or {high}))"


def _between(writer: ExprWriter, expr: Between, lower: str, upper: str) -> tuple[str, str, str]:
    """Code for: the operand is not NULL and; its comparison with the low bound; with the high one."""
    code = writer.value(expr.operand)
    test = ""
    if writer.nullable(expr.operand) or not is_cheap(code):
        first, code = writer.hold(code)
        test = f"{first} is not None and "
    low = _held_test(writer, Compare(lower, expr.operand, expr.low, expr.collation), code)
    high = _held_test(writer, Compare(upper, expr.operand, expr.high, expr.collation), code)
    return test, low, high


def _held_test(writer: ExprWriter, expr: Compare, held: str) -> str:
    """A comparison whose left side is already in a variable and not NULL."""
    hoisted = _is_hoisted(writer, expr.right)
    right = comparable(writer, expr.right, _known_type(expr.left), expr) if hoisted else writer.value(expr.right)
    tests = []
    if writer.nullable(expr.right) and not hoisted:
        first, right = writer.hold(right)
        tests.append(f"{first} is not None")
    tests.append(_operator(writer, expr.op, expr, held, right, sentinels=hoisted))
    return f"({' and '.join(tests)})" if len(tests) > 1 else tests[0]


def in_list(writer: ExprWriter, expr: InList, *, negated: bool) -> str:
    """Code for ``IN (...)``: a set built once when the items are independent, else one comparison an item."""
    if not expr.items:
        return repr(negated)
    if isinstance(expr.operand, RowValue):
        items = ", ".join(writer.value(item) for item in expr.items)
        return f"{writer.unit.call(runtime.row_in)}({writer.value(expr.operand)}, [{items}]) is {not negated}"
    if all(writer.independent(item) or writer.fallible(item) for item in expr.items):
        return _in_set(writer, expr, negated=negated)
    first, held = writer.hold(writer.value(expr.operand))
    op = "!=" if negated else "="
    tests = [_held_test(writer, Compare(op, expr.operand, item, expr.collation), held) for item in expr.items]
    return f"({first} is not None and ({(' and ' if negated else ' or ').join(tests)}))"


def items_code(unit: Unit, item: Expr, render: Callable[[Expr], str]) -> str:
    """Code of one item of a list: a value, or those of a list of parameters, unpacked."""
    several = param_list(item)
    return render(item) if several is None else unit.each(several.index, lambda: render(item))


def _in_set(writer: ExprWriter, expr: InList, *, negated: bool) -> str:
    unit = writer.unit
    codes = [items_code(unit, item, lambda e: writer.folded(writer.value(e), expr.collation)) for item in expr.items]
    code = f"{unit.call(runtime.members)}({tuple_code(codes)})"
    if any(map(writer.fallible, expr.items)):
        code = f"{unit.call(runtime.attempt)}(lambda: {code})"
    operand = writer.value(expr.operand)
    if negated and not any(map(writer.fallible, expr.items)) and writer.folded("", expr.collation) == "":
        return f"{operand} not in {unit.hoist(f'{unit.call(runtime.members_or_null)}({code})')}"
    members = unit.hoist(code)
    if not negated:
        return f"{writer.folded(operand, expr.collation)} in {members}"  # NULL is never a member
    first, again = writer.hold(operand)
    missing = f"{writer.folded(again, expr.collation)} not in {members}"
    return f"(not {members}.has_null and {first} is not None and {missing})"
