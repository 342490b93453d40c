"""Rule: chains of inner joins are put in the order that is expected to touch the fewest rows.

In: a tree of inner joins, with LEFT, semi and anti joins among them. Out: a left-deep tree. From every possible first
table the next one is chosen greedily by cost; the cheapest total wins, the written order among equals. A table that no
predicate links to those before it comes only when nothing else is left, or when it is one row, as all before it are: what its
columns say is known then for those that follow. LEFT joins come as late as what uses their columns
allows, semi and anti joins as early as they can: both filter or extend the rows of what they need, wherever they stand.
Under DISTINCT a table that nothing shows is best joined last, where ``drop_duplicates`` stops at its first row. Under a LIMIT
an order is worth more that begins with a table whose rows come sorted as the Sort between wants them: not all are read.
"""

from __future__ import annotations

from zodbapi.catalog import Index
from zodbapi.optimizer.access import ROWID, Target, paths_to, sargs_of
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.cost import BUILD, GET, PROBE, SCAN_ROW, SEEK, SORT, entry_cost, rows_of
from zodbapi.optimizer.ordering import fixing
from zodbapi.optimizer.predicates import (
    NONE,
    conjoin,
    each_query,
    emitted,
    filtered,
    split,
    used,
    volatile,
)
from zodbapi.optimizer.selectivity import passing
from zodbapi.optimizer.wishes import BAD_LUCK, NO_WISH, Wish, below_project, best_path, leading_keys, page_rows
from zodbapi.plan.expr import Compare, Expr
from zodbapi.plan.nodes import Distinct, Filter, Join, Limit, Node, Project, Scan, Sort
from zodbapi.plan.walk import rebuild_inputs
from zodbapi.record import field, record, replace

MUCH_CHEAPER = 0.9  # another order must cost less than this part of the best so far
INFINITE = float("inf")
MOST_STARTS = 8  # first tables that are tried


@record(slots=True)
class _Item:
    """One input of the chain, as the set bit ``bit`` among its sources; ``needs`` are the bits that must come before."""

    kind: str  # inner, left, semi, anti
    node: Node
    on: list[Expr]
    bit: int
    needs: int = 0
    rows: float = 1.0  # that pass its own filters
    cost: float = 0.0  # of reading those
    all_rows: float = 1.0
    is_single: bool = False  # its own filters find one row at most
    is_shown: bool = True  # False: only whether there are rows matters to what is above
    links: list[_Term] = field(default_factory=list)  # that read it
    equal: list[tuple[Target, int]] = field(default_factory=list)  # what equalities bind, given these bits
    keys: list[_Key] = field(default_factory=list)


@record(slots=True)
class _Key:
    """An index that equalities can seek in. What it finds is estimated when an order is tried that makes use of it."""

    scan: Scan
    index: Index
    targets: tuple[Target | None, ...]
    all_rows: float
    context: Context
    _found: dict[int, float] = field(default_factory=dict)

    def matching(self, width: int) -> float:
        """Rows with given values in so many leading columns."""
        if width not in self._found:
            is_single = self.index.keyed and width == len(self.targets)
            targets = self.targets[:width]
            self._found[width] = 1.0 if is_single else self.context.matching(self.scan.table, self.all_rows, targets)
        return self._found[width]

    def cost(self, rows: float) -> float:
        """Cost of finding so many."""
        return SEEK + rows * entry_cost(self.scan.source, self.scan.table, self.index, self.context)


@record(frozen=True, slots=True)
class _Term:
    """A predicate of the chain; ``bits`` are the items that it reads."""

    expr: Expr
    bits: int
    is_equality: bool


@record(frozen=True, slots=True)
class _Found:
    """An order of the items, what it costs, and the rows that come out."""

    order: list[_Item]
    cost: float
    rows: float


def order_joins(node: Node, context: Context) -> Node:
    """The plan with inner joins in a good order."""
    if not context.occurs(Join):
        return node
    if context.has_queries:
        node = each_query(node, lambda query: _order(query, context))
    return _order(node, context)


def _order(node: Node, context: Context, shown: frozenset[int] | None = None, wish: Wish = NO_WISH) -> Node:
    """The node with its chains ordered.

    ``shown``: the sources that what is above reads, if it drops duplicates; ``wish``: how many rows it takes, in which order.
    """
    match node:
        case Distinct(on=(), input=child):
            changed = _order(child, context, NONE)
        case Limit(input=child):
            changed = _order(child, context, None, Wish(limit=page_rows(node)))
        case Sort(limit=None, keys=keys, input=child) if shown is not None or wish.is_limited:
            changed = _order(child, context, shown, replace(wish, keys=keys))
        case Project(columns=columns, input=child) if shown is not None or wish.is_limited:
            below = None if shown is None else NONE.union(*map(used, columns))
            changed = _order(child, context, below, below_project(wish, node))
        case (
            Join(kind="inner" | "left" | "semi" | "anti") | Filter(input=Join(kind="inner" | "left" | "semi" | "anti"))
        ):
            return _order_chain(node, context, shown, wish)
        case _:
            return rebuild_inputs(node, lambda child: _order(child, context))
    return node if changed is child else replace(node, input=changed)


