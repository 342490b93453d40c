"""Placeholders: ``?``, ``?NNN``, ``:name``, ``@name``, ``$name``, and in the format styles ``%s`` and ``%(name)s``.

In: the tokens of a statement. Out: tokens in which each placeholder is one whose text is the index of its parameter.
"""

from __future__ import annotations

import re

from sqlglot.tokenizer_core import Token, TokenType

from zodbapi.errors import OperationalError, ProgrammingError

_PLACEHOLDER = TokenType.PLACEHOLDER
_NUMBERED = re.compile(r"\?\d")
_LONG_LIST = 4
_FORMATS = re.compile(
    r"""'[^']*(?:''[^']*)*' | "[^"]*(?:""[^"]*)*" | `[^`]*` | \[[^\]]*\] | --[^\n]* | /\*.*?\*/
    | %% | %s | %\(([^)]*)\)s""",
    re.VERBOSE | re.DOTALL,
)


def number_placeholders(tokens: list[Token], sql: str) -> tuple[list[Token], tuple[str | None, ...]]:
    """Tokens with each placeholder as one token whose text is its index, and the names of the indexes."""
    if ":" in sql or "@" in sql or "$" in sql or ("?" in sql and _NUMBERED.search(sql)):
        return _number_named(tokens)
    if "?" not in sql:
        return tokens, ()
    places = [i for i, token in enumerate(tokens) if token.token_type is _PLACEHOLDER]
    for index, place in enumerate(places):
        tokens[place].text = str(index)
    return _join_lists(tokens, places), (None,) * len(places)


def _join_lists(tokens: list[Token], places: list[int]) -> list[Token]:
    """Tokens with the placeholders of each ``IN (?, ?, ?, ...)`` as one, whose text is ``first:last``.

    Lists of thousands are common, and the grammar would climb through all levels of precedence for each.
    """
    if len(places) < _LONG_LIST:
        return tokens
    joined: list[Token] = []
    copied = start = 0
    for end in range(1, len(places) + 1):
        if end < len(places) and places[end] == places[end - 1] + 2 and _comma(tokens[places[end] - 1]):
            continue
        first, last = places[start], places[end - 1]
        if end - start >= _LONG_LIST and _in_brackets(tokens, first, last):
            tokens[first].text = f"{start}:{end}"
            joined += tokens[copied : first + 1]
            copied = last + 1
        start = end
    return [*joined, *tokens[copied:]] if joined else tokens


def _comma(token: Token) -> bool:
    return token.token_type is TokenType.COMMA


def _in_brackets(tokens: list[Token], first: int, last: int) -> bool:
    kinds = [token.token_type for token in (*tokens[first - 2 : first], *tokens[last + 1 : last + 2])]
    return kinds == [TokenType.IN, TokenType.L_PAREN, TokenType.R_PAREN]


def _number_named(tokens: list[Token]) -> tuple[list[Token], tuple[str | None, ...]]:
    names: list[str | None] = []
    numbered: list[Token] = []
    size = len(tokens)
    i = 0
    while i < size:
        token = tokens[i]
        i += 1
        kind = token.token_type
        if kind is TokenType.PLACEHOLDER or kind is TokenType.COLON or kind is TokenType.PARAMETER:
            word = tokens[i] if i < size and tokens[i].start == token.end + 1 else None
            end, index = token.end, len(names)
            if kind is not TokenType.PLACEHOLDER:
                if word is None or not (word.text[0].isalnum() or word.text[0] == "_"):
                    raise OperationalError(f'unrecognized token: "{token.text}"')
                index = names.index(word.text) if word.text in names else index
            elif word is not None and word.token_type is TokenType.NUMBER:
                index = _checked_index(word.text)
            else:
                word = None
            if word is not None:
                end = word.end
                i += 1
            if index >= len(names):
                names.extend([None] * (index - len(names)))
                names.append(word.text if word and kind is not TokenType.PLACEHOLDER else None)
            token = Token(TokenType.PLACEHOLDER, str(index), token.line, token.col, token.start, end)
        numbered.append(token)
    return numbered, tuple(names)


def _checked_index(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 32766:
        raise OperationalError("variable number must be between ?1 and ?32766")
    return int(text) - 1


def _is_plain(sql: str) -> bool:
    """Whether each ``%`` of a text is that of a placeholder ``%s`` outside of names and literals."""
    if "`" in sql or "[" in sql or "--" in sql or "/*" in sql or sql.count("%") != sql.count("%s"):
        return False
    names = "".join(sql.split('"')[1::2])
    if "%" in names:
        return False
    if "'" not in sql:
        return True
    # Where no name has a quote of literals and no literal one of names, each quote is what it looks like.
    literals = "".join(sql.split("'")[1::2])
    return "'" not in names and '"' not in literals and "%" not in literals


def convert_formats(sql: str) -> str:
    """``%s`` and ``%(name)s`` as ``?`` and ``:name`` outside of literals; ``%%`` as ``%`` inside and outside."""
    if _is_plain(sql):
        return sql.replace("%s", "?")

    def convert(match: re.Match[str]) -> str:
        text = match[0]
        if text == "%s":
            return "?"
        if text == "%%":
            return "%"
        if match[1] is not None:
            if not match[1].isidentifier():
                raise ProgrammingError(f"a parameter cannot be called {match[1]!r}")
            return f":{match[1]}"
        return text if text[0] in "-/" else text.replace("%%", "%")

    return _FORMATS.sub(convert, sql)
