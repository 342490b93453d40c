"""Access paths: scans, seeks and ranges over rows and indexes.

The physical form of keys is described in ``keys``. A bound of a range over an index is a tuple too: the prefix
itself sorts before every entry that starts with it, and the prefix followed by ``ABOVE``, which is greater than
anything, sorts after all of them::

    entries with a = 5:   (5,) <= (5, rowid) <= (5, ABOVE)
    entries with a > 5:   (5, ABOVE) <= ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from math import inf
from typing import TYPE_CHECKING

from zodbapi import values
from zodbapi.catalog import Kind, Table
from zodbapi.codegen import runtime
from zodbapi.codegen.compare import items_code
from zodbapi.codegen.descending import items_descending, keys_descending, values_descending
from zodbapi.codegen.key_parts import full_key, index_tree, key_part, key_parts
from zodbapi.codegen.keys import after_null, is_raw, part_type
from zodbapi.codegen.unit import ComputedRow, is_cheap, tuple_code
from zodbapi.codegen.whole_trees import all_items, all_keys, all_values
from zodbapi.codegen.wide_ranges import found_items, found_rows
from zodbapi.plan.entries import covers, readable
from zodbapi.plan.expr import Affine, And, Expr
from zodbapi.plan.lists import param_list, seeks_once
from zodbapi.plan.nodes import IndexGroups, IndexRange, IndexSeek, Node, RowidRange, RowidSeek, Scan

if TYPE_CHECKING:
    from zodbapi.codegen.unit import Unit

Consume = Callable[[], None]
_ALL = "None, None"  # the bounds of all entries


def produce(unit: Unit, node: Node, consume: Consume) -> None:
    """Writes the loop over the rows of an access path."""
    match node:
        case Scan():
            _scan(unit, node, consume)
        case RowidSeek():
            _rowid_seek(unit, node, consume)
        case RowidRange():
            _rowid_range(unit, node, consume)
        case IndexSeek():
            _index_seek(unit, node, consume)
        case IndexRange():
            _index_range(unit, node, consume)
        case _:
            raise AssertionError(f"no access path {type(node).__name__}")


def bind_row(unit: Unit, source: int, table: Table) -> tuple[str, str]:
    """Names the variables of a table source's row and rowid."""
    row, rowid = f"r{source}", f"i{source}"
    unit.env[source] = unit.table_row(table, row, rowid)
    return row, rowid


def _loop_items(unit: Unit, node: Scan | RowidRange, arguments: str, consume: Consume) -> None:
    rows = unit.query.tree(node.table.id)
    row, rowid = bind_row(unit, node.source, node.table)
    with_rowid = node.source in unit.rowids_used and node.table.rowid_column is None
    if node.descending:
        target, read = (f"{rowid}, {row}", items_descending) if with_rowid else (row, values_descending)
        header = f"for {target} in {unit.call(read)}({rows}{', ' + arguments if arguments else ''})"
    elif not arguments and unit.is_outermost:  # a loop inside another mostly finds few rows, or wants but the first
        target, name = (f"{rowid}, {row}", unit.call(all_items)) if with_rowid else (row, unit.call(all_values))
        header = f"for {target} in {name}({rows})"
    elif with_rowid:
        header = f"for {rowid}, {row} in {rows}.items({arguments})"
    else:
        header = f"for {row} in {rows}.values({arguments})"
    with unit.body.block(header):
        consume()


def _scan(unit: Unit, node: Scan, consume: Consume) -> None:
    _loop_items(unit, node, "", consume)


def _rowid_range(unit: Unit, node: RowidRange, consume: Consume) -> None:
    bounds = []
    tests = []
    for bound, lower in ((node.lower, True), (node.upper, False)):
        if bound is None:
            bounds.append("None")
            continue
        value = unit.expr.value(bound.value)
        code = f"{unit.call(runtime.rowid_bound)}({value}, lower={lower}, inclusive={bound.inclusive})"
        if unit.expr.independent(bound.value):
            name = unit.hoist(code)
        else:
            name = unit.fresh("q")
            unit.body.line(f"{name} = {code}")
        bounds.append(name)
        tests.append(f"{name} is not None")
    arguments = f"{bounds[0]}, {bounds[1]}"
    if len(tests) == 2:
        tests.append(f"{bounds[0]} <= {bounds[1]}")
    with unit.body.test(" and ".join(tests)):
        _loop_items(unit, node, arguments, consume)


