"""UUIDs in index keys: as integers in indexes that are made now, as they are in those of older files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import zodbapi
from tests.unoptimised import unoptimised
from zodbapi.catalog import IndexColumn

RNG = random.Random(3)
IDS = [UUID(int=RNG.getrandbits(128)) for _ in range(200)]


@pytest.fixture(params=[True, False], ids=["as integers", "as they are"])
def connection(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if not request.param:
        monkeypatch.setattr("zodbapi.binder.table.IndexColumn", lambda *args: IndexColumn(*args[:4]))
    path = str(tmp_path / "uuid.fs")
    with zodbapi.connect(path) as found:
        found.execute("CREATE TABLE p (id UUID PRIMARY KEY, n INTEGER NOT NULL)")
        found.execute(
            "CREATE TABLE c (id INTEGER PRIMARY KEY, p UUID NOT NULL REFERENCES p ON DELETE CASCADE, other UUID UNIQUE)"
        )
        found.execute("CREATE INDEX c_p ON c (p, id)")
        found.executemany("INSERT INTO p VALUES (?, ?)", [(key, i) for i, key in enumerate(IDS)])
        children = [(i, IDS[i % 50], IDS[i] if i % 3 else None) for i in range(200)]
        found.executemany("INSERT INTO c VALUES (?, ?, ?)", children)
        found.execute("INSERT INTO p VALUES (?, -1)", [UUID(int=7)])  # whose number is no value of the column
        found.execute("DELETE FROM p WHERE id = 7")
        found.commit()
        assert found.execute("SELECT n FROM p WHERE id = ?", [UUID(int=7)]).fetchall() == [(-1,)]
        assert found.execute("SELECT n FROM p WHERE id IN (7, ?)", [7]).fetchall() == []
        found.execute("DELETE FROM p WHERE n = -1")
        found.commit()
    with zodbapi.connect(path) as found:
        yield found
    assert not list(zodbapi.check(path))


def ask(connection: Any, sql: str, *params: Any) -> list[Any]:
    found: list[Any] = connection.execute(sql, params).fetchall()
    return [row[0] if len(row) == 1 else row for row in found]


def test_equalities(connection: Any) -> None:
    assert ask(connection, "SELECT n FROM p WHERE id = ?", IDS[7]) == [7]
    assert ask(connection, "SELECT n FROM p WHERE id = ?", str(IDS[7])) == [7]
    assert ask(connection, "SELECT n FROM p WHERE id IN (?, ?, ?) ORDER BY n", IDS[9], IDS[3], IDS[9]) == [3, 9]
    for wrong in ("nonsense", 7, 1.5, b"x", True, None):
        assert ask(connection, "SELECT n FROM p WHERE id = ?", wrong) == []
        assert ask(connection, "SELECT id FROM c WHERE other = ?", wrong) == []
    assert ask(connection, "SELECT id FROM c WHERE other = ?", IDS[8]) == [8]
    assert ask(connection, "SELECT count(*) FROM c WHERE other IS NULL") == [67]
    assert ask(connection, "SELECT id FROM c WHERE other IS ?", IDS[8]) == [8]


def test_order_and_ranges(connection: Any) -> None:
    ordered = sorted(IDS)
    assert ask(connection, "SELECT id FROM p ORDER BY id") == ordered
    assert ask(connection, "SELECT id FROM p ORDER BY id DESC LIMIT 3") == ordered[:-4:-1]
    assert (
        ask(connection, "SELECT id FROM p WHERE id > ? AND id <= ? ORDER BY id", ordered[9], ordered[20])
        == ordered[10:21]
    )
    assert ask(connection, "SELECT min(id), max(id) FROM p") == [(ordered[0], ordered[-1])]
    assert ask(connection, "SELECT DISTINCT p FROM c ORDER BY p") == sorted(IDS[:50])
    assert sorted(ask(connection, "SELECT p, count(*) FROM c GROUP BY p")) == [(key, 4) for key in sorted(IDS[:50])]


def test_joins(connection: Any) -> None:
    expected = [(i, i % 50) for i in range(0, 200, 50)]
    assert ask(connection, "SELECT c.id, p.n FROM p JOIN c ON c.p = p.id WHERE p.n = 0 ORDER BY c.id") == expected
    assert ask(connection, "SELECT p.n FROM c JOIN p ON c.other = p.id WHERE c.id = 4") == [4]
    assert ask(connection, "SELECT count(*) FROM p WHERE NOT EXISTS (SELECT 1 FROM c WHERE c.p = p.id)") == [150]


def test_constraints(connection: Any) -> None:
    for sql, params in (
        ("INSERT INTO p VALUES (?, 1)", [IDS[0]]),
        ("INSERT INTO c VALUES (1000, ?, NULL)", [UUID(int=5)]),
        ("UPDATE c SET other = ? WHERE id = 1", [IDS[2]]),
    ):
        with pytest.raises(zodbapi.IntegrityError):
            connection.execute(sql, params)
            connection.commit()
        connection.rollback()
    connection.execute("INSERT INTO p VALUES (?, 77) ON CONFLICT (id) DO UPDATE SET n = excluded.n", [IDS[0]])
    connection.execute("DELETE FROM p WHERE id = ?", [IDS[1]])
    connection.execute("UPDATE c SET p = ? WHERE p = ?", [IDS[199], IDS[2]])
    connection.commit()
    assert ask(connection, "SELECT n FROM p WHERE id = ?", IDS[0]) == [77]
    assert ask(connection, "SELECT count(*) FROM c") == [196]
    assert ask(connection, "SELECT count(*) FROM c WHERE p = ?", IDS[199]) == [4]


def test_a_column_becomes_a_uuid_and_text_again(connection: Any) -> None:
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT NOT NULL UNIQUE)")
    connection.executemany("INSERT INTO t (x) VALUES (?)", [(str(key),) for key in IDS])
    for type_, key in (("UUID", IDS[5]), ("TEXT", str(IDS[5])), ("UUID", IDS[5])):
        connection.execute(f"ALTER TABLE t ALTER COLUMN x TYPE {type_}")
        assert ask(connection, "SELECT id FROM t WHERE x = ?", key) == [6]
        assert ask(connection, "SELECT x FROM t WHERE id = 6") == [key]
    connection.commit()


JOINS = [
    "SELECT a.id, b.n FROM a JOIN b ON b.u = a.id",
    "SELECT a.id, b.n FROM a LEFT JOIN b ON b.u = a.id",
    "SELECT a.id, b.n FROM a LEFT JOIN b ON b.u = a.id AND b.n > a.n",
    "SELECT b.n, c.n FROM b JOIN b c ON c.u = b.u",
    "SELECT b.n, c.n FROM b LEFT JOIN b c ON c.u = b.u AND c.n = b.n",
    "SELECT a.n FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.u = a.id AND b.n > 50)",
    "SELECT a.n FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.u = a.id AND b.n > 50)",
    "SELECT a.n, (SELECT max(b.n) FROM b WHERE b.u = a.id) FROM a",
    "SELECT a.n, EXISTS (SELECT 1 FROM b WHERE b.u = a.id) FROM a",
    "SELECT a.n, count(b.n), sum(b.n) FROM a LEFT JOIN b ON b.u = a.id GROUP BY a.id",
    "SELECT a.n, s.c FROM a JOIN (SELECT coalesce(u, 'none') AS c FROM b) s ON s.c = a.id",
    "SELECT a.n, s.c FROM a JOIN (SELECT max(u) AS c FROM b GROUP BY n) s ON s.c = a.id",
    "SELECT a.n, s.c FROM a JOIN (SELECT u AS c FROM b UNION SELECT n FROM b) s ON s.c = a.id",
    "SELECT a.n, s.c FROM a LEFT JOIN (SELECT CASE WHEN n > 9 THEN u ELSE t END AS c FROM b) s ON s.c = a.id",
    "SELECT a.n, b.n FROM a JOIN b ON b.t = a.id",
    "SELECT a.n, b.n FROM a FULL JOIN b ON b.u = a.id",
]


@pytest.fixture(scope="module")
def joined() -> Iterator[zodbapi.Connection]:
    connection = zodbapi.connect(":memory:", autocommit=True)
    connection.execute("CREATE TABLE a (id UUID PRIMARY KEY, n INTEGER NOT NULL)")
    connection.execute("CREATE TABLE b (u UUID, n INTEGER NOT NULL, t TEXT)")
    rng = random.Random(8)
    ids = [UUID(int=rng.getrandbits(128)) for _ in range(300)]
    connection.executemany("INSERT INTO a VALUES (?, ?)", list(zip(ids, range(300), strict=True)))
    rows = [(rng.choice((None, *ids[:90])), rng.randint(1, 99), str(rng.choice(ids))) for _ in range(200)]
    connection.executemany("INSERT INTO b VALUES (?, ?, ?)", rows)
    yield connection
    connection.close()


@pytest.mark.parametrize("sql", JOINS)
def test_joins_by_uuids_are_those_of_the_plan_as_bound(joined: zodbapi.Connection, sql: str) -> None:
    found = sorted(joined.execute(sql), key=repr)
    with unoptimised():
        assert found == sorted(joined.execute(sql), key=repr)
