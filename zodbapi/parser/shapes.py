"""Shapes: texts that share one program, because they differ in the lengths of IN lists or in the page that they ask for.

In: the text of a statement. Out: the text with one placeholder in the place of each ``IN (?, ?, ...)`` and of the number
after OFFSET at its end, which the cache of compiled statements is asked for, and how the parameters of a call become those
of the program. How long the lists are matters to the choice of a plan, so statements whose lists are of another order of
magnitude share nothing; nor do those with another LIMIT, or with an OFFSET of thousands.
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
_NEAR = 3  # digits after OFFSET; a page further away may want another plan


class Folded(NamedTuple):
    """A shape: ``sizes`` of the lists by parameter index, and how a call's parameters become the program's."""

    sql: str
    sizes: dict[int, int]
    slices: tuple[tuple[int, int], ...]  # of the call's parameters, each of which becomes one list
    total: int  # of the call's parameters
    skipped: tuple[int, ...]  # the number after OFFSET, which follows them


def fold(sql: str, style: str) -> Folded | None:
    """The shape of a text in a paramstyle; None for a text that has no lists and no OFFSET at its end."""
    has_lists = "IN (%s," in sql or "IN (?," in sql
    paged, offset, number = sql.rpartition(" OFFSET ")
    is_page = bool(offset) and len(number) <= _NEAR and number.isascii() and number.isdigit()
    if not (has_lists or is_page) or not _SHARING.match(sql) or _UNSAFE.search(sql):
        return None
    formats = "%s" in sql
    if formats and "?" in sql:  # one of them is none
        return None
    if is_page:
        mark, other = ("%s", "?") if style == "format" or (style == "auto" and formats) else ("?", "%s")
        if other in sql:
            return None
        sql = f"{paged} OFFSET {mark}"
    pieces, sizes, slices, count = _fold_lists(sql)
    if is_page:
        count -= 1
    return Folded("".join(pieces), sizes, tuple(slices), count, (int(number),) if is_page else ())


def _fold_lists(sql: str) -> tuple[list[str], dict[int, int], list[tuple[int, int]], int]:
    """Pieces of the folded text, sizes and slices of its lists, and the number of placeholders in the text."""
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
    return [*pieces, sql[copied:]], sizes, slices, count


def grouped(params: tuple[Any, ...], slices: tuple[tuple[int, int], ...]) -> tuple[Any, ...]:
    """The parameters with each slice as one item."""
    items: list[Any] = []
    at = 0
    for start, end in slices:
        items += params[at:start]
        items.append(params[start:end])
        at = end
    return (*items, *params[at:])
