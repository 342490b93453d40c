"""The physical form of index keys.

A BTree compares its keys with Python's operators, which refuse to compare None with 7 or 'a' with 7. So every part
of a key is encoded such that all values of one index position have one class:

=====================================  ======================================================
part                                   encoded
=====================================  ======================================================
column NOT NULL, of one Python class   the value (a text through its collation's sort key)
the same, but it may be NULL           ``()`` for NULL, otherwise ``(value,)``
a UUID, NOT NULL or not                the same of its number; of itself in indexes that are older than that
kind ANY or NUMERIC, or an expression  ``sort_key(value)``: a tuple, NULL included
=====================================  ======================================================

Entries::

    not unique  OOTreeSet  (part, ..., rowid)
    unique      OOBTree    (part, ...) -> rowid
                           (part, ..., rowid) -> rowid    when a part is NULL and NULLs are distinct
                           part -> rowid                  when the only part can never be NULL and has one class

A key that is longer by its rowid never equals a full key, so rows with a NULL do not exclude each other. A prefix
of the parts, as a tuple, sorts before every entry that starts with it, and followed by ``ABOVE`` after all of them;
this is how ranges are read. DESC is not part of the form: entries ascend, and are read both ways.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zodbapi import values
from zodbapi.catalog import Type
from zodbapi.plan.entries import MIXED, is_raw, part_type

if TYPE_CHECKING:
    from zodbapi.catalog import IndexColumn, Table
    from zodbapi.codegen.unit import Unit

__all__ = ["MIXED", "encode", "is_raw", "part_type", "prepare"]


def prepare(type_: Type) -> Callable[[Any], Any]:
    """What makes a value that is looked for ready to be folded and encoded; one that cannot be there gets no key's."""
    return values.affine(type_.kind) if type_.kind in MIXED else values.comparable(type_.kind)


def encode(unit: Unit, code: str, type_: Type, nullable: bool, *, maybe_null: bool) -> str:
    """Code of one encoded part from code of its value; ``maybe_null`` False: this value is known not to be NULL."""
    if type_.kind in MIXED:
        return f"{unit.call(values.sort_key)}({code})"
    if not nullable:
        return code
    if not maybe_null:
        return f"({code},)"
    first, again = unit.expr.hold(code)
    return f"(() if {first} is None else ({again},))"


def after_null(unit: Unit, table: Table, column: IndexColumn, above: str) -> list[str]:
    """What follows the prefix in a bound that leaves out NULL and nothing else."""
    type_, nullable = part_type(table, column)
    if type_.kind in MIXED:
        return [unit.constant(values.sort_key(None)), above]
    return ["()", above] if nullable else []
