"""JSON texts as documents: each text is parsed once and remembered, and a constant path becomes a function.

In: JSON text. Out: the document, which is shared: copy it before changing it. What is remembered is bounded by an estimate
of its memory, in two generations as in the cache of statements: when the young one is full it becomes the old one, from which
what is asked for again moves back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from zodbapi.errors import OperationalError
from zodbapi.functions.json_numbers import decode
from zodbapi.functions.json_path import MISSING, Path, find
from zodbapi.values import to_text

ROOM: Final = 16_000_000  # estimated bytes of the documents of one generation
_FIXED, _PER_CHARACTER = 300, 4


class Documents:
    """Remembers what texts say. ``young.get`` is the fast way in; it gives MISSING, or nothing, for a text not seen lately."""

    def __init__(self, room: int = ROOM) -> None:
        self.young: dict[Any, Any] = {}
        self._old: dict[Any, Any] = {}
        self._room = self._left = room

    def read(self, text: str) -> Any:
        """The document of a text that the young generation does not have."""
        document = self._old.get(text, MISSING)
        if document is MISSING:
            document = decode(text)
        cost = _FIXED + _PER_CHARACTER * len(text)
        if cost > self._room // 8:
            return document
        if self._left < cost:
            self._old, self.young, self._left = self.young, {}, self._room
        self._left -= cost
        self.young[text] = document
        return document


DOCUMENTS: Final = Documents()


def parse(value: Any) -> Any:
    """The document of a JSON text, or of a number or boolean."""
    text = value if type(value) is str else str(value) if isinstance(value, str) else _operand(value)
    document = DOCUMENTS.young.get(text, MISSING)
    if document is not MISSING:
        return document
    try:
        return DOCUMENTS.read(text)
    except (ValueError, RecursionError) as error:
        raise OperationalError("malformed JSON") from error


def _operand(value: Any) -> str:
    if type(value) is bytes:
        raise OperationalError("JSON cannot hold BLOB values")
    return ("true" if value else "false") if type(value) is bool else to_text(value)


def reader(path: Path, result: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of a JSON text: ``result`` of what stands at the path, NULL where nothing does."""
    if len(path) == 1 and type(path[0]) is str:
        return _member_reader(path[0], result)

    def read(value: Any) -> Any:
        document = DOCUMENTS.young.get(value, MISSING)
        found = find(parse(value) if document is MISSING else document, path)
        return None if found is MISSING else result(found)

    return read


def _member_reader(name: str, result: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The usual case: a member of an object."""

    def read(value: Any) -> Any:
        document = DOCUMENTS.young.get(value, MISSING)
        if document is MISSING:
            document = parse(value)
        if type(document) is not dict:
            return None
        found = document.get(name, MISSING)
        return None if found is MISSING else result(found)

    return read
