"""Rule: every predicate is tested as early as its columns are known.

In: Filters and ON conditions anywhere. Out: each term just above the table it reads, or in the ``on`` of the inner join
that brings its tables together. A term is never moved below the null-extended side of an outer join; but where the
terms above can only be true for rows that are not null-extended, the outer join becomes an inner one.

    Filter(a.x = 1 AND b.y = 2)              LeftJoin -> Join(a.k = b.k)
      LeftJoin(a.k = b.k)          =>          Filter(a.x = 1)
        Scan a                                   Scan a
        Scan b                                 Filter(b.y = 2)
                                                 Scan b
"""

from __future__ import annotations

from zodbapi.catalog import Kind
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.predicates import (
    conjoin,
    each_query,
    emitted,
    filtered,
    holds_query,
    kind_of,
    rejects_null,
    split,
    substitute,
    used,
    volatile,
)
from zodbapi.plan.expr import Between, Column, Compare, Expr, InList, IsNull, Not
from zodbapi.plan.nodes import (
    Aggregate,
    Compound,
    Distinct,
    Filter,
    Join,
    Node,
    Project,
    Scan,
    Sort,
    Window,
    output_source,
)
from zodbapi.plan.walk import descend, rebuild_inputs
from zodbapi.record import replace

Terms = list[Expr]
LOOSE = frozenset({Kind.ANY, Kind.NUMERIC, Kind.REAL, Kind.DECIMAL})  # equal values may differ: 1 and 1.0, 1.0 and 1.00


def push_filters(node: Node, context: Context) -> Node:
    """The plan with predicates moved down as far as they can go."""
    if not context.occurs(Filter, Join):
        return node
    if context.has_queries:
        node = each_query(node, lambda query: push(query, []))
    return push(node, [])


def push(node: Node, terms: Terms, known: Terms | None = None) -> Node:
    """The node with ``terms`` tested in or above it; ``known`` are terms that hold above, tested elsewhere."""
    match node:
        case Scan():
            return filtered(node, terms)
        case Filter():
            pushed = push(node.input, split(node.predicate) + terms, known)
            return node if pushed == node else pushed
        case Join():
            pushed = _push_join(node, terms, known or [])
            return node if pushed == node else pushed
        case Project() | Aggregate() | Distinct() | Compound() | Window():
            below = [term for term in terms if _passes(node, term)]
            above = [term for term in terms if term not in below] if below else terms
            return filtered(_push_below(node, below), above)
        case Sort(limit=None):
            pushed = push(node.input, terms, known)
            return node if pushed is node.input else replace(node, input=pushed)
        case _:
            return filtered(rebuild_inputs(node, lambda child: push(child, [])), terms)


# --- joins --------------------------------------------------------------------------------------------------------


def _push_join(node: Join, terms: Terms, known: Terms) -> Node:
    match node.kind:
        case "inner" | "cross":
            return _push_inner(node, terms, known)
        case "left":
            right = emitted(node.right)
            if any(rejects_null(term, right) for term in (*terms, *known)):
                return _push_inner(replace(node, kind="inner"), terms, known)
            return _push_outer(node, terms, known)
        case "full":
            return _push_full(node, terms, known)
        case _:
            return _push_semi(node, terms, known)


def _push_inner(node: Join, terms: Terms, known: Terms) -> Node:
    left, right = emitted(node.left), emitted(node.right)
    to_left: Terms = []
    to_right: Terms = []
    on: Terms = []
    for term in split(node.on) + terms:
        sources = used(term)
        if volatile(term):
            on.append(term)
        elif right.isdisjoint(sources):
            to_left.append(term)
        elif left.isdisjoint(sources):
            to_right.append(term)
        else:
            on.append(term)
    known = known + on
    return replace(
        node,
        kind="inner",
        left=push(node.left, to_left, known),
        right=push(node.right, to_right, known),
        on=conjoin(on),
    )


def _push_outer(node: Join, terms: Terms, known: Terms) -> Node:
    """LEFT JOIN: what is said above of the left rows goes left, what ON says of the right rows goes right."""
    left, right = emitted(node.left), emitted(node.right)
    to_left = [term for term in terms if right.isdisjoint(used(term)) and not volatile(term)]
    above = [term for term in terms if term not in to_left] if to_left else terms
    conditions = split(node.on)
    to_right = [term for term in conditions if _reads_only(term, right, left)]
    on = [term for term in conditions if term not in to_right] if to_right else conditions
    pushed = replace(
        node,
        left=push(node.left, to_left, known + above),
        right=push(node.right, to_right, on),
        on=conjoin(on),
    )
    return filtered(pushed, above)


def _reads_only(term: Expr, wanted: frozenset[int], unwanted: frozenset[int]) -> bool:
    sources = used(term)
    return not wanted.isdisjoint(sources) and unwanted.isdisjoint(sources) and not volatile(term)


def _push_full(node: Join, terms: Terms, known: Terms) -> Node:
    """FULL JOIN: nothing goes below it, but predicates above can make it a LEFT or an inner join."""
    left, right = emitted(node.left), emitted(node.right)
    above = (*terms, *known)
    if any(rejects_null(term, left) for term in above):
        return _push_join(replace(node, kind="left"), terms, known)
    if any(rejects_null(term, right) for term in above):
        return _push_join(replace(node, kind="left", left=node.right, right=node.left), terms, known)
    return filtered(replace(node, left=push(node.left, []), right=push(node.right, [])), terms)


