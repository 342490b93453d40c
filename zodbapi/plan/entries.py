"""What an index's entries say of their rows, so that the rows themselves need not be read.

In: a table and one of its indexes. Out: what kind of key it has (``codegen.keys`` describes them), the columns whose values can
be read from an entry, and where they stand in it.
"""

from __future__ import annotations

from zodbapi.catalog import ANY, Index, IndexColumn, Kind, Table, Type

MIXED = frozenset({Kind.ANY, Kind.NUMERIC})  # kinds whose values are of several classes, or never known to be of one

# Values that are equal are the same. Not so with 0.0 and -0.0, 1.0 and 1.00: a row that changes from one to the other keeps
# its entry.
_EXACT = frozenset({Kind.INTEGER, Kind.TEXT, Kind.BOOLEAN, Kind.DATE, Kind.UUID})


def part_type(table: Table, column: IndexColumn) -> tuple[Type, bool]:
    """Type of one part of a key, and whether it can be NULL."""
    if column.position is None:
        return ANY, True
    definition = table.columns[column.position]
    return definition.type, not definition.not_null and column.position != table.rowid_column


def is_raw(table: Table, index: Index) -> bool:
    """Whether the key of an index is its one part itself, and no tuple."""
    if not index.keyed or len(index.columns) > 1:
        return False
    type_, nullable = part_type(table, index.columns[0])
    return not nullable and type_.kind not in MIXED


def readable(table: Table, index: Index) -> dict[int, int]:
    """Column position -> place in the key, of the columns whose values stand in the key as they are."""
    found = {}
    for place, part in enumerate(index.columns):
        if part.position is None or part.position in table.large:
            continue
        column = table.columns[part.position]
        not_null = column.not_null or part.position == table.rowid_column
        if not_null and column.type.kind in _EXACT and part.folding == "BINARY":
            found[part.position] = place
    if index.keyed and index.nulls_distinct and not is_whole(table, index):
        return {}  # a key with a NULL in it has another length
    return found


def is_whole(table: Table, index: Index) -> bool:
    """Whether no part of a key can be NULL."""
    return all(
        part.position is not None and (table.columns[part.position].not_null or part.position == table.rowid_column)
        for part in index.columns
    )


def covers(table: Table, index: Index, positions: set[int]) -> bool:
    """Whether an entry, with the rowid beside it, says what the row has in all these columns."""
    return positions <= readable(table, index).keys() | {table.rowid_column}
