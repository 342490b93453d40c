"""Statements that define: text to trees, and where the error is said to be."""

from __future__ import annotations

import pytest

from zodbapi.errors import NotSupportedError, OperationalError
from zodbapi.parser.ddl import parse_ddl
from zodbapi.parser.syntax import (
    AlterDefinition,
    ExplainDefinition,
    IndexDefinition,
    TableDefinition,
    Term,
    ViewDefinition,
)
from zodbapi.plan.commands import Comment, Drop, Maintenance, Pragma, TransactionControl


def table(sql: str) -> TableDefinition:
    tree = parse_ddl(sql)
    assert isinstance(tree, TableDefinition)
    return tree


@pytest.mark.parametrize(
    ("sql", "command"),
    [
        ("BEGIN", TransactionControl("begin", mode="deferred")),
        ("begin immediate transaction;", TransactionControl("begin", mode="immediate")),
        ("END TRANSACTION", TransactionControl("commit")),
        ("ROLLBACK", TransactionControl("rollback")),
        ('ROLLBACK TRANSACTION TO SAVEPOINT "s 1"', TransactionControl("rollback_to", "s 1")),
        ("SAVEPOINT s", TransactionControl("savepoint", "s")),
        ("RELEASE s", TransactionControl("release", "s")),
        ("RELEASE SAVEPOINT s", TransactionControl("release", "s")),
        ("PRAGMA foreign_keys", Pragma("foreign_keys")),
        ("PRAGMA main.Foreign_Keys = ON", Pragma("foreign_keys", "ON")),
        ("PRAGMA cache_size(-2000)", Pragma("cache_size", -2000)),
        ("PRAGMA table_info('a b')", Pragma("table_info", "a b")),
        ("DROP TABLE IF EXISTS main.t CASCADE", Drop("table", "t", True, True)),
        ("DROP VIEW v", Drop("view", "v", False)),
        ("COMMENT ON COLUMN t.a IS 'it''s'", Comment("column", "t", "a", "it's")),
        ("COMMENT ON TABLE t IS NULL", Comment("table", "t", "", "")),
        ("VACUUM", Maintenance("vacuum")),
        ("REINDEX t", Maintenance("reindex", "t")),
    ],
)
def test_commands(sql: str, command: object) -> None:
    assert parse_ddl(sql) == command


def test_explain_keeps_the_statement() -> None:
    assert parse_ddl("EXPLAIN QUERY PLAN SELECT ?") == ExplainDefinition(True, "SELECT ?")


def test_queries_are_left_to_sqlglot() -> None:
    assert parse_ddl("SELECT 1") is None
    assert parse_ddl("INSERT INTO t VALUES (1)") is None


def test_expressions_keep_their_text() -> None:
    tree = table(
        "CREATE TABLE t (a int DEFAULT ( 1+2 ) CHECK (a > /* why */ 0) , b text GENERATED ALWAYS AS (a || ')') STORED)"
    )
    default, check = tree.columns[0].constraints
    assert (default.text, check.text) == ("( 1+2 )", "a > /* why */ 0")
    assert (tree.columns[1].constraints[0].text, tree.columns[1].constraints[0].stored) == ("a || ')'", True)


@pytest.mark.parametrize(
    ("default", "text"),
    [
        ("-1.5", "-1.5"),
        ("'it''s'", "'it''s'"),
        ("NULL", "NULL"),
        ("CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP"),
        ("x'ab'", "x'ab'"),
        ("now()", "now()"),
        ("word", "'word'"),
        ('"quo""ted"', "'quo\"ted'"),
    ],
)
def test_defaults(default: str, text: str) -> None:
    assert table(f"CREATE TABLE t (a DEFAULT {default} NOT NULL)").columns[0].constraints[0].text == text


def test_types_are_as_many_words_as_there_are() -> None:
    tree = table(
        "CREATE TABLE t (a, b double precision, c timestamp(6) with time zone NOT NULL, d decimal(10, 2) UNIQUE)"
    )
    assert [c.type for c in tree.columns] == ["", "double precision", "timestamp(6) with time zone", "decimal(10, 2)"]


def test_references() -> None:
    tree = table(
        "CREATE TABLE t (a REFERENCES p(x) ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED NOT NULL,"
        " b REFERENCES p NOT DEFERRABLE)"
    )
    key = tree.columns[0].constraints[0]
    assert key.reference is not None
    assert (key.reference.on_delete, key.reference.on_update) == ("SET NULL", "CASCADE")
    assert (key.deferrable, key.deferred) == (True, True)
    assert not tree.columns[1].constraints[0].deferrable


def test_index_terms() -> None:
    tree = parse_ddl(
        'CREATE UNIQUE INDEX i ON t (a COLLATE nocase DESC, lower("b") ASC, ("c") DESC NULLS LAST)'
        " INCLUDE (d) NULLS NOT DISTINCT WHERE a > 1;"
    )
    assert tree == IndexDefinition(
        "i",
        "t",
        (Term("a", "a", "NOCASE", True), Term("", 'lower("b")'), Term("c", '("c")', "", True)),
        unique=True,
        where="a > 1",
        include=("d",),
        nulls_distinct=False,
    )


def test_view() -> None:
    assert parse_ddl("CREATE VIEW v (a) AS SELECT 1 -- one\n;") == ViewDefinition("v", ("a",), "SELECT 1")


def test_alter_has_several_actions() -> None:
    tree = parse_ddl(
        "ALTER TABLE t ADD COLUMN a int DEFAULT f(1, 2), DROP b CASCADE, ALTER c TYPE decimal(3, 2) USING c + 1,"
        " ALTER COLUMN d SET DEFAULT (1), ALTER d DROP NOT NULL, ADD CONSTRAINT u UNIQUE (a, d), DROP CONSTRAINT IF EXISTS x,"
        " RENAME COLUMN e TO f, RENAME TO t2"
    )
    assert isinstance(tree, AlterDefinition)
    assert [action.kind for action in tree.actions] == [
        *("add_column", "drop_column", "set_type", "set_default", "drop_not_null", "add_constraint", "drop_constraint"),
        *("rename_column", "rename_table"),
    ]
    assert (tree.actions[2].text, tree.actions[2].using) == ("decimal(3, 2)", "c + 1")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE TABLE t (", "incomplete input"),
        ("CREATE TABLE t ()", 'near ")": syntax error (line 1, column 17)'),
        ("CREATE TABLE t (\n a int,)", 'near ")": syntax error (line 2, column 8)'),
        ("CREATE TABLE select (a)", 'near "select": syntax error (line 1, column 14)'),
        ("CREATE TABLE t (a CHECK a)", 'near "a": syntax error (line 1, column 25)'),
        ("CREATE TABLE t (a) nonsense", 'near "nonsense": syntax error (line 1, column 20)'),
        ("DROP t", 'near "t": syntax error (line 1, column 6)'),
        ("BEGIN QUICKLY", 'near "QUICKLY": syntax error (line 1, column 7)'),
        ("SAVEPOINT", "incomplete input"),
    ],
)
def test_syntax_errors_say_where(sql: str, message: str) -> None:
    with pytest.raises(OperationalError) as caught:
        parse_ddl(sql)
    assert str(caught.value) == message


@pytest.mark.parametrize("sql", ["CREATE VIRTUAL TABLE x", "CREATE TABLE t (a UNIQUE ON CONFLICT REPLACE)"])
def test_what_is_not_offered_says_so(sql: str) -> None:
    with pytest.raises(NotSupportedError):
        parse_ddl(sql)
