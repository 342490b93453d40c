"""Nodes of the one plan tree: relational nodes and statements that write.

In: made by the binder. The optimizer replaces nodes of the same tree (``Scan`` by ``RowidSeek``, ``IndexSeek``,
``IndexRange``; ``Join`` by ``HashJoin``, a seek by ``HashSeek``). Out: read by codegen and EXPLAIN.

A *source* is an integer, unique in the statement, for one occurrence of something that has rows. Nodes that make rows
name their source; the row of source 3 is ``r3`` in generated code. Filter, Sort, Limit, Distinct and joins pass the
sources of their inputs through; Project, Aggregate, Compound, Values and CTE nodes make a new one and hide those below.
A table source's row is the stored row tuple, and ``Rowid(source)`` is its key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zodbapi.catalog import ANY, Index, Table, Type
from zodbapi.record import record

if TYPE_CHECKING:
    from zodbapi.functions.registry import TableFunction
    from zodbapi.plan.expr import AggregateCall, Expr, SortKey, WindowCall


@record(frozen=True, slots=True)
class Node:
    """Root of all relational nodes."""


# --- access to tables ---------------------------------------------------------------------------------------------


@record(frozen=True, slots=True)
class Scan(Node):
    """Emits every row of a table, in rowid order (``descending`` reverses it)."""

    source: int
    table: Table
    descending: bool = False


@record(frozen=True, slots=True)
class RowidSeek(Node):
    """Emits the rows whose rowid is the value of one of ``rowids``: at most one a value, none for NULL or a non-integer.

    With several values (IN), they are made distinct and visited in ascending order (``descending`` reverses it).
    """

    source: int
    table: Table
    rowids: tuple[Expr, ...]
    descending: bool = False


@record(frozen=True, slots=True)
class Bound:
    """One end of a range: ``value`` belongs to it when ``inclusive``. A NULL value makes the range empty."""

    value: Expr
    inclusive: bool


@record(frozen=True, slots=True)
class RowidRange(Node):
    """Emits the rows between two rowids, in rowid order."""

    source: int
    table: Table
    lower: Bound | None
    upper: Bound | None
    descending: bool = False


@record(frozen=True, slots=True)
class IndexSeek(Node):
    """Emits the rows whose full unique key, or whole key prefix, equals ``keys``: one expression a leading index column.

    ``alternatives`` has one tuple of keys for ``a = ?``, several for ``a IN (...)`` (made distinct, visited in key order).
    A NULL key matches nothing unless ``null_safe`` has True at its place (IS). Rows come in index order within one key.

    ``tests``, here and in ``IndexRange``, are the conditions that the access answers. Where they are given, no order is asked
    for, and when a large part of the index turns out to be found all rows of the table are read and tested instead.
    """

    source: int
    table: Table
    index: Index
    alternatives: tuple[tuple[Expr, ...], ...]
    null_safe: tuple[bool, ...] = ()
    descending: bool = False
    tests: tuple[Expr, ...] = ()


@record(frozen=True, slots=True)
class IndexRange(Node):
    """Emits rows in index order: those with ``prefix`` equal and the next column between the bounds.

    Without prefix and bounds it is a whole index scan, used for its order. A lower bound of None starts at the first
    entry, NULLs included; with any bound NULLs are left out. ``rotated``: there is no bound, and the entries with NULL in the
    column after the prefix do not come first, as they stand, but last; read backwards, they come first. ``present``: there is no
    bound, and they are left out.
    """

    source: int
    table: Table
    index: Index
    prefix: tuple[Expr, ...] = ()
    lower: Bound | None = None
    upper: Bound | None = None
    descending: bool = False
    tests: tuple[Expr, ...] = ()
    rotated: bool = False
    present: bool = False


@record(frozen=True, slots=True)
class IndexGroups(Node):
    """Emits a row for each group of entries of an index whose first ``width`` columns are alike, in index order.

    Its columns are these, and how many entries the group has.
    """

    source: int
    table: Table
    index: Index
    width: int


@record(frozen=True, slots=True)
class Values(Node):
    """Emits each row of expressions. ``rows=((),)`` is the one empty row of a SELECT without FROM."""

    source: int
    rows: tuple[tuple[Expr, ...], ...]


@record(frozen=True, slots=True)
class TableFunctionScan(Node):
    """Emits the rows of a table-valued function (json_each, generate_series, pragma_table_info, sqlite_master)."""

    source: int
    function: TableFunction
    args: tuple[Expr, ...]


# --- pipelines ----------------------------------------------------------------------------------------------------


@record(frozen=True, slots=True)
class Filter(Node):
    """Passes the rows for which ``predicate`` is true."""

    input: Node
    predicate: Expr


@record(frozen=True, slots=True)
class Project(Node):
    """Emits one row of ``columns`` for each input row."""

    source: int
    input: Node
    columns: tuple[Expr, ...]
    names: tuple[str, ...]


@record(frozen=True, slots=True)
class Join(Node):
    """Nested loop: for each row of left, the rows of right for which ``on`` is true. Buffers nothing.

    ``kind`` is inner (``on`` may be None: cross), left, full, semi (left rows with a match; right's sources are hidden) or
    anti (left rows without). RIGHT joins are bound as left joins. The right input may use left's sources (index loop).
    """

    kind: str
    left: Node
    right: Node
    on: Expr | None = None


@record(frozen=True, slots=True)
class HashJoin(Node):
    """Buffers right in a hash table by ``right_keys``, probes it with ``left_keys``; ``on`` is what remains to test.

    Right must not use left's sources. NULL keys match nothing. ``null_aware`` (anti joins from NOT IN): a NULL on either side
    makes the test unknown, so the left row is not emitted.
    """

    kind: str
    left: Node
    right: Node
    left_keys: tuple[Expr, ...]
    right_keys: tuple[Expr, ...]
    on: Expr | None = None
    null_aware: bool = False


@record(frozen=True, slots=True)
class HashSeek(Node):
    """Emits the rows of ``input`` whose ``keys`` equal ``probes``, which are of rows around the query that this is in.

    The input, which reads no such row, is put into a hash table once a statement, when the first row is asked for. With
    ``single`` no two of its rows have the same keys, and what is above takes just its last column, which is the only one
    in ``default`` if there is no row; without a default there is none then.
    """

    input: Node
    keys: tuple[Expr, ...]
    probes: tuple[Expr, ...]
    single: bool = False
    default: tuple[Expr, ...] = ()


@record(frozen=True, slots=True)
class FirstOfEach(Node):
    """Passes, of the rows that are alike in ``alike``, the one that comes first in the order of ``keys``.

    Of several such rows it is the first one of the input. The keys have one direction. Buffers a row for each.
    """

    input: Node
    alike: tuple[Expr, ...]
    keys: tuple[SortKey, ...]


@record(frozen=True, slots=True)
class Aggregate(Node):
    """Emits one row a group: the ``keys``, then the results of ``calls``. Buffers the groups. Without keys, one row always.

    ``each``, set by the optimizer: a group is what comes of one row of that source, the outermost loop of the input, and
    nothing is buffered; with ``empty`` there is a group for it even if nothing comes. ``follow``: the positions of keys that
    are the same wherever the others are.
    """

    source: int
    input: Node
    keys: tuple[Expr, ...]
    calls: tuple[AggregateCall, ...]
    collations: tuple[str, ...] = ()  # one a key
    each: int | None = None
    empty: bool = False
    follow: tuple[int, ...] = ()


@record(frozen=True, slots=True)
class Passed(Node):
    """Emits the one row that the code around it is at. Made by the code generator only."""

    row_of: int


@record(frozen=True, slots=True)
class Window(Node):
    """Adds one row of results of ``calls`` (under ``source``) to each input row; input sources pass through. Buffers all."""

    source: int
    input: Node
    calls: tuple[WindowCall, ...]


@record(frozen=True, slots=True)
class Distinct(Node):
    """Passes the first of the rows that are equal in the first ``columns`` columns of its input, which is a single-source node.

    ``on`` instead names the expressions that must be equal (DISTINCT ON). NULLs are equal here.
    """

    input: Node
    columns: int
    on: tuple[Expr, ...] = ()
    collations: tuple[str, ...] = ()


@record(frozen=True, slots=True)
class Sort(Node):
    """Passes its input in the order of ``keys``; stable. Buffers all. With ``limit`` (an upper bound) it is a top-N."""

    input: Node
    keys: tuple[SortKey, ...]
    limit: Expr | None = None  # rows that anyone above will ask for; set by the optimizer
    presorted: int = 0  # so many leading keys the input comes in the order of: with a limit, not all of it need be read


@record(frozen=True, slots=True)
class Limit(Node):
    """Skips ``offset`` rows and passes ``limit`` rows; negative limit: all, NULL or a non-integer: an error."""

    input: Node
    limit: Expr | None
    offset: Expr | None


@record(frozen=True, slots=True)
class Compound(Node):
    """UNION, INTERSECT, EXCEPT (``op``); ``all`` keeps duplicates (UNION ALL). Both inputs are single-source nodes."""

    source: int
    op: str  # union, intersect, except
    all: bool
    left: Node
    right: Node
    collations: tuple[str, ...] = ()


@record(frozen=True, slots=True)
class Materialize(Node):
    """Emits the rows of ``input`` under ``source``. Occurrences with the same ``cte`` number are computed once a statement."""

    source: int
    cte: int
    input: Node


@record(frozen=True, slots=True)
class Recursive(Node):
    """WITH RECURSIVE: emits ``initial``, then ``step`` once for each row taken from the queue, until it is empty.

    ``step`` reads that row as ``WorkingRow`` with the same ``cte``. ``all`` False drops rows seen before. ``limit`` and
    ``offset`` are those written inside the CTE; ``order`` makes the queue a priority queue (keys use ``source``).
    """

    source: int
    cte: int
    initial: Node
    step: Node
    all: bool
    order: tuple[SortKey, ...] = ()
    limit: Expr | None = None
    offset: Expr | None = None


@record(frozen=True, slots=True)
class WorkingRow(Node):
    """Emits the one row that ``Recursive`` of the same ``cte`` is working on."""

    source: int
    cte: int


# --- statements that write ----------------------------------------------------------------------------------------


@record(frozen=True, slots=True)
class ConflictClause:
    """ON CONFLICT: what to do when a unique key exists.

    ``indexes`` None: any unique key; else ids of the unique indexes meant, with 0 for the rowid. ``action`` is ignore, replace,
    update, or abort. ``any_constraint`` (INSERT OR IGNORE, OR REPLACE): NOT NULL and CHECK count too; ignore skips the row,
    replace puts the default in the place of a NULL. For update: ``assignments`` and ``where`` see the existing row as source
    ``existing`` and the row that was to be inserted as ``excluded``.
    """

    action: str
    indexes: tuple[int, ...] | None = None
    existing: int = -1
    excluded: int = -1
    assignments: tuple[tuple[int, Expr], ...] = ()
    where: Expr | None = None
    any_constraint: bool = False


@record(frozen=True, slots=True)
class Insert(Node):
    """Inserts a row a row of ``input``. ``values`` gives every column of the table (defaults filled in; None for a generated
    column), ``rowid`` the rowid if the user gave one for a table without INTEGER PRIMARY KEY.

    ``returning`` sees the stored row as ``source``. ``clauses`` are tried in order; without any, a conflict aborts.
    """

    source: int
    table: Table
    input: Node
    values: tuple[Expr | None, ...]
    rowid: Expr | None = None
    clauses: tuple[ConflictClause, ...] = ()
    returning: tuple[Expr, ...] | None = None
    names: tuple[str, ...] = ()
    policy: str = ""  # the word of INSERT OR, in lower case


@record(frozen=True, slots=True)
class Update(Node):
    """Updates the rows of ``source`` that ``input`` emits (collected before the first write, once each).

    ``action`` is abort, ignore, replace, fail or rollback. ``returning`` sees the new row as ``source``.
    """

    source: int
    table: Table
    input: Node
    assignments: tuple[tuple[int, Expr], ...]
    action: str = "abort"
    returning: tuple[Expr, ...] | None = None
    names: tuple[str, ...] = ()
    rowid: Expr | None = None  # UPDATE t SET rowid = ...
    policy: str = ""  # the word of UPDATE OR, in lower case


@record(frozen=True, slots=True)
class Delete(Node):
    """Deletes the rows of ``source`` that ``input`` emits (collected before the first write). ``returning`` sees the old row."""

    source: int
    table: Table
    input: Node
    returning: tuple[Expr, ...] | None = None
    names: tuple[str, ...] = ()


@record(frozen=True, slots=True)
class Instead(Node):
    """Writes to a view: hands each row of ``input`` to the view's INSTEAD OF triggers, as it was and as it would be.

    ``table`` describes the view's columns; no such table exists. ``old`` is None for INSERT, ``new`` for DELETE.
    ``returning`` sees the row as it would be, for DELETE as it was, under ``source``.
    """

    event: str
    table: Table
    input: Node
    old: tuple[Expr, ...] | None
    new: tuple[Expr | None, ...] | None
    assigned: tuple[int, ...] = ()
    source: int = -1
    returning: tuple[Expr, ...] | None = None
    names: tuple[str, ...] = ()
    policy: str = ""  # the word of INSERT OR and UPDATE OR, in lower case


OLD_ROW, NEW_ROW = 1_000_000, 1_000_001  # the sources of the rows around the statements of a trigger


@record(frozen=True, slots=True)
class BoundTrigger:
    """A trigger's WHEN, as a query of one value, and its statements, bound over OLD_ROW and NEW_ROW."""

    when: Node | None
    body: tuple[Node, ...]


def output_names(node: Node) -> tuple[str, ...]:
    """The column names that a query, or a statement with RETURNING, shows to the user; () for one without rows."""
    match node:
        case Project() | Insert() | Update() | Delete() | Instead():
            return node.names
        case Filter() | Distinct() | Sort() | Limit() | Materialize():
            return output_names(node.input)
        case Compound():
            return output_names(node.left)
        case Recursive():
            return output_names(node.initial)
        case Values(rows=rows):
            return tuple(f"column{i + 1}" for i in range(len(rows[0])))
        case _:
            raise AssertionError(f"{type(node).__name__} is no root of a query")


def output_source(node: Node) -> int:
    """The source under which a single-source node (the root of any query) emits its rows."""
    match node:
        case Filter() | Distinct() | Sort() | Limit() | HashSeek() | FirstOfEach():
            return output_source(node.input)
        case Project() | Aggregate() | Compound() | Values() | Materialize() | Recursive() | WorkingRow():
            return node.source
        case Scan() | RowidSeek() | RowidRange() | IndexSeek() | IndexRange() | IndexGroups() | TableFunctionScan():
            return node.source
        case Passed():
            return node.row_of
        case _:
            raise AssertionError(f"{type(node).__name__} has no single source")


def output_types(node: Node) -> tuple[Type, ...]:
    """The types of ``output_names``; ANY where the inputs of a compound differ."""
    match node:
        case Project(columns=columns):
            return tuple(column.type for column in columns)
        case Insert() | Update() | Delete() | Instead():
            return tuple(column.type for column in node.returning or ())
        case Filter() | Distinct() | Sort() | Limit() | Materialize():
            return output_types(node.input)
        case Compound(left=left, right=right):
            pairs = zip(output_types(left), output_types(right), strict=True)
            return tuple(a if a.kind is b.kind else ANY for a, b in pairs)
        case Recursive():
            return output_types(node.initial)
        case Values(rows=rows):
            return tuple(value.type for value in rows[0])
        case _:
            raise AssertionError(f"{type(node).__name__} is no root of a query")
