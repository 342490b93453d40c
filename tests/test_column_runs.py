"""Runs of columns: the plan of a select list that was read at once is that of one that was read column by column."""

from __future__ import annotations

import pytest

from tests.definitions import define
from zodbapi.binder import bind
from zodbapi.errors import OperationalError
from zodbapi.functions import BUILTIN
from zodbapi.parser import parse
from zodbapi.parser.column_runs import mark_runs

SCHEMA = define(
    """CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, "B" TEXT COLLATE NOCASE, c);
    CREATE TABLE u (id INTEGER, a INTEGER, d TEXT)"""
)
RUN = '"t"."id", "t"."a", "t"."B"'

FOUND = (
    f"SELECT {RUN} FROM t",
    f"SELECT DISTINCT {RUN} FROM t",
    f'SELECT {RUN}, "t"."rowid" FROM t',
    f"SELECT {RUN}, lower(t.b) FROM t",
    f"SELECT {RUN}, 'x' FROM t WHERE \"t\".\"B\" = ''",
    f'SELECT {RUN}, "t"."a" + 1 FROM t',
    f'SELECT {RUN}, "t"."B" COLLATE BINARY FROM t ORDER BY 4',
    'SELECT "t"."id" AS "x", "t"."a" AS "y", "t"."B" AS "x" FROM t WHERE x > y ORDER BY x, y DESC',
    'SELECT "t"."id", "t"."a" AS "id", "t"."B" FROM t GROUP BY id, 2, 3 HAVING count(*) > 1',
    'SELECT "t"."id", "t"."a", "t"."b" FROM "t" ORDER BY "a", 3, "b" LIMIT 2',
    'SELECT "t"."id", "t"."a", "u"."d", "u"."rowid" FROM t LEFT JOIN u ON t.id = u.a WHERE u.id = ?',
    'SELECT "u"."id", "t"."a", "u"."a" FROM t JOIN u USING (id)',
    f"SELECT count(*) FROM (SELECT DISTINCT {RUN} FROM t) AS s",
    f"SELECT * FROM (SELECT {RUN} FROM t) AS s, (SELECT {RUN}, t.c FROM t) AS r WHERE s.a = r.a",
    f"SELECT {RUN} FROM t UNION SELECT u.* FROM u ORDER BY a, 3",
    'SELECT "u"."id", "u"."a" AS "x", "u"."d" FROM u UNION ALL SELECT "t"."id", "t"."a", "t"."B" FROM t ORDER BY x, "t"."B"',
    f"WITH s AS (SELECT {RUN} FROM t) SELECT * FROM s",
    f"SELECT a FROM u WHERE (id, a, d) IN (SELECT {RUN} FROM t WHERE t.id = u.id)",
    f'SELECT "u"."id", "u"."a", "u"."d", EXISTS (SELECT {RUN} FROM t WHERE t.id = u.id) FROM u',
    f"INSERT INTO u (id, a, d) SELECT {RUN} FROM t",
    f"INSERT INTO u SELECT {RUN} FROM t WHERE t.a = ?",
)
LEFT_ALONE = (
    'SELECT "t"."id", "t"."a" FROM t',
    f"select {RUN} from t",
    f"SELECT * FROM xSELECT {RUN} FROM t",
    f"SELECT ALL {RUN} FROM t",
    f'SELECT "t"."id" + 1, {RUN} FROM t',
    f"SELECT '' || t.B, (SELECT {RUN} FROM t) FROM t",
    f"SELECT a -- SELECT {RUN} FROM t\n FROM t",
    f"SELECT a /* SELECT {RUN} FROM t */ FROM t",
    f"SELECT 'SELECT {RUN} FROM t' FROM t",
    f"SELECT [SELECT {RUN} FROM t] FROM t",
    f"SELECT `SELECT {RUN} FROM t` FROM t",
    f'SELECT "SELECT {RUN} FROM t" FROM t',
)


@pytest.mark.parametrize("sql", FOUND)
def test_the_plan_is_that_of_single_columns(sql: str) -> None:
    """Names, sources and positions are equal."""
    assert mark_runs(sql)[1], "no run was found"
    together, apart = (bind(parse(sql, runs=runs)[0], SCHEMA, BUILTIN) for runs in (True, False))
    assert together == apart


@pytest.mark.parametrize("sql", LEFT_ALONE)
def test_what_only_looks_like_a_run_stays_as_it_is(sql: str) -> None:
    """Literals, comments, other names and other select lists."""
    assert mark_runs(sql) == (sql, [])


def test_places_stay_where_they_are() -> None:
    """The marked text is as long as the text."""
    sql = f"SELECT {RUN} FROM (SELECT DISTINCT {RUN}, 1 FROM t) AS t"
    marked, starts = mark_runs(sql)
    assert len(marked) == len(sql)
    assert [sql[start : start + len(RUN)] for start in starts] == [RUN, RUN]


@pytest.mark.parametrize(
    "sql",
    [
        f'SELECT {RUN}, "t"."z" FROM t',
        f'SELECT {RUN}, "z"."a" FROM t',
        'SELECT "t"."z", "t"."a", "t"."B" FROM t',
        'SELECT "z"."a", "t"."a", "t"."B" FROM t',
        f"SELECT {RUN} FROM t WHERE",
        f"SELECT {RUN} FROM t WHERE a = = 1",
        f"SELECT {RUN} FROM t\nWHERE b = 'x",
        f"SELECT {RUN} FROM t, t ORDER BY 1",
        f"SELECT {RUN} FROM t ORDER BY 4",
        f"EXPLAIN SELECT {RUN} FROM nowhere",
        f"CREATE VIEW w AS SELECT {RUN} FROM t WHERE (",
    ],
)
def test_errors_are_the_same(sql: str) -> None:
    """Word for word, with the same places."""
    messages = []
    for runs in (True, False):
        with pytest.raises(OperationalError) as caught:
            bind(parse(sql, runs=runs)[0], SCHEMA, BUILTIN)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
