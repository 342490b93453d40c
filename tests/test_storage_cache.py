"""The options of the object cache have effect, and connections share what they allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import zodbapi
from zodbapi.storage import cache, zodb_connection

ROWS = 6_000  # some 200 leaves


@pytest.fixture
def path(tmp_path: Path) -> str:
    name = str(tmp_path / "cached.fs")
    with zodbapi.connect(name) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", ((i, f"text {i}" * 10) for i in range(ROWS)))
    connection.close()
    return name


def cached(connection: zodbapi.Connection) -> Any:
    return connection._txn._connection._cache


def test_all_is_kept_by_default(path: str) -> None:
    connection = zodbapi.connect(path)
    connection.execute("SELECT sum(length(a)) FROM t").fetchall()
    assert cached(connection).cache_non_ghost_count > ROWS // 60
    connection.close()


@pytest.mark.parametrize(("option", "limit"), [("cache_size", 20), ("cache_size_bytes", 100_000)])
def test_the_options_limit_what_is_kept(path: str, option: str, limit: int) -> None:
    connection = zodbapi.connect(path, **{option: limit})
    for _ in range(2):
        assert connection.execute("SELECT count(a) FROM t").fetchone() == (ROWS,)
    kept = cached(connection)
    assert kept.cache_non_ghost_count <= 20
    if option == "cache_size_bytes":
        assert kept.total_estimated_size * cache.MEMORY_A_BYTE <= limit
    connection.close()


def test_a_long_scan_keeps_to_the_limit(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zodb_connection, "SHRINK_EVERY", 8)
    connection = zodbapi.connect(path, cache_size=20)
    most = 0

    def look(value: int) -> int:
        nonlocal most
        most = max(most, cached(connection).cache_non_ghost_count)
        return value

    connection.create_function("look", 1, look)
    assert connection.execute("SELECT sum(look(id)) FROM t").fetchone() == (ROWS * (ROWS - 1) // 2,)
    assert most <= 20 + 8
    connection.close()


def test_connections_share(path: str) -> None:
    connections = [zodbapi.connect(path, cache_size=400, cache_size_bytes=240 << 20) for _ in range(4)]
    for connection in connections:
        assert cached(connection).cache_size == 100
        assert cached(connection).cache_size_bytes == (60 << 20) // cache.MEMORY_A_BYTE
    for connection in connections:
        connection.close()


def test_a_container_has_less_memory_than_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = cache.usable_memory()
    limit, none = tmp_path / "memory.max", tmp_path / "none"
    monkeypatch.setattr(cache, "_LIMITS_OF_CONTAINERS", (str(none), str(limit)))
    limit.write_text("max\n")
    assert cache.usable_memory() >= machine
    limit.write_text(f"{1 << 30}\n")
    assert cache.usable_memory() == 1 << 30
    assert cache.default_bytes() == 128 << 20
