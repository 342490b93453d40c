"""Tables, views and triggers that one connection makes for itself: no other sees them, and they go with it.

Their catalog objects lie over those of the database, and hide what has the same name there. Their trees are BTrees like
any, which nothing stores; the undo log covers them, so that they follow their transactions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from zodbapi.catalog import FIRST_TEMPORARY_ID, Schema
from zodbapi.record import replace


class _Item(Protocol):
    @property
    def temporary(self) -> bool: ...


T = TypeVar("T", bound=_Item)


class Temporary:
    """The temporary part of what one connection sees."""

    def __init__(self) -> None:
        self.schema = Schema()
        self.entry: dict[str, dict[int, Any]] = {"rows": {}, "indexes": {}, "sequences": {}}
        self.used = False  # whether there ever was anything
        self._next_id = FIRST_TEMPORARY_ID

    def allot(self, count: int) -> range:
        """Ids for that many tables and indexes, which never come back."""
        first = self._next_id
        self._next_id += count
        return range(first, first + count)


def combined(stored: Schema, temporary: Schema) -> Schema:
    """What a connection sees: tables and views share their names, and a temporary one comes first."""
    if not (temporary.tables or temporary.views or temporary.triggers):
        return stored
    hidden = temporary.tables.keys() | temporary.views.keys()
    return replace(
        stored,
        tables={**{name: item for name, item in stored.tables.items() if name not in hidden}, **temporary.tables},
        views={**{name: item for name, item in stored.views.items() if name not in hidden}, **temporary.views},
        triggers={**stored.triggers, **temporary.triggers},
        below=stored,
    )


def divided(changed: Schema, stored: Schema, temporary: Schema) -> tuple[Schema, Schema]:
    """The two parts of a schema that DDL made of ``combined(stored, temporary)``."""
    new = Schema(_chosen(changed.tables), _chosen(changed.views), triggers=_chosen(changed.triggers))
    if combined(stored, temporary) is stored and combined(changed, new) is changed:
        return changed, temporary
    hidden = {*temporary.tables, *temporary.views}, {*new.tables, *new.views}
    kept = replace(
        changed,
        tables=_kept(changed.tables, stored.tables, *hidden),
        views=_kept(changed.views, stored.views, *hidden),
        triggers={key: trigger for key, trigger in changed.triggers.items() if not trigger.temporary},
        below=None,
    )
    return (stored if kept == stored else kept), new


def _chosen(items: Mapping[str, T]) -> dict[str, T]:
    return {name: item for name, item in items.items() if item.temporary}


def _kept(changed: Mapping[str, T], stored: Mapping[str, T], before: set[str], after: set[str]) -> dict[str, T]:
    """The stored items after a change: those that were or are hidden are as they were."""
    seen = {name: item for name, item in changed.items() if not item.temporary}
    return {**{name: item for name, item in stored.items() if name in before | after}, **seen}
