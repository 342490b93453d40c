"""A program under construction: its namespace, the functions being written, and how the code names each source.

In: the statement's plan, for counting which columns are used. Out: the finished lines, in two parts a function: the
prologue (what is computed once a call: trees, parameters, constants, subquery functions, hash tables) and the body.

::

    def run(txn, p):
        p0 = p[0]                      # prologue
        q1 = comparable_integer(p0)
        rows0 = txn.rows(3)
        out = []                       # body
        for r0 in rows0.values():
            if r0[1] == q1:
                out.append((r0[0],))
        return out
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from zodbapi.codegen.writer import Namespace, Writer
from zodbapi.large import load_value
from zodbapi.plan.expr import Column, Rowid
from zodbapi.plan.walk import Part, everything
from zodbapi.record import field, record

if TYPE_CHECKING:
    from zodbapi.catalog import Table
    from zodbapi.codegen.expr import ExprWriter
    from zodbapi.codegen.query import QueryWriter


_MANY_COLUMNS = 4


class RowAccess(Protocol):
    """How the code of the moment reads the current row of one source."""

    @property
    def row(self) -> str:
        """Code of the whole row as a tuple."""

    @property
    def rowid(self) -> str:
        """Code of its rowid."""

    def column(self, position: int) -> str:
        """Code of one column."""


@record(slots=True)
class StoredRow:
    """The row is a tuple in a variable."""

    name: str
    rowid_name: str = ""
    rowid_column: int | None = None
    width: int = -1  # number of columns, where the row is known to be what it seems
    large: tuple[int, ...] = ()  # positions where a marker may stand for the value
    load: str = ""  # the function that gives the value then

    @property
    def row(self) -> str:
        return tuple_code([self.column(i) for i in range(self.width)]) if self.large else self.name

    @property
    def rowid(self) -> str:
        if self.rowid_column is not None:
            return f"{self.name}[{self.rowid_column}]"
        return self.rowid_name

    def column(self, position: int) -> str:
        code = self.stored(position)
        return f"{self.load}({code})" if position in self.large else code

    def stored(self, position: int) -> str:
        """Code of what the row has in a column: the value, or its marker."""
        return f"{self.name}[{position}]"


@record(slots=True)
class ComputedRow:
    """Each column has code of its own: a local variable, or an expression cheap enough to be repeated."""

    columns: list[str | None]
    whole: str | None = None  # code of a tuple that is just these columns

    @property
    def row(self) -> str:
        if self.whole is not None:
            return self.whole
        return tuple_code(["None" if c is None else c for c in self.columns])

    @property
    def rowid(self) -> str:
        raise AssertionError("a computed row has no rowid")

    def column(self, position: int) -> str:
        code = self.columns[position]
        assert code is not None, "a column that is used was not computed"
        return code


@record(slots=True)
class FunctionScope:
    """One generated function: what runs once, and the body."""

    prologue: Writer = field(default_factory=Writer)
    body: Writer = field(default_factory=Writer)
    outer: frozenset[int] = frozenset()  # sources that enclosing functions have bound


class Unit:
    """A program under construction."""

    expr: ExprWriter
    query: QueryWriter

    def __init__(self, collations: Mapping[str, Callable[[Any], Any]]) -> None:
        self.namespace = Namespace()
        self.collations = collations
        self.env: dict[int, RowAccess] = {}
        self.uses: Counter[tuple[int, int]] = Counter()
        self._sources_used: set[int] = set()
        self.rowids_used: set[int] = set()
        self.as_stored = False
        self.counts_entries = False  # what is being written only counts what the loop around it finds
        self.scopes: list[FunctionScope] = [FunctionScope()]
        self._hoisted: dict[str, str] = {}
        self._serials: defaultdict[str, int] = defaultdict(int)

    def count_uses(self, part: Part) -> None:
        """Notes which columns and rowids the part reads, so that the others need not be computed."""
        items = everything(part)
        columns = [(item.source, item.position) for item in items if item.__class__ is Column]
        self.uses.update(columns)
        self._sources_used.update([source for source, _ in columns])
        self.rowids_used.update([item.source for item in items if item.__class__ is Rowid])

    def use(self, source: int, position: int) -> None:
        """Notes that a column is read."""
        self.uses[source, position] += 1
        self._sources_used.add(source)

    def table_row(self, table: Table, row: str, rowid: str) -> StoredRow:
        """Access to a row of a table that is in a variable."""
        load = self.call(load_value) if table.large else ""
        return StoredRow(row, rowid, table.rowid_column, len(table.columns), table.large, load)

    def taken_apart(self, codes: list[str | None]) -> list[str | None]:
        """Code of columns, of which those of a stored row that gives many are variables: faster than one by one."""
        stored = {
            access_.name: access_
            for access_ in self.env.values()
            if isinstance(access_, StoredRow) and not access_.large and access_.width >= _MANY_COLUMNS
        }
        read = [code[: code.find("[")] for code in codes if code and code[-1] == "]"]
        for name, access_ in stored.items():
            if read.count(name) < max(_MANY_COLUMNS, access_.width / 2):
                continue
            columns = {access_.stored(i): f"{name}_{i}" for i in range(access_.width)}
            self.body.line(f"{', '.join(columns.values())} = {name}")
            codes = [columns.get(code, code) if code else code for code in codes]
        return codes

    def uses_source(self, source: int) -> bool:
        """Whether any column or the rowid of the source is read anywhere."""
        return source in self.rowids_used or source in self._sources_used

    @property
    def body(self) -> Writer:
        """Where the function being written continues."""
        return self.scopes[-1].body

    @property
    def is_outermost(self) -> bool:
        """Whether the code at hand is in no loop of its function."""
        return self.body.depth <= (len(self.scopes) == 1)  # ``run`` begins inside of its header

    @property
    def prologue(self) -> Writer:
        """What the function being written does once, before its body."""
        return self.scopes[-1].prologue

    def fresh(self, prefix: str) -> str:
        """A name not used before in this program."""
        number = self._serials[prefix]
        self._serials[prefix] += 1
        return f"{prefix}{number}"

    def hoist(self, code: str, prefix: str = "q") -> str:
        """The name of a variable that holds the value of ``code``, computed once in the outermost prologue."""
        name = self._hoisted.get(code)
        if name is None:
            name = self._hoisted[code] = self.fresh(prefix)
            self.scopes[0].prologue.line(f"{name} = {code}")
        return name

    def hoist_several(self, code: str, prefixes: Sequence[str]) -> list[str]:
        """The names of variables for the items of a tuple, computed once in the outermost prologue."""
        names = self._hoisted.get(code)
        if names is None:
            names = self._hoisted[code] = ", ".join([self.fresh(prefix) for prefix in prefixes])
            self.scopes[0].prologue.line(f"{names} = {code}")
        return names.split(", ")

    def each(self, index: int, render: Callable[[], str], independent: bool = True) -> str:
        """Code that unpacks what ``render`` makes of each value ``v`` of a list of parameters.

        Unless it is ``independent`` of rows, it can be used in the function being written only.
        """
        scopes, hoisted = self.scopes, self._hoisted
        scope = FunctionScope(outer=frozenset(self.env))
        self.scopes, self._hoisted = [scope], {}
        code = render()
        self.scopes, self._hoisted = scopes, hoisted
        lines = [text for _, text in scope.prologue.lines]
        if len(lines) == 1 and lines[0].startswith(f"{code} = "):
            code = lines[0].removeprefix(f"{code} = ")
        elif lines:
            name = self.fresh("each")
            prologue = self.scopes[0].prologue if independent else self.prologue
            with prologue.block(f"def {name}(v)"):
                prologue.extend(scope.prologue)
                prologue.line(f"return {code}")
            code = f"{name}(v)"
        values = self.hoist(f"p[{index}]", "p")
        return f"*{values}" if code == "v" else f"*[{code} for v in {values}]"

    def constant(self, value: object) -> str:
        """Code of a literal."""
        if value is None or value is True or value is False:
            return repr(value)
        return self.namespace.constant(value)

    def constant_code(self, code: str) -> str:
        """A variable for code that is made of constants only."""
        return self.hoist(code, "nulls")

    def call_value(self, value: object, name: str) -> str:
        """Code of an object of the engine, under a name of the engine's choice."""
        self.namespace.globals[name] = value
        return name

    def call(self, function: Callable[..., object]) -> str:
        """Code of a function to call."""
        return self.namespace.callable(function)

    def comprehend(self, start: int, name: str) -> bool:
        """Turns the loop that the body ends with into a comprehension, if it can be one, which CPython runs faster.

        The line at ``start`` is ``name = []`` (or ``{}`` or ``set()``), and the loop a nest of for, if and assignments around
        one line that adds to it. A function that is written inside would not see its variables.
        """
        lines = self.body.lines[start:]
        base = lines[0][0]
        begin = next((i for i in range(len(lines) - 1, 0, -1) if lines[i][0] == base), 0)
        if not begin or any(line.startswith("def ") for _, line in self.prologue.lines):
            return False
        if any(re.search(rf"\b{name}\b", line) for _, line in lines[1:begin]):
            return False
        clauses, depth = _clauses(lines[begin:-1])
        added = _ADDED.fullmatch(lines[-1][1].removeprefix(name))
        if not clauses or added is None or lines[-1][0] != depth or not lines[-1][1].startswith(name):
            return False
        item, key, value = added.groups()
        made = f"{key}: {value}" if key else item
        opened, closed = "[]" if lines[0][1].endswith("[]") else "{}"
        code = f"{opened}{made} {' '.join(clauses)}{closed}"
        self.body.lines[start:] = [*lines[1:begin], (base, f"{name} = {code}")]
        return True

    @contextmanager
    def function(self, header: str) -> Iterator[FunctionScope]:
        """Writes a function inside the present one, into its prologue, when the ``with`` ends."""
        scope = FunctionScope(outer=frozenset(self.env))
        self.scopes.append(scope)
        yield scope
        self.scopes.pop()
        prologue = self.prologue
        with prologue.block(header):
            prologue.extend(scope.prologue)
            prologue.extend(scope.body)

    @contextmanager
    def outermost(self) -> Iterator[None]:
        """Inside, the functions written belong to the whole program, and read no rows."""
        scopes, self.scopes = self.scopes, self.scopes[:1]
        yield
        self.scopes = scopes

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What the ``with`` writes to the body goes to the end of the present function's prologue instead."""
        scope = self.scopes[-1]
        body, scope.body = scope.body, Writer()
        yield
        scope.prologue.extend(scope.body)
        scope.body = body

    @contextmanager
    def bound(self, rows: dict[int, RowAccess]) -> Iterator[None]:
        """Inside, the given sources are read in the given ways."""
        saved = {source: self.env.get(source) for source in rows}
        self.env.update(rows)
        yield
        for source, access in saved.items():
            if access is None:
                del self.env[source]
            else:
                self.env[source] = access


