"""Blocks of code in which the garbage collector rests."""

from __future__ import annotations

import gc
import os
from threading import Lock, get_ident


class Uncollected:
    """A ``with`` in which the garbage collector rests.

    It is for what makes many objects and hardly any garbage: compiling, and writing many rows. To look through them again and
    again costs more than to make them. Several threads may be inside, each of them several times. The last one to leave
    starts the collector again, if the first one found it running.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._depths: dict[int, int] = {}  # by thread
        self._stopped = False

    def __enter__(self) -> None:
        thread = get_ident()
        with self._lock:
            self._depths[thread] = self._depths.get(thread, 0) + 1
            if gc.isenabled():
                self._stopped = True
                gc.disable()

    def __exit__(self, *failure: object) -> None:
        thread = get_ident()
        with self._lock:
            depth = self._depths.pop(thread, 0)
            if depth > 1:
                self._depths[thread] = depth - 1
            self._resume()

    def leave(self) -> None:
        """Make sure that this thread is inside no more: an interrupt can come between two steps of entering or leaving."""
        if self._stopped:
            with self._lock:
                self._depths.pop(get_ident(), None)
                self._resume()

    def forget_other_threads(self) -> None:
        """In a child process: whoever else was inside is not there any more."""
        self._lock = Lock()
        self._depths = {thread: depth for thread, depth in self._depths.items() if thread == get_ident()}
        self._resume()

    def _resume(self) -> None:
        if self._stopped and not self._depths:
            self._stopped = False
            gc.enable()


UNCOLLECTED = Uncollected()
os.register_at_fork(after_in_child=UNCOLLECTED.forget_other_threads)
