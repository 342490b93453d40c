"""Grouping and aggregates.

With keys, a dictionary maps the key to a list of slots; without, the slots are local variables. The common
aggregates are written out in place, so that a group-by costs a dictionary lookup and an addition a row; the others,
and those over values whose class is unknown, step an accumulator object of ``functions.aggregate``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zodbapi import values
from zodbapi.catalog import NUMBERS, Kind
from zodbapi.codegen import index_groups, runtime
from zodbapi.codegen.aggregate_list import (
    aggregate_list,
    count_entries,
    count_keys,
    counts_only,
    is_count_all,
    is_flat,
    is_of_list,
)
from zodbapi.codegen.compare import comparison_class
from zodbapi.codegen.unit import ComputedRow, is_cheap, tuple_code
from zodbapi.plan.nodes import IndexGroups, IndexRange, Project, Scan
from zodbapi.plan.walk import sources_used
from zodbapi.record import field, record, replace

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit
    from zodbapi.plan.expr import AggregateCall
    from zodbapi.plan.nodes import Aggregate

Consume = Callable[[], None]


@record(slots=True)
class Slots:
    """How the slots of the group at hand are written, and what they start with."""

    group: str  # "" for local variables
    prefix: str
    initial: list[str] = field(default_factory=list)
    first: list[str | None] = field(default_factory=list)  # what they hold after the first row, where that is plain

    def add(self, initial: str, first: str | None = None) -> str:
        """Code of a new slot; ``first`` is code of what it holds after the group's first row."""
        number = len(self.initial)
        self.initial.append(initial)
        self.first.append(first)
        return f"{self.group}[{number}]" if self.group else f"{self.prefix}{number}"


@record(slots=True)
class Step:
    """One aggregate: what a row does to its slots, and code of its result."""

    write: Callable[[], None]
    result: str


def produce(unit: Unit, node: Aggregate, consume: Consume) -> None:
    """Writes the grouping of the node's input."""
    if not node.keys:
        _whole(unit, node, consume)
        return
    if counts_only(node):
        count_keys(unit, node, consume)
        return
    groups, group = unit.fresh("groups"), unit.fresh("g")
    slots = Slots(group, "")
    steps = Steps(unit, node, slots)
    unit.body.line(f"{groups} = {{}}")
    kept: list[str] = []

    def add() -> None:
        body = unit.body
        plain = [unit.expr.value(key) for key in node.keys]
        collations = node.collations or ("BINARY",) * len(plain)
        codes = [unit.expr.folded(code, c) for code, c in zip(plain, collations, strict=True)]
        folded = codes != plain or bool(node.follow)
        hashed = [code for i, code in enumerate(codes) if i not in node.follow]
        key = hashed[0] if len(hashed) == 1 else tuple_code(hashed)
        name = unit.fresh("k")
        body.line(f"{name} = {key}")
        body.line(f"{group} = {groups}.get({name})")
        write_steps = steps.prepare()
        if folded:
            kept.extend(slots.add(code, code) for code in plain)
        first = [code for code in slots.first if code is not None]
        with body.block(f"if {group} is None"):
            plainly = len(first) == len(slots.initial)
            body.line(
                f"{groups}[{name}] = {'' if plainly else f'{group} = '}[{', '.join(first if plainly else slots.initial)}]"
            )
        if plainly:
            with body.block("else"):
                write_steps()
        else:
            write_steps()

    unit.query.produce(node.input, add)
    key = unit.fresh("k")
    with unit.body.block(f"for {key}, {group} in {groups}.items()"):
        names = kept or ([key] if len(node.keys) == 1 else [f"{key}[{i}]" for i in range(len(node.keys))])
        emit(unit, node, names, steps, consume)


