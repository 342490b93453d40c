"""Joins. A nested loop where the right side can be found from the left row, a hash table where it is an equality.

An outer join must not write its consumer twice (once for a match, once for the row of NULLs): with ten of them in a
row the program would double ten times. So the matches of one left row are collected first, and the loop runs over
them or, if there are none, over the row of NULLs. When the right side is a lookup of at most one row even that list
is not needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zodbapi.codegen import access
from zodbapi.codegen.rowbuffer import RowBuffer, source_widths
from zodbapi.codegen.unit import denied, tuple_code
from zodbapi.plan.expr import And, Compare, Expr
from zodbapi.plan.nodes import (
    Aggregate,
    Distinct,
    Filter,
    HashJoin,
    IndexSeek,
    Join,
    Node,
    Project,
    RowidSeek,
    Sort,
    Window,
)
from zodbapi.plan.walk import descend, free_sources

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit

Consume = Callable[[], None]
_MAX_NESTING = 12


def produce(unit: Unit, node: Join, consume: Consume) -> None:
    """Writes a nested loop join."""
    match node.kind:
        case "inner" | "cross":
            _produce_left(unit, node.left, lambda: _inner(unit, node, consume))
        case "left":
            _produce_left(unit, node.left, lambda: _left(unit, node, consume))
        case "semi" | "anti":
            _produce_left(unit, node.left, lambda: _semi(unit, node, consume))
        case "full":
            _full(unit, node.left, node.right, node.on, consume)
        case _:
            raise AssertionError(f"no code for a {node.kind} join")


def _nesting(node: Node) -> int:
    """How many loops stand around the code that consumes the node's rows."""
    match node:
        case Join(kind="inner" | "cross" | "left", left=left) | HashJoin(kind="inner" | "left", left=left):
            return _nesting(left) + 1
        case Filter(input=child) | Project(input=child):
            return _nesting(child)
        case _:
            return 1


def _produce_left(unit: Unit, left: Node, then: Consume) -> None:
    """The outer loops of a join. CPython nests twenty blocks at most, so after some the rest reads a generator."""
    if _nesting(left) % _MAX_NESTING:
        unit.query.produce(left, then)
        return
    buffer = RowBuffer(unit, left)
    with unit.query.function_for(left, "g") as name:
        unit.query.produce(left, lambda: unit.body.line(f"yield {buffer.pack()}"))
    with unit.body.block(f"for {buffer.unpack()} in {name}()"):
        buffer.bind()
        then()


def _if(unit: Unit, test: Expr | None, then: Consume) -> None:
    if test is None:
        then()
        return
    with unit.body.block(f"if {unit.expr.is_true(test)}"):
        then()


def _right_rows(unit: Unit, node: Join, then: Consume) -> None:
    """The right input inside the left loop; what it would compute again for each left row is computed once."""
    if not _buffers(node.right) or free_sources(node.right):
        unit.query.produce(node.right, then)
        return
    buffer = RowBuffer(unit, node.right)
    with unit.query.function_for(node.right) as name:
        unit.body.line("out = []")
        unit.query.produce(node.right, lambda: unit.body.line(f"out.append({buffer.pack()})"))
        unit.body.line("return out")
    rows = unit.query.remembered(node.right, name)
    with unit.body.block(f"for {buffer.unpack()} in {rows}()"):
        buffer.bind()
        then()


def _buffers(node: Node) -> bool:
    return any(isinstance(part, (Aggregate, Distinct, Sort, Window, Join, HashJoin, Project)) for part in descend(node))


def _inner(unit: Unit, node: Join, consume: Consume) -> None:
    _right_rows(unit, node, lambda: _if(unit, node.on, consume))


