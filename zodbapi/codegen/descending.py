"""Reading a BTree backwards.

BTrees link their buckets forwards only, so a reverse iteration of ``keys()`` searches each previous bucket from the first
one. Here the tree is walked from its root instead: the children of a node are visited last to first, and each leaf gives
what it has of the range at once, reversed. So a page of the newest rows reads a leaf or two, and the whole tree costs
little more than forwards. The very first key comes from ``maxKey``, which is all that a LIMIT 1 asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit


def keys_descending(
    tree: Any, low: Any = None, high: Any = None, exclude_low: bool = False, exclude_high: bool = False, skip: int = 0
) -> Iterator[Any]:
    """The keys from ``high`` down to ``low`` (None: no bound), without the first ``skip`` of them."""
    return chain.from_iterable(_runs(tree, (low, high, exclude_low, exclude_high), _keys_of, skip))


def items_descending(
    tree: Any, low: Any = None, high: Any = None, exclude_low: bool = False, exclude_high: bool = False, skip: int = 0
) -> Iterator[tuple[Any, Any]]:
    """The (key, value) pairs from ``high`` down to ``low``, without the first ``skip`` of them."""
    return chain.from_iterable(_runs(tree, (low, high, exclude_low, exclude_high), _items_of, skip))


def values_descending(
    tree: Any, low: Any = None, high: Any = None, exclude_low: bool = False, exclude_high: bool = False, skip: int = 0
) -> Iterator[Any]:
    """The values of the keys from ``high`` down to ``low``, without the first ``skip`` of them."""
    return chain.from_iterable(_runs(tree, (low, high, exclude_low, exclude_high), _values_of, skip))


def last_key(tree: Any, low: Any, high: Any) -> Any:
    """The first of ``keys_descending``; None if there is none. All bounds are there, and belong to the range."""
    try:
        found = tree.maxKey(high)
    except ValueError:
        return None
    return None if found < low else found


def take_last(unit: Unit, start: int) -> None:
    """Makes a look-up of a loop over keys backwards that the body has from a line on, if it ends in its first round."""
    lines = unit.body.lines
    at, header = lines[start]
    loop = _BACKWARDS.fullmatch(header)
    end = next((i for i in range(start + 1, len(lines)) if lines[i][0] <= at), len(lines))
    straight = all(depth == at + 1 for depth, _ in lines[start + 1 : end])
    if loop is None or not straight or not lines[end - 1][1].startswith("return "):
        return
    name = unit.fresh("k")
    lines[start : start + 1] = [
        (at, f"{name} = {unit.call(last_key)}({loop[2]})"),
        (at, f"if {name} is not None:"),
        (at + 1, f"{loop[1]} = {name}"),
    ]


_BACKWARDS = re.compile(r"for (.+) in keys_descending\((\w+, \(.+\), \(.+\))\):")


def _keys_of(leaf: Any, *bounds: Any) -> Any:
    return leaf.keys(*bounds)


def _items_of(leaf: Any, *bounds: Any) -> Any:
    return leaf.items(*bounds)


def _values_of(leaf: Any, *bounds: Any) -> Any:
    return leaf.values(*bounds)


def _runs(tree: Any, bounds: tuple[Any, Any, bool, bool], read: Callable[..., Any], skip: int) -> Iterator[Any]:
    """What is found, in runs: the very first one alone, then what is left of each leaf."""
    low, high, exclude_low, exclude_high = bounds
    try:
        first = tree.maxKey() if high is None else tree.maxKey(high)
    except ValueError:  # no key, or none that small
        return
    if low is not None and (first < low or (exclude_low and not low < first)):
        return
    if not (exclude_high and high is not None and first == high):
        if skip <= 0:
            yield (first,) if read is _keys_of else read(tree, first, first)
        skip -= 1
    leaves = _leaves(tree, first)
    for leaf in leaves:
        found = read(leaf, low, first, exclude_low, True)
        if skip <= 0:
            yield reversed(found)
        elif len(found) > skip:
            yield reversed(found[: len(found) - skip])
        skip -= len(found)
        if low is None:
            if skip <= 0:  # no bound and no place left to mind
                yield from map(reversed, map(read, leaves))
                return
        elif leaf and not low < leaf.minKey():
            return


def _leaves(tree: Any, high: Any) -> Iterator[Any]:
    """The leaves from the one where ``high`` belongs to the first; a tree that is watched (``storage.leaves``) notes each."""
    noted = getattr(tree, "noted", None)
    return _leaves_descending(tree, high) if noted is None else map(noted, _leaves_descending(tree.tree, high))


def _leaves_descending(node: Any, high: Any) -> Iterator[Any]:
    """The leaves below a node, last to first, from the one where ``high`` belongs; None: from the last."""
    state = node.__getstate__() if hasattr(node, "_firstbucket") else None
    if state is None or len(state) == 1:  # a bucket, or a tree so small that it holds its keys itself
        yield node
        return
    children = state[0]  # child0, key1, child1, key2, ...
    place = len(children) // 2
    if high is not None:
        below, above = 0, place
        while below < above:
            middle = (below + above + 1) // 2
            if children[2 * middle - 1] <= high:
                below = middle
            else:
                above = middle - 1
        place = below
    if hasattr(children[0], "_firstbucket"):
        for child in range(place, -1, -1):
            yield from _leaves_descending(children[2 * child], high if child == place else None)
    else:
        yield from children[2 * place :: -2]
