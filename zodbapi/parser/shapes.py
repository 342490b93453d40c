"""Shapes: texts that share one program, because they differ in literals, in the lengths of IN lists or in the page.

In: the text of a statement. Out: the text with one placeholder in the place of each ``IN (?, ?, ...)``, of each
``IN ((?, ?), (?, ?), ...)``, of each literal that a condition compares something with or UPDATE assigns, and of the number
after OFFSET at its end, which the cache of compiled statements is asked for; and how the parameters of a call become those
of the program.

How long the lists are matters to the choice of a plan, so statements whose lists are of another order of magnitude share
nothing; nor do those with another LIMIT, or with an OFFSET of thousands. A literal stays where it is a name of the result,
where two places must have the same expression (GROUP BY), and where an index is told by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from zodbapi.record import field, record

_NUMBER = r"-?\d{1,18}(?:\.\d{1,15})?"
_STRING = r"'[^'%]*(?:''[^'%]*)*'"
_LITERAL = rf"{_NUMBER}|{_STRING}"
_LITERALS = re.compile(_LITERAL)
# What a text has that may have something to fold: searches that begin with a text or a set of characters are fast.
_LISTED = re.compile(r"IN \((?:(?:VALUES )?\()?(?:%s|\?),")
_COMPARED = tuple(map(re.compile, (r"[<>=] ?[-\d']", r"IN \([-\d']", r"in \([-\d']", r"= NULL\b")))
_LISTS = r"""\bIN[ ]\((?P<list>(?P<mark>%s|\?)(?:,[ ]?(?P=mark))+)\)
    | \bIN[ ]\((?P<rows>(?:VALUES[ ])?(?P<row>\((?P<item>%s|\?)(?:,[ ]?(?P=item))+\))(?:,[ ]?(?P=row))+)\)
    | '[^']*' | "[^"]*" | %s | \?"""
