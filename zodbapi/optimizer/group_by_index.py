"""Rule: groups of rows that are alike in the leading columns of an index are groups of its entries.

In: chosen accesses. Out: where nothing but those columns is wanted of a whole table, and how many rows have them, its access
is an IndexGroups, which finds the next group by a seek::

    SELECT DISTINCT author_id FROM book                  SELECT author_id, count(*) FROM book GROUP BY author_id

    Distinct                                             Aggregate count(*) BY author_id
      Project author_id                                    Scan book
        Scan book

    =>  Project author_id                                =>  Project author_id, entries
          IndexGroups book USING book_author (author_id)       IndexGroups book USING book_author (author_id)

count(DISTINCT author_id) counts the groups. A count of joined rows becomes the sum of the entries of the groups that are
joined, if there are clearly fewer groups than rows::

    Aggregate count(*) BY a.country                      Aggregate sum(b.entries) BY a.country
      HashJoin b.author_id = a.id                   =>     HashJoin b.author_id = a.id
        Scan book b                                          IndexGroups book b USING book_author (author_id)
        Scan author a                                        Scan author a
"""

from __future__ import annotations

from zodbapi.catalog import INTEGER, Index, Table
from zodbapi.functions.aggregate import SUM
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.cost import COUNT, SCAN_ROW
from zodbapi.optimizer.predicates import each_query, holds_query, volatile
from zodbapi.plan.entries import readable
from zodbapi.plan.expr import AggregateCall, Column, Expr, Rowid
from zodbapi.plan.nodes import Aggregate, Distinct, Filter, HashJoin, IndexGroups, IndexRange, Join, Node, Project, Scan
from zodbapi.plan.walk import Part, descend, rebuild_inputs, transform
from zodbapi.record import record, replace

ROWS_A_GROUP = 4  # expected, from which on it pays to count the rows of a group before joining it


def group_by_index(node: Node, context: Context) -> Node:
    """The plan with groups of index entries."""
    if not context.occurs(Aggregate, Distinct):
        return node
    if context.has_queries:
        node = each_query(node, lambda query: _group(query, context))
    return _group(node, context)


def _group(node: Node, context: Context) -> Node:
    node = rebuild_inputs(node, lambda child: _group(child, context))
    match node:
        case Distinct(input=Project() as project, on=()) if node.columns == len(project.columns):
            return _distinct(node, project, context)
        case Aggregate(each=None, follow=()) if all(c.upper() == "BINARY" for c in node.collations):
            return _aggregate(node, context)
        case _:
            return node


@record(frozen=True, slots=True)
class _Groups:
    """An access that can be by groups, and what a column of it becomes."""

    access: Scan | IndexRange
    new: IndexGroups

    def column(self, column: Column) -> Column:
        """The same value, taken from the group."""
        position = column.position
        place = next(i for i, part in enumerate(self.new.index.columns) if part.position == position)
        return replace(column, source=self.new.source, position=place)

    @property
    def entries(self) -> Column:
        """How many rows the group has."""
        return Column(self.new.source, self.new.width, INTEGER, nullable=False, name="entries")


def _groups(access: Node, exprs: tuple[Expr, ...], context: Context) -> _Groups | None:
    """The groups of the rows of an access by some expressions, if these are all leading columns of an index."""
    if not _is_whole(access) or not exprs:
        return None
    assert isinstance(access, (Scan, IndexRange))
    if not all(isinstance(expr, Column) and expr.source == access.source for expr in exprs):
        return None
    positions = {expr.position for expr in exprs if isinstance(expr, Column)}
    index = _index(access.table, positions)
    if index is None or not _is_worth_it(access.table, index, positions, context):
        return None
    context.introduce(IndexGroups)
    return _Groups(access, IndexGroups(context.new_source(), access.table, index, len(positions)))


def _is_worth_it(table: Table, index: Index, positions: set[int], context: Context) -> bool:
    """Whether seeking the groups, or reading all entries where groups are small, costs less than a scan of the rows."""
    rows = context.rows(table)
    groups = rows / context.matching(table, rows, tuple(positions))
    return groups * COUNT < rows * SCAN_ROW or context.prefers_entries(table, index)