def finds_one(node: Node) -> bool:
    """Whether a seek finds at most one row."""
    match node:
        case RowidSeek():
            return seeks_once(node)
        case IndexSeek(index=index):
            return seeks_once(node) and _is_full_key(node) and index.keyed
        case _:
            return False


def _is_full_key(node: IndexSeek) -> bool:
    """Whether the key identifies one entry: with a NULL in it, it does not."""
    null_safe = any(node.null_safe) and node.index.nulls_distinct
    return len(node.alternatives[0]) == len(node.index.columns) and not null_safe


def lookup(unit: Unit, node: RowidSeek | IndexSeek) -> None:
    """Writes the assignment of the one row that a seek finds, or None, to the source's row variable."""
    rows = unit.query.tree(node.table.id)
    row, rowid = bind_row(unit, node.source, node.table)
    with_rowid = node.source in unit.rowids_used and node.table.rowid_column is None
    if isinstance(node, RowidSeek):
        key = _rowid_code(unit, node.rowids[0])
        body = unit.body
        if not key.isidentifier():
            body.line(f"{rowid} = {key}")
            key = rowid
        elif with_rowid:
            body.line(f"{rowid} = {key}")
        body.line(f"{row} = None if {key} is None else {rows}.get({key})")
        return
    _find_rowid(unit, node)
    unit.body.line(f"{row} = None if {rowid} is None else {rows}[{rowid}]")


def _find_rowid(unit: Unit, node: IndexSeek) -> None:
    """Writes the assignment of the one rowid that a seek finds, or None."""
    tree = index_tree(unit, node.index)
    test, key_code = full_key(unit, node, node.alternatives[0])
    found = f"{tree}.get({key_code})"
    unit.body.line(f"i{node.source} = {found if not test else f'{found} if {test} else None'}")


def _rowid_code(unit: Unit, expr: Expr) -> str:
    code = unit.expr.value(expr)
    if unit.expr.independent(expr):
        return unit.hoist(f"{unit.call(runtime.rowid_of)}({code})")
    if expr.type.kind is Kind.INTEGER and not isinstance(expr, Affine):  # which leaves a text or 3.0 as it is
        return code
    return f"{unit.call(runtime.rowid_of)}({code})"


def _rowid_seek(unit: Unit, node: RowidSeek, consume: Consume) -> None:
    if seeks_once(node):
        lookup(unit, node)
        with unit.body.block(f"if r{node.source} is not None"):
            consume()
        return
    rows = unit.query.tree(node.table.id)
    row, rowid = bind_row(unit, node.source, node.table)
    codes = tuple_code([items_code(unit, e, unit.expr.value) for e in node.rowids])
    found = f"{unit.call(runtime.rowids_of)}({codes}{', descending=True' if node.descending else ''})"
    if all(unit.expr.independent(e) for e in node.rowids):
        found = unit.hoist(found)
    with unit.body.block(f"for {rowid} in {found}"):
        unit.body.line(f"{row} = {rows}.get({rowid})")
        with unit.body.block(f"if {row} is not None"):
            consume()


# --- index seeks and ranges -------------------------------------------------------------------------------------------


def _index_seek(unit: Unit, node: IndexSeek, consume: Consume) -> None:
    if finds_one(node):
        _index_lookup(unit, node, consume)
    elif seeks_once(node):
        test, codes = key_parts(unit, node, node.alternatives[0])
        with unit.body.test(test):
            _loop_key(unit, node, codes, consume)
    else:
        _seek_each(unit, node, consume)


def _index_lookup(unit: Unit, node: IndexSeek, consume: Consume) -> None:
    """The one row of a key; where nothing but its rowid is read, it is not fetched."""
    wanted = {position for source, position in unit.uses if source == node.source}
    if node.source not in unit.rowids_used and wanted == {node.table.rowid_column}:
        _find_rowid(unit, node)
        columns: list[str | None] = [None] * len(node.table.columns)
        columns[wanted.pop()] = f"i{node.source}"
        unit.env[node.source] = ComputedRow(columns)
        with unit.body.block(f"if i{node.source} is not None"):
            consume()
        return
    lookup(unit, node)
    lines, fetch = unit.body.lines, len(unit.body.lines) - 1
    with unit.body.block(f"if r{node.source} is not None"):
        consume()
    if not unit.uses_source(node.source) and not _mentions(lines[fetch + 2 :], f"r{node.source}"):
        lines[fetch : fetch + 2] = [(lines[fetch][0], f"if i{node.source} is not None:")]


