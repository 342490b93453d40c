"""Declared type names: the words of ``CREATE TABLE`` and ``CAST`` -> ``catalog.Type``.

Known names get a native kind. Any other follows SQLite's affinity rules, which look for parts of the name
(https://www.sqlite.org/datatype3.html#determination_of_column_affinity).
"""

from __future__ import annotations

import re
from functools import lru_cache

from zodbapi.catalog import ANY, Kind, Type
from zodbapi.errors import OperationalError

_KINDS = {
    Kind.ANY: "ANY",
    Kind.BOOLEAN: "BOOL BOOLEAN",
    Kind.REAL: "REAL DOUBLE FLOAT FLOAT4 FLOAT8 DOUBLE_PRECISION",
    Kind.DECIMAL: "DECIMAL DEC NUMBER MONEY",
    Kind.NUMERIC: "NUMERIC",
    Kind.TEXT: "TEXT STRING NAME CITEXT",
    Kind.BLOB: "BLOB BYTEA BINARY VARBINARY BINARY_VARYING BYTES",
    Kind.DATE: "DATE",
    Kind.TIME: "TIME TIME_WITHOUT_TIME_ZONE",
    Kind.TIMESTAMP: "TIMESTAMP DATETIME TIMESTAMP_WITHOUT_TIME_ZONE",
    Kind.TIMESTAMPTZ: "TIMESTAMPTZ DATETIMETZ TIMESTAMP_WITH_TIME_ZONE DATETIME_WITH_TIME_ZONE",
    Kind.INTERVAL: "INTERVAL",
    Kind.UUID: "UUID",
    Kind.JSON: "JSON JSONB",
    Kind.INTEGER: "SERIAL BIGSERIAL SMALLSERIAL SIGNED UNSIGNED",
}
_BY_NAME = {name.replace("_", " "): kind for kind, names in _KINDS.items() for name in names.split()}
_AFFINITIES = (
    ("INT", Kind.INTEGER),
    ("CHAR", Kind.TEXT),
    ("CLOB", Kind.TEXT),
    ("TEXT", Kind.TEXT),
    ("BLOB", Kind.BLOB),
    ("REAL", Kind.REAL),
    ("FLOA", Kind.REAL),
    ("DOUB", Kind.REAL),
)
_ARGUMENTS = re.compile(r"\(\s*([^,()]*?)\s*(?:,\s*([^,()]*?)\s*)?\)")


@lru_cache(maxsize=512)
def declared_type(words: str) -> Type:
    """The type that a declaration like ``varchar(30)`` or ``timestamp with time zone`` means; ANY for no words."""
    declared = " ".join(words.split())
    if not declared:
        return ANY
    arguments = _ARGUMENTS.search(declared)
    name = " ".join(_ARGUMENTS.sub(" ", declared).upper().split())
    precision, scale = (_number(arguments[1]), _number(arguments[2])) if arguments else (None, None)
    kind = _kind(name)
    if kind in (Kind.NUMERIC, Kind.DECIMAL) and name in _BY_NAME and precision is not None:
        return Type(Kind.DECIMAL, precision, _checked_scale(precision, scale or 0, declared), declared)
    return Type(kind, precision, scale, declared)


def _kind(name: str) -> Kind:
    if name in _BY_NAME:
        return _BY_NAME[name]
    return next((kind for part, kind in _AFFINITIES if part in name), Kind.NUMERIC)


def _number(text: str | None) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        return None


def _checked_scale(precision: int, scale: int, declared: str) -> int:
    if precision < 1 or not 0 <= scale <= precision:
        raise OperationalError(f"precision and scale out of range: {declared}")
    return scale
