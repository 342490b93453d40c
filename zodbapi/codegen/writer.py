"""Writing Python source: lines and indentation, generated names, constants, and the one place that calls ``exec``.

In: lines from the other modules of codegen. Out: a compiled function whose source is known to ``linecache``, so
that tracebacks, pdb and EXPLAIN show it. User text never enters the source: values go in through ``Namespace``.
"""

from __future__ import annotations

import linecache
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Any

from zodbapi.record import record

_INDENT = "    "
_serial = count(1)


class Namespace:
    """The globals of a generated module: constants ``c0``, ``c1``... and callables, each bound once."""

    def __init__(self) -> None:
        self.globals: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        self._counts: dict[str, int] = {}
        self.codes: list[_Code] = []  # of what uses the names

    def constant(self, value: Any) -> str:
        """The name under which the generated code finds a literal of the user."""
        return self._bind(value, "c")

    def callable(self, function: Any) -> str:
        """The name under which the generated code finds a function.

        Functions of the engine keep their own name, which makes the source readable. A function of the user gets a
        generated one, as any other name that may not be an identifier.
        """
        name = getattr(function, "__name__", "")
        module = getattr(function, "__module__", "") or ""
        if module.startswith("zodbapi.") and name.isidentifier() and name not in self.globals and len(name) > 2:
            self.globals[name] = function
            self._names[id(function)] = name
            return name
        return self._bind(function, "f")

    def _bind(self, value: Any, prefix: str) -> str:
        name = self._names.get(id(value))
        if name is None:
            number = self._counts.get(prefix, 0)
            self._counts[prefix] = number + 1
            name = f"{prefix}{number}"
            self.globals[name] = value  # also keeps the value alive, so that its id stays its own
            self._names[id(value)] = name
        return name


class Writer:
    """Lines of Python with indentation."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.depth = 0

    def line(self, text: str) -> None:
        """Writes one line."""
        self.lines.append((self.depth, text))

    def extend(self, other: Writer) -> None:
        """Writes the lines of another writer at the present indentation."""
        self.lines += [(self.depth + depth, text) for depth, text in other.lines]

    def render(self) -> str:
        """The source."""
        return "".join([f"{_INDENT * depth}{text}\n" for depth, text in self.lines])

    def test(self, condition: str) -> AbstractContextManager[None]:
        """Writes ``if condition:`` around what the body of the ``with`` writes; nothing for "", which always holds."""
        return self.block(f"if {condition}") if condition else nullcontext()

    def block(self, header: str) -> AbstractContextManager[None]:
        """Writes ``header:`` and indents what the body of the ``with`` writes."""
        return _Block(self, header)


class _Block:
    """A block being written."""

    __slots__ = ("_start", "_writer")

    def __init__(self, writer: Writer, header: str) -> None:
        self._writer = writer
        writer.lines.append((writer.depth, header + ":"))
        self._start = len(writer.lines)

    def __enter__(self) -> None:
        self._writer.depth += 1

    def __exit__(self, *failure: object) -> None:
        writer = self._writer
        if len(writer.lines) == self._start:
            writer.line("pass")
        writer.depth -= 1


@record(frozen=True, slots=True)
class Program:
    """A compiled statement: ``run(txn, p)`` gives its rows, or None for a statement without rows."""

    source: str
    namespace: Namespace
    run: Callable[[Any, tuple[Any, ...]], list[tuple[Any, ...]] | None]


class _Code:
    """The code of a module, whose source linecache has as long as any program has the code."""

    __slots__ = ("__weakref__", "code", "filename")

    def __init__(self, source: str, title: str) -> None:
        self.filename = f"<zodbapi {title} {next(_serial)}>"
        self.code = compile(source, self.filename, "exec", dont_inherit=True)
        # Without a modification time linecache keeps the entry until it is told otherwise.
        linecache.cache[self.filename] = (len(source), None, source.splitlines(keepends=True), self.filename)

    def __del__(self) -> None:
        _forget(self.filename, None)


# Statements that differ in what the source does not have, as literals and names of columns, compile once.
_codes: weakref.WeakValueDictionary[str, _Code] = weakref.WeakValueDictionary()
_forget = linecache.cache.pop


def execute(writer: Writer, namespace: Namespace, title: str) -> str:
    """Compiles and runs a module; its functions are then in the namespace's globals.

    Returns:
        The source.
    """
    source = writer.render()
    found = _codes.get(source)
    if found is None:
        found = _codes[source] = _Code(source, title)
    namespace.codes.append(found)
    exec(found.code, namespace.globals)  # the product of this package
    return source
