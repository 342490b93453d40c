"""Collations: functions from a text to a key that sorts and compares as the collation wants.

Values that are not texts pass through unchanged, so a key function may be applied to a value of any class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

from zodbapi.errors import OperationalError


class Collated:
    """A text under a collation of the user's, given as a function of two texts, as in ``functools.cmp_to_key``.

    It has a hash, for groups and sets. Nothing is known about the function, so that is the same for all texts.
    """

    __slots__ = ("compare", "text")

    def __init__(self, text: str, compare: Callable[[str, str], int]) -> None:
        self.text, self.compare = text, compare

    def __lt__(self, other: object) -> bool:
        return self.compare(self.text, other.text) < 0 if isinstance(other, Collated) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.compare(self.text, other.text) <= 0 if isinstance(other, Collated) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.compare(self.text, other.text) > 0 if isinstance(other, Collated) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.compare(self.text, other.text) >= 0 if isinstance(other, Collated) else NotImplemented

    def __eq__(self, other: object) -> bool:
        return self.compare(self.text, other.text) == 0 if isinstance(other, Collated) else NotImplemented

    def __hash__(self) -> int:
        return 0


def binary(value: Any) -> Any:
    """Code point order: the text is its own key."""
    return value


def nocase(value: Any) -> Any:
    """ASCII letters fold to lower case, as in SQLite; other letters keep their case."""
    return ascii_lower(value) if type(value) is str else value


def rtrim(value: Any) -> Any:
    """Trailing spaces do not count."""
    return value.rstrip(" ") if type(value) is str else value


def ascii_lower(text: str) -> str:
    """The text with A-Z in lower case and nothing else changed."""
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def ascii_upper(text: str) -> str:
    """The text with a-z in upper case and nothing else changed."""
    if text.isascii():
        return text.upper()
    return text.encode("utf-8", "surrogatepass").upper().decode("utf-8", "surrogatepass")


def uuid_number(value: Any) -> Any:
    """A UUID as the integer that it is, in keys; any other value as it is."""
    return value.int if type(value) is UUID else value


COLLATIONS: dict[str, Callable[[Any], Any]] = {"BINARY": binary, "NOCASE": nocase, "RTRIM": rtrim}


def collation_key(name: str, collations: Mapping[str, Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """The function that maps a text to what its collation compares, and leaves other values alone."""
    key = collations.get(name.upper())
    if key is None:
        raise OperationalError(f"no such collation sequence: {name}")
    return _folding(key)


@cache
def _folding(key: Callable[[str], Any]) -> Callable[[Any], Any]:
    def folded(value: Any) -> Any:
        return key(value) if type(value) is str else value

    return folded
