"""Which classes a record may name, so that opening a hostile file runs no code.

In: the (module, name) pairs that pickles contain. Out: one of a fixed set of classes (BTrees, persistent mappings and
the native values), or an inert stand-in for anything else, which keeps its state and is written back unchanged. Nothing
is ever imported because a file says so.

Two paths unpickle records: loading an object, which is given ``find_class`` as ``DB(class_factory=...)``, and the conflict
resolution of storages in this process, which is given ``GuardedResolution``. What else a file's
pickles reach is the business of ``untrusted_file``. Not covered: a storage that a URI names with options of its own, and
whatever else of the root a user's own code opens with plain ZODB.
"""

from __future__ import annotations

import datetime
import decimal
import types
import uuid
from importlib import import_module
from typing import Any, Final

import persistent.list
import persistent.mapping
import ZODB.blob
import ZODB.broken
from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree, OOTreeSet
from ZODB import ConflictResolution
from ZODB.ConflictResolution import ConflictResolvingStorage

# Rows in a leaf at most: a commit writes whole leaves, and other processes read them again; with the usual 60 an UPDATE of a
# table of twelve columns takes a quarter longer and twice the bytes, and only the first scan of a file is faster.
ROW_LEAF_SIZE: Final = 30
# Entries in a leaf of an index at most; an entry takes a quarter of the bytes of a row, and a leaf of the 30 that are usual
# takes longer to find than to unpickle. It is what new leaves are split at: files with others are read all the same.
LEAF_SIZE: Final = 90
# Children of an inner node at most: with the usual 250 and 500, splitting a leaf means to write, and every other process to
# read again, a record that takes longer than those of thirty leaves.
INNER_SIZE: Final = 100
LOBTree.max_leaf_size = ROW_LEAF_SIZE
OOTreeSet.max_leaf_size = OOBTree.max_leaf_size = LEAF_SIZE
OOTreeSet.max_internal_size = OOBTree.max_internal_size = LOBTree.max_internal_size = INNER_SIZE

_PLAIN = (
    datetime.date,
    datetime.time,
    datetime.datetime,
    datetime.timedelta,
    datetime.timezone,
    decimal.Decimal,
    uuid.UUID,
    ZODB.blob.Blob,
    persistent.mapping.PersistentMapping,
    persistent.list.PersistentList,
)


def _allowed() -> dict[tuple[str, str], type]:
    found: dict[tuple[str, str], type] = {(cls.__module__, cls.__name__): cls for cls in _PLAIN}
    for family in ("OO", "OI", "OL", "IO", "II", "LO", "LL", "OU", "UO", "OQ", "QO", "QQ"):
        module = f"BTrees.{family}BTree"
        source = import_module(module)
        for kind in ("BTree", "Bucket", "TreeSet", "Set"):
            name = family + kind
            for spelling in (name, name + "Py"):  # the pure Python classes pickle under the name without Py
                found[module, spelling] = getattr(source, name)
    for module, former in (("persistent.dict", "PersistentDict"), ("PersistentMapping", "PersistentMapping")):
        found[module, former] = persistent.mapping.PersistentMapping
    for builtin in (set, frozenset, bytearray, complex):
        found["builtins", builtin.__name__] = found["__builtin__", builtin.__name__] = builtin
    return found


_CLASSES: dict[tuple[str, str], Any] = _allowed()
_STRANGERS: dict[tuple[str, str], type] = {}


def _stranger(module: str, name: str) -> Any:
    """An inert class that stands for one that is not allowed."""
    known = _STRANGERS.get((module, name))
    if known is None:
        known = type(name, (ZODB.broken.Broken,), {"__module__": module})
        # References to persistent objects are written without the class when it has newargs. Written with it, pickle would
        # import the module to see whether the class is really there.
        names = {"__module__": module, "__getnewargs__": lambda self: ()}
        known.__Broken_Persistent__ = type(name, (ZODB.broken.PersistentBroken, known), names)  # type: ignore[attr-defined]
        if len(_STRANGERS) > 10_000:  # a file that names this many classes is hostile
            _STRANGERS.clear()
        _STRANGERS[module, name] = known
    return known


def _rebuild(module: str, name: str, *args: Any) -> Any:
    """What stand-ins for plain objects were written back as; ZODB's own function of this name imports the module."""
    cls = _stranger(module, name)
    return cls.__new__(cls, *args)


_CLASSES["ZODB.broken", "rebuild"] = _rebuild


def find_class(_connection: object, module: str, name: str) -> Any:
    """The class that a record names, for ``DB(class_factory=...)``."""
    return _CLASSES.get((module, name)) or _stranger(module, name)


def _resolution_class(module: str, name: str) -> Any:
    found = _CLASSES.get((module, name))
    return found if found is not None else ConflictResolution.BadClass(module, name)


def guarded(function: Any, names: dict[str, Any]) -> Any:
    """The same function looking up its globals in ``names``: ZODB gives no parameter for the classes."""
    return types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)


_NAMES = {**vars(ConflictResolution), "find_global": _resolution_class, "_unresolvable": {}}
_NAMES["state"] = guarded(ConflictResolution.state, _NAMES)


class GuardedResolution(ConflictResolvingStorage):  # type: ignore[misc]
    """Conflict resolution for our own storages that unpickles the allowed classes only."""

    tryToResolveConflict = guarded(ConflictResolution.tryToResolveConflict, _NAMES)
