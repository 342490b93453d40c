"""Each rule of the optimizer on plans built by hand, shown as EXPLAIN shows them."""

from __future__ import annotations

import sys
from itertools import count, product

import pytest

from zodbapi.catalog import ANY, BOOLEAN, INTEGER, REAL, TEXT, Column, Index, IndexColumn, Table
from zodbapi.functions import BUILTIN
from zodbapi.optimizer import optimize
from zodbapi.plan import expr as e
from zodbapi.plan import nodes as n
from zodbapi.plan.explain import explain

AUTHOR = Table(
    1,
    "author",
    (
        Column("id", INTEGER, not_null=True),
        Column("name", TEXT, not_null=True),
        Column("email", TEXT),
        Column("age", INTEGER),
        Column("active", BOOLEAN, not_null=True),
    ),
    primary_key=(0,),
    rowid_column=0,
    indexes=(
        Index(11, "author_name", (IndexColumn(1),)),
        Index(12, "author_email", (IndexColumn(2),), unique=True),
        Index(13, "author_active_age", (IndexColumn(4), IndexColumn(3))),
    ),
)
BOOK = Table(
    2,
    "book",
    (
        Column("id", INTEGER, not_null=True),
        Column("author_id", INTEGER, not_null=True),
        Column("title", TEXT, not_null=True, collation="NOCASE"),
        Column("price", REAL),
    ),
    primary_key=(0,),
    rowid_column=0,
    indexes=(
        Index(21, "book_author", (IndexColumn(1),)),
        Index(22, "book_title", (IndexColumn(2, collation="NOCASE"),)),
    ),
)
SALE = Table(3, "sale", (Column("book", INTEGER), Column("year", INTEGER), Column("amount", ANY)), indexes=())


class Rows:
    """Row counts by table id."""

    def __init__(self, **counts: int) -> None:
        tables = {table.name: table.id for table in (AUTHOR, BOOK, SALE)}
        self.counts = {tables[name]: rows for name, rows in counts.items()}

    def row_count(self, table_id: int) -> int:
        return self.counts.get(table_id, 10_000)


def col(source: int, table: Table, name: str, nullable: bool | None = None) -> e.Column:
    i = table.positions[name]
    column = table.columns[i]
    null = not column.not_null if nullable is None else nullable
    return e.Column(source, i, column.type, null, column.collation, name)


def a(name: str) -> e.Column:
    return col(1, AUTHOR, name)


def b(name: str) -> e.Column:
    return col(2, BOOK, name)


def s(name: str) -> e.Column:
    return col(3, SALE, name)


A, B, S = n.Scan(1, AUTHOR), n.Scan(2, BOOK), n.Scan(3, SALE)


def param(i: int, type_: object = None) -> e.Expr:
    return e.Affine(e.Param(i), type_) if type_ is not None else e.Param(i)  # type: ignore[arg-type]


def eq(left: e.Expr, right: e.Expr, collation: str = "BINARY") -> e.Compare:
    return e.Compare("=", left, right, collation)


def both(*terms: e.Expr) -> e.And:
    return e.And(terms)


def project(node: n.Node, *columns: e.Expr, source: int = 100) -> n.Project:
    return n.Project(source, node, columns, tuple(getattr(c, "name", "") or f"c{i}" for i, c in enumerate(columns)))


def text(node: n.Node, **counts: int) -> str:
    return "\n".join(explain(optimize(node, Rows(**counts))))


def check(node: n.Node, expected: str, **counts: int) -> None:
    lines = [line.strip() for line in expected.strip().splitlines()]
    assert [line.strip() for line in text(node, **counts).splitlines()] == lines


