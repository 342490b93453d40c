"""Blocks of code in which the garbage collector rests."""

from __future__ import annotations

import gc
from threading import Lock


class Uncollected:
    """A ``with`` in which the garbage collector rests: compiling makes many objects and hardly any garbage.

    Several threads may be inside. The last one to leave starts the collector again, if the first one found it running.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._stopped = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside and gc.isenabled():
                gc.disable()
                self._stopped = True
            self._inside += 1

    def __exit__(self, *failure: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._stopped:
                self._stopped = False
                gc.enable()


UNCOLLECTED = Uncollected()
