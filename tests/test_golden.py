"""Golden files: SQL -> bound plan -> plan after each rule that changed it -> Python source -> rows.

A file in ``tests/golden`` has a section ``## schema`` with statements to run first, then sections that start with a line
``## what is shown`` and SQL; the rest of a section is written by ``pytest -k golden --golden=rewrite`` (``make golden``)
and compared by every other run. Lines of the SQL part that say something to the test:

    -- parameters: (1, 'x')     the values of the statement's parameters
    -- pretend: author=100000   row counts that the optimizer is told instead of the real ones
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import zodbapi
from tests.unoptimised import unoptimised
from zodbapi import statement
from zodbapi.plan.explain import explain

FILES = sorted((Path(__file__).parent / "golden").glob("*.txt"))


@dataclass
class Section:
    """One statement of a golden file."""

    title: str
    sql: str

    @property
    def text(self) -> str:
        """The SQL without the lines for the test."""
        return "\n".join(line for line in self.sql.splitlines() if not line.startswith("--")).strip().rstrip(";")

    def directive(self, name: str) -> str:
        """What a ``-- name: ...`` line says."""
        found = re.search(rf"^-- {name}: (.*)$", self.sql, re.MULTILINE)
        return found.group(1) if found else ""


def sections_of(text: str) -> tuple[str, list[Section]]:
    """The heading of a golden file, and its sections without what was generated."""
    heading, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    sections = []
    for part in parts:
        title, _, body = part.partition("\n")
        sql = re.split(r"^== ", body, flags=re.MULTILINE)[0]
        sections.append(Section(title, sql.strip("\n")))
    return heading, sections


class Pretended:
    """Row counts by table name, the real ones for all other tables."""

    def __init__(self, real: Any, counts: dict[int, int]) -> None:
        self.real = real
        self.counts = counts

    def row_count(self, table_id: int) -> int:
        """The pretended or real number of rows."""
        return self.counts.get(table_id) or int(self.real.row_count(table_id))


@contextmanager
def tracing(lines: list[str], counts: dict[int, int]) -> Iterator[None]:
    """Statements compiled inside leave their plans in ``lines``, with literals where the text has them."""
    optimize, fold, lift_rows = statement.optimize, statement.fold, statement.lift_rows

    def trace(name: str, node: Any) -> None:
        lines.extend([f"== {name}", *explain(node)])

    def traced(node: Any, stats: Any, **options: Any) -> Any:
        lines.extend(["== bound", *explain(node)])
        return optimize(node, Pretended(stats, counts), trace=trace, **options)

    statement.optimize = traced
    statement.fold = lambda sql, style, pinned: fold(sql, style, pinned=sql)
    statement.lift_rows = lambda sql: None
    statement.STATEMENTS.clear()
    try:
        yield
    finally:
        statement.optimize, statement.fold, statement.lift_rows = optimize, fold, lift_rows
        statement.STATEMENTS.clear()


def run_section(connection: zodbapi.Connection, section: Section) -> list[str]:
    """The generated lines of a section."""
    lines: list[str] = []
    counts = {}
    for word in section.directive("pretend").split():
        name, _, rows = word.partition("=")
        table = connection._txn.schema.table(name)
        counts[table.id] = int(rows)
    params: tuple[Any, ...] = eval(section.directive("parameters") or "()")
    with tracing(lines, counts):
        program = connection._prepare(section.text, "qmark").program
        assert program is not None
        lines += ["== python", *program.source.rstrip().splitlines()]
        try:
            cursor = connection.execute(section.text, params)
            rows = [f"{cursor.rowcount} rows"] if cursor.description is None else map(repr, cursor.fetchall())
            lines += ["== rows", *rows]
        except zodbapi.Error as error:
            lines += ["== error", f"{type(error).__name__}: {error}"]
    return lines


def regenerated(text: str) -> str:
    """The text of a golden file as it should be."""
    heading, sections = sections_of(text)
    connection = zodbapi.connect(":memory:", autocommit=True, paramstyle="qmark")
    written = [heading.rstrip("\n") + "\n"]
    for section in sections:
        lines = [f"## {section.title}", section.sql]
        if section.title == "schema":
            connection.executescript(section.sql)
        else:
            lines += run_section(connection, section)
        written.append("\n".join(lines) + "\n")
    connection.close()
    return "\n".join(written)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text(encoding="utf-8")
    found = regenerated(text)
    if request.config.getoption("--golden") == "rewrite":
        path.write_text(found, encoding="utf-8")
    else:
        assert found == text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_rows_are_the_same_without_the_optimizer(path: Path) -> None:
    connection = zodbapi.connect(":memory:", autocommit=True, paramstyle="qmark")
    for section in sections_of(path.read_text(encoding="utf-8"))[1]:
        if section.title == "schema":
            connection.executescript(section.sql)
        elif section.text.startswith(("SELECT", "WITH", "VALUES")):
            params: tuple[Any, ...] = eval(section.directive("parameters") or "()")
            found = [outcome(connection, section.text, params)]
            with unoptimised():
                found.append(outcome(connection, section.text, params))
            assert found[0] == found[1], section.title
    connection.close()


def outcome(connection: zodbapi.Connection, sql: str, params: tuple[Any, ...]) -> Any:
    """The rows, in their order if the query says one, or the error."""
    try:
        rows = connection.execute(sql, params).fetchall()
    except zodbapi.Error as error:
        return type(error)
    return rows if "ORDER BY" in sql else sorted(map(repr, rows))