@pytest.mark.parametrize(
    ("predicate", "access"),
    [
        (eq(a("id"), param(0, INTEGER)), "ROWID SEEK author#1 (rowid = ?1:integer)"),
        (eq(param(0, INTEGER), e.Rowid(1)), "ROWID SEEK author#1 (rowid = ?1:integer)"),
        (eq(a("email"), param(0, TEXT)), "INDEX SEEK author#1 USING author_email (email = ?1:text)"),
        (e.IsNull(a("email")), "INDEX SEEK author#1 USING author_email (email IS NULL)"),
        (
            e.InList(a("id"), (param(0, INTEGER), e.Const(2, INTEGER))),
            "ROWID SEEK author#1 (rowid IN (?1:integer, 2))",
        ),
        (e.Compare("<", a("id"), e.Const(5, INTEGER)), "ROWID RANGE author#1 (rowid < 5)"),
        (
            e.Between(a("name"), param(0, TEXT), param(1, TEXT)),
            "INDEX RANGE author#1 USING author_name (name >= ?1:text AND name <= ?2:text)",
        ),
        (
            both(eq(a("active"), e.Const(True, BOOLEAN)), e.Compare(">", a("age"), e.Const(3, INTEGER))),
            "INDEX RANGE author#1 USING author_active_age (active = True AND age > 3)",
        ),
    ],
)
def test_predicates_that_an_access_answers(predicate: e.Expr, access: str) -> None:
    check(project(n.Filter(A, predicate), a("id")), f"PROJECT id#1\n{access}")


@pytest.mark.parametrize(
    "predicate",
    [
        eq(a("name"), e.Param(0)),  # no conversion known
        eq(e.Affine(a("name"), INTEGER), e.Const(1, INTEGER)),  # the column is converted
        eq(a("name"), param(0, TEXT), "NOCASE"),  # another collation
        eq(a("age"), param(0, INTEGER)),  # not the leading column
        eq(a("id"), a("age")),  # of the same row
        e.Or((eq(a("age"), e.Const(1, INTEGER)), eq(a("name"), param(0, TEXT)))),  # one side has no index
    ],
)
def test_predicates_that_stay_filters(predicate: e.Expr) -> None:
    assert "SCAN author" in text(project(n.Filter(A, predicate), a("id")))


def test_rest_stays_in_a_filter() -> None:
    predicate = both(eq(a("name"), param(0, TEXT)), e.Compare(">", a("age"), param(1, INTEGER)))
    check(
        project(n.Filter(A, predicate), a("id")),
        """
        PROJECT id#1
          FILTER age#1 > ?2:integer
            INDEX SEEK author#1 USING author_name (name = ?1:text)
        """,
    )


def test_or_of_one_column_is_a_list() -> None:
    predicate = e.Or((eq(a("id"), param(0, INTEGER)), eq(a("id"), param(1, INTEGER))))
    check(
        project(n.Filter(A, predicate), a("id")),
        "PROJECT id#1\nROWID SEEK author#1 (rowid IN (?1:integer, ?2:integer))",
    )


def test_index_loop_for_few_rows_and_hash_join_for_many() -> None:
    join = n.Filter(n.Join("inner", A, B, eq(b("author_id"), a("id"))), eq(a("email"), param(0, TEXT)))
    check(
        project(join, b("title")),
        """
        PROJECT title#2
          INNER JOIN
            INDEX SEEK author#1 USING author_email (email = ?1:text)
            INDEX SEEK book#2 USING book_author (author_id = id#1)
        """,
    )
    check(
        project(n.Join("inner", B, S, eq(s("year"), b("price"))), b("title")),
        """
        PROJECT title#2
          HASH JOIN ON price#2 = year#3
            SCAN book#2
            SCAN sale#3
        """,
        book=100,
        sale=100,
    )


def test_left_join_becomes_inner_when_nulls_are_rejected() -> None:
    join = n.Join("left", A, B, eq(b("author_id"), a("id")))
    kept = n.Filter(join, e.IsNull(col(2, BOOK, "price", True)))
    assert "LEFT JOIN" in text(project(kept, a("id")))
    rejected = n.Filter(join, e.Compare(">", col(2, BOOK, "price", True), e.Const(1.0, REAL)))
    assert "INNER JOIN" in text(project(rejected, a("id"))) or "HASH JOIN" in text(project(rejected, a("id")))


def test_nothing_goes_below_the_null_extended_side() -> None:
    join = n.Join("left", A, B, both(eq(b("author_id"), a("id")), eq(a("active"), e.Const(True, BOOLEAN))))
    lines = text(project(join, a("id"), b("title")), book=10)
    assert "active#1 = True" in lines.splitlines()[1] or "FILTER active#1 = True" in lines


