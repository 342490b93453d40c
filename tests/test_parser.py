"""The parser: placeholders, scripts, errors, and what SQLite's grammar has beyond sqlglot's."""

from __future__ import annotations

import sqlite3

import pytest
from sqlglot import exp

import zodbapi
from zodbapi.errors import OperationalError, ProgrammingError
from zodbapi.parser import item_text, parse, parse_expression, parse_one


def sql(text: str, paramstyle: str = "qmark") -> str:
    """The statement as sqlglot writes it."""
    tree = parse_one(text, paramstyle).tree
    assert isinstance(tree, exp.Expression)
    return tree.sql("sqlite")


@pytest.mark.parametrize(
    ("text", "paramstyle", "names"),
    [
        ("SELECT 1", "qmark", ()),
        ("SELECT ?, ?", "qmark", (None, None)),
        ("SELECT ?3, ?", "qmark", (None, None, None, None)),
        ("SELECT :a, @b, $c, :a", "qmark", ("a", "b", "c")),
        ("SELECT '?', \"?\" -- ?\n, ?", "qmark", (None,)),
        ("SELECT %s, '%%s', '%s' WHERE 1 %% 2 = %s", "format", (None, None)),
        ("SELECT %(x)s, %(y)s, %(x)s", "pyformat", ("x", "y")),
        ('SELECT "a%%" FROM t WHERE "a" = %s', "format", (None,)),
        ("SELECT 1 WHERE 1 IN (?, ?, ?, ?, ?) AND ? = ?", "qmark", (None,) * 7),
        ("SELECT * FROM t WHERE a = :1 AND b = :limit", "qmark", ("1", "limit")),
    ],
)
def test_parameters(text: str, paramstyle: str, names: tuple[str | None, ...]) -> None:
    assert parse_one(text, paramstyle).parameters == names


def test_percent_signs_are_halved_everywhere() -> None:
    assert sql("SELECT '%%', a %% b, \"c%%\" FROM t WHERE x = %s", "format") == (
        "SELECT '%', a % b, \"c%\" FROM t WHERE x = :0"
    )


def test_percent_signs_stay_without_format_style() -> None:
    assert sql("SELECT '%%', '%s'") == "SELECT '%%', '%s'"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (";", 0),
        ("-- nothing", 0),
        ("SELECT 1;", 1),
        ("SELECT 1; SELECT ';'; ", 2),
    ],
)
def test_scripts(text: str, count: int) -> None:
    assert len(parse(text)) == count


def test_several_statements_are_no_statement() -> None:
    with pytest.raises(ProgrammingError, match="one statement at a time"):
        parse_one("SELECT 1; SELECT 2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1 2", 'near "2": syntax error (line 1, column 10)'),
        ("SELECT *\nFORM t", 'near "t": syntax error (line 2, column 6)'),
        ("SELECT * FROM t WHERE", "incomplete input"),
        ("SELECT (1", "incomplete input"),
        ("SELECT 'abc", 'unrecognized token: "\'abc"'),
        ("SELECT CAST(1 AS int", "incomplete input"),
        ("SELECT CAST(1 int)", 'near "int": syntax error (line 1, column 15)'),
        ("SELECT ?0", "variable number must be between ?1 and ?32766"),
        ("SELECT : a", 'unrecognized token: ":"'),
        ("SELEC 1", 'near "SELEC": syntax error (line 1, column 1)'),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(OperationalError) as caught:
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "SELECT date(x), time(x), char(65), replace(a, b, c), left(x), json(x), format(a), if(1, 2, 3), glob(a, b)",
        "SELECT count(*), log(2, 3), trim(a), substr(a, 1, 2), coalesce(a, b), min(a, b), total(a), iif(a, b, c)",
    ],
)
def test_calls_keep_their_names(text: str) -> None:
    tree = parse_one(text).tree
    assert isinstance(tree, exp.Select)
    names = [word.split("(")[0].strip() for word in text.removeprefix("SELECT").split("), ")]
    assert [item.this for item in tree.expressions] == names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", "1 + 2 * 3"),
        ("1 + b || c * 2", "1 + (b || c) * 2"),
        ("a = b = c", "a = b = c"),
        ("NOT a = b", "NOT a = b"),
        ("a == b", "a = b"),
        ("a <> b", "a <> b"),
        ("a ISNULL", "a IS NULL"),
        ("a NOTNULL", "NOT a IS NULL"),
        ("a NOT NULL", "NOT a IS NULL"),
        ("a IS NOT DISTINCT FROM b", "a IS b"),
        ("a IS NOT b", "a IS NOT b"),
        ("a NOT LIKE 'x' ESCAPE '!'", "a NOT LIKE 'x' ESCAPE '!'"),
        ("a NOT REGEXP 'x'", "NOT a REGEXP 'x'"),
        ("x'00ff'", "x'00ff'"),
        ("0x1F", "31"),
        ("CAST(a AS varchar(10))", "CAST(a AS varchar (10))"),
        ("-5 || 3", "-5 || 3"),
        ("(a, b) < (1, 2)", "(a, b) < (1, 2)"),
        ("a COLLATE nocase = b", "a COLLATE nocase = b"),
        ("a IN t", "a IN t"),
    ],
)
def test_expressions(text: str, expected: str) -> None:
    assert parse_expression(text).sql("sqlite") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("REPLACE INTO t VALUES (1)", "INSERT OR replace INTO t VALUES (1)"),
        ("INSERT OR REPLACE INTO t VALUES (1)", "INSERT OR replace INTO t VALUES (1)"),
        ("SELECT * FROM t LIMIT 5, 10", "SELECT * FROM t LIMIT 10 OFFSET 5"),
        ("SELECT * FROM t INDEXED BY i", "SELECT * FROM t INDEXED BY i"),
        ("SELECT * FROM a, b", "SELECT * FROM a CROSS JOIN b"),
    ],
)
def test_statements(text: str, expected: str) -> None:
    assert sql(text).lower() == expected.lower()