def _is_whole(access: Node) -> bool:
    match access:
        case Scan():
            return not access.descending
        case IndexRange():
            turned = access.descending or access.rotated
            bounds = access.prefix or access.lower or access.upper or access.present
            return not (turned or bounds or access.index.where)
        case _:
            return False


def _index(table: Table, positions: set[int]) -> Index | None:
    """The narrowest index of all rows that begins with these columns, which its entries show as they are."""
    width = len(positions)
    found = [
        index
        for index in table.indexes
        if index.where is None
        and (len(index.columns) > width or not index.keyed)  # the entries of a unique index are no groups
        and {part.position for part in index.columns[:width]} == positions
        and positions <= readable(table, index).keys()
    ]
    return min(found, key=lambda index: (len(index.columns), index.id)) if found else None


def _distinct(node: Distinct, project: Project, context: Context) -> Node:
    if any(collation.upper() != "BINARY" for collation in node.collations):
        return node
    groups = _groups(project.input, project.columns, context)
    if groups is None:
        return node
    columns = tuple(groups.column(column) for column in project.columns if isinstance(column, Column))
    return replace(project, input=groups.new, columns=columns)


def _aggregate(node: Aggregate, context: Context) -> Node:
    if node.keys and all(_counts_rows(call) for call in node.calls):
        groups = _groups(node.input, node.keys, context)
        if groups is not None:
            keys = tuple(groups.column(key) for key in node.keys if isinstance(key, Column))
            columns = (*keys, *(groups.entries for _ in node.calls))
            return Project(node.source, groups.new, columns, ("",) * len(columns))
        return _count_joined(node, context) if node.calls else node
    match node:
        case Aggregate(keys=(), calls=(call,)) if _counts_distinct(call):
            groups = _groups(node.input, call.args, context)
            if groups is not None:
                return replace(node, input=groups.new, calls=(replace(call, args=(), distinct=False),))
    return node


def _counts_rows(call: AggregateCall) -> bool:
    return call.function.name == "count" and not call.args and call.filter is None


def _counts_distinct(call: AggregateCall) -> bool:
    plain = call.filter is None and not call.order and call.collation.upper() == "BINARY"
    return plain and call.function.name == "count" and call.distinct and len(call.args) == 1


def _count_joined(node: Aggregate, context: Context) -> Node:
    """The count of joined rows as a sum over groups of the outermost table's."""
    access = _outermost(node.input)
    if access is None:
        return node
    wanted: dict[int, Column] = {}
    for part in descend(node):
        if isinstance(part, Rowid) and part.source == access.source:
            return node
        if isinstance(part, Column) and part.source == access.source:
            wanted[part.position] = part
        elif isinstance(part, Expr) and (holds_query(part) or volatile(part)):
            return node
    rows = context.rows(access.table)
    if not wanted or context.matching(access.table, rows, tuple(wanted)) < ROWS_A_GROUP:
        return node
    groups = _groups(access, tuple(wanted.values()), context)
    if groups is None:
        return node

    def change(part: Part) -> Part:
        if part is access:
            return groups.new
        return groups.column(part) if isinstance(part, Column) and part.source == access.source else part

    changed = transform(node, change)
    assert isinstance(changed, Aggregate)
    total = AggregateCall(SUM, (groups.entries,), type=INTEGER, nullable=False)
    return replace(changed, calls=(total,) * len(node.calls))


def _outermost(node: Node) -> Scan | IndexRange | None:
    """The access of the outermost loop of a join, if it reads a whole table."""
    joined = False
    while True:
        match node:
            case Join() | HashJoin() if node.kind in ("inner", "cross", "left", "semi", "anti"):
                joined, node = True, node.left
            case Filter():
                node = node.input
            case Scan() | IndexRange() if joined and _is_whole(node):
                return node
            case _:
                return None
