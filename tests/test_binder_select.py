"""Queries: what SQLite answers, and the shape of plans where the answer does not show it."""

# ruff: noqa: E501
from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

import zodbapi
from zodbapi.binder import bind
from zodbapi.binder.scope import Binding, Relation, Scope, table_field
from zodbapi.binder.typing import conversions
from zodbapi.catalog import ANY, BLOB, DATE, INTEGER, NUMERIC, REAL, TEXT, TIMESTAMP, UUID, Column, Schema, Table, Type
from zodbapi.errors import OperationalError
from zodbapi.functions import BUILTIN
from zodbapi.parser import parse_one
from zodbapi.plan.expr import Affine, And, Compare, InList, InQuery, Or, Param
from zodbapi.plan.nodes import (
    Aggregate,
    Distinct,
    Filter,
    Join,
    Limit,
    Materialize,
    Node,
    Project,
    Recursive,
    Scan,
    Sort,
    Window,
)
from zodbapi.plan.walk import descend

SETUP = """
CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT COLLATE NOCASE, c REAL NOT NULL, x);
CREATE TABLE u (id INTEGER PRIMARY KEY, t_id INTEGER, a TEXT);
CREATE TABLE w (k TEXT, v INTEGER);
CREATE VIEW v AS SELECT a+1, b AS q FROM t WHERE a > 1;
CREATE VIEW v2(m, n) AS SELECT a, count(*) FROM t GROUP BY a;
INSERT INTO t VALUES (1,1,'x',1.5,'5'), (2,2,'X',2.5,5), (3,null,'y',0.5,null), (4,2,'Z',-1.0,x'00'), (5,5,null,2.0,2.5),
    (6,10,'10',3.0,'abc');
INSERT INTO u VALUES (1,1,'1'), (2,1,'x'), (3,2,'2'), (4,null,'5'), (5,9,null);
INSERT INTO w VALUES ('a',1), ('b',2), ('A',3), ('b',null), (null,4);
"""

