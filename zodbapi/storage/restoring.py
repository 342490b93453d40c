"""Taking back the changes of a transaction in memory, so that what it changed need not be read from the storage again.

ZODB forgets the state of every object that an aborted transaction has changed. A transaction that is rolled back, as that of
every test of Django's is, would read its leaves again and again. But the undo log knows what was in them: after it was
replayed backwards, a leaf holds what its record in the storage does, and only has to be told that it has not changed.

That holds as long as all changes were made to leaves. Leaves that were split are joined again (``splits``). If a leaf was
emptied, or an inner node has changed for another reason, everything is left to ZODB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from BTrees.LOBTree import LOBTree, LOBucket
from BTrees.OOBTree import OOBTree, OOBucket, OOSet, OOTreeSet

from zodbapi.storage.leaves import plain
from zodbapi.storage.splits import Splits
from zodbapi.undo import ADDED, ENTERED, MISSING, PRESENT, REMOVED, REPLACED, Mark, changes, one_by_one

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zodbapi.storage.transaction import Transaction
    from zodbapi.undo import Entry

_LEAVES: Final = frozenset({LOBucket, OOBucket, OOSet})
_TREES: Final = frozenset({LOBTree, OOBTree, OOTreeSet})
_NODES: Final = _LEAVES | _TREES
MOST: Final = 100  # changes a leaf: beyond that, reading it again is cheaper
MOST_OF_SPLITS: Final = 10  # the same, where each has to be looked at


def restore(txn: Transaction, connection: Any) -> bool:
    """Takes back all changes, if that leaves every object as its record is; otherwise the rest is for an abort to do."""
    changed = connection._registered_objects
    if not changed or connection._savepoint_storage is not None or connection._added or connection._import:
        return False  # a commit that failed has left nothing to take back
    if changes(txn.undo) > MOST * len(changed) or not all(type(node) in _NODES for node in changed):
        return False
    try:
        restored = _restored(txn, changed)
    except Exception:  # a node cannot be read, for the server is gone or the file damaged: an abort needs none
        return False
    if not restored:
        return False
    for node in changed:
        node._p_changed = False
    changed.clear()
    return True


def _restored(txn: Transaction, changed: list[Any]) -> bool:
    inner = [node for node in changed if not _holds_keys(node)]
    if inner and changes(txn.undo) + changes(txn.undone) > MOST_OF_SPLITS * len(changed):
        return False
    splits = Splits(inner, _each(txn.undo if inner else ()), _each(txn.undone if inner else ()))
    if not splits.can_be_undone:
        return False
    txn.undo_all()
    known = set(map(id, inner))
    return all(id(node) in known or _holds_keys(node) for node in changed) and splits.undo()


def _each(log: Iterable[Entry]) -> Iterator[Entry]:
    """The entries about trees, one a key."""
    return one_by_one((plain(tree), key, old) for tree, key, old in log if type(tree) is not Mark)


def _holds_keys(node: Any) -> bool:
    """Whether the object is a leaf, or a tree that is small enough to be its own."""
    if type(node) in _LEAVES:
        return True
    state = node.__getstate__()
    return state is None or len(state) == 1


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
