"""RAISE, which only the statements of a trigger can call.

In: a resolution and a message. Out: an exception, which ends the trigger's program.
"""

from __future__ import annotations

from typing import Any, Never

from zodbapi.errors import IntegrityError, OperationalError
from zodbapi.functions.registry import Function


class RowIgnored(Exception):
    """RAISE(IGNORE): the row whose writing fired the trigger is left as it is."""


def raise_(resolution: Any, message: Any = None) -> Never:
    """``RAISE(IGNORE)``, ``RAISE(ABORT, message)``, also FAIL and ROLLBACK."""
    match str(resolution).upper():
        case "IGNORE":
            raise RowIgnored
        case "ABORT" | "FAIL" | "ROLLBACK" as word:
            error = IntegrityError(str(message))
            error.resolution = word
            raise error
        case word:
            raise OperationalError(f'near "{word}": syntax error')


FUNCTIONS: tuple[Function, ...] = (Function("raise", raise_, 1, 2, strict=False, deterministic=False),)