QUERIES = """
-- comparison and affinity
select a, b from t where a = '5' and b = 'x'
select a, b from t where a = '2' order by id
select +a, ~a, -a, +x = 5, x = 5, x = '5' from t order by id
select x in (5), x in ('5'), '5' in (x), x in (select a from t), a in (select a from u) from t order by id
select t.id, u.id from t, u where t.a = u.a
select t.id, u.id from t, u where t.b = u.a
select t.id, u.id from t, u where u.a = t.x
select id from t where x < 5 order by 1
select id from t where x < '5' order by 1
select id from t where x > a order by 1
select cast(a as text) = '1', cast(a as text) = 1, cast('12abc' as integer), cast('1e3' as real) from t order by id
select 1 = '1', 1 = 1.0, '1' = 1.0, null = null, null is null, 1 < 'a', 'a' < x'00', 1 is '1'
select a from (select a from t) where a = '1'
select a from (select a+0 as a from t) where a = '1'
select (select a from t where id = 1) = '1', (select a + 0 from t where id = 1) = '1'
select max(a) = '10', a = '10' from t group by a order by a
select a is true, a is not false, a is null, a is not null, a is 1, a is not 2, a is not true, a is false from t order by id
select a between 1 and 2, b between 'a' and 'c' collate binary, b not between 'x' and 'z' from t order by id
select case a when 1 then 'x' when '2' then 'y' end, case when a then 1 else 2 end from t order by id
select not 0, not 1, not null, not 'a', not '1', 1 and null, 0 and null, 1 or null, 0 or null
-- collation
select id from t where b = 'X' order by id
select id from t where b = 'X' collate binary order by id
select id from t where 'X' = b order by id
select id from t where b in ('X') order by id
select t.id, u.id from t, u where u.a = t.b order by 1, 2
select id from t order by b, id
select id from t order by b collate binary, id
select distinct k collate nocase from w order by 1
select k from w union select 'B' order by 1
select count(distinct k collate nocase) from w
select min(k collate nocase), max(k) from w
select 'abc' = 'ABC' collate nocase, 'a ' = 'a' collate rtrim, 'abc' < 'ABD' collate nocase
select id from t where b || '' = 'X' order by id
-- row values
select (a, id) < (1, 2), (a,id) = (select 1,1) from t order by id
select id from t where (a, b) = (2, 'x')
select id from t where (a, b) > (1, 'x') order by id
select id from t where (a, c) between (1, 1) and (2, 3) order by id
select id from t where (a, id) in (values (1, 1), (2, 4)) order by id
select id from t where (a, id) in (select a, id from t where a = 2) order by id
select (1, null) = (1, 2), (1, null) = (2, 2), (1, 2) < (1, 3), (1,2) is (1,2), (1,2) is not (1,3)
select (1, 2)
select 1 in (select 1, 2)
select (1, 2) in (select 1)
select (1,2) = (1,2,3)
-- joins
select t.*, u.a from t join u on t.id = u.t_id where u.a like 'x%' order by t.a desc limit 10
select * from t natural join u
select * from t left join u using (id) order by 1
select * from t full join u using (id) order by 1
select id from t full join u using (id) order by 1
select t.id, u.id from t full join u on t.id = u.t_id
select t.id, u.id from t right join u on t.id = u.t_id
select u.*, t.b from u left join t on u.t_id = t.id order by u.id
select * from t, u, w where t.id = u.t_id and w.v = t.id order by u.id
select t.id from t left join (u join w on u.id = w.v) on t.id = u.t_id order by 1
select * from (t join u on t.id=u.id) join v order by t.id, q
select a.id, b.id from t a left join t b on a.a = b.a and b.id > a.id order by 1, 2
select id, t1.a, t2.a from t as t1 join t as t2 using (id) where id > 4 order by id
select count(*) from t cross join u, w
-- grouping
select a+1, count(*), ( a ) , "b", A from t group by a order by a
select max(a), b from t
select min(c), b, a from t
select b, max(c), a from t group by b order by b
select count(*), count(a), count(distinct a), sum(a), avg(a), total(a), min(a), max(a) from t
select count(*), sum(a), max(a) from t where a > 1000
select a, sum(c) from t where a > 1000 group by a
select sum(a), count(*) from t having count(*) > 100
select a, count(*) filter (where c > 1) from t group by a order by a
select a % 2 as par, count(*) from t group by par order by par
select a, c from t group by 1 order by 1
select a as z from t where z > 1 group by z having z > 1 order by z
select t.a, count(u.id) from t left join u on u.t_id = t.id group by t.id order by t.id
select a from t group by a having sum(c) > 1 order by sum(c), a
select group_concat(distinct b), group_concat(b, ',') from t
select a, (select count(*) from t t2 where t2.a = t.a) from t group by a order by a
select a, (select max(u.id) from u where u.id <= max(t.id)) from t group by a order by a
select (select sum(t.a)) from t
select (select sum(t.a + u.id) from u) from t order by id
select id, (select max(t.a) from u) from t order by id
select count(*) as n from t order by n
select a, count(*) n from t group by a having n > 1 order by n
select count(*) from t where count(*) > 1
select sum(max(a)) from t
select sum(a) from t group by 1
select 1 having 1
select abs(a) filter (where 1) from t
select sum(a, c) from t
select count(distinct a, c) from t
-- windows
select id, sum(c) filter (where a>1) over (partition by b order by c) from t order by id
select id, row_number() over w from t window w as (order by a, id) order by id
select id, lag(a) over (order by id), lead(a, 2, -1) over (order by id), nth_value(a, 2) over (order by id) from t order by id
select id, rank() over (order by a), dense_rank() over (order by a), ntile(3) over (order by id) from t order by id
select id, sum(a) over (order by id rows between 1 preceding and 1 following) from t order by id
select a, sum(count(*)) over (order by a) from t group by a order by a
select a, row_number() over (order by sum(c)) from t group by a order by a
select id, count(*) over () from t order by count(*) over (), id
select id, sum(c) over w1, sum(c) over (w1 rows unbounded preceding) from t window w1 as (partition by a order by id) order by id
select id from t where row_number() over () = 1
select row_number() from t
select abs(a) over () from t
select sum(a) over nope from t
-- DISTINCT, ORDER BY, LIMIT
select distinct b from t order by a
select distinct a, b from t order by c limit 3
select a from t order by id limit 1 offset 2
select a from t order by id limit 2, 2
select a from t order by id limit -1 offset 4
select id from t order by a nulls last, id
select id from t order by a desc nulls first, id desc
select (select count(*) from u where u.t_id = t.id) as n, id from t order by n desc, id
select upper(b) from t order by 1, upper(b) collate nocase desc
select k as v, v as k from w order by v, k
select a from t order by 3
select sum(a) from t limit 0
-- compounds
select 1 union select 2 order by 1
select a from t union all select a from u order by a limit 3
select a from t intersect select id from u order by 1
select a from t except select id from u order by 1
select a from t union select id from u except select 1 union all select 7 order by 1 desc
select * from (select a from t order by a limit 1) union all select id from u order by 1
select 1 as x union all select 2 as y order by y
select a from t union select v from w order by a + 1
select x from (select a as x from t union select v from w) where x > 2 order by x
select 1, 2 union select 1
select a from t order by a union select 1
select a from t limit 1 union select 1
-- CTEs, views, subqueries
with c as (select 1 as x) select * from c, c as d
with c as (select a from t), d(z) as (select a+1 from c) select * from d, c where z = a
with recursive c(n) as (select 1 union all select n+1 from c where n < 10) select * from c
with recursive c(n) as (select 1 union all select n+1 from c where n < 10) select a.n, b.n from c a join c b on a.n = b.n + 8
with recursive c(n) as (select 1 union all select n+0.5 from c where n < 10 order by 1 desc limit 5) select sum(n) from c
with recursive c(n) as (select 1 union select n % 4 + 1 from c) select * from c order by n
with recursive c(n, p) as (values (1, 'x') union all select n+1, p || n from c where n < 4) select * from c order by n
select * from v order by 1
select m+n from v2 order by 1
values (1,2),(3,4)
select column1+column2 from (values (1,2),(3,4))
select exists(select 1 from u where u.t_id = t.id) from t order by id
select t.id from t where t.id not in (select t_id from u) order by 1
select id from t where id in (select t_id from u where u.id in (select v from w where w.v = t.id)) order by id
select id, (select count(*) from (select 1 from u where u.t_id = t.id)) from t order by id
select * from (select a, a from t) order by 1
select * from (select 1 as a, 2 as a)
select *, * from (select 1 as b)
-- names
select (select (select 1)), 1+1, (1+2)*3, not (a), case when 1 then 2 end, count(*) from t
select t.a as "x y", t.a [q], t.a `r`, t.a 'lit' from t limit 1
select rowid, oid, u.rowid from u order by 1
select rowid from t order by 1
select main.t.id from main.t where main.t.id = 1
select -9223372036854775808, 9223372036854775807, 9223372036854775808, x'00', 1.5, 'a' || 'b'
-- errors
select nope from t
select t.nope from t
select * from nope
select nope.* from t
select t.* from t as q
select id from t, u
select foo(1)
select upper(1,2)
select (select 1, 2)
select id from t indexed by nope
select * from t group by 9
select *
-- from here on: what went wrong once
with recursive c(n) as (select 1 union all select n+1 from c where n < 5 union all select n + 2 from c where n < 5) select n, count(*) from c group by n order by n
with recursive org(id, lvl) as (select 1, 0 union all select u.id, lvl+1 from u join org on u.t_id = org.id where lvl < 3) select * from org order by id, lvl
with recursive a(n) as (select 1 union all select n + 1 from a where n < 3), b(m) as (select 10 union all select m + n from b, a where m < 12) select * from b order by m
with recursive s(x, l) as (select id, 1 from t where id = 1 union select t.id, l + 1 from t join s on t.id = s.x + 1 where l < 4) select group_concat(x || ':' || l) from s
select (with recursive c(n) as (select 1 union all select n + 1 from c where n < t.id) select sum(n) from c) from t order by id
select t.b, min(null), u.a from t, u
select b, min(x) from t where x is null
select avg(a) over w, sum(c) over (w order by id) from t window w as (partition by b) order by t.id
select nullif(b, 'X'), min(b, 'X'), max('X', b), nullif(b, 'X' collate binary) from t order by id
select 1 as x, x + 1
select a from t order by count(*)
select 1 limit
select , 1
select 1,
select * from t order
select 1 in
select * from t outer join u
select 1 as group
select exists (values (1)), (values (5))
select * from t where (a, b) in (values (2, 'X'))
select * from (select a, count(*) n from t group by a) x join (select t_id, count(*) m from u group by t_id) y on x.a = y.t_id order by 1
select t1.id from t t1 where t1.c > (select avg(c) from t t2 where t2.b = t1.b) order by 1
"""