def _order_chain(node: Node, context: Context, shown: frozenset[int] | None, wish: Wish) -> Node:
    items: list[_Item] = []
    exprs: list[Expr] = []
    ordered = _flatten(node, items, exprs, context)
    inner = [item for item in items if item.kind == "inner"]
    if len(inner) < 2:
        return ordered
    bits = {source: item.bit for item in items for source in emitted(item.node)}
    terms = [_Term(e, _bits(used(e), bits), isinstance(e, Compare) and e.op == "=") for e in exprs if not volatile(e)]
    for item in items:
        outside = used(item.node).union(*map(used, item.on)) if item.on else used(item.node)
        item.needs = _bits(outside, bits) & ~item.bit
    for item in inner:
        _describe(item, terms, bits, context)
        item.is_shown = shown is None or not shown.isdisjoint(emitted(item.node))
    order = _best_order(items, inner, wish, context)
    if [item.bit for item in order if item.kind == "inner"] == [item.bit for item in inner]:
        return ordered
    return filtered(_built(order, terms), [expr for expr in exprs if volatile(expr)])


def _bits(sources: frozenset[int], bits: dict[int, int]) -> int:
    found = 0
    for source in sources:
        found |= bits.get(source, 0)
    return found


def _flatten(node: Node, items: list[_Item], exprs: list[Expr], context: Context) -> Node:
    """The node with the insides of its items ordered; collects items and predicates in the written order."""
    match node:
        case Filter(input=Join(kind="inner" | "left" | "semi" | "anti")):
            below = _flatten(node.input, items, exprs, context)
            exprs.extend(split(node.predicate))
            return node if below is node.input else Filter(below, node.predicate)
        case Join(kind="inner"):
            left = _flatten(node.left, items, exprs, context)
            right = _flatten(node.right, items, exprs, context)
            exprs.extend(split(node.on))
        case Join(kind="left" | "semi" | "anti"):
            left = _flatten(node.left, items, exprs, context)
            right = _order(node.right, context)
            items.append(_Item(node.kind, right, split(node.on), 1 << len(items)))
        case _:
            node = rebuild_inputs(node, lambda child: _order(child, context))
            items.append(_Item("inner", node, [], 1 << len(items)))
            return node
    return node if left is node.left and right is node.right else Join(node.kind, left, right, node.on)


def _describe(item: _Item, terms: list[_Term], bits: dict[int, int], context: Context) -> None:
    """Fills in what the costs of an item depend on."""
    item.links = [term for term in terms if term.bits & item.bit]
    scan = item.node.input if isinstance(item.node, Filter) else item.node
    local = split(item.node.predicate) if isinstance(item.node, Filter) else []
    if not isinstance(scan, Scan):
        item.rows = item.all_rows = item.cost = max(1.0, rows_of(item.node, context))
        return
    best = min(paths_to(scan.source, scan.table, local, context), key=lambda path: path.cost)
    item.all_rows = context.rows(scan.table)
    item.rows = best.rows
    if len(best.answered()) < len(local):
        item.rows = min(best.rows, passing(item.all_rows, local, context))
    item.cost = best.cost
    item.is_single = best.single
    equalities = [term.expr for term in item.links if term.is_equality]
    equalities += [term for term in local if isinstance(term, Compare) and term.op == "="]
    for sarg in sargs_of(scan.source, scan.table, equalities):
        item.equal.append((sarg.target, _bits(sarg.needs, bits)))
    wanted = {target for target, _ in item.equal}
    for index in scan.table.indexes:
        first = index.columns[0].position
        if index.where is None and (ROWID if first == scan.table.rowid_column else first) in wanted:
            targets = tuple(ROWID if c.position == scan.table.rowid_column else c.position for c in index.columns)
            item.keys.append(_Key(scan, index, targets, item.all_rows, context))


def _best_order(items: list[_Item], inner: list[_Item], wish: Wish, context: Context) -> list[_Item]:
    best: list[_Item] = []
    worst = INFINITE  # what another order must cost less than
    starts = [item for item in inner if not item.needs]
    if len(starts) > MOST_STARTS:
        first, *others = starts
        starts = [first, *sorted(others, key=lambda item: item.rows)[: MOST_STARTS - 1]]
    for start in starts:
        if wish.is_limited:
            found = _paged(start, items, wish, context)
        else:
            found = _greedy(start, items, worst, start.rows, start.cost)
        if found is not None and found.cost < worst:
            best, worst = found.order, found.cost * MUCH_CHEAPER
    return best or items


