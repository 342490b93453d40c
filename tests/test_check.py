"""What ``zodbapi.check`` finds in a damaged database, and what ``rebuild`` mends."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from BTrees.OOBTree import OOBTree, OOTreeSet
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage

import zodbapi
from zodbapi.storage.leaves import find_leaf

SCHEMA = """
CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE);
CREATE TABLE child (
    id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES parent (id), amount INTEGER NOT NULL CHECK (amount >= 0),
    double INTEGER GENERATED ALWAYS AS (amount * 2) STORED, place INTEGER UNIQUE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX child_amount ON child (amount) WHERE amount > 5;
CREATE INDEX child_lower ON child (amount % 3, parent);
INSERT INTO parent VALUES (1, 'a'), (2, 'b');
INSERT INTO child (id, parent, amount, place) VALUES (1, 1, 3, 1), (2, 2, 7, 2), (3, 1, 9, NULL), (4, 1, 9, NULL);
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    name = str(tmp_path / "db.fs")
    connection = zodbapi.connect(name)
    connection.executescript(SCHEMA)
    connection.close()
    yield name
    zodbapi.remove_database(name)


def ids(path: str) -> dict[str, int]:
    connection = zodbapi.connect(path)
    schema = connection.schema
    connection.close()
    return {
        **{name: table.id for name, table in schema.tables.items()},
        **{name: index.id for name, (_, index) in schema.indexes.items()},
    }


def damage(path: str, change: Callable[[Any, dict[str, int]], None]) -> None:
    """Change the trees behind the engine's back."""
    known = ids(path)
    connection = zodbapi.connect(path)
    connection.execute("BEGIN IMMEDIATE")
    change(connection._txn.entry, known)
    connection.commit()
    connection.close()


def set_row(table: str, rowid: int, row: Any) -> Callable[[Any, dict[str, int]], None]:
    def change(entry: Any, known: dict[str, int]) -> None:
        entry["rows"][known[table]][rowid] = row

    return change


def drop_row(table: str, rowid: int) -> Callable[[Any, dict[str, int]], None]:
    def change(entry: Any, known: dict[str, int]) -> None:
        del entry["rows"][known[table]][rowid]

    return change


def put_tree(index: str, tree: Any) -> Callable[[Any, dict[str, int]], None]:
    def change(entry: Any, known: dict[str, int]) -> None:
        if tree is None:
            del entry["indexes"][known[index]]
        else:
            entry["indexes"][known[index]] = tree

    return change


def add_entry(index: str, *entry: Any) -> Callable[[Any, dict[str, int]], None]:
    def change(database: Any, known: dict[str, int]) -> None:
        database["indexes"][known[index]].add(entry)

    return change


def test_a_sound_database(path: str) -> None:
    assert zodbapi.check(path) == []
    assert zodbapi.check(path, rebuild=True) == []
    connection = zodbapi.connect(path)
    assert zodbapi.check(connection) == []
    assert not connection.in_transaction
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


ROWS = {
    "orphan": (set_row("child", 1, (1, 5, 3, 6, 1)), "table child: row 1 refers to a row of parent that is not there"),
    "parent gone": (drop_row("parent", 2), "table child: row 2 refers to a row of parent that is not there"),
    "check": (
        set_row("child", 1, (1, 1, -3, -6, 1)),
        "table child: row 1 breaks a constraint: CHECK constraint failed",
    ),
    "null": (set_row("child", 1, (1, 1, None, None, 1)), "table child: row 1 breaks a constraint: NOT NULL constraint"),
    "type": (set_row("child", 1, (1, 1, "x", 6, 1)), "table child: row 1 breaks a constraint: "),
    "class": (set_row("child", 1, (1, True, 3, 6, 1)), "table child: row 1 has True in parent, where 1 belongs"),
    "generated": (set_row("child", 1, (1, 1, 3, 7, 1)), "table child: row 1 has 7 in double, where 6 belongs"),
    "width": (set_row("child", 1, (1, 1)), "table child: row 1 does not have 5 columns"),
    "no tuple": (set_row("child", 1, [1, 1]), "table child: row 1 does not have 5 columns"),
    "rowid": (set_row("parent", 2, (3, "b")), "table parent: row 2 says that it is 3"),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(path: str, name: str) -> None:
    change, problem = ROWS[name]
    damage(path, change)
    found = zodbapi.check(path)
    assert any(sentence.startswith(problem) for sentence in found), found


INDEXES = {
    "missing tree": (put_tree("child_amount", None), "index child_amount: its tree is missing"),
    "empty": (put_tree("child_amount", OOTreeSet()), "index child_amount: row 2 has no entry (7, 2)"),
    "wrong kind": (put_tree("child_amount", OOBTree()), "index child_amount: its tree is of the wrong kind"),
    "too many": (add_entry("child_amount", 3, 1), "index child_amount: entry (3, 1) has no row"),
    "row changed": (set_row("child", 3, (3, 1, 8, 16, None)), "index child_amount: row 3 has no entry (8, 3)"),
    "row gone": (drop_row("child", 3), "index child_amount: entry (9, 3) has no row"),
    "row new": (set_row("parent", 3, (3, "c")), "index sqlite_autoindex_parent_1: row 3 has no entry ('c', 3)"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_indexes_are_mended(path: str, name: str) -> None:
    change, problem = INDEXES[name]
    damage(path, change)
    assert problem in zodbapi.check(path)
    assert zodbapi.check(path, rebuild=True) == []
    assert zodbapi.check(path) == []


def test_two_rows_with_one_key(path: str) -> None:
    damage(path, set_row("parent", 2, (2, "a")))
    with pytest.raises(zodbapi.IntegrityError, match=r"^UNIQUE constraint failed: parent\.code$"):
        zodbapi.check(path, rebuild=True)
    damage(path, set_row("child", 2, (2, 2, 7, 14, 1)))

    def forget_place(entry: Any, known: dict[str, int]) -> None:
        tree = entry["indexes"][known["sqlite_autoindex_child_1"]]
        tree.clear()
        tree.update([((1,), 1), ((1,), 2), ((), 3), ((), 4)])

    damage(path, forget_place)
    assert "index sqlite_autoindex_child_1: rows 1 and 2 have the same key" in zodbapi.check(path)


def test_a_stray_tree(path: str) -> None:
    damage(path, lambda entry, known: entry["rows"].__setitem__(99, OOBTree()))
    assert zodbapi.check(path) == ["rows: id 99 belongs to nothing in the schema"]


def test_rows_of_another_kind(path: str) -> None:
    damage(path, lambda entry, known: entry["rows"].__setitem__(known["child"], OOBTree({1: (1, "row")})))
    assert any(problem.startswith("table child: row 1 does not") for problem in zodbapi.check(path))


def test_a_lost_object(path: str) -> None:
    """A leaf of the rows is gone from the file, as after an interrupted garbage collection."""
    connection = zodbapi.connect(path)
    connection.executemany("INSERT INTO parent VALUES (?, ?)", [(n, f"code {n}") for n in range(10, 500)])
    connection.commit()
    leaf = find_leaf(connection._txn.entry["rows"][connection.schema.tables["parent"].id], 300)
    leaf._p_activate()
    oid, serial = leaf._p_oid, leaf._p_serial
    connection.close()
    damaged = shutil.copy(path, f"{path}.damaged")
    storage, deletion = FileStorage(damaged), TransactionMetaData()
    storage.tpc_begin(deletion)
    storage.deleteObject(oid, serial, deletion)
    storage.tpc_vote(deletion)
    storage.tpc_finish(deletion)
    storage.close()
    found = zodbapi.check(damaged)
    assert any(re.match("table parent: damaged tree: .* is missing", problem) for problem in found), found
    zodbapi.remove_database(damaged)


def test_a_rebuild_of_a_connection_ends_the_transaction_that_it_began(path: str) -> None:
    damage(path, put_tree("child_amount", OOTreeSet()))
    with closing(zodbapi.connect(path)) as connection:
        assert connection.check(rebuild=True) == []
        assert not connection.in_transaction
        connection.begin()
        assert connection.check(rebuild=True) == []
        assert connection.in_transaction
    assert zodbapi.check(path) == []


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(zodbapi.OperationalError, match="there is no"):
        zodbapi.check(str(tmp_path / "none.fs"))
    assert not (tmp_path / "none.fs").exists()
