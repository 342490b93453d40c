"""What the functions that write a row call when a constraint fails, or has to be checked later.

Foreign keys are checked through keys, not rows: ``pending[check]`` is a set of key values, and ``check(txn, key)`` fails when
some child has that key and no parent does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zodbapi import errors

if TYPE_CHECKING:
    from zodbapi.catalog import Table


def rowid_name(table: Table) -> str:
    """The rowid as messages name it."""
    column = "rowid" if table.rowid_column is None else table.columns[table.rowid_column].name
    return f"{table.name}.{column}"


def not_null_failed(name: str) -> errors.IntegrityError:
    """The error of a NULL in a NOT NULL column."""
    return errors.IntegrityError(f"NOT NULL constraint failed: {name}")


def unique_failed(name: str) -> errors.IntegrityError:
    """The error of a key that exists."""
    return errors.IntegrityError(f"UNIQUE constraint failed: {name}")


def check_failed(name: str) -> errors.IntegrityError:
    """The error of a CHECK that is false."""
    return errors.IntegrityError(f"CHECK constraint failed: {name}")


def foreign_key_failed() -> errors.IntegrityError:
    """The error of a child without a parent, which no OR IGNORE forgives."""
    error = errors.IntegrityError("FOREIGN KEY constraint failed")
    error.resolution = "ABORT"
    return error


def missing_parent(name: str) -> errors.OperationalError:
    """The error of a foreign key whose parent table does not exist."""
    return errors.OperationalError(f"no such table: main.{name}")


def key_mismatch(child: str, parent: str) -> errors.OperationalError:
    """The error of a foreign key that refers to columns that are no unique key."""
    return errors.OperationalError(f'foreign key mismatch - "{child}" referencing "{parent}"')


def schedule(txn: Any, deferred: bool, check: Any, key: Any) -> None:
    """Has a foreign key's value checked at the end of the statement, or of the transaction."""
    if txn.foreign_keys_enabled:
        checks = _checks(txn, deferred)
        keys = checks.get(check)
        if keys is None:
            checks[check] = {key}
        else:
            keys.add(key)


def schedule_many(txn: Any, deferred: bool, check: Any, found: set[Any]) -> None:
    """The same for the keys of many rows."""
    if found and txn.foreign_keys_enabled:
        _checks(txn, deferred).setdefault(check, set()).update(found)


def _checks(txn: Any, deferred: bool) -> dict[Any, set[Any]]:
    """What is put off: to the end of the transaction, or of the statement."""
    is_put_off = (deferred or txn.defer_foreign_keys) and not txn.check_at_once
    checks: dict[Any, set[Any]] = txn.pending if is_put_off else txn.immediate
    return checks


def schedule_unique(txn: Any, deferred: bool, check: Any, entry: tuple[Any, ...]) -> None:
    """Has the key of an entry of a deferrable unique constraint checked later; one with a NULL never collides."""
    parts = entry[:-1]
    if () not in parts:
        _checks(txn, deferred).setdefault(check, set()).add(parts)
