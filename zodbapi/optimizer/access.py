"""Access paths: the ways to get at the rows of one table that some predicates ask for.

In: a table source and the terms that are tested on it. Out: ``Path`` objects, each with its cost, the order in which
it emits rows, and the plan node that it becomes. A term is only answered by a seek where the tree's order is exactly
the comparison that the term makes: same collation, and a key that is converted to, or known to be of, the column's kind.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import NamedTuple

from zodbapi.catalog import BOOLEAN, INTEGER, NUMBERS, TEXTS, Index, Kind, Table, Type
from zodbapi.optimizer.context import LIKELY_ROWS, Context
from zodbapi.optimizer.cost import GET, SCAN_ROW, SEEK, entries_found, entry_cost, nulls_found, range_rows
from zodbapi.optimizer.implication import implied
from zodbapi.optimizer.predicates import LEAVES, kind_of, used, volatile
from zodbapi.plan.expr import Affine, Between, Column, Compare, Const, Expr, InList, IsNull, Not, Rowid
from zodbapi.plan.lists import how_many, param_list
from zodbapi.plan.nodes import Bound, IndexRange, IndexSeek, Node, RowidRange, RowidSeek, Scan
from zodbapi.plan.walk import Part, transform
from zodbapi.record import replace

ROWID = -1  # target of a predicate on the rowid
Target = int | Expr  # a column's position, ROWID, or an expression over source 0
FLIPPED = {"=": "=", "is": "is", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
PLAIN_NUMBERS = frozenset({Kind.INTEGER, Kind.REAL, Kind.NUMERIC})  # convert alike in comparisons
TRUE, FALSE = Const(True, BOOLEAN), Const(False, BOOLEAN)
MOST_ALTERNATIVES = 1000  # keys of one seek that come from several IN lists


class Sarg(NamedTuple):
    """A term, or one half of a BETWEEN, that an access path can answer: ``target op key``.

    ``in`` has several keys, ``present`` (IS NOT NULL) none.
    """

    target: Target
    op: str  # = is in < <= > >= present
    keys: tuple[Expr, ...]
    collation: str
    kind: Kind
    term: Expr
    needs: frozenset[int]  # sources of the keys


class KeyPart(NamedTuple):
    """One column of the order in which a path emits rows."""

    target: Target
    collation: str
    nullable: bool
    kind: Kind


class Path(NamedTuple):
    """One way to get at rows. Without ``using`` it is by rowid; without any sarg it reads everything."""

    source: int
    table: Table
    using: Index | None
    equal: tuple[Sarg, ...]
    lower: Sarg | None
    upper: Sarg | None
    rows: float
    cost: float
    single: bool  # at most one row
    order: tuple[KeyPart, ...]
    present: Sarg | None = None  # entries with NULL after those of ``equal`` are left out

    def answered(self) -> list[Expr]:
        """The terms that need no test above this path."""
        sargs = [sarg for sarg in (*self.equal, self.lower, self.upper, self.present) if sarg is not None]
        terms: list[Expr] = []
        if len(sargs) < 2:  # as asked for most paths, again and again
            return [sarg.term for sarg in sargs if not isinstance(sarg.term, Between)]
        for sarg in sargs:
            halves = 2 if isinstance(sarg.term, Between) else 1
            if sarg.term not in terms and sum(s.term is sarg.term for s in sargs) == halves:
                terms.append(sarg.term)
        return terms

    def needs(self) -> frozenset[int]:
        """The sources that the keys use."""
        sargs = (*self.equal, *(bound for bound in (self.lower, self.upper) if bound is not None))
        return frozenset().union(*(sarg.needs for sarg in sargs))

    def node(self, descending: bool = False) -> Node:
        """The plan node that reads this way."""
        lower, upper = _bound(self.lower), _bound(self.upper)
        if self.using is None:
            if self.equal:
                return RowidSeek(self.source, self.table, self.equal[0].keys, descending)
            if lower or upper:
                return RowidRange(self.source, self.table, lower, upper, descending)
            return Scan(self.source, self.table, descending)
        if self.equal and not (lower or upper or self.present):
            null_safe = tuple(sarg.op == "is" for sarg in self.equal)
            alternatives = tuple(product(*(sarg.keys for sarg in self.equal)))
            safe = null_safe if any(null_safe) else ()
            return IndexSeek(self.source, self.table, self.using, alternatives, safe, descending)
        prefix = tuple(sarg.keys[0] for sarg in self.equal)
        present = self.present is not None and not (lower or upper)
        return IndexRange(self.source, self.table, self.using, prefix, lower, upper, descending, present=present)


def _bound(sarg: Sarg | None) -> Bound | None:
    return None if sarg is None else Bound(sarg.keys[0], inclusive=sarg.op in ("<=", ">="))


# --- terms that a path can answer -------------------------------------------------------------------------------------


def sargs_of(source: int, table: Table, terms: list[Expr], expressions: bool = False) -> list[Sarg]:
    """What an access path to the table could answer of the terms; ``expressions`` includes computed targets."""
    found: list[Sarg] = []
    for term in terms:
        for operand, op, keys, collation in _comparisons(term):
            sarg = _sarg(source, table, operand, op, keys, collation, term, expressions)
            if sarg is not None:
                found.append(sarg)
    return found


def _comparisons(term: Expr) -> tuple[tuple[Expr, str, tuple[Expr, ...], str], ...]:
    """What a term says of operands: (operand, operator, keys, collation) each."""
    match term:
        case Compare(op=op, left=left, right=right) if op in FLIPPED:
            return (left, op, (right,), term.collation), (right, FLIPPED[op], (left,), term.collation)
        case Between(operand=operand):
            return (operand, ">=", (term.low,), term.collation), (operand, "<=", (term.high,), term.collation)
        case InList():
            return ((term.operand, "in", term.items, term.collation),)
        case IsNull():
            return ((term.operand, "is", (Const(None),), ""),)
        case Not(operand=IsNull(operand=operand)):
            return ((operand, "present", (), ""),)
        case Column() if kind_of(term) is Kind.BOOLEAN:
            return ((term, "=", (TRUE,), "BINARY"),)
        case Not(operand=Column() as column) if kind_of(column) is Kind.BOOLEAN:
            return ((column, "=", (FALSE,), "BINARY"),)
        case _:
            return ()


def _sarg(
    source: int,
    table: Table,
    operand: Expr,
    op: str,
    keys: tuple[Expr, ...],
    collation: str,
    term: Expr,
    computed: bool,
) -> Sarg | None:
    target = target_of(operand, source, table, computed)
    if target is None or (target == ROWID and op in ("is", "present")):
        return None
    type_ = INTEGER if target == ROWID else table.columns[target].type if isinstance(target, int) else _type(operand)
    found: list[Expr] = []
    needs: frozenset[int] = frozenset()
    for key in keys:
        converted = as_key(key, type_)
        if converted is None:
            return None
        if key.__class__ not in LEAVES and volatile(key):
            return None
        found.append(converted)
        needs |= used(key)
    if source in needs:
        return None
    return Sarg(target, op, tuple(found), collation, type_.kind, term, needs)


def _type(expr: Expr) -> Type:
    return expr.type


def target_of(expr: Expr, source: int, table: Table, computed: bool) -> Target | None:
    """What of the table the expression is: a position, ROWID, or (if asked for) a computation over its columns."""
    match expr:
        case Column():
            if expr.source != source:
                return None
            return ROWID if expr.position == table.rowid_column else expr.position
        case Rowid():
            return ROWID if expr.source == source else None
        case _ if computed and expr.__class__ not in LEAVES and used(expr) == {source}:
            return canonical(expr, source)
        case _:
            return None


def canonical(expr: Expr, source: int) -> Expr:
    """The expression as an index knows it: over source 0, without what only the query knows about its columns."""

    def change(part: Part) -> Part:
        if isinstance(part, Column) and part.source == source:
            return Column(0, part.position)
        if isinstance(part, Expr) and hasattr(part, "nullable") and not isinstance(part, (Const, Column)):
            return replace(part, nullable=True)  # type: ignore[call-arg]
        return part

    return transform(expr, change)


def as_key(key: Expr, column: Type) -> Expr | None:
    """The key as an expression of the column's kind, or None where a seek would not be the comparison."""
    kind, given = column.kind, kind_of(key)
    if isinstance(key, Const) and key.value is None:
        return key
    if isinstance(key, Affine):
        if given is kind or (given in TEXTS and kind in TEXTS) or kind is Kind.ANY:
            return key
        return Affine(key.operand, column) if given in PLAIN_NUMBERS and kind in PLAIN_NUMBERS else None
    if given is kind or kind is Kind.ANY or (given in TEXTS and kind in TEXTS):
        return key
    if given in NUMBERS and kind in NUMBERS:
        return key
    return Affine(key, column) if kind is Kind.BLOB else None