def stored_row(access: RowAccess) -> str:
    """Code of a row as it is stored: large values stay where they are."""
    return access.name if isinstance(access, StoredRow) else access.row


_ADDED = re.compile(r"\.(?:append|add)\((.*)\)|\[(.+?)\] = (.+)")
_ASSIGNMENT = re.compile(r"([\w, ]+) = (.+)")


def _clauses(lines: list[tuple[int, str]]) -> tuple[list[str], int]:
    """The clauses of a comprehension for a nest of lines, [] if there are none, and the indentation inside the nest."""
    found: list[str] = []
    depth = lines[0][0] if lines else 0
    for at, line in lines:
        opens = line.startswith(("for ", "if ")) and line.endswith(":")
        assignment = _ASSIGNMENT.fullmatch(line)
        if at != depth or not (opens or (assignment and found)) or (":=" in line and not line.startswith("if ")):
            return [], depth
        if opens:
            found.append(line[:-1])
            depth += 1
        elif assignment is not None:
            found.append(f"for {assignment[1]} in [{assignment[2]}]")  # CPython makes an assignment of it
    return found if found and found[0].startswith("for ") else [], depth


def denied(test: str) -> str:
    """The opposite of a test for NULL; what is tested may have tests of its own."""
    assert test.endswith(" is None")
    return f"{test.removesuffix(' is None')} is not None"


