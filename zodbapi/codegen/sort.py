"""Sorting: rows are buffered with ready-made keys and sorted by ``list.sort``, one pass for each run of equal
direction.

A buffered row is a tuple: the keys first, then what the rest of the program needs of the sources. Python's sort is
stable, so sorting by the last run of keys first and by the first run last gives the whole order, and descending is
``reverse``. Values of a column compare as they are. A column that may be NULL adds a flag before the value, because
None compares with nothing; an expression whose class is only known at run time uses ``values.sort_key``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from zodbapi import values
from zodbapi.codegen import runtime
from zodbapi.codegen.compare import comparison_class
from zodbapi.codegen.rowbuffer import RowBuffer
from zodbapi.codegen.unit import StoredRow, tuple_code
from zodbapi.plan.expr import Case, Column, Const, Expr, SortKey, is_positive
from zodbapi.plan.nodes import Limit, Project, Sort

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit
    from zodbapi.plan.nodes import FirstOfEach


def key_code(unit: Unit, key: SortKey) -> str:
    """Code of a value that Python sorts as the key demands, NULL included, up to the direction."""
    writer = unit.expr
    typed = comparison_class(key.expr.type) is not None
    if isinstance(key.expr, Case) and not typed and writer.nullable(key.expr):
        return _case_code(unit, key, key.expr)
    code = writer.folded(writer.value(key.expr), key.collation)
    if not writer.nullable(key.expr):
        return code if typed else f"{unit.call(values.sort_key)}({code})"
    first, again = writer.hold(code)
    # Ascending with NULL first, and descending (which is reversed) with NULL last, want NULL to be the smallest.
    smallest = key.descending != key.nulls_first
    test = "is not None" if smallest else "is None"
    return f"({first} {test}, {again if typed else f'{unit.call(values.sort_key)}({again})'})"


def _case_code(unit: Unit, key: SortKey, expr: Case) -> str:
    """The sort key of a CASE is a CASE of sort keys: those of results that are the same for all rows are made once."""
    smallest = key.descending != key.nulls_first

    def of(result: Expr) -> str:
        first, again = unit.expr.hold(unit.expr.folded(unit.expr.value(result), key.collation))
        code = f"({first} {'is not None' if smallest else 'is None'}, {unit.call(values.sort_key)}({again}))"
        return unit.hoist(code) if unit.expr.independent(result) and ":=" not in code else code

    arms = [(unit.expr.is_true(test), of(result)) for test, result in expr.whens]
    return f"({''.join(f'{code} if {test} else ' for test, code in arms)}{of(expr.default)})"


def produce(unit: Unit, node: Sort, consume: Callable[[], None], *, whole: bool) -> None:
    """Writes the sort of the node's input."""
    if node.presorted and node.limit is not None:
        _produce_presorted(unit, node, consume, whole=whole)
        return
    if isinstance(node.limit, Const) and node.limit.value == 1 and len({key.descending for key in node.keys}) == 1:
        _produce_best(unit, node, consume, whole=whole)
        return
    rows = unit.fresh("buffer")
    unit.body.line(f"{rows} = []")
    buffer = RowBuffer(unit, node.input, whole=whole)
    sort = _Sort(unit, node, rows)

    def keep() -> None:
        first, *others = node.keys

        def pack(code: str) -> str:
            return buffer.pack([code, *(key_code(unit, key) for key in others)])

        if sort.limit is None:
            unit.body.line(f"{rows}.append({pack(key_code(unit, first))})")
        elif sort.tells_nulls:
            sort.keep_best_or_null(first, pack)
        else:
            sort.keep_best(key_code(unit, first), pack)

    unit.query.produce(node.input, keep, whole=whole)
    sort.write()
    best = f"{rows}[:{sort.limit}]" if is_positive(node.limit) else rows
    with unit.body.block(f"for {buffer.unpack(len(node.keys))} in {best}"):
        buffer.bind()
        consume()


def is_cut(node: Limit) -> bool:
    """Whether a Sort below, whose rows are only projected, gives no more rows than a LIMIT wants."""
    below = node.input
    while isinstance(below, Project):
        below = below.input
    return isinstance(below, Sort) and node.offset is None and is_positive(node.limit) and below.limit == node.limit


