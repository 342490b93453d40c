"""The leaves of a BTree as persistent objects, each of which is read and changed as a whole.

In: a tree, a key or a range of keys. Out: the leaves whose serial numbers tell whether something that was read has changed.

The place of a key belongs to exactly one leaf, whether the key is there or not. When that leaf hands the place on to another,
because it was split or became empty, it is changed itself. So who has the leaves of a range as they were has seen the range
as it is, empty places included. A tree of few keys is its own leaf. Only a tree put in the place of another shows in none of
its leaves; that is DDL, which changes the cookie of the schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zodbapi.storage.nodes import TREES, children_and_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def steps(tree: Any, key: Any) -> Iterator[tuple[Any, Any, Any]]:
    """The way to the leaf that holds the place of ``key`` (None: of the lowest keys).

    Yields each inner node, the key by which it finds its child (None for the first), and the child.
    """
    while below := children_and_keys(tree):
        low, high = 0, 0 if key is None else len(below) // 2
        while low < high:
            middle = (low + high + 1) // 2
            if below[2 * middle - 1] <= key:
                low = middle
            else:
                high = middle - 1
        child = below[2 * low]
        yield tree, below[2 * low - 1] if low else None, child
        tree = child


def find_leaf(tree: Any, key: Any) -> Any:
    """The persistent object whose state holds the place of ``key`` (None: of the lowest keys)."""
    for _, _, child in steps(tree, key):
        tree = child
    return tree


def find_leaves(tree: Any, low: Any = None, high: Any = None) -> Iterator[Any]:
    """The leaves that hold the places from ``low`` to ``high`` (None: no bound), in order."""
    leaf = find_leaf(tree, low)
    while leaf is not None:
        yield leaf
        if leaf is tree or (high is not None and leaf and leaf.maxKey() >= high):
            return
        state = leaf.__getstate__()
        if type(leaf) in TREES:  # a node that has lost all children but a new one holds the keys of that
            ((state,),) = state
        leaf = state[1] if len(state) > 1 else None


class WatchedTree:
    """A tree that tells ``note`` of each leaf from which something is read; writing tells nothing.

    It stands in for the tree in generated code. What it does not know is taken to read the whole tree.
    """

    __slots__ = ("_note", "tree")

    def __init__(self, tree: Any, note: Callable[[Any], None]) -> None:
        self.tree = tree
        self._note = note

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.tree, name)
        self._note_range()
        return found

    def noted(self, leaf: Any) -> Any:
        """The leaf, which is about to be read."""
        self._note(leaf)
        return leaf

    def _note_range(self, low: Any = None, high: Any = None) -> None:
        for leaf in find_leaves(self.tree, low, high):
            self._note(leaf)

    # --- reading ----------------------------------------------------------------------------------------------------

    def get(self, key: Any, default: Any = None) -> Any:
        self._note(find_leaf(self.tree, key))
        return self.tree.get(key, default)

    def __getitem__(self, key: Any) -> Any:
        self._note(find_leaf(self.tree, key))
        return self.tree[key]

    def __contains__(self, key: Any) -> bool:
        self._note(find_leaf(self.tree, key))
        return key in self.tree

    def __bool__(self) -> bool:
        self._note(find_leaf(self.tree, None))  # which has a key, unless there is none at all
        return bool(self.tree)

    def __len__(self) -> int:
        self._note_range()
        return len(self.tree)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())

    def minKey(self, *low: Any) -> Any:
        self._note(find_leaf(self.tree, *(low or (None,))))
        key = self.tree.minKey(*low)
        self._note_range(low[0] if low else None, key)
        return key

    def maxKey(self, *high: Any) -> Any:
        try:
            key = self.tree.maxKey(*high)
        except ValueError:
            self._note_range(None, *high)
            raise
        self._note_range(key, *high)
        return key

    def keys(self, *bounds: Any) -> WatchedRange:
        return WatchedRange(self.tree, self._note, "keys", bounds)

    def values(self, *bounds: Any) -> WatchedRange:
        return WatchedRange(self.tree, self._note, "values", bounds)

    def items(self, *bounds: Any) -> WatchedRange:
        return WatchedRange(self.tree, self._note, "items", bounds)

    # --- writing ----------------------------------------------------------------------------------------------------

    def insert(self, key: Any, value: Any) -> int:
        """Add a key; 0 if it is there, which is something read."""
        done: int = self.tree.insert(key, value)
        if not done:
            self._note(find_leaf(self.tree, key))
        return done

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tree[key] = value

    def __delitem__(self, key: Any) -> None:
        del self.tree[key]

    def update(self, items: Any) -> None:
        self.tree.update(items)

    def add(self, key: Any) -> Any:
        return self.tree.add(key)

    def remove(self, key: Any) -> None:
        self.tree.remove(key)

    def discard(self, key: Any) -> None:
        self.tree.discard(key)

    def pop(self, key: Any, *default: Any) -> Any:
        return self.tree.pop(key, *default)


class WatchedRange:
    """Keys, values or items of a tree; their leaves are noted as the reader comes to them."""

    __slots__ = ("_bounds", "_kind", "_note", "_tree")

    def __init__(self, tree: Any, note: Callable[[Any], None], kind: str, bounds: tuple[Any, ...]) -> None:
        self._tree = tree
        self._note = note
        self._kind = kind
        self._bounds = bounds

    def __iter__(self) -> Iterator[Any]:
        for leaf in find_leaves(self._tree, *self._bounds[:2]):
            self._note(leaf)
            yield from getattr(leaf, self._kind)(*self._bounds)

    def __len__(self) -> int:
        for leaf in find_leaves(self._tree, *self._bounds[:2]):
            self._note(leaf)
        return len(getattr(self._tree, self._kind)(*self._bounds))


class WatchedTrees(dict[int, WatchedTree]):
    """Id -> watched tree, filled from plain ones as ids are asked for."""

    __slots__ = ("_note", "_trees")

    def __init__(self, trees: dict[int, Any], note: Callable[[Any], None]) -> None:
        super().__init__()
        self._trees = trees
        self._note = note

    def __missing__(self, key: int) -> WatchedTree:
        tree = self[key] = WatchedTree(self._trees[key], self._note)
        return tree


def plain(tree: Any) -> Any:
    """The tree itself, if it is a watched one."""
    return tree.tree if type(tree) is WatchedTree else tree
