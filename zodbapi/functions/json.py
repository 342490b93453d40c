"""JSON functions over JSON texts.

In: JSON as text, and paths. Out: SQLite's results. What is a JSON value and what is a mere text is decided by static types:
arguments of type JSON (JSON columns, results of json functions and of ``->``) come wrapped as ``Json``, so that
``json_array(json('[1]'))`` is ``[[1]]``; any other text becomes a JSON string. ``Json`` never leaves a call: results are plain
texts.

Better than SQLite on purpose: booleans become true and false, decimals keep their digits, dates and UUIDs become strings.
Differs: escapes in texts that pass through an editing function are written anew, and of equal names in one object the
last counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

from zodbapi.catalog import ANY, INTEGER, JSON, TEXT
from zodbapi.errors import OperationalError
from zodbapi.functions.aggregate import Collected
from zodbapi.functions.json_documents import parse, reader
from zodbapi.functions.json_numbers import Written, decode, render
from zodbapi.functions.json_path import (
    MISSING,
    Path,
    arrow_path,
    find,
    parse_path,
    position,
)
from zodbapi.functions.registry import AggregateFunction, Function
from zodbapi.values import MAX_INTEGER, MIN_INTEGER, exact_float, to_text


class Json(str):
    """A JSON text passed as an argument that is known to be JSON."""

    __slots__ = ()


def mark(value: Any) -> Any:
    """A value of static type JSON as the argument of a function with ``json_args``."""
    return Json(value) if type(value) is str else value


# What the binder puts around such an argument. No user can write its name.
MARK = Function("json argument", mark, 1, 1, nullable=False, safe=True, result=JSON)

# --- reading and writing --------------------------------------------------------------------------------------------


_encode_text = json.JSONEncoder(ensure_ascii=False).encode


def encode(value: Any) -> str:
    """The JSON text of an SQL value: JSON stays, other texts become strings."""
    kind = type(value)
    if kind is Json:
        return str(value)
    if kind is str:
        return _encode_text(value)
    if kind is int:
        return str(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return exact_float(value) if math.isfinite(value) else ("9.0e+999" if value > 0 else "-9.0e+999")
    if kind is Decimal:
        return to_text(value)
    if kind is bytes:
        raise OperationalError("JSON cannot hold BLOB values")
    return _encode_text(to_text(value))


def document_of(value: Any) -> Any:
    """An SQL value as part of a document."""
    kind = type(value)
    if kind is Json:
        return deepcopy(parse(value))
    return value if kind is str or kind is int or value is None or kind is bool else decode(encode(value))


def sql_value(document: Any) -> Any:
    """A part of a document as an SQL value: arrays and objects as JSON text, true as 1, null as NULL."""
    kind = type(document)
    if kind is str or document is None:
        return document
    if kind is int:
        return document if MIN_INTEGER <= document <= MAX_INTEGER else float(document)
    if kind is float:
        return document
    if kind is Written:
        return document.value
    return int(document) if kind is bool else render(document)


_NAMES: dict[type, str] = {
    type(None): "null", int: "integer", float: "real", str: "text", list: "array", dict: "object",
}  # fmt: skip


def type_name(document: Any) -> str:
    """SQLite's name of a JSON type."""
    if type(document) is bool:
        return "true" if document else "false"
    return _NAMES[type(document.value if type(document) is Written else document)]


# --- with a path that is known before the rows -----------------------------------------------------------------------


def reading(
    function: Callable[..., Any], result: Callable[[Any], Any], path_of: Callable[[str], Path] = parse_path
) -> Callable[..., Callable[[Any], Any]]:
    """What makes, of a path, the function of the document alone: ``result`` of what stands there.

    An argument that is no path fails when the function is called, as ``function`` does.
    """

    def prepare(path: Any) -> Callable[[Any], Any]:
        try:
            steps = path_of(path) if type(path) is str else None
        except OperationalError:
            steps = None
        return (lambda value: function(value, path)) if steps is None else reader(steps, result)

    return prepare


# --- scalar functions -----------------------------------------------------------------------------------------------


def json_text(value: Any) -> str:
    """``json(x)``: the text without needless spaces; an error if it is no JSON."""
    return render(parse(value))


def json_valid(value: Any) -> int:
    """1 if the text is JSON, else 0."""
    if value is None or type(value) is bytes:
        return 0
    try:
        parse(value)
    except OperationalError:
        return 0
    return 1


def json_quote(value: Any) -> str:
    """The JSON text of an SQL value."""
    return encode(value)


def json_array(*args: Any) -> str:
    """The array of the arguments."""
    return "[" + ",".join(map(encode, args)) + "]"


def json_object(*args: Any) -> str:
    """The object of name and value pairs."""
    if len(args) % 2:
        raise OperationalError("json_object() requires an even number of arguments")
    return "{" + ",".join(_member(args[i], args[i + 1]) for i in range(0, len(args), 2)) + "}"