def _seek_each(unit: Unit, node: IndexSeek, consume: Consume) -> None:
    """One seek for each distinct key of an IN list."""

    def key_code(alternative: tuple[Expr, ...]) -> str:
        test, codes = key_parts(unit, node, alternative)
        return f"{tuple_code(codes)} if {test} else None" if test else tuple_code(codes)

    keys = []
    independent = all(unit.expr.independent(e) for alternative in node.alternatives for e in alternative)
    for alternative in node.alternatives:
        several = next(filter(None, map(param_list, alternative)), None)
        if several is None:
            keys.append(key_code(alternative))
        else:
            keys.append(unit.each(several.index, partial(key_code, alternative), independent))
    found = f"{unit.call(runtime.distinct_keys)}(({', '.join(keys)},){', descending=True' if node.descending else ''})"
    if independent and ":=" not in found:
        found = unit.hoist(found)
    key = unit.fresh("k")
    with unit.body.block(f"for {key} in {found}"):
        if _is_full_key(node) and node.index.keyed:
            row, rowid = bind_row(unit, node.source, node.table)
            raw = f"{key}[0]" if is_raw(node.table, node.index) else key
            unit.body.line(f"{rowid} = {index_tree(unit, node.index)}.get({raw})")
            with unit.body.block(f"if {rowid} is not None"):
                unit.body.line(f"{row} = {unit.query.tree(node.table.id)}[{rowid}]")
                consume()
        else:
            _loop_prefix(unit, node, key, consume)


def _loop_key(unit: Unit, node: IndexSeek, codes: list[str], consume: Consume) -> None:
    """The entries whose leading parts are those of one key.

    A loop inside another reads on from its key until another one comes: it finds few entries, or wants but the first, or fetches
    their rows, and finding where a range ends costs as much as finding where it begins.
    """
    parts = []
    for code in codes:
        if not is_cheap(code):
            name = unit.fresh("k")
            unit.body.line(f"{name} = {code}")
            code = name
        parts.append(code)
    if is_raw(node.table, node.index):
        _loop_entries(unit, node, f"{parts[0]}, {parts[0]}", consume)
    elif _is_repeated(unit, node):
        _loop_entries(unit, node, tuple_code(parts), consume, until=parts)
    else:
        _loop_entries(
            unit, node, f"{tuple_code(parts)}, {tuple_code([*parts, greatest(unit, node, len(parts))])}", consume
        )


def _is_repeated(unit: Unit, node: IndexSeek) -> bool:
    """Whether the key differs from row to row, and the loop over its entries had better end by itself."""
    if all(map(unit.expr.independent, node.alternatives[0])) or not _ends_by_itself(unit, node):
        return False
    return len(unit.scopes) > 1 or (unit.uses_source(node.source) and not _is_covered(unit, node))


def _ends_by_itself(unit: Unit, node: IndexSeek) -> bool:
    """Whether the entries can be asked for their key; a tree counts them faster than a loop."""
    if node.descending or node.tests or unit.counts_entries:
        return False
    # Keys with a NULL in them are longer.
    return not (node.index.keyed and any(part_type(node.table, column)[1] for column in node.index.columns))


def _loop_prefix(unit: Unit, node: IndexSeek, key: str, consume: Consume) -> None:
    """The entries whose leading parts are ``key``, a variable with a tuple."""
    if is_raw(node.table, node.index):
        _loop_entries(unit, node, f"{key}[0], {key}[0]", consume)
    else:
        width = len(node.alternatives[0])
        if _ends_by_itself(unit, node):
            _loop_entries(unit, node, key, consume, until=[f"{key}[{i}]" for i in range(width)])
        else:
            _loop_entries(unit, node, f"{key}, (*{key}, {greatest(unit, node, width)})", consume)


def greatest(unit: Unit, node: IndexSeek | IndexRange | IndexGroups, width: int) -> str:
    """Code of what is greater than anything that follows so many parts of a key; it compares with integers fastest."""
    index = node.index
    if width < len(index.columns):
        type_, nullable = part_type(node.table, index.columns[width])
        whole = (type_.kind is Kind.INTEGER or index.columns[width].numbered) and not nullable
    else:
        whole = not index.keyed  # the rowid
    return unit.call_value(inf, "inf") if whole else unit.call_value(values.ABOVE, "above")


