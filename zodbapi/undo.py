"""What the undo log of a transaction says of a key's former state, in words that storage and generated code share.

An entry is ``(tree, key, old)``: ``old`` is the former value, or one of the marks, which no column can hold. One entry can
speak of many keys, so that a statement that writes many rows logs each step once. Entries are written before what they
are about is done: undoing what was not done yet does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any, Final

Entry = tuple[Any, Any, Any]  # tree, key, old


class Mark:
    """A value in the undo log that stands for a state."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


MISSING: Final = Mark("MISSING")  # the key was not there: undoing removes it
PRESENT: Final = Mark("PRESENT")  # the entry of a set was there: undoing adds it

# The same of many keys, which are in the place of the key.
ADDED: Final = Mark("ADDED")  # a sequence of keys that were not there
ENTERED: Final = Mark("ENTERED")  # (key, value) pairs of which none was there, though another value may have been
REMOVED: Final = Mark("REMOVED")  # a sequence of entries of a set that were there
REPLACED: Final = Mark("REPLACED")  # (keys, values): what was there


def one_by_one(log: Iterable[Entry]) -> Iterator[Entry]:
    """The entries of a log, each about one key."""
    for entry in log:
        tree, key, old = entry
        match old:
            case Mark() if old is ADDED:
                yield from zip(repeat(tree), key, repeat(MISSING))
            case Mark() if old is ENTERED:
                yield from ((tree, each, MISSING) for each, _ in key)
            case Mark() if old is REMOVED:
                yield from zip(repeat(tree), key, repeat(PRESENT))
            case Mark() if old is REPLACED:
                yield from zip(repeat(tree), *key)
            case _:
                yield entry


def changes(log: Iterable[Entry]) -> int:
    """How many keys a log is about."""
    return sum(
        len(key[0]) if old is REPLACED else len(key) if old is ADDED or old is ENTERED or old is REMOVED else 1
        for _, key, old in log
    )