def _push_semi(node: Join, terms: Terms, known: Terms) -> Node:
    """Semi and anti joins filter the left rows: terms from above go left, what ON says of the right rows right."""
    left, right = emitted(node.left), emitted(node.right)
    to_left = [term for term in terms if not volatile(term)]
    above = [term for term in terms if volatile(term)]
    to_right: Terms = []
    on: Terms = []
    for term in split(node.on):
        if _reads_only(term, right, left):
            to_right.append(term)
        elif node.kind == "semi" and right.isdisjoint(used(term)) and not volatile(term):
            to_left.append(term)
        else:
            on.append(term)
    known = known + on if node.kind == "semi" else known
    pushed = replace(node, left=push(node.left, to_left, known), right=push(node.right, to_right, on), on=conjoin(on))
    return filtered(pushed, above)


# --- nodes that make new rows ---------------------------------------------------------------------------------------


def _push_below(node: Node, terms: Terms) -> Node:
    """The node with the terms, all of which pass it, tested in its inputs."""
    match node:
        case Project():
            pushed = push(node.input, [substitute(term, node.source, node.columns) for term in terms])
        case Aggregate():
            pushed = push(node.input, [substitute(term, node.source, node.keys) for term in terms])
        case Distinct() | Window():
            pushed = push(node.input, terms)
        case Compound():
            return _push_compound(node, terms)
        case _:
            raise AssertionError(type(node).__name__)
    return node if pushed is node.input else replace(node, input=pushed)


def _push_compound(node: Compound, terms: Terms) -> Node:
    left = push(node.left, [_rename(term, node.source, node.left) for term in terms])
    right = push(node.right, [_rename(term, node.source, node.right) for term in terms])
    if left is node.left and right is node.right:
        return node
    return replace(node, left=left, right=right)


def _rename(term: Expr, source: int, query: Node) -> Expr:
    inner = output_source(query)
    columns = {part.position: part for part in descend(term) if isinstance(part, Column) and part.source == source}
    width = max(columns) + 1
    any_column = next(iter(columns.values()))
    renamed = tuple(replace(columns.get(i, any_column), source=inner, position=i) for i in range(width))
    return substitute(term, source, renamed)


def _passes(node: Node, term: Expr) -> bool:
    """Whether testing the term on the node's input gives the same rows as testing it on its output."""
    if volatile(term):
        return False
    match node:
        case Project():
            columns = _positions(term, node.source)
            return all(not volatile(node.columns[i]) and not holds_query(node.columns[i]) for i in columns)
        case Aggregate():
            positions = _positions(term, node.source)
            return (
                bool(positions)
                and all(i < len(node.keys) for i in positions)
                and all(
                    _is_group_wide(term, node.source, i, kind_of(node.keys[i]), _collation(node.collations, i))
                    for i in positions
                )
            )
        case Distinct():
            positions = _positions(term, output_source(node.input))
            return (
                not node.on
                and bool(positions)
                and all(
                    i < node.columns and _all_alike(term, output_source(node.input), i, node.collations)
                    for i in positions
                )
            )
        case Compound():
            positions = _positions(term, node.source)
            return bool(positions) and (
                (node.op == "union" and node.all)
                or all(_all_alike(term, node.source, i, node.collations) for i in positions)
            )
        case Window():
            return _is_partition_wide(node, term)
        case _:
            return False


def _positions(term: Expr, source: int) -> set[int]:
    return {part.position for part in descend(term) if isinstance(part, Column) and part.source == source}


def _collation(collations: tuple[str, ...], i: int) -> str:
    return collations[i] if i < len(collations) else "BINARY"


def _all_alike(term: Expr, source: int, position: int, collations: tuple[str, ...]) -> bool:
    column = next(p for p in descend(term) if isinstance(p, Column) and p.source == source and p.position == position)
    return _is_group_wide(term, source, position, column.type.kind, _collation(collations, position))


def _is_group_wide(term: Expr, source: int, position: int, kind: Kind, collation: str) -> bool:
    """Whether the term is equally true for all values that are equal to the column's as GROUP BY sees them."""
    if collation != "BINARY":
        return False
    return kind not in LOOSE or _only_compares(term, source, position)


def _only_compares(term: Expr, source: int, position: int) -> bool:
    """Whether the term uses the column for nothing but comparing it, so that 1 and 1.0 are the same to it."""

    def is_column(expr: Expr) -> bool:
        return isinstance(expr, Column) and expr.source == source and expr.position == position

    match term:
        case Not(operand=operand):
            return _only_compares(operand, source, position)
        case Compare(left=left, right=right):
            return (is_column(left) or not _uses(left, source)) and (is_column(right) or not _uses(right, source))
        case Between(operand=operand, low=low, high=high):
            return is_column(operand) and not _uses(low, source) and not _uses(high, source)
        case InList(operand=operand, items=items):
            return is_column(operand) and not any(_uses(item, source) for item in items)
        case IsNull(operand=operand):
            return is_column(operand)
        case _:
            return False


def _uses(expr: Expr, source: int) -> bool:
    return source in used(expr)


def _is_partition_wide(node: Window, term: Expr) -> bool:
    """Whether the term reads only columns that all rows of any partition have alike."""
    columns = [part for part in descend(term) if isinstance(part, Column)]
    if not columns or holds_query(term):
        return False
    return all(
        any(_is_same_exact(key, _collation(call.collations, i), column) for i, key in enumerate(call.partition))
        for column in columns
        for call in node.calls
    )


def _is_same_exact(key: Expr, collation: str, column: Column) -> bool:
    return (
        isinstance(key, Column)
        and (key.source, key.position) == (column.source, column.position)
        and collation == "BINARY"
        and key.type.kind not in LOOSE
    )
