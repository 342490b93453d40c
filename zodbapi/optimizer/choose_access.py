"""Rule: every Scan becomes the cheapest way to its rows, every Join the cheapest way to join.

In: Filters just above Scans, and ON conditions. Out: RowidSeek, RowidRange, IndexSeek or IndexRange with what they do not
answer left in a Filter; joins as

    index loop   Join whose right input seeks with keys from left rows     few left rows, or LIMIT
    hash join    HashJoin that buffers right by the equalities of ON       many left rows, or no index
    nested loop  Join that evaluates ON for each pair                      no equality

A Sort above is a wish: an access that emits in its order spares it, most of all under a LIMIT. ``drop_sorts`` sees later
whether the wish was granted.
"""

from __future__ import annotations

from typing import Any

from zodbapi.optimizer.access import Path
from zodbapi.optimizer.context import LEAST_ROWS, LIKELY_ROWS, Context
from zodbapi.optimizer.cost import (
    BUILD,
    GET,
    PROBE,
    SCAN_ROW,
    SEEK,
    UNKNOWN_LIMIT,
    entry_cost,
    rows_of,
)
from zodbapi.optimizer.group_queries import is_grouped
from zodbapi.optimizer.hash_seeks import GROWN_ROWS, HASH_FACTOR, HASH_LEFT_ROWS, hash_keys, hash_seek
from zodbapi.optimizer.ordering import fixing, ordered
from zodbapi.optimizer.predicates import (
    conjoin,
    emitted,
    filtered,
    holds_query,
    outer_queries,
    split,
    used,
    volatile,
    with_source,
)
from zodbapi.optimizer.push_filters import push
from zodbapi.optimizer.wishes import (
    BAD_LUCK,
    NO_WISH,
    Wish,
    below_project,
    best_path,
    leading_keys,
    offset_rows,
    page_rows,
)
from zodbapi.plan.expr import Column, Const, Expr
from zodbapi.plan.lists import seeks_once
from zodbapi.plan.nodes import (
    Aggregate,
    Compound,
    Delete,
    Distinct,
    Filter,
    HashJoin,
    IndexRange,
    IndexSeek,
    Insert,
    Instead,
    Join,
    Limit,
    Materialize,
    Node,
    Project,
    Recursive,
    RowidRange,
    RowidSeek,
    Scan,
    Sort,
    Update,
    Values,
    Window,
    output_source,
)
from zodbapi.plan.walk import descend, parts, rebuild, rebuild_inputs
from zodbapi.record import replace

WIDE_KEY = 0.02  # part of the rows that a key is expected to find, from which on another may find far more
NEVER = 0.0  # how often a query runs that must not build anything for its next run
SWAP_FACTOR = 4.0  # inputs of an inner hash join are swapped when right has so many times more rows


def choose_access(node: Node, context: Context) -> Node:
    """The plan with accesses and join methods chosen."""
    return _with_queries(_choose(node, NO_WISH, context), 1.0, context)


def _with_queries(node: Node, times: float, context: Context, most: float = float("inf")) -> Node:
    """The node with the queries in its expressions chosen too: they run for each of its rows, ``most`` of which are asked for.

    The node itself runs so many ``times``.
    """
    if not context.has_queries:
        return node
    if isinstance(node, (Insert, Update, Delete, Instead)):
        return _with_queries_of_write(node, context)
    match node:
        case Limit():
            most = min(most, page_rows(node))
        case Filter():
            most *= BAD_LUCK
        case Project():
            pass
        case Sort() if most != float("inf") and ordered(node.input, node.keys, context) is not None:
            pass  # it will not have to read all
        case _:
            most = float("inf")

    def changed(part: Any) -> Any:
        if isinstance(part, Node):
            return _with_queries(part, times, context, most)
        return outer_queries(part, lambda query: _choose_query(query, often, context, are_sure=are_sure))

    below = [part for part in parts(node) if isinstance(part, Node)]
    often = times * min(most, max((rows_of(part, context) for part in below), default=1.0))
    are_sure = most == float("inf") and all(map(_is_wide, below))
    return rebuild(node, changed)