def _whole(unit: Unit, node: Aggregate, consume: Consume) -> None:
    """Aggregates over all rows: one result row, always."""
    counted = _counted(unit, node)
    if counted is not None:
        name = unit.fresh("a")
        unit.body.line(f"{name} = {counted}")
        unit.env[node.source] = ComputedRow([name] * len(node.calls))
        consume()
        return
    entries = isinstance(node.input, IndexRange) and is_count_all(node.calls[0])
    if len(node.calls) == 1 and not entries and is_of_list(node.calls[0]) and is_flat(node.input):
        aggregate_list(unit, node, node.calls[0], consume)
        return
    slots = Slots("", unit.fresh("a") + "_")
    steps = Steps(unit, node, slots)
    body = unit.body
    place = len(body.lines)
    at = body.depth
    unit.counts_entries = all(map(is_count_all, node.calls))
    unit.query.produce(node.input, lambda: steps.prepare()())
    unit.counts_entries = False
    count_entries(body.lines)
    for number, initial in enumerate(slots.initial):
        body.lines.insert(place + number, (at, f"{slots.prefix}{number} = {initial}"))
    emit(unit, node, [], steps, consume)


def _counted(unit: Unit, node: Aggregate) -> str | None:
    """Code of the number of input rows, where that is known without reading them and nothing else is asked for."""
    if not all(map(is_count_all, node.calls)):
        return None
    below = node.input
    while isinstance(below, Project):
        below = below.input
    match below:
        case Scan(table=table):
            return f"len({unit.query.tree(table.id)})"
        case IndexGroups():
            return index_groups.count(unit, below)
        case _:
            return None


def emit(unit: Unit, node: Aggregate, keys: list[str], steps: Steps, consume: Consume) -> None:
    """Makes the row of a finished group known to ``consume``."""
    columns: list[str | None] = list(keys)
    for position, step in enumerate(steps.steps):
        code = step.result
        if unit.uses[node.source, len(node.keys) + position] > 1 and not code.isidentifier():
            name = unit.fresh("v")
            unit.body.line(f"{name} = {code}")
            code = name
        columns.append(code)
    unit.env[node.source] = ComputedRow(columns)
    consume()


def _write_nothing() -> None:
    """The step of a call whose values another one keeps."""


