"""INSERT, UPDATE and DELETE: what the plan nodes say, and which statements are refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.definitions import FUNCTIONS, define
from zodbapi.binder.dml import bind_delete, bind_insert, bind_update
from zodbapi.binder.scope import Binding
from zodbapi.catalog import Schema
from zodbapi.errors import DatabaseError
from zodbapi.parser import parse_one
from zodbapi.plan.expr import Column, Const, Expr, Param, Rowid, ScalarQuery
from zodbapi.plan.nodes import ConflictClause, Delete, Filter, Insert, Join, Limit, Project, Scan, Sort, Update, Values

SCHEMA = define(
    """CREATE TABLE t (id integer PRIMARY KEY, a text DEFAULT 'x' UNIQUE, b int, g int AS (b + 1));
    CREATE TABLE u (a, b, CONSTRAINT ab UNIQUE (a, b));
    CREATE UNIQUE INDEX lowered ON t (lower(a));
    CREATE UNIQUE INDEX partial ON t (b) WHERE b > 3;
    CREATE VIEW v AS SELECT 1"""
)
IDS = {name: index.id for name, (_, index) in SCHEMA.indexes.items()}


def bind(sql: str, schema: Schema = SCHEMA) -> Any:
    tree: Any = parse_one(sql).tree
    binder = {"insert": bind_insert, "update": bind_update, "delete": bind_delete}[tree.key]
    return binder(tree, Binding(schema, FUNCTIONS, sql))


def insert(sql: str) -> Insert:
    node = bind(sql)
    assert isinstance(node, Insert)
    return node


def constants(values: tuple[Expr | None, ...]) -> list[Any]:
    return [value.value if isinstance(value, Const) else value for value in values]


# --- INSERT ---------------------------------------------------------------------------------------------------------


def test_one_row_needs_no_buffer() -> None:
    node = insert("INSERT INTO t VALUES (1, 'y', 2)")
    assert isinstance(node.input, Values) and node.input.rows == ((),)
    assert constants(node.values) == [1, "y", 2, None]
    assert node.values[3] is None  # generated


def test_columns_that_are_not_named_get_their_default() -> None:
    assert constants(insert("INSERT INTO t (b) VALUES (5)").values) == [None, "x", 5, None]
    assert constants(insert("INSERT INTO t DEFAULT VALUES").values) == [None, "x", None, None]
    assert constants(insert("INSERT INTO t (a, b) VALUES (DEFAULT, DEFAULT)").values) == [None, "x", None, None]


def test_several_rows_are_a_values_node() -> None:
    node = insert("INSERT INTO t (b, a) VALUES (1, 'y'), (?, DEFAULT)")
    assert isinstance(node.input, Values)
    assert [constants(row) for row in node.input.rows] == [[1, "y"], [Param(0), "x"]]
    first, second = node.values[1], node.values[2]
    assert isinstance(first, Column) and (first.source, first.position) == (node.input.source, 1)
    assert isinstance(second, Column) and (second.source, second.position) == (node.input.source, 0)


def test_rowid_of_a_table_that_hides_it() -> None:
    assert insert("INSERT INTO u (rowid, a) VALUES (7, 1)").rowid is not None
    node = insert("INSERT INTO t (rowid) VALUES (7)")
    assert node.rowid is None and constants(node.values)[0] == 7


def test_rows_of_a_query() -> None:
    for sql in (
        "INSERT INTO t (b) SELECT b FROM u",
        "INSERT INTO t (b) WITH c AS (SELECT b FROM u) SELECT b FROM c",
        "WITH c AS (SELECT b FROM u) INSERT INTO t (b) SELECT b FROM c",
    ):
        node = insert(sql)
        assert isinstance(node.values[2], Column)
        assert constants(node.values[:2]) == [None, "x"]


def test_returning_sees_the_stored_row() -> None:
    node = insert("INSERT INTO t AS x (b) VALUES (1) RETURNING *, x.b + 1 AS more, rowid")
    assert node.names == ("id", "a", "b", "g", "more", "id")
    assert node.returning is not None
    assert all(isinstance(e, Column) and e.source == node.source for e in node.returning[:4])


@pytest.mark.parametrize(
    ("sql", "clauses"),
    [
        ("INSERT INTO t VALUES (1, 2, 3)", ()),
        ("INSERT OR ABORT INTO t VALUES (1, 2, 3)", ()),
        ("INSERT OR IGNORE INTO t VALUES (1, 2, 3)", (ConflictClause("ignore", any_constraint=True),)),
        ("REPLACE INTO t VALUES (1, 2, 3)", (ConflictClause("replace", any_constraint=True),)),
        ("INSERT INTO t VALUES (1, 2, 3) ON CONFLICT DO NOTHING", (ConflictClause("ignore"),)),
        ("INSERT INTO t VALUES (1, 2, 3) ON CONFLICT (id) DO NOTHING", (ConflictClause("ignore", (0,)),)),
        ("INSERT INTO u VALUES (1, 2) ON CONFLICT (b, a) DO NOTHING", (ConflictClause("ignore", (IDS["ab"],)),)),
        (
            "INSERT INTO u VALUES (1, 2) ON CONFLICT ON CONSTRAINT ab DO NOTHING",
            (ConflictClause("ignore", (IDS["ab"],)),),
        ),
        ("INSERT INTO u VALUES (1, 2) ON CONFLICT (rowid) DO NOTHING", (ConflictClause("ignore", (0,)),)),
        (
            "INSERT INTO t(b) VALUES (1) ON CONFLICT (lower(a)) DO NOTHING",
            (ConflictClause("ignore", (IDS["lowered"],)),),
        ),
        (
            "INSERT INTO t(b) VALUES (1) ON CONFLICT (b) WHERE b > 3 DO NOTHING",
            (ConflictClause("ignore", (IDS["partial"],)),),
        ),
        (
            "INSERT INTO t(b) VALUES (1) ON CONFLICT (id) DO NOTHING ON CONFLICT (a) DO NOTHING",
            (ConflictClause("ignore", (0,)), ConflictClause("ignore", (IDS["sqlite_autoindex_t_1"],))),
        ),
    ],
)
def test_conflict_clauses(sql: str, clauses: tuple[ConflictClause, ...]) -> None:
    assert insert(sql).clauses == clauses


def test_upsert_sees_the_existing_and_the_excluded_row() -> None:
    node = insert(
        "INSERT INTO t VALUES (1, 'y', 2) ON CONFLICT (a) DO UPDATE SET b = b + excluded.b, a = excluded.a WHERE t.b < 9"
        " RETURNING b"
    )
    (clause,) = node.clauses
    assert [position for position, _ in clause.assignments] == [1, 2]
    value = clause.assignments[0][1]
    assert isinstance(value, Column) and value.source == clause.excluded
    assert clause.where is not None
    assert len({node.source, clause.existing, clause.excluded}) == 3


# --- UPDATE, DELETE -------------------------------------------------------------------------------------------------


def update(sql: str) -> Update:
    node = bind(sql)
    assert isinstance(node, Update)
    return node


def test_update() -> None:
    node = update("UPDATE t SET b = b + 1, a = DEFAULT WHERE id = ? RETURNING b")
    assert [position for position, _ in node.assignments] == [1, 2]
    assert constants((node.assignments[0][1],)) == ["x"]
    assert isinstance(node.input, Filter) and isinstance(node.input.input, Scan)
    assert (node.input.input.source, node.names, node.action) == (node.source, ("b",), "abort")


def test_update_with_everything() -> None:
    node = update("UPDATE OR IGNORE t AS x SET b = 1 WHERE x.b ORDER BY a DESC LIMIT 2 OFFSET 1")
    assert node.action == "ignore"
    assert isinstance(node.input, Limit) and isinstance(node.input.input, Sort)
    assert node.input.input.keys[0].descending


def test_the_last_assignment_counts() -> None:
    assert constants(tuple(value for _, value in update("UPDATE u SET a = 1, b = 2, a = 3").assignments)) == [3, 2]


def test_row_values() -> None:
    assert constants(tuple(value for _, value in update("UPDATE u SET (b, a) = (1, 2)").assignments)) == [2, 1]
    node = update("UPDATE u SET (a, b) = (SELECT id, t.b FROM t WHERE t.b = u.b)")
    queries = [value for _, value in node.assignments]
    assert all(isinstance(query, ScalarQuery) and isinstance(query.query, Project) for query in queries)


def test_update_from_joins() -> None:
    node = update("UPDATE t SET b = u.b FROM u JOIN u AS w ON u.a = w.a WHERE t.a = u.a")
    assert isinstance(node.input, Filter) and isinstance(node.input.input, Join)
    value = node.assignments[0][1]
    assert isinstance(value, Column) and value.source != node.source


def test_update_of_the_rowid() -> None:
    assert update("UPDATE u SET rowid = 5").rowid is not None
    assert [position for position, _ in update("UPDATE t SET rowid = 5").assignments] == [0]


def test_delete() -> None:
    node = bind("WITH c AS (SELECT 1 AS n) DELETE FROM u AS x WHERE x.a IN (SELECT n FROM c) RETURNING rowid, *")
    assert isinstance(node, Delete)
    assert node.names == ("rowid", "a", "b")
    assert node.returning is not None and isinstance(node.returning[0], Rowid)
    assert isinstance(bind("DELETE FROM u").input, Scan)


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("INSERT INTO nosuch VALUES (1)", "no such table: nosuch"),
        ("INSERT INTO other.t VALUES (1)", "no such table: other.t"),
        ("INSERT INTO v VALUES (1)", "cannot modify v because it is a view"),
        ("UPDATE v SET a = 1", "cannot modify v because it is a view"),
        ("DELETE FROM v", "cannot modify v because it is a view"),
        ("INSERT INTO t (z) VALUES (1)", "table t has no column named z"),
        ("INSERT INTO t (g) VALUES (1)", 'cannot INSERT into generated column "g"'),
        ("INSERT INTO t VALUES (1)", "table t has 3 columns but 1 values were supplied"),
        ("INSERT INTO t (a) VALUES (1, 2)", "2 values for 1 columns"),
        ("INSERT INTO t (a, b) SELECT 1", "1 values for 2 columns"),
        ("INSERT INTO u VALUES (1, 2), (3)", "all VALUES must have the same number of terms"),
        ("INSERT INTO u VALUES (a, 1)", "no such column: a"),
        (
            "INSERT INTO u VALUES (1, 2) ON CONFLICT (a) DO NOTHING",
            "ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint",
        ),
        (
            "INSERT INTO t(b) VALUES (1) ON CONFLICT (b) DO NOTHING",
            "ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint",
        ),
        ("UPDATE t SET z = 1", "no such column: z"),
        ("UPDATE t SET g = 1", 'cannot UPDATE generated column "g"'),
        ("UPDATE u SET (a, b) = (1, 2, 3)", "2 columns assigned 3 values"),
        ("UPDATE u SET (a, b) = (SELECT 1)", "2 columns assigned 1 values"),
        ("UPDATE u SET a = 1 WHERE z", "no such column: z"),
        ("DELETE FROM u WHERE z", "no such column: z"),
        ("DELETE FROM u RETURNING z", "no such column: z"),
    ],
)
def test_refused(sql: str, message: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        bind(sql)
    assert str(caught.value) == message
