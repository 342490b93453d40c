"""The nodes of a BTree as persistent objects, each of which is read and changed as a whole.

In: a tree. Out: the nodes whose serial numbers tell whether something that was read has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ZODB.utils import z64

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_leaf(tree: Any, key: Any) -> Any:
    """The persistent object whose state holds the place of ``key``: a bucket, or the tree itself while it is small."""
    while hasattr(tree, "_firstbucket"):
        state = tree.__getstate__()
        if state is None or len(state) == 1:
            return tree
        children = state[0]
        low, high = 0, len(children) // 2  # children: child0, key1, child1, key2, ...
        while high - low > 0:
            middle = (low + high + 1) // 2
            if children[2 * middle - 1] <= key:
                low = middle
            else:
                high = middle - 1
        tree = children[2 * low]
    return tree


def loaded_nodes(tree: Any) -> Iterator[Any]:
    """The tree and those of its nodes and leaves that are in memory and were stored before."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node._p_jar is None or node._p_serial == z64 or node._p_changed is None:  # new, or a ghost
            continue
        yield node
        if hasattr(node, "_firstbucket"):
            state = node.__getstate__()
            if state is not None and len(state) > 1:
                waiting += state[0][::2]
