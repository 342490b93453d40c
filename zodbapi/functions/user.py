"""Functions and aggregates of the user, as the engine calls them.

In: what ``create_function`` and ``create_aggregate`` are given. Out: the same with results of native classes, and with errors
that say where they come from, as sqlite3's do; the user's own exception is their cause.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from zodbapi import values
from zodbapi.errors import DataError, Error, OperationalError
from zodbapi.functions.registry import AggregateFunction, Function
from zodbapi.values.collation import Collated


def scalar(name: str, arity: int, call: Callable[..., Any], deterministic: bool) -> Function:
    """A scalar function that takes ``arity`` arguments (-1: any number), NULL among them."""

    def guarded(*args: Any) -> Any:
        try:
            result = call(*args)
        except Error:
            raise
        except Exception as error:
            raise OperationalError("user-defined function raised exception") from error
        try:
            return values.adapt(result)
        except DataError:
            raise
        except Exception as error:
            raise OperationalError("user-defined function raised exception") from error

    return Function(name, guarded, max(arity, 0), arity, strict=False, deterministic=deterministic)


def aggregate(name: str, arity: int, make: Callable[[], Any]) -> AggregateFunction:
    """An aggregate from a class with ``step`` and ``finalize``; with ``inverse`` and ``value`` for moving frames, too."""

    def accumulator() -> _Guarded:
        inner = _call("__init__", make)
        for method in ("step", "finalize"):
            if not hasattr(inner, method):
                raise OperationalError(f"user-defined aggregate's '{method}' method not defined")
        return _Moving(inner) if hasattr(inner, "inverse") and hasattr(inner, "value") else _Guarded(inner)

    return AggregateFunction(name, accumulator, max(arity, 0), arity, skip_nulls=False)


def collation(compare: Callable[[str, str], Any]) -> Callable[[str], Collated]:
    """What makes texts comparable by a function of two of them."""

    def guarded(a: str, b: str) -> int:
        try:
            return int(compare(a, b))
        except Exception as error:
            raise OperationalError("user-defined collation raised exception") from error

    return partial(Collated, compare=guarded)


class _Guarded:
    """An accumulator around the user's, which is not asked for the result of no rows: that is NULL."""

    __slots__ = ("_inner", "_used")

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._used = False

    def step(self, *args: Any) -> None:
        self._used = True
        _call("step", self._inner.step, *args)

    def finalize(self) -> Any:
        if not self._used:
            return None
        return values.adapt(_call("finalize", self._inner.finalize))


class _Moving(_Guarded):
    """The same around one that can drop rows and give results in between."""

    __slots__ = ()

    def inverse(self, *args: Any) -> None:
        _call("inverse", self._inner.inverse, *args)

    def value(self) -> Any:
        if not self._used:
            return None
        return values.adapt(_call("value", self._inner.value))


def _call(method: str, call: Callable[..., Any], *args: Any) -> Any:
    try:
        return call(*args)
    except Error:
        raise
    except Exception as error:
        raise OperationalError(f"user-defined aggregate's '{method}' method raised error") from error
