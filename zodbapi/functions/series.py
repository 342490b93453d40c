"""``generate_series(start, stop, step)``: a table of integers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zodbapi.catalog import INTEGER
from zodbapi.functions.registry import TableFunction
from zodbapi.values import MAX_INTEGER, to_integer


def generate_series(txn: Any, start: Any, stop: Any = MAX_INTEGER, step: Any = 1) -> Iterator[tuple[int]]:
    """The integers from start to stop, both included. Empty if any argument is NULL; a step of 0 counts as 1."""
    if start is None or stop is None or step is None:
        return
    low, high, by = to_integer(start), to_integer(stop), to_integer(step) or 1
    for value in range(low, high + (1 if by > 0 else -1), by):
        yield (value,)


FUNCTIONS: tuple[TableFunction, ...] = (TableFunction("generate_series", generate_series, 1, 3, (("value", INTEGER),)),)
