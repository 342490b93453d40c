"""IN lists of parameters: one program for all lengths.

In: the text of a statement. Out: the text with one placeholder in the place of each ``IN (?, ?, ...)``, which the cache
of compiled statements is asked for, and the slices of the call's parameters that become the lists. How long the
lists are matters to the choice of a plan, so statements whose lists are of another order of magnitude share nothing.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_LISTS = re.compile(
    r"""'[^']*' | "[^"]*" | (?P<list>\bIN[ ]\((?P<mark>%s|\?)(?:,[ ]?(?P=mark))+\)) | %s | \?""", re.VERBOSE
)
_UNSAFE = re.compile(r"[`\[:@$;]|\?\d|--|/\*|%[^s]")  # other quotes, comments and placeholders: left to the parser
_SHARING = re.compile(r"\s*(?:SELECT|UPDATE|DELETE|WITH)\b")
_SIZES = ((8, 4), (64, 25), (512, 200))  # lists of at most so many items are planned as if they had so many
_MANY = 2000


class Folded(NamedTuple):
    """A text with folded lists: ``sizes`` by parameter index, and the slices of the call's parameters."""

    sql: str
    sizes: dict[int, int]
    slices: tuple[tuple[int, int], ...]
    total: int  # of the call's parameters


def fold_lists(sql: str) -> Folded | None:
    """The text that statements with lists of other lengths have too; None for one without lists."""
    if not (("IN (%s," in sql or "IN (?," in sql) and _SHARING.match(sql)) or _UNSAFE.search(sql):
        return None
    if "%s" in sql and "?" in sql:  # one of them is none
        return None
    pieces: list[str] = []
    sizes: dict[int, int] = {}
    slices: list[tuple[int, int]] = []
    copied = index = count = 0
    for found in _LISTS.finditer(sql):
        if found["list"]:
            length = found["list"].count(",") + 1
            pieces += (sql[copied : found.start()], f"IN ({found['mark']})")
            copied = found.end()
            sizes[index] = next((size for most, size in _SIZES if length <= most), _MANY)
            slices.append((count, count + length))
            count += length
            index += 1
        elif found[0] in ("%s", "?"):
            count += 1
            index += 1
    return Folded("".join([*pieces, sql[copied:]]), sizes, tuple(slices), count) if slices else None


def grouped(params: tuple[Any, ...], slices: tuple[tuple[int, int], ...]) -> tuple[Any, ...]:
    """The parameters with each slice as one item."""
    items: list[Any] = []
    at = 0
    for start, end in slices:
        items += params[at:start]
        items.append(params[start:end])
        at = end
    return (*items, *params[at:])
