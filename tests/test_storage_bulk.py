"""Changing a set leaf by leaf leaves what changing it entry by entry does, and emptying a table what deleting each row does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from BTrees.check import check
from BTrees.OOBTree import OOTreeSet

import zodbapi
from zodbapi.catalog import Table
from zodbapi.storage import bulk
from zodbapi.storage.bulk import move_by_leaf
from zodbapi.storage.leaves import find_leaves
from zodbapi.storage.transaction import Transaction

Entry = tuple[int, int]


def tree_of(entries: list[Entry]) -> OOTreeSet:
    tree = OOTreeSet()
    tree.update(entries)
    return tree


def entries_of(size: int, rng: random.Random) -> list[Entry]:
    return sorted({(rng.randint(0, size), rowid) for rowid in range(size)})


@pytest.mark.parametrize("seed", range(60))
def test_entries_move(seed: int) -> None:
    rng = random.Random(seed)
    entries = entries_of(rng.choice((0, 1, 50, 89, 200, 3000)), rng)
    for _ in range(4):
        part = rng.choice((0.0, 0.01, 0.1, 0.5, 0.97, 1.0))
        low = rng.choice((0, len(entries) // 2))
        gone = [entry for entry in entries[low:] if rng.random() < part]
        shift = rng.choice((-3000, -1, 1, 5, 1000))
        added = sorted({(key + shift, rowid + 1_000_000) for key, rowid in gone if rng.random() < 0.8})
        added = sorted({*added, *((rng.randint(-9, 3000), -n) for n in range(rng.choice((0, 3, 500))))} - set(entries))
        tree = tree_of(entries)
        move_by_leaf(tree, gone, added)
        entries = sorted((set(entries) - set(gone)) | set(added))
        assert list(tree) == entries
        tree._check()
        check(tree)


@pytest.mark.parametrize("seed", range(60))
def test_nodes_with_one_new_leaf(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OOTreeSet, "max_leaf_size", 8)
    monkeypatch.setattr(OOTreeSet, "max_internal_size", 4)
    rng = random.Random(seed)
    entries = entries_of(400, rng)
    tree = tree_of(entries)
    for _ in range(6):
        low = rng.randint(0, 300)
        gone = [entry for entry in entries[low : low + 200] if rng.random() < 0.95]
        added = sorted({(key + 1, rowid + 1_000_000) for key, rowid in gone if rng.random() < 0.3} - set(entries))
        move_by_leaf(tree, gone, added)
        entries = sorted((set(entries) - set(gone)) | set(added))
        assert list(tree) == entries
        assert [key for leaf in find_leaves(tree) for key in leaf.keys()] == entries  # noqa: SIM118 - a leaf
        check(tree)


def test_most_leaves_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    single: list[Entry] = []
    one_by_one = bulk.move_one_by_one
    monkeypatch.setattr(
        bulk, "move_one_by_one", lambda tree, gone, added: (single.extend(gone), one_by_one(tree, gone, added))
    )
    entries = [(n // 3, n) for n in range(3000)]
    move_by_leaf(tree_of(entries), entries, [(key + 1, rowid) for key, rowid in entries])
    assert len(single) < 100


@pytest.mark.parametrize("size", [1, 50, 3000])
@pytest.mark.parametrize("missing", [(-1, 0), (20, -1), (10_000, 0)])
def test_an_entry_that_is_not_there_is_an_error(size: int, missing: Entry) -> None:
    entries = [(n, 0) for n in range(size)]
    for gone in ([missing], sorted([missing, *entries])):
        with pytest.raises(KeyError):
            move_by_leaf(tree_of(entries), gone, [])
    with pytest.raises(KeyError):
        move_by_leaf(OOTreeSet(), [missing] * 10, [])


# --- emptying a table -----------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> str:
    name = str(tmp_path / "t.fs")
    connection = zodbapi.connect(name, isolation_level=None)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a INTEGER, b TEXT UNIQUE)")
    connection.execute("CREATE INDEX t_a ON t (a)")
    connection.executemany("INSERT INTO t (a, b) VALUES (?, ?)", [(n % 7, f"b{n}") for n in range(1500)])
    connection.close()
    return name


@pytest.fixture
def emptied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables that were emptied at once."""
    found: list[str] = []
    empty = Transaction.empty

    def noted(txn: Transaction, table: Table) -> None:
        found.append(table.name)
        empty(txn, table)

    monkeypatch.setattr(Transaction, "empty", noted)
    return found


