"""Groups that are the rows of one table: what a row's inner loops give is aggregated in local variables.

::

    for r0 in rows0.values():             # the outermost access: a row is a group
        a0_0 = 0
        for _, i1 in x0.keys(...):        # the joins inside it
            a0_0 += 1
        out.append((r0[1], a0_0))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zodbapi.codegen.aggregate import Slots, Steps, emit
from zodbapi.codegen.aggregate_list import count_entries
from zodbapi.codegen.unit import is_cheap
from zodbapi.plan.nodes import Filter, HashJoin, Join, Node, Passed
from zodbapi.record import replace

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit
    from zodbapi.plan.nodes import Aggregate


def produce(unit: Unit, node: Aggregate, consume: Callable[[], None]) -> None:
    """Writes the grouping of an Aggregate with ``each``."""
    outer, inner, sure = _split(node.input)

    def group() -> None:
        body = unit.body
        keys = []
        for key in node.keys:
            code = unit.expr.value(key)
            if not is_cheap(code):
                name = unit.fresh("k")
                body.line(f"{name} = {code}")
                code = name
            keys.append(code)
        slots = Slots("", unit.fresh("a") + "_")
        steps = Steps(unit, node, slots)
        place, at = len(body.lines), body.depth
        some = "" if sure or node.empty else unit.fresh("some")

        def step() -> None:
            if some:
                body.line(f"{some} = True")
            steps.prepare()()

        unit.query.produce(inner, step)
        count_entries(body.lines)
        initial = [f"{slots.prefix}{number} = {code}" for number, code in enumerate(slots.initial)]
        if some:
            initial.append(f"{some} = False")
        body.lines[place:place] = [(at, line) for line in initial]
        with body.test(some):
            emit(unit, node, keys, steps, consume)

    unit.query.produce(outer, group)


def _split(node: Node) -> tuple[Node, Node, bool]:
    """The outermost loop, with its Filters; the rest around ``Passed``; whether every outer row comes through the rest."""
    match node:
        case Join() | HashJoin():
            outer, inner, sure = _split(node.left)
            return outer, replace(node, left=inner), sure and node.kind == "left"
        case Filter():
            outer, inner, sure = _split(node.input)
            if isinstance(inner, Passed):
                return replace(node, input=outer), inner, sure
            return outer, replace(node, input=inner), False
        case _:
            return node, Passed(node.source), True  # type: ignore[attr-defined]
