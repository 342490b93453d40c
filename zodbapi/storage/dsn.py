"""What a DSN stands for.

In: a DSN and the options that came with it. Out: a storage, and ``ZODB.DB`` on it.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from ZODB.DemoStorage import DemoStorage
from ZODB.FileStorage import FileStorage
from ZODB.MappingStorage import MappingStorage
from ZODB.POSException import ConflictError

from zodbapi import errors
from zodbapi.storage.cache import NO_LIMIT, default_bytes
from zodbapi.storage.classes import find_class
from zodbapi.storage.memory import MemoryStorage
from zodbapi.storage.shared_file import SharedFileStorage
from zodbapi.storage.zodb_connection import DB

SCHEMES = ("file:", "zeo:", "zconfig:", "demo:", "neo:", "neos:")
FILE_OPTIONS = frozenset({"read_only", "blob_dir", "durable", "history_days", "timeout"})
DB_OPTIONS = frozenset({"cache_size", "cache_size_bytes", "pool_size", "pool_timeout", "database_name", "databases"})
ZEO_OPTIONS = frozenset(
    {
        "server_sync",
        "wait_timeout",
        "client_cache",
        "client_cache_size",
        "certificate",
        "key",
        "authority",
        "server_hostname",
    }
)
OPTIONS = FILE_OPTIONS | DB_OPTIONS | ZEO_OPTIONS
DB_DEFAULTS = {"cache_size": NO_LIMIT, "pool_size": 1000, "large_record_size": 1 << 62}


def canonical(dsn: str) -> str:
    """One spelling for all the names of a file."""
    if dsn.startswith("file://") and "?" not in dsn:
        dsn = dsn.removeprefix("file://")
    if dsn.startswith((":memory:", "memory://", *SCHEMES)):
        return dsn
    return os.path.realpath(dsn)


def open_storage(dsn: str, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The storage of a DSN, and settings for ``ZODB.DB`` that the DSN names."""
    misplaced = options.keys() & ZEO_OPTIONS - {"server_sync"}
    if misplaced and not dsn.startswith("zeo:"):
        raise errors.InterfaceError(f"only a zeo:// URI takes the options {', '.join(sorted(misplaced))}")
    if dsn == ":memory:" or dsn.startswith("memory://"):
        return MemoryStorage(dsn), {}
    if dsn.startswith(SCHEMES):
        of_files = {name for name in FILE_OPTIONS - {"timeout"} if options.get(name) is not None}
        if of_files:
            raise errors.InterfaceError(f"only a path takes the options {', '.join(sorted(of_files))}")
        from zodbapi.storage.uri import open_uri  # loads ZEO, which takes longer than the rest together

        return open_uri(dsn, {name: value for name, value in options.items() if name in ZEO_OPTIONS})
    return _open_file(dsn, options), {}


def _open_file(path: str, options: dict[str, Any]) -> SharedFileStorage:
    directory = os.path.dirname(path)
    days = options.get("history_days")
    if days is not None and not (isinstance(days, int | float) and days >= 0):
        raise errors.InterfaceError(f"history_days is a number of days, or None, not {days!r}")
    if os.path.isdir(path):
        raise errors.OperationalError(f"unable to open database file: {path} is a directory")
    if os.path.exists(path) and not os.path.isfile(path):
        raise errors.OperationalError(f"unable to open database file: {path} is not a file")
    if not os.path.isdir(directory):
        raise errors.OperationalError(f"unable to open database file: there is no directory {directory}")
    try:
        return SharedFileStorage(path, **{name: value for name, value in options.items() if name in FILE_OPTIONS})
    except OSError as error:
        raise errors.OperationalError(f"unable to open database file: {error}") from error


def open_db(storage: Any, settings: dict[str, Any]) -> Any:
    """``ZODB.DB`` on the storage; it makes the root object, which another process may be doing just now."""
    settings = {"cache_size_bytes": default_bytes(), **DB_DEFAULTS, **settings}
    for attempt in itertools.count(1):
        try:
            return DB(storage, class_factory=find_class, **settings)
        except ConflictError:
            if attempt == 5:
                raise
    raise AssertionError


def is_local(storage: Any) -> bool:
    """Whether every commit comes through this process or a lock on this machine."""
    while isinstance(storage, DemoStorage):
        storage = storage.changes
    return isinstance(storage, MemoryStorage | FileStorage | MappingStorage)
