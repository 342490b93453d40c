"""Random SQL over the native types, which SQLite does not have: the oracle is this engine with the optimizer off."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from tests.random_shapes import ShapeGenerator
from tests.random_sql import TYPES, Col

NATIVE = ("DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIME", "INTERVAL", "DECIMAL(8,2)", "BOOLEAN", "UUID")


class NativeGenerator(ShapeGenerator):
    """Draws columns and values of all types; their expressions are columns, values and choices among these."""

    types = (*TYPES, *NATIVE)

    def value(self, type_: str) -> object:
        """A value of a type."""
        number = self.random.randint(0, 9)
        match type_:
            case "DATE":
                return date(2024, 1, 1 + number)
            case "TIMESTAMP":
                return datetime(2024, 1, 1 + number % 3, number)
            case "TIMESTAMPTZ":
                return datetime(2024, 1, 1 + number % 3, number, tzinfo=UTC)
            case "TIME":
                return time(number, 30)
            case "INTERVAL":
                return timedelta(hours=number * 12)
            case "DECIMAL(8,2)":
                return Decimal(number) / 4
            case "BOOLEAN":
                return number % 2 == 0
            case "UUID":
                return UUID(int=number)
            case _:
                return super().value(type_)

    def literal(self, type_: str) -> str:
        """A parameter, or a text that the comparison converts."""
        if type_ not in NATIVE:
            return super().literal(type_)
        value = self.value(type_)
        if isinstance(value, (bool, Decimal)) and self.chance(0.5):
            return str(value)
        if self.chance(0.2) and not isinstance(value, (timedelta, bool)):
            return f"'{value}'"
        self.params.append(value)
        return f"?{len(self.params)}"

    def expression(self, scope: list[Col], type_: str, depth: int = 2) -> str:
        """An expression of a type."""
        if type_ not in NATIVE:
            return super().expression(scope, type_, depth)
        roll = self.random.random()
        if depth <= 0 or roll < 0.7:
            return (self.column(scope, type_) if self.chance(0.8) else None) or self.literal(type_)
        if roll < 0.8 and self._depth < 2:
            return self.scalar_query(scope, type_)
        first, second = (self.expression(scope, type_, depth - 1) for _ in range(2))
        if roll < 0.9:
            return f"coalesce({first}, {second})"
        return f"CASE WHEN {self.predicate(scope, depth - 1)} THEN {first} ELSE {second} END"

    def _plain(self, table: object, column: str) -> str:
        return "0" if self.chance(0.5) else "'2024-01-03'"
