"""Rule: a correlated query of one value that looks into a hash table finds its value there, instead of rows to make it of.

In: chosen accesses. Where a ``HashSeek`` is all that ties a scalar query to the rows around it, what the query makes of the rows
that are found is made once for each key. Out::

    Project sum                                          Project sum
      Aggregate sum(b.n)                                   HashSeek a_id = a.id, else NULL
        HashSeek b.a_id = a.id                   =>          Project a_id, sum
          Scan b                                               Aggregate sum(b.n) BY b.a_id
                                                                 Scan b

    Project b.n                                          Project n
      Sort TOP 1 BY b.at DESC                              HashSeek a_id = a.id
        HashSeek b.a_id = a.id                   =>          Project a_id, n
          Scan b                                               FirstOfEach b.a_id BY b.at DESC
                                                                 Scan b

``is_grouped`` says beforehand which queries can be so, for the choice between seeks and a hash table.
"""

from __future__ import annotations

from collections.abc import Sequence

from zodbapi.catalog import INTEGER
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.predicates import each_query, emitted, holds_query, substitute, used, volatile
from zodbapi.plan.expr import AggregateCall, Call, Column, Const, Expr, ScalarQuery, is_positive
from zodbapi.plan.nodes import Aggregate, Filter, FirstOfEach, HashSeek, Limit, Node, Project, Scan, Sort
from zodbapi.plan.walk import Part, descend, transform
from zodbapi.record import replace

ZERO = Const(0, INTEGER)
NULL = Const(None)
EMPTY = {"count": ZERO, "sum": NULL, "min": NULL, "max": NULL, "avg": NULL}  # what aggregates of no rows give


def group_queries(node: Node, context: Context) -> Node:
    """The plan with the values of correlated queries in hash tables."""
    if not (context.occurs(HashSeek) and context.occurs(ScalarQuery)):
        return node
    node = each_query(node, lambda query: _group_inside(query, context))
    return _group_inside(node, context)


def _group_inside(node: Node, context: Context) -> Node:
    def change(part: Part) -> Part:
        if not isinstance(part, ScalarQuery):
            return part
        query = _grouped(part.query, context)
        return part if query is None else replace(part, query=query)

    return transform(node, change)


def is_grouped(query: Node) -> bool:
    """Whether a query's only row, or its first, could be looked up, if a hash table is the access of its only table."""
    project = _project(query)
    if project is None:
        return False
    match project.input:
        case Aggregate(input=below):
            pass
        case Sort(input=below):
            pass
        case below:
            pass
    while isinstance(below, Filter):
        below = below.input
    return isinstance(below, Scan)


def _project(query: Node) -> Project | None:
    """What makes the first row of a query."""
    while isinstance(query, Limit) and is_positive(query.limit) and query.offset is None:
        query = query.input
    return query if isinstance(query, Project) else None


def _grouped(query: Node, context: Context) -> Node | None:
    project = _project(query)
    if project is None or len(project.columns) != 1:
        return None
    match project.input:
        case Aggregate(input=HashSeek(single=False) as seek) as aggregate:
            return _of_groups(project, aggregate, seek, context)
        case Sort(input=HashSeek(single=False) as seek, keys=keys):
            if len({key.descending for key in keys}) == 1 and can_be_early(
                [key.expr for key in keys], emitted(seek.input)
            ):
                return _of_first(project, FirstOfEach(seek.input, seek.keys, keys), seek, context)
        case HashSeek(single=False) as seek:
            return _of_first(project, FirstOfEach(seek.input, seek.keys, ()), seek, context)
    return None


def can_be_early(exprs: Sequence[Expr] | AggregateCall, inside: frozenset[int]) -> bool:
    """Whether expressions read nothing but these sources, and may be evaluated for rows that nobody asks for."""
    if isinstance(exprs, AggregateCall):
        filter_ = () if exprs.filter is None else (exprs.filter,)
        exprs = [*exprs.args, *filter_, *(key.expr for key in exprs.order)]
    return all(used(expr) <= inside and not holds_query(expr) and not _may_fail(expr) for expr in exprs)


def _may_fail(expr: Expr) -> bool:
    return volatile(expr) or any(isinstance(part, Call) and not part.function.safe for part in descend(expr))


def _of_first(project: Project, first: FirstOfEach, seek: HashSeek, context: Context) -> Node | None:
    if not can_be_early(project.columns, emitted(seek.input)):
        return None
    context.introduce(FirstOfEach)
    return _looked_up(project, first, seek.keys, project.columns[0], (), seek, context)


def _of_groups(project: Project, node: Aggregate, seek: HashSeek, context: Context) -> Node | None:
    column, inside = project.columns[0], emitted(seek.input)
    if not set(node.keys) <= set(seek.keys) or any(c.upper() != "BINARY" for c in node.collations):
        return None
    if not can_be_early(seek.keys, inside) or not all(can_be_early(call, inside) for call in node.calls):
        return None
    if not can_be_early((column,), frozenset((node.source,))):
        return None
    default: tuple[Expr, ...] = ()
    if not node.keys:
        if any(call.function.name not in EMPTY for call in node.calls):
            return None
        empty = tuple(EMPTY[call.function.name] for call in node.calls)
        default = (substitute(column, node.source, empty),)
    keys = tuple(seek.keys)
    groups = Aggregate(context.new_source(), seek.input, keys, node.calls, ("BINARY",) * len(keys))
    shown = _columns(groups.source, keys)
    results = [result_column(groups, i) for i in range(len(node.calls))]
    columns = (*(shown[keys.index(key)] for key in node.keys), *results)
    value = substitute(column, node.source, columns)
    return _looked_up(project, groups, shown, value, default, seek, context)


def _columns(source: int, exprs: Sequence[Expr]) -> tuple[Column, ...]:
    return tuple(Column(source, i, expr.type, expr.nullable) for i, expr in enumerate(exprs))


def result_column(groups: Aggregate, number: int) -> Column:
    """The column that has the result of a call."""
    call = groups.calls[number]
    return Column(groups.source, len(groups.keys) + number, call.type, call.nullable)


def _looked_up(
    project: Project,
    made: Node,
    keys: Sequence[Expr],
    value: Expr,
    default: tuple[Expr, ...],
    seek: HashSeek,
    context: Context,
) -> Node:
    """The query as a look-up of a value in a table that has one for each combination of keys."""
    source, width = context.new_source(), len(keys)
    names = ("",) * width + project.names
    rows = Project(source, made, (*keys, value), names)
    table = HashSeek(rows, _columns(source, keys), seek.probes, single=True, default=default)
    return replace(project, input=table, columns=(Column(source, width, value.type),))
