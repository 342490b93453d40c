"""Lists of rows: ``(a, b) IN ((?, ?), (?, ?), ...)``, whose length only the call knows.

In: the placeholder that ``parser.shapes`` left of the list. Out: a query for its rows, as of any other IN.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlglot import exp

from zodbapi.binder.scope import Binding, Field
from zodbapi.catalog import ANY
from zodbapi.functions.registry import TableFunction
from zodbapi.plan.expr import Column, Param
from zodbapi.plan.nodes import Project, TableFunctionScan


def given_rows(txn: Any, rows: Iterable[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
    """The rows that a parameter consists of."""
    return rows


@lru_cache(maxsize=8)
def _function(width: int) -> TableFunction:
    columns = tuple((f"column{i + 1}", ANY) for i in range(width))
    return TableFunction("rows", given_rows, 1, 1, columns)


def bind_row_list(items: Sequence[exp.Expression], binding: Binding) -> Project | None:
    """The query for the rows of a list, if it is one that is a parameter as a whole."""
    if len(items) != 1 or not isinstance(items[0], exp.Placeholder) or "*" not in items[0].this:
        return None
    index, _, width = items[0].this.replace(":", "*").split("*")
    function, inner, outer = _function(int(width)), binding.new_source(), binding.new_source()
    binding.fields[outer] = [Field(name, kind, True) for name, kind in function.columns]
    columns = tuple(Column(inner, i, ANY, name=name) for i, (name, _) in enumerate(function.columns))
    names = tuple(name for name, _ in function.columns)
    return Project(outer, TableFunctionScan(inner, function, (Param(int(index)),)), columns, names)
