"""Opening, sharing, copying and closing databases; files that are not what they should be."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import ZODB
from persistent.mapping import PersistentMapping
from ZODB.FileStorage import FileStorage

from tests.storage_worker import create, insert, problems, schema_of, until_done, update
from zodbapi import errors
from zodbapi.catalog import Schema
from zodbapi.storage import ddl
from zodbapi.storage.database import Database


def rows_of(dsn: str, **options: Any) -> list[Any]:
    """The rows of table t of a database that is opened for this."""
    database = Database.open(dsn, **options)
    txn = database.begin_session()
    txn.begin()
    assert problems(txn) == []
    table = txn.schema.table("t")
    found = [] if table is None else list(txn.rows(table.id).values())
    txn.close()
    database.close()
    return found


def make(dsn: str, *words: str) -> Database:
    """A database with these words in table t, each from a transaction of its own."""
    database = Database.open(dsn)
    txn = database.begin_session()
    table = create(txn)
    for word in words:
        until_done(txn, lambda t, word=word: insert(t, table, word))
    txn.close()
    return database


def forget(database: Database) -> None:
    """Close a database and do not keep it among the idle ones."""
    database.close()
    database._stop()


# --- sharing ------------------------------------------------------------------------------------------------------------


def test_memory_is_private() -> None:
    first = make(":memory:", "a")
    assert rows_of(":memory:") == []
    first.close()


def test_named_memory_is_shared_until_the_last_close() -> None:
    first = make("memory://shared", "a")
    assert rows_of("memory://shared") == [(1, "a")]
    first.close()
    assert rows_of("memory://shared") == []


def test_a_path_is_one_database_under_all_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(str(tmp_path / "db.fs"))
    (tmp_path / "link").symlink_to(tmp_path / "db.fs")
    monkeypatch.chdir(tmp_path)
    for name in ("db.fs", "./db.fs", "link"):
        second = Database.open(name)
        assert second is first
        second.close()
    first.close()


def test_an_idle_database_is_reused_and_a_replaced_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "db.fs"
    first = make(str(path), "a")
    first.close()
    again = Database.open(str(path))
    assert again is first
    again.close()
    path.unlink()
    assert rows_of(str(path)) == []


def test_sessions_of_a_closed_database_say_so() -> None:
    database = make(":memory:")
    txn = database.begin_session()
    database.close()
    with pytest.raises(errors.InterfaceError, match="closed"):
        txn.begin()
    txn.close()


@pytest.mark.parametrize("dsn", ["file://{}/u.fs", "demo:(file://{}/b.fs)/(file://{}/c.fs)", "{}/plain.fs"])
def test_uris(dsn: str, tmp_path: Path) -> None:
    dsn = dsn.replace("{}", str(tmp_path))
    forget(make(dsn, "a", "b"))
    assert rows_of(dsn) == [(1, "a"), (2, "b")]


def test_the_rest_of_the_root_is_the_users(tmp_path: Path) -> None:
    path = str(tmp_path / "db.fs")
    stock = ZODB.DB(FileStorage(path))
    with stock.transaction() as connection:
        connection.root()["mine"] = PersistentMapping({"stranger": Stranger(1)})
        connection.root()["plain"] = Stranger(2)
        connection.root()["persistent"] = PersistentStranger()
        connection.root()["persistent"].value = 3
    stock.close()
    forget(make(path, "a"))
    stock = ZODB.DB(FileStorage(path))
    with stock.transaction() as connection:
        root = connection.root()
        assert root["mine"]["stranger"].value == 1
        assert root["plain"].value == 2
        assert root["persistent"].value == 3
        assert "zodbapi" in root
    stock.close()
    assert rows_of(path) == [(1, "a")]


class Stranger:
    """A class of the user's that ours must not load."""

    def __init__(self, value: int) -> None:
        self.value = value


class PersistentStranger(PersistentMapping):  # type: ignore[misc]
    """The same, with a record of its own."""


# --- copies and forks of databases in memory --------------------------------------------------------------------------------


def test_copies_do_not_see_each_other() -> None:
    first = make("memory://first", "a")
    second, third = first.copy(), first.copy_as("memory://third")
    for database, word in ((first, "b"), (second, "c"), (third, "d")):
        txn = database.begin_session()
        table = schema_of(txn)["t"]
        until_done(txn, lambda t, table=table, word=word: insert(t, table, word))
        txn.begin()
        assert [row[1] for row in txn.rows(table.id).values()] == ["a", word]
        txn.close()
    assert rows_of("memory://third") == [(1, "a"), (2, "d")]
    for database in (first, second, third):
        database.close()


def test_a_forked_child_has_a_copy_of_memory() -> None:
    database = make("memory://forked", "a")
    txn = database.begin_session()
    table = schema_of(txn)["t"]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            until_done(txn, lambda t: insert(t, table, "b"))
            txn.begin()
            status = 0 if len(txn.rows(table.id)) == 2 else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    txn.begin()
    assert len(txn.rows(table.id)) == 1
    txn.close()
    database.close()


# --- what cannot be opened ----------------------------------------------------------------------------------------------------


