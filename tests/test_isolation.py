"""Isolation levels: how one asks for them, and what SERIALIZABLE, FOR UPDATE and DDL rely on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

import zodbapi
from tests.test_anomalies import drop_tables, server
from tests.test_storage_zeo import Server

__all__ = ["server"]  # a fixture

Pair = tuple[zodbapi.Connection, zodbapi.Connection]
_names = count()


@pytest.fixture(params=["memory", "zeo"])
def dsns(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Names of one database for two sessions, which on a server play two processes."""
    if request.param == "memory":
        return (f"memory://isolation{next(_names)}",) * 2
    served: Server = request.getfixturevalue("server")
    return served.dsn(0), served.dsn(1)


@pytest.fixture
def pair(dsns: tuple[str, str]) -> Iterator[Pair]:
    first, second = (zodbapi.connect(dsn, autocommit=True) for dsn in dsns)
    drop_tables(first)
    yield first, second
    first.rollback()
    assert first.check() == []
    first.close()
    second.close()


# --- asking for a level -------------------------------------------------------------------------------------------------


def level_of(pair: Pair) -> str:
    """The level of the first connection's open transaction, found out by what it sees and by what it may commit."""
    first, second = pair
    first.execute("SELECT * FROM t").fetchall()
    second.execute("INSERT INTO t (v) VALUES (1)")
    if first.execute("SELECT v FROM t").fetchall():
        level = "READ COMMITTED"
    else:
        level = "SNAPSHOT"
        try:
            first.execute("INSERT INTO u VALUES (1)")
            first.commit()
        except zodbapi.ConflictError as error:
            assert "retry the transaction" in str(error)
            level = "SERIALIZABLE"
    first.rollback()
    second.execute("DELETE FROM t")
    return level


@pytest.fixture
def tables(pair: Pair) -> Pair:
    pair[0].executescript("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); CREATE TABLE u (id INTEGER)")
    return pair


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("READ UNCOMMITTED", "READ COMMITTED"),
        ("READ COMMITTED", "READ COMMITTED"),
        ("repeatable read", "SNAPSHOT"),
        ("SNAPSHOT", "SNAPSHOT"),
        ("serializable", "SERIALIZABLE"),
    ],
)
def test_a_level_for_one_transaction(tables: Pair, name: str, level: str) -> None:
    first, _ = tables
    for other in ("READ COMMITTED", "SERIALIZABLE"):
        first.isolation_level = other
        for begin in ("BEGIN", "BEGIN TRANSACTION", "BEGIN IMMEDIATE TRANSACTION", "START TRANSACTION"):
            first.execute(f"{begin} ISOLATION LEVEL {name}")
            if "IMMEDIATE" not in begin:
                assert level_of(tables) == level
            first.rollback()
        first.execute("BEGIN")
        first.execute(f"SET TRANSACTION ISOLATION LEVEL {name}")
        assert level_of(tables) == level
        first.begin(isolation=name)
        assert level_of(tables) == level
        first.begin()
        assert level_of(tables) == other


@pytest.mark.parametrize("name", ["READ COMMITTED", "SNAPSHOT", "SERIALIZABLE", "", "DEFERRED"])
def test_a_level_for_a_connection(tables: Pair, name: str) -> None:
    first, _ = tables
    first.isolation_level = name
    assert first.isolation_level == name
    first.begin()
    assert level_of(tables) == (name if len(name) > 8 or name == "SNAPSHOT" else "SNAPSHOT")


def test_a_level_comes_before_any_query(tables: Pair) -> None:
    first, _ = tables
    with pytest.raises(zodbapi.OperationalError, match="only inside a transaction"):
        first.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    first.begin()
    first.execute("SELECT * FROM t").fetchall()
    with pytest.raises(zodbapi.OperationalError, match="before any query"):
        first.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")


