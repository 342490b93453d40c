"""Reading all of a BTree, leaf by leaf.

The iterator of a tree takes hold of the leaf that it is at and lets go of it again for each key. A leaf gives what it has as one
list, and passing that costs half as much.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import methodcaller
from typing import Any, Final


def all_keys(tree: Any) -> Iterable[Any]:
    """The keys of a tree, in order."""
    return tree.keys() if _is_watched(tree) else chain.from_iterable(map(_KEYS, _leaves(tree)))


def all_values(tree: Any) -> Iterable[Any]:
    """The values of a tree, in the order of the keys."""
    return tree.values() if _is_watched(tree) else chain.from_iterable(map(_VALUES, _leaves(tree)))


def all_items(tree: Any) -> Iterable[tuple[Any, Any]]:
    """The (key, value) pairs of a tree, in order."""
    return tree.items() if _is_watched(tree) else chain.from_iterable(map(_ITEMS, _leaves(tree)))


def as_range(code: str) -> str:
    """Code that reads all of a tree, as that of a range of it: a range can be sliced and has a length."""
    return _WHOLE.sub(r"\2.\1()", code)


def _is_watched(tree: Any) -> bool:
    """Whether each leaf has to be noted (``storage.leaves``)."""
    return getattr(tree, "noted", None) is not None


def _leaves(tree: Any) -> Iterator[Any]:
    leaf = tree._firstbucket
    while leaf is not None:
        yield leaf
        leaf = leaf._next


_KEYS: Final = methodcaller("keys")
_VALUES: Final = methodcaller("values")
_ITEMS: Final = methodcaller("items")
_WHOLE: Final = re.compile(r"\ball_(keys|values|items)\((\w+)\)")
