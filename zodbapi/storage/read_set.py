"""What a transaction relies on: the leaves whose change by others, before it commits, makes its commit fail.

In: leaves that were read. Out: whether others have changed one, or a commit that finds out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ZODB.utils import z64

from zodbapi.storage.leaves import find_leaf, find_leaves, plain
from zodbapi.undo import MISSING, PRESENT, one_by_one

if TYPE_CHECKING:
    from collections.abc import Iterable


class ReadSet(dict[bytes, bytes]):
    """Object id of a leaf -> its serial number in the transaction's snapshot."""

    __slots__ = ()

    def note(self, leaf: Any) -> None:
        """Rely on a leaf."""
        if leaf._p_jar is None:  # made by this transaction
            return
        leaf._p_activate()
        if leaf._p_serial != z64:
            self[leaf._p_oid] = leaf._p_serial

    def note_range(self, tree: Any, low: Any = None, high: Any = None) -> None:
        """Rely on the leaves that hold (or would hold) the keys from ``low`` to ``high``; None is no bound."""
        for leaf in find_leaves(plain(tree), low, high):
            self.note(leaf)

    def note_key(self, tree: Any, key: Any) -> None:
        """Rely on the leaf that holds (or would hold) a key."""
        self.note(find_leaf(plain(tree), key))

    def note_what_came_back(self, undo: Iterable[tuple[Any, Any, Any]]) -> None:
        """Rely on the leaves of what was written and is as it was, according to an undo log.

        ZODB would take the other's value of a row that we have updated to the one it had, which is how SQL asks for a row
        that must not change: UPDATE t SET n = n.
        """
        before: dict[tuple[int, Any], tuple[Any, Any]] = {}
        for watched, key, old in one_by_one(undo):
            tree = plain(watched)
            before.setdefault((id(tree), key), (tree, old))
        for (_, key), (tree, old) in before.items():
            if old is PRESENT or old is MISSING:
                is_back = (key in tree) == (old is PRESENT)
            else:
                is_back = tree.get(key, MISSING) == old
            if is_back:
                self.note_key(tree, key)

    def is_touched(self, changed: Iterable[bytes] | None) -> bool:
        """Whether one of the changed objects is relied on; None: they were too many to tell."""
        return changed is None or not self.keys().isdisjoint(changed)

    def require(self, connection: Any) -> None:
        """Have ZODB's commit compare serial numbers, and not merge changes of these leaves with those of others."""
        connection._readCurrent.update(self)
        connection.unmerged = set(self)
