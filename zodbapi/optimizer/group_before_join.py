"""Rule: what is aggregated of the rows that belong to each row of a table is aggregated for all of them at once.

In: Aggregates whose groups are the rows of the left input of a join (``each``), over values of the right input. Out: the right
input's own groups, made by the key of the join, and looked up for each left row::

    Aggregate sum(b.n) BY a.id EACH ROW a                Project a.id, sum
      HashJoin a.id = b.a_id                               LeftHashJoin a.id = a_id
        Scan a                                     =>        Scan a
        Scan b                                               Aggregate sum(b.n) BY b.a_id
                                                               Scan b

A condition that all results have is tested before anything is hashed. An index loop that only counts its entries stays, unless
the left rows are so many that counting the groups of all entries takes less (see ``group_by_index``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zodbapi.catalog import INTEGER
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.cost import COUNT, PROBE, rows_of
from zodbapi.optimizer.group_by_rows import ACCESSES
from zodbapi.optimizer.group_queries import EMPTY, NULL, can_be_early, result_column
from zodbapi.optimizer.hash_seeks import HASH_LEFT_ROWS
from zodbapi.optimizer.predicates import each_query, emitted, filtered, kind_of, used
from zodbapi.plan.expr import AggregateCall, Case, Column, Expr, IsNull
from zodbapi.plan.lists import seeks_once
from zodbapi.plan.nodes import Aggregate, Filter, HashJoin, IndexSeek, Join, Node, Project, Scan
from zodbapi.plan.walk import rebuild_inputs
from zodbapi.record import replace

PASSED = 0.1  # microseconds of counting an entry as one of its group


def group_before_join(node: Node, context: Context) -> Node:
    """The plan with right inputs of joins aggregated before they are joined."""
    if not (context.occurs(Aggregate) and context.occurs(Join)):
        return node
    if context.has_queries:
        node = each_query(node, lambda query: _group(query, context))
    return _group(node, context)


def _group(node: Node, context: Context) -> Node:
    node = rebuild_inputs(node, lambda child: _group(child, context))
    if not isinstance(node, Aggregate) or node.each is None:
        return node
    join = node.input
    match join:
        case HashJoin(kind="inner", on=None) if _is_each(join.left, node.each) and _is_busy(join, context):
            return _joined_groups(node, join, join.right, join.left_keys, join.right_keys, context)
        case Join(kind="inner", on=None, right=IndexSeek() as seek) if _is_each(join.left, node.each):
            keys = _sought(seek)
            if keys and all(map(_counts_rows, _results(node))) and _is_long(join, seek, keys, context):
                right = Scan(seek.source, seek.table)
                return _joined_groups(node, join, right, seek.alternatives[0], keys, context)
    return node


def _is_each(node: Node, source: int) -> bool:
    """Whether the node emits rows of one table, which are the groups."""
    while isinstance(node, Filter):
        node = node.input
    return isinstance(node, ACCESSES) and node.source == source


def _is_busy(join: HashJoin, context: Context) -> bool:
    """Whether the groups of a good part of the right rows are asked for: there are more of them than of left rows."""
    return rows_of(join.left, context) * 10 > rows_of(join.right, context)


def _sought(seek: IndexSeek) -> tuple[Column, ...]:
    """The columns that a seek compares with its keys; () where equal values of theirs may differ."""
    if not seeks_once(seek) or any(seek.null_safe) or seek.index.where is not None:
        return ()
    found = []
    for key, part in zip(seek.alternatives[0], seek.index.columns, strict=False):
        if part.position is None or part.folding != "BINARY":
            return ()
        column = seek.table.columns[part.position]
        nullable = not column.not_null and part.position != seek.table.rowid_column
        shown = Column(seek.source, part.position, column.type, nullable, name=column.name)
        if kind_of(shown) is not kind_of(key):
            return ()
        found.append(shown)
    return tuple(found)


def _is_long(join: Join, seek: IndexSeek, keys: Sequence[Column], context: Context) -> bool:
    """Whether counting the entries for each left row takes longer than counting those of all groups."""
    rows, times = context.rows(seek.table), rows_of(join.left, context)
    if times < HASH_LEFT_ROWS:
        return False  # the tables may grow, and only few rows be asked for
    groups = rows / context.matching(seek.table, rows, [key.position for key in keys])
    return times * (COUNT - PROBE) > min(groups * COUNT, rows * PASSED)


def _results(node: Aggregate) -> list[AggregateCall]:
    """The calls that are more than values of the left row."""
    return [call for call in node.calls if call.function.name != "bare" or call.of is not None]


def _counts_rows(call: AggregateCall) -> bool:
    return call.function.name == "count" and not call.args and call.filter is None


def _joined_groups(
    node: Aggregate,
    join: Join | HashJoin,
    right: Node,
    left_keys: Sequence[Expr],
    right_keys: Sequence[Expr],
    context: Context,
) -> Node:
    """The groups of the right input, joined with the left rows; the node as it is if its calls need more than that."""
    calls, inside, each = _results(node), emitted(right), frozenset((node.each,))
    if not calls or any(call.function.name not in EMPTY or not can_be_early(call, inside) for call in calls):
        return node
    if any(call not in calls and used(call.args[0]) - each for call in node.calls) or not can_be_early(
        right_keys, inside
    ):
        return node
    tests = {call.filter for call in calls}
    if node.empty and len(tests) == 1 and None not in tests:
        right = filtered(right, [test for test in tests if test is not None])
        calls = [replace(call, filter=None) for call in calls]
    width = len(right_keys)
    groups = Aggregate(context.new_source(), right, tuple(right_keys), tuple(calls), ("BINARY",) * width)
    keys = tuple(Column(groups.source, i, key.type, key.nullable) for i, key in enumerate(right_keys))
    found = iter([_or_empty(result_column(groups, i), call, node.empty) for i, call in enumerate(calls)])
    wanted = _results(node)
    results = [next(found) if call in wanted else call.args[0] for call in node.calls]
    looked_up = HashJoin("left" if node.empty else "inner", join.left, groups, tuple(left_keys), keys)
    return Project(node.source, looked_up, (*node.keys, *results), ("",) * (len(node.keys) + len(results)))


def _or_empty(column: Column, call: AggregateCall, is_outer: bool) -> Any:
    """The result of a call, that of no rows where the left row has none."""
    if not is_outer:
        return column
    column = replace(column, nullable=True)
    empty = EMPTY[call.function.name]
    return column if empty is NULL else Case(((IsNull(column), empty),), column, INTEGER)
