"""Changing many entries of a set leaf by leaf.

In: a tree, and entries in ascending order. Out: the tree as if they had been removed and added one after the other.

To find the place of an entry in a tree takes a dozen comparisons of tuples, and each entry that is removed moves those
behind it. Where a leaf loses or gets several, it is made anew: what stays of it and what comes, sorted. That leaves the tree
above it alone as long as the leaf is not too long::

    leaf     (1, 7) (2, 3) (4, 1) (5, 9)
    gone            (2, 3) (4, 1)
    added                  (3, 3)         (6, 1)    the last is beyond the leaf, and maybe in the next: the tree knows
    made     (1, 7) (3, 3) (5, 9)
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import filterfalse
from typing import TYPE_CHECKING, Any, Final

from zodbapi.storage.classes import LEAF_SIZE
from zodbapi.storage.leaves import find_leaf

if TYPE_CHECKING:
    from collections.abc import Sequence

FEW: Final = 4  # changes of a leaf, up to which the tree makes them one by one


def move_by_leaf(tree: Any, gone: Sequence[Any], added: Sequence[Any]) -> None:
    """Remove entries of a set and add others; both are sorted. KeyError if one that is to go is not there."""
    if len(gone) <= FEW:
        move_one_by_one(tree, gone, added)
        return
    start = taken = 0  # how many have gone, and how many of the others have found their place
    beyond: list[Any] = []
    leaf: Any = None
    while start < len(gone):
        if leaf is None or leaf.maxKey() < gone[start]:
            leaf = find_leaf(tree, gone[start])
        if type(leaf) is type(tree):  # it has so few keys that it is its own leaf, or none any more
            move_one_by_one(tree, gone[start:], added[taken:])
            taken = len(added)
            break
        keys, *following = leaf.__getstate__()
        end = bisect_right(gone, keys[-1], start)
        first = bisect_left(added, keys[0], taken)
        beyond += added[taken:first]
        taken = bisect_right(added, keys[-1], first)
        _change_leaf(tree, leaf, keys, following, gone[start : max(end, start + 1)], added[first:taken])
        start, leaf = end, following[0] if following else None
    beyond += added[taken:]
    tree.update(beyond)


def move_one_by_one(tree: Any, gone: Sequence[Any], added: Sequence[Any]) -> None:
    """The same in a tree of any class, and beside others who may change its leaves too."""
    for key in gone:
        tree.remove(key)
    tree.update(added)


def _change_leaf(
    tree: Any, leaf: Any, keys: Sequence[Any], following: list[Any], gone: Sequence[Any], added: Sequence[Any]
) -> None:
    """The same in one leaf, of which ``keys`` and ``following`` are the state."""
    if len(gone) + len(added) > FEW:
        made = list(filterfalse(set(gone).__contains__, keys))
        if len(made) == len(keys) - len(gone) and len(made) + len(added) <= LEAF_SIZE:
            if added:
                made += added
                made.sort()
            try:
                leaf.__setstate__((tuple(made or keys[:1]), *following))
            finally:  # also when an interrupt comes right now: who aborts has to know that it is to be read again
                leaf._p_changed = True
            if not made:
                tree.remove(keys[0])  # the tree takes a leaf out that has lost its last key
            return
    move_one_by_one(tree, gone, added)
