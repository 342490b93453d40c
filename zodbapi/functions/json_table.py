"""``json_each`` and ``json_tree``: the parts of a JSON text as rows.

In: a JSON text, and the path of the part to start from. Out: SQLite's eight columns, and its numbering of nodes: in the order of
the text, names included. The path of ``[#-1]`` shows the place that it means.
"""

from __future__ import annotations

from typing import Any

from zodbapi.catalog import ANY, INTEGER, TEXT
from zodbapi.functions.json import sql_value, type_name
from zodbapi.functions.json_documents import parse
from zodbapi.functions.json_path import FromEnd, extended, parse_path, position
from zodbapi.functions.registry import TableFunction
from zodbapi.values import to_text

_COLUMNS = (
    ("key", ANY), ("value", ANY), ("type", TEXT), ("atom", ANY),
    ("id", INTEGER), ("parent", INTEGER), ("fullkey", TEXT), ("path", TEXT),
)  # fmt: skip
_TreeRow = tuple[Any, ...]


def json_each(txn: Any, value: Any, root: Any = "$") -> list[_TreeRow]:
    """A row for each member or element of what stands at ``root``; one row for a scalar."""
    walk = _walk(value, root)
    if walk is None:
        return []
    document, path, number = walk
    if type(document) not in (list, dict):
        return [_row(None, document, number, None, path, path)]
    rows = []
    for step, part, node in _members(document, number):
        rows.append(_row(step, part, node, None, extended(path, step), path))
    return rows


def json_tree(txn: Any, value: Any, root: Any = "$") -> list[_TreeRow]:
    """A row for everything at and below ``root``, each container before its parts."""
    walk = _walk(value, root)
    if walk is None:
        return []
    document, path, number = walk
    rows: list[_TreeRow] = []
    steps = parse_path(to_text(root))
    key = steps[-1] if steps and not isinstance(steps[-1], FromEnd) else None
    parent_path = path
    if steps:
        parent_path = "$"
        for step in steps[:-1]:
            parent_path = extended(parent_path, step) if not isinstance(step, FromEnd) else parent_path
    pending: list[tuple[Any, Any, int, int | None, str, str]] = [(key, document, number, None, path, parent_path)]
    while pending:
        step, part, node, parent, fullkey, above = pending.pop()
        rows.append(_row(step, part, node, parent, fullkey, above))
        if type(part) in (list, dict):
            below = [(s, p, n, node, extended(fullkey, s), fullkey) for s, p, n in _members(part, node)]
            pending.extend(reversed(below))
    return rows


def _walk(value: Any, root: Any) -> tuple[Any, str, int] | None:
    """What stands at the root path, the text of that path, and the number of its node; None if there is nothing."""
    if value is None or root is None:
        return None
    document, path, number = parse(value), "$", 0
    for step in parse_path(to_text(root)):
        for key, part, node in _members(document, number):
            if key == (step if type(step) is str else position(step, len(document))) and type(key) is not bool:
                document, path, number = part, extended(path, key), node
                break
        else:
            return None
    return document, path, number


def _members(document: Any, number: int) -> list[tuple[Any, Any, int]]:
    """(key, part, node number) of each part; nodes are numbered in the order of the text, names included."""
    found = []
    node = number + 1
    if type(document) is dict:
        for name, part in document.items():
            found.append((name, part, node + 1))
            node += 1 + _size(part)
    elif type(document) is list:
        for index, part in enumerate(document):
            found.append((index, part, node))
            node += _size(part)
    return found


def _size(document: Any) -> int:
    """How many nodes a document has."""
    if type(document) is dict:
        return 1 + len(document) + sum(map(_size, document.values()))
    return 1 + sum(map(_size, document)) if type(document) is list else 1


def _row(key: Any, part: Any, node: int, parent: int | None, fullkey: str, path: str) -> _TreeRow:
    value = sql_value(part)
    atom = None if type(part) in (list, dict) else value
    return (key, value, type_name(part), atom, node, parent, fullkey, path)


FUNCTIONS: tuple[TableFunction, ...] = (
    TableFunction("json_each", json_each, 1, 2, _COLUMNS),
    TableFunction("json_tree", json_tree, 1, 2, _COLUMNS),
)