@pytest.mark.parametrize("words", ["ISOLATION", "ISOLATION LEVEL", "ISOLATION LEVEL CHAOS", "ISOLATION SERIALIZABLE"])
def test_no_such_level(tables: Pair, words: str) -> None:
    with pytest.raises(zodbapi.Error, match=r"syntax error|incomplete input"):
        tables[0].execute(f"BEGIN TRANSACTION {words}")
    with pytest.raises(zodbapi.ProgrammingError, match="unknown isolation level"):
        tables[0].begin(isolation=words)


# --- what a serializable transaction relies on --------------------------------------------------------------------------


def fill(connection: zodbapi.Connection, size: int) -> None:
    connection.executescript(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, v INTEGER, w INTEGER UNIQUE);"
        "CREATE INDEX t_v ON t (v);"
        "CREATE TABLE log (id INTEGER PRIMARY KEY, text TEXT);"
        "CREATE TABLE one (x INTEGER); INSERT INTO one VALUES (15)"
    )
    rows = [(n * 10, f"code {n * 10}", n * 10, n * 10) for n in range(1, size + 1)]
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)


PHANTOMS = {
    "a scan": ("SELECT * FROM t", 15),
    "a filter": ("SELECT id FROM t WHERE w % 7 = 1", 15),
    "a rowid": ("SELECT * FROM t WHERE id = 15", 15),
    "rowids": ("SELECT * FROM t WHERE id IN (15, 25)", 25),
    "a range of rowids": ("SELECT id FROM t WHERE id BETWEEN 11 AND 19", 15),
    "no end": ("SELECT id FROM t WHERE id > 100000", 100_001),
    "a key": ("SELECT id FROM t WHERE code = 'code 15'", 15),
    "a key that may be NULL": ("SELECT id FROM t WHERE w = 15", 15),
    "an index": ("SELECT id FROM t WHERE v = 15", 15),
    "a range of an index": ("SELECT id FROM t WHERE v > 11 AND v < 19", 15),
    "a range backwards": ("SELECT id FROM t WHERE v > 11 AND v < 19 ORDER BY v DESC", 15),
    "a list": ("SELECT id FROM t WHERE v IN (15, 16)", 15),
    "count": ("SELECT count(*) FROM t", 15),
    "max": ("SELECT max(id) FROM t", 100_000),
    "min": ("SELECT min(v) FROM t", -5),
    "the last": ("SELECT id FROM t ORDER BY id DESC LIMIT 1", 100_000),
    "the first": ("SELECT id FROM t ORDER BY v LIMIT 1", -5),
    "exists": ("SELECT EXISTS (SELECT 1 FROM t WHERE v = 15)", 15),
    "a join": ("SELECT * FROM one LEFT JOIN t ON t.id = one.x", 15),
    "a hash join": ("SELECT * FROM one JOIN t ON t.w + 0 = one.x", 15),
    "a subquery": ("SELECT * FROM one WHERE x NOT IN (SELECT v FROM t)", 15),
    "for update": ("SELECT * FROM t WHERE id = 15 FOR UPDATE", 15),
    "a view": ("WITH q AS (SELECT v FROM t WHERE v < 20) SELECT count(*) FROM q", 15),
}


@pytest.mark.parametrize("size", [0, 3, 2000])
@pytest.mark.parametrize("name", PHANTOMS)
def test_phantoms(pair: Pair, name: str, size: int) -> None:
    """What was read as absent comes to be: the reader cannot commit anything that it writes."""
    first, second = pair
    fill(first, size)
    query, new = PHANTOMS[name]
    first.begin(isolation="SERIALIZABLE")
    before = first.execute(query).fetchall()
    second.execute("INSERT INTO t VALUES (?, ?, ?, ?)", [new, f"code {new}", new, new])
    if name != "for update":
        assert first.execute(query).fetchall() == before
    with pytest.raises(zodbapi.ConflictError, match="retry the transaction"):
        first.execute("INSERT INTO log (text) VALUES ('seen')")
        first.commit()
    first.rollback()
    assert first.execute("SELECT count(*) FROM log").fetchone() == (0,)


