"""Reads the leaves that a scan will come to next, several at a time.

In: the id of a leaf that is not in memory. Out: its state, transaction id and size.

Each leaf names the next one. Who asks for one leaf after the other is taken to go on, and gets a quarter as many leaves
ahead as it has asked for so far: what was read in vain is a small part of what was not. Leaves that are ahead wait outside
the object cache, for they belong to one snapshot and may never be wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from zodbapi.storage.record_form import LEAF_FORMS
from zodbapi.storage.record_reader import RecordReader, unpickle_values

MOST: Final = 32  # leaves ahead
_PART: Final = 4  # of the leaves that were read one after the other, this part is read ahead


class SnapshotStorage(Protocol):
    """A storage as one transaction sees it."""

    _start: bytes  # the transaction id before which everything is seen: the same object for as long as it sees the same

    def load(self, oid: bytes) -> tuple[bytes, bytes]:
        """Record and transaction id of an object."""


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


class ReadAhead:
    """The leaves ahead of the scans of one connection."""

    def __init__(self, reader: RecordReader) -> None:
        self._reader = reader
        self._seen: bytes | None = None
        self._ready: dict[bytes, Loaded] = {}
        self._runs = {cls: _Run() for cls in LEAF_FORMS}

    def leaf(self, oid: bytes, cls: type, snapshot: SnapshotStorage) -> tuple[Loaded | None, bool]:
        """The leaf, and whether a scan came to it; None when its record has another form than those read here."""
        if snapshot._start is not self._seen:
            self._seen = snapshot._start
            self._ready.clear()
        elif found := self._ready.pop(oid, None):
            return found, True
        run = self._runs[cls]
        if oid != run.following:
            run.length = 0
            return self._read_one(oid, cls, snapshot), False
        run.length += 1
        ahead = min(run.length // _PART, MOST)
        if not ahead:
            return self._read_one(oid, cls, snapshot), True
        self._read_run(oid, cls, snapshot, ahead)
        return self._ready.pop(oid, None) or self._read_one(oid, cls, snapshot), True

    def _read_one(self, oid: bytes, cls: type, snapshot: SnapshotStorage) -> Loaded | None:
        form = LEAF_FORMS[cls]
        record, serial = snapshot.load(oid)
        following = self._runs[cls].following = form.next_id(record)
        values = None if following is None else unpickle_values([form.values(record)])
        if following is None or values is None:
            return None
        return Loaded((values[0], self._reader.ghost(following, cls)), serial, len(record))

    def _read_run(self, oid: bytes, cls: type, snapshot: SnapshotStorage, ahead: int) -> None:
        """Read the leaf and those after it that are not in memory, unless that fails: whoever comes there will see why."""
        run, form, ghost = self._runs[cls], LEAF_FORMS[cls], self._reader.ghost
        next_id, values_in = form.next_id, form.values
        leaves: list[tuple[bytes, Any, bytes, int]] = []
        pickles: list[bytes] = []

        def follow(oid: bytes, record: bytes, serial: bytes) -> bytes | None:
            following = next_id(record)
            if following is None:
                return None
            leaf = ghost(following, cls)
            leaves.append((oid, leaf, serial, len(record)))
            pickles.append(values_in(record))
            run.following = following
            return None if len(leaves) > ahead or leaf._p_changed is not None else following

        with suppress(Exception):
            _chain(snapshot, oid, follow)
        values = unpickle_values(pickles) if pickles else None
        if values is None:
            return
        run.length += len(leaves) - 1
        for state, (oid, leaf, serial, size) in zip(values, leaves, strict=True):
            self._ready[oid] = Loaded((state, leaf), serial, size)


def _chain(snapshot: SnapshotStorage, oid: bytes, follow: Callable[[bytes, bytes, bytes], bytes | None]) -> None:
    """Give ``follow`` the record of the object, and those that it names one after the other."""
    chain = getattr(getattr(snapshot, "_storage", None), "chain", None)
    if chain is not None:
        chain(oid, snapshot._start, follow)
        return
    wanted: bytes | None = oid
    while wanted is not None:
        wanted = follow(wanted, *snapshot.load(wanted))
