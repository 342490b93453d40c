"""What a rule may ask besides the plan: row counts, index definitions, which classes occur, and fresh source numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from zodbapi.catalog import Index, Kind, Schema, Table
from zodbapi.plan.expr import Exists, InQuery, ScalarQuery
from zodbapi.plan.nodes import BoundIndex, Node
from zodbapi.plan.walk import classes_below, sources_made

LEAST_ROWS = 100  # plans are cached while tables grow, so a table is never taken for smaller than this
LIKELY_ROWS = 1000  # paths to one table are compared as for that many rows, if it has less: it may grow
QUERIES = frozenset({Exists, InQuery, ScalarQuery})


class Stats(Protocol):
    """What the optimizer knows about the data."""

    def row_count(self, table_id: int) -> int: ...


BindIndex = Callable[[Table, Index], BoundIndex]


@dataclass(slots=True)
class Context:
    """One optimisation of one statement.

    ``classes`` are those of all nodes and expressions of the statement as it was bound, and what rules introduce: a rule
    whose patterns cannot occur returns at once. ``schema`` knows the parents of foreign keys, whose row counts say how many
    values there are. ``bind_index`` gives partial and expression indexes; without it they
    are not used.
    """

    root: Node
    stats: Stats
    bind_index: BindIndex | None = None
    schema: Schema | None = None
    classes: set[type] = field(init=False)
    _sources: Iterator[int] | None = field(default=None, init=False)
    _rows: dict[int, float] = field(default_factory=dict, init=False)
    _bound: dict[int, BoundIndex] = field(default_factory=dict, init=False)
    _distinct: dict[tuple[int, object], float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.classes = classes_below(self.root)

    def introduce(self, *classes: type) -> None:
        """To be called by a rule that makes nodes of classes that the rules after it may look for."""
        self.classes.update(classes)

    def occurs(self, *classes: type) -> bool:
        """Whether any of the classes occurs in the statement."""
        return not self.classes.isdisjoint(classes)

    @property
    def has_queries(self) -> bool:
        """Whether an expression holds a query."""
        return not self.classes.isdisjoint(QUERIES)

    def new_source(self) -> int:
        """A source number that nothing in the statement has."""
        if self._sources is None:
            self._sources = count(max(sources_made(self.root), default=0) + 1)
        return next(self._sources)

    def rows(self, table: Table) -> float:
        """The estimated number of rows of a table."""
        if table.id not in self._rows:
            self._rows[table.id] = float(max(self.stats.row_count(table.id), LEAST_ROWS))
        return self._rows[table.id]

    def matching(self, table: Table, rows: float, targets: Iterable[object]) -> float:
        """Of so many rows of a table, those expected to have given values in some columns; targets as in ``access``."""
        weight = 1.0
        for target in targets:
            rows /= self._values(table, target) ** weight
            weight /= 2  # columns of one index tend to go together
        return max(rows, 1.0)

    def _values(self, table: Table, target: object) -> float:
        """How many different values a column is guessed to have."""
        key = (table.id, target)
        if key not in self._distinct:
            self._distinct[key] = self._guess_values(table, target)
        return self._distinct[key]

    def _guess_values(self, table: Table, target: object) -> float:
        rows = max(self.rows(table), LIKELY_ROWS)
        if not isinstance(target, int):
            return float(rows**0.5)
        if target < 0:
            return rows
        if table.columns[target].type.kind is Kind.BOOLEAN:
            return 2.0
        for key in table.foreign_keys if self.schema is not None else ():
            parent = self.schema.table(key.parent) if key.columns == (target,) and self.schema is not None else None
            if parent is not None:
                return min(rows, self.rows(parent))
        if any(
            index.keyed and len(index.columns) == 1 and index.columns[0].position == target for index in table.indexes
        ):
            return rows
        return float(rows**0.5)

    def bound_index(self, table: Table, index: Index) -> BoundIndex | None:
        """A partial or expression index with its expressions over source 0, or None when nobody can bind them."""
        if self.bind_index is None:
            return None
        if index.id not in self._bound:
            self._bound[index.id] = self.bind_index(table, index)
        return self._bound[index.id]
