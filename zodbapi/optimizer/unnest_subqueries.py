"""Rule: correlated EXISTS, NOT EXISTS and IN among the AND-ed terms of a WHERE become semi and anti joins.

In: Filters whose terms hold a query. Out: ``Join("semi" | "anti", left, right, on)`` with the correlated terms in ``on``,
so that ``choose_access`` can make an index loop or a hash join of it. What reads only its own tables stays an expression:
generated code evaluates it once. So does NOT IN, unless no NULL can be on either side, because one NULL among the
subquery's rows makes it unknown, which an anti join does not know.
"""

from __future__ import annotations

from zodbapi.optimizer.context import Context
from zodbapi.optimizer.predicates import conjoin, each_query, emitted, filtered, split, used, volatile
from zodbapi.plan.expr import Affine, Compare, Const, Exists, Expr, InQuery, Not
from zodbapi.plan.nodes import Distinct, Filter, Join, Limit, Materialize, Node, Project, Scan, Sort, TableFunctionScan
from zodbapi.plan.walk import rebuild_inputs


def unnest_subqueries(node: Node, context: Context) -> Node:
    """The plan with subqueries in WHERE turned into joins where exactly equivalent."""
    if not context.occurs(Exists, InQuery):
        return node
    context.introduce(Join)
    return _unnest(each_query(node, _unnest))


def _unnest(node: Node) -> Node:
    node = rebuild_inputs(node, _unnest)
    if not isinstance(node, Filter):
        return node
    joins: list[tuple[str, Node, list[Expr]]] = []
    rest: list[Expr] = []
    left = emitted(node.input)
    for term in split(node.predicate):
        join = as_join(term, left)
        if join is None:
            rest.append(term)
        else:
            joins.append(join)
    if not joins:
        return node
    result = filtered(node.input, rest)
    for kind, right, on in joins:
        result = Join(kind, result, right, conjoin(on))
    return result


def as_join(term: Expr, left: frozenset[int], *, correlated: bool = True) -> tuple[str, Node, list[Expr]] | None:
    """Kind, right input and ON terms of the join that the term is, or None; only an IN can do without being ``correlated``."""
    match term:
        case Exists(query=query):
            return _lifted("semi", query, (), left)
        case Not(operand=Exists(query=query)):
            return _lifted("anti", query, (), left)
        case InQuery():
            equalities = _equalities(term)
            return _lifted("semi", term.query, equalities, left, correlated=correlated) if equalities else None
        case Not(operand=InQuery() as within):
            equalities = _equalities(within)
            if not equalities or any(equal.nullable for equal in equalities):
                return None
            return _lifted("anti", within.query, equalities, left, correlated=correlated)
        case _:
            return None


def _nullable(expr: Expr) -> bool:
    return bool(getattr(expr, "nullable", True))


def _equalities(within: InQuery) -> tuple[Compare, ...]:
    """The comparisons of operands with the subquery's columns; () when they cannot be written outside it."""
    body = None if _chooses(within.query, within.collations) else _stripped(within.query)
    if body is None or len(body.columns) != len(within.operands) or any(volatile(column) for column in body.columns):
        return ()
    found = []
    for i, (operand, column) in enumerate(zip(within.operands, body.columns, strict=True)):
        affinity = within.affinities[i] if within.affinities else None
        collation = within.collations[i] if within.collations else "BINARY"
        converted = column if affinity is None else Affine(column, affinity, nullable=_nullable(column))
        found.append(Compare("=", operand, converted, collation, nullable=_nullable(operand) or _nullable(column)))
    return tuple(found)


def _lifted(
    kind: str, query: Node, equalities: tuple[Compare, ...], left: frozenset[int], *, correlated: bool = True
) -> tuple[str, Node, list[Expr]] | None:
    """The subquery as a right input, its terms that use left's sources lifted out of it."""
    project = _stripped(query)
    if project is None:
        return None
    body = project.input
    inside: list[Expr] = []
    on: list[Expr] = [*equalities]
    while isinstance(body, Filter):
        for term in split(body.predicate):
            (inside if left.isdisjoint(used(term)) else on).append(term)
        body = body.input
    if correlated is (len(on) == len(equalities)) or not isinstance(body, (Scan, Join, Materialize, TableFunctionScan)):
        return None  # not as wanted, or not plain
    if not any(isinstance(term, Compare) and term.op == "=" for term in on):
        return None
    right = filtered(body, inside)
    return None if left & used(right) else (kind, right, on)


def _chooses(query: Node, collations: tuple[str, ...]) -> bool:
    """Whether LIMIT or DISTINCT chooses among the subquery's rows values that a comparison under ``collations`` tells apart."""
    while isinstance(query, (Sort, Distinct)):
        if isinstance(query, Distinct):
            compared = collations or ("BINARY",) * len(query.collations)
            if query.on or any(
                c not in ("BINARY", other) for c, other in zip(query.collations, compared, strict=False)
            ):
                return True
        query = query.input
    return isinstance(query, Limit)


def _stripped(query: Node) -> Project | None:
    """The Project of a subquery without what does not change whether it has a row, or which values it has."""
    while True:
        match query:
            case Project():
                return query
            case Sort() | Distinct():
                query = query.input
            case Limit(limit=Const(value=int() as limit), offset=None) if limit > 0:
                query = query.input
            case _:
                return None
