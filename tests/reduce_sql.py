"""Smaller statements made of a statement: for finding out which part of a random query matters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp, parse_one
from sqlglot.errors import ParseError

OPTIONAL = ("where", "having", "order", "limit", "offset", "distinct", "with_", "with", "filter")


def reductions(sql: str) -> Iterator[str]:
    """Statements with one part left out, or one expression replaced by a part of it; the largest cuts first."""
    try:
        tree = parse_one(re.sub(r"\?(\d+)", r":p\1", sql), dialect="sqlite")
    except ParseError:
        return
    seen = {sql}
    count = len(list(tree.walk()))
    for i in range(count):
        for smaller in _variants(tree, i):
            text = re.sub(r":p(\d+)", r"?\1", smaller.sql(dialect="sqlite"))
            if text not in seen and len(text) < len(sql) + 5:
                seen.add(text)
                yield text


def _variants(tree: exp.Expression, index: int) -> Iterator[exp.Expression]:
    """Copies of the tree with its node number ``index`` cut down in the ways that it allows."""
    node = list(tree.walk())[index]
    for name in OPTIONAL:
        if node.args.get(name):
            copy, twin = _twin(tree, index)
            twin.set(name, None)
            yield copy
    for name in ("joins", "expressions"):
        items = node.args.get(name)
        if isinstance(items, list) and (len(items) > 1 or (items and name == "joins")):
            for i in range(len(items)):
                copy, twin = _twin(tree, index)
                twin.set(name, items[:i] + items[i + 1 :])
                yield copy
    if node.parent is None or isinstance(node, (exp.Identifier, exp.Column, exp.Table, exp.Literal)):
        return
    for child in node.args.values():
        if isinstance(child, exp.Expression) and isinstance(node, (exp.Binary, exp.Unary, exp.Func, exp.SetOperation)):
            copy, twin = _twin(tree, index)
            twin.replace(child.copy())
            yield copy
    if isinstance(node, exp.Condition) and not isinstance(node, exp.Subquery) and node.arg_key != "alias":
        for literal in (exp.Literal.number(1), exp.Null()):
            copy, twin = _twin(tree, index)
            twin.replace(literal)
            yield copy


def _twin(tree: exp.Expression, index: int) -> tuple[exp.Expression, exp.Expression]:
    copy = tree.copy()
    return copy, list(copy.walk())[index]