@pytest.mark.parametrize("change", ["UPDATE t SET w = -1 WHERE id = 20", "DELETE FROM t WHERE id = 20"])
@pytest.mark.parametrize(
    "query",
    ["SELECT w FROM t WHERE id = 20", "SELECT w FROM t WHERE v = 20", "SELECT w FROM t", "SELECT sum(w) FROM t"],
)
def test_what_was_read_changes(pair: Pair, query: str, change: str) -> None:
    first, second = pair
    fill(first, 300)
    first.begin(isolation="SERIALIZABLE")
    first.execute(query).fetchall()
    second.execute(change)
    with pytest.raises(zodbapi.ConflictError):
        first.execute("INSERT INTO log (text) VALUES ('seen')")
        first.commit()


def test_a_large_result_is_read_as_far_as_it_is_fetched(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zodbapi.execution.LARGE", 1000)
    first, second = pair
    fill(first, 3000)
    for changed, conflicts in ((20, True), (29_900, False)):
        first.begin(isolation="SERIALIZABLE")
        cursor = first.execute("SELECT * FROM t")
        cursor.fetchmany(10)
        second.execute("UPDATE t SET w = w + 100000 WHERE id = ?", [changed])
        cursor.close()
        del cursor
        if conflicts:
            with pytest.raises(zodbapi.ConflictError):
                first.execute("INSERT INTO log (text) VALUES ('seen')")
                first.commit()
            first.rollback()
        else:
            first.execute("INSERT INTO log (text) VALUES ('seen')")
            first.commit()


def test_others_may_change_what_was_not_read(pair: Pair) -> None:
    first, second = pair
    fill(first, 2000)
    first.begin(isolation="SERIALIZABLE")
    assert first.execute("SELECT w FROM t WHERE id = 20").fetchall() == [(20,)]
    assert first.execute("SELECT id FROM t WHERE v BETWEEN 100 AND 120").fetchall() == [(100,), (110,), (120,)]
    second.execute("UPDATE t SET w = -1 WHERE id = 19990")
    second.execute("INSERT INTO t VALUES (50001, 'new', 50001, 50001)")
    first.execute("INSERT INTO log (text) VALUES ('seen')")
    if not first._txn.database.local:
        assert first.execute("SELECT count(*) FROM t WHERE id > 50000").fetchall() == [(0,)], "a snapshot stays"
        first.rollback()
        return
    # The writer is alone from now on, and nothing that it read has changed: it goes on with the newest state.
    assert first.execute("SELECT count(*) FROM t WHERE id > 50000").fetchall() == [(1,)]
    first.commit()


@pytest.mark.parametrize(
    "change", ["TRUNCATE t", "DROP TABLE t", "ALTER TABLE t RENAME TO s", "CREATE INDEX t_w ON t (w)"]
)
def test_a_schema_that_was_read_changes(pair: Pair, change: str) -> None:
    """Tables that are emptied or go away leave the leaves that were read as they were."""
    first, second = pair
    fill(first, 300)
    first.begin(isolation="SERIALIZABLE")
    assert first.execute("SELECT count(*) FROM t WHERE v > 20").fetchone() == (298,)
    second.execute(change)
    with pytest.raises(zodbapi.ConflictError):
        first.execute("INSERT INTO log (text) VALUES ('seen')")
        first.commit()


def test_readers_never_fail(pair: Pair) -> None:
    first, second = pair
    fill(first, 10)
    first.begin(isolation="SERIALIZABLE")
    before = first.execute("SELECT * FROM t").fetchall()
    second.execute("DELETE FROM t")
    assert first.execute("SELECT * FROM t").fetchall() == before
    first.commit()


# --- FOR UPDATE and conflicts that are asked for ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "promoted", ["SELECT v FROM t WHERE id = {} FOR UPDATE", "UPDATE t SET v = v WHERE id = {}", "DELETE AND INSERT {}"]
)
def test_a_promoted_read_excludes_write_skew(pair: Pair, promoted: str) -> None:
    """On a snapshot, too: each changes one row because of the other, which it has asked to stay as it is."""
    first, second = pair
    first.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)")
    first.execute("INSERT INTO t VALUES (1, 10), (2, 20)")
    for connection in pair:
        connection.begin(isolation="SNAPSHOT")
        connection.execute("SELECT sum(v) FROM t").fetchall()
    if promoted.startswith("DELETE"):
        first.execute("DELETE FROM t WHERE id = 2")
        first.execute("INSERT INTO t VALUES (2, 20)")
    else:
        first.execute(promoted.format(2))
    first.execute("UPDATE t SET v = 11 WHERE id = 1")
    first.commit()
    with pytest.raises(zodbapi.ConflictError):
        if promoted.startswith("DELETE"):
            second.execute("DELETE FROM t WHERE id = 1")
            second.execute("INSERT INTO t VALUES (1, 10)")
        else:
            second.execute(promoted.format(1))
        second.execute("UPDATE t SET v = 21 WHERE id = 2")
        second.commit()


