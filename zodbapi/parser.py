"""Text to trees: SQLite's dialect of sqlglot, with its gaps closed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp


@dataclass(frozen=True, slots=True)
class Parsed:
    """One statement: its tree, its text, and its parameters' names (None for a positional one)."""

    tree: exp.Expression
    sql: str
    parameters: tuple[str | None, ...] = ()


def parse(sql: str, paramstyle: str = "qmark") -> list[Parsed]:
    """The statements of a script. ``paramstyle`` ``format`` or ``pyformat`` reads ``%s`` and ``%(name)s``."""
    raise NotImplementedError


def parse_one(sql: str, paramstyle: str = "qmark") -> Parsed:
    """The only statement of a text; ProgrammingError when there are several, or none."""
    raise NotImplementedError


def parse_expression(sql: str) -> exp.Expression:
    """The tree of an expression kept as text in the schema (DEFAULT, CHECK, generated column, index)."""
    raise NotImplementedError
