"""Wrong input: each a clear error of the right class, in SQLite's words, with nothing harmed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

import zodbapi

SETUP = """
    CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b INTEGER UNIQUE, c INTEGER CHECK (c > 0));
    CREATE VIEW v AS SELECT a FROM t;
    CREATE TABLE o (x INTEGER REFERENCES t (id));
    INSERT INTO t VALUES (1, 'a', 1, 1);
"""

# One statement a line; sqlite3 is asked what to expect. A syntax error has its place behind SQLite's words.
WRONG = """\
selec 1
select
select * from
select 1 where
select 'abc
select (1
select 1)
select * from t where a =
select nope from t
select t.nope from t
select q.a from t
select * from nope
select * from t, t x where id=1
select nofunc(1)
select abs()
select abs(1,2)
select substr('a')
insert into t values(1,2)
insert into t(a) values(1,2)
insert into t(nope) values(1)
insert into t(id,a,a) values(5,'x','y')
insert into nope values(1)
insert into t(id,a) values(1,'x')
insert into t(a,b) values('x',1)
insert into t(a) values(null)
insert into t(a,c) values('x',-1)
insert into v values(1)
insert into o values(99)
update t set nope=1
update nope set a=1
update t set a=null
delete from nope
delete from t where nope=1
delete from v
select a, count(*) from t where count(*)>1
select a from t group by nope
select a from t order by 5
select a from t order by nope
select a from t union select a,b from t
select a from t union select a from t order by nope
select * from t limit 'x'
select (select a,b from t)
select a in (select a,b from t) from t
values(1),(2,3)
with q as (select 1) select * from r
with q(a,b) as (select 1) select * from q
select row_number() from t
select sum(a) over w from t
select 1 from t join o using(nope)
select case when 1 then 2
select * from t natural join
create table
create table x()
create table x(a integer primary key, primary key(a))
create table x(a, foreign key(nope) references t)
create index on t(a)
create index i2 on t()
alter table t add
alter table t drop column nope
alter table t rename column nope to x
drop table
begin begin
savepoint
release nope
select ?1, ?3
select :
select @
select t.* from t as x
select x.* from t
select count(distinct) from t
select count(a,b) from t
select group_concat() from t
select a b c from t
select * from t where a like
select 1 +
select not
select a from t where a between 1
select 1 order by 1 2
insert into t select 1
insert into t values
update t set
select * from t t1 join t t2 on
select 9999999999999999999999
select 1e400
select x'1'
select `nope`
select [nope]
select main.t.a from t
select * from main.t
select * from other.t
insert into t(a,b) values('q',2) on conflict(nope) do nothing
insert into t(a,b) values('q',2) on conflict(a) do nothing
select json_extract('{bad','$.a')
select json('{')
select sum(9223372036854775807) + 1
select sum(x) from (select 9223372036854775807 as x union all select 1)
select -9223372036854775808 / -1
select 1 % 0
select like('a','b','cc')
select 'a' like 'b' escape 'cc'
select date('nonsense')
select ntile(0) over () from t
select nth_value(a,0) over () from t
select lead(a,-1) over () from t
select sum(b) over (order by b rows between 1 following and 1 preceding) from t
select sum(b) over (rows -1 preceding) from t
"""

# Where the words differ on purpose, or because another part of the statement is looked at first.
DIFFERENT = {
    "insert into t(id,a) values('abc','x')": ("DataError", "cannot store TEXT value in INTEGER column t.id"),
    "select abs(-9223372036854775808)": ("OperationalError", "integer overflow"),
    "select max(count(*)) from t": ("OperationalError", "misuse of aggregate: count()"),
    "create table x(a references t(a,b))": (
        "OperationalError",
        "number of columns in foreign key does not match",
    ),
    "alter table t add column z integer primary key": ("OperationalError", 'table "t" has more than one primary key'),
    "select a is from t": ("OperationalError", 'near "is": syntax error'),
    "update t": ("OperationalError", "incomplete UPDATE"),
    "update t set a": ("OperationalError", 'near "a": syntax error'),
    "select distinct from t": ("OperationalError", 'near "FROM": syntax error'),
    "select all from t": ("OperationalError", 'near "FROM": syntax error'),
    "select x'gg'": ("OperationalError", "unrecognized token"),
    "select a.b.c.d from t": ("OperationalError", "no such column: a.b.c.d"),
}


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[Any, Any]]:
    made = zodbapi.connect(":memory:"), sqlite3.connect(":memory:")
    for connection in made:
        connection.executescript(SETUP)
    made[1].execute("PRAGMA foreign_keys = ON")
    yield made
    assert made[0].execute("SELECT * FROM t").fetchall() == [(1, "a", 1, 1)]
    assert made[0].execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for connection in made:
        connection.close()


def outcome(connection: Any, sql: str) -> tuple[str, str]:
    try:
        cursor = connection.execute(sql)
        if cursor.description is not None:
            cursor.fetchall()
    except Exception as error:
        return type(error).__name__, str(error)
    finally:
        connection.rollback()
    return "no error", ""


@pytest.mark.parametrize("sql", WRONG.splitlines())
def test_as_sqlite_words_it(engines: tuple[Any, Any], sql: str) -> None:
    found, expected = (outcome(connection, sql) for connection in engines)
    assert (found[0], found[1].partition(" (line ")[0]) == expected


@pytest.mark.parametrize("sql", DIFFERENT)
def test_in_words_of_our_own(engines: tuple[Any, Any], sql: str) -> None:
    name, message = outcome(engines[0], sql)
    assert name == DIFFERENT[sql][0]
    assert message.startswith(DIFFERENT[sql][1])


def test_syntax_errors_have_a_place(engines: tuple[Any, Any]) -> None:
    with pytest.raises(zodbapi.OperationalError, match=r'near "t": syntax error \(line 2, column'):
        engines[0].execute("SELECT a\n  FORM t")


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("INSERT INTO t (id, a) VALUES (?, 'x')", "12x"),
        ("INSERT INTO t (a, b) VALUES ('x', ?)", 1.5),
        ("INSERT INTO t (a, b) VALUES ('x', ?)", b"1"),
        ("UPDATE t SET b = ?", "two"),
        ("UPDATE t SET b = ? + 9223372036854775807", 1),
    ],
)
def test_value_that_does_not_fit(engines: tuple[Any, Any], sql: str, value: Any) -> None:
    with pytest.raises(zodbapi.DataError, match=r"INTEGER column t\."):
        engines[0].execute(sql, (value,))
    engines[0].rollback()


HOSTILE = ["'", '"', "\\", "\n", "'''", '"""', "{0}", "%s", "__import__('os')", "\x01", "x'); import os #", "\u2028"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_never_become_source(engines: tuple[Any, Any], text: str) -> None:
    literal = "'" + text.replace("'", "''") + "'"
    connection = engines[0]
    assert connection.execute(f"SELECT {literal}, upper({literal}) = upper(?)", (text,)).fetchall() == [(text, 1)]
    assert connection.execute(f"SELECT 1 FROM t WHERE a || {literal} = a || ?", (text,)).fetchall()
    source = "".join(row[1] for row in connection.execute(f"EXPLAIN SELECT 1 FROM t WHERE a = {literal}"))
    assert text not in source