# --- the paths to one table -------------------------------------------------------------------------------------------


def paths_to(source: int, table: Table, terms: list[Expr], context: Context, *, whole: bool = False) -> list[Path]:
    """Every sensible path; the first one is the scan. ``whole`` adds whole index scans, for the sake of their order."""
    key = (source, table.id, whole, *map(id, terms))
    known = context.paths.get(key)
    if known is None:  # the terms are kept with what is said of them, so that their ids stay theirs
        known = context.paths[key] = _paths(source, table, terms, context, whole=whole), tuple(terms)
    found: list[Path] = known[0]
    return found


def _paths(source: int, table: Table, terms: list[Expr], context: Context, *, whole: bool) -> list[Path]:
    rows = context.rows(table)
    order = BY_ROWID
    paths = [Path(source, table, None, (), None, None, rows, max(rows, LIKELY_ROWS) * SCAN_ROW, False, order)]
    if not terms and not whole:
        return paths
    sargs: dict[Target, list[Sarg]] = {}
    for sarg in sargs_of(source, table, terms, table.computes_keys):
        sargs.setdefault(sarg.target, []).append(sarg)
    if not sargs and not whole:
        return paths
    if ROWID in sargs:
        paths.append(_rowid_path(source, table, sargs[ROWID], context))
    for index in table.indexes:
        first = index.columns[0].position
        if not whole and first is not None and (ROWID if first == table.rowid_column else first) not in sargs:
            continue
        path = _index_path(source, table, index, sargs, terms, context)
        if path is not None and (whole or path.equal or path.lower or path.upper or path.present):
            paths.append(path)
    return paths


