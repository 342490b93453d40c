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
from zodbapi.codegen.unit import StoredRow
from zodbapi.plan.expr import Binary, Column, Const, Param
from zodbapi.values.arithmetic import EXACT

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from zodbapi.codegen.expr import ExprWriter
    from zodbapi.plan.expr import Expr

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
_OPERATORS = frozenset({"+", "-", "*", "/", "%"})
_LEVELS = 4  # operations inside one another that make one expression; what is deeper is a value like any other
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
    operation = _operation(writer, expr)
    return operation.code() if operation else f"{function}({writer.value(expr.left)}, {writer.value(expr.right)})"


def expected(writer: ExprWriter, expr: Expr) -> tuple[str, str, str, bool] | None:
    """A number as it is if parameters are of the classes that are mostly given; None if its code does not depend on them.

    Returns:
        The code of the test that they are, of the value then, and of the value otherwise; whether the value may be NULL then.
    """
    if not isinstance(expr, Binary) or writer.independent(expr):
        return None
    operation = _operation(writer, expr)
    if operation is None or not operation.asked:
        return None
    return " and ".join(operation.asked), operation.fast, _general(writer, expr, _LEVELS), operation.nullable


def _general(writer: ExprWriter, expr: Expr, levels: int) -> str:
    """Code of a value that is right for operands of all classes."""
    if not levels or not isinstance(expr, Binary) or expr.op not in _OPERATORS or writer.independent(expr):
        return writer.value(expr)
    left, right = _general(writer, expr.left, levels - 1), _general(writer, expr.right, levels - 1)
    return f"{writer.unit.call(FUNCTIONS[expr.op])}({left}, {right})"


def _operation(writer: ExprWriter, expr: Binary, levels: int = _LEVELS) -> _Operation | None:
    """The operation with Python's operator; None where nothing tells the classes of the operands."""
    if not levels or expr.op not in _OPERATORS or _class_of_operation(writer, expr, levels) is None:
        return None
    return _Operation(writer, expr, levels)


def _class(writer: ExprWriter, side: Expr, levels: int) -> type | None:
    """The class of an operand that is not NULL; ``object`` if only the prologue can tell, None if not even that."""
    if isinstance(side, Const):
        return type(side.value) if type(side.value) in (int, float, Decimal) else None
    kind = side.type.kind
    if kind is Kind.ANY and writer.independent(side):
        return object
    if levels and isinstance(side, Binary) and side.op in _OPERATORS:
        found = _class_of_operation(writer, side, levels)
        if found is not None:
            return found
    return Decimal if kind is Kind.DECIMAL and isinstance(side, Column) else _CLASSES.get(kind)


_CLASSES: dict[Kind, type] = {Kind.INTEGER: int, Kind.REAL: float}


def _class_of_operation(writer: ExprWriter, expr: Binary, levels: int) -> type | None:
    """The class of a result, if the operands are what the prologue asks for; an integer that overflows is a float."""
    classes = _class(writer, expr.left, levels - 1), _class(writer, expr.right, levels - 1)
    known = set(classes) - {object}
    divides = expr.op in "/%"
    if None in known or not known or (divides and (Decimal in known or _overflow(expr.left) or _overflow(expr.right))):
        return None
    if Decimal in known:
        return None if float in known or _overflow(expr.left) or _overflow(expr.right) else Decimal
    if float in known:
        return None if expr.op == "%" else float
    return int


def _overflow(side: Expr) -> bool:
    """Whether a value that should be an integer may be a float."""
    return isinstance(side, Binary) and side.op in _OPERATORS and side.op != "%"


