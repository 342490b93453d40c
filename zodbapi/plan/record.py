"""What expressions and nodes are: records that are never changed.

To type checkers ``record`` is ``dataclass``, and they are what keeps frozen records from being changed. At run time
nothing does: a frozen dataclass sets each field by a call of ``object.__setattr__``, which is five times as slow, and
plans are made of hundreds of records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(*, frozen, slots):
        """A dataclass with equality and hash by value."""
        assert frozen
        return dataclass(slots=slots, unsafe_hash=True)


__all__ = ["record"]
