"""Text to trees: SQLite's dialect of sqlglot, with its gaps closed.

In: SQL text. Out: one ``Parsed`` a statement. What sqlglot does not read well (DDL, transactions, PRAGMA, EXPLAIN) is
left to ``ddl``. Foreign exceptions stop here: a syntax error is an ``OperationalError`` in SQLite's words.

Placeholders become ``exp.Placeholder`` nodes whose ``this`` is the parameter's index; ``Parsed.parameters`` says what
they are called.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, cast

from sqlglot import exp
from sqlglot.errors import ParseError
from sqlglot.tokenizer_core import Token, TokenType

from zodbapi.errors import OperationalError, ProgrammingError
from zodbapi.parser.column_runs import claim_runs, mark_runs
from zodbapi.parser.dialect import make_parser
from zodbapi.parser.placeholders import convert_formats, number_placeholders
from zodbapi.parser.tokens import tokenize
from zodbapi.record import record

if TYPE_CHECKING:
    from zodbapi.parser.shapes import Folded
    from zodbapi.parser.syntax import Definition
    from zodbapi.plan.commands import Command

_QUERIES = frozenset({"SELECT", "WITH", "VALUES", "(", "INSERT", "REPLACE", "UPDATE", "DELETE"})
_DEEPEST = 1000  # SQLite's limits: levels of an expression,
_MOST_TERMS = 500  # and SELECTs in a compound
_STATEMENTS = (exp.Query, exp.Values, exp.Insert, exp.Update, exp.Delete)
_local = threading.local()


@record(frozen=True, slots=True)
class Parsed:
    """One statement: its tree, its text, and its parameters' names (None for a positional one).

    The tree is sqlglot's for queries, INSERT, UPDATE and DELETE; ``ddl``'s for everything else.
    """

    tree: exp.Expression | Definition | Command
    sql: str
    parameters: tuple[str | None, ...] = ()


def parse(sql: str, paramstyle: str = "qmark", shape: Folded | None = None, *, runs: bool = False) -> list[Parsed]:
    """The statements of a script. ``paramstyle`` ``format`` or ``pyformat`` reads ``%s`` and ``%(name)s``.

    ``shape`` says what the placeholders of the text stand for. With ``runs`` the trees are for the binder alone: see
    ``column_runs``.
    """
    if paramstyle in ("format", "pyformat") and "%" in sql:
        sql = convert_formats(sql)
    marked, starts = mark_runs(sql) if runs and ";" not in sql else (sql, [])
    tokens = tokenize(marked, sql)
    if starts and tokens[0].text.upper() not in _QUERIES:
        tokens, starts = tokenize(sql), []
    if shape or starts:
        return [_parse_query(sql, tokens, shape, starts)]
    if ";" not in sql or not any(token.token_type is TokenType.SEMICOLON for token in tokens):
        return [_parse_statement(sql, tokens)] if tokens else []
    return [_parse_statement(text, tokenize(text)) for text in _split(sql, tokens)]


def split(script: str) -> list[str]:
    """The texts of the statements of a script."""
    return _split(script, tokenize(script))


def parse_one(sql: str, paramstyle: str = "qmark") -> Parsed:
    """The only statement of a text; ProgrammingError when there are several, or none."""
    statements = parse(sql, paramstyle)
    if len(statements) != 1:
        raise ProgrammingError("You can only execute one statement at a time." if statements else "no statement")
    return statements[0]


def parse_expression(sql: str) -> exp.Expression:
    """The tree of an expression kept as text in the schema (DEFAULT, CHECK, generated column, index)."""
    tree = parse_one(f"SELECT {sql}").tree
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or tree.args.get("from_"):
        raise OperationalError(f"not an expression: {sql}")
    found: exp.Expression = tree.expressions[0]
    return found


def item_text(sql: str, position: int, nested: int) -> str:
    """The text of a select-list item.

    ``position`` is where the first name or literal in it starts, and ``nested`` how many SELECTs lie between the item
    and that. So before the position there are only words and brackets that open something.
    """
    tokens = _tokenize_again(sql)
    first = bisect_left(tokens, position, key=attrgetter("end"))
    while first:
        kind = tokens[first - 1].token_type
        if kind is TokenType.SELECT:
            nested -= 1
        if kind in _BEFORE_ITEM and nested <= 0 and (kind is not TokenType.SELECT or nested < 0):
            break
        first -= 1
    last = _item_end(tokens, first)
    return sql[tokens[first].start : tokens[last].end + 1]


_BEFORE_ITEM = frozenset({TokenType.COMMA, TokenType.SELECT, TokenType.DISTINCT, TokenType.ALL, TokenType.RETURNING})
_AFTER_ITEM = frozenset(
    {TokenType.COMMA, TokenType.FROM, TokenType.WHERE, TokenType.GROUP_BY, TokenType.HAVING, TokenType.WINDOW}
    | {TokenType.ORDER_BY, TokenType.LIMIT, TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT, TokenType.SEMICOLON}
)


@lru_cache(maxsize=8)
def _tokenize_again(sql: str) -> list[Token]:
    return tokenize(sql)


def _item_end(tokens: list[Token], first: int) -> int:
    depth = 0
    for i in range(first, len(tokens)):
        kind = tokens[i].token_type
        if kind is TokenType.L_PAREN:
            depth += 1
        elif kind is TokenType.R_PAREN:
            depth -= 1
        distinct_from = kind is TokenType.FROM and tokens[i - 1].token_type is TokenType.DISTINCT
        if depth < 0 or (depth == 0 and kind in _AFTER_ITEM and not distinct_from):
            return i - 1
    return len(tokens) - 1


def _parse_statement(sql: str, tokens: list[Token]) -> Parsed:
    if tokens[0].text.upper() not in _QUERIES:
        from zodbapi.parser.ddl import parse_ddl

        definition = parse_ddl(sql)
        if definition is None:
            raise _syntax_error(sql, tokens[0])
        return Parsed(definition, sql, number_placeholders(tokens, sql)[1])
    tokens, names = number_placeholders(tokens, sql)
    return Parsed(_parse_tokens(sql, tokens), sql, names)


def _parse_query(sql: str, tokens: list[Token], shape: Folded | None, runs: list[int]) -> Parsed:
    """A statement with marked runs, whose placeholders are those of a shape."""
    tokens, names = number_placeholders(tokens, sql)
    if shape is not None:
        for token in tokens:
            if token.token_type is TokenType.PLACEHOLDER:
                token.text = shape.places[int(token.text)]
    claim_runs(tokens, runs)
    return Parsed(_parse_tokens(sql, tokens), sql, names)


def _parse_tokens(sql: str, tokens: list[Token]) -> exp.Expression:
    parser = getattr(_local, "parser", None)
    if parser is None:
        parser = _local.parser = make_parser()
    if len(tokens) > _DEEPEST // 2:
        _check_brackets(tokens)
    tokens, alternative = _expand_alternatives(tokens)
    try:
        (tree,) = parser.parse(tokens, sql)
    except ParseError:
        raise _syntax_error(sql, parser._curr or None) from None
    except RecursionError:
        raise OperationalError("parser stack overflow") from None
    _check_tokens(sql, tokens)
    if not isinstance(tree, _STATEMENTS):
        raise _syntax_error(sql, tokens[0])
    if len(tokens) > _DEEPEST // 2:
        _check_depth(cast("exp.Expression", tree))
    if alternative and isinstance(tree, exp.Update):
        tree.set("alternative", alternative)
    return cast("exp.Expression", tree)


def _check_brackets(tokens: list[Token]) -> None:
    """Refuses brackets within brackets that would overrun the stack of the compiled parser, which does not count."""
    depth = 0
    for token in tokens:
        if token.token_type is TokenType.L_PAREN:
            depth += 1
            if depth > _DEEPEST:
                raise OperationalError("parser stack overflow")
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1


def _check_depth(tree: exp.Expression) -> None:
    """Keeps SQLite's limits; terms joined by AND or by OR are a list here, which may be long."""
    stack = [(tree, 0, 0)]
    while stack:
        node, depth, terms = stack.pop()
        if depth > _DEEPEST:
            raise OperationalError(f"Expression tree is too large (maximum depth {_DEEPEST})")
        if terms >= _MOST_TERMS:
            raise OperationalError("too many terms in compound SELECT")
        for part in node.iter_expressions():
            same = isinstance(part, exp.Connector) and type(part) is type(node)
            if isinstance(node, exp.SetOperation) and part is node.this:
                stack.append((part, depth, terms + 1))
            else:
                stack.append((part, depth if same else depth + 1, 0))


