"""Deep statements: a stage of the pipeline that runs out of stack is run again with room for it.

The stages are recursive, as trees are, and Python allows about a thousand calls, some of which the application has used.
A sum of five hundred terms takes several thousand. Raising the limit on the caller's stack could overrun it where the
caller is a thread with a small one, so the second attempt has a thread of its own. The limit is the process's: while it is
raised no other thread may be at a first attempt, which relies on it. So one thread at a time is in a stage, which costs
nothing where only one of them can run Python anyway. How deep a statement may be is decided in ``parser``, with SQLite's
limits.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from zodbapi.errors import OperationalError
from zodbapi.interrupt import interrupt_thread

_CALLS = 60_000
_STACK = 256 * 1024 * 1024  # address space; only what is touched becomes memory

_one_at_a_time = threading.RLock()
_room = threading.local()

P = ParamSpec("P")
T = TypeVar("T")


def roomy(stage: Callable[P, T]) -> Callable[P, T]:
    """The stage, which must not mind being run twice, without the limit of the caller's stack."""

    @wraps(stage)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        if has_room():
            return stage(*args, **kwargs)
        with _one_at_a_time:
            try:
                return stage(*args, **kwargs)
            except RecursionError:
                pass
            try:
                return _run_with_room(lambda: stage(*args, **kwargs))
            except (RecursionError, MemoryError):  # MemoryError is how Python's own parser says it
                raise OperationalError("expression tree is too large") from None

    return run


def has_room() -> bool:
    """Whether this thread is one that has been given room."""
    return getattr(_room, "given", False)


def run_with_room(work: Callable[[], T]) -> T:
    """What the work gives, in a thread that has room for many thousands of calls; it must not have one already."""
    with _one_at_a_time:
        return _run_with_room(work)


def _run_with_room(work: Callable[[], T]) -> T:
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def attempt() -> None:
        _room.given = True
        try:
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    limit, size = sys.getrecursionlimit(), threading.stack_size(_STACK)
    sys.setrecursionlimit(max(limit, _CALLS))
    try:
        thread = threading.Thread(target=attempt, name="zodbapi-deep-statement")
        thread.start()
        threading.stack_size(size)
        _wait_for(thread)
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(limit)
    if failure:
        raise failure[0]
    return cast("T", outcome[0])


def _wait_for(thread: threading.Thread) -> None:
    """Waits for its end; an exception while it waits (Ctrl-C) hastens that, and is raised after it."""
    try:
        thread.join()
    except BaseException:
        assert thread.ident is not None
        interrupt_thread(thread.ident)
        thread.join()
        raise


def _forget_other_threads() -> None:
    """In a child process: whoever was in a stage is not there any more."""
    global _one_at_a_time
    _one_at_a_time = threading.RLock()


os.register_at_fork(after_in_child=_forget_other_threads)
