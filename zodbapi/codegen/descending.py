"""Reading a BTree backwards.

BTrees link their buckets forwards only, so a reverse iteration of ``keys()`` searches each previous bucket from the first
one. ``maxKey(limit)`` finds the next smaller key in logarithmic time, which is right for the first few (a page of the newest
rows). A reader that goes on gets the rest of the range at once, reversed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_STEPS = 100


def keys_descending(
    tree: Any, low: Any = None, high: Any = None, exclude_low: bool = False, exclude_high: bool = False
) -> Iterator[Any]:
    """The keys from ``high`` down to ``low`` (None: no bound)."""
    for _ in range(_STEPS):
        try:
            key = tree.maxKey() if high is None else tree.maxKey(high)
        except ValueError:  # no key, or none that small
            return
        if exclude_high and high is not None and key == high:
            # maxKey has no strict form: the keys below are what the remaining range holds.
            break
        if low is not None and (key < low or (exclude_low and not low < key)):
            return
        yield key
        high, exclude_high = key, True
        if (smaller := _below(key)) is not None:
            high, exclude_high = smaller, False
    rest = list(tree.keys(low, high, exclude_low, exclude_high))
    yield from reversed(rest)


def _below(key: Any) -> Any:
    """A bound that admits every smaller key but not this one, or None when there is no such value."""
    if type(key) is int:
        return key - 1 if key > -0x8000000000000000 else None
    if type(key) is tuple and key and type(key[-1]) is int:  # (parts..., rowid)
        return (*key[:-1], key[-1] - 1)
    return None


def items_descending(
    tree: Any, low: Any = None, high: Any = None, exclude_low: bool = False, exclude_high: bool = False
) -> Iterator[tuple[Any, Any]]:
    """The (key, value) pairs from ``high`` down to ``low``."""
    for key in keys_descending(tree, low, high, exclude_low, exclude_high):
        yield key, tree[key]
