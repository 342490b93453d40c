"""The functions that SQL can call: what they are called, how they behave with NULL, and what they return.

In: declarations from the modules of this package, and from ``create_function``. Out: ``Functions``, an immutable table
that the binder looks names up in. Its ``version`` is part of the statement cache's key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Protocol

from zodbapi.catalog import ANY, Type
from zodbapi.record import field, record

ResultType = Type | Callable[[Sequence[Type]], Type]


@record(frozen=True, slots=True)
class Function:
    """A scalar function.

    ``strict``: NULL for any argument gives NULL without a call. ``nullable``: may return NULL for arguments that are not.
    ``deterministic``: equal arguments give equal results, so it may be used in indexes and moved out of loops.
    ``safe``: never raises, so it may be evaluated before it is known to be needed.
    ``with_txn``: is called with the transaction before the arguments (``changes()``, ``last_insert_rowid()``).
    ``lazy`` names a function that codegen expands in place (coalesce, iif, nullif), so that arguments are
    evaluated only when needed.
    ``stable``: what it gives for equal arguments is the same throughout a statement, but maybe not later (``date('now')``):
    it may be moved out of loops, and must not be evaluated before the statement runs.
    ``json_args``: arguments of static type JSON are passed as ``functions.json.Json``, so that they nest.
    ``prepare``: takes all arguments but the first, when they are the same for all rows, and gives a function of the first one.
    It never raises: what is wrong with its arguments shows when that function is called. Only for strict functions.
    """

    name: str
    call: Callable[..., Any]
    min_args: int
    max_args: int  # -1: any number
    strict: bool = True
    nullable: bool = True
    deterministic: bool = True
    safe: bool = False
    with_txn: bool = False
    lazy: bool = False
    result: ResultType = ANY
    stable: bool = False
    json_args: bool = False
    prepare: Callable[..., Callable[[Any], Any]] | None = None

    def result_type(self, args: Sequence[Type]) -> Type:
        """The static type of a call with arguments of these types."""
        return self.result if isinstance(self.result, Type) else self.result(args)


class Accumulator(Protocol):
    """One group's state. ``value`` and ``inverse`` are only needed by functions used over moving frames."""

    def step(self, *args: Any) -> None: ...

    def finalize(self) -> Any: ...


@record(frozen=True, slots=True)
class AggregateFunction:
    """An aggregate or window function.

    ``kind`` is aggregate (usable over windows too) or window (row_number, lag, ...: ``call`` is described in window.py).
    ``skip_nulls``: rows whose first argument is NULL are not passed to ``step``.
    ``inline``: codegen knows how to compute it without an accumulator object (count, sum, total, avg, min, max, bare).
    ``json_args``: as for ``Function``.
    """

    name: str
    call: Callable[..., Any]  # () -> Accumulator
    min_args: int
    max_args: int  # -1: any number
    kind: str = "aggregate"
    skip_nulls: bool = True
    inline: bool = False
    nullable: bool = True
    result: ResultType = ANY
    json_args: bool = False

    def result_type(self, args: Sequence[Type]) -> Type:
        """The static type of a call with arguments of these types."""
        return self.result if isinstance(self.result, Type) else self.result(args)


@record(frozen=True, slots=True)
class TableFunction:
    """A table-valued function: ``call(txn, *args)`` gives an iterable of row tuples with these columns."""

    name: str
    call: Callable[..., Iterable[tuple[Any, ...]]]
    min_args: int
    max_args: int
    columns: tuple[tuple[str, Type], ...]


_versions = count()


@record(frozen=True, slots=True)
class Functions:
    """An immutable set of functions and collations, by folded name. A name may have several arities."""

    scalars: Mapping[str, tuple[Function, ...]] = field(default_factory=dict)
    aggregates: Mapping[str, tuple[AggregateFunction, ...]] = field(default_factory=dict)
    tables: Mapping[str, TableFunction] = field(default_factory=dict)
    collations: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)  # name (upper) -> sort key of a text
    version: int = field(default_factory=lambda: next(_versions))

    def extended(
        self,
        *functions: Function | AggregateFunction | TableFunction,
        collations: Mapping[str, Callable[[Any], Any]] | None = None,
    ) -> Functions:
        """A new set with these added; one of the same name and arity is replaced."""
        scalars, aggregates, tables = dict(self.scalars), dict(self.aggregates), dict(self.tables)
        for function in functions:
            name = function.name.lower()
            match function:
                case Function():
                    scalars[name] = (function, *_others(scalars.get(name, ()), function))
                case AggregateFunction():
                    aggregates[name] = (function, *_others(aggregates.get(name, ()), function))
                case TableFunction():
                    tables[name] = function
        return Functions(scalars, aggregates, tables, {**self.collations, **(collations or {})})

    def without(self, name: str, arity: int) -> Functions:
        """A new set that lacks the function of that name and arity."""

        def kept(known: Mapping[str, tuple[Any, ...]]) -> Mapping[str, tuple[Any, ...]]:
            left = tuple(f for f in known.get(name.lower(), ()) if f.max_args != arity)
            others = {k: f for k, f in known.items() if k != name.lower()}
            return {**others, name.lower(): left} if left else others

        return Functions(kept(self.scalars), kept(self.aggregates), self.tables, self.collations)

    def without_collation(self, name: str) -> Functions:
        """A new set that lacks the collation."""
        left = {known: key for known, key in self.collations.items() if known != name.upper()}
        return Functions(self.scalars, self.aggregates, self.tables, left)

    def scalar(self, name: str, arity: int) -> Function | None:
        """The scalar function of that name that takes that many arguments, or None."""
        found: Function | None = _fitting(self.scalars.get(name.lower(), ()), arity)
        return found

    def aggregate(self, name: str, arity: int) -> AggregateFunction | None:
        """The aggregate or window function of that name that takes that many arguments, or None."""
        found: AggregateFunction | None = _fitting(self.aggregates.get(name.lower(), ()), arity)
        return found

    def knows(self, name: str) -> bool:
        """Whether any function has that name, whatever its arity."""
        return name.lower() in self.scalars or name.lower() in self.aggregates or name.lower() in self.tables


def _others(known: tuple[Any, ...], new: Any) -> tuple[Any, ...]:
    return tuple(f for f in known if (f.min_args, f.max_args) != (new.min_args, new.max_args))


def _fitting(candidates: tuple[Any, ...], arity: int) -> Any:
    for function in candidates:
        if function.min_args <= arity and (function.max_args < 0 or arity <= function.max_args):
            return function
    return None