BY_ROWID = (KeyPart(ROWID, "BINARY", False, Kind.INTEGER),)  # the order of the rows themselves


def _rowid_path(source: int, table: Table, sargs: list[Sarg], context: Context) -> Path:
    order = BY_ROWID
    equal = next((s for s in sargs if s.op == "="), None) or next((s for s in sargs if s.op == "in"), None)
    if equal is not None:
        keys = float(how_many(equal.keys))
        return Path(source, table, None, (equal,), None, None, keys, keys * GET, equal.op == "=", order)
    lower, upper = _bounds(sargs)
    found = range_rows(table, _bound(lower), _bound(upper), context)
    return Path(source, table, None, (), lower, upper, found, GET + found * SCAN_ROW, False, order)


def _bounds(sargs: list[Sarg]) -> tuple[Sarg | None, Sarg | None]:
    lower = next((s for s in sargs if s.op in (">", ">=")), None)
    upper = next((s for s in sargs if s.op in ("<", "<=")), None)
    return lower, upper


def index_order(table: Table, index: Index, context: Context) -> tuple[KeyPart, ...] | None:
    """The key parts of an index, then the rowid unless the key is unique without it; None if nobody can bind it.

    Unless it takes binding they are kept with the table, because every statement asks.
    """
    known: dict[int, tuple[KeyPart, ...]] = table.__dict__.setdefault("optimizer_orders", {})
    order = known.get(index.id)
    if order is None:
        order = _key_parts(table, index, context)
        if order is not None and not table.computes_keys:
            known[index.id] = order
    return order


