"""Expressions of a bound plan.

In: made by the binder, rewritten by the optimizer. Out: read by codegen. Names are gone: a column is
(source, position). Every expression knows its ``type`` (``catalog.ANY`` when it is known only at run time) and whether
it can be NULL, so that codegen drops tests that cannot matter.

Truth values are SQL's three. A comparison used as a value is 1, 0 or None, as in SQLite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zodbapi.catalog import ANY, INTEGER, Type
from zodbapi.record import record

if TYPE_CHECKING:
    from zodbapi.functions.registry import AggregateFunction, Function
    from zodbapi.plan.nodes import Node


@record(frozen=True, slots=True)
class Expr:
    """Root of all expressions. Each has a static type, and says whether it can be NULL."""

    if TYPE_CHECKING:  # every subclass has both as a field or a property

        @property
        def type(self) -> Type: ...

        @property
        def nullable(self) -> bool: ...


@record(frozen=True, slots=True)
class Const(Expr):
    """A literal. Never part of the generated source: it becomes an entry of the constants tuple."""

    value: Any
    type: Type = ANY

    @property
    def nullable(self) -> bool:
        return self.value is None


@record(frozen=True, slots=True)
class Param(Expr):
    """The parameter at ``index`` of the normalised parameter tuple ``p``."""

    index: int
    type: Type = ANY
    nullable: bool = True


@record(frozen=True, slots=True)
class ParamList(Expr):
    """All items of an IN list: the tuple of values at ``index`` of ``p``, of which there are about ``size``.

    It is what programs for lists of any length have in the place of single parameters, alone or inside ``Affine``.
    """

    index: int
    size: int
    type: Type = ANY
    nullable: bool = True


@record(frozen=True, slots=True)
class Column(Expr):
    """Column ``position`` of the current row of ``source``. A source of an enclosing query makes it correlated."""

    source: int
    position: int
    type: Type = ANY
    nullable: bool = True
    collation: str = "BINARY"
    name: str = ""  # for EXPLAIN only


@record(frozen=True, slots=True)
class Rowid(Expr):
    """The rowid of the current row of a table source."""

    source: int
    type: Type = INTEGER
    nullable: bool = False  # True on the null-extended side of an outer join


@record(frozen=True, slots=True)
class Unary(Expr):
    """``op`` is ``-``, ``+`` or ``~`` with SQLite's conversions."""

    op: str
    operand: Expr
    type: Type = ANY
    nullable: bool = True


@record(frozen=True, slots=True)
class Binary(Expr):
    """``op`` is one of ``+ - * / % || & | << >>``; values.py defines each over all native types."""

    op: str
    left: Expr
    right: Expr
    type: Type = ANY
    nullable: bool = True


@record(frozen=True, slots=True)
class Compare(Expr):
    """``op`` is one of ``= != < <= > >=``, or ``is`` / ``is not`` (null-safe).

    The binder has already wrapped the side that affinity converts in ``Affine``. ``collation`` applies to texts.
    """

    op: str
    left: Expr
    right: Expr
    collation: str = "BINARY"
    nullable: bool = True
    type: Type = INTEGER


@record(frozen=True, slots=True)
class Affine(Expr):
    """``operand`` after the conversion that comparing it with a ``type`` column applies.

    Lossless or nothing: a text that is no number stays text. NULL stays NULL. Never raises.
    """

    operand: Expr
    type: Type
    nullable: bool = True


@record(frozen=True, slots=True)
class And(Expr):
    """Conjunction of two or more terms; flat."""

    terms: tuple[Expr, ...]
    nullable: bool = True
    type: Type = INTEGER


@record(frozen=True, slots=True)
class Or(Expr):
    """Disjunction of two or more terms; flat."""

    terms: tuple[Expr, ...]
    nullable: bool = True
    type: Type = INTEGER


@record(frozen=True, slots=True)
class Not(Expr):
    """Negation; NULL stays NULL."""

    operand: Expr
    nullable: bool = True
    type: Type = INTEGER


@record(frozen=True, slots=True)
class IsNull(Expr):
    """``operand IS NULL``. NOT NULL is ``Not(IsNull(...))``."""

    operand: Expr
    nullable: bool = False
    type: Type = INTEGER


@record(frozen=True, slots=True)
class Between(Expr):
    """``low <= operand <= high`` with operand evaluated once. NOT BETWEEN is ``Not(Between(...))``."""

    operand: Expr
    low: Expr
    high: Expr
    collation: str = "BINARY"
    nullable: bool = True
    type: Type = INTEGER