def test_exists_becomes_semi_join() -> None:
    inner = project(n.Filter(S, eq(s("book"), b("id"))), e.Const(1, INTEGER), source=200)
    outer = project(n.Filter(B, e.Exists(n.Limit(inner, e.Const(1, INTEGER), None))), b("title"))
    check(
        outer,
        """
        PROJECT title#2
          HASH SEMI JOIN ON id#2 = book#3
            SCAN book#2
            SCAN sale#3
        """,
    )


def test_not_in_stays_an_expression_where_null_is_possible() -> None:
    inner = project(n.Filter(S, eq(s("year"), b("id"))), s("book"), source=200)
    outer = project(n.Filter(B, e.Not(e.InQuery((b("id"),), inner, (None,)))), b("title"))
    assert "ANTI" not in text(outer)


def test_subquery_in_from_is_merged() -> None:
    inner = project(n.Filter(A, eq(a("active"), e.Const(True, BOOLEAN))), a("id"), a("name"), source=50)
    outer = n.Filter(inner, eq(e.Column(50, 0, INTEGER, False), param(0, INTEGER)))
    check(
        project(outer, e.Column(50, 1, TEXT, False, name="name")),
        """
        PROJECT name#1
          FILTER active#1 = True
            ROWID SEEK author#1 (rowid = ?1:integer)
        """,
    )


def test_small_table_first() -> None:
    predicates = both(eq(a("id"), b("author_id")), eq(s("book"), b("id")), eq(s("year"), param(0, INTEGER)))
    node = project(n.Filter(n.Join("inner", n.Join("inner", A, B), S), predicates), a("name"))
    check(
        node,
        """
        PROJECT name#1
          INNER JOIN
            INNER JOIN
              FILTER year#3 = ?1:integer
                SCAN sale#3
              ROWID SEEK book#2 (rowid = book#3:integer)
            ROWID SEEK author#1 (rowid = author_id#2)
        """.replace("book#3:integer", "book#3"),
        author=1_000_000,
        book=1_000_000,
        sale=100,
    )


def test_sort_by_index_under_limit() -> None:
    node = n.Limit(project(n.Sort(A, (e.SortKey(a("name")),)), a("id")), e.Const(10, INTEGER), None)
    check(node, "LIMIT 10\nPROJECT id#1\nINDEX SCAN author#1 USING author_name")
    backwards = n.Limit(
        project(n.Sort(A, (e.SortKey(a("id"), True, False),)), a("id")), e.Const(10, INTEGER), e.Const(5, INTEGER)
    )
    check(backwards, "LIMIT 10 OFFSET 5\nPROJECT id#1\nSCAN author#1 BACKWARDS")


def test_sort_that_stays_is_a_top() -> None:
    node = n.Limit(project(n.Sort(A, (e.SortKey(a("age")),)), a("id")), e.Const(10, INTEGER), e.Const(5, INTEGER))
    check(node, "LIMIT 10 OFFSET 5\nPROJECT id#1\nSORT TOP 15 BY age#1\nSCAN author#1")


def test_order_with_nulls_where_the_index_has_none_is_rotated() -> None:
    def limited(key: e.SortKey) -> str:
        return text(n.Limit(project(n.Sort(A, (key,)), a("id")), e.Const(10, INTEGER), None))

    for descending, nulls_first in product([False, True], repeat=2):
        plan = limited(e.SortKey(a("email"), descending, nulls_first))
        assert "SORT" not in plan
        assert ("ROTATED" in plan) == (descending == nulls_first)
        plan = limited(e.SortKey(a("name"), descending, nulls_first))
        assert "SORT" not in plan
        assert "ROTATED" not in plan


def test_sort_of_one_row_is_dropped() -> None:
    node = project(n.Sort(n.Filter(A, eq(a("email"), param(0, TEXT))), (e.SortKey(a("age")),)), a("id"))
    check(node, "PROJECT id#1\nINDEX SEEK author#1 USING author_email (email = ?1:text)")


def test_distinct_with_a_key_is_dropped() -> None:
    check(n.Distinct(project(A, a("id"), a("age")), 2), "PROJECT id#1, age#1\nSCAN author#1")
    assert "DISTINCT" in text(n.Distinct(project(A, a("age")), 1))
    assert "DISTINCT" in text(n.Distinct(project(A, a("email")), 1))  # NULLs are not unique