def _produce_best(unit: Unit, node: Sort, consume: Callable[[], None], *, whole: bool) -> None:
    """Writes the search for the one row that comes first, the first of several that are alike."""
    best, buffer, body = unit.fresh("best"), RowBuffer(unit, node.input, whole=whole), unit.body
    body.line(f"{best} = None")

    def keep() -> None:
        codes = [key_code(unit, key) for key in node.keys]
        name = unit.fresh("k")
        body.line(f"{name} = {codes[0] if len(codes) == 1 else tuple_code(codes)}")
        comparison = ">" if node.keys[0].descending else "<"
        with body.block(f"if {best} is None or {name} {comparison} {best}[0]"):
            body.line(f"{best} = {buffer.pack([name])}")

    unit.query.produce(node.input, keep, whole=whole)
    with body.block(f"if {best} is not None"):
        body.line(f"{buffer.unpack(1)} = {best}")
        buffer.bind()
        consume()


def produce_first(unit: Unit, node: FirstOfEach, consume: Callable[[], None]) -> None:
    """Writes the search for the rows that come first among those that are alike."""
    first, buffer, body = unit.fresh("first"), RowBuffer(unit, node.input), unit.body
    body.line(f"{first} = {{}}")

    def keep() -> None:
        name = unit.fresh("k")
        codes = [unit.expr.value(expr) for expr in node.alike]
        body.line(f"{name} = {codes[0] if len(codes) == 1 else tuple_code(codes)}")
        if not node.keys:
            with body.block(f"if {name} not in {first}"):
                body.line(f"{first}[{name}] = {buffer.pack(['None'])}")
            return
        order, best = unit.fresh("k"), unit.fresh("best")
        comparison = ">" if node.keys[0].descending else "<"
        if (plain := _plain_key(unit, node, buffer)) is not None:
            row, place = plain
            body.line(f"{best} = {first}.get({name})")
            with body.block(f"if {best} is None or {row}[{place}] {comparison} {best}[{place}]"):
                body.line(f"{first}[{name}] = {buffer.pack()}")
            return
        keys = [key_code(unit, key) for key in node.keys]
        body.line(f"{order} = {keys[0] if len(keys) == 1 else tuple_code(keys)}")
        body.line(f"{best} = {first}.get({name})")
        with body.block(f"if {best} is None or {order} {comparison} {best}[0]"):
            body.line(f"{first}[{name}] = {buffer.pack([order])}")

    unit.query.produce(node.input, keep)
    alone = _plain_key(unit, node, buffer) is not None
    with body.block(f"for {buffer.unpack(0 if alone else 1)} in {first}.values()"):
        buffer.bind()
        consume()


def _plain_key(unit: Unit, node: FirstOfEach, buffer: RowBuffer) -> tuple[str, int] | None:
    """The variable and the position of the only key, if it is a column of the only row that is kept: it needs no copy."""
    match node.keys, buffer.sources:
        case (SortKey(expr=Column(source=source, position=position) as column, collation=collation),), [kept]:
            row = unit.env[source]
            if not isinstance(row, StoredRow) or source != kept or position in row.large or kept in unit.rowids_used:
                return None
            typed = comparison_class(column.type) is not None and not unit.expr.nullable(column)
            if typed and collation.upper() == "BINARY":
                return row.name, position
    return None


def _produce_presorted(unit: Unit, node: Sort, consume: Callable[[], None], *, whole: bool) -> None:
    """Writes the sort of an input that comes in the order of its first keys: with enough rows, it ends at a new value.

    Reading is a function of its own, so that it can end from inside any number of loops.
    """
    rows = unit.fresh("buffer")
    buffer = RowBuffer(unit, node.input, whole=whole)
    with unit.query.function_for(node) as name:
        unit.body.line(f"{rows} = []")
        limit = unit.query.count(node.limit)

        def keep() -> None:
            row = unit.fresh("t")
            unit.body.line(f"{row} = {buffer.pack([key_code(unit, key) for key in node.keys])}")
            changed = " or ".join(f"{row}[{i}] != {rows}[-1][{i}]" for i in range(node.presorted))
            with unit.body.block(f"if len({rows}) >= {limit} >= 0 and {rows} and ({changed})"):
                unit.body.line(f"return {rows}")
            unit.body.line(f"{rows}.append({row})")

        unit.query.produce(node.input, keep, whole=whole)
        unit.body.line(f"return {rows}")
    unit.body.line(f"{rows} = {name}()")
    for line in _passes(unit, node, rows):
        unit.body.line(line)
    best = f"{rows}[:{unit.query.count(node.limit)}]" if is_positive(node.limit) else rows
    with unit.body.block(f"for {buffer.unpack(len(node.keys))} in {best}"):
        buffer.bind()
        consume()


