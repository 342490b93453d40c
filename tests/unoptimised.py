"""Answers of the plans as they were bound, which the optimizer must not change, and the plans that it made of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import zodbapi
from zodbapi import statement

Params = tuple[Any, ...]


@contextmanager
def unoptimised() -> Iterator[None]:
    """Statements run inside as they were bound; afterwards those that were compiled before are there again."""
    optimize, cache = statement.optimize, statement.STATEMENTS
    kept = cache.young, cache._old
    statement.optimize = partial(optimize, rules=())
    cache.clear()
    try:
        yield
    finally:
        statement.optimize = optimize
        cache.young, cache._old = kept


def plan(connection: zodbapi.Connection, sql: str, params: Params = ()) -> list[str]:
    """The lines of the plan for a call with these parameters, without their indentation."""
    return [detail for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {sql}", params)]


def answer(connection: zodbapi.Connection, sql: str, params: Params = ()) -> list[Any]:
    """The rows of a query; if it asks for no order, in one that does not depend on the plan."""
    rows = connection.execute(sql, params).fetchall()
    return rows if "ORDER BY" in sql.rpartition(")")[2] else sorted(rows, key=repr)


def answer_as_bound(connection: zodbapi.Connection, sql: str, params: Params = ()) -> list[Any]:
    """The same of the plan as it was bound."""
    with unoptimised():
        return answer(connection, sql, params)
