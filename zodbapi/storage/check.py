"""Whether the trees of a database are sound and are those that the schema asks for.

In: a transaction. Out: what is wrong, one sentence each. What the trees should hold is not known here: ``integrity`` compares
rows with constraints and indexes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from BTrees import check as btrees_check
from BTrees.OOBTree import OOBTree

from zodbapi import errors
from zodbapi.storage.failures import translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zodbapi.catalog import Index
    from zodbapi.storage.transaction import Transaction


def stray_trees(txn: Transaction) -> Iterator[str]:
    """Trees that belong to nothing in the schema."""
    if txn.entry is None:
        return
    tables = {table.id for table in txn.stored.tables.values()}
    indexes = {index.id for table in txn.stored.tables.values() for index in table.indexes}
    for name, known in (("rows", tables), ("indexes", indexes), ("sequences", tables)):
        for found in txn.entry[name]:
            if found not in known:
                yield f"{name}: id {found} belongs to nothing in the schema"


def damage_of_rows(txn: Transaction, table_id: int) -> str | None:
    """What is wrong with the tree of a table's rows."""
    return _damage(txn.home(table_id)["rows"].get(table_id))


def damage_of_index(txn: Transaction, index: Index) -> str | None:
    """What is wrong with the tree of an index."""
    tree = txn.home(index.id)["indexes"].get(index.id)
    if tree is not None and isinstance(tree, OOBTree) != index.keyed:
        return "its tree is of the wrong kind"
    return _damage(tree)


def _damage(tree: Any) -> str | None:
    if tree is None:
        return "its tree is missing"
    try:
        with translated():
            tree._check()
            btrees_check.check(tree)
            for _ in tree.keys():  # noqa: SIM118 - a set has no items, and this reads every leaf
                pass
    except AssertionError as error:
        return f"damaged tree: {str(error).strip()}"
    except errors.Error as error:
        return f"damaged tree: {error}"
    return None