@pytest.fixture(scope="module")
def databases() -> Iterator[tuple[Any, Any]]:
    with closing(sqlite3.connect(":memory:")) as theirs, zodbapi.connect(":memory:") as ours:
        for statement in SETUP.split(";")[:-1]:
            theirs.execute(statement)
            ours.execute(statement)
        yield theirs, ours


def answer(connection: Any, query: str) -> Any:
    """Names and rows, or the first words of the error."""
    try:
        cursor = connection.execute(query)
    except (sqlite3.OperationalError, OperationalError) as error:
        return str(error).split(":")[0]
    names = [column[0] for column in cursor.description]
    rows = [tuple((type(value), value) for value in row) for row in cursor.fetchall()]
    return names, rows if "order by" in query else sorted(rows, key=repr)


@pytest.mark.parametrize("query", [line for line in QUERIES.splitlines() if line and not line.startswith("--")])
def test_same_as_sqlite(query: str, databases: tuple[Any, Any]) -> None:
    theirs, ours = databases
    expected = answer(theirs, query)
    found = answer(ours, query)
    if isinstance(expected, str):
        assert isinstance(found, str)  # the wording is tested below
    else:
        assert found == expected


# --- the wording of errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select nope from t", "no such column: nope"),
        ("select t.nope from t", "no such column: t.nope"),
        ("select * from nope", "no such table: nope"),
        ("select id from t, u", "ambiguous column name: id"),
        ("select foo(1)", "no such function: foo"),
        ("select upper(1, 2)", "wrong number of arguments to function upper()"),
        ("select 1 from t where count(*) > 1", "misuse of aggregate: count()"),
        ("select row_number() from t", "misuse of window function row_number()"),
        ("select sum(a) over nope from t", "no such window: nope"),
        (
            "select 1, 2 union all select 1",
            "SELECTs to the left and right of UNION ALL do not have the same number of result columns",
        ),
        ("select (select 1, 2)", "sub-select returns 2 columns - expected 1"),
        ("select a from t order by 3", "1st ORDER BY term out of range - should be between 1 and 1"),
        ("select 1 union select 2 order by 7 + 7", "1st ORDER BY term does not match any column in the result set"),
        ("select a collate nope from t", "no such collation sequence: nope"),
        ("select * from t join u using (c)", "cannot join using column c - column not present in both tables"),
        ("with c as (select * from c) select * from c", "circular reference: c"),
        ("with c(a, b) as (select 1) select * from c", "table c has 1 values for 2 columns"),
        ("select *", "no tables specified"),
    ],
)
def test_error(query: str, message: str, databases: tuple[Any, Any]) -> None:
    with pytest.raises(OperationalError) as caught:
        databases[1].execute(query)
    assert str(caught.value) == message


