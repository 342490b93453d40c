"""What the undo log of a transaction says of a key's former state, in words that storage and generated code share.

An entry is ``(tree, key, old)``: ``old`` is the former value, or one of the marks, which no column can hold.
"""

from __future__ import annotations

from typing import Final


class Mark:
    """A value in the undo log that stands for a state."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


MISSING: Final = Mark("MISSING")  # the key was not there: undoing removes it
PRESENT: Final = Mark("PRESENT")  # the entry of a set was there: undoing adds it