def _member(name: Any, value: Any) -> str:
    if not isinstance(name, str):
        raise OperationalError("json_object() labels must be TEXT")
    return f"{_encode_text(str(name))}:{encode(value)}"


def json_extract(value: Any, *paths: Any) -> Any:
    """The SQL value at the path; with several paths the array of what stands at each, null where nothing does."""
    if not paths or any(path is None for path in paths):
        return None
    document = parse(value)
    if len(paths) == 1:
        found = find(document, parse_path(to_text(paths[0])))
        return None if found is MISSING else sql_value(found)
    parts = (find(document, parse_path(to_text(path))) for path in paths)
    return render([None if part is MISSING else part for part in parts])


def _arrow(value: Any, operand: Any) -> Any:
    document = parse(value)
    if isinstance(operand, int):
        return find(document, (int(operand),))
    return find(document, arrow_path(to_text(operand)))


def arrow_json(value: Any, operand: Any) -> str | None:
    """``value -> operand``: the JSON text of what stands there."""
    found = _arrow(value, operand)
    return None if found is MISSING else render(found)


def arrow_sql(value: Any, operand: Any) -> Any:
    """``value ->> operand``: the SQL value of what stands there."""
    found = _arrow(value, operand)
    return None if found is MISSING else sql_value(found)


def json_extract_marked(value: Any, *paths: Any) -> Any:
    """``json_extract`` as a direct argument of a function with ``json_args``: arrays and objects stay JSON."""
    found = json_extract(value, *paths)
    if type(found) is not str:
        return found
    part = None if len(paths) > 1 else find(parse(value), parse_path(to_text(paths[0])))
    return found if type(part) is str else Json(found)


def json_type(value: Any, path: Any = "$") -> str | None:
    """The name of the type of what stands at the path; NULL where nothing does."""
    found = find(parse(value), parse_path(to_text(path)))
    return None if found is MISSING else type_name(found)


def json_array_length(value: Any, path: Any = "$") -> int | None:
    """The number of elements of the array at the path; 0 if something else stands there."""
    found = find(parse(value), parse_path(to_text(path)))
    if found is MISSING:
        return None
    return len(found) if type(found) is list else 0


def _editor(name: str, *, create: bool, overwrite: bool) -> Callable[..., str | None]:
    """``json_set`` and its kin: path and value pairs, applied from left to right."""

    def edit(value: Any, *pairs: Any) -> str | None:
        if len(pairs) % 2:
            raise OperationalError(f"{name}() needs an odd number of arguments")
        if value is None:
            return None
        document = deepcopy(parse(value))
        for i in range(0, len(pairs), 2):
            if pairs[i] is None:
                continue
            path = parse_path(to_text(pairs[i]))
            document = _placed(document, path, document_of(pairs[i + 1]), create=create, overwrite=overwrite)
        return render(document)

    return edit


def _placed(document: Any, path: Path, new: Any, *, create: bool, overwrite: bool) -> Any:
    """The document with ``new`` at the path, where the function's rules allow; containers on the way are created."""
    if not path:
        return new if overwrite else document
    here = document
    for depth, step in enumerate(path[:-1], 1):
        there = find(here, (step,))
        if there is MISSING:
            branch = _grown(path[depth:], new) if create else MISSING
            if branch is not MISSING:
                _put(here, step, branch)
            return document
        here = there
    exists = find(here, path[-1:]) is not MISSING
    if overwrite if exists else create:
        _put(here, path[-1], new)
    return document


def _grown(path: Path, new: Any) -> Any:
    """New containers with ``new`` at the path, MISSING if an array would have to start behind its first place."""
    for step in reversed(path):
        if type(step) is str:
            new = {step: new}
        elif position(step, 0) == 0:
            new = [new]
        else:
            return MISSING
    return new


def _put(container: Any, step: Any, new: Any) -> bool:
    """Sets a member or an element, or appends right behind the last element; False where that is impossible."""
    if type(step) is str:
        if type(container) is not dict:
            return False
        container[step] = new
        return True
    if type(container) is not list:
        return False
    index = position(step, len(container))
    if index == len(container):
        container.append(new)
        return True
    if not 0 <= index < len(container):
        return False
    container[index] = new
    return True


def json_remove(value: Any, *paths: Any) -> str | None:
    """The document without what stands at the paths, removed from left to right; NULL if that is everything."""
    if any(path is None for path in paths):
        return None
    document = deepcopy(parse(value))
    for text in paths:
        path = parse_path(to_text(text))
        if not path:
            return None
        container = find(document, path[:-1])
        if find(container, path[-1:]) is not MISSING:
            last = path[-1]
            del container[last if type(last) is str else position(last, len(container))]
    return render(document)


