"""Databases of this process, one for each DSN, shared by its connections and threads.

In: a DSN. Out: ``Transaction`` objects, one a driver connection.

========================================  ==========================================================================
``:memory:``                              private to whoever opened it
``memory://NAME``                         shared in the process, gone when the last one closes it
a path, ``file://PATH``                   a FileStorage file that any number of processes open
``file://PATH?... zeo: demo: neo:`` ...   what zodburi makes of it
========================================  ==========================================================================

Opening a file reads its index and fills caches, so a few databases that nobody uses any more stay open for the next one
who asks (a web request with its own connection). After a fork the child opens everything anew when it is first used: an
inherited FileStorage would lose commits and an inherited ClientStorage would hang. Databases in memory go on as copies.

Locks, in the order in which a thread takes them; who waits for the write lock has neither of the others:

- ``_registry_lock`` guards ``_open`` and how many users each database has.
- ``Database._lock`` guards its ZODB database while that is opened, its sessions, and the rowids that are reserved.
- ``Database._write_lock`` belongs to the transaction that writes, ``_writer``, from its first write to its end. Only who has
  it changes ``_writer``.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import random
import threading
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import transaction
from ZODB.POSException import ConflictError
from ZODB.utils import z64

from zodbapi import errors
from zodbapi.storage import ddl
from zodbapi.storage.dsn import DB_OPTIONS, OPTIONS, SCHEMES, canonical, is_local, open_db, open_storage
from zodbapi.storage.failures import translated
from zodbapi.storage.lone_manager import LoneManager
from zodbapi.storage.memory import MemoryStorage
from zodbapi.storage.overflow import blob_folder
from zodbapi.storage.participant import Participant
from zodbapi.storage.rowids import MAX_ROWID, highest_rowid
from zodbapi.storage.shared_file import SharedFileStorage
from zodbapi.storage.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zodbapi.catalog import Schema

KEPT_SCHEMAS = 64
KEPT_IDLE = 4
ROWIDS_AT_ONCE = 32
RESERVATIONS = 50  # attempts to reserve some, against others who do

_open: dict[str, Database] = {}  # in use, and at the end of the dict's order up to KEPT_IDLE idle ones
_registry_lock = threading.RLock()
_every: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[Any] = []  # what belongs to the parent process: never finalised, so that no socket or file is touched


class Database:
    """One open database. Make it with ``Database.open``; each open wants one ``close``.

    ``epoch`` counts how often the storage was opened: a ZODB connection of an earlier epoch is of no use.
    """

    def __init__(self, dsn: str, options: dict[str, Any], storage: Any = None) -> None:
        self.dsn: str = dsn
        self.options = options
        self.epoch = 0
        self.timeout: float = float(options.get("timeout", 30.0))
        self.users = 0
        self.storage: Any = None
        self._db: Any = None
        self.local = True
        self.lock_tells = True  # whether who has the write lock knows of all that is committed
        self.blob_folder: str | None = None
        self._rowids: dict[int, Iterator[int]] = {}
        self._schemas: dict[int, Schema] = {}
        self._lock = threading.RLock()
        self._write_lock: threading.Lock | None = None
        self._hold: Callable[[float], None] | None = None  # keeps other processes from writing, for those who can share
        self._writer: Transaction | None = None
        self._writer_thread = 0
        self._sessions: list[weakref.ref[Transaction]] = []
        self._start(storage)
        _every.add(self)

    @classmethod
    def open(cls, dsn: str, **options: Any) -> Database:
        """The process's database for that DSN; the options of its first open count.

        ``timeout``: how long a writer waits for its turn, in seconds. For a path also ``read_only``, ``blob_dir`` (a folder for
        values above a megabyte; a database that has had one always wants it), ``durable``: False leaves it to the
        operating system when a commit reaches the disk, and ``history_days``: what is older, and not current, goes when a
        file of 64 MB or more has become twice as long as the last pack left it (None: never). ``server_sync`` for ZEO: False
        saves the round trip at the begin of a transaction, which then may see less than others were told is committed.
        A ``zeo://`` URI also takes ``wait_timeout`` (seconds to wait for a server), ``client_cache`` (the path of a cache
        that outlives the process, one for each process), ``client_cache_size`` (bytes, 20 MB unless told), and for TLS
        ``authority``, ``certificate``, ``key`` (paths) and ``server_hostname`` (the name in the server's certificate).
        ``cache_size_bytes`` and ``cache_size``: how much memory, and how many objects, all connections of this process
        together may keep (see ``cache``). The rest are ``ZODB.DB``'s.
        """
        unknown = options.keys() - OPTIONS
        if unknown:
            raise errors.InterfaceError(f"unknown option: {', '.join(sorted(unknown))}")
        if dsn == ":memory:":
            private = cls(dsn, options)
            private.users = 1
            return private
        key = canonical(dsn)
        with _registry_lock:
            found = _open.get(key)
            if found is not None and found.users == 0 and not found._is_reusable(options):
                found._stop()
                found = None
            if found is None:
                found = _open[key] = cls(key, options)
            found.users += 1
            return found

    @classmethod
    def remove(cls, path: str) -> None:
        """Delete a database file and what lies beside it. Nobody may have it open; without it nothing happens."""
        key = canonical(path)
        if key.startswith((*SCHEMES, "memory:", ":memory:")):
            raise errors.NotSupportedError(f"only a database file can be removed, not {path}")
        with _registry_lock:
            found = _open.get(key)
            if found is not None:
                if found.users:
                    raise errors.OperationalError(f"database is in use: {path}")
                del _open[key]
                found._stop()
        with translated():
            for suffix in ("", ".index", ".lock", ".tmp", ".old", ".pack"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(key + suffix)

    def close(self) -> None:
        """Give up one open. After the last one the database is closed, now or when others take its place among the idle."""
        with _registry_lock:
            self.users -= 1
            if self.users > 0:
                return
            if _open.get(self.dsn) is not self:
                self._stop()
                return
            del _open[self.dsn]
            if isinstance(self.storage, MemoryStorage):
                self._stop()
                return
            _open[self.dsn] = self  # now the youngest of the idle
            idle = [database for database in _open.values() if database.users == 0]
            for database in idle[:-KEPT_IDLE]:
                del _open[database.dsn]
                database._stop()

    def begin_session(self, manager: Any = None) -> Transaction:
        """The transactions of a new driver connection; ``manager`` is a transaction manager to take part in."""
        return Transaction(self) if manager is None else Participant(self, manager)

    def copy(self) -> Database:
        """A private copy of a database in memory as it was last committed; close it like any other. Takes milliseconds.

        For many copies under their own names, as test runners want them, use ``copy_as``.
        """
        private = Database(":memory:", self.options, self._memory().copy(":memory:"))
        private.users = 1
        return private

    def copy_as(self, dsn: str) -> Database:
        """A copy of a database in memory under another ``memory://NAME``, instead of what was there; close it some day."""
        if not dsn.startswith("memory://"):
            raise errors.NotSupportedError(f"a copy of a database in memory is in memory too, not {dsn}")
        with _registry_lock:
            copied = Database(dsn, self.options, self._memory().copy(dsn))
            copied.users = 1
            _open[dsn] = copied
            return copied

    def _memory(self) -> MemoryStorage:
        if not isinstance(self.storage, MemoryStorage):
            raise errors.NotSupportedError("only databases in memory can be copied; copy the file of this one")
        return self.storage

    def pack(self, days: float = 0.0) -> None:
        """Remove old revisions, and objects that nothing refers to, from the storage."""
        with translated():
            self._db.pack(days=days)

    @property
    def size(self) -> int:
        """Bytes that the storage takes."""
        return int(self._db.getSize())

    # --- opening and closing the storage ----------------------------------------------------------------------------------

    def _start(self, storage: Any = None) -> None:
        settings: dict[str, Any] = {}
        with translated():
            if storage is None:
                storage, settings = open_storage(self.dsn, self.options)
            self.storage = storage
            if isinstance(storage, MemoryStorage):
                storage.oldest_snapshot = self._oldest_snapshot
            elif isinstance(storage, SharedFileStorage):
                storage.oldest_snapshot = partial(self._oldest_snapshot, with_writer=True)
            self.local = is_local(storage)
            self.lock_tells = isinstance(storage, MemoryStorage | SharedFileStorage)
            self._hold = storage.hold if isinstance(storage, SharedFileStorage) else None
            self.blob_folder = blob_folder(storage)
            self._write_lock = threading.Lock() if self.local else None
            self._writer = None
            settings.update((name, value) for name, value in self.options.items() if name in DB_OPTIONS)
            try:
                self._db = open_db(storage, settings)
            except BaseException:
                storage.close()
                raise

    def _stop(self) -> None:
        self.epoch += 1
        database, self._db, self.storage = self._db, None, None
        if database is not None:
            with translated():
                database.close()

    def _is_reusable(self, options: dict[str, Any]) -> bool:
        """Whether an idle database is still what its name stands for."""
        if self._db is None or options != self.options:
            return False
        return not isinstance(self.storage, SharedFileStorage) or self.storage.is_in_place()

    def _leave_to_parent(self) -> None:
        """In a child process, right after the fork: only this thread exists, locks of others will never be released."""
        self._lock = threading.RLock()
        if self._db is None:
            return
        if self._writer_thread != threading.get_ident():
            self._writer = None
        if isinstance(self.storage, MemoryStorage):
            self._write_lock = threading.Lock()
            if self._writer is not None:
                self._write_lock.acquire()
            self.storage.renew_locks(self._db)
            return
        _inherited.append((self._db, self.storage))
        abandon = getattr(self.storage, "abandon", None)
        if abandon is not None:
            abandon()
        self._db = self.storage = self._writer = None
        self._rowids.clear()  # the rest of these blocks is the parent's
        self.epoch += 1

    # --- called by Transaction ----------------------------------------------------------------------------------------------

    def attach(self, txn: Transaction, manager: Any) -> tuple[Any, Any, Callable[[], bool] | None]:
        """A ZODB connection, the manager it works under, and a test whether another process may have committed.

        That test is None where every commit goes through this process.
        """
        with self._lock:
            if self._db is None:
                if self.users == 0:
                    raise errors.InterfaceError("the database is closed")
                self._start()
            manager = manager or LoneManager()
            connection = self._db.open(transaction_manager=manager)
            self._sessions.append(weakref.ref(txn, self._sessions.remove))
            return connection, manager, self._outside_test()

    def detach(self, txn: Transaction, connection: Any) -> None:
        """Take back the ZODB connection of a session that ends."""
        with self._lock:
            self._sessions[:] = [session for session in self._sessions if session() is not txn]
        connection.rely_on_nodes(True)
        connection.close()

    def _oldest_snapshot(self, with_writer: bool = False) -> bytes | None:
        """Where the oldest active transaction reads, in memory but for the writer: its snapshot ends with its commit."""
        active = [
            txn for session in tuple(self._sessions) if (txn := session()) is not None and (txn.active or txn.streams)
        ]
        return min(
            (txn.snapshot for txn in active if (with_writer or txn is not self._writer) and txn.snapshot), default=None
        )

    def _outside_test(self) -> Callable[[], bool] | None:
        if isinstance(self.storage, MemoryStorage):
            return None
        if isinstance(self.storage, SharedFileStorage):
            return self.storage.is_behind
        return lambda: True

    def lock_for_writing(self, txn: Transaction, timeout: float | None = None) -> None:
        """Wait until nobody else writes to a local database; others are optimistic, and conflicts end in a retry."""
        if self._write_lock is None:
            return
        timeout = self.timeout if timeout is None else timeout
        if not self._write_lock.acquire(False):
            began = time.monotonic()
            if not self._write_lock.acquire(timeout=timeout):
                raise errors.LockError("database is locked")
            timeout = max(0.0, timeout - (time.monotonic() - began))
        try:
            if self._hold is not None:
                self._hold(timeout)
        except BaseException:
            self._write_lock.release()
            raise
        self._writer = txn
        self._writer_thread = threading.get_ident()

    def unlock(self, txn: Transaction) -> None:
        """Let the next writer in, if ``txn`` is the one that writes."""
        if self._writer is not txn or self._write_lock is None:
            return
        self._writer = None
        if self._hold is not None:
            self.storage.drop()
        self._write_lock.release()

    def reserved_rowid(self, table_id: int, rows: Any) -> int:
        """A rowid that no other process or transaction gets: they are taken from the table's sequence in blocks."""
        with self._lock:
            while True:
                for rowid in self._rowids.get(table_id, ()):
                    if rowid not in rows:
                        return rowid
                first = self._reserve_rowids(table_id, rows.maxKey() if rows else 0)
                self._rowids[table_id] = iter(range(first, first + ROWIDS_AT_ONCE))

    def _reserve_rowids(self, table_id: int, above: int) -> int:
        with translated():
            for attempt in itertools.count(1):
                try:
                    with self._newest_entry() as entry:
                        sequences = entry["sequences"]
                        first: int = max(sequences.get(table_id, 0), above) + 1
                        if first > MAX_ROWID + 1 - ROWIDS_AT_ONCE:
                            raise errors.OperationalError("database or disk is full")
                        sequences[table_id] = first + ROWIDS_AT_ONCE - 1
                    return first
                except ConflictError:
                    if attempt == RESERVATIONS:
                        raise
                    time.sleep(random.uniform(0, 0.002 * attempt))
        raise AssertionError("the last attempt returns or raises")

    def newest_top(self, table_id: int) -> int:
        """The largest rowid that a table has, or ever had, in the newest state."""
        with translated(), self._newest_entry() as entry:
            return highest_rowid(entry, table_id)
        raise AssertionError("no exception is suppressed")

    @contextlib.contextmanager
    def _newest_entry(self) -> Iterator[Any]:
        """Our entry of the root in the newest state; what is changed there in the block is committed at its end."""
        manager = transaction.TransactionManager(explicit=True)
        connection = self._db.open(transaction_manager=manager)
        try:
            with manager:
                yield connection.get(z64)[ddl.ENTRY]
        finally:
            connection.close()

    def check_format(self, entry: Any) -> None:
        """Refuse what a newer version wrote."""
        found = entry.get("format") if hasattr(entry, "get") else None
        if found != ddl.FORMAT:
            raise errors.OperationalError(f"unsupported file format {found!r}: this version reads {ddl.FORMAT}")

    def known_schema(self, cookie: int, records: Any) -> Schema:
        """The schema of that cookie, read from its records once a process."""
        found = self._schemas.get(cookie)
        if found is None:
            if len(self._schemas) >= KEPT_SCHEMAS:
                self._schemas.clear()
            try:
                found = self._schemas[cookie] = ddl.load_schema(records)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise errors.OperationalError(
                    f"database disk image is malformed: no schema is in it: {error}"
                ) from error
        return found


def _after_fork() -> None:
    global _registry_lock
    _registry_lock = threading.RLock()
    for database in list(_every):
        database._leave_to_parent()


def _close_all() -> None:
    for database in list(_open.values()):
        if database.users == 0:  # what is in use belongs to someone who may not be done
            database._stop()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_close_all)