def _loop_entries(
    unit: Unit, node: IndexSeek | IndexRange, arguments: str, consume: Consume, until: Sequence[str] = ()
) -> None:
    """A loop over entries; ``until``: codes of the leading parts that all of them have, another ends it.

    ``arguments`` are those of the ranges that are read one after the other, separated by semicolons.
    """
    if node.tests:
        _loop_either(unit, node, arguments, consume)
        return
    tree = index_tree(unit, node.index)
    row, rowid = bind_row(unit, node.source, node.table)
    rows = unit.query.tree(node.table.id)
    parts = _bind_entry(unit, node)
    parts[: len(until)] = [part or unit.fresh("e") for part in parts[: len(until)]]
    if node.index.keyed:
        named = [part or "_" for part in parts]
        key = named[0] if is_raw(node.table, node.index) or not any(parts) else tuple_code(named)
        if node.descending:
            header = f"for {key}, {rowid} in {_ranges(unit, f'{unit.call(items_descending)}({tree}, ', arguments)}"
        elif any(parts):
            header = f"for {key}, {rowid} in {_ranges(unit, f'{tree}.items(', arguments)}"
        else:
            header = f"for {rowid} in {_ranges(unit, f'{tree}.values(', arguments)}"
    else:
        target = "".join(f"{part or '_'}, " for part in parts) + rowid
        read = f"{unit.call(keys_descending)}({tree}, " if node.descending else f"{tree}.keys("
        whole = arguments == _ALL and not node.descending and unit.is_outermost
        entries = f"{unit.call(all_keys)}({tree})" if whole else _ranges(unit, read, arguments)
        header = f"for {target} in {entries}"
    with unit.body.block(header):
        if until:
            changes = [f"{part} != {code}" for part, code in zip(parts, until, strict=False)]
            with unit.body.block(f"if {' or '.join(changes)}"):
                unit.body.line("break")
        place = len(unit.body.lines)
        unit.body.line(f"{row} = {rows}[{rowid}]")
        consume()
        needless = isinstance(unit.env[node.source], ComputedRow) or not unit.uses_source(node.source)
        if needless and not _mentions(unit.body.lines[place + 1 :], row):
            del unit.body.lines[place]  # the entry says enough: nobody looks at the row


def _ranges(unit: Unit, read: str, arguments: str) -> str:
    """Code of the entries of one range, or of several one after the other; ``read`` is the beginning of the call."""
    ranges = [f"{read}{range_})" for range_ in arguments.split("; ")]
    return ranges[0] if len(ranges) == 1 else f"{unit.call_value(chain, 'chain')}({', '.join(ranges)})"


def _loop_either(unit: Unit, node: IndexSeek | IndexRange, arguments: str, consume: Consume) -> None:
    """A loop over the rows of some entries or, if these are a large part of all, over all rows."""
    tree, rows = index_tree(unit, node.index), unit.query.tree(node.table.id)
    row, rowid = bind_row(unit, node.source, node.table)
    with_rowid = node.source in unit.rowids_used and node.table.rowid_column is None
    target, found = (f"{rowid}, {row}", found_items) if with_rowid else (row, found_rows)
    with unit.body.block(f"for {target} in {unit.call(found)}(txn, {tree}, {rows}, {node.index.keyed}, {arguments})"):
        test = And(node.tests) if len(node.tests) > 1 else node.tests[0]
        with unit.body.block(f"if {unit.expr.is_true(test)}"):
            consume()


def _is_covered(unit: Unit, node: IndexSeek | IndexRange) -> bool:
    """Whether an entry has all columns that are read of its row."""
    wanted = {position for source, position in unit.uses if source == node.source}
    return bool(wanted) and node.source not in unit.rowids_used and covers(node.table, node.index, wanted)


def _bind_entry(unit: Unit, node: IndexSeek | IndexRange) -> list[str]:
    """Names for the parts of an entry that stand for columns, "" for the others; the row is read from them if they suffice."""
    names = [""] * len(node.index.columns)
    if not _is_covered(unit, node):
        return names
    wanted = {position for source, position in unit.uses if source == node.source}
    columns: list[str | None] = [None] * len(node.table.columns)
    places = readable(node.table, node.index)
    for position in sorted(wanted):
        if position == node.table.rowid_column:
            columns[position] = f"i{node.source}"
        else:
            names[places[position]] = columns[position] = f"e{node.source}_{position}"
    unit.env[node.source] = ComputedRow(columns)
    return names


