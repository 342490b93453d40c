"""JSON paths: ``$.key[0]."quoted key"[#-1]`` read into steps.

In: the text of a path. Out: a tuple of steps: a str for a member, an int for an element (from the start), ``FromEnd(n)`` for
an element counted from the end (``[#-n]``; ``[#]`` is the place behind the last).
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from zodbapi.errors import OperationalError
from zodbapi.record import record

_INDEX = re.compile(r"\[(?:(\d{1,18})|#(?:-(\d{1,18}))?)\]", re.ASCII)
_NAME = re.compile(r'\.(?:"((?:[^"\\]|\\.)*)"|([^.\["][^.\[]*))')


@record(frozen=True, slots=True)
class FromEnd:
    """The element ``back`` places before the end; 0 is the place behind the last."""

    back: int


Step = str | int | FromEnd
Path = tuple[Step, ...]

MISSING: Any = object()  # what a path that leads nowhere finds; None is JSON's null


@lru_cache(maxsize=512)
def parse_path(text: str) -> Path:
    """The steps of a path; OperationalError if it is not one."""
    if not text.startswith("$"):
        raise OperationalError(f"JSON path error near '{text}'")
    steps: list[Step] = []
    position = 1
    while position < len(text):
        match = _NAME.match(text, position) or _INDEX.match(text, position)
        if match is None:
            rest = text[position:]
            raise OperationalError(f"JSON path error near '{rest.removeprefix('.')}'")
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    first, second = match.groups()
    if match.re is _NAME:
        return second if first is None else _unescaped(first)
    return int(first) if first is not None else FromEnd(int(second or 0))


def _unescaped(name: str) -> str:
    if "\\" not in name:
        return name
    try:
        return str(json.loads(f'"{name}"'))
    except ValueError:
        return name


@lru_cache(maxsize=512)
def arrow_path(operand: str) -> Path:
    """The path that the right operand of ``->`` or ``->>`` means if it is a text: a path, or else the name of a member."""
    if operand.startswith("$"):
        return parse_path(operand)
    if operand.startswith("[") and operand.endswith("]") and _INDEX.fullmatch(operand):
        return parse_path("$" + operand)
    return (operand,)


def find(document: Any, path: Path) -> Any:
    """What stands at the path, or MISSING."""
    for step in path:
        if type(step) is str:
            if type(document) is not dict or step not in document:
                return MISSING
            document = document[step]
        elif type(document) is not list:
            return MISSING
        else:
            index = position(step, len(document))
            if not 0 <= index < len(document):
                return MISSING
            document = document[index]
    return document


def position(step: Step, length: int) -> int:
    """The index that a step means in an array of that length; it may be outside."""
    return length - step.back if isinstance(step, FromEnd) else int(step)


def extended(path: str, step: str | int) -> str:
    """The text of the path one step further down, as ``json_each`` shows it."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    if step.isascii() and step.isalnum() and step[0].isalpha():
        return f"{path}.{step}"
    return f"{path}.{json.dumps(step, ensure_ascii=False)}"
