"""Expressions -> Python expressions.

Three renderings of one expression, because SQL's truth has three values and Python's two:

- ``value(e)``: code that gives the SQL value, None for NULL;
- ``is_true(e)``: code that Python finds true exactly when the SQL value is true (so NULL counts as false);
- ``is_false(e)``: code that Python finds true exactly when the SQL value is false.

WHERE, ON, CASE and HAVING only ask ``is_true``, and NOT swaps the two, so most programs never build a NULL.
An expression without columns is *independent*: it is computed once, in the prologue.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from zodbapi import values
from zodbapi.catalog import NUMBERS
from zodbapi.codegen import arithmetic, compare, runtime
from zodbapi.codegen.calls import call_true, call_value
from zodbapi.codegen.unit import StoredRow, all_of, is_cheap, tuple_code
from zodbapi.plan.expr import (
    Affine,
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
    Unary,
)
from zodbapi.plan.walk import parts

if TYPE_CHECKING:
    from zodbapi.catalog import Type
    from zodbapi.codegen.unit import Unit

_UNARY = {"-": values.negate, "+": values.plus, "~": values.bit_not}
_MAX_DEPTH = 24  # expressions nested deeper continue in a function of their own: CPython's parser has limits


class ExprWriter:
    """Renders the expressions of one program."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._depth = 0
        self._independent: dict[
            int, tuple[Expr, bool]
        ] = {}  # by id; the expression is kept, so that the id stays its own

    # --- the three renderings -------------------------------------------------------------------------------------

    def value(self, expr: Expr) -> str:
        """Code of the value; None for NULL."""
        self._depth += 1
        try:
            if self._depth > _MAX_DEPTH:
                return self._outlined(expr)
            return self._value(expr)
        finally:
            self._depth -= 1

    def _value(self, expr: Expr) -> str:
        unit = self.unit
        match expr:
            case Column(source=source, position=position):
                return unit.env[source].column(position)
            case Const(value=value):
                return unit.constant(value)
            case Param(index=index):
                return unit.hoist(f"p[{index}]", "p")
            case ParamList():
                return "v"  # inside ``Unit.each``
            case Rowid(source=source):
                return unit.env[source].rowid
            case And() | Or() | Not() | InList() | Between():
                return self._truth_value(expr)
            case Compare():
                return compare.as_value(self, expr)
            case IsNull(operand=operand):
                return f"(1 if {self.stored(operand)} is None else 0)"
            case Binary():
                return arithmetic.binary(self, expr)
            case Unary(op=op, operand=operand):
                return self._hoisted_if_independent(expr, f"{unit.call(_UNARY[op])}({self.value(operand)})")
            case Affine(operand=operand, type=type_):
                return self._affine(operand, type_)
            case Cast(operand=operand, type=type_):
                return self._hoisted_if_independent(expr, f"{unit.call(values.cast(type_))}({self.value(operand)})")
            case Case(whens=whens, default=default):
                arms = "".join(f"{self.value(then)} if {self.is_true(when)} else " for when, then in whens)
                return f"({arms}{self.value(default)})"
            case Call():
                return call_value(self, expr)
            case RowValue(items=items):
                return tuple_code([self.value(item) for item in items])
            case Exists():
                return f"(1 if {self.is_true(expr)} else 0)"
            case ScalarQuery(query=query):
                return unit.query.scalar(query)
            case InQuery():
                return f"{unit.query.membership(expr)}"
            case Raise(message=message):
                return f"{unit.call(runtime.raise_error)}({self.value(message)})"
            case _:
                raise AssertionError(f"no code for {type(expr).__name__}")

    def is_true(self, expr: Expr) -> str:
        """Code that is true exactly when the value is true."""
        self._depth += 1
        try:
            if self._depth > _MAX_DEPTH:
                return self._outlined(expr, "true")
            return self._is_true(expr)
        finally:
            self._depth -= 1

    def _is_true(self, expr: Expr) -> str:
        match expr:
            case And(terms=terms):
                return all_of([self.is_true(term) for term in terms])
            case Or(terms=terms):
                return f"({' or '.join(self.is_true(term) for term in terms)})"
            case Not(operand=operand):
                return self.is_false(operand)
            case Compare():
                return compare.is_true(self, expr)
            case IsNull(operand=operand):
                return f"{self.stored(operand)} is None"
            case Between():
                return compare.between_true(self, expr)
            case InList():
                return compare.in_list(self, expr, negated=False)
            case Exists(query=query):
                return self.unit.query.exists(query)
            case Const(value=value):
                return repr(values.truth(value))
            case InQuery():
                return self.unit.query.is_member(expr)
            case Call():
                return call_true(self, expr)
            case _:
                return self.truth(self.value(expr), expr.type)

    def is_false(self, expr: Expr) -> str:
        """Code that is true exactly when the value is false, and not NULL."""
        self._depth += 1
        try:
            if self._depth > _MAX_DEPTH:
                return self._outlined(expr, "false")
            return self._is_false(expr)
        finally:
            self._depth -= 1

    def _is_false(self, expr: Expr) -> str:
        match expr:
            case And(terms=terms):
                return f"({' or '.join(self.is_false(term) for term in terms)})"
            case Or(terms=terms):
                return f"({' and '.join(self.is_false(term) for term in terms)})"
            case Not(operand=operand):
                return self.is_true(operand)
            case Compare():
                return compare.is_false(self, expr)
            case IsNull(operand=operand):
                return f"{self.stored(operand)} is not None"
            case Between():
                return compare.between_false(self, expr)
            case InList():
                return compare.in_list(self, expr, negated=True)
            case Exists(query=query):
                return f"not {self.unit.query.exists(query)}"
            case Const(value=value):
                return repr(value is not None and not values.truth(value))
            case _:
                code = self.value(expr)
                if not self.nullable(expr):
                    return f"not {self.truth(code, expr.type)}"
                first, again = self.hold(code)
                return f"({first} is not None and not {self.truth(again, expr.type)})"

    # --- pieces that the other modules of codegen use ---------------------------------------------------------------

    def stored(self, expr: Expr) -> str:
        """Code that is None where the value is, and of a column what its row has: a large value is not read."""
        match expr:
            case Column(source=source, position=position):
                row = self.unit.env[source]
                return row.stored(position) if isinstance(row, StoredRow) else row.column(position)
            case _:
                return self.value(expr)

    def nullable(self, expr: Expr) -> bool:
        """Whether the value may be NULL."""
        match expr:
            case Const(value=value):
                return value is None
            case _:
                return bool(expr.nullable)

    def truth(self, code: str, type_: Type) -> str:
        """Code of the truth of a value: Python's own for numbers, SQLite's conversion for the rest."""
        if type_.kind in NUMBERS:
            return code
        return f"{self.unit.call(values.truth)}({code})"

    def hold(self, code: str) -> tuple[str, str]:
        """Code for the first use of a value, and for the uses that are evaluated after it."""
        if is_cheap(code):
            return code, code
        name = self.unit.fresh("t")
        return f"({name} := {code})", name

    def independent(self, expr: Expr) -> bool:
        """Whether the value is the same for the whole statement, and computing it early can do no harm."""
        match expr:
            case Const() | Param():
                return True
            case Column() | Rowid() | Exists() | ScalarQuery() | InQuery() | Raise() | Case():
                return False
            case Call(function=function) if not ((function.deterministic or function.stable) and function.safe):
                return False
        known = self._independent.get(id(expr))
        if known is None:
            known = expr, all(not isinstance(part, Expr) or self.independent(part) for part in parts(expr))
            self._independent[id(expr)] = known
        return known[1]

    def fallible(self, expr: Expr) -> bool:
        """Whether the value is the same for the whole statement, but computing it may fail: not before it is needed."""
        match expr:
            case Affine(operand=operand):
                return self.fallible(operand)
            case Call(function=function, args=args):
                steady = (function.deterministic or function.stable) and not function.with_txn
                return steady and not function.safe and not function.lazy and all(map(self.independent, args))
            case _:
                return False

    def folded(self, code: str, collation: str) -> str:
        """Code of the text as its collation compares it."""
        if collation.upper() == "BINARY":
            return code
        return f"{self.unit.call(runtime.folding(collation, self.unit.collations))}({code})"

    # --- the longer cases -------------------------------------------------------------------------------------------

    def _truth_value(self, expr: Expr) -> str:
        """1, 0 or None of a logical expression."""
        if not self.nullable(expr):
            return f"(1 if {self.is_true(expr)} else 0)"
        return f"(1 if {self.is_true(expr)} else 0 if {self.is_false(expr)} else None)"

    def _hoisted_if_independent(self, expr: Expr, code: str) -> str:
        return self.unit.hoist(code) if self.independent(expr) else code

    def _affine(self, operand: Expr, type_: Type) -> str:
        if isinstance(operand, Const):
            return self.unit.constant(values.affine(type_.kind)(operand.value))
        code = f"{self.unit.call(values.affine(type_.kind))}({self.value(operand)})"
        return self._hoisted_if_independent(operand, code)

    def not_null(self, operands: list[tuple[Expr, str]]) -> tuple[list[str], list[str]]:
        """Tests for NULL, and the code of the operands after all tests.

        When the tests are joined by ``or`` and all fail, every operand has been evaluated, once.
        """
        tests: list[str] = []
        codes: list[str] = []
        for expr, code in operands:
            if self.nullable(expr):
                first, code = self.hold(code)
                tests.append(f"{first} is None")
            codes.append(code)
        return tests, codes

    def _outlined(self, expr: Expr, rendering: str = "value") -> str:
        """The expression as a local function without arguments: it sees the rows through its closure."""
        name = self.unit.fresh("e")
        depth, self._depth = self._depth, 0
        # What is hoisted out of all functions must find the functions that it calls there.
        place = self.unit.outermost() if self.independent(expr) else nullcontext()
        with place, self.unit.function(f"def {name}()") as scope:
            render = {"value": self._value, "true": self._is_true, "false": self._is_false}[rendering]
            scope.body.line(f"return {render(expr)}")
        self._depth = depth
        return f"{name}()"