def _left(unit: Unit, node: Join, consume: Consume) -> None:
    seek, tests = _lookup(node)
    if seek is not None and access.finds_one(seek):
        assert isinstance(seek, (RowidSeek, IndexSeek))
        access.lookup(unit, seek)
        row = f"r{seek.source}"
        missing = f"{row} is None"
        if tests:
            missing += "".join(f" or not {unit.expr.is_true(test)}" for test in tests)
        with unit.body.block(f"if {missing}"):
            unit.body.line(f"{row} = {unit.constant((None,) * len(seek.table.columns))}")
            if seek.source in unit.rowids_used and seek.table.rowid_column is None:
                unit.body.line(f"i{seek.source} = None")
        consume()
        return
    buffer = RowBuffer(unit, node.right)
    matches = unit.fresh("m")
    unit.body.line(f"{matches} = []")
    _right_rows(unit, node, lambda: _if(unit, node.on, lambda: unit.body.line(f"{matches}.append({buffer.pack()})")))
    nulls = unit.constant_code(f"({buffer.nulls(source_widths(node.right))},)")
    with unit.body.block(f"for {buffer.unpack()} in {matches} or {nulls}"):
        buffer.bind()
        consume()


def _lookup(node: Join) -> tuple[Node | None, list[Expr]]:
    """The seek that is the right side, and the conditions on its row."""
    tests = [] if node.on is None else [node.on]
    right = node.right
    while isinstance(right, Filter):
        tests.insert(0, right.predicate)
        right = right.input
    return (right, tests) if isinstance(right, (RowidSeek, IndexSeek)) else (None, tests)


def _semi(unit: Unit, node: Join, consume: Consume) -> None:
    right = node.right if node.on is None else Filter(node.right, node.on)
    test = f"{unit.query.exists(right)}()"
    with unit.body.block(f"if {test}" if node.kind == "semi" else f"if not {test}"):
        consume()


def produce_hash(unit: Unit, node: HashJoin, consume: Consume) -> None:
    """Writes a hash join: the table is built before the loop over the left input."""
    if node.kind == "full":
        _full(unit, node.left, node.right, _with_keys(node), consume)
        return
    table = unit.fresh("h")
    simple = node.kind in ("semi", "anti") and node.on is None
    nulls = unit.fresh("n") if node.null_aware else None
    buffer = RowBuffer(unit, node.right)
    free = free_sources(node.right)
    build_here = any(source in unit.env and source not in unit.scopes[-1].outer for source in free)
    if build_here:
        _build(unit, node, table, nulls, buffer, simple)
    else:
        with unit.aside():
            _build(unit, node, table, nulls, buffer, simple)

    def probe() -> None:
        match node.kind:
            case "inner":
                _probe_inner(unit, node, table, buffer, consume)
            case "left":
                _probe_left(unit, node, table, buffer, consume)
            case _:
                _probe_semi(unit, node, table, nulls, buffer, consume)

    _produce_left(unit, node.left, probe)


def _with_keys(node: HashJoin) -> Expr:
    tests: list[Expr] = [Compare("=", a, b) for a, b in zip(node.left_keys, node.right_keys, strict=True)]
    if node.on is not None:
        tests.append(node.on)
    return And(tuple(tests)) if len(tests) > 1 else tests[0]


def _key(unit: Unit, keys: tuple[Expr, ...]) -> tuple[str, str]:
    """Code that tests that no key is NULL ("" when none can be), and code of the key after it."""
    tests, codes = unit.expr.not_null([(key, unit.expr.value(key)) for key in keys])
    test = " and ".join(map(denied, tests))
    return test, codes[0] if len(codes) == 1 else tuple_code(codes)


def _probe_key(unit: Unit, node: HashJoin) -> str:
    """Code of the left key. One with a NULL finds nothing, for none was stored."""
    codes = [unit.expr.value(key) for key in node.left_keys]
    return codes[0] if len(codes) == 1 else tuple_code(codes)


