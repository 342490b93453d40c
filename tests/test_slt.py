"""sqllogictest files: each runs on sqlite3, which is the oracle, and on this engine.

A file in ``tests/slt`` has records separated by empty lines::

    statement ok                 query IT rowsort
    CREATE TABLE t (a, b)        SELECT a, b FROM t
                                 ----
    statement error UNIQUE       1|x
    INSERT INTO t VALUES (1)     NULL|y

The letters are the types of the columns (Integer, Real, Text, ? for any), ``rowsort`` is for queries without an order, and
``onlyif NAME`` or ``skipif NAME`` before a record choose between ``sqlite`` and ``zodbapi``. ``pytest -k slt
--golden=rewrite`` fills in what sqlite3 answers (zodbapi, for its own records).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import zodbapi

FILES = sorted((Path(__file__).parent / "slt").glob("*.slt"))
ENGINES = ("sqlite", "zodbapi")
TYPES: dict[str, tuple[type, ...]] = {"I": (int,), "R": (float, int), "T": (str,), "?": (object,)}


@dataclass
class Record:
    """One statement or query of a file."""

    line: int
    conditions: list[str]
    head: list[str]
    sql: str
    expected: list[str] = field(default_factory=list)

    def applies_to(self, engine: str) -> bool:
        """Whether the record is meant for the engine."""
        for condition in self.conditions:
            word, name = condition.split()
            if (word == "onlyif") is not (name == engine):
                return False
        return True

    def text(self) -> str:
        """The record as it stands in a file."""
        lines = [*self.conditions, " ".join(self.head), self.sql]
        if self.head[0] == "query":
            lines += ["----", *self.expected]
        return "\n".join(lines)


def records_of(text: str) -> Iterator[Record | str]:
    """The records of a file, and its comments as they are."""
    line = 1
    for block in text.rstrip("\n").split("\n\n"):
        lines = block.split("\n")
        start = line
        line += len(lines) + 1
        if all(part.startswith("#") or not part for part in lines):
            yield block
            continue
        conditions = []
        while lines[0].startswith(("onlyif", "skipif")):
            conditions.append(lines.pop(0))
        head = lines.pop(0).split()
        sql, _, expected = "\n".join(lines).partition("\n----")
        yield Record(start, conditions, head, sql, [row for row in expected.split("\n") if row])


def connect(engine: str) -> Any:
    """An empty database."""
    if engine == "sqlite":
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection
    return zodbapi.connect(":memory:", autocommit=True)


def shown(value: Any) -> str:
    """A value as it stands in a file."""
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return f"{value:.10g}" if value % 1 else f"{value:.1f}"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return str(value).replace("\n", "\\n") if value != "" else "(empty)"


def answer(connection: Any, record: Record) -> list[str]:
    """The rows of a query as lines."""
    rows = connection.execute(record.sql).fetchall()
    for row in rows:
        assert len(row) == len(record.head[1]), f"line {record.line}: {len(row)} columns"
        for letter, value in zip(record.head[1], row, strict=True):
            assert value is None or isinstance(value, TYPES[letter]), f"line {record.line}: {value!r} is not {letter}"
    lines = ["|".join(map(shown, row)) for row in rows]
    return sorted(lines) if "rowsort" in record.head else lines


def run(connection: Any, record: Record) -> None:
    """Runs a statement, which must succeed or fail as the record says."""
    message = " ".join(record.head[2:])
    try:
        connection.execute(record.sql)
    except (sqlite3.Error, zodbapi.Error) as error:
        assert record.head[1] == "error", f"line {record.line}: {error}"
        assert message in str(error), f"line {record.line}: {error}"
    else:
        assert record.head[1] == "ok", f"line {record.line}: no error"


def rewrite(path: Path) -> None:
    """Fills in the expected rows of a file."""
    connections = {engine: connect(engine) for engine in ENGINES}
    blocks = []
    for record in records_of(path.read_text(encoding="utf-8")):
        if isinstance(record, str):
            blocks.append(record)
            continue
        engines = [engine for engine in ENGINES if record.applies_to(engine)]
        for i, engine in enumerate(engines):
            if record.head[0] == "statement":
                run(connections[engine], record)
            elif i == 0:
                record.expected = answer(connections[engine], record)
        blocks.append(record.text())
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_slt(path: Path, engine: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--golden") == "rewrite":
        rewrite(path)
    connection = connect(engine)
    for record in records_of(path.read_text(encoding="utf-8")):
        if isinstance(record, str) or not record.applies_to(engine):
            continue
        if record.head[0] == "statement":
            run(connection, record)
        else:
            assert answer(connection, record) == record.expected, f"{path.name}:{record.line}: {record.sql}"
    connection.close()
