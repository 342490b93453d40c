"""Hostile files run no code, native values come back, and records are what ZODB would write."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import io
import os
import pickle
import uuid
from pathlib import Path
from typing import Any

import pytest
import ZODB
from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree, OOTreeSet
from ZODB.FileStorage import FileStorage
from ZODB.MappingStorage import MappingStorage
from ZODB.serialize import ObjectWriter

from tests.storage_worker import create, insert, until_done
from zodbapi import errors
from zodbapi.storage import classes, untrusted_file
from zodbapi.storage.database import Database
from zodbapi.storage.record_reader import RecordReader
from zodbapi.storage.record_writer import RecordWriter

VALUES = [
    None, True, 0, 2**63 - 1, -(2**63), 1.5, "", "text \N{GREEK SMALL LETTER ALPHA}", b"", b"\x00\xff", "x" * 1000,
    decimal.Decimal("1.10"), decimal.Decimal("-0"), datetime.date(2024, 2, 29), datetime.time(1, 2, 3, 4),
    datetime.datetime(2024, 2, 29, 1, 2, 3, 4), datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
    datetime.timedelta(days=-1, microseconds=1), uuid.UUID(int=7),
    uuid.UUID("945bf1f1-52fd-4263-ad8e-d7958309a5fd"), uuid.UUID("9e390d90-e71e-11f1-96c8-02fc00000001"),
]  # fmt: skip


class Exploit:
    """Unpickles as a call."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self._path,)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_native_values_come_back(tmp_path: Path, value: Any) -> None:
    path = str(tmp_path / "db.fs")
    database = Database.open(path)
    txn = database.begin_session()
    table = create(txn)
    txn.begin(write=True)
    txn.rows(table.id)[1] = (1, value)
    txn.commit()
    txn.close()
    database.close()
    database._stop()
    database = Database.open(path)
    txn = database.begin_session()
    txn.begin()
    found = txn.rows(table.id)[1][1]
    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value)
    txn.close()
    database.close()


def test_a_hostile_record_runs_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "db.fs")
    database = Database.open(path)
    txn = database.begin_session()
    table = create(txn)
    txn.close()
    database.close()
    database._stop()
    stock = ZODB.DB(FileStorage(path))
    with stock.transaction() as connection:
        rows = connection.root()["zodbapi"]["rows"][table.id]
        rows[1] = (1, Exploit(tmp_path / "run"))
        rows[2] = (2, Exploit(tmp_path / "run"))
        connection.root()["evil"] = Exploit(tmp_path / "root")
    stock.close()
    database = Database.open(path)
    txn = database.begin_session()
    txn.begin()
    with contextlib.suppress(errors.Error):
        repr(txn.rows(table.id)[1])
    txn.close()
    database.close()
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "root").exists()


def test_resolving_conflicts_runs_nothing(tmp_path: Path) -> None:
    storage = classes.GuardedResolution()
    tree = LOBTree({1: "a"})
    state, changed = io.BytesIO(), io.BytesIO()
    for file, value in ((state, "a"), (changed, Exploit(tmp_path / "run"))):
        pickle.dump(type(tree), file, 3)
        pickle.dump(((((1, value),),),), file, 3)
    storage.loadSerial = lambda oid, serial: changed.getvalue()
    with pytest.raises(ZODB.POSException.ConflictError):
        storage.tryToResolveConflict(b"\0" * 8, b"\2" * 8, b"\1" * 8, changed.getvalue())
    assert not (tmp_path / "run").exists()


def test_a_hostile_index_file_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(pickle.dumps(Exploit(tmp_path / "run"), 3))
    with pytest.raises((ValueError, SystemError)):  # zodbpickle turns one into the other
        untrusted_file.load_index(str(tmp_path / "index"))
    assert not (tmp_path / "run").exists()


def test_strangers_are_never_imported() -> None:
    found = classes.find_class(None, "antigravity", "geohash")
    assert issubclass(found, ZODB.broken.Broken)
    assert classes.find_class(None, "antigravity", "geohash") is found


@pytest.mark.parametrize("cls", [LOBTree, OOBTree, OOTreeSet])
@pytest.mark.parametrize("size", [0, 1, 30, 61, 500])
def test_records_hold_what_zodb_would_write(cls: Any, size: int) -> None:
    """Every record loads to the same state as ZODB's own."""
    connection = ZODB.DB(MappingStorage()).open()
    if cls is OOTreeSet:
        tree = cls((f"key {n:03}", n) for n in range(size))
    elif cls is OOBTree:
        tree = cls({f"key {n:03}": n for n in range(size)})
    else:
        tree = cls({n: (n, VALUES[n % len(VALUES)], "repeated", "repeated") for n in range(size)})
    connection.root()["tree"] = tree
    connection.transaction_manager.commit()
    leaf, seen = getattr(tree, "_firstbucket", None), []
    while leaf is not None:
        seen.append(leaf)
        leaf = getattr(leaf, "_next", None)
    for item in (tree, *(leaf for leaf in seen if leaf._p_oid)):
        item._p_activate()
        ours, theirs = RecordWriter(item).serialize(item), ObjectWriter(item).serialize(item)
        reader = connection._reader
        our_reader = RecordReader(connection, connection._cache, classes.find_class)
        for record in (ours, theirs):
            assert our_reader.getState(record) == reader.getState(record)
        assert reader.getClassName(ours) == reader.getClassName(theirs)
        assert reader.getState(ours) == reader.getState(theirs)
        assert ZODB.serialize.referencesf(ours) == ZODB.serialize.referencesf(theirs)
    connection.close()


def test_commits_write_our_records(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    leaf = RecordWriter._leaf

    def noted(self: RecordWriter, cls: type, state: Any) -> bytes:
        written.append(cls)
        return leaf(self, cls, state)

    monkeypatch.setattr(RecordWriter, "_leaf", noted)
    database = Database.open(":memory:")
    txn = database.begin_session()
    table = create(txn)
    txn.begin()
    for number in range(100):
        insert(txn, table, f"word {number}")
    txn.commit()
    txn.close()
    database.close()
    assert written


def test_what_a_reader_raises_is_why_it_failed() -> None:
    """Not that the unpickler, once it has failed, could not go on reading."""
    connection = ZODB.DB(MappingStorage()).open()
    reader = RecordReader(connection, connection._cache, classes.find_class)
    of_class = pickle.dumps(OOTreeSet, 3)
    with pytest.raises(ZODB.POSException.StateLoadError) as raised:
        reader.getState(of_class + b"\x80\x03X\x02\x00\x00\x00\xff\xff.")
    assert isinstance(raised.value.__cause__, UnicodeDecodeError)
    with pytest.raises(ZODB.POSException.POSKeyError):
        reader.getState(of_class + b"\x80\x03C\x08\x00\x00\x00\x00\x00\x00\x00\x09Q.")
    connection.close()


def test_until_done_retries() -> None:
    database = Database.open(":memory:")
    txn = database.begin_session()
    outcomes = iter([errors.ConflictError("once"), None])

    def work(_txn: Any) -> None:
        outcome = next(outcomes)
        if outcome:
            raise outcome

    assert until_done(txn, work) == 2
    txn.close()
    database.close()
