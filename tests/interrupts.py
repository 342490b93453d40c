"""Interrupts between any two lines of generated programs, as Ctrl-C may come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from zodbapi.interrupt import GENERATED


class InterruptAt:
    """A trace function that raises KeyboardInterrupt at the n-th line of generated programs."""

    def __init__(self, line: int) -> None:
        self._left = line

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(GENERATED) else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        self._left -= event == "line"
        if self._left == 0:
            self._left = -1
            raise KeyboardInterrupt
        return self._line


def interrupted(run: Callable[[], object], first: int = 1, every: int = 5) -> Iterator[int]:
    """Runs the same again and again, interrupted at a later line each time, until it comes to its end; yields that line."""
    outer = sys.gettrace()
    for line in range(first, 10_000, every):
        sys.settrace(InterruptAt(line))
        try:
            run()
        except KeyboardInterrupt:
            pass
        else:
            return
        finally:
            sys.settrace(outer)
        yield line
    raise AssertionError("it never came to its end")