def _kinds(words: str) -> frozenset[TokenType]:
    return frozenset(TokenType[word] for word in words.split())


# Words that want something after them, and words before which something must stand. sqlglot lets much of it go.
_OPENING = _kinds(
    "SELECT FROM WHERE GROUP_BY HAVING ORDER_BY LIMIT COMMA ON ALIAS WHEN THEN ELSE SET USING BLOCK_START"
)
_CLOSING = _kinds(
    "R_PAREN COMMA ALIAS FROM WHERE GROUP_BY HAVING ORDER_BY LIMIT ON JOIN WHEN THEN ELSE END UNION EXCEPT INTERSECT"
)
_CANNOT_END = _OPENING | _kinds("IN DOT")
_CANNOT_FOLLOW = frozenset((a, b) for a in _OPENING for b in _CLOSING) | {(TokenType.L_PAREN, TokenType.COMMA)}

_TOO_LONG = re.compile("0[xX]0*[1-9a-fA-F][0-9a-fA-F]{16}")  # an integer above 64 bits
_LOWEST = re.compile("0[xX]0*80{15}(?![0-9a-fA-F])")  # -2**63: there is no such integer with another minus before it
_VALUES = _kinds(
    "NUMBER STRING VAR IDENTIFIER R_PAREN PLACEHOLDER HEX_STRING NULL TRUE FALSE"
)  # a minus behind one subtracts


