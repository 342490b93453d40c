"""Names inside the SQL texts that the schema keeps: finding them, and renaming them.

In: the text of a CHECK, DEFAULT, generated column, index or view. Out: the text with the new name, everything else untouched.
"""

from __future__ import annotations

from collections.abc import Iterator

from zodbapi.words import Word, split_words

_NOTHING = Word("end", "", 0)
_BEFORE_TABLES = frozenset({"FROM", "JOIN", ",", "INTO", "UPDATE"})
_BEFORE_OTHER_NAMES = frozenset({"AS", "COLLATE"})  # of a CAST's type, of a collation


def quote(name: str) -> str:
    """The name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def mentions_column(text: str, table: str, column: str) -> bool:
    """Whether an expression over a row of the table uses that column."""
    return any(True for _ in _column_words(text, table, column))


def rename_column_in(text: str, table: str, old: str, new: str) -> str:
    """The expression with another name for a column of its row."""
    return _replace(text, _column_words(text, table, old), new)


def rename_table_in(text: str, old: str, new: str) -> str:
    """An expression or query with another name for a table."""
    return _replace(text, _table_words(text, old), new)


def rename_view_column(text: str, table: str, old: str, new: str) -> str:
    """A query with another name for a column of a table; only queries over that one table are understood."""
    if not any(True for _ in _table_words(text, table)):
        return text
    return rename_column_in(text, table, old, new)


def _column_words(text: str, table: str, column: str) -> Iterator[Word]:
    for before, word, after in _named(text, column):
        if after.upper in ("(", ".") or before[-1].upper in _BEFORE_OTHER_NAMES:
            continue
        if before[-1].upper != "." or before[-2].value.lower() == table.lower():
            yield word


def _table_words(text: str, table: str) -> Iterator[Word]:
    for before, word, after in _named(text, table):
        if after.upper == "." or before[-1].upper in _BEFORE_TABLES:
            yield word


def _named(text: str, name: str) -> Iterator[tuple[tuple[Word, Word], Word, Word]]:
    """The words that could be that name, each with the two before it and the one behind it."""
    words = [_NOTHING, _NOTHING, *split_words(text), _NOTHING]
    for i in range(2, len(words) - 1):
        word = words[i]
        if word.kind in ("word", "name") and word.value.lower() == name.lower():
            yield (words[i - 2], words[i - 1]), word, words[i + 1]


def _replace(text: str, words: Iterator[Word], new: str) -> str:
    for word in reversed(list(words)):
        text = text[: word.start] + quote(new) + text[word.end :]
    return text