# --- plans --------------------------------------------------------------------------------------------------------

T = Table(
    1,
    "t",
    (
        Column("id", INTEGER, True),
        Column("a", INTEGER),
        Column("b", TEXT, True, collation="NOCASE"),
        Column("d", TIMESTAMP),
        Column("z", ANY),
    ),
    (0,),
    0,
)
U = Table(2, "u", (Column("id", INTEGER, True), Column("a", TEXT)), (0,), 0)
SCHEMA = Schema().with_table(T).with_table(U)


def plan(query: str) -> Node:
    node = bind(parse_one(query), SCHEMA, BUILTIN).node
    assert isinstance(node, Node)
    return node


def chain(node: Node) -> list[type]:
    """The classes of the nodes from the root down the first inputs."""
    classes = []
    current: Any = node
    while current is not None:
        classes.append(type(current))
        current = getattr(current, "input", None) or getattr(current, "left", None)
    return classes


def predicate(condition: str) -> Any:
    node = plan(f"select 1 from t, u where {condition}")
    return next(part for part in descend(node) if isinstance(part, Filter)).predicate


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select a from t", [Project, Scan]),
        ("select a from t where a = 1 order by b limit 1", [Limit, Project, Sort, Filter, Scan]),
        ("select distinct a from t order by a", [Sort, Distinct, Project, Scan]),
        ("select distinct a from t order by b", [Project, Sort, Distinct, Project, Scan]),
        ("select a, sum(id) from t group by a having sum(id) > 1", [Project, Filter, Aggregate, Scan]),
        ("select sum(a) over () from t", [Project, Window, Scan]),
        ("select random() as r from t order by r", [Sort, Project, Scan]),
        ("select distinct on (a) a, b from t order by a, b", [Distinct, Sort, Project, Scan]),
        ("select t.a from t left join u on t.id = u.id", [Project, Join, Scan]),
    ],
)
def test_plan_shape(query: str, expected: list[type]) -> None:
    assert chain(plan(query)) == expected


def test_right_joins_are_left_joins() -> None:
    join = plan("select t.a from t right join u on t.id = u.id").input  # type: ignore[attr-defined]
    assert join.kind == "left"
    assert join.left.table is U


def test_outer_joins_make_columns_nullable() -> None:
    left = plan("select t.id, u.id from t left join u on t.id = u.id")
    assert [column.nullable for column in left.columns] == [False, True]  # type: ignore[attr-defined]
    full = plan("select t.id, u.id from t full join u on t.id = u.id")
    assert [column.nullable for column in full.columns] == [True, True]  # type: ignore[attr-defined]