class _Operation:
    """One operation on integers (``whole``), with a decimal on at least one side (``exact``), or with a float."""

    def __init__(self, writer: ExprWriter, expr: Binary, levels: int) -> None:
        self.writer, self.unit, self.levels = writer, writer.unit, levels
        self.expr, self.op = expr, expr.op
        classes = _class(writer, expr.left, levels - 1), _class(writer, expr.right, levels - 1)
        self.exact = Decimal in classes
        self.whole = float not in classes and not self.exact
        self.nulls: list[str] = []  # tests that an operand is NULL: the first use of each operand
        self.asked: list[str] = []  # variables of the prologue that say whether the operator fits
        self.positive = False  # whether the divisor is known to be
        self.bounded = True  # whether decimals are of so few digits that the result is finite
        self.left = self._operand(expr.left)
        self.right = self._operand(expr.right, divisor=expr.op in "/%")
        self.fast = self._fast()  # code of the value, if what is asked holds

    @property
    def nullable(self) -> bool:
        """Whether ``fast`` may be NULL: a float that is no number is, as is what is divided by zero."""
        return bool(self.nulls) or not (self.whole or (self.exact and self.bounded)) or self.op in "/%"

    def code(self) -> str:
        """Code of the value."""
        if not self.asked:
            return self.fast
        return f"({self.fast} if {' and '.join(self.asked)} else {_general(self.writer, self.expr, self.levels)})"

    def _operand(self, side: Expr, *, divisor: bool = False) -> str:
        writer = self.writer
        if (
            isinstance(side, Binary)
            and not writer.independent(side)
            and (inner := _operation(writer, side, self.levels - 1))
        ):
            self.asked += [question for question in inner.asked if question not in self.asked]
            self.bounded = self.bounded and inner.bounded
            return self._held(inner.fast, nullable=inner.nullable)
        code = writer.value(side)
        self.bounded = self.bounded and self._is_bounded(side)
        if isinstance(side, Const):
            self.positive = self.positive or (divisor and side.value > 0)
            return code
        if _class(writer, side, self.levels - 1) is object:
            question = f"type({code}) is int"
            if not self.whole:
                other = self.unit.call_value(Decimal, "Decimal") if self.exact else "float"
                question = f"type({code}) is {other} or {question}"
            if divisor and self.whole:
                question += f" and {code} > 0"
                self.positive = True
            self.asked.append(self.unit.hoist(question))
            return code
        return self._held(code, nullable=writer.nullable(side))

    def _is_bounded(self, side: Expr) -> bool:
        """Whether the value is an integer, or a decimal from outside or of a column of so many digits."""
        if isinstance(side, (Const, Param)):
            return True
        if not isinstance(side, Column):
            return False
        row = self.unit.env[side.source]
        is_stored = isinstance(row, StoredRow) and row.width >= 0
        return is_stored and (side.type.kind is Kind.INTEGER or side.type.precision is not None)

    def _held(self, code: str, *, nullable: bool) -> str:
        """Code of an operand after the test that it is not NULL, if there is one; a division reads it several times."""
        first, again = self.writer.hold(code)
        if not nullable and (first == again or self.op not in "/%"):
            return code
        self.nulls.append(f"{first} is None")
        return again

    def _fast(self) -> str:
        divides = self.whole and self.op in "/%"
        result, test, otherwise = self._division() if divides else self._plain()
        code = f"{result} if {' and '.join(test)} else {otherwise}" if test else result
        return f"(None if {' or '.join(self.nulls)} else {code})" if self.nulls else f"({code})"

    def _division(self) -> tuple[str, list[str], str]:
        """Python rounds down and SQLite towards zero: the same for what is not negative."""
        test = [f"{self.left} >= 0"] if self.positive else [f"{self.right} > 0", f"{self.left} >= 0"]
        otherwise = f"{self.unit.call(FUNCTIONS[self.op])}({self.left}, {self.right})"
        return f"{self.left} {'//' if self.op == '/' else '%'} {self.right}", test, otherwise

    def _plain(self) -> tuple[str, list[str], str]:
        name = self.unit.fresh("t")
        if self.exact:
            function, shown = _EXACT[self.op]
            value = f"{self.unit.call_value(function, shown)}({self.left}, {self.right})"
            return (value, [], "") if self.bounded else (name, [f"({name} := {value}).is_finite()"], "None")
        value = f"({name} := {self.left} {self.op} {self.right})"
        if self.whole:
            return name, [f"{_MIN} <= {value} <= {_MAX}"], f"float({name})"
        return name, [*([self.right] if self.op == "/" else []), f"{value} == {name}"], "None"