_LIST_PARTS = re.compile(_LISTS, re.VERBOSE)
_PARTS = re.compile(
    rf"""(?<=["\w)])[ ]?(?:<>|!=|<=|>=|==?|<|>)[ ]?(?P<literal>{_LITERAL}|NULL)
        (?=\s*(?:[,)]|$|(?:AND|OR|WHERE|ORDER|GROUP|LIMIT|HAVING|UNION|RETURNING)\b))
    | \bIN[ ]\((?P<literals>{_NUMBER}(?:,[ ]?{_NUMBER})*|{_STRING}(?:,[ ]?{_STRING})*)\)
    | {_LISTS}
    | (?P<word>\b(?:SELECT|SET|WHERE|GROUP|ORDER|HAVING|UNION|EXCEPT|INTERSECT|WINDOW|LIMIT|RETURNING|FILTER)\b)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_UNSAFE = re.compile(r"[`\[:@$;]|\?\d|--|/\*|%[^s]")  # other quotes, comments and placeholders: left to the parser
_SHARING = re.compile(r"\s*(SELECT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
_AFTER_NUMBER = re.compile(r"(?<![\w\"])[\d.]+ ?$")
_SIZES = ((8, 4), (64, 25), (512, 200))  # lists of at most so many items are planned as if they had so many
_MANY = 2000
_MOST_LITERALS = 20
_TYPES = {int: "INTEGER", float: "REAL", str: "TEXT"}
_NEAR = 3  # digits after OFFSET; a page further away may want another plan


class Folded(NamedTuple):
    """A shape: what each of its placeholders stands for, and how a call's parameters become the program's.

    ``places`` has for each placeholder the index of the program's parameter, one after the other; of a list with ``:~`` and
    about how many items it has, and of a list of rows with ``*`` and their width; of what was a literal with ``=`` and the name
    of its type. ``order`` has for each of them the index among the call's parameters, lists as one, and the values after them.
    """

    sql: str
    places: tuple[str, ...]
    slices: tuple[tuple[int, int, int], ...]  # of the call's parameters: start, end, width of rows (0: no rows)
    total: int  # of the call's parameters
    values: tuple[Any, ...]  # of the literals, which follow them
    order: tuple[int, ...]  # () for one after the other


def fold(sql: str, style: str, pinned: str = "") -> Folded | None:
    """The shape of a text in a paramstyle; None for a text that has nothing to fold.

    Literals that are part of ``pinned`` stay.
    """
    has_lists = _LISTED.search(sql) is not None
    paged, offset, number = sql.rpartition(" OFFSET ")
    is_page = bool(offset) and len(number) <= _NEAR and number.isascii() and number.isdigit()
    is_compared = any(compared.search(sql) for compared in _COMPARED)
    kind = _SHARING.match(sql) if has_lists or is_page or is_compared else None
    if kind is None:
        return None
    formats = "%s" in sql
    if formats and "?" in sql:  # one of them is none
        return None
    mark, other = ("%s", "?") if style == "format" or (style == "auto" and formats) else ("?", "%s")
    folding = _Folding(mark, pinned, may_lift=is_compared and other not in sql and kind[1].upper() != "WITH")
    folding.scan(paged if is_page else sql)
    if is_page:
        if other in sql:
            return None
        folding.pieces.append(f" OFFSET {mark}")
        folding.lift(int(number))
    folded = folding.folded()
    found = folded is not None and not _UNSAFE.search(folded.sql)
    return folded if found else None


@record(slots=True)
class _Folding:
    """What was folded so far."""

    mark: str
    pinned: str
    may_lift: bool
    pieces: list[str] = field(default_factory=list)
    places: list[tuple[int, str]] = field(default_factory=list)  # what is lifted has -1, -2...
    assigning: bool = False  # between SET and WHERE
    slices: list[tuple[int, int, int]] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    items: int = 0  # parameters of the call, with each list as one
    total: int = 0

    def scan(self, sql: str) -> None:
        """Folds the parts of a text."""
        copied = selects = 0
        lifting = False
        for found in (_PARTS if self.may_lift else _LIST_PARTS).finditer(sql):
            group = found.lastgroup
            if group == "word":
                word = found[0].upper()
                selects += word == "SELECT"
                self.assigning = word == "SET"
                if word == "WHERE" or word == "SET":
                    lifting = lifting or (self.may_lift and selects <= (word == "WHERE"))
                elif word != "SELECT":
                    lifting = self.may_lift = False
            elif group == "list":
                self.pieces += (sql[copied : found.start("list")], found["mark"])
                copied = found.end("list")
                self._add_list(found["list"].count(",") + 1)
            elif group == "rows":
                self.pieces += (sql[copied : found.start("rows")], found["item"])
                copied = found.end("rows")
                width = found["row"].count(",") + 1
                self._add_list(width * found["rows"].count("("), width)
            elif group == "literal" or group == "literals":
                text = found[group]
                if lifting and not self._stays(sql, found, text):
                    self.pieces += (sql[copied : found.start(group)], self.mark)
                    copied = found.end(group)
                    self._lift(text, group == "literals")
            elif found[0] in ("%s", "?"):
                self.places.append((self.items, ""))
                self.items += 1
                self.total += 1
        self.pieces.append(sql[copied:])

    def _add_list(self, length: int, width: int = 0) -> None:
        self.slices.append((self.total, self.total + length, width))
        self.places.append((self.items, f":~{_size(length // width)}*{width}" if width else f":~{_size(length)}"))
        self.items += 1
        self.total += length

    def _stays(self, sql: str, found: re.Match[str], text: str) -> bool:
        if text.upper() == "NULL" and not self.assigning:
            return True
        if self.pinned and any(literal in self.pinned for literal in _LITERALS.findall(text)):
            return True
        return _AFTER_NUMBER.search(sql, max(found.start() - 20, 0), found.start()) is not None

    def _lift(self, text: str, is_list: bool) -> None:
        if not is_list:
            self.lift(_value(text))
            return
        items = tuple([_value(literal) for literal in _LITERALS.findall(text)])
        kinds = {type(item) for item in items}
        self.lift(items, f":~{_size(len(items))}", kinds.pop() if len(kinds) == 1 else None)

    def lift(self, value: Any, size: str = "", kind: type | None = None) -> None:
        """Makes a literal, whose placeholder was written, a parameter."""
        self.values.append(value)
        name = _TYPES.get(kind or type(value))
        self.places.append((-len(self.values), f"{size}={name}" if name else size))

    def folded(self) -> Folded | None:
        """The shape, if anything was folded, and not so many literals that no other text will have as many."""
        if len(self.values) > _MOST_LITERALS or not (self.values or self.slices):
            return None
        # So that texts that have literals in other places, as NULL among what UPDATE assigns, share a program too.
        places = [f"{index}{more}" for index, (_, more) in enumerate(self.places)]
        order = [self.items - 1 - index if index < 0 else index for index, _ in self.places]
        if order == sorted(order):
            order = []
        return Folded(
            "".join(self.pieces), tuple(places), tuple(self.slices), self.total, tuple(self.values), tuple(order)
        )


_CELL = rf"(?:{_NUMBER}|'[^']*(?:''[^']*)*'|NULL)"
_ROW = rf"\(\s*{_CELL}(?:\s*,\s*{_CELL})*\s*\)"
_CELLS = re.compile(_CELL, re.IGNORECASE)
_LITERAL_ROWS = re.compile(
    rf"""(\s*(?:INSERT(?:\s+OR\s+\w+)?|REPLACE)\s+INTO\s+(?:"[^"]*"|\w+)\s*(?:\([\w\s,"]*\))?\s*VALUES)
        \s*({_ROW}(?:\s*,\s*{_ROW})*)\s*;?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_ROWS = re.compile(_ROW, re.IGNORECASE)


def lift_rows(sql: str) -> tuple[str, tuple[Any, ...]] | None:
    """An INSERT of rows of literals with a ``?`` for each of them, and their values; None for any other text."""
    found = _LITERAL_ROWS.fullmatch(sql)
    if found is None:
        return None
    rows = [_CELLS.findall(row) for row in _ROWS.findall(found[2])]
    width = len(rows[0])
    if any(len(row) != width for row in rows):
        return None
    marks = f"({', '.join('?' * width)})"
    return f"{found[1]} {', '.join([marks] * len(rows))}", tuple([_value(cell) for row in rows for cell in row])


def _size(length: int) -> int:
    return next((size for most, size in _SIZES if length <= most), _MANY)


def _value(literal: str) -> Any:
    if literal[0] == "'":
        return literal[1:-1].replace("''", "'")
    if literal[0] in "nN":
        return None
    return float(literal) if "." in literal else int(literal)


def grouped(params: tuple[Any, ...], slices: Iterable[tuple[int, int, int]]) -> tuple[Any, ...]:
    """The parameters with each slice as one item."""
    items: list[Any] = []
    at = 0
    for start, end, width in slices:
        items += params[at:start]
        found = params[start:end]
        items.append(tuple(zip(*[iter(found)] * width, strict=True)) if width else found)
        at = end
    return (*items, *params[at:])
