"""``Row``: a result row that also answers to column names, for ``connection.row_factory``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zodbapi.cursor import Cursor


class Row:
    """A row addressed by position, slice or column name in any case; equal to a row of equal names and values."""

    __slots__ = ("_names", "_values")

    def __init__(self, cursor: Cursor, values: tuple[Any, ...]) -> None:
        self._names = tuple(column[0] for column in cursor.description or ())
        self._values = values

    def __getitem__(self, key: int | str | slice) -> Any:
        if not isinstance(key, str):
            try:
                return self._values[key]
            except TypeError:
                raise IndexError("Index must be int or string") from None
        folded = key.lower()
        for name, value in zip(self._names, self._values, strict=False):
            if name.lower() == folded:
                return value
        raise IndexError(f"No item with that key: {key}")

    def keys(self) -> list[str]:
        """The column names, in order."""
        return list(self._names)

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return self._names == other._names and self._values == other._values

    def __hash__(self) -> int:
        return hash((self._names, self._values))

    def __repr__(self) -> str:
        return f"<Row {dict(zip(self._names, self._values, strict=False))!r}>"
