"""Aggregates and windows against sqlite3 on random data, and over decimals and intervals."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

import zodbapi
from tests.sqlite_oracle import ask, fill, rows, same
from zodbapi.catalog import DECIMAL, INTEGER, INTERVAL, REAL, Kind, Type
from zodbapi.errors import Error, OperationalError
from zodbapi.functions import BUILTIN, user
from zodbapi.functions.json import mark
from zodbapi.functions.registry import AggregateFunction
from zodbapi.functions.window import partition

Row = tuple[Any, ...]


def aggregate(name: str, arity: int = 1) -> AggregateFunction:
    found = BUILTIN.aggregate(name, arity)
    assert found is not None
    return found


def run(name: str, values: list[Any], *more: Any) -> Any:
    """The aggregate of these values, each stepped as a row."""
    function = aggregate(name, 1 + len(more))
    accumulator = function.call()
    for value in values:
        if value is not None or not function.skip_nulls:
            accumulator.step(value, *more)
    return accumulator.finalize()


@pytest.mark.parametrize("name", "count sum total avg min max group_concat json_group_array".split())
def test_aggregates_give_what_sqlite_gives(name: str) -> None:
    source = random.Random(name)
    pool = [None, 1, 2, -5, 2.5, 0.25, "7", "x", "1.5", "3abc", 2**62, ""]
    for _ in range(150):
        values = [source.choice(pool[: source.choice([5, 12])]) for _ in range(source.randint(0, 6))]
        fill("t", "a", [(value,) for value in values] or [(None,)])
        expected = ask(f"(SELECT {name}(a) FROM t)")
        try:
            found = run(name, values or [None])
        except Error as error:
            found = error
        assert same(expected, found) or expected == "[null]", (name, values, expected, found)


D = Decimal
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (run("sum", [D("0.1")] * 3), D("0.3")), (run("sum", [D("0.1"), 1]), D("1.1")), (run("sum", [D("0.5"), 0.5]), 1.0),
        (run("avg", [D(1), D(2)]), D("1.5")), (run("sum", [DAY, DAY]), 2 * DAY),
        (run("avg", [DAY, 2 * DAY]), timedelta(hours=36)),
        (run("sum", [True, True]), 2), (run("sum", []), None), (run("total", []), 0.0), (run("avg", [1, 2]), 1.5),
        (run("sum", [2**62, 2**62, -(2**62)]), 2**62), (run("sum", [float("inf"), -float("inf")]), None),
        (run("min", [date(2024, 1, 2), date(2024, 1, 1)]), date(2024, 1, 1)),
        (run("group_concat", ["a", 1, b"c"], "-"), "a-1-c"),
        (run("string_agg", ["a", "b"], None), "ab"), (run("var_pop", [1, 2, 3, 4]), 1.25), (run("var_samp", [1]), None),
        (run("stddev_pop", [2, 4, 4, 4, 5, 5, 7, 9]), 2.0), (run("stddev_samp", [1, 3]), pytest.approx(2**0.5)),
        (run("median", [3, 1, 2]), 2), (run("median", [1, 2]), 1.5), (run("median", [D(1), D(2)]), D("1.5")),
        (run("any_value", [None, 5]), 5),
        (run("bool_and", [1, 0]), False), (run("bool_or", [0, 1]), True), (run("bool_and", []), None),
        (run("bit_or", [1, 6]), 7),
        (run("bit_and", [7, 6]), 6), (run("bit_xor", [7, 6]), 1),
        (run("json_group_array", [mark("[1]"), "[1]"]), '[[1],"[1]"]'),
        (run("json_group_object", ["a", None], 1), '{"a":1}'),
    ],
)  # fmt: skip
def test_aggregates_of_native_values(found: Any, expected: Any) -> None:
    assert found == expected
    assert isinstance(expected, type(found)) or type(expected).__name__ == "ApproxScalar"


def test_a_sum_beyond_64_bits_is_an_error() -> None:
    with pytest.raises(OperationalError, match="integer overflow"):
        run("sum", [2**62, 2**62])


@pytest.mark.parametrize(
    ("name", "type_", "kind"),
    [
        ("sum", INTEGER, Kind.INTEGER), ("sum", DECIMAL, Kind.DECIMAL), ("avg", INTEGER, Kind.REAL),
        ("avg", INTERVAL, Kind.INTERVAL),
        ("max", REAL, Kind.REAL), ("count", REAL, Kind.INTEGER), ("sum", Type(Kind.TEXT), Kind.ANY),
    ],
)  # fmt: skip
def test_result_types(name: str, type_: Type, kind: Kind) -> None:
    assert aggregate(name).result_type([type_]).kind is kind


# --- windows --------------------------------------------------------------------------------------------------------

CALLS = [
    ("sum", "v"), ("count", "v"), ("count", ""), ("min", "v"), ("max", "v"), ("avg", "v"), ("total", "v"),
    ("group_concat", "v, ','"),
    ("row_number", ""), ("rank", ""), ("dense_rank", ""), ("percent_rank", ""), ("cume_dist", ""), ("ntile", "3"), ("lag", "v"),
    ("lead", "v, 2"), ("lag", "v, 2, 99"), ("first_value", "v"), ("last_value", "v"), ("nth_value", "v, 2"),
]  # fmt: skip
STARTS = ["unbounded preceding", "preceding", "current row", "following"]
ENDS = ["preceding", "current row", "following", "unbounded following"]


def random_bound(source: random.Random, kinds: list[str]) -> tuple[str, Any]:
    kind = source.choice(kinds)
    return kind, source.randint(0, 3) if kind in ("preceding", "following") else None


def bound_text(bound: tuple[str, Any]) -> str:
    return bound[0] if bound[1] is None else f"{bound[1]} {bound[0]}"


def arguments(text: str, value: Any) -> Row:
    return tuple(
        value if part == "v" else part.strip("'") if "'" in part else int(part) for part in text.split(", ") if part
    )


@pytest.mark.parametrize("seed", range(20))
def test_windows_give_what_sqlite_gives(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(30):
        check_window(source)


def check_window(source: random.Random) -> None:
    values = [None, 1, 2, 3, 5, 8, -4, 2.5, "x"]
    data = [(i, source.choice(values), source.choice([None, 1, 2, 2, 3, 4, 7])) for i in range(source.randint(1, 12))]
    fill("w", "i, v, o", data)
    name, args = source.choice(CALLS)
    unit = source.choice(["rows", "range", "groups"])
    start, end = random_bound(source, STARTS), random_bound(source, ENDS)
    exclude = source.choice(["no others"] * 3 + ["current row", "group", "ties"])
    frame = None if source.random() < 0.2 else (unit, start, end, exclude)
    descending = source.random() < 0.4
    order = f"o {'desc' if descending else 'asc'} {source.choice(['', 'nulls first', 'nulls last'])}"
    unique = source.random() < 0.3 and not (unit == "range" and (start[1] is not None or end[1] is not None))
    order += ", i" if unique else ""
    filtered = source.random() < 0.2 and name in ("sum", "count", "min", "max", "avg", "total", "group_concat")
    text = "" if frame is None else f"{unit} between {bound_text(start)} and {bound_text(end)} exclude {exclude}"
    call = f"{name}({args or ('*' if name == 'count' else '')}) {'filter (where i % 3 > 0)' if filtered else ''}"
    expected = rows(f"SELECT {call} OVER (ORDER BY {order} {text}) FROM w ORDER BY {order}, i")
    if isinstance(expected, Exception):
        return  # a frame that ends before it starts
    ordered = rows(f"SELECT i, v, o FROM w ORDER BY {order}, i")
    found = partition(
        aggregate(name, len(arguments(args, 0))),
        frame,
        descending,
        [arguments(args, v) for _, v, _ in ordered],
        [(o, i) if unique else (o,) for i, _, o in ordered],
        [i % 3 > 0 for i, _, _ in ordered] if filtered else None,
    )
    pairs = zip(expected, found, strict=True)
    assert all(same(a, b) or abs(a - b) < 1e-9 for (a,), b in pairs), (call, order, text, ordered, expected, found)


def test_a_range_of_dates() -> None:
    days = [date(2024, 1, d) for d in (1, 2, 3, 7)]
    frame = ("range", ("preceding", DAY), ("current row", None), "no others")
    assert partition(aggregate("sum"), frame, False, [(1,)] * 4, [(day,) for day in days]) == [1, 2, 2, 1]


def test_moving_frames_are_not_quadratic() -> None:
    count = 20_000
    frame = ("rows", ("preceding", 5000), ("following", 5000), "no others")
    args = [(i % 977,) for i in range(count)]
    for name in ("sum", "max", "first_value"):
        assert len(partition(aggregate(name), frame, False, args, [(i,) for i in range(count)])) == count


class UserSum:
    """An aggregate without ``inverse`` and ``value``, as create_aggregate takes them."""

    def __init__(self) -> None:
        self.total = 0

    def step(self, value: int) -> None:
        self.total += value

    def finalize(self) -> int:
        total, self.total = self.total, -1000  # asking twice is not expected of it
        return total


def test_user_aggregates_over_windows() -> None:
    function = AggregateFunction("mine", UserSum, 1, 1)
    frame = ("rows", ("preceding", 1), ("current row", None), "no others")
    assert partition(function, frame, False, [(1,), (2,), (3,)], [(1,), (2,), (3,)]) == [1, 3, 5]
    assert partition(function, None, False, [(1,), (2,), (3,)], [(1,), (2,), (2,)]) == [1, 6, 6]


class UserMovingSum(UserSum):
    """The same with ``inverse`` and ``value``, as create_window_function takes them."""

    dropped = 0

    def inverse(self, value: int) -> None:
        self.total -= value
        UserMovingSum.dropped += 1

    def value(self) -> int:
        return self.total


def test_classes_of_create_aggregate_and_create_window_function() -> None:
    frame = ("rows", ("preceding", 1), ("current row", None), "no others")
    for make in (UserSum, UserMovingSum):
        function = user.aggregate("mine", 1, make)
        assert partition(function, frame, False, [(1,), (2,), (3,)], [(1,), (2,), (3,)]) == [1, 3, 5]
    assert UserMovingSum.dropped == 1


@pytest.mark.parametrize(
    ("name", "args", "frame", "message"),
    [
        ("ntile", (0,), None, "ntile"),
        ("nth_value", (1, 0), None, "nth_value"),
        ("sum", (1,), ("rows", ("preceding", -1), ("current row", None), "no others"), "frame starting offset"),
        ("sum", (1,), ("rows", ("current row", None), ("following", "x"), "no others"), "frame ending offset"),
        ("sum", (1,), ("range", ("preceding", -1), ("current row", None), "no others"), "non-negative number"),
    ],
)
def test_bad_arguments(name: str, args: Row, frame: Any, message: str) -> None:
    with pytest.raises(Error, match=message):
        partition(aggregate(name, len(args)), frame, False, [args], [(1,)])


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("string_agg(DISTINCT a, '-')", "x-y"),
        ("string_agg(DISTINCT a, ? ORDER BY a DESC)", "y-x"),
        ("group_concat(DISTINCT a, d)", "x+y-x"),
        ("string_agg(DISTINCT a COLLATE NOCASE, '-')", "x-y"),
        ("group_concat(DISTINCT lower(a), '-') FILTER (WHERE d = '-')", "x"),
    ],
)
def test_distinct_takes_all_arguments_together(call: str, expected: str) -> None:
    """As in PostgreSQL; SQLite allows one argument."""
    with zodbapi.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (a TEXT, d TEXT)")
        values = [("x", "+"), ("y", "+"), ("x", "-"), ("x", "+"), (None, "/"), ("x", "-")]
        connection.executemany("INSERT INTO t VALUES (?, ?)", values)
        found = connection.execute(f"SELECT {call} FROM t", ["-"] if "?" in call else []).fetchone()
    assert found == (expected,)


def test_sums_and_averages_of_the_same_decimals_share_what_they_add_up() -> None:
    with zodbapi.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, price DECIMAL(9, 2), sold BOOLEAN NOT NULL)")
        assert connection.execute("SELECT sum(price), avg(price) FROM t").fetchone() == (None, None)
        prices = [("0.10", True), ("0.20", False), (None, True), ("99999.99", True)]
        connection.executemany("INSERT INTO t (price, sold) VALUES (?, ?)", prices)
        sql = (
            "SELECT sum(price), avg(price), sum(price) FILTER (WHERE sold), avg(price) FILTER (WHERE sold), count(price),"
            " sum(DISTINCT price), sum(CASE WHEN sold THEN price ELSE ? END), sum(price * ?) FROM t"
        )
        found = connection.execute(sql, (1, 2)).fetchone()
        total, sold = Decimal("100000.29"), Decimal("100000.09")
        assert found[:3] == (total, total / 3, sold) and found[3] == sold / 2
        assert found[4:] == (3, total, sold + 1, 2 * total)
        assert connection.execute("SELECT sum(CASE WHEN sold THEN 1.5 ELSE ? END) FROM t", (2,)).fetchone() == (6.5,)


@pytest.mark.parametrize("function", ["lag", "lead"])
@pytest.mark.parametrize("arguments", ["x", "x, 0", "x, 2", "x, 2, -1", "x, 99, id", "x, y", "x, y, -x", "x, -1"])
def test_neighbours(function: str, arguments: str) -> None:
    data = [(None if i % 7 == 0 else i * 37 % 11, i % 4, i % 3) for i in range(40)]
    sql = f"SELECT id, {function}({arguments}) OVER (PARTITION BY g ORDER BY x, id) FROM t ORDER BY id"
    found = []
    for connect in (zodbapi.connect, sqlite3.connect):
        with closing(connect(":memory:")) as connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER, y INTEGER, g INTEGER)")
            connection.executemany("INSERT INTO t (x, y, g) VALUES (?, ?, ?)", data)
            found.append(connection.execute(sql).fetchall())
    assert found[0] == found[1]
