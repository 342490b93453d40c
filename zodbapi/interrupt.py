"""Stopping a running program: ``Connection.interrupt`` and progress handlers.

Generated programs test nothing while they loop, so that a row costs nothing extra. An interrupt is raised in the running
thread by the interpreter itself; a progress handler is called from a trace function, which is slow and only there while a
handler is set.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from zodbapi.errors import OperationalError

GENERATED = "<zodbapi"  # how the file names of generated programs begin


class Interrupted(OperationalError):
    """The statement was stopped from outside."""

    def __init__(self) -> None:
        super().__init__("interrupted")


def interrupt_thread(ident: int) -> None:
    """Makes the thread raise ``Interrupted`` at its next bytecode."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Interrupted))


@contextmanager
def progress(handler: Callable[[], Any], every: int) -> Iterator[None]:
    """While it lasts, generated programs call the handler every so many lines; a true answer interrupts them."""
    left = every

    def count_line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left <= 0:
                left = every
                try:
                    stop = handler()
                except Exception as error:
                    raise Interrupted from error
                if stop:
                    raise Interrupted
        return count_line

    def enter(frame: FrameType, _event: str, _: Any) -> Any:
        return count_line if frame.f_code.co_filename.startswith(GENERATED) else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(before)
