"""Runs files in the format of SQLite's sqllogictest: ``python -m tests.sqllogic FILE...``, for sqlite3 or this engine.

See https://sqlite.org/sqllogictest/doc/trunk/about.wiki. Values are printed by the letter of their column (I as %d, R as
%.3f, T as text), sorted as the record says, compared one a line or as the MD5 of them all; equal labels want equal results.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zodbapi


@dataclass
class Record:
    """One statement, query or control record."""

    line: int
    head: list[str]
    conditions: list[list[str]] = field(default_factory=list)
    sql: str = ""
    expected: list[str] | None = None

    @property
    def applies(self) -> bool:
        """Whether the record is meant for SQLite."""
        return all((word == "onlyif") is (name == "sqlite") for word, name, *_ in self.conditions)


def records(text: str) -> Iterator[Record]:
    """The records of a file."""
    lines = text.splitlines()
    at = 0
    conditions: list[list[str]] = []
    while at < len(lines):
        words = lines[at].partition("#")[0].split()
        at += 1
        if not words:
            continue
        if words[0] in ("skipif", "onlyif"):
            conditions.append(words)
            continue
        record = Record(at, words, conditions)
        conditions = []
        if words[0] in ("statement", "query"):
            body = []
            while at < len(lines) and lines[at].strip() and lines[at] != "----":
                body.append(lines[at])
                at += 1
            record.sql = "\n".join(body)
            if at < len(lines) and lines[at] == "----":
                at += 1
                record.expected = []
                while at < len(lines) and lines[at].strip():
                    record.expected.append(lines[at])
                    at += 1
        yield record


def shown(value: Any, letter: str) -> str:
    """A value as sqllogictest prints it."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if letter == "I":
        return str(_number(value, int))
    if letter == "R":
        return f"{_number(value, float):.3f}"
    text = f"{value:.15g}" if isinstance(value, float) and value % 1 else str(value)
    return "".join(c if " " <= c <= "~" else "@" for c in text) or "(empty)"


def _number(value: Any, kind: type) -> Any:
    try:
        return kind(value)
    except ValueError:
        return 0


class Run:
    """One file on one engine."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.labels: dict[str, str] = {}
        self.count = 0

    def failures(self, text: str) -> Iterator[str]:
        """What differs, as text."""
        for record in records(text):
            if record.head[0] == "halt" and record.applies:
                return
            if record.head[0] in ("statement", "query") and record.applies:
                self.count += 1
                complaint = self._statement(record) if record.head[0] == "statement" else self._query(record)
                if complaint:
                    yield f"line {record.line}: {complaint}: {record.sql}"

    def _statement(self, record: Record) -> str:
        try:
            self.connection.execute(record.sql)
        except (sqlite3.Error, zodbapi.Error) as error:
            return "" if record.head[1] == "error" else str(error)
        return "no error" if record.head[1] == "error" else ""

    def _query(self, record: Record) -> str:
        types = record.head[1]
        try:
            rows = self.connection.execute(record.sql).fetchall()
        except (sqlite3.Error, zodbapi.Error) as error:
            return str(error)
        if rows and len(rows[0]) != len(types):
            return f"{len(rows[0])} columns"
        found = [[shown(value, letter) for value, letter in zip(row, types, strict=True)] for row in rows]
        if "rowsort" in record.head:
            found.sort()
        values = [value for row in found for value in row]
        if "valuesort" in record.head:
            values.sort()
        return self._compare(record, values)

    def _compare(self, record: Record, values: list[str]) -> str:
        digest = hashlib.md5("".join(f"{value}\n" for value in values).encode()).hexdigest()
        label = record.head[3] if len(record.head) > 3 else ""
        if label and self.labels.setdefault(label, digest) != digest:
            return f"not as before under {label}"
        expected = record.expected
        if expected is None:
            return ""
        if len(expected) == 1 and " values hashing to " in expected[0]:
            return "" if expected[0] == f"{len(values)} values hashing to {digest}" else f"{len(values)} {digest}"
        if expected != values and expected != _rows_of(values, len(record.head[1])):
            return f"{values[:20]} instead of {expected[:20]}"
        return ""


def _rows_of(values: list[str], width: int) -> list[str]:
    """Values as some files have them: a row a line."""
    return [" ".join(values[i : i + width]) for i in range(0, len(values), width)]


def connect(engine: str) -> Any:
    """An empty database."""
    if engine == "sqlite":
        return sqlite3.connect(":memory:", isolation_level=None)
    return zodbapi.connect(":memory:", autocommit=True)


def main() -> int:
    """Runs the files; the exit status says whether all records were as expected."""
    parser = argparse.ArgumentParser(description="sqllogictest files")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--engine", choices=("sqlite", "zodbapi"), default="zodbapi")
    options = parser.parse_args()
    failed = 0
    for path in options.files:
        run = Run(connect(options.engine))
        start = time.perf_counter()
        failures = list(run.failures(path.read_text(encoding="utf-8")))
        print(f"{path}: {run.count} records, {len(failures)} failures, {time.perf_counter() - start:.1f} s")
        for failure in failures[:20]:
            print(f"  {failure}", file=sys.stderr)
        failed += len(failures)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
