"""Functions on texts and blobs, pattern matching included.

In: native values; a number counts as its text. Out: SQLite's results, except that ``upper`` and ``lower`` know the letters
of all scripts. ``lpad``, ``rpad``, ``repeat``, ``reverse`` have the meaning that Django gives them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import date, time, timedelta
from typing import Any
from uuid import UUID

from zodbapi.catalog import BLOB, INTEGER, TEXT
from zodbapi.errors import DataError
from zodbapi.functions import result_types
from zodbapi.functions.format import format_text
from zodbapi.functions.registry import Function
from zodbapi.values import (
    clike,
    exact_float,
    glob,
    glob_matcher,
    ilike,
    like,
    like_matcher,
    regexp,
    regexp_matcher,
    to_integer,
    to_text,
)
from zodbapi.values.pattern import checked_escape

__all__ = ["FUNCTIONS", "MATCHERS", "like_matcher"]

MAX_LENGTH = 1_000_000_000  # as SQLite's SQLITE_MAX_LENGTH


def length(value: Any) -> int:
    """Characters of a text, bytes of a blob."""
    kind = type(value)
    return len(value) if kind is str or kind is bytes else len(to_text(value))


def octet_length(value: Any) -> int:
    """Bytes of the UTF-8 text, or of the blob."""
    return len(_bytes(value))


def _bytes(value: Any) -> bytes:
    return value if type(value) is bytes else to_text(value).encode("utf-8", "surrogatepass")


def upper(value: Any) -> str:
    """The text in upper case, all scripts."""
    return value.upper() if type(value) is str else to_text(value).upper()


def lower(value: Any) -> str:
    """The text in lower case, all scripts."""
    return value.lower() if type(value) is str else to_text(value).lower()


def trim(value: Any, characters: Any = " ") -> str:
    """The text without these characters at both ends."""
    return to_text(value).strip(to_text(characters)) if characters != "" else to_text(value)


def ltrim(value: Any, characters: Any = " ") -> str:
    """The text without these characters at its start."""
    return to_text(value).lstrip(to_text(characters)) if characters != "" else to_text(value)


def rtrim(value: Any, characters: Any = " ") -> str:
    """The text without these characters at its end."""
    return to_text(value).rstrip(to_text(characters)) if characters != "" else to_text(value)


def replace(value: Any, old: Any, new: Any) -> str:
    """The text with every ``old`` replaced."""
    text, old = to_text(value), to_text(old)
    return text.replace(old, to_text(new)) if old else text


def substr(value: Any, start: Any, count: Any = None) -> Any:
    """``count`` characters from the one numbered ``start``, which counts from 1, or from the end if negative.

    A negative count takes the characters before ``start``. Of a blob, bytes.
    """
    if type(value) is str and type(start) is type(count) is int and start > 0 <= count:
        return value[start - 1 : start - 1 + count]
    whole = value if type(value) is bytes else to_text(value)
    start, wanted = to_integer(start), len(whole) if count is None else to_integer(count)
    first = start - 1 if start > 0 else start + len(whole) if start < 0 else -1
    if start == 0 and count is None:
        return whole
    if start == 0 and wanted > 0:
        return whole[: wanted - 1]
    if start == 0:
        return whole[:0]
    if wanted < 0:
        first, wanted = first + wanted, -wanted
    end = len(whole) if count is None else first + wanted
    return whole[max(first, 0) : max(end, 0)]


def instr(value: Any, part: Any) -> int:
    """Where ``part`` first occurs, from 1; 0 if it does not. In bytes if both are blobs."""
    if type(value) is type(part) and type(part) in (str, bytes):
        return value.find(part) + 1  # type: ignore[no-any-return]
    return to_text(value).find(to_text(part)) + 1


def hex_text(value: Any) -> str:
    """The bytes of the value in upper-case hexadecimal digits; NULL is the empty text."""
    return "" if value is None else _bytes(value).hex().upper()


def unhex(value: Any, ignored: Any = "") -> bytes | None:
    """The blob that a hexadecimal text spells; NULL if it does not. Characters of ``ignored`` may stand between pairs."""
    text, skipped = to_text(value), to_text(ignored)
    pairs: list[str] = []
    position = 0
    while position < len(text):
        if text[position] in skipped:
            position += 1
            continue
        pairs.append(text[position : position + 2])
        position += 2
    digits = "".join(pairs)
    if any(character not in "0123456789abcdefABCDEF" for character in digits) or len(digits) % 2:
        return None
    return bytes.fromhex(digits)


def quote(value: Any) -> str:
    """The SQL literal of a value."""
    match value:
        case None:
            return "NULL"
        case bytes():
            return f"X'{value.hex().upper()}'"
        case bool():
            return "1" if value else "0"
        case float():
            return {"inf": "9.0e+999", "-inf": "-9.0e+999"}.get(repr(value)) or exact_float(value)
        case str() | date() | time() | timedelta() | UUID():
            return "'" + to_text(value).replace("'", "''") + "'"
        case _:
            return to_text(value)


def char(*codes: Any) -> str:
    """The text of these code points."""
    points = (0 if code is None else to_integer(code) for code in codes)
    return "".join(chr(p) if 0 <= p < 0x110000 else "\ufffd" for p in points)


def code_point(value: Any) -> int | None:
    """The code point of the first character; NULL for an empty text."""
    text = to_text(value)
    return ord(text[0]) if text and text[0] != "\0" else None


_SOUNDEX = {**dict.fromkeys("BFPV", "1"), **dict.fromkeys("CGJKQSXZ", "2"), **dict.fromkeys("DT", "3"), "L": "4",
            **dict.fromkeys("MN", "5"), "R": "6"}  # fmt: skip


def soundex(value: Any) -> str:
    """The Soundex code of a word; ``?000`` for NULL and for what has no ASCII letter."""
    word = "" if value is None else to_text(value)
    start = next((i for i, character in enumerate(word) if character.isascii() and character.isalpha()), None)
    if start is None:
        return "?000"
    code = word[start].upper()
    last = _SOUNDEX.get(code, "")
    for character in word[start + 1 :].upper():
        digit = _SOUNDEX.get(character, "") if character.isascii() else ""
        if digit and digit != last:
            code += digit
        last = digit
        if len(code) == 4:
            break
    return code.ljust(4, "0")


def concat(*args: Any) -> str:
    """All arguments as one text; NULL counts as nothing."""
    return "".join(to_text(arg) for arg in args if arg is not None)


def concat_ws(separator: Any, *args: Any) -> str | None:
    """All arguments that are not NULL, with the separator between them; NULL if the separator is."""
    return None if separator is None else to_text(separator).join(to_text(arg) for arg in args if arg is not None)


def lpad(value: Any, width: Any, fill: Any = " ") -> str:
    """The text filled on the left, or cut on the right, to this width."""
    text, size, filling = to_text(value), _size(width), to_text(fill)
    missing = size - len(text)
    return (filling * missing)[:missing] + text if missing > 0 else text[:size]


def rpad(value: Any, width: Any, fill: Any = " ") -> str:
    """The text filled or cut on the right to this width."""
    text, size, filling = to_text(value), _size(width), to_text(fill)
    return (text + filling * max(size - len(text), 0))[:size]


def repeat(value: Any, count: Any) -> str:
    """The text this many times."""
    text = to_text(value)
    return text * _size(count, len(text))


def _size(count: Any, unit: int = 1) -> int:
    size = max(to_integer(count), 0)
    if size * unit > MAX_LENGTH:
        raise DataError("string or blob too big")
    return size


def reverse(value: Any) -> str:
    """The text back to front."""
    return to_text(value)[::-1]


def zeroblob(size: Any) -> bytes:
    """A blob of zeros; NULL counts as 0."""
    return b"" if size is None else bytes(_size(size))


def randomblob(size: Any) -> bytes:
    """A blob of random bytes, at least one."""
    return secrets.token_bytes(max(_size(size), 1))


def starts_with(value: Any, prefix: Any) -> int:
    """1 if the text starts with the prefix, case counting, else 0."""
    return 1 if to_text(value).startswith(to_text(prefix)) else 0


def unknown(text: str) -> bool:
    """The matcher of a NULL pattern: nothing is known to match, and the value of the call is NULL."""
    return False


def _never(text: str) -> bool:
    return False


def _like_factory(fold: str) -> Callable[..., Callable[[str], bool]]:
    def factory(pattern: Any, escape: Any = None) -> Callable[[str], bool]:
        if type(pattern) is bytes:
            return _never
        character = None if escape is None else checked_escape(escape)
        return unknown if pattern is None else like_matcher(to_text(pattern), character, fold=fold)

    return factory


def _glob_factory(pattern: Any) -> Callable[[str], bool]:
    if type(pattern) is bytes:
        return _never
    return unknown if pattern is None else glob_matcher(to_text(pattern))


def _regexp_factory(pattern: Any) -> Callable[[str], bool]:
    return unknown if pattern is None else regexp_matcher(to_text(pattern))


# Function name -> factory ``(pattern[, escape])`` of a matcher, for patterns that are the same for all rows. The factory may
# raise, for a bad pattern or ESCAPE. For NULL it gives ``unknown``.
MATCHERS: dict[str, Callable[..., Callable[[str], bool]]] = {
    "like": _like_factory("ascii"),
    "clike": _like_factory("none"),
    "ilike": _like_factory("unicode"),
    "glob": _glob_factory,
    "regexp": _regexp_factory,
}

FUNCTIONS: tuple[Function, ...] = (
    Function("length", length, 1, 1, nullable=False, safe=True, result=INTEGER),
    Function("char_length", length, 1, 1, nullable=False, safe=True, result=INTEGER),
    Function("octet_length", octet_length, 1, 1, nullable=False, safe=True, result=INTEGER),
    Function("upper", upper, 1, 1, nullable=False, safe=True, result=TEXT),
    Function("lower", lower, 1, 1, nullable=False, safe=True, result=TEXT),
    Function("trim", trim, 1, 2, nullable=False, safe=True, result=TEXT),
    Function("ltrim", ltrim, 1, 2, nullable=False, safe=True, result=TEXT),
    Function("rtrim", rtrim, 1, 2, nullable=False, safe=True, result=TEXT),
    Function("replace", replace, 3, 3, nullable=False, safe=True, result=TEXT),
    Function("substr", substr, 2, 3, nullable=False, safe=True, result=result_types.text_or_blob),
    Function("substring", substr, 2, 3, nullable=False, safe=True, result=result_types.text_or_blob),
    Function("instr", instr, 2, 2, nullable=False, safe=True, result=INTEGER),
    Function("hex", hex_text, 1, 1, strict=False, nullable=False, safe=True, result=TEXT),
    Function("unhex", unhex, 1, 2, safe=True, result=BLOB),
    Function("quote", quote, 1, 1, strict=False, nullable=False, safe=True, result=TEXT),
    Function("char", char, 0, -1, strict=False, nullable=False, safe=True, result=TEXT),
    Function("unicode", code_point, 1, 1, safe=True, result=INTEGER),
    Function("soundex", soundex, 1, 1, strict=False, nullable=False, safe=True, result=TEXT),
    Function("concat", concat, 1, -1, strict=False, nullable=False, safe=True, result=TEXT),
    Function("concat_ws", concat_ws, 2, -1, strict=False, safe=True, result=TEXT),
    Function("format", format_text, 0, -1, strict=False, result=TEXT),
    Function("printf", format_text, 0, -1, strict=False, result=TEXT),
    Function("lpad", lpad, 2, 3, nullable=False, result=TEXT),
    Function("rpad", rpad, 2, 3, nullable=False, result=TEXT),
    Function("repeat", repeat, 2, 2, nullable=False, result=TEXT),
    Function("reverse", reverse, 1, 1, nullable=False, safe=True, result=TEXT),
    Function("starts_with", starts_with, 2, 2, nullable=False, safe=True, result=INTEGER),
    Function("zeroblob", zeroblob, 1, 1, strict=False, nullable=False, result=BLOB),
    Function("randomblob", randomblob, 1, 1, nullable=False, deterministic=False, result=BLOB),
    Function("like", like, 2, 3, nullable=False, result=INTEGER),
    Function("clike", clike, 2, 3, nullable=False, result=INTEGER),
    Function("ilike", ilike, 2, 3, nullable=False, result=INTEGER),
    Function("glob", glob, 2, 2, nullable=False, safe=True, result=INTEGER),
    Function("regexp", regexp, 2, 2, nullable=False, result=INTEGER),
)
