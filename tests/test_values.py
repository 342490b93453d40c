"""Operators, order, conversions and patterns of ``zodbapi.values``. The oracle for SQLite's own types is sqlite3."""

from __future__ import annotations

import enum
import itertools
import operator as op
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sqlite_oracle import ask, same
from zodbapi import catalog, values
from zodbapi.catalog import Kind, Type
from zodbapi.errors import DataError, OperationalError, ProgrammingError

BIG = 2**63
SAMPLES: list[Any] = [
    None, 0, 1, -1, 2, 7, -7, 63, 64, 65, -64, -65, BIG - 1, -BIG, 2**62, 3037000500,
    0.0, -0.0, 1.5, -2.5, 1e308, 1e20, -1e20, float("inf"), -float("inf"), 1e-5, 0.1, 1e15, 123456789012345680.0,
    "", "abc", "12", "12abc", " 12 ", "1.5", "1.5x", "1e3", "1e", "1e+", ".5", "-.5x", ".", "+5", "-", "0x10",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1_0", "１２", "\t3\n", "Inf", "nan", "1e400",
    "12 x", "5.", "5.e2", "é", "-0", "0.0", "99999999999999999999", "1.0", "100000000000000000000.5", "0000012", "+ 5", "--5",
    "9" * 5000, "-" + "1" * 5000 + "x", "0" * 5000 + "7",
    b"", b"31", b"1.5", b"\x00a",
]  # fmt: skip
BINARY = {
    "+": values.add, "-": values.sub, "*": values.mul, "/": values.div, "%": values.mod, "||": values.concat,
    "&": values.bit_and, "|": values.bit_or, "<<": values.shift_left, ">>": values.shift_right,
}  # fmt: skip
COMPARISONS = {
    "<": values.lt, "<=": values.le, ">": values.gt, ">=": values.ge, "=": values.eq, "<>": values.ne,
}  # fmt: skip
UNARY = {
    "-?": values.negate,
    "~?": values.bit_not,
    "+?": values.plus,
    "CAST(? AS INTEGER)": values.cast(catalog.INTEGER),
    "CAST(? AS REAL)": values.cast(catalog.REAL),
    "CAST(? AS NUMERIC)": values.cast(catalog.NUMERIC),
    "CAST(? AS TEXT)": values.cast(catalog.TEXT),
    "CAST(? AS BLOB)": values.cast(catalog.BLOB),
}


# --- against sqlite3 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", BINARY)
def test_operators_give_what_sqlite_gives(operator: str) -> None:
    for a, b in itertools.product(SAMPLES, SAMPLES):
        expected = ask(f"?1 {operator} ?2", a, b)
        assert same(expected, BINARY[operator](a, b)), (a, operator, b, expected)


@pytest.mark.parametrize("expression", UNARY)
def test_unary_operators_and_casts_give_what_sqlite_gives(expression: str) -> None:
    for value in SAMPLES:
        expected = ask(expression, value)
        assert same(expected, UNARY[expression](value)), (expression, value, expected)


@pytest.mark.parametrize("operator", COMPARISONS)
def test_comparisons_give_what_sqlite_gives(operator: str) -> None:
    present = [value for value in SAMPLES if value is not None]
    for a, b in itertools.product(present, present):
        assert COMPARISONS[operator](a, b) == bool(ask(f"?1 {operator} ?2", a, b)), (a, operator, b)


def test_truth_and_typeof_are_sqlite_s() -> None:
    for value in SAMPLES:
        assert values.truth(value) == bool(ask("CASE WHEN ? THEN 1 ELSE 0 END", value)), value
        assert values.typeof(value) == ask("typeof(?)", value)


NUMBERS = st.one_of(st.integers(-BIG, BIG - 1), st.floats(allow_nan=False), st.text("0123456789.eE+- ", max_size=8))


