"""How the key of an index entry is made from the values of a row; the rule, and a slow implementation of it.

Codegen writes the same rule out as Python expressions; ``check`` compares both. One key part is encoded as

=====================================  ======================================================
part                                   encoded
=====================================  ======================================================
column NOT NULL, of one Python class   the value (text: what its collation's key function gives)
the same, but it may be NULL           ``()`` for NULL, otherwise ``(value,)``
kind ANY or NUMERIC, or an expression  ``sort_key(value)``: a tuple, NULL included, never wrapped
=====================================  ======================================================

Every part of one index position thus has one class, and keys can be compared with Python's operators, which BTrees need.
A key is the tuple of the parts, but for a unique index whose only part can never be NULL and has one class: it keeps that
part as it is.

Entries::

    unique      OOBTree     key -> rowid
    not unique  OOTreeSet   (*parts, rowid)

A unique index lets several rows with a NULL part live together (unless NULLS NOT DISTINCT). The key of such a row is made
longer by its rowid, ``key + (rowid,)``: it sorts right after the place where the shorter key would be and never equals a
full key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zodbapi.catalog import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zodbapi.catalog import Index, Table

MIXED = frozenset({Kind.ANY, Kind.NUMERIC})  # kinds whose values are of several classes


@dataclass(frozen=True, slots=True)
class Part:
    """How one part of a key is encoded."""

    nullable: bool
    encode: Callable[[Any], Any]  # of a value that is not NULL, or of any value when ``total``
    total: bool = False  # ``encode`` takes NULL too, and its result is not wrapped

    def key(self, value: Any) -> Any:
        """The encoded part."""
        if self.total:
            return self.encode(value)
        if not self.nullable:
            return self.encode(value)
        return () if value is None else (self.encode(value),)


def same(value: Any) -> Any:
    """The encoding of most values: themselves."""
    return value


def part(kind: Kind, not_null: bool, collate: Callable[[str], Any] | None, sort_key: Callable[[Any], Any]) -> Part:
    """The encoding of a column of that kind; ``collate`` None leaves text as it is."""
    match kind:
        case Kind.ANY | Kind.NUMERIC:
            return Part(True, sort_key, total=True)
        case Kind.TEXT | Kind.JSON:
            return Part(not not_null, collate or same)
        case _:
            return Part(not not_null, same)


def is_raw(parts: Sequence[Part]) -> bool:
    """Whether a unique index keeps its one part itself, and no tuple."""
    return len(parts) == 1 and not parts[0].nullable


def entry(parts: Sequence[Part], values: Sequence[Any], rowid: int) -> tuple[Any, ...]:
    """The entry of the row in an index that is not unique."""
    return (*(p.key(value) for p, value in zip(parts, values, strict=True)), rowid)


def unique_key(parts: Sequence[Part], values: Sequence[Any], rowid: int, nulls_distinct: bool) -> Any:
    """The key under which a unique index keeps the row."""
    if is_raw(parts):
        return parts[0].key(values[0])
    found = tuple(p.key(value) for p, value in zip(parts, values, strict=True))
    if nulls_distinct and any(value is None for value in values):
        return (*found, rowid)
    return found


def column_parts(
    table: Table, index: Index, collations: dict[str, Callable[[str], Any]], sort_key: Callable[[Any], Any]
) -> tuple[Part, ...]:
    """The encodings of an index's parts."""
    found = []
    for column in index.columns:
        if column.position is None:
            found.append(Part(True, sort_key, total=True))
        else:
            declared = table.columns[column.position]
            not_null = declared.not_null or column.position == table.rowid_column
            found.append(part(declared.type.kind, not_null, collations.get(column.collation), sort_key))
    return tuple(found)
