"""The shell: as a process, and its parts."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import zodbapi
from zodbapi.shell import Shell, split_statements, words


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zodbapi", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def shell() -> Shell:
    made = Shell(zodbapi.connect(":memory:", autocommit=True), io.StringIO())
    assert made.run_text(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);\nINSERT INTO t VALUES (1, 'a;b'), (22, NULL);"
    )
    return made


def output(shell: Shell, text: str) -> str:
    assert isinstance(shell.out, io.StringIO)
    shell.out.truncate(0)
    shell.out.seek(0)
    assert shell.run_text(text)
    return shell.out.getvalue()


def test_sql_as_arguments_and_on_standard_input(tmp_path: Path) -> None:
    path = str(tmp_path / "a.fs")
    made = run(path, "CREATE TABLE t (a)", "--mode", "csv", "INSERT INTO t VALUES (1), (2)")
    assert (made.returncode, made.stderr) == (0, "")
    shown = run(path, stdin="SELECT a FROM t\n  ORDER BY a DESC;\n.tables\nSELECT 'no semicolon' AS last")
    assert shown.stdout == "a\n-\n2\n1\n(2 rows)\nt\nlast\n------------\nno semicolon\n(1 row)\n"
    assert shown.returncode == 0


def test_errors_have_a_status(tmp_path: Path) -> None:
    wrong = run(":memory:", "SELECT 1", "SELECT * FROM missing", "SELECT 2")
    assert wrong.returncode == 1
    assert "OperationalError: no such table: missing" in wrong.stderr
    assert "2" not in wrong.stdout
    assert run(str(tmp_path / "no" / "a.fs"), "SELECT 1").returncode == 1
    assert run(":memory:", stdin=".nothing\n").returncode == 1


def test_modes(shell: Shell) -> None:
    sql = "SELECT id, name, x'01' AS b FROM t;"
    assert output(shell, sql) == "id | name | b\n---+------+------\n 1 | a;b  | X'01'\n22 | NULL | X'01'\n(2 rows)\n"
    assert output(shell, f".mode csv\n{sql}") == "id,name,b\n1,a;b,X'01'\n22,,X'01'\n"
    found = json.loads(output(shell, f".mode json\n{sql}"))
    assert found == [{"id": 1, "name": "a;b", "b": "01"}, {"id": 22, "name": None, "b": "01"}]
    assert not shell.run_text(".mode xml")


def test_dot_commands(shell: Shell) -> None:
    shell.run_text("CREATE INDEX t_name ON t (name); CREATE VIEW v AS SELECT 1;")
    assert output(shell, ".tables") == "t\nv\n"
    assert output(shell, ".tables v%") == "v\n"
    schema = output(shell, ".schema t")
    assert schema.count(";") == 2
    assert "CREATE TABLE" in schema
    copy = Shell(zodbapi.connect(":memory:", autocommit=True), io.StringIO())
    dump = output(shell, ".dump")
    assert copy.run_text(dump)
    assert output(copy, ".dump") == dump
    explained = output(shell, ".explain SELECT name FROM t WHERE id = 1;")
    assert "rowid" in explained
    assert "def run(txn, p)" in explained
    assert " ms\n" in output(shell, ".timer on\nSELECT 1;")
    assert ".schema" in output(shell, ".help")


def test_read(shell: Shell, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text("INSERT INTO t VALUES (3, 'c');\nSELECT count(*) AS n FROM t;\n")
    assert output(shell, f".read {script}") == "n\n-\n3\n(1 row)\n"
    assert not shell.run_text(".read missing.sql")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1; SELECT 2;", (["SELECT 1;", " SELECT 2;"], "")),
        ("SELECT ';'", ([], "SELECT ';'")),
        ("SELECT 'it''s;'; x", (["SELECT 'it''s;';"], " x")),
        ("SELECT 'open; \n", ([], "SELECT 'open; \n")),
        ("SELECT 1 -- a; comment\n;", (["SELECT 1 -- a; comment\n;"], "")),
        ("SELECT /* ; */ 1", ([], "SELECT /* ; */ 1")),
    ],
)
def test_split_statements(text: str, expected: tuple[list[str], str]) -> None:
    assert split_statements(text) == expected


def test_completion_offers_names(shell: Shell) -> None:
    assert {"t", "name", "SELECT", ".tables"} <= set(words(shell))