@settings(max_examples=300, deadline=None)
@given(NUMBERS, NUMBERS, st.sampled_from(list(BINARY)))
def test_random_arithmetic_gives_what_sqlite_gives(a: Any, b: Any, operator: str) -> None:
    expected = ask(f"?1 {operator} ?2", a, b)
    found = BINARY[operator](a, b)
    if operator == "||" and (isinstance(a, float) or isinstance(b, float)):
        return  # the last of 15 digits may be rounded the other way
    if isinstance(expected, float) and isinstance(found, float) and abs(expected - found) <= 1e-12 * abs(expected):
        return
    assert same(expected, found), (a, operator, b, expected, found)


@settings(max_examples=300, deadline=None)
@given(st.text("abAB%_é!", max_size=7), st.text("abABéÉ\n%!", max_size=7), st.sampled_from([None, "!", "a", "%", "_"]))
def test_like_gives_what_sqlite_gives(pattern: str, text: str, escape: str | None) -> None:
    expected = (
        ask("?2 LIKE ?1", pattern, text) if escape is None else ask("?2 LIKE ?1 ESCAPE ?3", pattern, text, escape)
    )
    assert values.like(pattern, text, *([] if escape is None else [escape])) == expected


@settings(max_examples=300, deadline=None)
@given(st.text("abc*?[]^-", max_size=8), st.text("abc]^-[", max_size=6))
def test_glob_gives_what_sqlite_gives(pattern: str, text: str) -> None:
    assert values.glob(pattern, text) == ask("?2 GLOB ?1", pattern, text)


@given(st.text("abAB _é", max_size=6), st.text("abAB _é", max_size=6))
@settings(max_examples=200, deadline=None)
def test_collations_order_as_sqlite_s_do(a: str, b: str) -> None:
    for name, key in values.COLLATIONS.items():
        assert (key(a) < key(b)) == bool(ask(f"?1 < ?2 COLLATE {name}", a, b))
        assert (key(a) == key(b)) == bool(ask(f"?1 = ?2 COLLATE {name}", a, b))


# --- beyond SQLite: decimals, dates, intervals ----------------------------------------------------------------------

D = Decimal
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (values.add(D("0.1"), D("0.2")), D("0.3")),
        (values.add(D("1"), 2), D(3)),
        (values.mul(D("1.1"), 2.0), 2.2),
        (values.mul(D("11111111111111111111"), D("99999999999999999999.0")), D("1111111111111111111088888888888888888889.0")),
        (values.div(D(1), D(8)), D("0.125")),
        (values.div(D(1), D(0)), None),
        (values.mod(D("-9.9"), D("4.6")), D("-0.7")),
        (values.sub(D("1.0"), "0.5"), 0.5),
        (values.negate(D("1.50")), D("-1.50")),
        (values.concat(D("1E+2"), ""), "100"),
        (values.add(True, True), 2),
    ],
)  # fmt: skip
def test_decimals_are_exact(result: Any, expected: Any) -> None:
    assert type(result) is type(expected)
    assert result == expected or isinstance(result, float) and result == pytest.approx(expected)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (values.add(date(2024, 2, 28), DAY), datetime(2024, 2, 29)),
        (values.add(DAY, datetime(2024, 2, 28, 5)), datetime(2024, 2, 29, 5)),
        (values.add(date(2024, 2, 28), 2), date(2024, 3, 1)),
        (values.sub(date(2024, 3, 1), 1), date(2024, 2, 29)),
        (values.sub(date(2024, 3, 1), date(2024, 2, 1)), 29 * DAY),
        (values.sub(datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 1)), DAY),
        (values.sub(time(1), time(2)), timedelta(hours=-1)),
        (values.add(time(23), timedelta(hours=2)), time(1)),
        (values.mul(DAY, 1.5), timedelta(hours=36)),
        (values.mul(2, DAY), 2 * DAY),
        (values.div(DAY, 2), timedelta(hours=12)),
        (values.div(DAY, timedelta(hours=6)), 4.0),
        (values.div(DAY, 0), None),
        (values.mod(-DAY, timedelta(hours=7)), timedelta(hours=-3)),
        (values.negate(DAY), -DAY),
        (values.add(date(2024, 1, 1), None), None),
        (values.concat(datetime(2024, 1, 1), "!"), "2024-01-01 00:00:00!"),
    ],
)
def test_dates_and_intervals_calculate(result: Any, expected: Any) -> None:
    assert type(result) is type(expected)
    assert result == expected


