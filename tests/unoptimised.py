"""The plans of statements as they were bound: what the optimizer must not change the answers of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from zodbapi import statement


@contextmanager
def unoptimised() -> Iterator[None]:
    """Statements compiled inside run as they were bound."""
    optimize = statement.optimize
    statement.optimize = partial(optimize, rules=())
    statement.STATEMENTS.clear()
    try:
        yield
    finally:
        statement.optimize = optimize
        statement.STATEMENTS.clear()
