"""Arithmetic -> Python operators, where the classes of the operands are known or can be asked for once.

Integers that overflow 64 bits become floats, a float that is not a number becomes NULL, and division by zero is NULL, as in
SQLite; everything else is left to the functions of ``values``. A parameter's class is known when the program starts: the
prologue asks for it, and the loop has the operator behind that answer::

    q0 = type(p0) is int and p0 > 0
    ...  r0[5] // p0 if q0 and r0[5] >= 0 else div(r0[5], p0)
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from zodbapi import values
from zodbapi.catalog import TEXTS, Kind
from zodbapi.plan.expr import Column, Const
from zodbapi.values.arithmetic import EXACT

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from zodbapi.codegen.expr import ExprWriter
    from zodbapi.plan.expr import Binary, Expr

FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": values.add,
    "-": values.sub,
    "*": values.mul,
    "/": values.div,
    "%": values.mod,
    "||": values.concat,
    "&": values.bit_and,
    "|": values.bit_or,
    "<<": values.shift_left,
    ">>": values.shift_right,
}
_EXACT: dict[str, tuple[Callable[[Decimal, Decimal], Decimal], str]] = {
    "+": (EXACT.add, "exact_add"),
    "-": (EXACT.subtract, "exact_subtract"),
    "*": (EXACT.multiply, "exact_multiply"),
}
_MIN, _MAX = -0x8000000000000000, 0x7FFFFFFFFFFFFFFF


def binary(writer: ExprWriter, expr: Binary) -> str:
    """Code of the value of an operation."""
    function = writer.unit.call(FUNCTIONS[expr.op])
    if writer.independent(expr):
        return writer.unit.hoist(f"{function}({writer.value(expr.left)}, {writer.value(expr.right)})")
    if expr.op == "||" and {expr.left.type.kind, expr.right.type.kind} <= TEXTS:
        tests, (left, right) = writer.not_null([(side, writer.value(side)) for side in (expr.left, expr.right)])
        return f"(None if {' or '.join(tests)} else {left} + {right})" if tests else f"({left} + {right})"
    classes = _class(writer, expr.left), _class(writer, expr.right)
    exact = Decimal in classes
    if (
        expr.op not in "+-*/%"
        or None in classes
        or (expr.op == "%" and float in classes)
        or (exact and (expr.op in "/%" or float in classes))
    ):
        return f"{function}({writer.value(expr.left)}, {writer.value(expr.right)})"
    return _Operation(writer, expr, whole=float not in classes and not exact, exact=exact).code(f"{function}")


def _class(writer: ExprWriter, side: Expr) -> type | None:
    """The class of an operand that is not NULL; ``object`` if only the prologue can tell, None if not even that."""
    if isinstance(side, Const):
        return type(side.value) if type(side.value) in (int, float, Decimal) else None
    if side.type.kind is Kind.DECIMAL and isinstance(side, Column):
        return Decimal
    if side.type.kind is Kind.INTEGER:
        return int
    if side.type.kind is Kind.REAL:
        return float
    return object if side.type.kind is Kind.ANY and writer.independent(side) else None


class _Operation:
    """One operation on integers (``whole``), with a decimal on at least one side (``exact``), or with a float."""

    def __init__(self, writer: ExprWriter, expr: Binary, *, whole: bool, exact: bool) -> None:
        self.unit = writer.unit
        self.op = expr.op
        self.whole, self.exact = whole, exact
        self.nulls: list[str] = []  # tests that an operand is NULL: the first use of each operand
        self.asked: list[str] = []  # variables of the prologue that say whether the operator fits
        self.positive = False  # whether the divisor is known to be
        self.left = self._operand(writer, expr.left)
        self.right = self._operand(writer, expr.right, divisor=expr.op in "/%")

    def _operand(self, writer: ExprWriter, side: Expr, *, divisor: bool = False) -> str:
        code = writer.value(side)
        if isinstance(side, Const):
            self.positive = self.positive or (divisor and side.value > 0)
            return code
        if _class(writer, side) is object:
            question = f"type({code}) is int"
            if not self.whole:
                other = self.unit.call_value(Decimal, "Decimal") if self.exact else "float"
                question = f"type({code}) is {other} or {question}"
            if divisor and self.whole:
                question += f" and {code} > 0"
                self.positive = True
            self.asked.append(self.unit.hoist(question))
            return code
        first, again = writer.hold(code)
        if writer.nullable(side) or first != again:
            self.nulls.append(f"{first} is None")
        return again

    def code(self, function: str) -> str:
        """Code of the value; ``function`` does what the operator does not."""
        call = f"{function}({self.left}, {self.right})"
        result, test, otherwise = self._division(call) if self.whole and self.op in "/%" else self._plain(call)
        code = f"{result} if {' and '.join([*self.asked, *test])} else {otherwise}"
        return f"(None if {' or '.join(self.nulls)} else {code})" if self.nulls else f"({code})"

    def _division(self, call: str) -> tuple[str, list[str], str]:
        """Python rounds down and SQLite towards zero: the same for what is not negative."""
        test = [f"{self.left} >= 0"] if self.positive else [f"{self.right} > 0", f"{self.left} >= 0"]
        return f"{self.left} {'//' if self.op == '/' else '%'} {self.right}", test, call

    def _plain(self, call: str) -> tuple[str, list[str], str]:
        name = self.unit.fresh("t")
        if self.exact:
            function, shown = _EXACT[self.op]
            value = f"({name} := {self.unit.call_value(function, shown)}({self.left}, {self.right}))"
            return name, [f"{value}.is_finite()"], call if self.asked else "None"
        value = f"({name} := {self.left} {self.op} {self.right})"
        if self.whole:
            return name, [f"{_MIN} <= {value} <= {_MAX}"], call if self.asked else f"float({name})"
        divisor = [self.right] if self.op == "/" else []
        return name, [*divisor, f"{value} == {name}"], call if self.asked else "None"
