"""Joins. A nested loop where the right side can be found from the left row, a hash table where it is an equality.

An outer join must not write its consumer twice (once for a match, once for the row of NULLs): with ten of them in a
row the program would double ten times. So the matches of one left row are collected first, and the loop runs over
them or, if there are none, over the row of NULLs. When the right side is a lookup of at most one row even that list
is not needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zodbapi.catalog import Kind
from zodbapi.codegen import access, runtime
from zodbapi.codegen.rowbuffer import RowBuffer, row_width, source_widths
from zodbapi.codegen.unit import denied, tuple_code
from zodbapi.plan.expr import And, Column, Compare, Expr, Rowid
from zodbapi.plan.nodes import (
    Aggregate,
    Distinct,
    Filter,
    HashJoin,
    HashSeek,
    IndexGroups,
    IndexRange,
    IndexSeek,
    Join,
    Node,
    Project,
    RowidRange,
    RowidSeek,
    Scan,
    Sort,
    Window,
    output_source,
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
    test = unit.query.exists(right)
    with unit.body.block(f"if {test}" if node.kind == "semi" else f"if not {test}"):
        consume()


def produce_hash(unit: Unit, node: HashJoin, consume: Consume) -> None:
    """Writes a hash join: the table is built before the loop over the left input."""
    if node.kind == "full":
        _full(unit, node.left, node.right, _with_keys(node), consume)
        return
    table = unit.fresh("h")
    nulls = unit.fresh("n") if node.null_aware else None
    buffer = RowBuffer(unit, node.right)
    pack = None if node.kind in ("semi", "anti") and node.on is None else buffer.pack
    single = node.kind in ("inner", "left") and is_unique(node.right, node.right_keys)
    free = free_sources(node.right)
    build_here = any(source in unit.env and source not in unit.scopes[-1].outer for source in free)
    if build_here:
        _build(unit, node.right, node.right_keys, node.left_keys, table, nulls, pack, single=single)
    else:
        with unit.aside():
            _build(unit, node.right, node.right_keys, node.left_keys, table, nulls, pack, single=single)

    def probe() -> None:
        match node.kind:
            case "inner" | "left" if single:
                _probe_single(unit, node, table, buffer, consume)
            case "inner":
                _probe_inner(unit, node, table, buffer, consume)
            case "left":
                _probe_left(unit, node, table, buffer, consume)
            case _:
                _probe_semi(unit, node, table, nulls, buffer, consume)

    _produce_left(unit, node.left, probe)


def produce_seek(unit: Unit, node: HashSeek, consume: Consume) -> None:
    """Writes the loop over the rows that a hash table has for the row around the query, and what makes that table once."""
    assert not node.single, "a table with one value for each key is asked for values"
    buffer = RowBuffer(unit, node.input)
    table, key = _sought(unit, node, buffer.pack)
    with unit.body.block(f"for {buffer.unpack()} in {table}.get({key}, ())"):
        buffer.bind()
        consume()


def sought_value(unit: Unit, node: HashSeek) -> str:
    """Code of the value that a table with one for each key has for the row around the query, or of the default."""
    source = output_source(node.input)
    position = row_width(node.input) - 1
    unit.use(source, position)
    table, key = _sought(unit, node, lambda: unit.env[source].column(position))
    default = "".join(f", {unit.expr.value(value)}" for value in node.default)
    return f"{table}.get({key}{default})"


def is_found(unit: Unit, node: HashSeek) -> str:
    """Code that is true if there is a row for the row around the query."""
    table, key = _sought(unit, node, None)
    return f"{key} in {table}"


def _sought(unit: Unit, node: HashSeek, pack: Callable[[], str] | None) -> tuple[str, str]:
    """Writes what makes the table when it is asked for the first time; code of the table, and of the key to look for."""
    name = unit.fresh("h")
    with unit.query.function_for(node.input) as function:
        _build(unit, node.input, node.keys, node.probes, name, None, pack, single=node.single)
        unit.body.line(f"return {name}")
    made = unit.query.remembered(node.input, function)
    return f"{made}()", _probe_key(unit, node.probes, node.keys)


def _with_keys(node: HashJoin) -> Expr:
    tests: list[Expr] = [Compare("=", a, b) for a, b in zip(node.left_keys, node.right_keys, strict=True)]
    if node.on is not None:
        tests.append(node.on)
    return And(tuple(tests)) if len(tests) > 1 else tests[0]


def _key(unit: Unit, keys: tuple[Expr, ...], others: tuple[Expr, ...]) -> tuple[str, str]:
    """Code that tests that no key is NULL ("" when none can be), and code of the key after it, to be equal to the others."""
    tests, codes = unit.expr.not_null([(key, unit.expr.value(key)) for key in keys])
    test = " and ".join(map(denied, tests))
    numbered = map(_are_uuids, keys, others)
    codes = [f"{code}.int" if is_uuid else code for code, is_uuid in zip(codes, numbered, strict=True)]
    return test, codes[0] if len(codes) == 1 else tuple_code(codes)


def _probe_key(unit: Unit, keys: tuple[Expr, ...], others: tuple[Expr, ...]) -> str:
    """Code of a key to look for. One with a NULL finds nothing, for none was stored."""
    codes = []
    for key, other in zip(keys, others, strict=True):
        code = unit.expr.value(key)
        if _are_uuids(key, other) and unit.expr.nullable(key):
            first, code = unit.expr.hold(code)
            code = f"(None if {first} is None else {code}.int)"
        elif _are_uuids(key, other):
            code = f"{code}.int"
        codes.append(code)
    return codes[0] if len(codes) == 1 else tuple_code(codes)


def _are_uuids(key: Expr, other: Expr) -> bool:
    """Whether both keys have nothing but UUIDs, which hash and compare in Python code of their own; their integers do not."""
    return all(isinstance(expr, Column) and expr.type.kind is Kind.UUID for expr in (key, other))


def is_unique(node: Node, keys: tuple[Expr, ...]) -> bool:
    """Whether no two rows of a node have the same keys: they are the rowid, or a unique key, of one table."""
    while isinstance(node, Filter):
        node = node.input
    if isinstance(node, Project):
        shown = [key for key in keys if isinstance(key, Column) and key.source == node.source]
        return is_unique(node.input, tuple(node.columns[key.position] for key in shown))
    if isinstance(node, IndexGroups):
        return {key.position for key in keys if isinstance(key, Column)} == set(range(node.width))
    if isinstance(node, Aggregate):
        known = {key.position for key in keys if isinstance(key, Column) and key.source == node.source}
        return known >= set(range(len(node.keys)))
    if not isinstance(node, (Scan, RowidSeek, RowidRange, IndexSeek, IndexRange)):
        return False
    table = node.table
    if any(isinstance(key, Rowid) and key.source == node.source for key in keys):
        return True
    known = {key.position for key in keys if isinstance(key, Column) and key.source == node.source}
    return table.rowid_column in known or any(
        index.keyed and index.where is None and all(column.position in known for column in index.columns)
        for index in table.indexes
    )


def _build(
    unit: Unit,
    right: Node,
    keys: tuple[Expr, ...],
    others: tuple[Expr, ...],
    table: str,
    nulls: str | None,
    pack: Callable[[], str] | None,
    *,
    single: bool,
) -> None:
    """Writes what makes the table: a set of the keys, or what is packed of the rows by key, one (``single``) or a list."""
    start = len(unit.body.lines)
    empty = "set()" if pack is None else "{}" if single else f"{unit.call(runtime.lists)}()"
    unit.body.line(f"{table} = {empty}")
    if nulls:
        unit.body.line(f"{nulls} = False")

    def add() -> None:
        test, key = _key(unit, keys, others)
        if pack is None:
            store = f"{table}.add({key})"
        else:
            store = f"{table}[{key}] = {pack()}" if single else f"{table}[{key}].append({pack()})"
        if not test:
            unit.body.line(store)
            return
        with unit.body.block(f"if {test}"):
            unit.body.line(store)
        if nulls:
            with unit.body.block("else"):
                unit.body.line(f"{nulls} = True")

    unit.query.produce(right, add)
    if not nulls:
        unit.comprehend(start, table)


def _probe_single(unit: Unit, node: HashJoin, table: str, buffer: RowBuffer, consume: Consume) -> None:
    """Inner and left joins with a table that has one row a key at most."""
    key = _probe_key(unit, node.left_keys, node.right_keys)
    found = buffer.unpack()
    packed = found if found.isidentifier() and found != "_" else unit.fresh("m")
    nulls = unit.constant_code(buffer.nulls(source_widths(node.right))) if node.kind == "left" else ""
    default = f", {nulls}" if nulls and node.on is None else ""
    unit.body.line(f"{packed} = {table}.get({key}{default})")

    def bound() -> None:
        if packed != found and buffer.sources:
            unit.body.line(f"{found} = {packed}")
        buffer.bind()

    if node.kind == "inner":
        with unit.body.block(f"if {packed} is not None"):
            bound()
            _if(unit, node.on, consume)
        return
    if node.on is not None:
        with unit.body.block(f"if {packed} is not None"):
            bound()
            with unit.body.block(f"if not {unit.expr.is_true(node.on)}"):
                unit.body.line(f"{packed} = None")
        with unit.body.block(f"if {packed} is None"):
            unit.body.line(f"{packed} = {nulls}")
    bound()
    consume()


def _probe_inner(unit: Unit, node: HashJoin, table: str, buffer: RowBuffer, consume: Consume) -> None:
    key = _probe_key(unit, node.left_keys, node.right_keys)
    with unit.body.block(f"for {buffer.unpack()} in {table}.get({key}, ())"):
        buffer.bind()
        _if(unit, node.on, consume)


def _probe_left(unit: Unit, node: HashJoin, table: str, buffer: RowBuffer, consume: Consume) -> None:
    key = _probe_key(unit, node.left_keys, node.right_keys)
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
    key = _probe_key(unit, node.left_keys, node.right_keys)
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
        present, key = _key(unit, node.left_keys, node.right_keys)
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