def _with_queries_of_write(node: Insert | Update | Delete | Instead, context: Context) -> Node:
    """The same of a statement that writes: what it computes once it has begun to write must build nothing that lasts.

    A later row may see what was written for one before it. The rows to change and their new values come before that, but
    neither what INSERT makes of its rows nor RETURNING do.
    """

    rows = rows_of(node.input, context)
    late = set(map(id, node.returning or ()))

    def changed(part: Any) -> Any:
        if isinstance(part, Node):
            return _with_queries(part, NEVER if isinstance(part, Values) else 1.0, context)
        often = NEVER if isinstance(node, Insert) or id(part) in late else rows
        return outer_queries(part, lambda query: _choose_query(query, often, context, are_sure=_is_wide(node.input)))

    return rebuild(node, changed)


def _choose_query(query: Node, times: float, context: Context, *, are_sure: bool) -> Node:
    """A query that runs for each row had better build nothing, unless it is for all of them.

    ``are_sure``: so many rows are around it, not just as many as a key, or a LIMIT, is guessed to give.
    """
    if not used(query):
        return _with_queries(_choose(query, NO_WISH, context), min(times, 1.0), context)
    expected = times if are_sure or times >= HASH_LEFT_ROWS else min(times, LEAST_ROWS - 1.0)
    wish = Wish(limit=UNKNOWN_LIMIT, times=expected, grouped=is_grouped(query))
    return _with_queries(_choose(query, wish, context), times, context)


def _choose(node: Node, wish: Wish, context: Context) -> Node:
    match node:
        case Scan():
            return _choose_path(node, [], wish, context)
        case Filter(input=Scan() as scan):
            chosen = _choose_path(scan, split(node.predicate), wish, context)
            return node if chosen == node else chosen
        case Join():
            return _choose_join(node, wish, context)
        case Limit():
            limit = min(page_rows(node), wish.limit)
            wish = Wish((), limit, wish.times, grouped=wish.grouped, skipped=offset_rows(node))
        case Sort():
            wish = replace(wish, keys=node.keys)
        case Project():
            wish = below_project(wish, node)
        case Filter() | Distinct():
            wish = replace(wish, skipped=0.0)
        case _:
            counts = isinstance(node, Aggregate) and _counts_of_rows(node, context)
            number = isinstance(node, Aggregate) and _is_number(node)
            below = Wish(times=wish.times, counts=counts, grouped=wish.grouped, number=number)
            return rebuild_inputs(node, lambda child: _choose(child, below, context))
    chosen = _choose(node.input, wish, context)
    return node if chosen is node.input else replace(node, input=chosen)


def _counts_of_rows(node: Aggregate, context: Context) -> bool:
    """Whether an aggregate counts all rows, or what belongs to each row of a table."""
    rowids = [
        key
        for key in node.keys
        if isinstance(key, Column)
        and (table := context.table_of(key.source)) is not None
        and key.position == table.rowid_column
    ]
    return bool(rowids or not node.keys) and all(
        call.function.name in ("count", "bare") and call.filter is None and not call.distinct for call in node.calls
    )


def _is_number(node: Aggregate) -> bool:
    """Whether an aggregate says how many rows there are, and nothing else."""
    return not node.keys and all(
        call.function.name == "count" and not call.args and call.filter is None for call in node.calls
    )


# --- one table --------------------------------------------------------------------------------------------------------


def _choose_path(scan: Scan, terms: list[Expr], wish: Wish, context: Context) -> Node:
    if any(isinstance(term, Const) and not term.value and not isinstance(term.value, (str, bytes)) for term in terms):
        return RowidSeek(scan.source, scan.table, ())  # WHERE false: no rows
    if not terms and not wish.keys:
        return scan
    path, backwards = best_path(scan, terms, wish, context)
    if wish.times > 1:
        is_sorted = bool(wish.keys) and leading_keys(wish, path, fixing(scan.source, scan.table, terms), scan)[0] > 0
        wanted = wish.limit if is_sorted else None
        if wish.counts and len(path.answered()) == len(terms) and _counts_entries(path.node(), context):
            wanted = 0.0
        hashed = hash_seek(scan, terms, path, wish.times, wanted, context, grouped=wish.grouped)
        if hashed is not None:
            return hashed
    answered = path.answered()
    rest = [term for term in terms if not any(term is done for done in answered)] if answered else terms
    node = path.node(backwards)
    if isinstance(node, (IndexSeek, IndexRange)) and _may_be_wide(scan, node, path, answered, wish, context):
        node = replace(node, tests=tuple(answered))
    return filtered(scan if node == scan else node, rest)


