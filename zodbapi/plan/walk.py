"""Walking plan trees: the only place that knows how to find the parts of a node or an expression.

Everything is generic over dataclass fields, so a new node needs nothing here.
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
from zodbapi.record import fields, replace

Part = Node | Expr | SortKey | AggregateCall | WindowCall | Frame | FrameBound | Bound | ConflictClause
_PARTS = (Node, Expr, SortKey, AggregateCall, WindowCall, Frame, FrameBound, Bound, ConflictClause)
P = TypeVar("P", bound=Part)
_PART_NAMES = frozenset(cls.__name__ for cls in _PARTS)


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


_FIELDS = _PartFields()
_IS_PART = _IsPart()


def parts(part: Part) -> list[Part]:
    """The direct parts of a node or expression, in order: child nodes, expressions, keys, calls."""
    found: list[Part] = []
    for name in _FIELDS[part.__class__]:
        value = getattr(part, name)
        if value.__class__ is tuple:
            _collect(value, found)
        elif _IS_PART[value.__class__]:
            found.append(value)
    return found


def _collect(values: tuple[Any, ...], found: list[Part]) -> None:
    for value in values:
        if value.__class__ is tuple:
            _collect(value, found)
        elif _IS_PART[value.__class__]:
            found.append(value)


def descend(part: Part) -> Iterator[Part]:
    """The part itself and everything below it, subqueries included, parents first."""
    yield part
    if not _FIELDS[part.__class__]:
        return
    stack = parts(part)
    stack.reverse()
    while stack:
        current = stack.pop()
        yield current
        if _FIELDS[current.__class__]:
            below = parts(current)
            below.reverse()
            stack += below


def rebuild(part: P, change: Callable[[Part], Part]) -> P:
    """The part with each direct part replaced by ``change`` of it; the same object when nothing changed."""
    changed: dict[str, Any] | None = None
    for name in _FIELDS[part.__class__]:
        old = getattr(part, name)
        if old.__class__ is tuple:
            new: Any = _rebuild_items(old, change)
        elif _IS_PART[old.__class__]:
            new = change(old)
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
        if old.__class__ is tuple:
            new: Any = _rebuild_items(old, change)
        elif _IS_PART[old.__class__]:
            new = change(old)
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
    changed = {}
    for name in _INPUTS[node.__class__]:
        old = getattr(node, name)
        if old is not None:
            new = change(old)
            if new is not old:
                changed[name] = new
    return replace(node, **changed) if changed else node


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
    for p in descend(part):
        if isinstance(p, (Column, Rowid)):
            used.add(p.source)
        elif isinstance(p, WorkingRow):
            used.add(working_source(p.cte))
    return frozenset(used)


def sources_made(part: Part) -> frozenset[int]:
    """The sources that nodes at or below the part introduce."""
    made = set()
    for p in descend(part):
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
    for part in descend(expr):
        match part:
            case Exists() | ScalarQuery() | InQuery() | Raise():
                return False
            case Call(function=function) if function.with_txn or not (function.deterministic or function.stable):
                return False
    return True
