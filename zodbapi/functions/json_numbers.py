"""Numbers of JSON texts that Python would write otherwise: ``1e5``, ``1.50``, ``-0``. They stay as they were written."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from zodbapi.record import record


@record(frozen=True, slots=True)
class Written:
    """A number whose text is another than Python's of its value."""

    text: str
    value: int | float


def _float(text: str) -> float | Written:
    value = float(text)
    return value if repr(value) == text else Written(text, value)


def _int(text: str) -> int | Written:
    return Written(text, 0) if text == "-0" else int(text)


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


_SPECIAL = re.compile(r"[.eE]\d|\d[eE]|-0")  # a text without these has no such number
_PLAIN: Final = json.JSONDecoder(parse_constant=_refuse_constant)
_KEEPING: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_float, parse_int=_int)


def decode(text: str) -> Any:
    """The document of a JSON text; ValueError or RecursionError if it is none."""
    decoder = _KEEPING if _SPECIAL.search(text) else _PLAIN
    try:
        document, end = decoder.scan_once(text, 0)  # type: ignore[attr-defined]
    except StopIteration:  # it starts with a space, or is no JSON
        return decoder.decode(text)
    return document if end == len(text) else decoder.decode(text)


class _NotPlain(Exception):
    """A document has a number that keeps its text."""


def _refuse(value: Any) -> Any:
    raise _NotPlain if isinstance(value, Written) else TypeError(type(value).__name__)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_refuse).encode
_encode_text = json.JSONEncoder(ensure_ascii=False).encode


def render(document: Any, indent: str | None = None) -> str:
    """The shortest JSON text of a document, or one with an element a line."""
    if indent is None:
        try:
            return _encode(document)
        except _NotPlain:
            pass
    return "".join(_pieces(document, indent, 1))


def _pieces(document: Any, indent: str | None, depth: int) -> list[str]:
    match document:
        case Written():
            return [document.text]
        case dict() | list() if document:
            outer = "" if indent is None else "\n" + indent * (depth - 1)
            inner = "" if indent is None else "\n" + indent * depth
            colon = ":" if indent is None else ": "
            is_object = isinstance(document, dict)
            pieces = ["{" if is_object else "["]
            for number, item in enumerate(document):
                pieces.append("," + inner if number else inner)
                if is_object:
                    pieces.append(_encode_text(item) + colon)
                pieces += _pieces(document[item] if is_object else item, indent, depth + 1)
            pieces.append(outer + ("}" if is_object else "]"))
            return pieces
        case _:
            return [_encode_text(document)]
