"""Taking back the splits of leaves, so that an inner node is again what its record in the storage is.

A leaf that gets too large hands its upper half on to a new leaf, for which its parent gets a place. When the keys that made it
too large have gone again, the rest of the new leaf goes back to the old one, and the parent forgets it. Reading the nodes
from the storage would do the same, but an inner node can have hundreds of children.

What tells that this is all there is to take back: in the tree no key that was there has gone in the meantime, for then the
parents of its leaf may have got other keys or lost children; and no new key is one by which a parent finds a child.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from zodbapi.storage.leaves import steps
from zodbapi.storage.nodes import TREES, children_and_keys
from zodbapi.undo import MISSING, PRESENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zodbapi.undo import Entry

Children = list[tuple[Any, Any]]  # (the key by which it is found, None for the first; the child)


class Splits:
    """The inner nodes that a transaction has changed, as long as nothing was taken back."""

    def __init__(self, inner: list[Any], log: Iterable[Entry], undone: Iterable[Entry]) -> None:
        """Learns what the nodes were before; the log, and what of it was taken back already, have entries of one key each."""
        self._stored = {id(node): _stored(node) for node in inner}
        self._nodes = inner
        self.can_be_undone = self._are_known(log, undone)

    def _are_known(self, log: Iterable[Entry], undone: Iterable[Entry]) -> bool:
        """Whether each node is on the way to a logged key, and below them no key has gone or is used by a node."""
        left = set(self._stored)
        was_there: dict[tuple[int, Any], bool] = {}
        lost_keys, were_split = set(), set()  # ids of trees
        marked = chain(zip(log, repeat(False)), zip(undone, repeat(True)))
        for (tree, key, old), is_undone in marked:
            is_new = old is MISSING
            known = was_there.setdefault((id(tree), key), not is_new)
            # It has gone, at least for a while; of what was taken back, an update looks like a deletion.
            if (is_undone and not is_new) or (known and (is_new or old is PRESENT or key not in tree)):
                lost_keys.add(id(tree))
            for node, separator, child in steps(tree, key):
                if id(node) in self._stored:
                    left.discard(id(node))
                    were_split.add(id(tree))
                    if not known and separator == key and child._p_oid is not None:
                        return False
        return not left and lost_keys.isdisjoint(were_split)

    def undo(self) -> bool:
        """Once all keys are as they were: join what was split. Whether the nodes are now as they were, too."""
        return all(_joined(node, self._stored[id(node)]) for node in self._nodes)


def _children(node: Any) -> Children:
    """The children of an inner node; none of one that has its keys itself."""
    found = children_and_keys(node)
    return list(zip((None, *found[1::2]), found[::2], strict=False))


def _stored(node: Any) -> Children:
    """The children that the storage knows."""
    return [pair for pair in _children(node) if pair[1]._p_oid is not None]


def _joined(node: Any, stored: Children) -> bool:
    """Give what is in new leaves to the old ones before them, and forget the new ones."""
    children = _children(node)
    if not children:  # all its keys have gone, or fit into one leaf: there was no child before
        return not stored
    if any(type(child) in TREES for _, child in children if child._p_oid is None):
        return False
    if not stored:
        node.__setstate__((((_items(child for _, child in children),),),))
        return True
    if children[0][1]._p_oid is None or _stored(node) != stored:
        return False
    groups: list[list[Any]] = []
    for _, child in children:
        if child._p_oid is not None:
            groups.append([])
        groups[-1].append(child)
    for leaves in groups:
        if len(leaves) > 1:
            leaves[0].__setstate__((_items(leaves), *leaves[-1].__getstate__()[1:]))
    found = [stored[0][1], *chain.from_iterable(stored[1:])]
    node.__setstate__((tuple(found), node.__getstate__()[1]))
    return True


def _items(leaves: Iterable[Any]) -> tuple[Any, ...]:
    """What leaves hold, as their states have it."""
    return tuple(chain.from_iterable(leaf.__getstate__()[0] for leaf in leaves))
