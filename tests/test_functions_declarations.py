"""What functions declare about themselves is true: result types, nullable, safe; and no input makes one crash."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from zodbapi.catalog import TEXT, Kind, Type
from zodbapi.errors import Error
from zodbapi.functions import BUILTIN
from zodbapi.functions.registry import AggregateFunction, Function
from zodbapi.values import exact_class

SAMPLES: dict[Kind, list[Any]] = {
    Kind.INTEGER: [0, 5, -3, 2**62],
    Kind.REAL: [0.0, 1.5, -2.5, 1e300],
    Kind.NUMERIC: [1, 2.5],
    Kind.DECIMAL: [Decimal("1.50"), Decimal(0)],
    Kind.TEXT: ["", "abc", "12", "[1,2]", '{"a":1}', "$.a", "2024-01-01", "$"],
    Kind.BLOB: [b"", b"ab"],
    Kind.BOOLEAN: [True, False],
    Kind.DATE: [date(2024, 1, 1)],
    Kind.TIME: [time(1, 2)],
    Kind.TIMESTAMP: [datetime(2024, 1, 1, 2)],
    Kind.TIMESTAMPTZ: [datetime(2024, 1, 1, 2, tzinfo=UTC)],
    Kind.INTERVAL: [timedelta(1)],
    Kind.UUID: [UUID(int=1)],
    Kind.JSON: ["[1]", '{"a":1}'],
}
HOSTILE: list[Any] = [
    "9" * 5000, "-" + "9" * 5000 + " days", "P" + "9" * 5000 + "D", "[" * 50_000, "%" + "9" * 5000 + "d", "$[" + "9" * 5000 + "]",
    "\ud800", "\x00", "%" * 500 + "x", "(" * 500, "2024-01-01 " + "0" * 5000, "1e9999999999", "-" * 5000, 2**63 - 1, -(2**63),
    float("inf"), b"\xff\xfe",
]  # fmt: skip
SCALARS = [f for functions in BUILTIN.scalars.values() for f in functions if not f.with_txn]
AGGREGATES = [f for functions in BUILTIN.aggregates.values() for f in functions if f.kind == "aggregate"]


def is_of(kind: Kind, value: Any) -> bool:
    if kind is Kind.NUMERIC:
        return type(value) in (int, float)
    cls = exact_class(kind)
    return cls is None or type(value) is cls


def arities(function: Function) -> range:
    return range(function.min_args, min(function.max_args if function.max_args >= 0 else 4, 4) + 1)


@pytest.mark.parametrize("function", SCALARS, ids=lambda f: f"{f.name}/{f.min_args}")
def test_scalar_declarations(function: Function) -> None:
    source = random.Random(function.name)
    for arity in arities(function):
        for _ in range(80 if arity else 1):
            kinds = [source.choice(list(SAMPLES)) for _ in range(arity)]
            args = [source.choice(SAMPLES[kind]) for kind in kinds]
            try:
                result = function.call(*args)
            except Error:
                assert not function.safe, args
                continue
            if result is None:
                assert function.nullable, args
            else:
                kind = function.result_type([Type(kind) for kind in kinds]).kind
                assert is_of(kind, result), (args, kind, result)


@pytest.mark.parametrize("function", AGGREGATES, ids=lambda f: f"{f.name}/{f.min_args}")
def test_aggregate_declarations(function: AggregateFunction) -> None:
    for kind, values in SAMPLES.items():
        for arity in range(function.min_args, function.max_args + 1):
            more = ["x"] * (arity - 1)
            accumulator = function.call()
            try:
                for value in values:
                    accumulator.step(*[value, *more][:arity])
                result = accumulator.finalize()
            except Error:
                continue
            assert result is not None or function.nullable
            declared = function.result_type([Type(kind), *[TEXT] * (arity - 1)][:arity]).kind
            assert result is None or is_of(declared, result), (kind, declared, result)
            assert function.nullable or function.call().finalize() is not None


@pytest.mark.parametrize("function", SCALARS, ids=lambda f: f"{f.name}/{f.min_args}")
def test_hostile_values_give_a_result_or_an_error_of_the_driver(function: Function) -> None:
    if function.name in ("zeroblob", "randomblob"):
        return  # these do what they are told: up to a gigabyte
    source = random.Random(function.name)
    for arity in arities(function):
        every = list(itertools.product(HOSTILE, repeat=arity)) if arity < 3 else []
        few = source.sample(every, min(len(every), 60)) or [tuple(source.choices(HOSTILE, k=arity)) for _ in range(30)]
        for args in few:
            try:
                function.call(*args)
            except Error:
                assert not function.safe