# --- DDL and rows ---------------------------------------------------------------------------------------------------------

CHANGES = [
    "ALTER TABLE t ADD COLUMN extra INTEGER NOT NULL DEFAULT 7",
    "ALTER TABLE t ADD CONSTRAINT positive CHECK (v > 0)",
    "ALTER TABLE t DROP COLUMN w",
    "CREATE INDEX t_w ON t (w)",
    "CREATE UNIQUE INDEX t_w ON t (w)",
    "DROP TABLE t",
    "TRUNCATE t",
    "REINDEX t",
]


@pytest.mark.parametrize("change", CHANGES)
def test_rows_are_not_written_for_another_schema(pair: Pair, change: str) -> None:
    first, second = pair
    fill(first, 100)
    second.begin(isolation="SNAPSHOT")
    second.execute("SELECT count(*) FROM t").fetchall()
    first.execute(change)
    with pytest.raises(zodbapi.ConflictError):
        second.execute("INSERT INTO t VALUES (15, 'code 15', -15, 20 * 5000)")
        second.commit()
    second.rollback()
    assert first.check() == []


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [0, 3, 500])
def test_a_schema_is_not_changed_below_rows(pair: Pair, change: str, size: int) -> None:
    first, second = pair
    fill(first, size)
    first.begin(isolation="SNAPSHOT")
    first.execute("SELECT count(*) FROM t").fetchall()
    second.execute("INSERT INTO t VALUES (15, 'code 15', -15, 15)")
    try:
        first.execute(change)
        first.commit()
    except zodbapi.ConflictError:
        assert change != "DROP TABLE t"  # which takes the new row with it
    first.rollback()
    assert first.check() == []
    assert second.check() == []


def test_others_see_that_a_table_was_emptied(pair: Pair) -> None:
    first, second = pair
    fill(first, 10)
    assert second.execute("SELECT count(*) FROM t WHERE v >= 0").fetchone() == (10,)
    first.execute("TRUNCATE t")
    assert second.execute("SELECT count(*) FROM t").fetchone() == (0,)
    assert second.execute("SELECT count(*) FROM t WHERE v >= 0").fetchone() == (0,)
    second.execute("INSERT INTO t VALUES (1, 'a', 1, 1)")
    first.begin()
    first.execute("TRUNCATE t")
    first.rollback()
    assert first.execute("SELECT id FROM t WHERE v = 1").fetchall() == [(1,)]


def test_others_see_a_rebuilt_index(pair: Pair) -> None:
    first, second = pair
    fill(first, 10)
    assert second.execute("SELECT id FROM t WHERE v = 20").fetchall() == [(20,)]
    first.execute("REINDEX t")
    second.execute("UPDATE t SET v = 7 WHERE id = 20")
    assert first.execute("SELECT id FROM t WHERE v = 7").fetchall() == [(20,)]
