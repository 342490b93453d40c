"""Walking plan trees: the only place that knows how to find the parts of a node or an expression.

Everything is generic over the fields of records, so a new node needs nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from zodbapi.plan.expr import (
    AggregateCall,
    Call,
    Column,
    Exists,
    Expr,
    Frame,
    FrameBound,
    InQuery,
    Raise,
    Rowid,
    ScalarQuery,
    SortKey,
    WindowCall,
)
from zodbapi.plan.nodes import Bound, ConflictClause, Node, Recursive, WorkingRow
from zodbapi.record import fields, replace, values_of

Part = Node | Expr | SortKey | AggregateCall | WindowCall | Frame | FrameBound | Bound | ConflictClause
_PARTS = (Node, Expr, SortKey, AggregateCall, WindowCall, Frame, FrameBound, Bound, ConflictClause)
P = TypeVar("P", bound=Part)
_PART_NAMES = frozenset(cls.__name__ for cls in _PARTS)
_PART_TUPLES = frozenset(f"tuple[{name}, ...]" for name in _PART_NAMES)


Values = Callable[[Any], tuple[Any, ...]]


class _PartFields(dict[type, tuple[str, ...]]):
    """Class -> its fields that can hold parts, told by their annotations: a leaf has none and costs nothing."""

    def __missing__(self, cls: Any) -> tuple[str, ...]:
        names = tuple(f.name for f in fields(cls) if not _PART_NAMES.isdisjoint(re.findall(r"\w+", str(f.type))))
        self[cls] = names
        return names


class _IsPart(dict[type, bool]):
    """Class -> whether its instances are parts: one look-up instead of nine questions."""

    def __missing__(self, cls: type) -> bool:
        found = self[cls] = issubclass(cls, _PARTS)
        return found


class _PartValues(dict[type, Values | None]):
    """Class -> what gets the values of its fields that can hold parts, all at once; None for a leaf."""

    def __missing__(self, cls: type) -> Values | None:
        names = _FIELDS[cls]
        found = self[cls] = values_of(names) if names else None
        return found


_FIELDS = _PartFields()
_IS_PART = _IsPart()
_VALUES = _PartValues()


def parts(part: Part) -> list[Part]:
    """The direct parts of a node or expression, in order: child nodes, expressions, keys, calls."""
    found: list[Part] = []
    values = _VALUES[part.__class__]
    if values is not None:
        _collect(values(part), found)
    return found


def _collect(values: tuple[Any, ...], found: list[Part]) -> None:
    for value in values:
        if _IS_PART[value.__class__]:
            found.append(value)
        elif value.__class__ is tuple:
            _collect(value, found)


class _Shapes(dict[type, tuple[Values | None, ...] | None]):
    """Class -> what gets the values of its fields that are parts, that are tuples of parts, and that may hold parts.

    Each is None if there are no such fields; it is None for a leaf. Annotations tell.
    """

    def __missing__(self, cls: Any) -> tuple[Values | None, ...] | None:
        types = {f.name: str(f.type) for f in fields(cls)}
        single = [name for name in _FIELDS[cls] if types[name] in _PART_NAMES]
        several = [name for name in _FIELDS[cls] if types[name] in _PART_TUPLES]
        other = [name for name in _FIELDS[cls] if name not in single and name not in several]
        found = tuple(values_of(names) if names else None for names in (single, several, other))
        self[cls] = found if any(found) else None
        return self[cls]


_SHAPES = _Shapes()


def everything(part: Part) -> list[Part]:
    """The part itself and everything below it, subqueries included, parents first but in no other order."""
    found = [part]
    for current in found:  # which grows meanwhile
        shape = _SHAPES[current.__class__]
        if shape is not None:
            single, several, other = shape
            if single is not None:
                found += single(current)
            if several is not None:
                for values in several(current):
                    found += values
            if other is not None:
                _collect(other(current), found)
    return found


def descend(part: Part) -> Iterator[Part]:
    """The part itself and everything below it, subqueries included, parents first."""
    stack = [part]
    while stack:
        current = stack.pop()
        yield current
        values = _VALUES[current.__class__]
        if values is not None:
            below: list[Part] = []
            _collect(values(current), below)
            below.reverse()
            stack += below


def rebuild(part: P, change: Callable[[Part], Part]) -> P:
    """The part with each direct part replaced by ``change`` of it; the same object when nothing changed."""
    cls = part.__class__
    values = _VALUES[cls]
    if values is None:
        return part
    changed: dict[str, Any] | None = None
    for name, old in zip(_FIELDS[cls], values(part), strict=True):
        if _IS_PART[old.__class__]:
            new: Any = change(old)
        elif old.__class__ is tuple:
            new = _rebuild_items(old, change)
        else:
            continue
        if new is not old:
            if changed is None:
                changed = {}
            changed[name] = new
    return part if changed is None else replace(part, **changed)


def _rebuild_items(values: tuple[Any, ...], change: Callable[[Part], Part]) -> tuple[Any, ...]:
    items: list[Any] | None = None
    for i, old in enumerate(values):
        if _IS_PART[old.__class__]:
            new: Any = change(old)
        elif old.__class__ is tuple:
            new = _rebuild_items(old, change)
        else:
            continue
        if new is not old:
            if items is None:
                items = list(values)
            items[i] = new
    return values if items is None else tuple(items)


class _NodeFields(dict[type, tuple[str, ...]]):
    """Class -> its fields that hold an input node."""

    def __missing__(self, cls: Any) -> tuple[str, ...]:
        names = tuple(f.name for f in fields(cls) if "Node" in re.findall(r"\w+", str(f.type)))
        self[cls] = names
        return names


_INPUTS = _NodeFields()


def rebuild_inputs(node: Node, change: Callable[[Node], Node]) -> Node:
    """The node with each input node replaced by ``change`` of it; expressions are not looked at."""
    changed: dict[str, Any] | None = None
    for name in _INPUTS[node.__class__]:
        old = getattr(node, name)
        if old is not None:
            new = change(old)
            if new is not old:
                if changed is None:
                    changed = {}
                changed[name] = new
    return node if changed is None else replace(node, **changed)


def transform(part: P, change: Callable[[Part], Part]) -> P:
    """Rewrites bottom up: every part below, then the part itself, is replaced by ``change`` of it."""

    def below(child: Part) -> Part:
        return change(rebuild(child, below) if _FIELDS[child.__class__] else child)

    return below(part)  # type: ignore[return-value]


def working_source(cte: int) -> int:
    """The number that stands among sources for the row that a recursive CTE is working on: no real source has it."""
    return -1 - cte


def sources_used(part: Part) -> frozenset[int]:
    """The sources whose columns or rowids are used at or below the part; for a working row, ``working_source``."""
    used = set()
    for p in everything(part):
        if isinstance(p, (Column, Rowid)):
            used.add(p.source)
        elif isinstance(p, WorkingRow):
            used.add(working_source(p.cte))
    return frozenset(used)


def sources_made(part: Part) -> frozenset[int]:
    """The sources that nodes at or below the part introduce."""
    made = set()
    for p in everything(part):
        if isinstance(p, Node) and hasattr(p, "source"):
            made.add(p.source)
            if isinstance(p, Recursive):
                made.add(working_source(p.cte))
        elif isinstance(p, ConflictClause):
            made.update((p.existing, p.excluded))
    return frozenset(made)


def free_sources(part: Part) -> frozenset[int]:
    """The sources that the part uses but does not make: what a correlated subquery, or a right input, needs from outside."""
    return sources_used(part) - sources_made(part)


def needs_its_row_alone(expr: Expr) -> bool:
    """Whether the value depends on the row alone, so that it does not matter whether others are changed before or after."""
    for part in everything(expr):
        match part:
            case Exists() | ScalarQuery() | InQuery() | Raise():
                return False
            case Call(function=function) if function.with_txn or not (function.deterministic or function.stable):
                return False
    return True
