"""What is above an access: the order that it would like, and how many rows it takes. A wish decides between paths to a table.

In: a table's paths, and the keys of a Sort with the LIMIT above it. Out: the path that grants the wish at the lowest cost.
"""

from __future__ import annotations

from math import prod

from zodbapi.optimizer.access import Path, Sarg, paths_to
from zodbapi.optimizer.context import LIKELY_ROWS, Context
from zodbapi.optimizer.cost import COUNT, COUNTED, SKIP, SORT, entry_cost, limit_rows
from zodbapi.optimizer.ordering import Keys, fixing, way
from zodbapi.optimizer.predicates import substitute
from zodbapi.optimizer.selectivity import passing
from zodbapi.plan.expr import Expr
from zodbapi.plan.lists import how_many
from zodbapi.plan.nodes import Limit, Project, Scan
from zodbapi.record import record, replace

BAD_LUCK = 10.0  # an order by index with other conditions is taken to read so many times more rows than on average


@record(frozen=True, slots=True)
class Wish:
    """What is above: an order it would like (``keys``), how many rows it takes at most, and how many times.

    ``grouped``: all that is wanted of rows found by a key is made once for each key, if a hash table is made at all.
    ``skipped`` of the rows are not looked at, as long as each comes of one entry. ``counts``: rows that are found for the same
    rows of the left input, or around the query, are only counted. ``number``: nothing is wanted but how many rows there are.
    """

    keys: Keys = ()
    limit: float = float("inf")
    times: float = 1.0
    counts: bool = False
    grouped: bool = False
    skipped: float = 0.0
    number: bool = False

    @property
    def is_limited(self) -> bool:
        """Whether a LIMIT is above."""
        return self.limit != float("inf")


NO_WISH = Wish()


def page_rows(node: Limit) -> float:
    """Rows that a LIMIT asks for, those of its OFFSET included."""
    return limit_rows(node.limit) + offset_rows(node)


def offset_rows(node: Limit) -> float:
    """Rows that an OFFSET skips."""
    return limit_rows(node.offset) if node.offset is not None else 0.0


def below_project(wish: Wish, node: Project) -> Wish:
    """The wish in terms of what a projection reads."""
    if not wish.keys:
        return wish
    return replace(
        wish, keys=tuple(replace(key, expr=substitute(key.expr, node.source, node.columns)) for key in wish.keys)
    )


def best_path(scan: Scan, terms: list[Expr], wish: Wish, context: Context) -> tuple[Path, bool]:
    """The cheapest path, and whether to read it backwards."""
    paths = paths_to(scan.source, scan.table, terms, context, whole=bool(wish.keys) and wish.is_limited)
    if len(paths) == 1 and not wish.keys:
        return paths[0], False
    if not wish.keys:
        return min(paths, key=lambda path: _cost(path, scan, terms, wish, context)), False
    fixed = fixing(scan.source, scan.table, terms)
    rows = min(path.rows for path in paths)
    if not any(len(path.answered()) == len(terms) for path in paths):
        rows = min(rows, passing(max(context.rows(scan.table), LIKELY_ROWS), terms, context))
    best: tuple[float, Path, bool] | None = None
    for path in paths:
        sorted_rows = min(rows, path.rows)
        leading, backwards = leading_keys(wish, path, fixed, scan)
        is_answer = len(path.answered()) == len(terms)
        # Rows that other terms drop are read in vain, and it may be long until the first one passes.
        luck = 1 if is_answer else BAD_LUCK
        if path.single:
            cost = path.cost
        elif leading == len(wish.keys):
            cost = path.cost * min(1.0, luck * wish.limit / sorted_rows)
            if is_answer:
                cost -= min(wish.skipped, sorted_rows) * _saved_by_skipping(path, scan, context)
        elif leading:
            wanted = wish.limit + context.matching(
                scan.table, sorted_rows, [part.target for part in path.order[:leading]]
            )
            cost = path.cost * min(1.0, luck * wanted / sorted_rows) + min(wanted, sorted_rows) * SORT
        else:
            cost = path.cost + sorted_rows * SORT
        if best is None or cost < best[0]:
            best = cost, path, backwards
    assert best is not None
    return best[1], best[2]


def _cost(path: Path, scan: Scan, terms: list[Expr], wish: Wish, context: Context) -> float:
    """Microseconds that reading the rows of a path in any order takes; a tree knows how many entries a range has."""
    counted = wish.number and path.using is not None and len(path.answered()) == len(terms)
    if not counted or context.reads_more(scan.source, terms):
        return path.cost
    return COUNT * prod(how_many(sarg.keys) for sarg in path.equal) + path.rows * COUNTED


def _saved_by_skipping(path: Path, scan: Scan, context: Context) -> float:
    """Microseconds that an entry which is skipped takes less than one whose row is read."""
    if path.using is None:
        return 0.0
    return entry_cost(scan.source, scan.table, path.using, context) - SKIP


def leading_keys(wish: Wish, path: Path, fixed: list[Sarg], scan: Scan) -> tuple[int, bool]:
    """How many of the wished keys the path has the order of, and whether it must be read backwards for that."""
    for leading in range(len(wish.keys), 0 if wish.is_limited else len(wish.keys) - 1, -1):
        found = way(wish.keys[:leading], path.order, fixed, scan.source, scan.table)
        if found is not None:
            return leading, found.backwards
    return 0, False
