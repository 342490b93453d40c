"""The words of an SQL text with their places, for the statements that keep slices of their text.

In: SQL text. Out: ``Word`` objects, and ``WordCursor``, on which ``ddl`` descends. DEFAULT, CHECK and the like are
kept in the schema as the user wrote them, so what matters here is exactly where an expression starts and ends.
"""

from __future__ import annotations

import re
from functools import cached_property

from zodbapi.errors import OperationalError
from zodbapi.record import record

_WORD = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<string>'[^']*(?:''[^']*)*')
    |(?P<literal>[xX]'[^']*'|0[xX][0-9a-fA-F]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<name>"[^"]*(?:""[^"]*)*"|`[^`]*(?:``[^`]*)*`|\[[^\]]*\])
    |(?P<word>[^\W\d][\w$]*)
    |(?P<operator>\|\||->>|->|<<|>>|<=|>=|==|<>|!=|::|.)
    """,
    re.VERBOSE | re.DOTALL,
)

# Words that cannot name anything unless they are quoted (SQLite's, without those it falls back to names for).
RESERVED = frozenset(
    """ADD ALL ALTER AND AS AUTOINCREMENT BETWEEN CASE CHECK COLLATE COMMIT CONSTRAINT CREATE DEFAULT DEFERRABLE DELETE
    DISTINCT DROP ELSE ESCAPE EXISTS FOREIGN FROM GROUP HAVING IN INDEX INSERT INTERSECT INTO IS ISNULL JOIN LIMIT NOT NOTNULL
    NULL ON OR ORDER PRIMARY REFERENCES RETURNING SELECT SET TABLE THEN TO TRANSACTION UNION UNIQUE UPDATE USING VALUES WHEN
    WHERE""".split()
)


@record(frozen=True)
class Word:
    """One word, literal or operator. ``kind`` is word, name (quoted), string, literal or operator."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The place after the last character."""
        return self.start + len(self.text)

    @cached_property
    def upper(self) -> str:
        """What keywords and operators are compared with; "" for names and literals."""
        return self.text.upper() if self.kind in ("word", "operator") else ""

    @property
    def value(self) -> str:
        """The text without its quotes."""
        match self.kind:
            case "name" if self.text[0] == "[":
                return self.text[1:-1]
            case "name" | "string":
                quote = self.text[0]
                return self.text[1:-1].replace(quote * 2, quote)
            case _:
                return self.text


def split_words(sql: str) -> list[Word]:
    """The words of a text, without spaces and comments."""
    return [Word(str(m.lastgroup), m.group(), m.start()) for m in _WORD.finditer(sql) if m.lastgroup != "space"]


_END = Word("end", "", 0)


class WordCursor:
    """A place in the words of one statement, and the steps of a recursive descent from there."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self._words = split_words(sql)
        self._at = 0

    @property
    def word(self) -> Word:
        """The next word."""
        return self._words[self._at] if self._at < len(self._words) else _END

    @property
    def at_end(self) -> bool:
        """Whether every word is consumed."""
        return self._at >= len(self._words)

    def sees(self, *keywords: str) -> bool:
        """Whether the next words are these."""
        following = self._words[self._at : self._at + len(keywords)]
        return tuple(word.upper for word in following) == keywords

    def accept(self, *keywords: str) -> bool:
        """Consumes these words if they come next."""
        if self.sees(*keywords):
            self._at += len(keywords)
            return True
        return False

    def accept_any(self, *keywords: str) -> str:
        """Consumes the next word if it is one of these; the word, or ""."""
        upper = self.word.upper
        if upper in keywords:
            self._at += 1
            return upper
        return ""

    def expect(self, *keywords: str) -> None:
        """Consumes these words, which must come next."""
        for keyword in keywords:
            if not self.accept(keyword):
                raise self.error()

    def advance(self) -> Word:
        """Consumes any one word."""
        word = self.word
        if self.at_end:
            raise self.error()
        self._at += 1
        return word

    def name(self) -> str:
        """Consumes a name, quoted or not; SQLite takes a string too."""
        word = self.word
        if word.kind in ("name", "string") or (word.kind == "word" and word.upper not in RESERVED):
            self._at += 1
            return word.value
        raise self.error()

    def names(self) -> tuple[str, ...]:
        """Consumes a parenthesised list of names."""
        self.expect("(")
        found = [self.name()]
        while self.accept(","):
            found.append(self.name())
        self.expect(")")
        return tuple(found)

    def parenthesised(self) -> str:
        """Consumes ``( ... )``; the text between."""
        self.expect("(")
        text = self.text_until(")")
        self.expect(")")
        return text

    def text_until(self, *stops: str) -> str:
        """Consumes up to one of these words outside parentheses, or the end; the text. At least one word."""
        return self.slice(*self.span_until(*stops))

    def span_until(self, *stops: str) -> list[Word]:
        """As ``text_until``; the words."""
        first, depth = self._at, 0
        while not self.at_end:
            upper = self.word.upper
            if depth == 0 and (upper == ")" or (upper in stops and self._at > first)):
                break
            depth += (upper == "(") - (upper == ")")
            self._at += 1
        if self._at == first or depth:
            raise self.error()
        return self._words[first : self._at]

    def slice(self, *words: Word) -> str:
        """The text from the first of these words to the last."""
        return self.sql[words[0].start : words[-1].end]

    def rest(self) -> str:
        """Consumes everything left; the text, without closing semicolons and comments."""
        words = self._words[self._at :]
        while words and words[-1].upper == ";":
            words.pop()
        if not words:
            raise self.error()
        self._at = len(self._words)
        return self.slice(words[0], words[-1])

    def finish(self) -> None:
        """Raises unless nothing but semicolons is left."""
        while self.accept(";"):
            pass
        if not self.at_end:
            raise self.error()

    def error(self) -> OperationalError:
        """The syntax error that points at the next word."""
        if self.at_end:
            return OperationalError("incomplete input")
        before = self.sql[: self.word.start]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return OperationalError(f'near "{self.word.text}": syntax error (line {line}, column {column})')


def qualified_name(cursor: WordCursor) -> str:
    """Consumes ``name``, ``main.name`` or ``temp.name``; what is temporary and what is not share one set of names."""
    name = cursor.name()
    if not cursor.accept("."):
        return name
    if name.lower() not in ("main", "temp"):
        raise OperationalError(f"unknown database {name}")
    return cursor.name()