def json_patch(value: Any, patch: Any) -> str:
    """The document after an RFC 7396 merge patch."""
    return render(_merged(parse(value), parse(patch)))


def _merged(document: Any, patch: Any) -> Any:
    if type(patch) is not dict:
        return patch
    merged = dict(document) if type(document) is dict else {}
    for name, part in patch.items():
        if part is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), part)
    return merged


def json_pretty(value: Any, indent: Any = "    ") -> str:
    """The text with one element a line."""
    return render(parse(value), to_text(indent))


def json_contains(value: Any, part: Any) -> int:
    """1 if the document contains the other one: members and elements may be more, nothing else may differ (PostgreSQL's @>)."""
    document, wanted = parse(value), parse(part)
    if type(document) is list and type(wanted) not in (list, dict):
        return 1 if any(_contains(element, wanted) for element in document) else 0
    return 1 if _contains(document, wanted) else 0


def _contains(document: Any, wanted: Any) -> bool:
    if type(wanted) is dict:
        return type(document) is dict and all(
            name in document and _contains(document[name], part) for name, part in wanted.items()
        )
    if type(wanted) is list:
        return type(document) is list and all(any(_contains(have, part) for have in document) for part in wanted)
    if type(document) is bool or type(wanted) is bool:
        return document is wanted
    document, wanted = (part.value if type(part) is Written else part for part in (document, wanted))
    return type(document) not in (list, dict) and bool(document == wanted)


# --- aggregates ------------------------------------------------------------------------------------------


class GroupArray(Collected):
    """``json_group_array(x)``: NULLs become null."""

    __slots__ = ()

    def step(self, value: Any, *_: Any) -> None:
        self.values.append(encode(value))

    def finalize(self) -> str:
        return "[" + ",".join(self.values) + "]"


class GroupObject(Collected):
    """``json_group_object(name, value)``: rows whose name is NULL are left out."""

    __slots__ = ()

    def step(self, name: Any, *values: Any) -> None:
        self.values.append(f"{_encode_text(to_text(name))}:{encode(*values)}")

    def finalize(self) -> str:
        return "{" + ",".join(self.values) + "}"


_SET = _editor("json_set", create=True, overwrite=True)
_INSERT = _editor("json_insert", create=True, overwrite=False)
_REPLACE = _editor("json_replace", create=False, overwrite=True)

# What a caller wraps around an argument of static type JSON of a function with ``json_args``.
MARK = Function("json_argument", mark, 1, 1, nullable=False, safe=True, result=JSON)
# What it calls instead where such an argument is itself a call whose result may or may not be JSON.
NESTING: dict[str, Function] = {
    "json_extract": Function("json_extract", json_extract_marked, 1, -1),
}

FUNCTIONS: tuple[Function | AggregateFunction, ...] = (
    Function("json", json_text, 1, 1, nullable=False, result=JSON),
    Function("json_valid", json_valid, 1, 1, strict=False, nullable=False, safe=True, result=INTEGER),
    Function("json_quote", json_quote, 1, 1, strict=False, nullable=False, json_args=True, result=JSON),
    Function("json_array", json_array, 0, -1, strict=False, nullable=False, json_args=True, result=JSON),
    Function("json_object", json_object, 0, -1, strict=False, nullable=False, json_args=True, result=JSON),
    Function("json_extract", json_extract, 1, 2, result=ANY, prepare=reading(json_extract, sql_value)),
    Function("json_extract", json_extract, 3, -1, result=JSON),
    Function("->", arrow_json, 2, 2, result=JSON, prepare=reading(arrow_json, render, arrow_path)),
    Function("->>", arrow_sql, 2, 2, result=ANY, prepare=reading(arrow_sql, sql_value, arrow_path)),
    Function("json_type", json_type, 1, 2, result=TEXT, prepare=reading(json_type, type_name)),
    Function("json_array_length", json_array_length, 1, 2, result=INTEGER),
    Function("json_set", _SET, 1, -1, strict=False, json_args=True, result=JSON),
    Function("json_insert", _INSERT, 1, -1, strict=False, json_args=True, result=JSON),
    Function("json_replace", _REPLACE, 1, -1, strict=False, json_args=True, result=JSON),
    Function("json_remove", json_remove, 1, -1, result=JSON),
    Function("json_patch", json_patch, 2, 2, nullable=False, result=JSON),
    Function("json_pretty", json_pretty, 1, 2, nullable=False, result=JSON),
    Function("json_contains", json_contains, 2, 2, nullable=False, result=INTEGER),
    AggregateFunction(
        "json_group_array", GroupArray, 1, 1, skip_nulls=False, nullable=False, json_args=True, result=JSON
    ),
    AggregateFunction("json_group_object", GroupObject, 2, 2, nullable=False, json_args=True, result=JSON),
)
