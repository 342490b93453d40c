"""An UPDATE that leaves a row as it is counts it, and writes nothing."""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import zodbapi
from zodbapi.uncollected import UNCOLLECTED


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "unchanged.fs")


@pytest.fixture
def connection(path: str) -> Iterator[Any]:
    connection = zodbapi.connect(path, autocommit=True, isolation_level="READ COMMITTED")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, n INTEGER, f REAL, d DECIMAL)")
    connection.execute("CREATE INDEX t_n ON t (n)")
    rows = [(i, f"a{i}", i % 3, 0.0, Decimal("1.0")) for i in range(20)]
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("UPDATE t SET n = 1 WHERE id = 4", 1),
        ("UPDATE t SET a = 'a4', f = 0.0, d = 1.0 WHERE id = 4", 1),
        ("UPDATE t SET n = 1 WHERE n = 1", 7),
        ("UPDATE t SET n = n + 0", 20),
        ("UPDATE t SET f = f * 1, d = d * 1", 20),
        ("UPDATE t SET a = 'a' || id", 20),
        (
            "INSERT INTO t VALUES (4, 'a4', 1, 0.0, 1.0) ON CONFLICT (id) DO UPDATE SET a = excluded.a, n = excluded.n",
            1,
        ),
    ],
)
def test_nothing_is_written(connection: Any, path: str, sql: str, rows: int) -> None:
    size = os.path.getsize(path)
    assert connection.execute(sql).rowcount == rows
    assert os.path.getsize(path) == size
    assert len(connection.execute(f"{sql} RETURNING id").fetchall()) == rows
    assert os.path.getsize(path) == size


def test_only_what_changes_is_written(connection: Any) -> None:
    found = connection.execute("UPDATE t SET n = 1 WHERE id < 6 RETURNING id, n").fetchall()
    assert found == [(i, 1) for i in range(6)]
    assert connection.execute("SELECT id FROM t WHERE n = 1 ORDER BY id").fetchall() == [
        (i,) for i in (0, 1, 2, 3, 4, 5, 7, 10, 13, 16, 19)
    ]


@pytest.mark.parametrize("where", ["id = 4", "n = 1"])
def test_on_snapshots_it_is_written_and_makes_transactions_conflict(connection: Any, path: str, where: str) -> None:
    connection.close()
    first, second = (zodbapi.connect(path, autocommit=True, isolation_level="SNAPSHOT") for _ in range(2))
    for session in (first, second):
        session.begin()
        assert session.execute("SELECT n FROM t WHERE id = 4").fetchall() == [(1,)]
    first.execute(f"UPDATE t SET n = n WHERE {where}")
    first.commit()
    with pytest.raises(zodbapi.ConflictError):
        second.execute(f"UPDATE t SET n = n WHERE {where}")
        second.commit()
    first.close()
    second.close()


@pytest.mark.parametrize("where", ["id = 4", "n = 1"])
def test_equal_values_that_are_not_the_same_are_written(connection: Any, where: str) -> None:
    connection.execute(f"UPDATE t SET f = ?, d = ? WHERE {where}", (-0.0, Decimal("1.00")))
    ((f, d),) = connection.execute("SELECT f, d FROM t WHERE id = 4").fetchall()
    assert math.copysign(1, f) == -1
    assert str(d) == "1.00"


def test_triggers_fire_all_the_same(connection: Any) -> None:
    connection.execute("CREATE TABLE log (id INTEGER)")
    connection.execute("CREATE TEMP TRIGGER g AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (new.id); END")
    connection.execute("UPDATE t SET n = n WHERE id IN (3, 4)")
    assert connection.execute("SELECT id FROM log ORDER BY id").fetchall() == [(3,), (4,)]


@pytest.mark.parametrize("where", ["id = 1", "id < 9"])
def test_checks_of_other_columns_are_not_asked(connection: Any, where: str) -> None:
    connection.execute("CREATE TABLE c (id INTEGER PRIMARY KEY, a INTEGER CHECK (a < 5), b INTEGER CHECK (b < id))")
    connection.executemany("INSERT INTO c VALUES (?, 1, 0)", [(i,) for i in range(1, 20)])
    source = "\n".join(row[-1] for row in connection.execute(f"EXPLAIN UPDATE c SET a = 2 WHERE {where}"))
    assert "complete" in source
    connection.execute("ALTER TABLE c ADD COLUMN d INTEGER")
    source = "\n".join(row[-1] for row in connection.execute(f"EXPLAIN UPDATE c SET d = 2 WHERE {where}"))
    assert "complete" not in source
    with pytest.raises(zodbapi.IntegrityError, match="CHECK"):
        connection.execute(f"UPDATE c SET b = 7 WHERE {where}")


def test_collector_runs_again_after_an_error(connection: Any) -> None:
    with pytest.raises(zodbapi.IntegrityError):
        connection.execute("UPDATE t SET a = 'same' WHERE n = 1")
    assert gc.isenabled()


def test_collector_runs_again_after_an_interrupt_while_a_block_was_left(connection: Any) -> None:
    UNCOLLECTED.__enter__()  # whose end never comes
    with pytest.raises(zodbapi.OperationalError):
        connection.execute("SELECT * FROM nothing")
    assert gc.isenabled()
