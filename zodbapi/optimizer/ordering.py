"""Orders: in which order a node emits its rows, and whether that is the order that a Sort asks for.

Index entries are ascending with NULLs first, and every access can be read backwards; so an order fits when all its keys
run in one direction, with NULLs at the end where the index has them. A column that a predicate fixes to one value does
not matter, and after a key that no two rows share nothing does.
"""

from __future__ import annotations

from typing import NamedTuple

from zodbapi.catalog import TEXTS, Index, Kind, Table
from zodbapi.optimizer.access import (
    BY_ROWID,
    ROWID,
    KeyPart,
    Sarg,
    Target,
    collates,
    index_order,
    sargs_of,
    target_of,
)
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.predicates import LEAVES, emitted, split, substitute, used
from zodbapi.plan.expr import Const, Expr, Param, SortKey
from zodbapi.plan.lists import seeks_once
from zodbapi.plan.nodes import (
    Aggregate,
    Distinct,
    Filter,
    HashJoin,
    IndexRange,
    IndexSeek,
    Join,
    Limit,
    Node,
    Project,
    RowidRange,
    RowidSeek,
    Scan,
    Values,
)
from zodbapi.record import replace

Access = Scan | RowidSeek | RowidRange | IndexSeek | IndexRange
Keys = tuple[SortKey, ...]


class Way(NamedTuple):
    """How rows are read: ``rotated`` is the place of the column whose NULLs must come at the other end, if there is one."""

    backwards: bool
    rotated: int | None


def way(keys: Keys, order: tuple[KeyPart, ...], fixed: list[Sarg], source: int, table: Table) -> Way | None:
    """How rows in ``order`` must be read to come in the order of ``keys``; None if no way does."""
    rotated: int | None = None
    left = list(order)
    descending: bool | None = None
    for key in keys:
        if _is_constant(key.expr):
            continue
        computed = key.expr.__class__ not in LEAVES and any(not isinstance(part.target, int) for part in order)
        target = target_of(key.expr, source, table, computed)
        if target is not None and _is_fixed(target, key.collation, fixed):
            continue
        while left and _is_fixed(left[0].target, left[0].collation, fixed):
            left.pop(0)
        if not left:
            break
        part = left.pop(0)
        if target is None or target != part.target or not collates(key.collation, part):
            return None
        if part.nullable and key.nulls_first == key.descending:
            if descending is not None:
                return None
            rotated = len(order) - len(left) - 1
        if descending is None:
            descending = key.descending
        elif descending != key.descending:
            return None
    return Way(bool(descending), rotated)


def _is_constant(expr: Expr) -> bool:
    return isinstance(expr, (Const, Param))


def _is_fixed(target: Target, collation: str, fixed: list[Sarg]) -> bool:
    return bool(fixed) and any(
        sarg.target == target and (not sarg.collation or sarg.collation == collation or _is_exact(sarg.kind))
        for sarg in fixed
    )


def _is_exact(kind: Kind) -> bool:
    """Whether collations do not matter to values of the kind."""
    return kind not in TEXTS and kind is not Kind.ANY


def fixing(source: int, table: Table, terms: list[Expr]) -> list[Sarg]:
    """The terms that fix a target of the table to one value."""
    return [sarg for sarg in sargs_of(source, table, terms, True) if sarg.op in ("=", "is")]


# --- of nodes ---------------------------------------------------------------------------------------------------------


def ordered(node: Node, keys: Keys, context: Context) -> Node | None:
    """The node, possibly reading backwards, if so it emits its rows in the order of ``keys``; else None."""
    if not keys or is_single(node, context):
        return node
    return _ordered(node, keys, [], context)


def _ordered(node: Node, keys: Keys, terms: list[Expr], context: Context) -> Node | None:
    match node:
        case Filter():
            below = _ordered(node.input, keys, terms + split(node.predicate), context)
        case Project():
            keys = tuple(replace(key, expr=substitute(key.expr, node.source, node.columns)) for key in keys)
            below = _ordered(node.input, keys, [], context)
        case Distinct():
            below = _ordered(node.input, keys, [], context)
        case Join() | HashJoin():
            return _ordered_join(node, keys, terms, context)
        case Scan() | RowidSeek() | RowidRange() | IndexSeek() | IndexRange():
            return _ordered_access(node, keys, terms, context)
        case _:
            return None
    if below is None:
        return None
    return node if below is node.input else replace(node, input=below)


def _ordered_join(node: Join | HashJoin, keys: Keys, terms: list[Expr], context: Context) -> Node | None:
    """A join emits in the order of its left input, as long as the keys read only that.

    Keys that read the right input matter only among rows with equal keys before them: not at all when the keys before
    them tell all left rows apart and there is one right row for each.
    """
    if node.kind == "full":
        return None
    left = emitted(node.left)
    if node.kind not in ("semi", "anti"):
        left_only = next((i for i, key in enumerate(keys) if used(key.expr) - left), len(keys))
        if left_only < len(keys) and not (
            is_single(node.right, context) and tells_apart(node.left, keys[:left_only], _of_left(node, terms), context)
        ):
            return None
        keys = keys[:left_only]
        terms = _of_left(node, terms)
    below = node.left if is_single(node.left, context) else _ordered(node.left, keys, terms, context)
    if below is None:
        return None
    return node if below is node.left else replace(node, left=below)


