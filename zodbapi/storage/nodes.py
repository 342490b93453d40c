"""The nodes of our trees: what their states say.

In: a tree, or one of its nodes. Out: its children, and the keys that stand between them.

A tree and the inner nodes below it are of one class, its leaves of another::

    state of a leaf             (values, next leaf), or (values,) of the last one
    of an inner node            ((child, key, child, key, child, ...), first leaf)
    of a tree of few keys       ((state of a leaf,),)          it holds its keys itself
    of an empty tree            None
"""

from __future__ import annotations

from typing import Any, Final

from BTrees.LOBTree import LOBTree, LOBucket
from BTrees.OOBTree import OOBTree, OOBucket, OOSet, OOTreeSet

LEAVES: Final = frozenset({LOBucket, OOBucket, OOSet})
TREES: Final = frozenset({LOBTree, OOBTree, OOTreeSet})
NODES: Final = LEAVES | TREES


def children_and_keys(node: Any) -> tuple[Any, ...]:
    """The children of an inner node, and before each but the first the lowest key that belongs below it.

    () of what holds its keys itself: a leaf, whose state is not even looked at, or a tree of few keys.
    """
    if type(node) in LEAVES:
        return ()
    state = node.__getstate__()
    return () if state is None or len(state) == 1 else state[0]


def children(node: Any) -> tuple[Any, ...]:
    """The children of an inner node; () of what holds its keys itself."""
    return children_and_keys(node)[::2]