def _key_parts(table: Table, index: Index, context: Context) -> tuple[KeyPart, ...] | None:
    found = []
    for i, column in enumerate(index.columns):
        if column.position is not None:
            definition = table.columns[column.position]
            target: Target = ROWID if column.position == table.rowid_column else column.position
            nullable = not definition.not_null and target != ROWID
            found.append(KeyPart(target, column.collation, nullable, definition.type.kind))
        else:
            bound = context.bound_index(table, index)
            if bound is None:
                return None
            found.append(KeyPart(canonical(bound.keys[i], 0), column.collation, True, kind_of(bound.keys[i])))
    if not (index.keyed and not any(part.nullable for part in found)):
        found += BY_ROWID
    return tuple(found)


def _index_path(
    source: int,
    table: Table,
    index: Index,
    sargs: dict[Target, list[Sarg]],
    terms: list[Expr],
    context: Context,
) -> Path | None:
    order = index_order(table, index, context)
    if order is None or (index.where is not None and not _covers(source, table, index, terms, context)):
        return None
    equal: list[Sarg] = []
    lower = upper = present = None
    for part in order[: len(index.columns)]:
        fitting = [s for s in sargs.get(part.target, ()) if collates(s.collation, part)]
        chosen = _equality(fitting, equal)
        if chosen is None:
            if all(sarg.op == "=" for sarg in equal):
                lower, upper = _bounds(fitting)
                present = next((s for s in fitting if s.op == "present"), None)
            break
        equal.append(chosen)
    full = index.keyed and len(equal) == len(index.columns)
    single = full and all(sarg.op == "=" for sarg in equal)
    keys = [sarg.keys[0] for sarg in equal]
    seeks = prod(how_many(sarg.keys) for sarg in equal)
    found = max(1.0, seeks * entries_found(table, index, keys, _bound(lower), _bound(upper), context))
    if present is not None and not (lower or upper):
        found = max(1.0, found - nulls_found(table, index, keys, context))
    cost = max(seeks, 1) * SEEK + found * entry_cost(source, table, index, context)
    return Path(source, table, index, tuple(equal), lower, upper, found, cost, single, order, present)


def collates(collation: str, part: KeyPart) -> bool:
    """Whether a comparison with this collation ("": any) sees keys as the index does."""
    return not collation or collation == part.collation or not (part.kind in TEXTS or part.kind is Kind.ANY)


def _equality(sargs: list[Sarg], before: list[Sarg]) -> Sarg | None:
    """The sarg that extends the seek by one more column: one key if possible, else an IN list."""
    single = next((s for s in sargs if s.op in ("=", "is")), None)
    if single is not None:
        return single
    several = next((s for s in sargs if s.op == "in"), None)
    if several is None:
        return None
    is_first = all(sarg.op != "in" for sarg in before)
    if not is_first and any(param_list(key) for sarg in (several, *before) for key in sarg.keys):
        return None
    alternatives = len(several.keys)
    for sarg in before:
        alternatives *= len(sarg.keys)
    return several if is_first or alternatives <= MOST_ALTERNATIVES else None


def _covers(source: int, table: Table, index: Index, terms: list[Expr], context: Context) -> bool:
    """Whether every row that the terms ask for is in a partial index."""
    bound = context.bound_index(table, index)
    if bound is None or bound.where is None:
        return False
    known = [canonical(term, source) for term in terms if used(term) == {source}]
    return implied(canonical(bound.where, 0), known)
