"""Grouping: what the rest of a query sees of its Aggregate node.

While the select list, HAVING and ORDER BY are bound, aggregate calls are collected and stand as columns of the
Aggregate node already. Everything around them is bound over the ungrouped rows, and lifted afterwards::

    sum(a) + b + c          bound over the rows of FROM, b being a key
    #1 + b + c              #1: column of the Aggregate node, made by ``Aggregation.add``
    #1 + #0 + #2            lifted: the key is column 0, and c became a ``bare`` call, whose value is one row's
"""

from __future__ import annotations

from typing import Any

from zodbapi.binder.collation import BINARY, own_collation, uncollated
from zodbapi.binder.scope import Binding, Field
from zodbapi.binder.typing import affinity_of, nullable, type_of
from zodbapi.errors import OperationalError
from zodbapi.plan.expr import AggregateCall, Column, Expr, Rowid
from zodbapi.plan.nodes import Aggregate, Node
from zodbapi.plan.walk import rebuild
from zodbapi.record import field, record, replace


@record(slots=True)
class Aggregation:
    """The keys and calls of one query's Aggregate node, and the fields that it emits."""

    binding: Binding
    source: int
    keys: dict[Expr, int] = field(default_factory=dict)
    collations: list[str] = field(default_factory=list)
    calls: dict[AggregateCall, int] = field(default_factory=dict)
    fields: list[Field] = field(default_factory=list)
    local: frozenset[int] = frozenset()

    def add_key(self, expr: Expr) -> None:
        """Groups by an expression."""
        key = uncollated(expr, self.binding)
        if key not in self.keys:
            self.keys[key] = len(self.keys)
            collation = own_collation(expr)
            self.collations.append(collation)
            self.fields.append(Field("", type_of(key), nullable(key), collation, affinity_of(key, self.binding)))

    def add(self, call: AggregateCall) -> Column:
        """The column under which the Aggregate node gives the result of a call."""
        position = len(self.keys) + self.calls.setdefault(call, len(self.calls))
        if position == len(self.fields):
            affinity = affinity_of(call.args[0], self.binding) if call.function.name == "bare" else None
            self.fields.append(Field("", call.type, call.nullable, affinity=affinity))
        collation = call.collation if call.function.name == "bare" else BINARY
        return Column(self.source, position, call.type, call.nullable, collation)

    def lift(self, part: Any) -> Any:
        """An expression, key or call over ungrouped rows as one over the rows that the Aggregate node emits."""
        if isinstance(part, Expr):
            position = self.keys.get(part)
            if position is not None and not self._varies(part, position):
                shown = self.fields[position]
                name = part.name if isinstance(part, Column) else ""
                return Column(self.source, position, shown.type, shown.nullable, shown.collation, name)
            if isinstance(part, (Column, Rowid)) and part.source in self.local:
                return replace(self._bare(part), name=part.name if isinstance(part, Column) else "rowid")
        return rebuild(part, self.lift)

    def _varies(self, key: Expr, position: int) -> bool:
        """Whether equal values of a key can differ, and the row of a min() or max() says which one is meant."""
        if self.collations[position] == "BINARY" or not isinstance(key, Column):
            return False
        return any(call.function.name in ("min", "max") for call in self.calls)

    def _bare(self, column: Column | Rowid) -> Column:
        """The value of a column that is no key: SQLite takes it from the row of the query's only min() or max()."""
        function = self.binding.functions.aggregate("bare", 1)
        if function is None:
            raise OperationalError("column must appear in the GROUP BY clause")
        extremes = [i for call, i in self.calls.items() if call.function.name in ("min", "max")]
        can = column.nullable or not self.keys  # no row at all gives NULL
        return self.add(
            AggregateCall(
                function,
                (column,),
                collation=column.collation if isinstance(column, Column) else "BINARY",
                of=extremes[0] if len(extremes) == 1 else None,
                type=column.type,
                nullable=can,
            )
        )

    def node(self, below: Node) -> Aggregate:
        """The Aggregate node over the ungrouped rows."""
        return Aggregate(self.source, below, tuple(self.keys), tuple(self.calls), tuple(self.collations))


def make_aggregation(binding: Binding) -> Aggregation:
    """An empty collector."""
    made = Aggregation(binding, binding.new_source())
    binding.fields[made.source] = made.fields
    return made
