"""Transactions at an isolation level, and blocks that are run again after losing against another transaction.

In: a block of code. Out: the same block as one transaction, as often as it takes::

    from django_zodb.transaction import atomic, retry, retrying

    with atomic(isolation="SERIALIZABLE"):      # django.db.transaction.atomic, with a level
        ...

    for attempt in retrying():                  # several tries, each an atomic block
        with attempt:
            account.refresh_from_db()
            ...

    @retry                                      # the same for a function; also @retry(attempts=20, isolation=...)
    def transfer(source, target, amount): ...

Only a lost conflict (``zodbapi.ConflictError``) starts another try, after a random pause that grows. From the second try on
the block takes the write lock of a local database at its begin, so it cannot lose again. Inside an atomic block there is one
try: what is lost is the whole transaction, so the outermost block has to be repeated.

``on_commit`` callbacks of a try that failed are dropped with it. An error of a callback comes after the commit, and is never
a reason for another try.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from django.db import DEFAULT_DB_ALIAS, NotSupportedError, connections
from django.db.transaction import Atomic, TransactionManagementError

import zodbapi
from zodbapi.isolation import LEVELS, Isolation

ATTEMPTS = 10
DELAY = 0.01  # seconds: the longest pause before the second try; each one after may be twice as long
LONGEST = 1.0
_STRICTNESS = list(Isolation)


def is_conflict(error: BaseException | None) -> bool:
    """Whether an exception, Django's or the driver's, says that another transaction won and this one may be run again."""
    while error is not None:
        if isinstance(error, zodbapi.ConflictError):
            return True
        error = error.__cause__
    return False


def pause(number: int, delay: float = DELAY) -> float:
    """Seconds to wait after the try of that number (from 1)."""
    return random.random() * min(delay * 2 ** (number - 1), LONGEST)


def commits() -> dict[str, int]:
    """How many transactions each database of this thread has committed."""
    return {found.alias: getattr(found, "commits", 0) for found in connections.all(initialized_only=True)}


class LevelAtomic(Atomic):
    """Django's atomic block, whose transaction has a level of its own."""

    def __init__(self, using: str | None, savepoint: bool, durable: bool, isolation: str | None, write: bool) -> None:
        super().__init__(using, savepoint, durable)
        self._isolation = isolation
        self._write = write

    def __enter__(self) -> None:
        connection: Any = connections[self.using or DEFAULT_DB_ALIAS]
        if connection.vendor != "zodb":
            if self._isolation is not None:
                raise NotSupportedError("only databases of django_zodb take an isolation level for a transaction")
            return super().__enter__()
        if connection.in_atomic_block:
            self._check_level(connection)
            return super().__enter__()
        connection.next_transaction = ("immediate" if self._write else "deferred", self._isolation)
        try:
            return super().__enter__()
        finally:
            connection.next_transaction = ("deferred", None)

    def _check_level(self, connection: Any) -> None:
        """Refuses a level that the open transaction does not have; in a TestCase, which opened it, any level will do."""
        if self._isolation is None or all(block._from_testcase for block in connection.atomic_blocks):
            return
        wanted, found = LEVELS[self._isolation.upper()], LEVELS[connection.connection.transaction_isolation]
        if _STRICTNESS.index(wanted) > _STRICTNESS.index(found):
            raise TransactionManagementError(
                f"The open transaction is {found.value}, which cannot become {wanted.value}."
            )


def atomic(
    using: Any = None,
    savepoint: bool = True,
    durable: bool = False,
    *,
    isolation: str | None = None,
    write: bool = False,
) -> Any:
    """``django.db.transaction.atomic`` for a transaction at a level: READ COMMITTED, SNAPSHOT or SERIALIZABLE.

    ``write`` makes the transaction the writer of a local database from its begin, so that it meets no conflict.
    """
    if callable(using):
        return LevelAtomic(None, savepoint, durable, isolation, write)(using)
    return LevelAtomic(using, savepoint, durable, isolation, write)


class Attempt:
    """One try of a block: an atomic block that keeps a lost conflict to itself, unless it is the last one."""

    def __init__(self, using: str | None, isolation: str | None, *, first: bool, last: bool) -> None:
        self._atomic = LevelAtomic(using, True, False, isolation, not first)
        self._last = last
        self._before: dict[str, int] = {}
        self.lost = False

    def __enter__(self) -> Attempt:
        self._before = commits()
        self._atomic.__enter__()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> bool:
        try:
            self._atomic.__exit__(kind, error, traceback)
        except Exception as failure:  # of the commit, or of a callback after it
            error = failure
            if not self._is_lost(failure):
                raise
        self.lost = self._is_lost(error)
        return self.lost

    def _is_lost(self, error: BaseException | None) -> bool:
        return not self._last and is_conflict(error) and self._before.items() <= commits().items()


def retrying(
    using: str | None = None, *, attempts: int = ATTEMPTS, delay: float = DELAY, isolation: str | None = None
) -> Iterator[Attempt]:
    """Tries of one block, for a loop: ``for attempt in retrying(): with attempt: ...``; after one that commits it ends.

    Leave the block at its end: a ``return`` or ``break`` in it would not wait for another try. ``delay`` is the longest
    pause before the second try, in seconds. The last try raises its conflict.
    """
    if connections[using or DEFAULT_DB_ALIAS].in_atomic_block:
        attempts = 1
    for number in range(1, attempts + 1):
        attempt = Attempt(using, isolation, first=number == 1, last=number == attempts)
        try:
            yield attempt
        except GeneratorExit:
            if attempt.lost:
                raise RuntimeError("the loop was left by a return or break in a block whose commit was lost") from None
            raise
        if not attempt.lost:
            return
        time.sleep(pause(number, delay))


def retry(
    function: Callable[..., Any] | None = None,
    *,
    using: str | None = None,
    attempts: int = ATTEMPTS,
    delay: float = DELAY,
    isolation: str | None = None,
) -> Any:
    """Makes each call of a function one transaction, run again when it loses a conflict.

    An ``async`` function is run again too, but is no transaction, for Django has no asynchronous ones: what it does in the
    database has to be one atomic block, or harmless to repeat; its level is set there.
    """
    if function is None:
        return lambda decorated: retry(decorated, using=using, attempts=attempts, delay=delay, isolation=isolation)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = None
        for attempt in retrying(using, attempts=attempts, delay=delay, isolation=isolation):
            with attempt:
                result = function(*args, **kwargs)
        return result

    @wraps(function)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        for number in range(1, attempts + 1):
            try:
                return await function(*args, **kwargs)
            except Exception as error:
                if number == attempts or not is_conflict(error):
                    raise
                await asyncio.sleep(pause(number, delay))
        raise AssertionError("the last try returns or raises")

    return call_async if iscoroutinefunction(function) else call