SEEN = ("SELECT count(*), sum(a), max(id) FROM t", "SELECT id FROM t WHERE a = 3", "SELECT id FROM t WHERE b = 'b7'")


def seen(connection: zodbapi.Connection) -> list[object]:
    return [connection.execute(query).fetchall() for query in SEEN]


@pytest.mark.parametrize("text", ["DELETE FROM t", "DELETE FROM t WHERE id > 0"], ids=["at once", "row by row"])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "ROLLBACK TO s"])
def test_delete_of_all_rows(path: str, emptied: list[str], text: str, end: str) -> None:
    connection, other = (zodbapi.connect(path, isolation_level=None) for _ in range(2))
    before = seen(connection)
    other.execute("BEGIN")
    assert seen(other) == before
    connection.execute("BEGIN")
    connection.execute("SAVEPOINT s")
    assert connection.execute(text).rowcount == 1500
    assert connection.execute("SELECT changes(), total_changes()").fetchone() == (1500, 1500)
    empty = [[(0, None, None)], [], []]
    assert seen(connection) == empty
    connection.execute("INSERT INTO t (a, b) VALUES (3, 'b7')")
    after = seen(connection)
    assert after == [[(1, 3, 1501)], [(1501,)], [(1501,)]]
    connection.execute(end)
    if end == "ROLLBACK TO s":
        connection.execute("COMMIT")
    assert seen(other) == before  # its snapshot
    other.execute("COMMIT")
    assert seen(connection) == seen(other) == (after if end == "COMMIT" else before)
    for each in (connection, other):
        each.execute("INSERT INTO t (a, b) VALUES (3, 'b8') ON CONFLICT DO NOTHING")
    assert zodbapi.check(connection) == []
    connection.close()
    other.close()
    assert zodbapi.check(path) == []
    assert emptied == (["t"] if text == "DELETE FROM t" else [])


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("CREATE TABLE child (t_id INTEGER REFERENCES t)", "DELETE FROM t"),
        ("CREATE TABLE gone (id); CREATE TRIGGER d AFTER DELETE ON t BEGIN INSERT INTO gone VALUES (old.id); END",
         "DELETE FROM t"),
        ("", "DELETE FROM t RETURNING id"),
        ("DELETE FROM t WHERE id > 900", "DELETE FROM t"),
    ],
    ids=["referred to", "trigger", "returning", "few rows"],
)  # fmt: skip
def test_rows_that_matter_are_deleted_each(path: str, emptied: list[str], more: str, text: str) -> None:
    connection = zodbapi.connect(path, isolation_level=None)
    connection.executescript(more)
    rows = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    cursor = connection.execute(text)
    assert len(cursor.fetchall()) == rows if "RETURNING" in text else cursor.rowcount == rows
    if "TRIGGER" in more:
        assert connection.execute("SELECT count(*) FROM gone").fetchone() == (rows,)
    assert emptied == []
    connection.close()


def test_a_writer_on_an_older_snapshot_conflicts(path: str, emptied: list[str]) -> None:
    connection, other = (zodbapi.connect(path, isolation_level=None) for _ in range(2))
    other.execute("BEGIN")
    seen(other)
    connection.execute("DELETE FROM t")
    assert emptied == ["t"]
    with pytest.raises(zodbapi.ConflictError):
        other.execute("INSERT INTO t (a, b) VALUES (1, 'new')")
        other.execute("COMMIT")
    other.execute("INSERT INTO t (a, b) VALUES (1, 'new')")
    assert connection.execute("SELECT b FROM t").fetchall() == [("new",)]
    connection.close()
    other.close()
    assert zodbapi.check(path) == []