def test_a_cte_used_once_is_inlined() -> None:
    assert not any(isinstance(p, Materialize) for p in descend(plan("with c as (select a from t) select * from c")))


def test_a_cte_used_twice_is_computed_once() -> None:
    found = [p for p in descend(plan("with c as (select a from t) select * from c, c d")) if isinstance(p, Materialize)]
    assert len(found) == 2
    assert found[0].cte == found[1].cte
    assert found[0].source != found[1].source


def test_a_correlated_cte_is_not_shared() -> None:
    node = plan("select (with c as (select t.a as x) select count(*) from c, c d) from t")
    assert not any(isinstance(part, Materialize) for part in descend(node))


def test_recursion_widens_types() -> None:
    node = plan("with recursive c(n) as (select 1 union all select n / 2.0 from c) select n from c limit 1")
    assert next(part for part in descend(node) if isinstance(part, Recursive))
    assert node.input.columns[0].type == NUMERIC  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (INTEGER, None, (None, INTEGER)),
        (INTEGER, TEXT, (None, INTEGER)),
        (INTEGER, REAL, (None, None)),
        (TEXT, None, (None, TEXT)),
        (TEXT, ANY, (None, None)),
        (ANY, None, (None, None)),
        (BLOB, INTEGER, (INTEGER, None)),
        (None, None, (None, None)),
        (DATE, None, (None, DATE)),
        (DATE, TIMESTAMP, (TIMESTAMP, None)),
        (UUID, TEXT, (None, UUID)),
        (TIMESTAMP, TIMESTAMP, (None, None)),
    ],
)
def test_affinity_of_comparisons(left: Type, right: Type, expected: tuple[Type | None, Type | None]) -> None:
    assert conversions(left, right) == expected
    assert conversions(right, left) == expected[::-1]


def test_parameters_are_converted_for_columns() -> None:
    assert predicate("t.d > ?").right == Affine(Param(0), TIMESTAMP)
    assert predicate("t.z = ?").right == Param(0)
    assert predicate("t.b = 'x'").collation == "NOCASE"


def test_connectives_are_flat() -> None:
    both = predicate("t.a = 1 and (t.a = 2 and t.a = 3) and t.a = 4")
    assert isinstance(both, And)
    assert len(both.terms) == 4
    assert isinstance(predicate("(t.a, t.b) < (1, 'x')"), Or)
    assert isinstance(predicate("(t.a, t.b) = (1, 'x')"), And)


def test_lists() -> None:
    short, long = predicate("t.a in (?, ?)"), predicate("t.a in (?, ?, ?, ?, ?)")
    assert isinstance(short, InList)
    assert [item.operand.index for item in long.items] == [0, 1, 2, 3, 4]
    query = predicate("t.a in (select a from u)")
    assert isinstance(query, InQuery)
    assert query.affinities == (INTEGER,)


def test_scope_resolves_outwards() -> None:
    binding = Binding(SCHEMA, BUILTIN)
    outer = Scope(binding)
    outer.add_table(T)
    inner = outer.inner()
    inner.add(Relation("q", 7, [table_field(Column("id", INTEGER))]))
    assert inner.resolve("ID").source == 7  # type: ignore[attr-defined]
    assert inner.resolve("id", "T").source == 0  # type: ignore[attr-defined]
    with pytest.raises(OperationalError, match=r"no such column: q\.a"):
        inner.resolve("a", "q")


def test_long_chains_do_not_recurse() -> None:
    terms = " or ".join(f"(t.a = {i} and t.b = 'x')" for i in range(2000))
    assert len(predicate(terms).terms) == 2000
    plan("select " + "+".join(["a"] * 900) + " from t")
    with pytest.raises(OperationalError, match="maximum depth 1000"):  # SQLite's limit
        plan("select " + "+".join(["a"] * 5000) + " from t")
    plan(" union all ".join(f"select {i}" for i in range(500)))
    plan("select " + "(" * 200 + "1" + ")" * 200)


def test_for_update_is_noted() -> None:
    assert bind(parse_one("select a from t for update"), SCHEMA, BUILTIN).for_update
    assert not bind(parse_one("select a from t"), SCHEMA, BUILTIN).for_update


def test_compare_is_null_safe_only_where_it_says_so() -> None:
    assert isinstance(predicate("t.a is 5"), Compare)
    assert not predicate("t.a is 5").nullable
    assert predicate("t.a = 5").nullable
    assert not predicate("t.id = 5").nullable
