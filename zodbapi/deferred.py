"""Modules that are loaded when something of them is first used.

The engine takes as long to import as Django: who does not connect, as the process of ``runserver`` that only watches over
another one, goes without it. To type checkers a deferred module is the module itself::

    if TYPE_CHECKING:
        from django_zodb import engine
    else:
        engine = deferred("django_zodb.engine")

The garbage collector rests meanwhile. It would look through the thousands of functions and classes of libraries again and
again, and find that all of them stay, so they join what it looks through last.
"""

from __future__ import annotations

import gc
from importlib import import_module
from types import ModuleType
from typing import Any

from zodbapi.uncollected import UNCOLLECTED


class _Deferred:
    """Stands for a module; what was used once is an attribute of its own, so it costs no more than a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        value = getattr(load(self._name), name)
        setattr(self, name, value)
        return value


def deferred(name: str) -> Any:
    """What stands for the module of that name until something of it is used."""
    return _Deferred(name)


def load(name: str) -> ModuleType:
    """The module of that name, and all that it imports."""
    with UNCOLLECTED:
        module = import_module(name)
        if not gc.get_freeze_count():  # else an application has frozen what it loaded, and means it
            gc.freeze()  # both take no time: all objects go to the permanent generation, from there to the oldest
            gc.unfreeze()
    return module
