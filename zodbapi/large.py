"""Values that do not live in their row: what stands for them there, and how they are read.

In: what a row has in a column. Out: the value. A row is a tuple in a leaf of its table's tree, and a leaf is written as a
whole, so a value of more than ``LIMIT`` leaves the row for an object of its own. In its place stands a *marker*, a tuple
(no column holds one otherwise)::

    (1, "cover.png", (52428800, <PersistentList>))
                      |          `-- its ``data``: the value, or lists of pieces of it; or a ZODB blob, which has ``open``,
                      |              and then TEXT as a third item if its bytes are a text in UTF-8
                      `-- characters of a text, bytes of a blob

Ordinary tables pay nothing for this. A column holds markers only if the schema says so (``Column.large``), and only
programs of such columns look for them. The first large value of a column makes the program that meets it raise
``Oversize``; the statement is then undone, the schema changed, and the statement compiled and run again.

Storage writes the objects; reading needs only their attributes, so this module stands below all that do it.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from typing import Any, Final

LIMIT: Final = 4096  # characters or bytes that a row keeps
KEPT: Final = 1 << 16  # characters or bytes of a value that the connection's cache may keep
PIECE: Final = 1 << 20  # characters or bytes of one object: what is read, written and sent over a network at a time


TEXT: Final = "text"
Marker = tuple[int, Any] | tuple[int, Any, str]


class Oversize(Exception):
    """A value is too large for its row, in a column that the schema does not expect one in."""

    def __init__(self, table_id: int, position: int) -> None:
        super().__init__(table_id, position)
        self.table_id = table_id
        self.position = position


def load_value(found: Any) -> Any:
    """The value of a column, given what the row has there."""
    return found if found.__class__ is not tuple else _load(*found)


def load_row(row: tuple[Any, ...], positions: Collection[int]) -> tuple[Any, ...]:
    """The row with its values in the places of the markers at these positions."""
    if not any(row[position].__class__ is tuple for position in positions):
        return row
    return tuple([load_value(found) if place in positions else found for place, found in enumerate(row)])


def _load(_length: int, stored: Any, kind: str = "") -> Any:
    if not hasattr(stored, "data"):
        with stored.open() as file:
            content: bytes = file.read()
        return content.decode("utf-8", "surrogatepass") if kind == TEXT else content
    pieces = stored.data
    if len(pieces) == 1:
        return pieces[0] if len(pieces[0]) <= KEPT else _take(stored)
    if isinstance(pieces[0].data[0], str):
        return "".join([_take(piece) for piece in pieces])
    whole = io.BytesIO()
    for piece in pieces:
        whole.write(_take(piece))
    return whole.getvalue()


def _take(piece: Any) -> Any:
    """The content of one piece, which the connection's cache need not keep."""
    content = piece.data[0]
    piece._p_deactivate()
    return content