def _build(unit: Unit, node: HashJoin, table: str, nulls: str | None, buffer: RowBuffer, simple: bool) -> None:
    unit.body.line(f"{table} = {'set()' if simple else '{}'}")
    if nulls:
        unit.body.line(f"{nulls} = False")

    def add() -> None:
        test, key = _key(unit, node.right_keys)
        store = f"{table}.add({key})" if simple else f"{table}.setdefault({key}, []).append({buffer.pack()})"
        if not test:
            unit.body.line(store)
            return
        with unit.body.block(f"if {test}"):
            unit.body.line(store)
        if nulls:
            with unit.body.block("else"):
                unit.body.line(f"{nulls} = True")

    unit.query.produce(node.right, add)


def _probe_inner(unit: Unit, node: HashJoin, table: str, buffer: RowBuffer, consume: Consume) -> None:
    key = _probe_key(unit, node)
    with unit.body.block(f"for {buffer.unpack()} in {table}.get({key}, ())"):
        buffer.bind()
        _if(unit, node.on, consume)


def _probe_left(unit: Unit, node: HashJoin, table: str, buffer: RowBuffer, consume: Consume) -> None:
    key = _probe_key(unit, node)
    nulls = unit.constant_code(f"({buffer.nulls(source_widths(node.right))},)")
    if node.on is None:
        with unit.body.block(f"for {buffer.unpack()} in {table}.get({key}, {nulls})"):
            buffer.bind()
            consume()
        return
    matches = unit.fresh("m")
    unit.body.line(f"{matches} = []")
    with unit.body.block(f"for {buffer.unpack()} in {table}.get({key}, ())"):
        buffer.bind()
        _if(unit, node.on, lambda: unit.body.line(f"{matches}.append({buffer.pack()})"))
    with unit.body.block(f"for {buffer.unpack()} in {matches} or {nulls}"):
        buffer.bind()
        consume()


def _probe_semi(unit: Unit, node: HashJoin, table: str, nulls: str | None, buffer: RowBuffer, consume: Consume) -> None:
    key = _probe_key(unit, node)
    if node.on is not None:
        found = unit.fresh("m")
        unit.body.line(f"{found} = False")
        with unit.body.block(f"for {buffer.unpack()} in {table}.get({key}, ())"):
            buffer.bind()
            with unit.body.block(f"if {unit.expr.is_true(node.on)}"):
                unit.body.line(f"{found} = True")
                unit.body.line("break")
        test = found if node.kind == "semi" else f"not {found}"
    elif node.kind == "semi":
        test = f"{key} in {table}"
    elif nulls:
        present, key = _key(unit, node.left_keys)
        test = f"not {nulls} and (not {table} or {present + ' and ' if present else ''}{key} not in {table})"
    else:
        test = f"{key} not in {table}"
    with unit.body.block(f"if {test}"):
        consume()


def _full(unit: Unit, left: Node, right: Node, on: Expr | None, consume: Consume) -> None:
    """FULL JOIN: the right rows are buffered, and those that no left row met come last, with NULLs on the left."""
    lefts, rights = RowBuffer(unit, left), RowBuffer(unit, right)
    join = Join("full", left, right, on)
    with unit.query.function_for(join) as name:
        body = unit.body
        body.line("out = []")
        body.line("rights = []")
        unit.query.produce(right, lambda: body.line(f"rights.append({rights.pack()})"))
        body.line("met = set()")

        def match() -> None:
            body.line("alone = True")
            with body.block(f"for j, {rights.unpack()} in enumerate(rights)"):
                rights.bind()

                def both() -> None:
                    body.line("alone = False")
                    body.line("met.add(j)")
                    body.line(f"out.append(({lefts.pack()}, {rights.pack()}))")

                _if(unit, on, both)
            with body.block("if alone"):
                body.line(f"out.append(({lefts.pack()}, {unit.constant_code(rights.nulls(source_widths(right)))}))")

        unit.query.produce(left, match)
        with body.block("for j, right in enumerate(rights)"), body.block("if j not in met"):
            body.line(f"out.append(({unit.constant_code(lefts.nulls(source_widths(left)))}, right))")
        body.line("return out")
    with unit.body.block(f"for {lefts.unpack()}, {rights.unpack()} in {name}()"):
        lefts.bind()
        rights.bind()
        consume()