def test_a_date_beyond_the_calendar_is_an_error() -> None:
    with pytest.raises(DataError, match="out of range"):
        values.add(date(9999, 12, 31), timedelta(days=400))


NATIVE_SAMPLES: list[Any] = [
    -5, False, 0.5, D("0.7"), True, 2, "", "a", "b", b"", b"a", date(2024, 1, 1), datetime(2024, 1, 1, 5),
    datetime(2024, 1, 1, 6, tzinfo=UTC), date(2024, 1, 2), time(0), time(23), -DAY, DAY, UUID(int=1), UUID(int=2),
]  # fmt: skip


def test_the_order_of_all_classes_is_total() -> None:
    for (i, a), (j, b) in itertools.product(enumerate(NATIVE_SAMPLES), repeat=2):
        assert values.lt(a, b) == (i < j), (a, b)
        assert values.le(a, b) == (i <= j)
        assert values.eq(a, b) == (i == j)
        assert (values.sort_key(a) < values.sort_key(b)) == (i < j)
        assert values.sort_key(None) < values.sort_key(a)


def test_a_date_equals_its_midnight() -> None:
    assert values.eq(date(2024, 1, 1), datetime(2024, 1, 1))
    assert values.sort_key(date(2024, 1, 1)) == values.sort_key(datetime(2024, 1, 1, tzinfo=UTC))


STORED: dict[Kind, list[Any]] = {
    Kind.INTEGER: [-1, 0, 5],
    Kind.REAL: [-1.0, 0.5],
    Kind.NUMERIC: [1, 2.5],
    Kind.DECIMAL: [D("0.1"), D("2.50")],
    Kind.TEXT: ["", "5", "a", "2024-01-01"],
    Kind.JSON: ["[]"],
    Kind.BLOB: [b"", b"x"],
    Kind.BOOLEAN: [True, False],
    Kind.DATE: [date(2024, 1, 1), date(2024, 1, 2)],
    Kind.TIME: [time(1)],
    Kind.TIMESTAMP: [datetime(2024, 1, 1), datetime(2024, 1, 1, 5)],
    Kind.TIMESTAMPTZ: [datetime(2024, 1, 1, 5, tzinfo=UTC)],
    Kind.INTERVAL: [DAY],
    Kind.UUID: [UUID(int=1)],
    Kind.ANY: NATIVE_SAMPLES,
}


@pytest.mark.parametrize("kind", Kind)
def test_comparable_agrees_with_the_order_after_affinity(kind: Kind) -> None:
    others = [*NATIVE_SAMPLES, "2024-01-01", "2024-01-01 05:00", "5", "0.1", "x" * 40, str(UUID(int=1)), "1 00:00:00"]
    for stored, other in itertools.product(STORED[kind], others):
        ready, converted = values.comparable(kind)(other), values.affine(kind)(other)
        hash(ready)
        assert (stored < ready) == values.lt(stored, converted), (stored, other)
        assert (stored <= ready) == values.le(stored, converted)
        assert (stored > ready) == values.gt(stored, converted)
        assert (stored >= ready) == values.ge(stored, converted)
        assert (stored == ready) == values.eq(stored, converted)
        assert (stored != ready) == values.ne(stored, converted)


def test_null_never_compares() -> None:
    never = values.comparable(Kind.INTEGER)(None)
    assert not any(compare(5, never) for compare in (op.eq, op.ne, op.lt, op.le, op.gt, op.ge))


# --- columns, casts, parameters -------------------------------------------------------------------------------------

MONEY = Type(Kind.DECIMAL, 6, 2)


