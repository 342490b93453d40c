"""Reads the leaves that a scan will come to next, several at a time.

In: the id of a leaf that is not in memory. Out: its state, transaction id and size.

Each leaf names the next one. Who asks for one leaf after the other is taken to go on, and gets a quarter as many leaves
ahead as it has asked for so far: what was read in vain is a small part of what was not. Leaves that are ahead wait outside
the object cache, for they belong to one snapshot and may never be wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from zodbapi.storage.reading import LEAF_FORMS, LeafForm, RecordReader, unpickle_values

MOST: Final = 32  # leaves ahead
_PART: Final = 4  # of the leaves that were read one after the other, this part is read ahead

Load = Callable[[bytes], tuple[bytes, bytes]]  # id -> record and transaction id, of one snapshot


class Loaded(NamedTuple):
    """What is known of a leaf that was read."""

    state: Any
    serial: bytes
    size: int  # of the record, in bytes


class _Run:
    """How far a scan of leaves of one class has come."""

    __slots__ = ("following", "length")

    def __init__(self) -> None:
        self.following: bytes | None = None
        self.length = 0

    def ahead(self, oid: bytes) -> int:
        """How many leaves to read after this one."""
        if oid != self.following:
            self.length = 0
            return 0
        self.length += 1
        return min(self.length // _PART, MOST)


class ReadAhead:
    """The leaves ahead of the scans of one connection."""

    def __init__(self, reader: RecordReader) -> None:
        self._reader = reader
        self._snapshot: Any = None
        self._ready: dict[bytes, Loaded] = {}
        self._runs = {cls: _Run() for cls in LEAF_FORMS}

    def leaf(self, oid: bytes, cls: type, load: Load, snapshot: Any) -> tuple[Loaded | None, bool]:
        """The leaf, and whether a scan came to it; None when its record has another form than those read here.

        ``snapshot`` is the same object for as long as ``load`` gives the same.
        """
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._ready.clear()
        elif found := self._ready.pop(oid, None):
            return found, True
        run = self._runs[cls]
        ahead = run.ahead(oid)
        return self._read(oid, cls, load, ahead), run.length > 0

    def _read(self, oid: bytes, cls: type, load: Load, ahead: int) -> Loaded | None:
        form, run = LEAF_FORMS[cls], self._runs[cls]
        record, serial = load(oid)
        following = form.next_id(record)
        run.following = following
        if following is None:
            return None
        if not ahead:
            values = unpickle_values([form.values(record)])
            if values is None:
                return None
            return Loaded((values[0], self._reader.ghost(following, cls)), serial, len(record))
        found = self._read_run([(oid, record, serial, following)], cls, form, load, ahead)
        self._ready.update(found)
        return self._ready.pop(oid, None)

    def _read_run(
        self, leaves: list[tuple[bytes, bytes, bytes, bytes]], cls: type, form: LeafForm, load: Load, ahead: int
    ) -> dict[bytes, Loaded]:
        """The leaf, and those after it that are not in memory."""
        run = self._runs[cls]
        for _ in range(ahead):
            oid = leaves[-1][3]
            if self._reader.is_loaded(oid):
                break
            try:
                record, serial = load(oid)
            except Exception:  # whoever comes to that leaf will see the error
                break
            following = form.next_id(record)
            if following is None:
                break
            leaves.append((oid, record, serial, following))
        run.following = leaves[-1][3]
        run.length += len(leaves) - 1
        values = unpickle_values([form.values(record) for _, record, _, _ in leaves])
        if values is None:
            return {}
        ghost = self._reader.ghost
        return {
            oid: Loaded((state, ghost(following, cls)), serial, len(record))
            for state, (oid, record, serial, following) in zip(values, leaves, strict=True)
        }