@record(frozen=True, slots=True)
class InList(Expr):
    """``operand IN (items)``. Items carry their ``Affine`` already. NOT IN is ``Not(InList(...))``."""

    operand: Expr
    items: tuple[Expr, ...]
    collation: str = "BINARY"
    nullable: bool = True
    type: Type = INTEGER


@record(frozen=True, slots=True)
class Case(Expr):
    """Searched CASE: (condition, result) pairs; ``CASE x WHEN`` is bound to comparisons."""

    whens: tuple[tuple[Expr, Expr], ...]
    default: Expr  # Const(None) when there is no ELSE
    type: Type = ANY
    nullable: bool = True


@record(frozen=True, slots=True)
class Cast(Expr):
    """``CAST(operand AS type)``."""

    operand: Expr
    type: Type
    nullable: bool = True


@record(frozen=True, slots=True)
class Call(Expr):
    """A scalar function. LIKE, GLOB and REGEXP are calls too."""

    function: Function
    args: tuple[Expr, ...]
    type: Type = ANY
    nullable: bool = True


@record(frozen=True, slots=True)
class Collate(Expr):
    """``operand COLLATE name``, in the binder only: see ``binder.collation``, also for ``strength``."""

    operand: Expr
    collation: str
    type: Type = ANY
    nullable: bool = True
    strength: int = 2


@record(frozen=True, slots=True)
class RowValue(Expr):
    """``(a, b, ...)`` as an operand: only inside comparisons the binder could not split."""

    items: tuple[Expr, ...]
    nullable: bool = True
    type: Type = ANY


@record(frozen=True, slots=True)
class Exists(Expr):
    """``EXISTS (query)``."""

    query: Node
    nullable: bool = False
    type: Type = INTEGER


@record(frozen=True, slots=True)
class ScalarQuery(Expr):
    """First column of the first row of ``query``, or NULL."""

    query: Node
    type: Type = ANY
    nullable: bool = True


@record(frozen=True, slots=True)
class InQuery(Expr):
    """``(operands) IN (query)``; as many operands as the query has columns. Operands carry their ``Affine``.

    ``affinities`` says which conversion each column of the query needs (None: none).
    """

    operands: tuple[Expr, ...]
    query: Node
    affinities: tuple[Type | None, ...] = ()
    collations: tuple[str, ...] = ()
    nullable: bool = True
    type: Type = INTEGER


@record(frozen=True, slots=True)
class Raise(Expr):
    """``RAISE(ABORT, message)`` in a trigger, and errors found while binding that must only happen if evaluated."""

    action: str
    message: Expr
    type: Type = ANY
    nullable: bool = True


@record(frozen=True, slots=True)
class SortKey:
    """One term of an ORDER BY."""

    expr: Expr
    descending: bool = False
    nulls_first: bool = True  # the binder fills in SQLite's default: NULL is smallest
    collation: str = "BINARY"


@record(frozen=True, slots=True)
class AggregateCall:
    """One aggregate of an ``Aggregate`` node.

    ``function.name`` ``bare`` (argument: one expression) takes its value from one row of the group: the row that
    gave the call numbered ``of`` (a min or max) its value, or any row when ``of`` is None.
    """

    function: AggregateFunction
    args: tuple[Expr, ...]  # () for count(*)
    distinct: bool = False
    filter: Expr | None = None
    order: tuple[SortKey, ...] = ()
    collation: str = "BINARY"  # of the first argument: min, max and DISTINCT use it
    of: int | None = None
    type: Type = ANY
    nullable: bool = True


@record(frozen=True, slots=True)
class FrameBound:
    """``kind`` is unbounded preceding, preceding, current row, following or unbounded following."""

    kind: str
    offset: Expr | None = None


@record(frozen=True, slots=True)
class Frame:
    """A window frame; ``unit`` is rows, range or groups; ``exclude`` no others, current row, group or ties."""

    unit: str
    start: FrameBound
    end: FrameBound
    exclude: str = "no others"


@record(frozen=True, slots=True)
class WindowCall:
    """One window function call of a ``Window`` node. ``frame`` is None for SQLite's default frame."""

    function: AggregateFunction  # ranking functions are registered as aggregates of kind "window"
    args: tuple[Expr, ...]
    partition: tuple[Expr, ...]
    order: tuple[SortKey, ...]
    frame: Frame | None = None
    filter: Expr | None = None
    type: Type = ANY
    nullable: bool = True
    collations: tuple[str, ...] = ()  # one a partition key


def is_positive(expr: Expr | None) -> bool:
    """Whether an expression is a literal integer above 0: as a LIMIT, one that lets a row pass."""
    return isinstance(expr, Const) and type(expr.value) is int and expr.value > 0
