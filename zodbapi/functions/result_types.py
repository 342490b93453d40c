"""Static result types that depend on the types of the arguments.

In: argument types. Out: a type that every non-NULL result has, or ANY. Generated code relies on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from zodbapi.catalog import ANY, BLOB, DECIMAL, INTEGER, INTERVAL, NUMERIC, REAL, TEXT, TEXTS, Kind, Type


def common(args: Sequence[Type]) -> Type:
    """The type of a result that is one of the arguments."""
    kinds = {arg.kind for arg in args}
    if len(kinds) == 1:
        return args[0] if len(set(args)) == 1 else Type(args[0].kind)
    if kinds <= TEXTS:
        return TEXT
    return NUMERIC if kinds <= {Kind.INTEGER, Kind.REAL, Kind.NUMERIC} else ANY


def first(args: Sequence[Type]) -> Type:
    """The type of the first argument."""
    return args[0] if args else ANY


def common_after_first(args: Sequence[Type]) -> Type:
    """The common type of all arguments but the first; ANY when an ELSE is missing and so NULL may be the result."""
    return common(args[1:])


def magnitude(args: Sequence[Type]) -> Type:
    """The type of ``abs``, ``ceil`` and the like: numbers keep their kind."""
    match args[0].kind:
        case Kind.INTEGER | Kind.BOOLEAN:
            return INTEGER
        case Kind.REAL:
            return REAL
        case Kind.DECIMAL:
            return DECIMAL
        case Kind.INTERVAL:
            return INTERVAL
        case _:
            return ANY


def rounded(args: Sequence[Type]) -> Type:
    """The type of ``round``: REAL, except that decimals stay decimals."""
    match args[0].kind:
        case Kind.DECIMAL:
            return DECIMAL
        case Kind.ANY:
            return ANY
        case _:
            return REAL


def total(args: Sequence[Type]) -> Type:
    """The type of ``sum``."""
    match args[0].kind:
        case Kind.INTEGER | Kind.BOOLEAN:
            return INTEGER
        case Kind.REAL:
            return REAL
        case Kind.NUMERIC:
            return ANY  # int, float or, from a NUMERIC column that holds some, Decimal
        case Kind.DECIMAL:
            return DECIMAL
        case Kind.INTERVAL:
            return INTERVAL
        case _:
            return ANY


def average(args: Sequence[Type]) -> Type:
    """The type of ``avg``."""
    match args[0].kind:
        case Kind.INTEGER | Kind.BOOLEAN | Kind.REAL:
            return REAL
        case Kind.DECIMAL:
            return DECIMAL
        case Kind.INTERVAL:
            return INTERVAL
        case _:
            return ANY


def text_or_blob(args: Sequence[Type]) -> Type:
    """The type of ``substr``: BLOB for a blob, else TEXT."""
    match args[0].kind:
        case Kind.ANY:
            return ANY
        case Kind.BLOB:
            return BLOB
        case _:
            return TEXT


def first_or_third(args: Sequence[Type]) -> Type:
    """The type of ``lag`` and ``lead`` with a default."""
    return common((args[0], args[2]))
