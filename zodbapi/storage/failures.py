"""The one place where exceptions of ZODB, ZEO and the operating system become PEP 249's.

In: whatever a storage raises. Out: ``errors.*``, chained to the cause.
"""

from __future__ import annotations

import errno
import sys

from transaction.interfaces import TransientError
from zc.lockfile import LockError
from ZODB import POSException
from ZODB.FileStorage.format import CorruptedError

from zodbapi import errors


def translate(error: BaseException) -> errors.Error | None:
    """What to raise in the place of ``error``, or None when it is not the storage's."""
    match error:
        case errors.Error():
            return None
        case POSException.StorageError() if is_server_failure(error):
            return errors.OperationalError(f"server closed the connection: {error or 'not connected'}")
        case POSException.ConflictError() | TransientError():
            return errors.ConflictError(f"could not serialize access, retry the transaction: {error}")
        case LockError():
            return errors.OperationalError(f"database is locked: another process has it open ({error})")
        case POSException.ReadOnlyError():
            return errors.OperationalError("attempt to write a readonly database")
        case POSException.POSKeyError():
            return errors.OperationalError(f"database disk image is malformed: object {error} is missing")
        case POSException.StateLoadError():
            return errors.OperationalError(f"database disk image is malformed: {error.__cause__ or error}")
        case CorruptedError():
            return errors.OperationalError(f"database disk image is malformed: {error}")
        case POSException.POSError():
            return errors.OperationalError(f"disk I/O error: {error}")
        case OSError():
            return errors.OperationalError(os_message(error))
        case _:
            return None


def is_server_failure(error: BaseException) -> bool:
    """Whether ZEO's client raised it; only who has loaded ZEO can have such an error."""
    zeo = sys.modules.get("ZEO.Exceptions")
    return zeo is not None and isinstance(error, zeo.ClientStorageError)


def os_message(error: OSError) -> str:
    """SQLite's words for an error of the operating system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"database or disk is full: {error.strerror}"
    return f"disk I/O error: {error}"


def raise_translated(error: BaseException | None) -> None:
    """Raise what stands for an exception of the storage; nothing happens when ``error`` is none of these.

    It is for ``except`` clauses of what runs with every statement, where a ``with`` takes longer.
    """
    if isinstance(error, Exception) and (replacement := translate(error)) is not None:
        raise replacement from error


class _Translated:
    """What ``translated`` gives: an object without state, for a generator costs more than what it stands around."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _cls: object, error: BaseException | None, _traceback: object) -> None:
        raise_translated(error)


_TRANSLATED = _Translated()


def translated() -> _Translated:
    """Raise PEP 249's exceptions for those of the storage inside the block."""
    return _TRANSLATED