_NULL_TEST = re.compile(r"(\w+(?:\[\d+\])? is not None) and ")


def all_of(tests: list[str]) -> str:
    """Code that is true when all tests are; what one has found to be not NULL, those after it do not ask again."""
    found: list[str] = []
    for test in tests:
        parts, rest = [], test
        if _NULL_TEST.match(test, 1) and _is_enclosed(test):
            rest = test[1:-1]
            while (first := _NULL_TEST.match(rest)) is not None:
                parts.append(first[1])
                rest = rest[first.end() :]
        found += [part for part in (*parts, rest) if part not in found]
    return f"({' and '.join(found)})"


def _is_enclosed(code: str) -> bool:
    """Whether the bracket that the code begins with is closed at its end."""
    depth = 0
    for at, character in enumerate(code):
        depth += (character == "(") - (character == ")")
        if not depth:
            return at == len(code) - 1
    return False


def tuple_code(items: list[str]) -> str:
    """Code of a tuple."""
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def raising(unit: Unit, error: Callable[..., Exception], *names: str) -> str:
    """Code that raises the error of these names."""
    arguments = ", ".join(unit.namespace.constant(name) for name in names)
    return f"raise {unit.call(error)}({arguments})"


def is_name(code: str) -> bool:
    """Whether evaluating the code again costs nothing worth a variable."""
    return code.isidentifier() or code in ("None", "True", "False")


def is_cheap(code: str) -> bool:
    """Whether the code is a variable or one subscript of a variable."""
    if is_name(code):
        return True
    name, bracket, rest = code.partition("[")
    return bool(bracket) and name.isidentifier() and rest[:-1].isdigit() and rest[-1] == "]"
