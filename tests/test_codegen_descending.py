"""Reading trees backwards gives what reading them forwards gives, reversed."""

from __future__ import annotations

import random
from typing import Any

import pytest
from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOTreeSet

from zodbapi.codegen.descending import items_descending, keys_descending, values_descending


@pytest.mark.parametrize("size", [0, 1, 5, 40, 2000])
def test_ranges_of_a_set_of_entries(size: int) -> None:
    rng = random.Random(size)
    tree: Any = OOTreeSet((rng.randint(0, 30), number) for number in range(size))
    for _ in range(100):
        low, high = (rng.choice((None, (rng.randint(-2, 32),), (rng.randint(0, 30), size // 2))) for _ in "ab")
        ends = low is not None and rng.random() < 0.5, high is not None and rng.random() < 0.5
        found = [*tree.keys(low, high, *ends)][::-1]
        assert [*keys_descending(tree, low, high, *ends)] == found
        skip = rng.randint(-1, size + 2)
        assert [*keys_descending(tree, low, high, *ends, skip=skip)] == found[max(skip, 0) :]


@pytest.mark.parametrize("size", [0, 1, 5, 60, 2000])
def test_ranges_of_rows(size: int) -> None:
    rng = random.Random(size)
    tree: Any = LOBTree({rng.randint(-900, 900): number for number in range(size)})
    for _ in range(100):
        low, high = (rng.choice((None, rng.randint(-1000, 1000), *tree.keys()[:3])) for _ in "ab")
        ends = low is not None and rng.random() < 0.5, high is not None and rng.random() < 0.5
        found = [*tree.items(low, high, *ends)][::-1]
        assert [*items_descending(tree, low, high, *ends)] == found
        skip = rng.randint(-1, size + 2)
        assert [*items_descending(tree, low, high, *ends, skip=skip)] == found[max(skip, 0) :]
        assert [*values_descending(tree, low, high, *ends, skip=skip)] == [value for _, value in found[max(skip, 0) :]]
