"""Puts large values into objects of their own.

In: a row. Out: the same with markers (``zodbapi.large``) for its large values. An object belongs to one row: it goes when
nothing refers to it any more, like all that a pack removes.
"""

from __future__ import annotations

from typing import Any

from persistent.list import PersistentList

from zodbapi.large import LIMIT, PIECE


def put_away(row: tuple[Any, ...], positions: tuple[int, ...]) -> tuple[Any, ...]:
    """The row with markers in the places of those values at these positions that are too large for it."""
    changed: list[Any] | None = None
    for position in positions:
        value = row[position]
        if value.__class__ in (str, bytes) and len(value) > LIMIT:
            changed = changed or list(row)
            changed[position] = (len(value), _stored(value))
    return row if changed is None else tuple(changed)


def _stored(value: str | bytes) -> PersistentList:
    if len(value) <= PIECE:
        return PersistentList([value])
    starts = range(0, len(value), PIECE)
    return PersistentList([PersistentList([value[start : start + PIECE]]) for start in starts])