def _passes(unit: Unit, node: Sort, rows: str) -> list[str]:
    """The lines that sort a buffer: one pass for each run of equal direction, the last run first."""
    passes: list[str] = []
    place = 0
    for descending, run in groupby(k.descending for k in node.keys):
        length = len(list(run))
        getter = unit.namespace.constant(itemgetter(*range(place, place + length)))
        passes.insert(0, f"{rows}.sort(key={getter}{', reverse=True' if descending else ''})")
        place += length
    return passes


class _Sort:
    """The sorting of one buffer.

    With a limit the buffer is cut to the best rows whenever it has grown to twice as many, and from then on a row whose
    first key is worse than that of the worst row kept is dropped at once: one comparison for most rows of a large table.
    """

    def __init__(self, unit: Unit, node: Sort, rows: str) -> None:
        self.unit = unit
        self.rows = rows
        self.descending = node.keys[0].descending
        self.passes = _passes(unit, node, rows)
        self.limit = unit.query.count(node.limit)
        first = node.keys[0]
        typed = comparison_class(first.expr.type) is not None
        self.tells_nulls = typed and unit.expr.nullable(first.expr)
        if self.limit is not None:
            self.room, self.worst = unit.fresh("room"), unit.fresh("worst")
            unit.body.line(f"{self.room} = {unit.call(runtime.room_for_best)}({self.limit})")
            unbeaten = values.BELOW if self.descending else values.ABOVE
            code = unit.call_value(unbeaten, "below" if self.descending else "above")
            unit.body.line(f"{self.worst} = {'None' if self.tells_nulls else code}")

    def write(self) -> None:
        """Writes the passes: the last run of keys first."""
        for line in self.passes:
            self.unit.body.line(line)

    def keep_best(self, first: str, pack: Callable[[str], str]) -> None:
        """Writes what happens with a row when only the best are wanted."""
        body = self.unit.body
        code, again = self.unit.expr.hold(first)
        with body.block(f"if {code} {'>=' if self.descending else '<='} {self.worst}"), self._kept(pack(again)):
            body.line(f"{self.worst} = {self.rows}[-1][0]")

    @contextmanager
    def _kept(self, packed: str) -> Iterator[None]:
        """Writes that a row is kept; the block writes what is the worst of them, each time that the others were dropped."""
        body = self.unit.body
        body.line(f"{self.rows}.append({packed})")
        with body.block(f"if len({self.rows}) == {self.room}"):
            self.write()
            body.line(f"del {self.rows}[{self.limit}:]")
            yield

    def keep_best_or_null(self, key: SortKey, pack: Callable[[str], str]) -> None:
        """The same for values of one class or NULL: no row that is dropped gets a key made of both.

        While the worst row kept has NULL, and at first, the worst is None. Where NULLs come last, every row is then kept.
        """
        body, unit = self.unit.body, self.unit
        value = unit.fresh("t")
        body.line(f"{value} = {unit.expr.folded(unit.expr.value(key.expr), key.collation)}")
        comparison = ">=" if self.descending else "<="
        nulls = f"{value} is None or" if key.nulls_first else f"{value} is not None and"
        test = f"{self.worst} is None or {nulls} {value} {comparison} {self.worst}"
        flag = "is not None" if key.descending != key.nulls_first else "is None"
        with body.block(f"if {test}"), self._kept(pack(f"({value} {flag}, {value})")):
            body.line(f"{self.worst} = {self.rows}[-1][0][1]")
            if key.nulls_first:  # among NULLs nothing but another one is as good
                with body.block(f"if {self.worst} is None"):
                    never = values.ABOVE if self.descending else values.BELOW
                    body.line(f"{self.worst} = {unit.call_value(never, 'above' if self.descending else 'below')}")
