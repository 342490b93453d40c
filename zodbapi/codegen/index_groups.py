"""Groups of index entries: what begins alike stands together, so that the next group is found by a seek.

    entries    (1, 7) (1, 9) (1, 12) (2, 3) (2, 8) (5, 1)
               ^ seek (1, inf) ------^ seek (2, inf) -^

A seek takes as long as passing some sixty entries. Whether it pays shows in the first groups: when they are smaller, the rest
is passed entry by entry, by functions in C.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from zodbapi.codegen import access
from zodbapi.codegen.unit import ComputedRow

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit
    from zodbapi.plan.nodes import IndexGroups

Consume = Callable[[], None]

WORTH_A_SEEK: Final = 64  # entries of a group
FIRST: Final = 8  # groups that tell about the others


def produce(unit: Unit, node: IndexGroups, consume: Consume) -> None:
    """Writes the loop over the groups; who counts their entries pays for it."""
    source, width = node.source, node.width
    tree = unit.hoist(f"txn.index({node.index.id})", "x")
    above = access.greatest(unit, node, width)
    names = [f"e{source}_{place}" for place in range(width)]
    target = names[0] if width == 1 else f"({', '.join(names)})"
    columns: list[str | None] = [*names, None]
    if unit.uses[source, width]:
        columns[width] = f"n{source}"
        header = f"for {target}, n{source} in {unit.call(group_sizes)}({tree}, {width}, {above})"
    else:
        header = f"for {target} in {unit.call(group_prefixes)}({tree}, {width}, {above})"
    unit.env[source] = ComputedRow(columns)
    with unit.body.block(header):
        consume()


def count(unit: Unit, node: IndexGroups) -> str:
    """Code of the number of groups."""
    tree = unit.hoist(f"txn.index({node.index.id})", "x")
    return f"{unit.call(group_count)}({tree}, {node.width}, {access.greatest(unit, node, node.width)})"


def group_count(tree: Any, width: int, above: Any) -> int:
    """How many different first ``width`` parts the keys have."""
    key = first = least(tree)
    groups = 0
    while key is not None:
        groups += 1
        key = least(tree, (*key[:width], above))
        if groups == FIRST and key is not None and _are_few(tree.keys(first, key), FIRST * WORTH_A_SEEK):
            return groups + len(set(map(itemgetter(*range(width)), tree.keys(key))))
    return groups


def group_prefixes(tree: Any, width: int, above: Any) -> Iterator[Any]:
    """The first ``width`` parts of the keys, each once and in order: a tuple, or the part if it is one."""
    prefix = itemgetter(*range(width))
    key = first = least(tree)
    groups = 0
    while key is not None:
        yield prefix(key)
        groups += 1
        key = least(tree, (*key[:width], above))
        if groups == FIRST and key is not None and _are_few(tree.keys(first, key), FIRST * WORTH_A_SEEK):
            yield from dict.fromkeys(map(prefix, tree.keys(key)))
            return


def group_sizes(tree: Any, width: int, above: Any) -> Iterator[tuple[Any, int]]:
    """The same, and how many keys begin with each."""
    prefix = itemgetter(*range(width))
    key = least(tree)
    groups = passed = 0
    while key is not None:
        end = (*key[:width], above)
        size = len(tree.keys(key, end))
        yield prefix(key), size
        groups, passed = groups + 1, passed + size
        key = least(tree, end)
        if groups == FIRST and key is not None and passed < FIRST * WORTH_A_SEEK:
            yield from Counter(map(prefix, tree.keys(key))).items()
            return


def least(tree: Any, *low: Any) -> Any:
    """The least key, not below ``low``; None if there is none."""
    try:
        return tree.minKey(*low)
    except ValueError:
        return None


def _are_few(keys: Any, limit: int) -> bool:
    """Whether there are fewer than so many keys; no more are looked at."""
    return sum(1 for _ in islice(keys, limit)) < limit