def test_update_alternative() -> None:
    tree = parse_one("UPDATE OR IGNORE t SET a = 1").tree
    assert isinstance(tree, exp.Update)
    assert tree.args["alternative"] == "IGNORE"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT EXISTS(((SELECT 1) UNION (SELECT 2)) LIMIT 1)", 1),
        ("SELECT EXISTS((SELECT 1) UNION (SELECT 2) LIMIT 0)", 0),
        ("SELECT NOT EXISTS(((SELECT 1) UNION (SELECT 2)) ORDER BY 1 LIMIT 1 OFFSET 2) + 0", 1),
        ("SELECT EXISTS(WITH x AS (SELECT 1) SELECT * FROM x WHERE 0) + 5", 5),
        ("SELECT EXISTS (VALUES (1)) AND EXISTS(((SELECT 1)))", 1),
        ("SELECT 1 + clike('a%', 'abc')", 2),
        ("SELECT CASE WHEN clike('A%', 'abc') THEN 1 ELSE 2 END", 2),
        ("SELECT 'abc' NOT CLIKE 'A%' AND clike ('a!%', 'a%', '!')", 1),
    ],
)
def test_answers(text: str, found: int) -> None:
    with zodbapi.connect(":memory:") as connection:
        assert connection.execute(text).fetchall() == [(found,)]
    connection.close()


@pytest.mark.parametrize("text", ["SELECT EXISTS(1)", "SELECT EXISTS()", "SELECT EXISTS"])
def test_exists_wants_a_query(text: str) -> None:
    with pytest.raises(OperationalError, match="syntax error"):
        parse_one(text)


def test_names_of_types_and_of_other_dialects_are_names() -> None:
    names = "date, time, text, key, type, level, year, json, uuid, interval, pivot, qualify, final, sample, first, role"
    tree = parse_one(f"SELECT {names} FROM t").tree
    assert isinstance(tree, exp.Select)
    assert [item.name for item in tree.expressions] == names.split(", ")


def test_locks_are_kept() -> None:
    tree = parse_one("SELECT * FROM t FOR UPDATE OF t SKIP LOCKED").tree
    assert isinstance(tree, exp.Select)
    assert len(tree.args["locks"]) == 1


@pytest.mark.parametrize(
    ("text", "position", "nested", "expected"),
    [
        ("SELECT a + 1, b FROM t", 7, 0, "a + 1"),
        ("SELECT (1 + 2) * 3 AS x", 8, 0, "(1 + 2) * 3 AS x"),
        ("SELECT x, (SELECT (SELECT 1)) FROM t", 26, 2, "(SELECT (SELECT 1))"),
        ("SELECT DISTINCT -a, b", 17, 0, "-a"),
    ],
)
def test_text_of_an_item(text: str, position: int, nested: int, expected: str) -> None:
    assert item_text(text, position, nested) == expected


def test_long_statements() -> None:
    terms = " OR ".join(f"a = {i}" for i in range(1000))
    assert len(parse_one(f"SELECT * FROM t WHERE {terms}").tree.sql()) > 8000  # type: ignore[union-attr]
    assert len(parse_one(f"SELECT 1 IN ({', '.join('?' * 10_000)})").parameters) == 10_000
    with pytest.raises(OperationalError, match="parser stack overflow"):
        parse_one("SELECT " + "(" * 20_000 + "1" + ")" * 20_000)


@pytest.mark.parametrize(
    ("sql", "row"),
    [
        ("SELECT 1e5+1, 1e15-0.5, 1.5e3+1.5e-3, 1e1-2e+1", (100001.0, 999999999999999.5, 1500.0015, -10.0)),
        ("SELECT 2-1e2*3e+2-1 AS x, 'a 1e5+1 2b', 5 AS \"3d\"", (-29999.0, "a 1e5+1 2b", 5)),
    ],
)
def test_a_sign_behind_an_exponent_is_an_operator(sql: str, row: tuple[object, ...]) -> None:
    assert sqlite3.connect(":memory:").execute(sql).fetchone() == row
    assert zodbapi.connect(":memory:").execute(sql).fetchone() == row


@pytest.mark.parametrize("number", ["12abc", "1_000", "1e5x", "1e5+1e2y", "0.5a"])
def test_a_number_does_not_run_into_a_name(number: str) -> None:
    token = number.split("+")[-1]
    with pytest.raises(zodbapi.OperationalError, match=f'unrecognized token: "{token}"'):
        zodbapi.connect(":memory:").execute(f"SELECT {number}")


def test_a_word_may_follow_a_numbered_placeholder() -> None:
    assert zodbapi.connect(":memory:").execute("SELECT 1 WHERE ?1and ?2", [1, 2]).fetchall() == [(1,)]