class Steps:
    """Writes the calls of one node. Slots are allotted when the first row's code is written."""

    def __init__(self, unit: Unit, node: Aggregate, slots: Slots) -> None:
        self.unit = unit
        self.node = node
        self.slots = slots
        self.steps: list[Step] = []
        self._bare: dict[int | None, list[tuple[int, str]]] = {}
        self._lists: list[tuple[AggregateCall, str]] = []  # what is added up at the end, and the slot of its list
        self._seen: dict[int, str] = {}  # id of a DISTINCT call -> slot of the set of values seen

    def prepare(self) -> Callable[[], None]:
        """Allots the slots; returns what writes the steps of a row."""
        for number, call in enumerate(self.node.calls):
            if call.function.name == "bare" and not self._is_of_row(call):
                code = self.unit.expr.value(call.args[0])
                # In a group the first row is at hand when the slots are made; without groups any row may give it.
                slot = self.slots.add(code if self.slots.group else "None", code)
                self._bare.setdefault(call.of, []).append((number, slot))
        self.steps = [self._step(number, call) for number, call in enumerate(self.node.calls)]

        def write() -> None:
            if not self.slots.group:
                self._keep_bare(None)
            for of in self._bare:
                if of is None:
                    continue
                # While min() or max() has seen only NULLs, the last row counts, as in SQLite.
                with self.unit.body.block(f"if {self.steps[of].result} is None"):
                    self._keep_bare(of)
            for step in self.steps:
                step.write()

        return write

    def _is_of_row(self, call: AggregateCall) -> bool:
        """Whether the value is the same in all rows of a group, which is the row of one source: it needs no slot."""
        return self.node.each is not None and sources_used(call.args[0]) <= {self.node.each} and call.of is None

    def _keep_bare(self, of: int | None) -> None:
        for number, slot in self._bare.get(of, ()):
            self.unit.body.line(f"{slot} = {self.unit.expr.value(self.node.calls[number].args[0])}")

    def _step(self, number: int, call: AggregateCall) -> Step:
        if call.function.name == "bare":
            if self._is_of_row(call):
                return Step(lambda: None, self.unit.expr.value(call.args[0]))
            slot = next(slot for n, slot in self._bare[call.of] if n == number)
            return Step(lambda: None, slot)
        inner = self._function(number, call)
        if call.filter is None or inner.write is _write_nothing:
            return inner

        def filtered() -> None:
            assert call.filter is not None
            with self.unit.body.block(f"if {self.unit.expr.is_true(call.filter)}"):
                inner.write()

        return Step(filtered, inner.result)

    def _function(self, number: int, call: AggregateCall) -> Step:
        name = call.function.name.lower()
        if call.order:
            return self._ordered(call)
        if not call.args:
            return self._count_rows(call) if name == "count" else self._object(call)
        kind = call.args[0].type.kind
        if not call.function.inline:
            return self._object(call)
        if name == "count":
            return self._count_distinct(call) if call.distinct else self._count(call)
        if name in ("sum", "avg") and (kind in NUMBERS or kind is Kind.INTERVAL):
            return self._sum(call) if name == "sum" else self._average(call)
        if name in ("min", "max"):
            return self._extreme(number, call)
        return self._object(call)

    def _count_rows(self, call: AggregateCall) -> Step:
        slot = self.slots.add("0", "1" if call.filter is None else None)
        return Step(lambda: self.unit.body.line(f"{slot} += 1"), slot)

    def _first(self, call: AggregateCall) -> str | None:
        """Code of the argument, if each row counts; it goes into a slot when a group starts."""
        if call.filter is not None or call.distinct or self.unit.expr.nullable(call.args[0]):
            return None
        code = self.unit.expr.value(call.args[0])
        return code if is_cheap(code) else None

    def _argument(self, call: AggregateCall, then: Callable[[str], None]) -> None:
        """Writes what happens with a value that is not NULL, and with DISTINCT was not seen before with these arguments."""
        unit = self.unit
        counted = call.function.name == "count" and not call.distinct
        code = unit.expr.stored(call.args[0]) if counted else unit.expr.value(call.args[0])
        if unit.expr.nullable(call.args[0]):
            first, code = unit.expr.hold(code)
            with unit.body.block(f"if {first} is not None"):
                self._distinct(call, code, then)
        else:
            self._distinct(call, code, then)

    def _distinct(self, call: AggregateCall, code: str, then: Callable[[str], None]) -> None:
        unit = self.unit
        if not call.distinct:
            then(code)
            return
        seen = self._seen[id(call)]
        name = unit.fresh("t")
        unit.body.line(f"{name} = {code}")
        # Arguments that are the same for every row, as a separator mostly is, tell no rows apart.
        rest = [unit.expr.value(arg) for arg in call.args[1:] if not unit.expr.independent(arg)]
        first = unit.expr.folded(name, call.collation)
        key = tuple_code([first, *rest]) if rest else first
        with unit.body.block(f"if {key} not in {seen}"):
            unit.body.line(f"{seen}.add({key})")
            then(name)

    def _slot_for_distinct(self, call: AggregateCall) -> None:
        if call.distinct:
            self._seen[id(call)] = self.slots.add("set()")

    def _count(self, call: AggregateCall) -> Step:
        slot = self.slots.add("0", self._first(call) and "1")
        return Step(lambda: self._argument(call, lambda _: self.unit.body.line(f"{slot} += 1")), slot)

    def _count_distinct(self, call: AggregateCall) -> Step:
        self._slot_for_distinct(call)
        return Step(lambda: self._argument(call, lambda _: None), f"len({self._seen[id(call)]})")

    def _sum(self, call: AggregateCall) -> Step:
        if self._is_listed(call):
            slot, write = self._list(call)
            return Step(write, f"{self.unit.call(runtime.total_decimal)}({slot})")
        self._slot_for_distinct(call)
        plus = "+" if call.args[0].type.kind is Kind.BOOLEAN else ""
        first = self._first(call)
        slot = self.slots.add("None", first and plus + first)

        def add(code: str) -> None:
            self.unit.body.line(self._addition(call, slot, code, plus))

        return Step(lambda: self._argument(call, add), f"{self.unit.call(runtime.sum_result)}({slot})")

    def _is_listed(self, call: AggregateCall) -> bool:
        """Whether the values of the only group, or the group at hand, had better be kept: decimals add up fastest at once."""
        return call.args[0].type.kind is Kind.DECIMAL and not self.slots.group and not call.distinct

    def _list(self, call: AggregateCall) -> tuple[str, Callable[[], None]]:
        """The slot of a list of the values, and what writes that a row adds to it; calls over the same values share one."""
        for known, slot in self._lists:
            if known.args == call.args and known.filter == call.filter:
                return slot, _write_nothing
        slot = self.slots.add("[]")
        self._lists.append((call, slot))
        return slot, lambda: self._argument(call, lambda code: self.unit.body.line(f"{slot}.append({code})"))

    def _addition(self, call: AggregateCall, total: str, code: str, plus: str = "") -> str:
        """The line that adds a value to a slot, which holds None before the first one.

        It is Python's own addition, but for decimals: theirs rounds to the digits of a context.
        """
        match call.args[0].type.kind:
            case Kind.DECIMAL:
                sum_ = f"{self.unit.call_value(runtime.exact_add, 'exact_add')}({total}, {code})"
            case Kind.NUMERIC:
                sum_ = f"{self.unit.call(values.add)}({total}, {code})"
            case _:
                sum_ = f"{total} + {code}"
        if self.slots.group and all(first is not None for first in self.slots.first):
            return f"{total} = {sum_}"
        return f"{total} = {plus}{code} if {total} is None else {sum_}"

    def _average(self, call: AggregateCall) -> Step:
        if self._is_listed(call):
            slot, write = self._list(call)
            total = f"{self.unit.call(runtime.total_decimal)}({slot})"
            return Step(write, f"{self.unit.call(runtime.average)}({total}, len({slot}))")
        self._slot_for_distinct(call)
        first = self._first(call)
        total, count = self.slots.add("None", first), self.slots.add("0", first and "1")

        def add(code: str) -> None:
            self.unit.body.line(self._addition(call, total, code))
            self.unit.body.line(f"{count} += 1")

        return Step(lambda: self._argument(call, add), f"{self.unit.call(runtime.average)}({total}, {count})")

    def _extreme(self, number: int, call: AggregateCall) -> Step:
        unit = self.unit
        slot = self.slots.add("None", self._first(call))
        less = call.function.name.lower() == "min"
        typed = comparison_class(call.args[0].type) is not None

        def update(code: str) -> None:
            new, old = unit.expr.folded(code, call.collation), unit.expr.folded(slot, call.collation)
            if typed:
                test = f"{new} {'<' if less else '>'} {old}"
            else:
                test = f"{unit.call(values.lt if less else values.gt)}({new}, {old})"
            started = self.slots.group and all(first is not None for first in self.slots.first)
            with unit.body.block(f"if {test}" if started else f"if {slot} is None or {test}"):
                unit.body.line(f"{slot} = {code}")
                self._keep_bare(number)

        def plain(code: str) -> None:
            if code.isidentifier():
                update(code)
                return
            name = unit.fresh("t")
            unit.body.line(f"{name} = {code}")
            update(name)

        # The extreme of a set is that of its rows.
        distinctless = replace(call, distinct=False)
        return Step(lambda: self._argument(distinctless, plain), slot)

    def _object(self, call: AggregateCall) -> Step:
        self._slot_for_distinct(call)
        unit = self.unit
        slot = self.slots.add(f"{unit.call(call.function.call)}()")

        def write() -> None:
            codes = [unit.expr.value(arg) for arg in call.args]

            def step(code: str) -> None:
                unit.body.line(f"{slot}.step({', '.join([code, *codes[1:]])})")

            if not codes:
                unit.body.line(f"{slot}.step()")
            elif call.function.skip_nulls:
                self._argument(call, step)
            else:
                self._distinct(call, codes[0], step)

        return Step(write, f"{slot}.finalize()")

    def _ordered(self, call: AggregateCall) -> Step:
        """An aggregate with ORDER BY: its rows are kept, and stepped in order at the end."""
        self._slot_for_distinct(call)
        unit = self.unit
        slot = self.slots.add("[]")

        def write() -> None:
            keys = tuple_code([unit.expr.folded(unit.expr.value(k.expr), k.collation) for k in call.order])
            rest = [unit.expr.value(arg) for arg in call.args[1:]]

            def keep(code: str) -> None:
                unit.body.line(f"{slot}.append(({keys}, {tuple_code([code, *rest])}))")

            if call.function.skip_nulls:
                self._argument(call, keep)
            else:
                self._distinct(call, unit.expr.value(call.args[0]), keep)

        directions = unit.constant(tuple((k.descending, k.nulls_first) for k in call.order))
        factory = unit.call(call.function.call)
        return Step(write, f"{unit.call(runtime.ordered_aggregate)}({factory}, {slot}, {directions})")
