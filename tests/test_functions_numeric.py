"""Functions on numbers against sqlite3, and on decimals and intervals."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.sqlite_oracle import ask, same
from tests.test_functions_text import call
from zodbapi.errors import OperationalError

SAMPLES: list[Any] = [
    None, 0, 1, -1, 2, -2, 3, 5, 10, 100, -7, 2**63 - 1, -(2**63), 0.0, 0.5, 1.5, -2.5, 2.5, 0.125, 2.675, 1.005, 1e20, -3.7,
    1234.5678, "", "abc", "  ab ", "12", "12.5", b"", b"abc", 1e308, 0.1, 1e-7, -1.5, 1000, 0.75,
]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    "abs acos acosh asin asinh atan atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 radians round sign sin sinh"
    " sqrt tan tanh trunc".split(),
)
def test_functions_of_one_number(name: str) -> None:
    for value in SAMPLES:
        expected = ask(f"{name}(?)", value)
        assert same(expected, call(name, value)), (name, value, expected)


@pytest.mark.parametrize("name", "atan2 log mod pow power".split())
def test_functions_of_two_numbers(name: str) -> None:
    for a, b in itertools.product(SAMPLES, SAMPLES):
        expected = ask(f"{name}(?, ?)", a, b)
        assert same(expected, call(name, a, b)), (name, a, b, expected)


def test_round_rounds_the_decimal_text() -> None:
    source = random.Random(1)
    for _ in range(2000):
        number, digits = source.randint(-100000, 100000) / 1000, source.randint(0, 4)
        assert same(ask("round(?, ?)", number, digits), call("round", number, digits)), (number, digits)


D = Decimal


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (call("round", D("2.675"), 2), D("2.68")), (call("round", D("-2.5")), D("-3")),
        (call("round", D("-365.59"), -1), D("-370")), (call("round", 1250, -2), 1300.0), (call("round", 5.5, -3), 0.0),
        (call("abs", D("-1.50")), D("1.50")),
        (call("ceil", D("1.2")), D(2)), (call("floor", D("-1.2")), D(-2)), (call("trunc", D("-1.7")), D(-1)),
        (call("sign", D("-3")), -1),
        (call("mod", D("-9.9"), D("4.6")), D("-0.7")), (call("mod", D("5.5"), 2), D("1.5")), (call("mod", 5, 3), 2.0),
        (call("abs", timedelta(days=-1)), timedelta(days=1)), (call("sign", timedelta(days=-1)), -1), (call("bitxor", 6, 3), 5),
        (call("cot", 0), None), (call("sqrt", D("2.25")), 1.5), (call("sign", "abc"), None),
    ],
)  # fmt: skip
def test_decimals_and_intervals(found: Any, expected: Any) -> None:
    assert found == expected
    assert type(found) is type(expected)


def test_the_smallest_integer_has_no_absolute_value() -> None:
    with pytest.raises(OperationalError, match="integer overflow"):
        raise call("abs", -(2**63))


def test_random_numbers() -> None:
    assert len({call("random") for _ in range(5)}) == 5
    assert 0 <= call("rand") < 1
