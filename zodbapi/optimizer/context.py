"""What a rule may ask besides the plan: row counts, index definitions, which classes occur, and fresh source numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from zodbapi.catalog import Index, Table
from zodbapi.plan.expr import Exists, InQuery, ScalarQuery
from zodbapi.plan.nodes import BoundIndex, Node
from zodbapi.plan.walk import classes_below, sources_made

LEAST_ROWS = 100  # plans are cached while tables grow, so a table is never taken for smaller than this
QUERIES = frozenset({Exists, InQuery, ScalarQuery})


class Stats(Protocol):
    """What the optimizer knows about the data."""

    def row_count(self, table_id: int) -> int: ...


BindIndex = Callable[[Table, Index], BoundIndex]


@dataclass(slots=True)
class Context:
    """One optimisation of one statement.

    ``classes`` are those of all nodes and expressions of the statement as it was bound, and what rules introduce: a rule
    whose patterns cannot occur returns at once. ``bind_index`` gives partial and expression indexes; without it they
    are not used.
    """

    root: Node
    stats: Stats
    bind_index: BindIndex | None = None
    classes: set[type] = field(init=False)
    _sources: Iterator[int] | None = field(default=None, init=False)
    _rows: dict[int, float] = field(default_factory=dict, init=False)
    _bound: dict[int, BoundIndex] = field(default_factory=dict, init=False)

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

    def bound_index(self, table: Table, index: Index) -> BoundIndex | None:
        """A partial or expression index with its expressions over source 0, or None when nobody can bind them."""
        if self.bind_index is None:
            return None
        if index.id not in self._bound:
            self._bound[index.id] = self.bind_index(table, index)
        return self._bound[index.id]
