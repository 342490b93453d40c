"""LIKE, GLOB and REGEXP: patterns compiled once into functions from a text to a truth.

In: a pattern. Out: a cached matcher. A plain text with ``%`` at one or both ends becomes ``in``, ``startswith`` or
``endswith``; the rest becomes a regular expression whose parts do not backtrack into one another.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from zodbapi.errors import DataError, OperationalError
from zodbapi.values.collation import ascii_lower
from zodbapi.values.conversion import to_text

Matcher = Callable[[str], bool]
Fold = Callable[[str], str]

_FOLDS: dict[str, Fold | None] = {"none": None, "ascii": ascii_lower, "unicode": str.casefold}


@lru_cache(maxsize=512)
def like_matcher(pattern: str, escape: str | None = None, *, fold: str = "ascii") -> Matcher:
    """The matcher of a LIKE pattern.

    ``fold`` is ``ascii`` (SQLite's: A-Z equal a-z), ``none`` (case counts) or ``unicode`` (all letters fold).
    """
    change = _FOLDS[fold]
    segments = _segments(pattern, escape)
    if segments is None:
        return lambda text: False
    if change is not None:
        segments = [[piece if piece is None else change(piece) for piece in segment] for segment in segments]
    if len(segments) <= 3 and all(len(segment) <= 1 and None not in segment for segment in segments):
        literals = [segment[0] or "" if segment else "" for segment in segments]
        if len(literals) < 3:
            return _anchored(literals, change)
        if not literals[0] and not literals[2]:
            return _containing(literals[1], change)
    return _regular(segments, change, fold)


@lru_cache(maxsize=512)
def plain_texts(pattern: Any, escape: Any = None, *, fold: str) -> tuple[str | None, ...]:
    """The text of a pattern without ``_``, folded, in the place of its form; None in the other places.

    The forms are ``%text%``, ``text%``, ``text``, ``%text``, and ``%text%`` whose characters no folding changes or gives: it
    can be looked for in texts as they are. With the fold ``ascii`` texts are compared as ``str.lower`` makes them, where other
    letters would be missed.
    """
    segments = _plain_segments(pattern, escape)
    change = _FOLDS[fold]
    within = start = whole = end = unfolded = None
    match [] if segments is None else segments:
        case [[], [str() as text], []]:
            if change is None or not text.isascii() or text.lower() != text.upper():
                within = text
            else:
                unfolded = text
        case [[str() as text], []]:
            start = text
        case [[str() as text]]:
            whole = text
        case [[], [str() as text]]:
            end = text
    found = (within, start, whole, end, unfolded)
    if fold == "ascii" and not all(text is None or text.isascii() for text in found):
        return (None,) * len(found)
    return found if change is None else tuple([text and change(text) for text in found])


def _plain_segments(pattern: Any, escape: Any) -> list[list[str | None]] | None:
    if type(pattern) is not str or not (escape is None or (type(escape) is str and len(escape) == 1)):
        return None
    return _segments(pattern, escape)


def _segments(pattern: str, escape: str | None) -> list[list[str | None]] | None:
    """The pattern split at ``%``; each segment is literal texts and None for ``_``. None: it matches nothing."""
    if escape is not None:
        checked_escape(escape)
    segments: list[list[str | None]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            following = next(characters, None)
            if following is None:  # as in SQLite, an escape with nothing behind it
                return None
            _append(segments[-1], following)
        elif character == "%":
            if segments[-1] or len(segments) == 1:
                segments.append([])
        elif character == "_":
            segments[-1].append(None)
        else:
            _append(segments[-1], character)
    return segments


def _append(segment: list[str | None], character: str) -> None:
    if segment and segment[-1] is not None:
        segment[-1] += character
    else:
        segment.append(character)


def _anchored(literals: list[str], change: Fold | None) -> Matcher:
    """``text``, ``text%``, ``%text`` or ``start%end``."""
    if len(literals) == 1:
        (whole,) = literals
        return (lambda text: text == whole) if change is None else lambda text: change(text) == whole
    start, end = literals
    length = len(start) + len(end)
    if change is None:
        if not end:
            return lambda text: text.startswith(start)
        return lambda text: len(text) >= length and text.startswith(start) and text.endswith(end)
    if not end and change is ascii_lower:
        return lambda text: ascii_lower(text[:length]) == start
    if not end:
        return lambda text: change(text).startswith(start)

    def match(text: str) -> bool:
        text = change(text)
        return len(text) >= length and text.startswith(start) and text.endswith(end)

    return match


def _containing(literal: str, change: Fold | None) -> Matcher:
    """``%text%``."""
    if change is None:
        return lambda text: literal in text
    if change is ascii_lower:
        # str.lower is the same for ASCII texts and saves a call.
        return lambda text: literal in (text.lower() if text.isascii() else ascii_lower(text))
    return lambda text: literal in change(text)


def _regular(segments: list[list[str | None]], change: Fold | None, fold: str) -> Matcher:
    """A matcher by regular expression. The first place where a segment fits is as good as any later one, so each is atomic."""
    parts = ["".join("." if piece is None else re.escape(piece) for piece in segment) for segment in segments]
    first, *middle = parts
    last = middle.pop() if middle else None
    source = first + "".join(f"(?>.*?{part})" for part in middle)
    source += r"\Z" if last is None else rf".*{last}\Z" if last else ""
    if fold == "ascii":
        match = re.compile(source, re.DOTALL | re.IGNORECASE | re.ASCII).match
        return lambda text: match(text) is not None
    match = re.compile(source, re.DOTALL).match
    if change is None:
        return lambda text: match(text) is not None
    return lambda text: match(change(text)) is not None


@lru_cache(maxsize=512)
def glob_matcher(pattern: str) -> Matcher:
    """The matcher of a GLOB pattern: ``*``, ``?``, ``[a-z]``, ``[^a-z]``; case counts."""
    parts: list[str] = []
    position, stars = 0, 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            if not parts or parts[-1] != "*":
                parts.append("*")
                stars += 1
        elif character == "?":
            parts.append(".")
        elif character == "[":
            found = _glob_set(pattern, position)
            if found is None:
                return lambda text: False
            source, position = found
            parts.append(source)
        else:
            parts.append(re.escape(character))
    match = re.compile(_glob_source(parts), re.DOTALL).match
    return lambda text: match(text) is not None


def _glob_source(parts: list[str]) -> str:
    """Joins the parts, each run behind a star atomic, as in ``_regular``."""
    runs: list[str] = [""]
    for part in parts:
        if part == "*":
            runs.append("")
        else:
            runs[-1] += part
    if len(runs) == 1:
        return runs[0] + r"\Z"
    return runs[0] + "".join(f"(?>.*?{run})" for run in runs[1:-1]) + (rf".*{runs[-1]}\Z" if runs[-1] else "")


def _glob_set(pattern: str, position: int) -> tuple[str, int] | None:
    """The regular expression of a ``[...]`` whose bracket was just read, and where it ends; None when it never does."""
    inverted = pattern[position : position + 1] == "^"
    position += inverted
    start, items = position, []
    while position < len(pattern) and (pattern[position] != "]" or position == start):
        low = pattern[position]
        if pattern[position + 1 : position + 2] == "-" and pattern[position + 2 : position + 3] not in ("]", ""):
            high = pattern[position + 2]
            # An empty range still matches its first character, as in SQLite.
            items.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else re.escape(low))
            position += 3
        else:
            items.append(re.escape(low))
            position += 1
    if position >= len(pattern):
        return None
    body = "".join(items)
    if not body:
        return (r"." if inverted else r"(?!)"), position + 1
    return f"[{'^' if inverted else ''}{body}]", position + 1


@lru_cache(maxsize=512)
def regexp_matcher(pattern: str) -> Matcher:
    """The matcher of a REGEXP pattern, in Python's syntax; it matches anywhere in the text."""
    try:
        with warnings.catch_warnings():  # about what later versions of Python may take "[[" for
            warnings.simplefilter("ignore", FutureWarning)
            search = re.compile(pattern).search
    except (re.error, OverflowError, RecursionError) as error:
        raise DataError(f"invalid regular expression: {error}") from error
    return lambda text: search(text) is not None


def like(pattern: Any, text: Any, *escape: Any) -> int | None:
    """``text LIKE pattern [ESCAPE escape]``: ASCII letters match in both cases. Blobs match nothing, not even NULL."""
    if escape == (None,):
        pattern = pattern if type(pattern) is bytes else None
        escape = ()
    return _match(pattern, text, escape[0] if escape else None, "ascii")


def clike(pattern: Any, text: Any, escape: Any = None) -> int | None:
    """LIKE in which case counts."""
    return _match(pattern, text, escape, "none")


def ilike(pattern: Any, text: Any, escape: Any = None) -> int | None:
    """LIKE in which the letters of all scripts match in both cases."""
    return _match(pattern, text, escape, "unicode")


def _match(pattern: Any, text: Any, escape: Any, fold: str) -> int | None:
    if type(pattern) is bytes or type(text) is bytes:
        return 0
    if escape is not None:
        escape = checked_escape(escape)
    if pattern is None or text is None:
        return None
    return 1 if like_matcher(to_text(pattern), escape, fold=fold)(to_text(text)) else 0


def checked_escape(escape: Any) -> str:
    """The escape character of a LIKE; OperationalError if it is none."""
    text = to_text(escape)
    if len(text) != 1:
        raise OperationalError("ESCAPE expression must be a single character")
    return text


def glob(pattern: Any, text: Any) -> int | None:
    """``text GLOB pattern``. Blobs match nothing."""
    if type(pattern) is bytes or type(text) is bytes:
        return 0
    if pattern is None or text is None:
        return None
    return 1 if glob_matcher(to_text(pattern))(to_text(text)) else 0


def regexp(pattern: Any, text: Any) -> int | None:
    """``text REGEXP pattern``."""
    if pattern is None or text is None:
        return None
    return 1 if regexp_matcher(to_text(pattern))(to_text(text)) else 0
