"""The parameters of a call, by position or by name.

In: what the user gives. Out: a tuple in the order of the placeholders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zodbapi import values
from zodbapi.errors import DataError, ProgrammingError, RangeError

Parameters = Sequence[Any] | Mapping[str, Any]


def as_tuple(parameters: Any) -> tuple[Any, ...]:
    """Parameters by position; ProgrammingError if they are none."""
    if type(parameters) is list:
        return tuple(parameters)
    if isinstance(parameters, Mapping):
        if not parameters:
            return ()
        raise ProgrammingError("Binding 1 has no name, but you supplied a dictionary (which has only names).")
    if not hasattr(parameters, "__getitem__") or not hasattr(parameters, "__len__"):
        raise ProgrammingError("parameters are of unsupported type")
    return tuple(parameters)


def by_name(names: tuple[str, ...], parameters: Any) -> tuple[Any, ...]:
    """Parameters in the order of their names; ProgrammingError if one is missing."""
    if not isinstance(parameters, Mapping):
        return as_tuple(parameters)
    try:
        return tuple([parameters[name] for name in names])
    except KeyError as error:
        raise ProgrammingError(f"You did not supply a value for binding parameter :{error.args[0]}.") from None


def adapt(number: int, value: Any) -> Any:
    """The value of a native class that a parameter stands for; the error names its place, which counts from 1."""
    try:
        return values.adapt(value)
    except RangeError:
        raise
    except ProgrammingError as error:
        raise ProgrammingError(f"Error binding parameter {number}: {error}") from None
    except DataError as error:
        raise DataError(f"Error binding parameter {number}: {error}") from None


def known_values(names: tuple[str, ...] | None, count: int, parameters: Parameters | None) -> tuple[Any, ...]:
    """The values of a call's parameters, () if it has none or wrong ones: its error is not raised here."""
    if parameters is None or not count:
        return ()
    try:
        given = by_name(names, parameters) if names is not None else as_tuple(parameters)
        found = tuple([item if type(item) is tuple else values.adapt(item) for item in given])
    except (DataError, ProgrammingError):
        return ()
    return found if len(found) == count else ()
