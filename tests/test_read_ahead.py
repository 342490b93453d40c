"""Leaves that a scan will come to are read together, and what is read is what one at a time would be."""

from __future__ import annotations

import datetime
import gc
import pickle
import uuid
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree, OOTreeSet
from persistent.list import PersistentList
from zodbpickle.pickle import loads

import zodbapi
from zodbapi.storage import cache, classes, file_views, read_ahead, record_reader, zodb_connection
from zodbapi.storage.file_log import RECORD
from zodbapi.storage.pickling import _REDUCED, NotPlain, pickle_values
from zodbapi.storage.record_form import LEAF_FORMS
from zodbapi.storage.record_reader import unpickle_values

ROWS = 20_000


@pytest.fixture
def path(tmp_path: Path) -> str:
    name = str(tmp_path / "scanned.fs")
    with zodbapi.connect(name) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, n INTEGER NOT NULL)")
        connection.execute("CREATE INDEX t_n ON t (n)")
        rows = ((i, f"text {i}", i * 7919 % ROWS) for i in range(ROWS))
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    connection.close()
    return name


@pytest.fixture
def unpickled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many leaves were read each time."""
    sizes: list[int] = []

    def counting(pickles: list[bytes]) -> Any:
        sizes.append(len(pickles))
        return unpickle_values(pickles)

    monkeypatch.setattr(read_ahead, "unpickle_values", counting)
    return sizes


def minimized(path: str) -> zodbapi.Connection:
    connection = zodbapi.connect(path)
    connection.execute("SELECT 1 FROM t WHERE id = 0").fetchall()  # which reads the schema
    connection._txn._connection._cache.minimize()
    return connection


@pytest.mark.parametrize("sql", ["SELECT sum(n), count(a) FROM t", "SELECT sum(n), count(n) FROM t WHERE n >= 0"])
def test_a_scan_reads_many_leaves_at_once(path: str, unpickled: list[int], sql: str) -> None:
    connection = minimized(path)
    assert connection.execute(sql).fetchone() == (ROWS * (ROWS - 1) // 2, ROWS)
    assert max(unpickled) == read_ahead.MOST + 1
    assert len(unpickled) < sum(unpickled) / 4
    connection.close()


def test_a_short_range_reads_little_in_vain(path: str, unpickled: list[int]) -> None:
    connection = minimized(path)
    assert connection.execute("SELECT count(a) FROM t WHERE id BETWEEN 3000 AND 3900").fetchone() == (901,)
    leaves = sum(unpickled)
    connection._txn._connection._cache.minimize()
    connection._txn._connection._ahead = read_ahead.ReadAhead(connection._txn._connection._reader)
    unpickled.clear()
    for i in range(3000, 3901):
        connection.execute("SELECT a FROM t WHERE id = ?", (i,)).fetchall()
    assert leaves <= sum(unpickled) * 5 / 4
    connection.close()


def test_look_ups_read_nothing_ahead(path: str, unpickled: list[int]) -> None:
    connection = minimized(path)
    for i in range(0, ROWS, 997):
        assert connection.execute("SELECT a FROM t WHERE id = ?", (i,)).fetchone() == (f"text {i}",)
    assert set(unpickled) == {1}
    connection.close()


def test_leaves_ahead_belong_to_their_snapshot(path: str) -> None:
    first, second = minimized(path), zodbapi.connect(path)
    cursor = first.execute("SELECT a FROM t WHERE id < 15000 AND n >= 0 ORDER BY id LIMIT 5000")
    assert len(cursor.fetchall()) == 5000
    assert first._txn._connection._ahead._ready
    with second:
        second.execute("UPDATE t SET a = 'new'")
    assert first.execute("SELECT count(*) FROM t WHERE a = 'new'").fetchone() == (ROWS,)
    first.close()
    second.close()


def test_what_is_ahead_is_not_what_the_transaction_has_changed(path: str) -> None:
    connection = minimized(path)
    connection.execute("UPDATE t SET a = 'mine' WHERE id % 100 = 0")
    assert connection.execute("SELECT count(*) FROM t WHERE a = 'mine'").fetchone() == (ROWS // 100,)
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM t WHERE a = 'mine'").fetchone() == (0,)
    connection.close()


def test_an_error_ahead_is_raised_where_it_belongs(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = minimized(path)
    loads_left = 200
    record = RECORD.unpack_from

    def failing(*args: Any) -> Any:
        nonlocal loads_left
        loads_left -= 1
        if loads_left < 0:
            raise OSError("no disk")
        return record(*args)

    monkeypatch.setattr(file_views, "RECORD", SimpleNamespace(unpack_from=failing))
    seen: list[int] = []
    connection.create_function("see", 1, lambda value: seen.append(value) or value)
    with pytest.raises(zodbapi.OperationalError):
        connection.execute("SELECT sum(see(id)) FROM t").fetchall()
    assert seen == list(range(len(seen)))
    assert len(seen) > 2000
    monkeypatch.undo()
    assert connection.execute("SELECT count(a) FROM t").fetchone() == (ROWS,)
    connection.close()


# --- records ------------------------------------------------------------------------------------------------------------


def test_records_of_leaves_have_the_form_that_is_read_ahead(path: str) -> None:
    connection = minimized(path)
    txn = connection._txn
    table = txn.schema.table("t")
    connection.execute("BEGIN")
    for tree in (txn.rows(table.id), txn.index(table.indexes[0].id)):
        leaf = tree._firstbucket
        record, _ = txn._connection._storage.load(leaf._p_oid)
        form = LEAF_FORMS[type(leaf)]
        values, following = leaf.__getstate__()
        assert form.next_id(record) == following._p_oid
        assert unpickle_values([form.values(record)] * 3) == (values,) * 3
    connection.close()


VALUES = (
    datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 1, tzinfo=datetime.UTC), datetime.datetime(2024, 2, 29, 1),
    datetime.time(1, 2, 3), datetime.timedelta(1), Decimal("1.10"), uuid.UUID(int=7), "text", b"h\x00h\x01h\x02h\x0a",
    {"a": [1, {"b": None}]}, True, 1.5, -(2**63),
)  # fmt: skip


@pytest.mark.parametrize("value", [*VALUES, VALUES, VALUES * 2], ids=repr)
def test_any_unpickler_reads_the_values(value: Any) -> None:
    found = pickle_values(value)
    assert pickle.loads(found) == loads(found) == value
    assert unpickle_values([found[2:-1]]) == (value,)
    assert type(pickle.loads(found)) is type(value)


@pytest.mark.parametrize("cls", _REDUCED, ids=lambda cls: cls.__name__)
def test_short_ways_reduce_as_the_classes_do(cls: type) -> None:
    (*found,) = (value for value in VALUES if type(value) is cls)
    assert found
    assert [_REDUCED[cls](value) for value in found] == [value.__reduce_ex__(3)[:3] for value in found]


def test_classes_are_named_once() -> None:
    found = pickle_values([datetime.date(2024, 2, i) for i in range(1, 29)])
    assert found.count(b"date\n") == 1


def test_a_long_text_that_rows_share_is_stored_once() -> None:
    shared = "a default " * 10
    rows: list[Any] = []
    for i in range(30):
        rows += [i, (i, shared, datetime.date(2024, 2, 1))]
    found = pickle_values(tuple(rows))
    assert found.count(shared.encode()) == 1
    assert pickle.loads(found) == tuple(rows)
    assert unpickle_values([found[2:-1]] * 2) == (tuple(rows),) * 2


def test_records_have_nothing_to_do_with_those_read_before() -> None:
    dates = pickle_values((datetime.date(2024, 2, 1),))[2:-1]
    large = pickle_values(("x" * 200_000, "y"))[2:-1]
    for damaged in (b"h\x00", dates[:-3], b"(", b"t" * 5, large[:-10], b"h\x00" + dates):
        assert unpickle_values([dates, large]) == ((datetime.date(2024, 2, 1),), ("x" * 200_000, "y"))
        assert unpickle_values([damaged]) is None
        assert unpickle_values([b"h\x00"]) is None  # what another record has noted


def test_reading_values_while_values_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    day = datetime.date(2024, 2, 1)
    inner = pickle_values((1, "one"))[2:-1]
    read: list[Any] = []

    def find_class(*name: Any) -> Any:
        read.append(unpickle_values([inner]))
        return classes.find_class(*name)

    monkeypatch.setattr(record_reader, "find_class", find_class)
    assert unpickle_values([pickle_values((day, day))[2:-1]]) == ((day, day),)
    assert read == [((1, "one"),)]


@pytest.mark.parametrize(
    "value", [PersistentList(), LOBTree(), OOBTree(), OOTreeSet()], ids=lambda value: type(value).__name__
)
def test_persistent_values_are_refused_and_nothing_stays_of_them(value: Any) -> None:
    deep: list[Any] = [value]
    for _ in range(60):
        deep = [deep]
    for _ in range(60):
        with pytest.raises(NotPlain):
            pickle_values(deep)
    for _ in range(60):
        flat: list[Any] = []
        for _ in range(60):
            flat = [flat]
        assert pickle.loads(pickle_values(flat)) == flat


# --- what stays in memory -------------------------------------------------------------------------------------------------


def test_scans_keep_what_came_first(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "PASSING", 400_000)
    passing = cache.Passing()
    connection = minimized(path)
    txn = connection._txn
    connection.execute("BEGIN")
    tree = txn.rows(txn.schema.table("t").id)
    txn._connection._cache.minimize()
    with txn.passing(passing):
        for _ in tree.values():
            pass
    leaves = []
    leaf = tree._firstbucket
    while leaf is not None:
        leaves.append(leaf._p_changed is not None)
        state = leaf.__getstate__()
        leaf = state[1] if len(state) > 1 else None
    kept = leaves.index(False)
    assert 10 < kept < len(leaves) / 2
    assert not any(leaves[kept : -cache.NEAR - 1])
    connection.close()


def test_entries_of_a_large_load_are_made_again(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zodb_connection, "SCATTERED", 100)
    connection = minimized(path)
    index = connection._txn.schema.table("t").indexes[0].id
    for rows, are_copies in ((10, False), (10_000, True)):
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET n = n + 1000000 WHERE id < ?", (rows,))
        tree = connection._txn._indexes[index]
        before = list(tree.keys())
        connection.commit()
        after = list(tree.keys())
        assert after == before
        assert all(a is not b for a, b in zip(after, before, strict=True)) is are_copies
        assert tree._firstbucket._p_changed is False
        assert connection.execute("SELECT count(*) FROM t WHERE n >= 1000000").fetchone() == (rows,)
        connection.execute("UPDATE t SET n = n - 1000000 WHERE n >= 1000000")
        connection.commit()
    connection.close()
    with zodbapi.connect(path) as connection:
        assert connection.execute("SELECT count(*), sum(n) FROM t WHERE n >= 0").fetchone() == (
            ROWS,
            ROWS * (ROWS - 1) // 2,
        )
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_the_collector_rests_while_many_leaves_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "rest.fs")
    with zodbapi.connect(path) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, u UUID)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(i, uuid.UUID(int=i)) for i in range(5000)])
    connection.close()
    running: list[bool] = []

    def find_class(_self: Any, module: str, name: str) -> Any:
        running.append(gc.isenabled())
        return classes.find_class(None, module, name)

    monkeypatch.setattr(record_reader._ValuesUnpickler, "find_class", find_class)
    connection = minimized(path)
    assert len(connection.execute("SELECT u FROM t WHERE id >= 0").fetchall()) == 5000
    connection.close()
    assert not all(running)
    assert gc.isenabled()
