"""Hash functions: lower-case hexadecimal digests of the UTF-8 text, or of a blob's bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from zodbapi.catalog import TEXT
from zodbapi.functions.registry import Function
from zodbapi.values import to_text


def _digest(name: str) -> Callable[[Any], str]:
    def apply(value: Any) -> str:
        data = value if type(value) is bytes else to_text(value).encode("utf-8", "surrogatepass")
        return hashlib.new(name, data, usedforsecurity=False).hexdigest()

    return apply


FUNCTIONS: tuple[Function, ...] = tuple(
    Function(name, _digest(name), 1, 1, nullable=False, safe=True, result=TEXT)
    for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
)