def test_having_on_a_key_moves_below_the_groups() -> None:
    count_all = e.AggregateCall(BUILTIN.aggregate("count", 0), ())  # type: ignore[arg-type]
    groups = n.Aggregate(50, B, (b("author_id"),), (count_all,))
    node = project(n.Filter(groups, eq(e.Column(50, 0, INTEGER, False), param(0, INTEGER))), e.Column(50, 1))
    assert "INDEX SEEK book#2 USING book_author (author_id = ?1:integer)" in text(node)


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        (both(eq(a("age"), a("id")), e.Const(1, INTEGER)), "FILTER age#1 = id#1"),
        (e.Not(e.Not(eq(a("age"), a("id")))), "FILTER age#1 = id#1"),
        (e.Not(e.Compare("<", a("age"), a("id"))), "FILTER age#1 >= id#1"),
        (
            e.Not(e.Or((e.IsNull(a("age")), e.IsNull(a("email"))))),
            "FILTER (age#1 IS NOT NULL) AND (email#1 IS NOT NULL)",
        ),
        (e.Compare("=", e.Const(1), e.Const(1)), None),
        (e.Or((e.Const(None), eq(a("age"), a("id")))), "FILTER age#1 = id#1"),
    ],
)
def test_constants_are_folded(predicate: e.Expr, expected: str | None) -> None:
    lines = text(project(n.Filter(A, predicate), a("id"))).splitlines()
    filters = [line.strip() for line in lines if "FILTER" in line]
    wanted = [] if expected is None else [expected.replace("(age#1 IS NOT NULL)", "age#1 IS NOT NULL")]
    assert filters == [w.replace("(email#1 IS NOT NULL)", "email#1 IS NOT NULL") for w in wanted]


def test_false_reads_nothing() -> None:
    check(project(n.Filter(A, eq(e.Const(1), e.Const(2))), a("id")), "PROJECT id#1\nROWID SEEK author#1 (rowid IN ())")


@pytest.mark.parametrize(
    ("limit", "offset", "kept"),
    [
        (e.Const(21, INTEGER), None, False),
        (e.Const(0, INTEGER), None, True),
        (e.Const(None), None, True),
        (e.Const(1.5, REAL), None, True),
        (param(1), None, True),
        (e.Const(21, INTEGER), e.Const(1, INTEGER), True),
    ],
)
def test_one_row_needs_no_limit(limit: e.Expr, offset: e.Expr | None, kept: bool) -> None:
    """Unless the LIMIT leaves it out, or is an error."""
    one = project(n.Filter(A, eq(a("id"), param(0, INTEGER))), a("name"))
    assert text(n.Limit(one, limit, offset)).startswith("LIMIT") is kept
    some = project(n.Filter(A, eq(a("name"), param(0, TEXT))), a("name"))
    assert text(n.Limit(some, limit, offset)).startswith("LIMIT")


def test_a_rule_that_changes_the_output_is_blamed() -> None:
    def drop_a_column(node: n.Node, context: object) -> n.Node:
        assert isinstance(node, n.Project)
        return n.Project(node.source, node.input, node.columns[:1], node.names[:1])

    with pytest.raises(AssertionError, match="drop_a_column"):
        optimize(project(A, a("id"), a("age")), Rows(), rules=(drop_a_column,))


def test_joins_of_many_tables_are_ordered_with_little_work() -> None:
    """A search through all orders would make hundreds of millions of calls."""
    sources = count(1)
    node: n.Node | None = None
    terms: list[e.Expr] = []
    for source in sources:
        if source > 12:
            break
        scan = n.Scan(source, AUTHOR)
        node = scan if node is None else n.Join("inner", node, scan)
        if source > 1:
            terms.append(eq(col(source, AUTHOR, "id"), col(source - 1, AUTHOR, "age")))
    assert node is not None
    query = project(n.Filter(node, e.And(tuple(terms))), a("id"))
    calls = 0

    def counted(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(counted)
    try:
        optimize(query, Rows())
    finally:
        sys.setprofile(None)
    assert calls < 100_000