def _check_tokens(sql: str, tokens: list[Token]) -> None:
    """Refuses what sqlglot passes over: items and conditions that are missing."""
    kinds = [token.token_type for token in tokens]
    if kinds[-1] in _CANNOT_END:
        raise _syntax_error(sql, None)
    if not _CANNOT_FOLLOW.isdisjoint(pairwise(kinds)):
        for i, pair in enumerate(pairwise(kinds)):
            if (
                pair in _CANNOT_FOLLOW and tokens[i - 1].text.upper() != "EXCLUDE"
            ):  # GROUP is the end of a window's frame
                raise _syntax_error(sql, tokens[i + 1])
    occurring = set(kinds)
    if TokenType.HEX_STRING in occurring:
        _check_integers(sql, tokens, kinds)
    if TokenType.WHEN in occurring and kinds.count(TokenType.WHEN) != kinds.count(TokenType.THEN):
        raise _syntax_error(sql, tokens[kinds.index(TokenType.WHEN)])
    if TokenType.BETWEEN in occurring and kinds.count(TokenType.BETWEEN) > kinds.count(TokenType.AND):
        raise _syntax_error(sql, tokens[kinds.index(TokenType.BETWEEN)])


def _check_integers(sql: str, tokens: list[Token], kinds: list[TokenType]) -> None:
    for i, token in enumerate(tokens):
        if kinds[i] is not TokenType.HEX_STRING:
            continue
        text = sql[token.start : token.end + 1]
        if _TOO_LONG.match(text):
            raise OperationalError(f"hex literal too big: {text}")
        negated = kinds[i - 1 : i] == [TokenType.DASH] and _VALUES.isdisjoint(kinds[max(i - 2, 0) : i - 1])
        if negated and _LOWEST.match(text):
            raise OperationalError(f"hex literal too big: -{text}")


def _syntax_error(sql: str, token: Token | None) -> OperationalError:
    if token is None:
        return OperationalError("incomplete input")
    line = sql.count("\n", 0, token.start) + 1
    column = token.start - sql.rfind("\n", 0, token.start)
    text = sql[token.start : token.end + 1]
    return OperationalError(f'near "{text}": syntax error (line {line}, column {column})')


def _split(sql: str, tokens: list[Token]) -> list[str]:
    """The texts of the statements between semicolons; the body of a CREATE TRIGGER is not split."""
    texts: list[str] = []
    part: list[Token] = []
    for token in (*tokens, None):
        if token is not None and (token.token_type is not TokenType.SEMICOLON or _in_trigger(part)):
            part.append(token)
        elif part:
            texts.append(sql[part[0].start : part[-1].end + 1])
            part = []
    return texts


def _in_trigger(part: list[Token]) -> bool:
    words = [token.text.upper() for token in part[:3]]
    if words[:1] != ["CREATE"] or "TRIGGER" not in words:
        return False
    return part[-1].token_type is not TokenType.END or part[-2].token_type is not TokenType.SEMICOLON


def _expand_alternatives(tokens: list[Token]) -> tuple[list[Token], str]:
    """``REPLACE INTO`` as ``INSERT OR REPLACE INTO``; ``UPDATE OR x`` without the OR, and x."""
    if tokens[0].token_type is TokenType.SELECT:
        return tokens, ""
    for i, token in enumerate(tokens[:-1]):
        kind, after = token.token_type, tokens[i + 1].token_type
        if kind is TokenType.REPLACE and after is TokenType.INTO and tokens[i - 1].token_type is not TokenType.OR:
            start, end = token.start, token.end
            insert = Token(TokenType.INSERT, "INSERT", token.line, token.col, start, end)
            or_ = Token(TokenType.OR, "OR", token.line, token.col, start, end)
            return [*tokens[:i], insert, or_, *tokens[i:]], ""
        if kind is TokenType.UPDATE and after is TokenType.OR and i + 2 < len(tokens):
            return [*tokens[: i + 1], *tokens[i + 3 :]], tokens[i + 2].text.upper()
    return tokens, ""
