"""Puts large values into objects of their own.

In: a row. Out: the same with markers (``zodbapi.large``) for its large values. An object belongs to one row: it goes when
nothing refers to it any more, like all that a pack removes.

A value of up to a megabyte is one object; a larger one is a blob, a file of its own, where the storage has a folder for them,
and otherwise a list of pieces.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from contextlib import suppress
from typing import Any

from persistent.list import PersistentList
from ZODB.blob import Blob
from ZODB.interfaces import IBlobStorage

from zodbapi.large import LIMIT, PIECE, TEXT, Marker


def blob_folder(storage: Any) -> str | None:
    """Where the storage wants new blobs to be made; None where it has none."""
    if not IBlobStorage.providedBy(storage):
        return None
    try:
        folder: str = storage.temporaryDirectory()
    except (AttributeError, TypeError):  # every client of ZEO could have blobs, and every file
        return None
    return folder


def put_away(row: tuple[Any, ...], positions: tuple[int, ...], folder: str | None) -> tuple[Any, ...]:
    """The row with markers in the places of those values at these positions that are too large for it."""
    changed: list[Any] | None = None
    for position in positions:
        value = row[position]
        if value.__class__ in (str, bytes) and len(value) > LIMIT:
            changed = changed or list(row)
            changed[position] = _marker(value, folder)
    return row if changed is None else tuple(changed)


def _marker(value: str | bytes, folder: str | None) -> Marker:
    if len(value) <= PIECE:
        return len(value), PersistentList([value])
    if folder is None:
        starts = range(0, len(value), PIECE)
        return len(value), PersistentList([PersistentList([value[start : start + PIECE]]) for start in starts])
    if isinstance(value, bytes):
        return len(value), _blob(value, folder)
    return len(value), _blob(value.encode("utf-8", "surrogatepass"), folder), TEXT


def _blob(data: bytes, folder: str) -> Blob:
    """A blob with that content, which is on disk already; its file goes with it unless it is committed."""
    descriptor, path = tempfile.mkstemp(prefix="BUC", dir=folder)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    blob = Blob()
    # Blob.open() would make the file in the system's folder for temporary files, and the commit would copy it.
    blob._p_blob_uncommitted = path

    def remove(_: object) -> None:
        with suppress(FileNotFoundError):
            os.unlink(path)

    blob._p_blob_ref = weakref.ref(blob, remove)
    return blob