def _paged(start: _Item, items: list[_Item], wish: Wish, context: Context) -> _Found | None:
    """The order from a first item on, when a LIMIT is above: how much is read of the item depends on its own order."""
    whole = _greedy(start, items, INFINITE, start.rows, start.cost)
    if whole is None:
        return None
    sorted_ = _Found(whole.order, whole.cost + (whole.rows * SORT if wish.keys else 0.0), whole.rows)
    scan = start.node.input if isinstance(start.node, Filter) else start.node
    if not isinstance(scan, Scan):
        return sorted_
    terms = split(start.node.predicate) if isinstance(start.node, Filter) else []
    drops = any(item is not start and (item.kind in ("semi", "anti") or item.rows < item.all_rows) for item in items)
    # Rows of the item that are expected to make the page; the more conditions there are, the longer it may take.
    wanted = wish.limit * (BAD_LUCK if drops else 1.0) * start.rows / whole.rows
    path, _ = best_path(scan, terms, replace(wish, limit=wanted, skipped=0.0), context)
    leading, _ = leading_keys(wish, path, fixing(scan.source, scan.table, terms), scan)
    if leading < len(wish.keys):
        if not leading:
            return sorted_
        wanted += context.matching(scan.table, start.rows, [part.target for part in path.order[:leading]])
    luck = 1.0 if len(path.answered()) == len(terms) else BAD_LUCK
    part = min(1.0, luck * wanted / path.rows)
    partial = _greedy(start, items, INFINITE, max(start.rows * part, 1.0), path.cost * part)
    if partial is None:
        return sorted_
    if leading < len(wish.keys):
        partial = _Found(partial.order, partial.cost + partial.rows * SORT, partial.rows)
    return partial if partial.cost < sorted_.cost else sorted_


def _greedy(start: _Item, items: list[_Item], worst: float, rows: float, cost: float) -> _Found | None:
    """The order from a first item on, of which so many rows are read at that cost; None when it costs ``worst`` or more."""
    order, placed = [start], start.bit
    left = [item for item in items if item is not start]
    while left and cost < worst:
        ready = [item for item in left if not item.needs & ~placed]
        following = next((item for item in ready if item.kind in ("semi", "anti")), None)
        if following is None and rows <= 1.0:
            following = next((item for item in ready if item.is_single), None)
            cost += following.cost if following is not None else 0.0
        if following is None:
            inner = [item for item in ready if item.kind == "inner"]
            linked = [item for item in inner if _is_linked(item, placed)]
            outer = next((item for item in ready if item.kind == "left"), None)
            if linked or (inner and outer is None):
                step_cost, step_rows, following = _cheapest(linked or inner, placed, rows)
                cost, rows = cost + step_cost, step_rows
            else:
                following = outer
        if following is None:
            return None
        order.append(following)
        placed |= following.bit
        left.remove(following)
    return _Found(order, cost, rows) if cost < worst else None


def _is_linked(item: _Item, placed: int) -> bool:
    reach = placed | item.bit
    return bool(item.needs) or any(term.bits & placed and not term.bits & ~reach for term in item.links)


def _cheapest(items: list[_Item], placed: int, rows: float) -> tuple[float, float, _Item]:
    found: tuple[float, float, _Item] | None = None
    for item in items:
        cost, out = _step(item, placed, rows)
        if found is None or cost + out < (found[0] + found[1]) * MUCH_CHEAPER:
            found = cost, out, item
    assert found is not None
    return found


def _step(item: _Item, placed: int, rows: float) -> tuple[float, float]:
    """Cost of joining one more item to ``rows`` rows, and the rows that come out."""
    bound = {target for target, needs in item.equal if not needs & ~placed}
    reach = placed | item.bit
    is_last = not item.is_shown and all(not term.bits & ~reach for term in item.links)  # one row of it is enough
    if (probe := _probe(item, bound, first=is_last)) is not None:
        found = min(1.0, probe[1]) if is_last else probe[1]
        return rows * probe[0], max(rows * found * (item.rows / item.all_rows), 0.1)
    if any(term.is_equality and not term.bits & ~reach for term in item.links):
        found = rows * item.rows / max(item.all_rows**0.5, 1.0)
        return item.cost + item.rows * BUILD + rows * PROBE, max(min(found, rows) if is_last else found, 0.1)
    return rows * item.all_rows * SCAN_ROW, rows * item.rows


def _probe(item: _Item, bound: set[Target], *, first: bool) -> tuple[float, float] | None:
    """Cost of finding an item's rows, or the first of them, by the targets that are bound, and their number."""
    if ROWID in bound:
        return GET, 1.0
    best: tuple[float, float] | None = None
    for key in item.keys:
        width = next((i for i, target in enumerate(key.targets) if target not in bound), len(key.targets))
        if width and (best is None or key.matching(width) < best[1]):
            best = key.cost(1.0 if first else key.matching(width)), key.matching(width)
    return best


def _built(order: list[_Item], terms: list[_Term]) -> Node:
    """The left-deep tree of the items in this order, each term tested as soon as it can be."""
    first, *others = order
    placed = first.bit
    pending = [term for term in terms if term.bits & ~placed]
    node = filtered(first.node, [term.expr for term in terms if not term.bits & ~placed])
    for item in others:
        placed |= item.bit
        now = [term.expr for term in pending if not term.bits & ~placed]
        pending = [term for term in pending if term.bits & ~placed]
        if item.kind == "inner":
            node = Join("inner", node, item.node, conjoin(now))
        else:
            node = filtered(Join(item.kind, node, item.node, conjoin(item.on)), now)
    return node
