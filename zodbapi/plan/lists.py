"""Lists of parameters: what plans say of IN lists whose length only the call knows."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from zodbapi.plan.expr import Affine, Expr, ParamList
from zodbapi.plan.nodes import IndexSeek, RowidSeek


def param_list(key: Expr) -> ParamList | None:
    """The list of parameters that an item of an IN list, or a key of a seek, stands for."""
    while isinstance(key, Affine):
        key = key.operand
    return key if isinstance(key, ParamList) else None


def how_many(keys: Iterable[Expr]) -> int:
    """About how many values the items of an IN list give."""
    return sum(1 if (several := param_list(key)) is None else several.size for key in keys)


def alternatives(node: IndexSeek) -> int:
    """About how many keys a seek looks for."""
    return sum(prod(how_many((key,)) for key in keys) for keys in node.alternatives)


def seeks_once(node: RowidSeek | IndexSeek) -> bool:
    """Whether a seek looks for one key."""
    if isinstance(node, RowidSeek):
        return len(node.rowids) == 1 and param_list(node.rowids[0]) is None
    return len(node.alternatives) == 1 and all(param_list(key) is None for key in node.alternatives[0])
