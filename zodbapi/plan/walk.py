"""Walking plan trees: the only place that knows how to find the parts of a node or an expression.

Everything is generic over dataclass fields, so a new node needs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from typing import Any, TypeVar

from zodbapi.plan.expr import (
    AggregateCall,
    Column,
    Expr,
    Frame,
    FrameBound,
    Rowid,
    SortKey,
    WindowCall,
)
from zodbapi.plan.nodes import Bound, ConflictClause, Node

Part = Node | Expr | SortKey | AggregateCall | WindowCall | Frame | FrameBound | Bound | ConflictClause
_PARTS = (Node, Expr, SortKey, AggregateCall, WindowCall, Frame, FrameBound, Bound, ConflictClause)
P = TypeVar("P", bound=Part)


@cache
def _names(cls: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(cls))


def parts(part: Part) -> Iterator[Part]:
    """The direct parts of a node or expression: child nodes, expressions, keys, calls."""
    for name in _names(type(part)):
        yield from _flat(getattr(part, name))


def _flat(value: Any) -> Iterator[Part]:
    if isinstance(value, _PARTS):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _flat(item)


def descend(part: Part) -> Iterator[Part]:
    """The part itself and everything below it, subqueries included, parents first."""
    stack = [part]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(list(parts(current))))


def rebuild(part: P, change: Callable[[Part], Part]) -> P:
    """The part with each direct part replaced by ``change`` of it; the same object when nothing changed."""
    changed = {}
    for name in _names(type(part)):
        old = getattr(part, name)
        new = _rebuild_value(old, change)
        if new is not old:
            changed[name] = new
    return replace(part, **changed) if changed else part


def _rebuild_value(value: Any, change: Callable[[Part], Part]) -> Any:
    if isinstance(value, _PARTS):
        return change(value)
    if isinstance(value, tuple):
        items = tuple(_rebuild_value(item, change) for item in value)
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    return value


def transform(part: P, change: Callable[[Part], Part]) -> P:
    """Rewrites bottom up: every part below, then the part itself, is replaced by ``change`` of it."""
    return change(rebuild(part, lambda child: transform(child, change)))  # type: ignore[return-value]


def sources_used(part: Part) -> frozenset[int]:
    """The sources whose columns or rowids are used at or below the part."""
    return frozenset(p.source for p in descend(part) if isinstance(p, (Column, Rowid)))


def sources_made(part: Part) -> frozenset[int]:
    """The sources that nodes at or below the part introduce."""
    made = set()
    for p in descend(part):
        if isinstance(p, Node) and hasattr(p, "source"):
            made.add(p.source)
        elif isinstance(p, ConflictClause):
            made.update((p.existing, p.excluded))
    return frozenset(made)


def free_sources(part: Part) -> frozenset[int]:
    """The sources that the part uses but does not make: what a correlated subquery, or a right input, needs from outside."""
    return sources_used(part) - sources_made(part)
