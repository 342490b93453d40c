"""How much of a database stays in memory: the object cache of its connections.

In: the options ``cache_size`` (objects) and ``cache_size_bytes`` (of memory). Out: the limits that ZODB's caches work with.

Every ZODB connection has a cache of its own, and a web worker has a connection a thread. The options are limits for the
process: its connections share them equally, those that wait in the pool included.

ZODB counts an object as the bytes of its record. In memory it takes several times as many, because a number that is stored
in two bytes becomes an object of 32. ``MEMORY_A_BYTE`` is what was measured: 5 for rows of short columns, 9 for the entries
of indexes, 1 for long texts.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from typing import Any, Final

MEMORY_A_BYTE: Final = 6
LEAST: Final = 16 << 20  # bytes of memory that each connection may always use
NO_LIMIT: Final = 1 << 30  # objects
PASSING: Final = 96 << 20  # bytes of memory that a result which is read bit by bit may add, however large the cache is
NEAR: Final = 8  # leaves that scans passed by last and may still be reading
_LIMITS_OF_CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def default_bytes() -> int:
    """An eighth of the memory that this process may use, in bytes; from 64 MB to 4 GB."""
    return min(max(usable_memory() // 8, 64 << 20), 4 << 30)


def usable_memory() -> int:
    """The machine's memory, or its container's if that has less, in bytes."""
    found = [1 << 30] if not hasattr(os, "sysconf") else [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in _LIMITS_OF_CONTAINERS:
        with suppress(OSError, ValueError), open(name) as file:  # no such file; "max"
            found.append(int(file.read()))
    return min(found)


def share_of_bytes(total: int, connections: int) -> int:
    """What ZODB's cache of each connection may hold, in bytes of records; 0 is no limit."""
    return max(total // connections, min(total, LEAST)) // MEMORY_A_BYTE


def share_of_objects(total: int, connections: int) -> int:
    """What ZODB's cache of each connection may hold, in objects."""
    return max(total // connections, 1)


class Passing:
    """What one long result has loaded: when that is too much some of it goes, but nothing that was there before it.

    What a scan passes by goes at once then: whoever scans again finds what came first, and the memory of the leaf before is
    used for the next while the processor still has it at hand. Of what was looked up here and there the oldest goes.
    """

    __slots__ = ("_items", "_limit", "_passed", "_size")

    def __init__(self) -> None:
        self._items: deque[tuple[Any, int]] = deque()
        self._passed: deque[Any] = deque()  # by scans, since the limit was reached
        self._size = 0
        self._limit = PASSING // MEMORY_A_BYTE

    def add(self, item: Any, in_scan: bool) -> None:
        """Note an object that was loaded just now, by a scan or not."""
        size: int = item._p_estimated_size
        if in_scan and self._size + size > self._limit:
            self._passed.append(item)
            if len(self._passed) > NEAR:
                self._passed.popleft()._p_deactivate()  # not if it was changed; what still reads it loads it again
            return
        self._items.append((item, size))
        self._size += size
        while self._size > self._limit:
            first, size = self._items.popleft()
            self._size -= size
            first._p_deactivate()
