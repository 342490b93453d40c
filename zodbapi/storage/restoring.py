"""Taking back the changes of a transaction in memory, so that what it changed need not be read from the storage again.

ZODB forgets the state of every object that an aborted transaction has changed. A transaction that is rolled back, as that of
every test of Django's is, would read its leaves again and again. But the undo log knows what was in them: after it was
replayed backwards, a leaf holds what its record in the storage does, and only has to be told that it has not changed.

That holds as long as all changes were made to leaves. Where few keys have split leaves, these are joined again (``splits``).
Of any other tree that has got or lost nodes all nodes that were changed are read again, and only those: no node refers to one of
another tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOTreeSet

from zodbapi.storage.leaves import plain
from zodbapi.storage.nodes import LEAVES, NODES, TREES, children
from zodbapi.storage.splits import Splits
from zodbapi.undo import ADDED, ENTERED, MISSING, PRESENT, REMOVED, REPLACED, Mark, changes, one_by_one

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zodbapi.storage.transaction import Transaction
    from zodbapi.undo import Entry

MOST: Final = 100  # changes a leaf: beyond that, reading it again is cheaper
MOST_OF_SPLITS: Final = 10  # the same, where each has to be looked at


def restore(txn: Transaction, connection: Any) -> bool:
    """Takes back all changes, and forgets the state of what is not as its record then; False if all is for an abort to do."""
    changed = connection._registered_objects
    if not changed or connection._savepoint_storage is not None or connection._added or connection._import:
        return False  # a commit that failed has left nothing to take back
    if changes(txn.undo) > MOST * len(changed) or not all(type(node) in NODES for node in changed):
        return False
    try:
        lost = _take_back(txn, changed)
    except Exception:  # a node cannot be read, for the server is gone or the file damaged: an abort needs none
        return False
    if lost is None:
        return False
    for node in changed:
        if id(node) in lost:
            node._p_invalidate()
        else:
            node._p_changed = False
    changed.clear()
    return True


def _take_back(txn: Transaction, changed: list[Any]) -> set[int] | None:
    """Replays the log backwards: the ids of the objects that are not as they were, None if that cannot be known."""
    log = (*txn.undo, *txn.undone)
    trees = {id(tree): tree for tree in (plain(tree) for tree, _, _ in log) if type(tree) is not Mark}
    inner, emptied = _look_at(changed)
    before = _moved(trees, changed, inner, emptied)
    splits = _splits(txn, changed, inner, before) if before and not emptied else None
    txn.undo_all()
    joined = before if splits is not None and splits.undo() else {}
    lost: set[int] = set()
    known: set[int] = set()
    for number, tree in {**before, **_moved(trees, changed, *_look_at(changed))}.items():
        if number not in joined:
            lost.add(number)
        for node, below in _inner_nodes(tree):
            known.add(id(node))
            if number not in joined:
                lost.update(map(id, (node, *below)))
    for node in changed:
        if _is_empty_leaf(node):
            lost.add(id(node))
        elif type(node) in TREES and id(node) not in known and id(node) not in trees:
            if node.__getstate__() is not None:
                return None
            lost.add(id(node))  # a node that has lost all its children, and its place in the tree
    return lost


def _look_at(changed: list[Any]) -> tuple[list[Any], bool]:
    """Which of the objects are inner nodes now, and whether a leaf among them is empty."""
    return [node for node in changed if children(node)], any(map(_is_empty_leaf, changed))


def _is_empty_leaf(node: Any) -> bool:
    """Whether the object is a leaf without keys, which no tree has."""
    return type(node) in LEAVES and not node


def _moved(trees: dict[int, Any], changed: list[Any], inner: list[Any], emptied: bool) -> dict[int, Any]:
    """Those of the trees, by id, that have got or lost nodes, as far as that shows now.

    If leaves were ``emptied``, a tree that holds its keys itself may be one that did not, before it lost all of its leaves.
    """
    left = set(map(id, inner))
    shrunk = set(map(id, changed)) - left if emptied else set()
    moved = {number: tree for number, tree in trees.items() if number in left or number in shrunk}
    left -= trees.keys()
    for number, tree in sorted(trees.items(), key=lambda item: item[0] not in moved):
        if not left:
            break
        if found := left.intersection(id(node) for node, _ in _inner_nodes(tree)):
            left -= found
            moved[number] = tree
    return moved


def _inner_nodes(tree: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The inner nodes of a tree that are in memory with their children, level by level; none of one that holds its keys."""
    level = [tree]
    while level:
        nodes = [(node, below) for node in level if node._p_changed is not None and (below := children(node))]
        yield from nodes
        level = [child for _, below in nodes if type(below[0]) in TREES for child in below]


def _splits(txn: Transaction, changed: list[Any], inner: list[Any], moved: dict[int, Any]) -> Splits | None:
    """What joins the leaves of those trees again; None if reading them again is cheaper, or other things have happened."""
    logs = [[entry for entry in log if id(plain(entry[0])) in moved] for log in (txn.undo, txn.undone)]
    if sum(map(changes, logs)) > MOST_OF_SPLITS * len(changed) or any(map(_has_gone, logs[0])):
        return None
    splits = Splits(inner, *map(_each, logs))
    return splits if splits.can_be_undone else None


def _has_gone(entry: Entry) -> bool:
    """Whether a key that was there is not there now."""
    tree, key, old = entry
    tree = plain(tree)
    if old is REMOVED:
        return any(each not in tree for each in key)
    if old is REPLACED:
        return any(each not in tree for each in key[0])
    return old is not ADDED and old is not ENTERED and old is not MISSING and key not in tree


def _each(log: Iterable[Entry]) -> Iterator[Entry]:
    """The entries, one a key."""
    return one_by_one((plain(tree), key, old) for tree, key, old in log)


def put_back(tree: Any, key: Any, old: Any) -> None:
    """Undo what an entry of an undo log is about."""
    if old is MISSING:
        _take_out(tree, (key,))
    elif old is PRESENT:
        tree.add(key)
    elif old is ADDED:
        _take_out(tree, key)
    elif old is ENTERED:
        _take_out(tree, [each for each, value in key if plain(tree).get(each, MISSING) == value])
    elif old is REMOVED:
        tree.update(key)
    elif old is REPLACED:
        tree.update(list(zip(*key, strict=True)))
    else:
        tree[key] = old


def _take_out(tree: Any, keys: Iterable[Any]) -> None:
    """Remove keys, of which not all need be there: they were logged before they were added."""
    if isinstance(plain(tree), OOTreeSet):
        for key in keys:
            tree.discard(key)
    else:
        for key in keys:
            tree.pop(key, None)
