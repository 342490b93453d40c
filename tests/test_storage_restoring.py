"""Rolling back in memory: afterwards every object is what its record in the storage is."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest
from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree, OOTreeSet

import zodbapi
from zodbapi.storage.leaves import find_leaf

SCHEMA = """
    CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a INTEGER, b TEXT UNIQUE);
    CREATE INDEX t_a ON t (a);
    CREATE TABLE child (id INTEGER PRIMARY KEY, t_id INTEGER REFERENCES t ON DELETE CASCADE);
"""


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for tree in (OOTreeSet, OOBTree):
        monkeypatch.setattr(tree, "max_leaf_size", 30)  # for many splits
    made = zodbapi.connect(str(tmp_path / "db.fs"), autocommit=True)
    made.executescript(SCHEMA)
    made.executemany("INSERT INTO t (a, b) VALUES (?, ?)", [(i % 7, f"b{i}") for i in range(500)])
    made.executemany("INSERT INTO child (t_id) VALUES (?)", [(i,) for i in range(1, 500, 3)])
    yield made
    made.close()


def content(connection: Any) -> list[Any]:
    return [
        connection.execute(query).fetchall()
        for query in (
            "SELECT * FROM t",
            "SELECT a, id FROM t ORDER BY a, id",
            "SELECT b FROM t ORDER BY b",
            "SELECT * FROM child",
        )
    ]


WRITES = (
    "UPDATE t SET a = a + 1 WHERE id = {n}",
    "UPDATE t SET b = b || 'x' WHERE id = {n}",
    "INSERT INTO t (a, b) VALUES ({n}, 'new{n}')",
    "DELETE FROM t WHERE id = {n}",
    "UPDATE t SET a = 3 WHERE a = 2",
    "DELETE FROM t WHERE id BETWEEN {n} AND {n} + 80",
    "CREATE INDEX t_ab ON t (a, b)",
)


def test_random_transactions(connection: Any, tmp_path: Path) -> None:
    rng = random.Random(5)
    for number in range(120):
        before = content(connection)
        connection.begin()
        try:
            for _ in range(rng.choice((1, 1, 2, 5, 60))):
                write = rng.choice(WRITES[: 4 if number % 3 else None])
                connection.execute(write.format(n=rng.randint(1, 520)))
        except zodbapi.Error:
            pass
        if number % 4 == 3:
            connection.commit()
        else:
            connection.rollback()
            assert content(connection) == before
        if number % 10 == 0:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    expected = content(connection)
    connection.close()
    again = zodbapi.connect(str(tmp_path / "db.fs"))
    assert content(again) == expected
    assert again.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    again.close()


def leaf_of(connection: Any, rowid: int) -> Any:
    txn = connection._txn
    connection.begin()
    leaf = find_leaf(txn.rows(txn.schema.table("t").id), rowid)
    connection.rollback()
    return leaf


def test_leaves_need_not_be_read_again(connection: Any) -> None:
    leaf = leaf_of(connection, 250)
    connection.begin()
    connection.execute("UPDATE t SET a = 9 WHERE id = 250")
    assert leaf._p_changed
    connection.rollback()
    assert leaf._p_changed is False
    assert leaf[250][1] == 249 % 7


def nodes(tree: Any) -> Any:
    """The nodes of a tree that are in memory."""
    if tree._p_changed is None:
        return
    yield tree
    state = tree.__getstate__()
    if hasattr(tree, "_firstbucket") and state is not None and len(state) > 1:
        for child in state[0][::2]:
            yield from nodes(child)


def shape(node: Any) -> Any:
    """The state of a node, with object ids in the places of nodes."""

    def shown(item: Any) -> Any:
        if type(item) is tuple:
            return tuple(map(shown, item))
        return ("oid", item._p_oid) if hasattr(item, "_p_oid") else item

    return shown(node.__getstate__())


def assert_as_stored(connection: Any) -> None:
    """Every node that is not said to have changed is what its record is."""
    database = connection._txn.database
    other = database._db.open()
    try:
        entry = connection._txn.entry
        for tree in [*entry["rows"].values(), *entry["indexes"].values()]:
            for node in nodes(tree):
                assert not node._p_changed
                if node._p_oid is not None:
                    stored = other.get(node._p_oid)
                    assert shape(node) == shape(stored), node
    finally:
        other.close()


GROWTH = (
    "INSERT INTO t (a, b) VALUES ({n}, 'b{n}x')",
    "INSERT INTO t (id, a, b) VALUES ({n} + 1000, {n}, 'b{n}y')",
    "INSERT INTO child (t_id) VALUES ({n} % 400 + 1)",
    "INSERT INTO small (a) VALUES ({n})",
    "UPDATE t SET a = a + 3 WHERE id = {n}",
    "UPDATE t SET a = 7 WHERE a = 2 AND id < 60",
    "DELETE FROM t WHERE id = {n}",
    "DELETE FROM t WHERE id BETWEEN {n} AND {n} + 40",
)


@pytest.mark.parametrize("seed", range(12))
def test_after_a_rollback_memory_is_as_the_storage(connection: Any, seed: int) -> None:
    rng = random.Random(seed)
    connection.execute("CREATE TABLE small (id INTEGER PRIMARY KEY, a INTEGER)")
    connection.execute("CREATE INDEX small_a ON small (a)")
    joined = 0
    for _ in range(40):
        before = content(connection)
        leaf = leaf_of(connection, connection.execute("SELECT max(id) FROM t").fetchone()[0])
        connection.begin()
        writes, savepoints = GROWTH[: rng.choice((1, 3, 4, 6, 8))], rng.choice((0, 0, 0.2))
        try:
            for _ in range(rng.choice((1, 3, 10, 70))):
                if rng.random() < savepoints:
                    connection.execute(rng.choice(("SAVEPOINT s", "SAVEPOINT s", "ROLLBACK TO s")))
                connection.execute(rng.choice(writes).format(n=rng.randint(1, 520)))
        except (zodbapi.IntegrityError, zodbapi.OperationalError):  # no savepoint yet
            pass
        inner = [node for node in connection._txn._connection._registered_objects if len(node.__getstate__() or ()) > 1]
        was_split = any(hasattr(node, "_firstbucket") for node in inner)
        if rng.random() < 0.3:
            connection.commit()
        else:
            connection.rollback()
            joined += was_split and leaf._p_changed is False  # a tree was split, and nothing has to be read again
            assert content(connection) == before
            assert_as_stored(connection)
    assert joined
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


MANY = (
    "UPDATE t SET a = a + 1",
    "UPDATE t SET a = a % 3 WHERE id BETWEEN {n} AND {n} + 200",
    "UPDATE t SET b = b || 'x' WHERE id < {n}",
    "UPDATE t SET b = 'b' || (id + 1) WHERE id > {n}",
    "DELETE FROM t WHERE id > {n}",
    "DELETE FROM t WHERE id BETWEEN {n} - 100 AND {n}",
    "DELETE FROM child WHERE id > 0",
    "DELETE FROM child WHERE t_id < {n}",
    "INSERT INTO t (a, b) SELECT a, b || '-{n}' FROM t WHERE id < {n}",
    "INSERT INTO child (t_id) SELECT id FROM t",
    "UPDATE child SET t_id = t_id WHERE id = {n}",
)


@pytest.mark.parametrize("seed", range(20))
def test_trees_that_got_or_lost_many_nodes(
    connection: Any, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tree in (OOTreeSet, OOBTree, LOBTree):
        monkeypatch.setattr(tree, "max_leaf_size", 8)
        monkeypatch.setattr(tree, "max_internal_size", 4)
    rng = random.Random(seed)
    connection.execute("UPDATE t SET b = 'new' || b")  # deep trees
    kept = 0
    for _ in range(15):
        before = content(connection)
        connection.begin()
        for _ in range(rng.choice((1, 1, 2, 4))):
            if rng.random() < 0.1:
                connection.execute("SAVEPOINT s")
            with contextlib.suppress(zodbapi.IntegrityError):
                connection.execute(rng.choice(MANY).format(n=rng.randint(1, 520)))
            if rng.random() < 0.1:
                with contextlib.suppress(zodbapi.OperationalError):
                    connection.execute("ROLLBACK TO s")
        changed = list(connection._txn._connection._registered_objects)
        if rng.random() < 0.2:
            connection.commit()
            after = content(connection)
            assert_as_stored(connection)
            with contextlib.closing(zodbapi.connect(str(tmp_path / "db.fs"))) as other:
                assert content(other) == after
            continue
        connection.rollback()
        read_again = sum(node._p_changed is None for node in changed)
        kept += 0 < read_again < len(changed)
        if read_again < len(changed):
            assert_as_stored(connection)
        assert content(connection) == before
        assert_as_stored(connection)
    assert kept  # of some trees no node was read again, though others had lost or got some
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_all_leaves_of_a_tree_were_lost(connection: Any, tmp_path: Path) -> None:
    connection.executescript("CREATE TABLE few (id INTEGER PRIMARY KEY, a)")
    connection.executemany("INSERT INTO few VALUES (?, ?)", [(n, n) for n in range(100)])
    connection.execute("DELETE FROM few WHERE id % 2")  # two leaves, of which one could hold the rows
    connection.begin()
    connection.execute("DELETE FROM few WHERE a >= 0")
    connection.rollback()
    assert_as_stored(connection)
    other = zodbapi.connect(str(tmp_path / "db.fs"), autocommit=True)
    other.execute("UPDATE few SET a = -1 WHERE id IN (2, 98)")
    assert connection.execute("SELECT id FROM few WHERE a = -1").fetchall() == [(2,), (98,)]
    other.close()


def test_leaves_that_were_split_are_joined_again(connection: Any) -> None:
    leaf = leaf_of(connection, 500)
    keys = list(leaf)
    connection.begin()
    connection.executemany("INSERT INTO t (a, b) VALUES (?, ?)", [(i, f"b{i}x") for i in range(40)])
    assert leaf._p_changed
    assert list(leaf) != keys
    connection.rollback()
    assert leaf._p_changed is False
    assert list(leaf) == keys
    assert_as_stored(connection)


def test_leaves_that_were_split_before_a_savepoint_was_rolled_back(connection: Any) -> None:
    leaf = leaf_of(connection, 500)
    keys = list(leaf)
    connection.begin()
    connection.execute("SAVEPOINT s")
    connection.executemany("INSERT INTO t (a, b) VALUES (?, ?)", [(i, f"b{i}x") for i in range(40)])
    connection.execute("ROLLBACK TO s")
    assert list(leaf) != keys
    connection.rollback()
    assert leaf._p_changed is False
    assert list(leaf) == keys
    assert_as_stored(connection)


def test_leaves_that_were_split_often_are_read_again(connection: Any) -> None:
    leaf = leaf_of(connection, 500)
    connection.begin()
    connection.executemany("INSERT INTO t (a) VALUES (?)", [(i,) for i in range(200)])
    assert leaf._p_changed
    connection.rollback()
    assert leaf._p_changed is None
    assert connection.execute("SELECT max(id) FROM t").fetchall() == [(500,)]


def test_another_connection_sees_nothing_of_it(connection: Any, tmp_path: Path) -> None:
    other = zodbapi.connect(str(tmp_path / "db.fs"), autocommit=True)
    for number in range(3):
        connection.begin()
        connection.execute("UPDATE t SET a = -1 WHERE id = 7")
        connection.rollback()
        other.execute("UPDATE t SET a = ? WHERE id = 7", [number])
        assert connection.execute("SELECT a FROM t WHERE id = 7").fetchall() == [(number,)]
    other.close()


def test_serializable_transactions(connection: Any) -> None:
    connection.isolation_level = "SERIALIZABLE"
    before = content(connection)
    connection.begin()
    connection.execute("UPDATE t SET a = 5 WHERE id BETWEEN 3 AND 30")
    connection.execute("UPDATE child SET t_id = 4 WHERE id < 3")
    connection.rollback()
    assert content(connection) == before
    connection.begin()
    connection.execute("UPDATE t SET a = 5 WHERE id BETWEEN 3 AND 30")
    connection.commit()
    assert connection.execute("SELECT count(*) FROM t WHERE a = 5 AND id BETWEEN 3 AND 30").fetchall() == [(28,)]