@pytest.mark.parametrize(
    ("type_", "value", "stored"),
    [
        (catalog.INTEGER, "5", 5), (catalog.INTEGER, 5.0, 5), (catalog.INTEGER, D("5.0"), 5), (catalog.INTEGER, True, 1),
        (catalog.INTEGER, " 1e3 ", 1000), (catalog.REAL, 5, 5.0), (catalog.REAL, "1.5", 1.5),
        (catalog.REAL, float("nan"), None),
        (catalog.NUMERIC, 5.0, 5), (catalog.NUMERIC, "2.5", 2.5), (catalog.TEXT, 5, "5"),
        (catalog.TEXT, date(2024, 1, 1), "2024-01-01"),
        (catalog.BOOLEAN, 1, True), (catalog.BOOLEAN, "false", False),
        (catalog.DATE, "2024-01-01", date(2024, 1, 1)), (catalog.DATE, datetime(2024, 1, 1), date(2024, 1, 1)),
        (catalog.TIME, "12:30", time(12, 30)), (catalog.TIMESTAMP, "2024-01-01T12:30:00Z", datetime(2024, 1, 1, 12, 30)),
        (catalog.TIMESTAMP, date(2024, 1, 1), datetime(2024, 1, 1)),
        (catalog.TIMESTAMPTZ, "2024-01-01 12:00+02:00", datetime(2024, 1, 1, 10, tzinfo=UTC)),
        (catalog.TIMESTAMPTZ, datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),
        (catalog.INTERVAL, "1 02:03:04.5", timedelta(1, 7384, 500000)), (catalog.INTERVAL, "-P1DT2H", -timedelta(1, 7200)),
        (catalog.UUID, str(UUID(int=7)), UUID(int=7)), (catalog.UUID, UUID(int=7).hex, UUID(int=7)),
        (catalog.JSON, '{"a": 1}', '{"a": 1}'), (catalog.JSON, 5, "5"), (catalog.JSON, True, "true"),
        (MONEY, "1.005", D("1.01")), (MONEY, 1.1, D("1.10")), (MONEY, 3, D("3.00")), (MONEY, D("9999.994"), D("9999.99")),
        (catalog.DECIMAL, D("1.23456"), D("1.23456")), (catalog.ANY, D(1), D(1)), (catalog.BLOB, b"x", b"x"),
    ],
)  # fmt: skip
def test_a_column_takes_what_fits_without_loss(type_: Type, value: Any, stored: Any) -> None:
    found = values.store(type_)(value, "t.a")
    assert type(found) is type(stored)
    assert found == stored
    assert str(found) == str(stored)
    assert values.store(type_)(None, "t.a") is None


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (catalog.INTEGER, "x"), (catalog.INTEGER, 1.5), (catalog.INTEGER, b"1"), (catalog.INTEGER, 1e30), (catalog.REAL, "x"),
        (catalog.TEXT, b"x"), (catalog.BLOB, "x"), (catalog.BOOLEAN, 2), (catalog.DATE, "2024-02-30"), (catalog.DATE, 5),
        (catalog.DATE, datetime(2024, 1, 1, 5)), (catalog.TIME, "25:00"), (catalog.TIMESTAMP, "yesterday"),
        (catalog.TIMESTAMP, "2024-1-1"), (catalog.INTERVAL, "soon"), (catalog.INTERVAL, 5), (catalog.UUID, "x"),
        (catalog.JSON, "{a:1}"), (catalog.JSON, "NaN"), (catalog.JSON, ""), (catalog.NUMERIC, "x"), (MONEY, "x"),
        (MONEY, D(10000)),
        (MONEY, D("9999.995")), (MONEY, D("Infinity")), (catalog.INTEGER, D("1E+999999")),
        (catalog.DECIMAL, "1e999999999"),
    ],
)  # fmt: skip
def test_a_column_refuses_what_does_not_fit(type_: Type, value: Any) -> None:
    with pytest.raises(DataError, match=r"t\.a"):
        values.store(type_)(value, "t.a")


