"""Aggregates of lists: where all rows, or the keys of all rows, go into a list, Python's own functions do the rest.

``sum``, ``min``, ``max``, ``len`` and ``Counter`` run in C, and a list comprehension is the fastest loop that CPython has.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zodbapi.catalog import NUMBERS, Kind
from zodbapi.codegen import runtime
from zodbapi.codegen.compare import comparison_class
from zodbapi.codegen.unit import ComputedRow, tuple_code
from zodbapi.codegen.whole_trees import as_range
from zodbapi.functions.aggregate import sum_of
from zodbapi.plan.nodes import Filter, IndexRange, IndexSeek, Join, Node, Project, RowidRange, Scan
from zodbapi.plan.walk import descend

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit
    from zodbapi.plan.expr import AggregateCall
    from zodbapi.plan.nodes import Aggregate

Consume = Callable[[], None]


def counts_only(node: Aggregate) -> bool:
    """Whether the groups are only counted, by keys that are their own hash keys."""
    binary = all(collation.upper() == "BINARY" for collation in node.collations)
    return binary and bool(node.calls) and all(map(is_count_all, node.calls))


def count_keys(unit: Unit, node: Aggregate, consume: Consume) -> None:
    """Counts how often each key occurs."""
    groups, key, count = unit.fresh("groups"), unit.fresh("k"), unit.fresh("n")

    def key_code() -> str:
        codes = [unit.expr.value(expr) for expr in node.keys]
        return codes[0] if len(codes) == 1 else tuple_code(codes)

    keys = _listed(unit, node.input, key_code)
    unit.body.line(f"{groups} = {unit.call(Counter)}({keys})")
    with unit.body.block(f"for {key}, {count} in {groups}.items()"):
        names = [key] if len(node.keys) == 1 else [f"{key}[{i}]" for i in range(len(node.keys))]
        unit.env[node.source] = ComputedRow([*names, *[count] * len(node.calls)])
        consume()


def _listed(unit: Unit, node: Node, code: Callable[[], str], test: Callable[[], str] = str) -> str:
    """Writes the list of what ``code`` makes of each row that passes the test; its name."""
    name = unit.fresh("list")
    start = len(unit.body.lines)
    unit.body.line(f"{name} = []")

    def append() -> None:
        with unit.body.test(test()):
            unit.body.line(f"{name}.append({code()})")

    unit.query.produce(node, append)
    unit.comprehend(start, name)
    return name


_ENTRIES = re.compile(r"for .+ in (x\d+\.(?:keys|values)\(.*\)):")
_COUNTED = re.compile(r"(\w+) \+= 1")


def count_entries(lines: list[tuple[int, str]]) -> None:
    """Makes a length of the loop that the lines end with, if it does nothing but count the entries of an index."""
    counted: list[str] = []
    while lines and (match := _COUNTED.fullmatch(lines[-1 - len(counted)][1])) is not None:
        counted.append(match[1])
    at, header = lines[-1 - len(counted)][0], as_range(lines[-1 - len(counted)][1])
    if counted and (entries := _ENTRIES.fullmatch(header)) is not None and at + 1 == lines[-1][0]:
        lines[-1 - len(counted) :] = [(at, f"{name} += len({entries[1]})") for name in reversed(counted)]


def is_flat(node: Node) -> bool:
    """Whether the node's rows come from plain loops and tests, which a list comprehension can have."""
    match node:
        case Filter(input=child, predicate=predicate):
            return is_flat(child) and not any(isinstance(part, Node) for part in descend(predicate))
        case Project(input=child):
            return is_flat(child)
        case Join(kind="inner" | "cross", left=left, right=right):
            return is_flat(left) and is_flat(right)
        case Scan() | RowidRange() | IndexRange():
            return True
        case IndexSeek(tests=tests):
            return bool(tests)
        case _:
            return False


def is_of_list(call: AggregateCall) -> bool:
    """Whether Python's own functions make the result of a list of all values."""
    if call.order or not call.function.inline or len(call.args) > 1:
        return False
    name = call.function.name.lower()
    if call.distinct:
        return name == "count" and call.collation.upper() == "BINARY"
    if not call.args:
        return name == "count" and call.filter is None
    type_ = call.args[0].type
    if name in ("min", "max"):
        return comparison_class(type_) is not None and call.collation.upper() == "BINARY"
    if name == "sum" and type_.kind is Kind.ANY:
        return True
    return name == "count" or (name in ("sum", "avg") and (type_.kind in NUMBERS or type_.kind is Kind.INTERVAL))


def aggregate_list(unit: Unit, node: Aggregate, call: AggregateCall, consume: Consume) -> None:
    """One aggregate over all rows: the values as a list, and what a function in C makes of them."""
    nullable = bool(call.args) and unit.expr.nullable(call.args[0])
    held: list[str] = []

    def test() -> str:
        tests = [] if call.filter is None else [unit.expr.is_true(call.filter)]
        if call.args:
            first, again = unit.expr.hold(unit.expr.value(call.args[0]))
            held[:] = [again if nullable else unit.expr.value(call.args[0])]
            tests += [f"{first} is not None"] if nullable else []
        return " and ".join(tests)

    name = _listed(unit, node.input, lambda: held[0] if held else "None", test)
    kind = call.args[0].type.kind if call.args else Kind.ANY
    match call.function.name.lower():
        case "count":
            code = f"len(set({name}))" if call.distinct else f"len({name})"
        case "min" | "max" as function:
            code = f"{function}({name}, default=None)"
        case "sum" if kind is Kind.ANY:
            code = f"{unit.call(sum_of)}({name})"
        case function:
            add = unit.call(_ADDITIONS.get(kind, runtime.total))
            code = f"{add}({name})"
            code = f"{unit.call(runtime.sum_result)}({code})" if function == "sum" else (
                f"{unit.call(runtime.average)}({code}, len({name}))"
            )  # fmt: skip
    result = unit.fresh("a")
    unit.body.line(f"{result} = {code}")
    unit.env[node.source] = ComputedRow([result])
    consume()


_ADDITIONS: dict[Kind, Callable[[list[Any]], Any]] = {
    Kind.INTEGER: runtime.total_integer,
    Kind.BOOLEAN: runtime.total_integer,
    Kind.DECIMAL: runtime.total_decimal,
    Kind.NUMERIC: runtime.total_mixed,
}


def is_count_all(call: AggregateCall) -> bool:
    """Whether the call is ``count(*)``."""
    return call.function.name == "count" and not call.args and call.filter is None
