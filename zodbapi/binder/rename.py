"""Names inside the SQL texts that the schema keeps: finding them, and renaming them.

In: the text of a CHECK, DEFAULT, generated column, index or view. Out: the text with the new name, everything else untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from zodbapi.parser.words import RESERVED, Word, split_words

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


def rename_view_column(text: str, table: str, old: str, new: str, ambiguous: Callable[[str], bool]) -> str:
    """A query with another name for a column of a table.

    Qualified names are followed through aliases. Names without a qualifier mean the table unless another one that the
    query reads has such a column too: ``ambiguous`` says so of a name behind FROM or JOIN.
    """
    words = [_NOTHING, _NOTHING, *split_words(text), _NOTHING, _NOTHING]
    read = {words[i].value.lower() for i in range(2, len(words) - 2) if words[i - 1].upper in _BEFORE_TABLES}
    if table.lower() not in read:
        return text
    qualifiers = {table.lower(), *_aliases(words, table)}
    own = not any(ambiguous(name) for name in read - {table.lower()})
    found = []
    for before, word, after in _named(text, old):
        if after.upper in ("(", ".") or before[-1].upper in _BEFORE_OTHER_NAMES | _BEFORE_TABLES - {","}:
            continue
        if before[-2].value.lower() in qualifiers if before[-1].upper == "." else own:
            found.append(word)
    return _replace(text, iter(found), new)


def _aliases(words: list[Word], table: str) -> Iterator[str]:
    for i in range(2, len(words) - 2):
        if words[i].value.lower() == table.lower() and words[i - 1].upper in _BEFORE_TABLES:
            alias = words[i + 2] if words[i + 1].upper == "AS" else words[i + 1]
            if alias.kind == "name" or (alias.kind == "word" and alias.upper not in RESERVED):
                yield alias.value.lower()


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
