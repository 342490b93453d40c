"""What a rule may ask besides the plan: numbers about the data, index definitions, which classes occur, fresh source numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol

from zodbapi.catalog import Index, Kind, Schema, Table
from zodbapi.optimizer.peeking import UNKNOWN, Edge, is_fixed, seek_ends, value_of
from zodbapi.plan.entries import covers
from zodbapi.plan.expr import Column, Exists, Expr, InQuery, ScalarQuery
from zodbapi.plan.nodes import Bound, Node, Scan
from zodbapi.plan.walk import descend, everything, sources_made
from zodbapi.plan.writer import BoundIndex
from zodbapi.record import field, record

LEAST_ROWS = 100  # plans are cached while tables grow, so a table is never taken for smaller than this
SEVERAL = 2000  # rows of a table from which on it matters what of it is read
MANY = 100_000  # from which on the groups and joined rows of a scan fall out of the processor's caches
LIKELY_ROWS = 1000  # paths to one table are compared as for that many rows, if it has less: it may grow
QUERIES = frozenset({Exists, InQuery, ScalarQuery})


class Stats(Protocol):
    """What the optimizer knows about the data."""

    def row_count(self, table_id: int) -> int: ...


class Samples(Protocol):
    """What the optimizer may look up in the data; see ``storage.stats``. Of small tables nothing is known."""

    def part_between(self, index_id: int, low: Any, high: Any) -> float | None: ...

    def part_of_rowids(self, table_id: int, low: Any, high: Any) -> float | None: ...

    def part_of_key(self, index_id: int, width: int) -> float | None: ...

    def lie_together(self, table_id: int, index_id: int) -> bool: ...

    def sample_rows(self, table_id: int) -> list[tuple[Any, ...]]: ...


BindIndex = Callable[[Table, Index], BoundIndex]


@record(slots=True)
class Context:
    """One optimisation of one statement.

    ``classes`` are those of all nodes and expressions of the statement as it was bound, and what rules introduce: a rule
    whose patterns cannot occur returns at once. ``schema`` knows the parents of foreign keys, whose row counts say how many
    values there are. ``bind_index`` gives partial and expression indexes; without it they
    are not used. ``params`` are those of the call that the statement is planned for, as far as they are known; ``samples`` may be
    missing too.
    """

    root: Node
    stats: Stats
    bind_index: BindIndex | None = None
    schema: Schema | None = None
    samples: Samples | None = None
    params: Sequence[Any] = ()
    classes: set[type] = field(init=False)
    _sources: Iterator[int] | None = field(default=None, init=False)
    _rows: dict[int, float] = field(default_factory=dict, init=False)
    _bound: dict[int, BoundIndex] = field(default_factory=dict, init=False)
    _distinct: dict[tuple[int, object], float] = field(default_factory=dict, init=False)
    _sampled: dict[int, list[tuple[Any, ...]]] = field(default_factory=dict, init=False)
    _key_parts: dict[tuple[int, int], float | None] = field(default_factory=dict, init=False)
    passing: dict[int, tuple[Expr, float]] = field(
        default_factory=dict, init=False
    )  # by id of a term; see ``selectivity``
    _read: dict[int, list[int]] = field(
        default_factory=dict, init=False
    )  # by source: its columns, as often as they are read
    _covered: dict[tuple[int, int], bool] = field(default_factory=dict, init=False)
    paths: dict[tuple[object, ...], tuple[Any, Any]] = field(default_factory=dict, init=False)  # see ``access``
    _tables: dict[int, Table] = field(default_factory=dict, init=False)  # by source

    def __post_init__(self) -> None:
        """Looks through the statement as it was bound, once for all that is to be known of it."""
        found = everything(self.root)
        self.classes = {part.__class__ for part in found}
        for part in found:
            if part.__class__ is Column:
                self._read.setdefault(part.source, []).append(part.position)
            elif part.__class__ is Scan:
                self._tables[part.source] = part.table

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

    def most_rows(self) -> float:
        """The estimated number of rows of the largest table that the statement reads."""
        return max(map(self.rows, self._tables.values()), default=0.0)

    def value(self, expr: Expr) -> Any:
        """The value that an expression has in the call that is planned for; UNKNOWN if it is no literal or parameter."""
        return value_of(expr, self.params)

    def table_of(self, source: int) -> Table | None:
        """The table that a source of the statement reads."""
        return self._tables.get(source)

    def is_covered(self, source: int, table: Table, index: Index) -> bool:
        """Whether an index's entries have all that the statement reads of a source, so that rows need not be fetched."""
        known = self._covered.get((source, index.id))
        if known is None:
            known = source in self._tables and covers(table, index, set(self._read.get(source, ())))
            self._covered[source, index.id] = known
        return known

    def reads_more(self, source: int, terms: Sequence[Expr]) -> bool:
        """Whether the statement reads of a source more than some of its terms do, and the rowid."""
        own = [part for term in terms for part in descend(term) if isinstance(part, Column)]
        others = Counter(self._read.get(source, ()))
        others.subtract(part.position for part in own if part.source == source)
        del others[self._tables[source].rowid_column]
        return any(times > 0 for times in others.values())

    def sample(self, table: Table, position: int) -> list[Any]:
        """Values of a column in some rows; none of a small table, or where large values may be elsewhere."""
        if self.samples is None or position in table.large:
            return []
        if table.id not in self._sampled:
            self._sampled[table.id] = self.samples.sample_rows(table.id)
        return [row[position] for row in self._sampled[table.id]]

    def part_seen(
        self, table: Table, index: Index | None, keys: Sequence[Expr], lower: Bound | None, upper: Bound | None
    ) -> tuple[float, bool] | None:
        """The part of an index (None: of the rowids) with known keys and bounds, and whether it is so for any call."""
        if self.samples is None:
            return None
        bounds = [bound for bound in (lower, upper) if bound is not None]
        exprs = [*keys, *(bound.value for bound in bounds)]
        known = [self.value(expr) for expr in exprs]
        if any(value is UNKNOWN for value in known):
            return None
        edges = [Edge(value, bound.inclusive) for value, bound in zip(known[len(keys) :], bounds, strict=True)]
        low, high = (edges[0] if lower else None), (edges[-1] if upper else None)
        if index is None:
            part = self.samples.part_of_rowids(table.id, low and low.value, high and high.value)
        else:
            ends = seek_ends(table, index, known[: len(keys)], low, high)
            part = None if ends is None else self.samples.part_between(index.id, *ends)
        return None if part is None else (part, all(map(is_fixed, exprs)))

    def matching(self, table: Table, rows: float, targets: Sequence[object]) -> float:
        """Of so many rows of a table, those expected to have given values in some columns; targets as in ``access``."""
        part = self._part_of_key(table, targets)
        if part is not None:
            return max(rows * part, 1.0)
        weight = 1.0
        for target in targets:
            rows /= self.values(table, target) ** weight
            weight /= 2  # columns of one index tend to go together
        return max(rows, 1.0)

    def _part_of_key(self, table: Table, targets: Sequence[object]) -> float | None:
        """The part of the rows that share a key on average, if the targets are the leading columns of an index."""
        if self.samples is None or not targets:
            return None
        wanted = tuple([table.rowid_column if target == -1 else target for target in targets])
        index = table.index_of_prefix.get(wanted)  # type: ignore[arg-type]
        if index is None:
            return None
        key = index.id, len(wanted)
        if key not in self._key_parts:
            self._key_parts[key] = self.samples.part_of_key(*key)
        return self._key_parts[key]

    def prefers_entries(self, table: Table, index: Index) -> bool:
        """Whether reading all entries of an index takes less than reading all rows of its table."""
        rows = self.rows(table)
        if rows < SEVERAL or rows >= MANY or self.samples is None:
            return rows >= MANY
        return self.samples.lie_together(table.id, index.id)

    def values(self, table: Table, target: object) -> float:
        """How many different values a column is guessed to have."""
        key = (table.id, target)
        if key not in self._distinct:
            part = self._part_of_key(table, (target,)) if isinstance(target, int) and target >= 0 else None
            self._distinct[key] = self._guess_values(table, target) if part is None else 1 / part
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
        return self._sampled_values(table, target) or float(rows**0.5)

    def _sampled_values(self, table: Table, position: int) -> float | None:
        """How many values a column has, judged by those of a sample that occur once (the first-order jackknife)."""
        seen = Counter(self.sample(table, position))
        if not seen:
            return None
        alone = sum(times == 1 for times in seen.values()) / seen.total()
        return min(self.rows(table), len(seen) / max(1 - alone, 1 / self.rows(table)))

    def bound_index(self, table: Table, index: Index) -> BoundIndex | None:
        """A partial or expression index with its expressions over source 0, or None when nobody can bind them."""
        if self.bind_index is None:
            return None
        if index.id not in self._bound:
            self._bound[index.id] = self.bind_index(table, index)
        return self._bound[index.id]
