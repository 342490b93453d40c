"""The built-in functions. ``BUILTIN`` is where every connection starts; ``create_function`` makes extended copies."""

from zodbapi.functions import (
    aggregate,
    conditional,
    datetime,
    hashing,
    json,
    json_table,
    numeric,
    series,
    session,
    text,
    window,
)
from zodbapi.functions.registry import Functions
from zodbapi.values import COLLATIONS

BUILTIN: Functions = Functions().extended(
    *conditional.FUNCTIONS,
    *text.FUNCTIONS,
    *numeric.FUNCTIONS,
    *hashing.FUNCTIONS,
    *session.FUNCTIONS,
    *aggregate.FUNCTIONS,
    *window.FUNCTIONS,
    *datetime.FUNCTIONS,
    *json.FUNCTIONS,
    *json_table.FUNCTIONS,
    *series.FUNCTIONS,
    collations=COLLATIONS,
)

__all__ = ["BUILTIN"]