def test_errors_of_opening(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello, I am no database")
    cases = [
        (str(text), "^file is not a database: "),
        (str(tmp_path), "^unable to open database file: .* is a directory$"),
        (str(tmp_path / "no" / "db.fs"), "^unable to open database file: there is no directory "),
        ("neo://nowhere", "^unable to open database file: "),
        ("zconfig:///does/not/exist", "^unable to open database file: "),
    ]
    for dsn, message in cases:
        with pytest.raises(errors.OperationalError, match=message):
            Database.open(dsn)
    assert text.read_text() == "hello, I am no database"
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_unknown_options_are_refused() -> None:
    with pytest.raises(errors.InterfaceError, match=r"^unknown option: colour$"):
        Database.open(":memory:", colour="blue")


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "db.fs").touch()
    assert rows_of(str(tmp_path / "db.fs")) == []
    make(str(tmp_path / "db.fs"), "a").close()
    assert rows_of(str(tmp_path / "db.fs")) == [(1, "a")]


def test_reading_only(tmp_path: Path) -> None:
    path = str(tmp_path / "db.fs")
    forget(make(path, "a"))
    database = Database.open(path, read_only=True)
    txn = database.begin_session()
    txn.begin()
    with pytest.raises(errors.OperationalError, match=r"^attempt to write a readonly database$"):
        txn.start_writing()
    txn.close()
    assert rows_of(path, read_only=True) == [(1, "a")]
    forget(database)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "db.fs")
    forget(make(path))
    stock = ZODB.DB(FileStorage(path))
    with stock.transaction() as connection:
        connection.root()["zodbapi"]["format"] = 99
    stock.close()
    before = Path(path).read_bytes()
    with pytest.raises(errors.OperationalError, match="unsupported file format 99"):
        rows_of(path)
    assert Path(path).read_bytes() == before


# --- damage ------------------------------------------------------------------------------------------------------------------

TAILS = {
    "truncated": lambda data: data[:-11],
    "truncated header": lambda data: data + b"\3" * 9,
    "zeroed": lambda data: data + b"\0" * 500,
    "garbage": lambda data: data + bytes(range(256)) * 3,
    "unfinished": lambda data: data + data[-400:-384] + b"c" + b"x" * 300,
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("index", ["index", "no index"])
def test_bad_tails_are_ignored_and_then_cut_off(tmp_path: Path, tail: str, index: str) -> None:
    path = tmp_path / "db.fs"
    database = make(str(path), *(f"{n}" for n in range(20)))
    database.storage._save_index()
    forget(database)
    if index == "no index":
        (tmp_path / "db.fs.index").unlink()
    damaged = TAILS[tail](path.read_bytes())
    path.write_bytes(damaged)
    expected = 19 if tail == "truncated" else 20
    assert len(rows_of(str(path))) == expected
    assert path.read_bytes() == damaged, "reading changes nothing"
    database = Database.open(str(path))
    txn = database.begin_session()
    table = schema_of(txn)["t"]
    until_done(txn, lambda t: insert(t, table, "new"))
    txn.close()
    forget(database)
    assert len(rows_of(str(path))) == expected + 1
    saved = sorted(tmp_path.glob("*.tr*"))
    if tail in ("zeroed", "garbage"):
        assert damaged.endswith(saved[0].read_bytes())
    stock = FileStorage(str(path))
    stock.close()


def test_damage_in_the_middle_is_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "db.fs"
    forget(make(str(path), "a", "b", "c"))
    data = bytearray(path.read_bytes())
    data[300:340] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(errors.OperationalError, match=r"^database disk image is malformed: .* byte"):
        rows_of(str(path))
    assert path.read_bytes() == data


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps(4), pickle.dumps("x") + pickle.dumps(None)])
def test_a_bad_index_file_is_made_again(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "db.fs"
    forget(make(str(path), "a", "b"))
    (tmp_path / "db.fs.index").write_bytes(content)
    assert len(rows_of(str(path))) == 2


def test_a_stale_index_file_of_another_file_is_not_used(tmp_path: Path) -> None:
    database = make(str(tmp_path / "one.fs"), *map(str, range(30)))
    database.storage._save_index()
    forget(database)
    forget(make(str(tmp_path / "two.fs"), "a", "b"))
    shutil.copy(tmp_path / "one.fs.index", tmp_path / "two.fs.index")
    assert len(rows_of(str(tmp_path / "two.fs"))) == 2


def test_a_full_disk(tmp_path: Path) -> None:
    import resource

    path = str(tmp_path / "db.fs")
    database = make(path, "a")
    txn = database.begin_session()
    table = schema_of(txn)["t"]
    txn.begin()
    insert(txn, table, "x" * 100_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(errors.OperationalError, match=r"^database or disk is full"):
            txn.commit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert rows_of(path) == [(1, "a")]
    until_done(txn, lambda t: insert(t, table, "b"))
    txn.close()
    forget(database)
    assert rows_of(path) == [(1, "a"), (2, "b")]


def test_a_clock_that_goes_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "db.fs")
    database = make(path, "a")
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    txn = database.begin_session()
    table = schema_of(txn)["t"]
    until_done(txn, lambda t: update(t, table, 1, "b"))
    txn.close()
    forget(database)
    assert rows_of(path) == [(1, "b")]


# --- records ------------------------------------------------------------------------------------------------------------------


def test_schemas_come_back_equal() -> None:
    database = make(":memory:")
    txn = database.begin_session()
    txn.begin()
    loaded = ddl.load_schema(txn.entry["schema"])
    assert loaded == txn.schema
    assert loaded.version == txn.schema.version != Schema().version
    txn.close()
    database.close()
