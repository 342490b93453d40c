"""Functions that tell about the connection: what the last statements changed, and which SQLite this engine follows."""

from __future__ import annotations

import uuid
from typing import Any

from zodbapi.catalog import INTEGER, TEXT, UUID
from zodbapi.functions.registry import Function

SQLITE_VERSION = "3.45.0"  # whose functions this package has; code that runs on SQLite asks


def changes(txn: Any) -> int:
    """How many rows the last INSERT, UPDATE or DELETE changed."""
    return txn.changes  # type: ignore[no-any-return]


def total_changes(txn: Any) -> int:
    """How many rows all statements of the connection changed."""
    return txn.total_changes  # type: ignore[no-any-return]


def last_insert_rowid(txn: Any) -> int:
    """The rowid of the last INSERT."""
    return txn.last_rowid or 0


FUNCTIONS: tuple[Function, ...] = (
    Function("changes", changes, 0, 0, nullable=False, deterministic=False, with_txn=True, result=INTEGER),
    Function("total_changes", total_changes, 0, 0, nullable=False, deterministic=False, with_txn=True, result=INTEGER),
    Function(
        "last_insert_rowid", last_insert_rowid, 0, 0, nullable=False, deterministic=False, with_txn=True, result=INTEGER
    ),
    Function("sqlite_version", lambda: SQLITE_VERSION, 0, 0, nullable=False, safe=True, result=TEXT),
    Function("gen_random_uuid", uuid.uuid4, 0, 0, nullable=False, deterministic=False, result=UUID),
)
