"""Runs: the plain columns that a select list begins with, which are read at once.

In: a text in which ``SELECT`` is followed by three or more ``"table"."column"``, as a query for whole objects writes them.
Out: one ``Placeholder`` in the tree for all of them, and what they are when the binder asks. The grammar would climb
through all levels of precedence for each column, which took a third of the time for a statement never seen before.

A run is found in the text, and stands in it as one quoted name of the same length, so that every token keeps its place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

if TYPE_CHECKING:
    from collections.abc import Sequence

_ITEM = r'"\w+"\."\w+"(?: AS "\w+")?'
_RUN = re.compile(rf"SELECT (?:DISTINCT )?({_ITEM}(?:, {_ITEM}){{2,}})(?=, | FROM )")
_OTHER_QUOTES = ("'", "`", "[", "--", "/*")
_QUOTE = "\1"  # instead of the quotes inside a run


class RunColumn(NamedTuple):
    """One column of a run; ``alias`` is "" without AS."""

    table: str
    name: str
    alias: str


def mark_runs(sql: str) -> tuple[str, list[int]]:
    """The text with each run as one quoted name, and where these begin."""
    starts: list[int] = []
    pieces: list[str] = []
    copied = 0
    for found in _RUN.finditer(sql):
        start, end = found.span(1)
        # Where no quote is open and no comment possible, the text is what it looks like.
        before = sql[:end]
        if any(other in before for other in _OTHER_QUOTES) or sql.count('"', 0, start) % 2:
            break
        if sql[: found.start()][-1:].isidentifier():
            continue  # the end of a longer name
        starts.append(start)
        pieces += (sql[copied : start + 1], sql[start + 1 : end - 1].replace('"', _QUOTE))
        copied = end - 1
    return ("".join([*pieces, sql[copied:]]), starts) if starts else (sql, starts)


def claim_runs(tokens: list[Token], starts: list[int]) -> None:
    """Turns the names that stand for runs into placeholders; parameters must have their numbers by then."""
    wanted = iter(starts)
    start = next(wanted, None)
    for token in tokens:
        if token.start == start:
            token.token_type = TokenType.PLACEHOLDER
            start = next(wanted, None)
            if start is None:
                return


def run_columns(tree: exp.Expression) -> list[RunColumn] | None:
    """The columns of the run that an item of a select list stands for, or None if it is no run."""
    if type(tree) is not exp.Placeholder or _QUOTE not in (text := tree.args["this"]):
        return None
    columns = []
    for item in text.split(f"{_QUOTE}, {_QUOTE}"):
        table, _, rest = item.partition(f"{_QUOTE}.{_QUOTE}")
        name, _, alias = rest.partition(f"{_QUOTE} AS {_QUOTE}")
        columns.append(RunColumn(table, name, alias))
    return columns


def item_trees(select: exp.Select) -> Sequence[exp.Expression]:
    """The items of a select list, with a tree for each column of a run."""
    trees: list[exp.Expression] = []
    for item in select.expressions:
        columns = run_columns(item)
        if columns is None:
            trees.append(item)
        else:
            trees += [_tree(column) for column in columns]
    return trees


def _tree(column: RunColumn) -> exp.Expression:
    table = exp.Identifier(this=column.table, quoted=True)
    tree = exp.Column(this=exp.Identifier(this=column.name, quoted=True), table=table)
    return exp.Alias(this=tree, alias=exp.Identifier(this=column.alias, quoted=True)) if column.alias else tree