def _may_be_wide(
    scan: Scan, node: IndexSeek | IndexRange, path: Path, answered: list[Expr], wish: Wish, context: Context
) -> bool:
    """Whether an access may find so much, with the values of some call, that reading all rows takes less."""
    if path.single or wish.keys or wish.is_limited or wish.times > 1 or node.index.where is not None or path.needs():
        return False
    if isinstance(context.root, (Insert, Update, Delete, Instead)) or context.table_of(scan.source) is None:
        return False
    if context.is_covered(scan.source, scan.table, node.index) or not context.reads_more(scan.source, answered):
        return False  # no row is fetched
    if any(holds_query(term) for term in answered):
        return False
    if isinstance(node, IndexRange):
        return bool(answered)
    return seeks_once(node) and path.rows > max(context.rows(scan.table), LIKELY_ROWS) * WIDE_KEY


# --- joins ------------------------------------------------------------------------------------------------------------


def _choose_join(node: Join, wish: Wish, context: Context) -> Node:
    left = _choose(node.left, _left_wish(node, wish), context)
    if node.kind == "full":
        return _hash_or_loop(node, left, _choose(node.right, NO_WISH, context), wish, context)
    sources = emitted(node.right)
    terms = split(node.on)
    link = [term for term in terms if not sources.isdisjoint(used(term)) and not volatile(term)]
    looped = _index_loop(node, left, link, context) if link else None
    if looped is not None and _surely_loops(looped, wish, context):
        return looped
    other = _hash_or_loop(node, left, _choose(node.right, NO_WISH, context), wish, context)
    if looped is None:
        return other
    cheaper = isinstance(other, HashJoin) and _cost(other, context) * HASH_FACTOR < _cost(looped, context)
    return other if cheaper else looped


def _surely_loops(looped: Join, wish: Wish, context: Context) -> bool:
    """Whether an index loop is the way to join, whatever a hash join would cost."""
    if _ends_early(looped.left, wish, context) or not _is_wide(looped.left):
        return True
    if wish.counts and looped.kind not in ("semi", "anti") and _counts_entries(looped, context):
        return True
    rows = rows_of(looped.left, context)
    # What is said of a table that has hardly any rows yet may soon be wrong.
    return rows < LEAST_ROWS or (rows < HASH_LEFT_ROWS and not _is_grown(looped.right, context))


def _ends_early(left: Node, wish: Wish, context: Context) -> bool:
    """Whether a LIMIT is above, and no Sort that will have to read all rows."""
    return wish.is_limited and (not wish.keys or ordered(left, wish.keys[:1], context) is not None)


def _counts_entries(looped: Node, context: Context) -> bool:
    """Whether the right input is a range of entries, of which nothing is read: a tree counts them at once."""
    seek = looped.right if isinstance(looped, Join) else looped
    return isinstance(seek, IndexSeek) and context.is_covered(seek.source, seek.table, seek.index)


def _is_grown(node: Node, context: Context) -> bool:
    """Whether the tables that a right input reads have rows enough to tell what they will be like."""
    tables = [table for part in descend(node) if (table := getattr(part, "table", None)) is not None]
    return all(context.rows(table) >= GROWN_ROWS for table in tables)


def _is_wide(node: Node) -> bool:
    """Whether many rows are sure to come: how many an equality finds is but a guess."""
    match node:
        case Filter() | Project() | Sort() | Distinct():
            return _is_wide(node.input)
        case Join() | HashJoin():
            return _is_wide(node.left)
        case Limit() | RowidSeek() | IndexSeek():
            return False
        case _:
            return True


