"""Rule: GROUP BY a key of a table groups by its rows, which nobody needs to look up.

In: Aggregates over chosen accesses. When the outermost access of the input is of a table whose rows the keys tell apart, the
rows of each group come one after the other, and the groups need no hash table: ``each`` is its source. So does the usual
count of related rows::

    Aggregate count(b.id) BY a.id, a.name      =>   Aggregate EACH a, count(*)
      LeftJoin                                        Join
        Scan a                                          Scan a
        IndexSeek b (b.a_id = a.id)                     IndexSeek b (b.a_id = a.id)

where the join becomes an inner one, because the row of NULLs adds nothing to any of the results; the group is there anyway
(``empty``). Where the table is another one than the outermost, its columns still follow from the key: they are taken from
the group's first row (``follow``), and the rest is hashed.
"""

from __future__ import annotations

from zodbapi.optimizer.access import target_of
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.ordering import Access, Keys, fixing, has_unique, tells_apart
from zodbapi.optimizer.predicates import (
    each_query,
    emitted,
    holds_query,
    null_if_null,
    used,
    volatile,
)
from zodbapi.plan.expr import AggregateCall, Column, Expr, Rowid, SortKey
from zodbapi.plan.nodes import (
    Aggregate,
    Filter,
    HashJoin,
    IndexRange,
    IndexSeek,
    Join,
    Node,
    RowidRange,
    RowidSeek,
    Scan,
)
from zodbapi.plan.walk import Part, descend, rebuild_inputs, transform
from zodbapi.record import replace

ACCESSES = (Scan, RowidSeek, RowidRange, IndexSeek, IndexRange)
MOST_JOINS = 10  # CPython nests twenty blocks at most


def group_by_rows(node: Node, context: Context) -> Node:
    """The plan with groups that are rows marked as such."""
    if not context.occurs(Aggregate):
        return node
    if context.has_queries:
        node = each_query(node, lambda query: _mark(query, context))
    return _mark(node, context)


def _mark(node: Node, context: Context) -> Node:
    node = rebuild_inputs(node, lambda child: _mark(child, context))
    if not isinstance(node, Aggregate) or not node.keys or any(volatile(key) or holds_query(key) for key in node.keys):
        return node
    outermost, access = _outermost(node.input)
    if (
        access is not None
        and all(used(key) <= {access.source} for key in node.keys)
        and tells_apart(outermost, _sort_keys(node), [], context)
    ):
        return _without_nulls(replace(node, each=access.source), access.source)
    follow = _following(node)
    return replace(node, follow=follow) if follow else node


def _sort_keys(node: Aggregate) -> Keys:
    collations = node.collations or ("BINARY",) * len(node.keys)
    return tuple(SortKey(key, collation=c) for key, c in zip(node.keys, collations, strict=True))


def _outermost(node: Node) -> tuple[Node, Access | None]:
    """The part of an input that makes the rows of its outermost loop, and the access in it."""
    joins = 0
    above: Node | None = None  # the Filters just above the access
    while True:
        match node:
            case (
                Join(kind="inner" | "cross" | "left" | "semi" | "anti")
                | HashJoin(kind="inner" | "left" | "semi" | "anti")
            ):
                joins += 1
                above, node = None, node.left
            case Filter():
                above, node = above or node, node.input
            case Scan() | RowidSeek() | RowidRange() | IndexSeek() | IndexRange() if joins <= MOST_JOINS:
                return above or node, node
            case _:
                return node, None


def _without_nulls(node: Aggregate, each: int) -> Aggregate:
    """The Aggregate over an inner join, if the row of NULLs of its LEFT JOIN adds to none of the results."""
    join = node.input
    if not isinstance(join, (Join, HashJoin)) or join.kind != "left" or not _keeps_rows(join.left):
        return node
    right = join.right.input if isinstance(join.right, Filter) else join.right
    if not isinstance(right, ACCESSES) or not all(_ignores(call, emitted(right), each) for call in node.calls):
        return node
    calls = tuple(_present(call, right) for call in node.calls)
    return replace(node, input=replace(join, kind="inner"), calls=calls, empty=True)


def _keeps_rows(node: Node) -> bool:
    """Whether each row of the outermost access comes through to the end."""
    while isinstance(node, (Join, HashJoin)) and node.kind == "left":
        node = node.left
    while isinstance(node, Filter):
        node = node.input
    return isinstance(node, ACCESSES)


def _ignores(call: AggregateCall, right: frozenset[int], each: int) -> bool:
    if call.function.name == "bare":
        return call.of is None and used(call.args[0]) <= {each} and not holds_query(call.args[0])
    return call.function.skip_nulls and bool(call.args) and null_if_null(call.args[0], right)


def _present(call: AggregateCall, right: Access) -> AggregateCall:
    """The call where the rows of a table are no longer null-extended."""

    def change(part: Part) -> Part:
        if isinstance(part, Column) and part.source == right.source:
            sure = right.table.columns[part.position].not_null or part.position == right.table.rowid_column
            return replace(part, nullable=part.nullable and not sure)
        return replace(part, nullable=False) if isinstance(part, Rowid) and part.source == right.source else part

    changed = transform(call, change)
    if changed.function.name == "count" and not changed.distinct and not _can_be_null(changed.args[0]):
        return replace(changed, args=())
    return changed


def _can_be_null(expr: Expr) -> bool:
    return not isinstance(expr, (Column, Rowid)) or expr.nullable


def _following(node: Aggregate) -> tuple[int, ...]:
    """The positions of keys that follow from others: columns of a table of which a key is among the keys."""
    found: list[int] = []
    for access in descend(node.input):
        if not isinstance(access, ACCESSES):
            continue
        own = {i: key for i, key in enumerate(_sort_keys(node)) if used(key.expr) == {access.source}}
        for size in (1, 2, 3):
            lead = dict(list(own.items())[:size])
            targets = {target_of(key.expr, access.source, access.table, False): key.collation for key in lead.values()}
            if len(own) > size and has_unique(access.table, targets, fixing(access.source, access.table, [])):
                found += [i for i in own if i not in lead]
                break
    return tuple(sorted(found))
