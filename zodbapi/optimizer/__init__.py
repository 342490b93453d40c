"""The optimizer: rewrites a bound plan into an equivalent one that is cheaper to run.

In: the binder's plan. Out: a plan of the same node classes with the same output columns, in which accesses (``RowidSeek``,
``IndexSeek``, ``IndexRange``, ``RowidRange``) and join methods (``HashJoin``) are chosen. Each rule is a small pure function
``(node, context) -> node`` in a file of its own that returns the same object when it has nothing to do:

    fold_constants       x AND true, double NOT, comparisons of literals
    merge_projects       subqueries in FROM become part of the query around them
    unnest_subqueries    correlated EXISTS and IN become semi and anti joins
    drive_by_keys        IN (SELECT ...) of few values seeks them
    join_members         IN (SELECT ...) of many rows is a semi join
    push_filters         predicates move to the tables they read; outer joins that reject NULLs become inner
    anti_joins           outer joins of which only rows without a match are kept become anti joins
    order_joins          the cheapest table first
    drop_duplicates      under DISTINCT a join that only asks for related rows becomes a semi join
    union_seeks          a = ? OR b = ? unites what two indexes find
    seek_extremes        min and max read one end of an index
    limit_branches       the first rows of a UNION are among those of its branches
    choose_access        scans become seeks, joins become index loops or hash joins
    group_queries        correlated queries of one value look it up in a hash table
    group_by_rows        groups that are the rows of a table need no hash table
    group_before_join    what belongs to each row of a table is aggregated for all of them at once
    cover_scans          where order does not matter, an index that has all columns is read instead of the rows
    drop_sorts           what comes in order need not be sorted, what is unique need not be made distinct
    push_limits          a Sort under a LIMIT keeps no more rows than wanted; one row needs no LIMIT
    group_by_index       groups of rows are groups of index entries, and the next one is a seek away

``optimize(node, stats, rules=())`` is the plan as bound, which must give the same rows: the tests compare both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from zodbapi.catalog import Schema
from zodbapi.depth import roomy
from zodbapi.optimizer.anti_joins import anti_joins
from zodbapi.optimizer.choose_access import choose_access
from zodbapi.optimizer.context import BindIndex, Context, Samples, Stats
from zodbapi.optimizer.cover_scans import cover_scans
from zodbapi.optimizer.drive_by_keys import drive_by_keys
from zodbapi.optimizer.drop_duplicates import drop_duplicates
from zodbapi.optimizer.drop_sorts import drop_sorts
from zodbapi.optimizer.fold_constants import fold_constants
from zodbapi.optimizer.group_before_join import group_before_join
from zodbapi.optimizer.group_by_index import group_by_index
from zodbapi.optimizer.group_by_rows import group_by_rows
from zodbapi.optimizer.group_queries import group_queries
from zodbapi.optimizer.join_members import join_members
from zodbapi.optimizer.limit_branches import limit_branches
from zodbapi.optimizer.merge_projects import merge_projects
from zodbapi.optimizer.order_joins import order_joins
from zodbapi.optimizer.push_filters import push_filters
from zodbapi.optimizer.push_limits import push_limits
from zodbapi.optimizer.seek_extremes import seek_extremes
from zodbapi.optimizer.union_seeks import union_seeks
from zodbapi.optimizer.unnest_subqueries import unnest_subqueries
from zodbapi.plan.commands import Command
from zodbapi.plan.nodes import Node, output_names
from zodbapi.plan.walk import rebuild

__all__ = ["RULES", "BindIndex", "Context", "Rule", "Samples", "Stats", "optimize"]

Rule = Callable[[Node, Context], Node]
Trace = Callable[[str, Node], None]

RULES: tuple[Rule, ...] = (
    fold_constants,
    merge_projects,
    unnest_subqueries,
    drive_by_keys,
    join_members,
    push_filters,
    anti_joins,
    order_joins,
    drop_duplicates,
    union_seeks,
    seek_extremes,
    limit_branches,
    choose_access,
    group_queries,
    group_by_rows,
    group_before_join,
    cover_scans,
    drop_sorts,
    push_limits,
    group_by_index,
)


@roomy
def optimize(
    node: Node,
    stats: Stats,
    *,
    trace: Trace | None = None,
    rules: tuple[Rule, ...] = RULES,
    bind_index: BindIndex | None = None,
    schema: Schema | None = None,
    samples: Samples | None = None,
    params: Sequence[Any] = (),
) -> Node:
    """The plan after all rules; ``trace`` is told the name and the result of each rule that changed something.

    ``bind_index`` binds the key parts and the predicate of an expression or partial index over source 0; without it
    such indexes are not used. ``schema`` finds the parents of foreign keys, for the sake of their row counts. ``samples`` looks
    at the data, and ``params`` are the parameters of the first call: they say which rows that one will find.
    """
    if isinstance(node, Command):
        again = partial(
            optimize,
            stats=stats,
            trace=trace,
            rules=rules,
            bind_index=bind_index,
            schema=schema,
            samples=samples,
            params=params,
        )
        return rebuild(node, lambda part: again(part) if isinstance(part, Node) else part)
    context = Context(node, stats, bind_index, schema, samples, params)
    names = output_names(node)
    for rule in rules:
        changed = rule(node, context)
        if changed is node:
            continue
        assert output_names(changed) == names, f"{rule.__name__} changed the output columns"
        node = changed
        if trace is not None:
            trace(rule.__name__, node)
    return node
