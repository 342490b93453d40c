"""Databases of this process, one for each DSN, shared by its connections and threads.

In: a DSN. Out: ``Transaction`` objects, one a driver connection.

========================================  ==========================================================================
``:memory:``                              private to whoever opened it
``memory://NAME``                         shared in the process, gone when the last one closes it
a path                                    a FileStorage file that any number of processes open
``file:// zeo:// zconfig:// demo: neo:``  what zodburi makes of it
========================================  ==========================================================================
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import transaction
import ZODB
from zodburi import NoResolverForScheme, resolve_uri

from zodbapi import errors
from zodbapi.storage import ddl
from zodbapi.storage.classes import find_class
from zodbapi.storage.failures import translated
from zodbapi.storage.memory import MemoryStorage
from zodbapi.storage.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from zodbapi.catalog import Schema

SCHEMES = ("file:", "zeo:", "zconfig:", "demo:", "neo:", "neos:")
KEPT_SCHEMAS = 64

_open: dict[str, Database] = {}
_registry_lock = threading.RLock()


class _QuietManager(transaction.TransactionManager):  # type: ignore[misc]
    """A manager that leaves the connection's snapshot alone: ``Transaction`` decides when it moves."""

    def registerSynch(self, synch: Any) -> None:
        """Nothing: the connection is not told of transactions that begin and end."""

    def unregisterSynch(self, synch: Any) -> None:
        """Nothing was registered."""


class Database:
    """One open database. Make it with ``Database.open``; each open wants one ``close``."""

    def __init__(self, dsn: str, options: dict[str, Any]) -> None:
        self.dsn = dsn
        self.options = options
        self.epoch = 0
        self.timeout = float(options.pop("timeout", 30.0))
        self._references = 0
        self._schemas: dict[int, Schema] = {}
        self._write_lock: threading.Lock | None = None
        self._writer: Transaction | None = None
        self._start(*_open_storage(dsn))

    def _start(self, storage: Any, local: bool, settings: dict[str, Any]) -> None:
        self.storage = storage
        self.local = local
        self._write_lock = threading.Lock() if local else None
        settings = {"cache_size": 50_000, "pool_size": 100, **settings, **self.options}
        try:
            with translated():
                self._db = ZODB.DB(storage, class_factory=find_class, large_record_size=1 << 30, **settings)
        except BaseException:
            storage.close()
            raise

    @classmethod
    def open(cls, dsn: str, **options: Any) -> Database:
        """The process's database for that DSN; the options of its first open count.

        ``timeout`` is how long a writer waits for its turn, in seconds; the rest goes to ``ZODB.DB``.
        """
        if dsn == ":memory:":
            database = cls(dsn, options)
            database._references = 1
            return database
        key = _canonical(dsn)
        with _registry_lock:
            found = _open.get(key)
            if found is None:
                found = _open[key] = cls(key, options)
            found._references += 1
            return found

    def close(self) -> None:
        """Give up one open; the last one closes the storage."""
        with _registry_lock:
            self._references -= 1
            if self._references > 0:
                return
            if _open.get(self.dsn) is self:
                del _open[self.dsn]
        self.epoch += 1
        with translated():
            self._db.close()

    def begin_session(self, manager: Any = None) -> Transaction:
        """The transactions of a new driver connection; ``manager`` is a transaction manager to take part in."""
        return Transaction(self, manager)

    # --- called by Transaction ------------------------------------------------------------------------------------------

    def attach(self, txn: Transaction, manager: Any) -> tuple[Any, Any, Callable[[], bool] | None]:
        """A ZODB connection, the manager it works under, and a test whether another process may have committed."""
        manager = manager or _QuietManager(explicit=True)
        return self._db.open(transaction_manager=manager), manager, getattr(self.storage, "is_behind", None)

    def detach(self, txn: Transaction, connection: Any) -> None:
        """Take the ZODB connection of a transaction object back."""
        connection.close()

    def lock_for_writing(self, txn: Transaction) -> None:
        """Wait until no other transaction of this process writes, if that is this database's policy."""
        if self._write_lock is not None:
            if not self._write_lock.acquire(timeout=self.timeout):
                raise errors.OperationalError("database is locked")
            self._writer = txn

    def unlock(self, txn: Transaction) -> None:
        """Let the next writer in, if ``txn`` is the one that writes."""
        if self._writer is txn and self._write_lock is not None:
            self._writer = None
            self._write_lock.release()

    def check_format(self, entry: Any) -> None:
        """Refuse what a newer version wrote."""
        found = entry.get("format")
        if found != ddl.FORMAT:
            raise errors.OperationalError(f"unsupported file format: {found!r}, this version reads {ddl.FORMAT}")

    def known_schema(self, cookie: int, records: Any) -> Schema:
        """The schema of that cookie, read from its records once a process."""
        found = self._schemas.get(cookie)
        if found is None:
            if len(self._schemas) >= KEPT_SCHEMAS:
                self._schemas.clear()
            found = self._schemas[cookie] = ddl.load_schema(records)
        return found

    def copy(self) -> Database:
        """A private copy of an in-memory database, as it was last committed."""
        if not isinstance(self.storage, MemoryStorage):
            raise errors.NotSupportedError("only databases in memory can be copied")
        raise NotImplementedError


def _canonical(dsn: str) -> str:
    if dsn.startswith("memory://") or dsn.startswith(SCHEMES):
        return dsn
    return os.path.realpath(dsn)


def _open_storage(dsn: str) -> tuple[Any, bool, dict[str, Any]]:
    """The storage of a DSN, whether only this machine uses it, and settings for ``ZODB.DB`` that the DSN names."""
    if dsn == ":memory:" or dsn.startswith("memory://"):
        return MemoryStorage(dsn), True, {}
    if dsn.startswith(SCHEMES):
        return _open_uri(dsn)
    from ZODB.FileStorage import FileStorage

    return FileStorage(dsn), True, {}


def _open_uri(dsn: str) -> tuple[Any, bool, dict[str, Any]]:
    try:
        factory, settings = resolve_uri(dsn)
    except NoResolverForScheme as error:
        raise errors.OperationalError(f"unable to open database file: nothing is installed for {dsn}") from error
    settings.pop("cache_size", None)
    with translated():
        return factory(), not dsn.startswith(("zeo:", "neo:", "neos:")), settings