def test_the_refusal_names_types_and_column() -> None:
    with pytest.raises(DataError, match=r"^cannot store TEXT value in INTEGER column t\.a$"):
        values.store(catalog.INTEGER)("x", "t.a")


@pytest.mark.parametrize(
    ("type_", "value", "result"),
    [
        (catalog.DATE, "2024-01-01 12:00", date(2024, 1, 1)), (catalog.DATE, datetime(2024, 1, 1, 5), date(2024, 1, 1)),
        (catalog.DATE, "x", None), (catalog.DATE, 5, None), (catalog.TIME, "2024-01-01 12:00", time(12)),
        (catalog.TIMESTAMP, "2024-01-01", datetime(2024, 1, 1)), (catalog.UUID, "x", None),
        (catalog.INTERVAL, 1_000_000, timedelta(seconds=1)),
        (MONEY, "1.005x", D("1.01")), (MONEY, 2, D("2.00")), (catalog.DECIMAL, 0.1, D("0.1")), (catalog.BOOLEAN, "true", True),
        (catalog.BOOLEAN, 0, False), (catalog.TEXT, True, "1"), (Type(Kind.TEXT, 2), 123, "12"),
        (catalog.TEXT, DAY, "1 00:00:00"),
        (catalog.INTEGER, DAY, 86_400_000_000),
    ],
)  # fmt: skip
def test_cast_to_native_types(type_: Type, value: Any, result: Any) -> None:
    found = values.cast(type_)(value)
    assert type(found) is type(result)
    assert found == result


@pytest.mark.parametrize("value", NATIVE_SAMPLES)
@pytest.mark.parametrize("kind", Kind)
def test_no_cast_or_affinity_raises(kind: Kind, value: Any) -> None:
    values.cast(Type(kind))(value)
    values.affine(kind)(value)


class Colour(enum.IntEnum):
    RED = 1


class Word(str):
    pass


@pytest.mark.parametrize(
    ("value", "native"),
    [
        (5, 5), (True, True), (Colour.RED, 1), (Word("x"), "x"), (bytearray(b"x"), b"x"), (memoryview(b"x"), b"x"),
        (float("nan"), None), (D("NaN"), None), (None, None), (-BIG, -BIG),
        (datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_parameters_become_native(value: Any, native: Any) -> None:
    found = values.adapt(value)
    assert type(found) is type(native)
    assert found == native


@pytest.mark.parametrize("value", [BIG, -BIG - 1, D("Infinity"), D("1E+7000"), D("1E-7000")])
def test_numbers_out_of_range_are_data_errors(value: Any) -> None:
    with pytest.raises(DataError, match=r"out of range|too large to convert to SQLite INTEGER"):
        values.adapt(value)


@pytest.mark.parametrize("value", [[1], {}, object(), 1j, {1}])
def test_other_classes_are_programming_errors(value: Any) -> None:
    with pytest.raises(ProgrammingError, match="is not supported"):
        values.adapt(value)


# --- patterns -------------------------------------------------------------------------------------------------------


def test_unicode_and_case_sensitive_like() -> None:
    assert values.ilike("%ÉCO%", "l'école") == 1
    assert values.like("%ÉCO%", "l'école") == 0
    assert values.clike("a%", "Abc") == 0
    assert values.clike("A_c", "Abc") == 1
    assert values.like("a", None) is None
    assert values.like("%", b"x") == 0
    assert values.regexp(r"^a.\d", "ab1") == 1


def test_bad_patterns_are_clear_errors() -> None:
    with pytest.raises(OperationalError, match="single character"):
        values.like("a", "a", "xx")
    with pytest.raises(DataError, match="regular expression"):
        values.regexp("(", "a")


def test_many_wildcards_do_not_backtrack() -> None:
    assert values.like("%a%a%a%a%a%a%a%a%b", "a" * 3000) == 0
    assert values.glob("*a*a*a*a*a*a*a*a*b", "a" * 3000) == 0