def _of_left(node: Join | HashJoin, terms: list[Expr]) -> list[Expr]:
    """The terms that do not compare with right rows, which are others for each left row."""
    right = emitted(node.right)
    return [term for term in terms if right.isdisjoint(used(term))]


def _ordered_access(node: Access, keys: Keys, terms: list[Expr], context: Context) -> Node | None:
    order = order_of(node, context)
    if order is None:
        return None
    fixed = fixing(node.source, node.table, terms) + _fixed_by(node)
    found = way(keys, order, fixed, node.source, node.table)
    if found is None:
        return None
    if isinstance(node, (IndexSeek, IndexRange)):
        rotated = _rotated(node, found.rotated)
        if rotated is None:
            return None
        node = replace(rotated, tests=()) if rotated.tests else rotated
    return node if found.backwards == node.descending else replace(node, descending=found.backwards)


def _rotated(node: IndexSeek | IndexRange, place: int | None) -> IndexSeek | IndexRange | None:
    """The access with the NULLs of a column at the other end; None if they are all over it."""
    match node:
        case IndexRange(lower=None, upper=None, present=False):
            if place is not None and place != len(node.prefix):
                return None
            return node if node.rotated == (place is not None) else replace(node, rotated=place is not None)
        case IndexRange():
            return node if place is None or place == len(node.prefix) else None  # there is no NULL between bounds
        case IndexSeek() if place is None:
            return node
        case IndexSeek(alternatives=(keys,)) if seeks_once(node) and not any(node.null_safe) and place == len(keys):
            return IndexRange(node.source, node.table, node.index, keys, rotated=True)
        case _:
            return None


def order_of(node: Access, context: Context) -> tuple[KeyPart, ...] | None:
    """The order in which an access emits rows when it is not read backwards."""
    if isinstance(node, (IndexSeek, IndexRange)):
        return index_order(node.table, node.index, context)
    return BY_ROWID


def _fixed_by(node: Access) -> list[Sarg]:
    """The index columns to which an access gives one key."""
    match node:
        case IndexSeek() if seeks_once(node):
            keys = node.alternatives[0]
        case IndexRange():
            keys = node.prefix
        case _:
            return []
    found = []
    null_safe = node.null_safe if isinstance(node, IndexSeek) and node.null_safe else (False,) * len(keys)
    for column, key, safe in zip(node.index.columns, keys, null_safe, strict=False):
        if column.position is not None:
            kind = node.table.columns[column.position].type.kind
            target = ROWID if column.position == node.table.rowid_column else column.position
            found.append(Sarg(target, "is" if safe else "=", (key,), column.collation, kind, key, frozenset()))
    return found


# --- uniqueness -------------------------------------------------------------------------------------------------------


def is_single(node: Node, context: Context) -> bool:
    """Whether the node emits at most one row (for one row of what it is correlated with)."""
    match node:
        case RowidSeek():
            return not node.rowids or seeks_once(node)
        case IndexSeek():
            return seeks_once(node) and is_unique_seek(node.index, node)
        case Filter() | Project() | Distinct():
            return is_single(node.input, context)
        case Limit(limit=Const(value=int() as limit)) if 0 <= limit <= 1:
            return True
        case Aggregate():
            return not node.keys
        case Values():
            return len(node.rows) <= 1
        case Join(kind="semi" | "anti") | HashJoin(kind="semi" | "anti"):
            return is_single(node.left, context)
        case Join(kind="inner" | "cross" | "left"):
            return is_single(node.left, context) and is_single(node.right, context)
        case _:
            return False


def is_unique_seek(index: Index, node: IndexSeek) -> bool:
    """Whether one key of the seek finds at most one row."""
    full = all(len(keys) == len(index.columns) for keys in node.alternatives)
    return index.keyed and full and not any(node.null_safe)


def tells_apart(node: Node, keys: Keys, terms: list[Expr], context: Context) -> bool:
    """Whether no two rows of the node are alike in all keys."""
    if is_single(node, context):
        return True
    match node:
        case Filter():
            return tells_apart(node.input, keys, terms + split(node.predicate), context)
        case Join(kind="semi" | "anti") | HashJoin(kind="semi" | "anti"):
            return tells_apart(node.left, keys, terms, context)
        case Join():
            return is_single(node.right, context) and tells_apart(node.left, keys, _of_left(node, terms), context)
        case Scan() | RowidSeek() | RowidRange() | IndexSeek() | IndexRange():
            targets = {target_of(key.expr, node.source, node.table, False): key.collation for key in keys}
            return has_unique(node.table, targets, fixing(node.source, node.table, terms) + _fixed_by(node))
        case _:
            return False


def has_unique(table: Table, targets: dict[Target | None, str], fixed: list[Sarg]) -> bool:
    """Whether the targets, with those that are fixed, hold a key of the table: rowid, or a unique index without NULLs."""
    if ROWID in targets or any(sarg.target == ROWID for sarg in fixed):
        return True
    return any(index.keyed and index.where is None and _holds(table, index, targets, fixed) for index in table.indexes)


def _holds(table: Table, index: Index, targets: dict[Target | None, str], fixed: list[Sarg]) -> bool:
    for column in index.columns:
        if column.position is None:
            return False
        definition = table.columns[column.position]
        exact = _is_exact(definition.type.kind)
        if column.position in targets and (exact or targets[column.position] == column.collation):
            if not definition.not_null:
                return False
        elif not _is_fixed(column.position, column.collation, [sarg for sarg in fixed if sarg.op == "="]):
            return False
    return True