def _left_wish(node: Join, wish: Wish) -> Wish:
    """The part of the wish that the left input can grant."""
    left = emitted(node.left)
    if node.kind == "full":
        return NO_WISH
    if any(used(key.expr) - left for key in wish.keys):
        leading = next(i for i, key in enumerate(wish.keys) if used(key.expr) - left)
        return Wish(wish.keys[:leading], wish.limit, wish.times) if leading else Wish(times=wish.times)
    return replace(wish, counts=False, skipped=0.0, number=False)


def _index_loop(node: Join, left: Node, link: list[Expr], context: Context) -> Join | None:
    """The join with the linking terms answered by seeks in its right input, or None where they are not."""
    lefts = emitted(node.left)
    right = _choose(push(node.right, link), NO_WISH, context)
    if not _seeks_with(right, lefts):
        return None
    on = [term for term in split(node.on) if not any(term is done for done in link)]
    return replace(node, left=left, right=right, on=conjoin(on))


def _seeks_with(node: Node, lefts: frozenset[int]) -> bool:
    """Whether the first access of a right input is by keys from the left; what follows must not buffer rows."""
    match node:
        case Filter():
            return _seeks_with(node.input, lefts)
        case Join():
            return _seeks_with(node.left, lefts) and not any(
                isinstance(part, (HashJoin, Aggregate, Sort, Compound, Window, Distinct))
                for part in descend(node.right)
            )
        case Scan():
            return False
        case _ if hasattr(node, "table"):
            return not lefts.isdisjoint(used(node))
        case _:
            return False


def _hash_or_loop(node: Join, left: Node, right: Node, wish: Wish, context: Context) -> Node:
    """The join as a hash join by its equalities if it has any, else as a nested loop."""
    lefts, rights = emitted(left), emitted(right)
    left_keys: list[Expr] = []
    right_keys: list[Expr] = []
    rest: list[Expr] = []
    correlated = not lefts.isdisjoint(used(right))
    for term in split(node.on):
        pair = None if correlated else hash_keys(term, lefts, rights)
        if pair is None:
            rest.append(term)
        else:
            left_keys.append(pair[0])
            right_keys.append(pair[1])
    on = conjoin(rest)
    if not left_keys:
        if not correlated:
            right = _buffered(right, context)
        return node if left is node.left and right is node.right else replace(node, left=left, right=right)
    keys = tuple(left_keys), tuple(right_keys)
    if node.kind == "inner" and _is_better_swapped(left, right, wish, context):
        return HashJoin("inner", right, left, keys[1], keys[0], on)
    return HashJoin(node.kind, left, right, *keys, on)


def _is_better_swapped(left: Node, right: Node, wish: Wish, context: Context) -> bool:
    """Whether building the left input is clearly better; the right one must not read the left's rows."""
    if wish.keys or wish.is_limited or not emitted(right).isdisjoint(used(left)):
        return False
    return rows_of(left, context) * SWAP_FACTOR < rows_of(right, context)


def _buffered(right: Node, context: Context) -> Node:
    """The right input of a nested loop, computed once if that saves more than reading a table again."""
    match right:
        case Project() | Aggregate() | Compound() | Distinct() | Limit() | Recursive() if not used(right):
            old, new = output_source(right), context.new_source()
            return Materialize(old, -new, with_source(right, old, new))
        case _:
            return right


def _cost(node: Node, context: Context) -> float:
    """Microseconds that a node takes, its inputs included."""
    match node:
        case Scan():
            return context.rows(node.table) * SCAN_ROW
        case HashJoin():
            both = _cost(node.left, context) + _cost(node.right, context)
            return both + rows_of(node.right, context) * BUILD + rows_of(node.left, context) * PROBE
        case Join():
            each = _cost(node.right, context)
            if node.kind in ("semi", "anti"):  # stops at the first row
                each = min(each, SEEK + each / max(rows_of(node.right, context), 1.0))
            return _cost(node.left, context) + rows_of(node.left, context) * each
        case Filter():
            return _cost(node.input, context)
        case RowidSeek():
            return rows_of(node, context) * GET
        case RowidRange():
            return GET + rows_of(node, context) * SCAN_ROW
        case IndexSeek() | IndexRange():
            return SEEK + rows_of(node, context) * entry_cost(node.source, node.table, node.index, context)
        case _:
            return rows_of(node, context)