def _mentions(lines: list[tuple[int, str]], name: str) -> bool:
    return any(re.search(rf"\b{name}\b", line) for _, line in lines)


def _rotated_range(unit: Unit, node: IndexRange, consume: Consume) -> None:
    """The entries without NULL after the prefix, then those with it; read backwards, the other way round."""
    test, prefix = key_parts(unit, node, node.prefix)
    after = after_null(unit, node.table, node.index.columns[len(prefix)], greatest(unit, node, len(prefix) + 1))
    place = unit.fresh("k")
    first = tuple_code(prefix) if prefix else "None"
    last = tuple_code([*prefix, greatest(unit, node, len(prefix))]) if prefix else "None"
    ranges = [f"{place}, {last}", f"{first}, {place}"]
    if node.descending:
        ranges.reverse()
    with unit.body.test(test):
        unit.body.line(f"{place} = {tuple_code([*prefix, *after])}")
        _loop_entries(unit, node, "; ".join(ranges), consume)


def _index_range(unit: Unit, node: IndexRange, consume: Consume) -> None:
    if node.rotated:
        _rotated_range(unit, node, consume)
        return
    if not (node.prefix or node.lower or node.upper or node.present):
        _loop_entries(unit, node, _ALL, consume)
        return
    test, prefix = key_parts(unit, node, node.prefix)
    if is_raw(node.table, node.index):
        _raw_range(unit, node, consume)
        return
    column = node.index.columns[len(prefix)] if len(prefix) < len(node.index.columns) else None
    tests = [test] if test else []
    above = greatest(unit, node, len(prefix) + 1)
    ends = []
    for bound, lower in ((node.lower, True), (node.upper, False)):
        if bound is not None:
            assert column is not None
            bound_test, code = key_part(unit, node.table, column, bound.value, null_safe=False)
            if not bound_test and unit.expr.independent(bound.value) and unit.expr.nullable(bound.value):
                bound_test = f"{unit.expr.value(bound.value)} is not None"
            tests += [bound_test] if bound_test else []
            after = bound.inclusive != lower
            ends.append([*prefix, code, above] if after else [*prefix, code])
        elif lower and (node.upper is not None or node.present):
            assert column is not None
            ends.append([*prefix, *after_null(unit, node.table, column, above)])
        else:
            ends.append(prefix if lower else [*prefix, greatest(unit, node, len(prefix))])
    # A key of a non-unique index goes on with the rowid and so sorts after its own parts; a unique key is just its parts.
    is_last = node.index.keyed and len(prefix) + 1 == len(node.index.columns)
    strict = ", False, True" if is_last and node.upper is not None and not node.upper.inclusive else ""
    arguments = ", ".join(tuple_code(end) if end else "None" for end in ends) + strict
    if ":=" in arguments or ":=" in "".join(tests):
        low, high = unit.fresh("k"), unit.fresh("k")
        with unit.body.test(" and ".join(tests)):
            unit.body.line(f"{low} = {tuple_code(ends[0]) if ends[0] else 'None'}")
            unit.body.line(f"{high} = {tuple_code(ends[1])}")
            _loop_entries(unit, node, f"{low}, {high}{strict}", consume)
        return
    with unit.body.test(" and ".join(tests)):
        _loop_entries(unit, node, arguments, consume)


def _raw_range(unit: Unit, node: IndexRange, consume: Consume) -> None:
    """A range over a unique index whose keys are the values themselves."""
    column = node.index.columns[0]
    codes, tests = [], []
    for bound in (node.lower, node.upper):
        if bound is None:
            codes.append("None")
            continue
        test, code = key_part(unit, node.table, column, bound.value, null_safe=False)
        if unit.expr.independent(bound.value) and unit.expr.nullable(bound.value):
            test = f"{unit.expr.value(bound.value)} is not None"
        tests += [test] if test else []
        codes.append(code)
    excluded = [bound is not None and not bound.inclusive for bound in (node.lower, node.upper)]
    arguments = ", ".join(codes)
    if any(excluded):
        arguments += f", {excluded[0]}, {excluded[1]}"
    with unit.body.test(" and ".join(tests)):
        _loop_entries(unit, node, arguments, consume)
