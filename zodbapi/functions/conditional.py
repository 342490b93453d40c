"""Functions that choose among their arguments, and those that only describe one: coalesce, iif, nullif, typeof, max, min."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from zodbapi import values
from zodbapi.catalog import TEXT
from zodbapi.functions import result_types
from zodbapi.functions.registry import Function
from zodbapi.record import replace


def coalesce(*args: Any) -> Any:
    """The first argument that is not NULL."""
    return next((arg for arg in args if arg is not None), None)


def iif(condition: Any, then: Any, otherwise: Any = None) -> Any:
    """``then`` if the condition is true, else ``otherwise``."""
    return then if values.truth(condition) else otherwise


def nullif(value: Any, other: Any) -> Any:
    """NULL if both are equal, else the first."""
    return None if value is not None and other is not None and values.eq(value, other) else value


def same(value: Any, *_: Any) -> Any:
    """The first argument: ``likely(x)`` and its kin are hints that this planner does not need."""
    return value


def largest(*args: Any) -> Any:
    """The largest of all arguments; NULL if any is (SQLite's ``max`` with several arguments)."""
    return max(args, key=values.sort_key)


def smallest(*args: Any) -> Any:
    """The smallest of all arguments; NULL if any is (SQLite's ``min`` with several arguments)."""
    return min(reversed(args), key=values.sort_key)  # of equal values SQLite takes the last one


@lru_cache(maxsize=64)
def collating(function: Function, fold: Callable[[Any], Any]) -> Function:
    """``max`` or ``min`` with texts compared under a collation."""

    def key(value: Any) -> Any:
        return values.sort_key(fold(value))

    if function.name == "max":
        return replace(function, call=lambda *args: max(args, key=key), safe=False)
    return replace(function, call=lambda *args: min(reversed(args), key=key), safe=False)


_COMPARABLE = frozenset({int, float, str})  # classes whose values Python orders as the engine does


def greatest(*args: Any) -> Any:
    """The largest of the arguments that are not NULL (as in PostgreSQL)."""
    if len(args) == 2 and type(args[0]) is type(args[1]) and type(args[0]) in _COMPARABLE:
        return args[0] if args[0] >= args[1] else args[1]
    return max((arg for arg in args if arg is not None), key=values.sort_key, default=None)


def least(*args: Any) -> Any:
    """The smallest of the arguments that are not NULL (as in PostgreSQL)."""
    if len(args) == 2 and type(args[0]) is type(args[1]) and type(args[0]) in _COMPARABLE:
        return args[0] if args[0] <= args[1] else args[1]
    return min((arg for arg in args if arg is not None), key=values.sort_key, default=None)


FUNCTIONS: tuple[Function, ...] = (
    Function("coalesce", coalesce, 1, -1, strict=False, lazy=True, safe=True, result=result_types.common),
    Function("ifnull", coalesce, 2, 2, strict=False, lazy=True, safe=True, result=result_types.common),
    Function("iif", iif, 2, 3, strict=False, lazy=True, safe=True, result=result_types.common_after_first),
    Function("if", iif, 2, 3, strict=False, lazy=True, safe=True, result=result_types.common_after_first),
    Function("nullif", nullif, 2, 2, strict=False, lazy=True, safe=True, result=result_types.first),
    Function("likely", same, 1, 1, nullable=False, safe=True, result=result_types.first),
    Function("unlikely", same, 1, 1, nullable=False, safe=True, result=result_types.first),
    Function("likelihood", same, 2, 2, nullable=False, safe=True, result=result_types.first),
    Function("typeof", values.typeof, 1, 1, strict=False, nullable=False, safe=True, result=TEXT),
    Function("max", largest, 2, -1, nullable=False, safe=True, result=result_types.common),
    Function("min", smallest, 2, -1, nullable=False, safe=True, result=result_types.common),
    Function("greatest", greatest, 1, -1, strict=False, safe=True, result=result_types.common),
    Function("least", least, 1, -1, strict=False, safe=True, result=result_types.common),
)
