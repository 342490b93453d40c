"""A bounded cache without a lock on its fast way.

It has two generations. A hit in the young one is one dictionary lookup. When it is full it becomes the old one, whose values
move back when they are asked for again; what nobody asked for in between is forgotten.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class GenerationCache(Generic[V]):
    """A bounded map that forgets what was not used for a while. ``young.get`` is the fast way in."""

    def __init__(self, size: int) -> None:
        self.young: dict[Any, V] = {}
        self._old: dict[Any, V] = {}
        self._size = size
        self._lock = Lock()  # guards the change of generations; to read a dictionary takes no lock

    def recall(self, key: Any) -> V | None:
        """The value from the young generation, or from the old one, which makes it young again."""
        found = self.young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.add(key, found)
        return found

    def add(self, key: Any, value: V) -> None:
        """Remembers a value; a full young generation becomes the old one."""
        with self._lock:
            if len(self.young) >= self._size:
                self._old = self.young
                self.young = {}
            self.young[key] = value

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self.young, self._old = {}, {}
