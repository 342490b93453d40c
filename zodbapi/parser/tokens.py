"""Text to tokens: sqlglot's tokenizer, and what it reads differently from SQLite about numbers.

It takes the sign behind an exponent for a part of the number (``1e5+1``), and begins a name right behind a number
(``12abc``), which would be an alias.
"""

from __future__ import annotations

import re
from threading import local

from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from zodbapi.errors import OperationalError
from zodbapi.parser.dialect import DIALECT, Tokenizer

_local = local()
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_SUSPECT = re.compile(rf"(?<![\w.?:@$]){_NUMBER}(?:[^\W\d]|(?<=\d)[+-])")
_WHOLE = re.compile(_NUMBER)
_WORD = re.compile(r"\w+")
_CLOSED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/", re.DOTALL)


def tokenize(sql: str, shown: str = "") -> list[Token]:
    """The tokens of a text, whose errors may show another one.

    The tokenizer is kept a thread, because making one costs as much as using it.
    """
    tokenizer: Tokenizer | None = getattr(_local, "tokenizer", None)
    if tokenizer is None:
        tokenizer = _local.tokenizer = Tokenizer(dialect=DIALECT)
    try:
        tokens = tokenizer.tokenize(sql)
        return _checked(tokenizer, sql, tokens) if _SUSPECT.search(sql) else tokens
    except TokenError:
        raise OperationalError(f'unrecognized token: "{_unclosed(shown or sql)}"') from None


def _checked(tokenizer: Tokenizer, sql: str, tokens: list[Token]) -> list[Token]:
    """The tokens as SQLite reads them."""
    i = 0
    while i < len(tokens):
        token = tokens[i]
        i += 1
        if token.token_type is not TokenType.NUMBER:
            continue
        number = _WHOLE.match(sql, token.start)
        if number is not None and number.end() <= token.end:
            cut = number.end()
            token.text, token.end = number[0], cut - 1
            before = re.sub(r"[^\n]", " ", sql[:cut])  # so that what follows stays where it is
            tokens[i:] = tokenizer.tokenize(before + sql[cut:])
        name = _WORD.match(sql, token.end + 1)
        if name is not None and not (i > 1 and _is_numbered(tokens[i - 2], token)):
            raise OperationalError(f'unrecognized token: "{sql[token.start : name.end()]}"')
    return tokens


def _is_numbered(before: Token, number: Token) -> bool:
    """Whether a number is that of a placeholder, behind which a word may begin."""
    return before.token_type is TokenType.PLACEHOLDER and before.end + 1 == number.start


def _unclosed(sql: str) -> str:
    """What SQLite would name as the bad token: from the quote that is never closed."""
    rest = _CLOSED.sub(lambda match: " " * len(match[0]), sql)
    found = re.search(r"['\"`\[]|/\*", rest)
    return sql[found.start() :] if found else sql
