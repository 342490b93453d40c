"""Names inside the SQL texts that the schema keeps: finding them, and renaming them.

In: the text of a CHECK, DEFAULT, generated column, index, view or trigger. Out: it with the new name, everything else untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from zodbapi.catalog import Trigger
from zodbapi.parser.words import RESERVED, Word, split_words
from zodbapi.record import replace

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


def rename_column_of(
    text: str, table: str, old: str, new: str, ambiguous: Callable[[str], bool], row_names: Collection[str] = ()
) -> str:
    """A statement with another name for a column of a table.

    Qualified names are followed through aliases, and mean the table if they are one of ``row_names`` (a trigger's ``new`` and
    ``old``). Names without a qualifier mean the table if the statement reads or writes it, unless another one that it names
    has such a column too: ``ambiguous`` says so of a name behind FROM or JOIN.
    """
    words = [_NOTHING, _NOTHING, *split_words(text), _NOTHING, _NOTHING]
    read = {words[i].value.lower() for i in range(2, len(words) - 2) if words[i - 1].upper in _BEFORE_TABLES}
    if table.lower() not in read and not row_names:
        return text
    qualifiers = {table.lower(), *row_names, *_aliases(words, table)}
    target, listed = _written_columns(words)
    own = table.lower() in read and not any(ambiguous(name) for name in read - {table.lower(), target})
    found = []
    for before, word, after in _named(text, old):
        if word in listed:
            if target == table.lower():
                found.append(word)
            continue
        if after.upper in ("(", ".") or before[-1].upper in _BEFORE_OTHER_NAMES | _BEFORE_TABLES - {","}:
            continue
        if before[-2].value.lower() in qualifiers if before[-1].upper == "." else own:
            found.append(word)
    return _replace(text, iter(found), new)


def _written_columns(words: list[Word]) -> tuple[str, list[Word]]:
    """The table that INSERT INTO writes, and the words of its list of columns."""
    for i in range(2, len(words) - 2):
        if words[i - 1].upper == "INTO":
            start = next((j for j in range(i + 1, min(i + 4, len(words))) if words[j].upper == "("), None)
            if start is None or any(word.upper in ("VALUES", "SELECT") for word in words[i:start]):
                return words[i].value.lower(), []
            end = next((j for j in range(start, len(words)) if words[j].upper == ")"), len(words))
            return words[i].value.lower(), words[start + 1 : end]
    return "", []


def rename_column_in_trigger(
    trigger: Trigger, table: str, old: str, new: str, ambiguous: Callable[[str], bool]
) -> Trigger:
    """The trigger with another name for a column of a table, its own or another."""
    own = trigger.table.lower() == table.lower()
    rows = ("new", "old") if own else ()
    return replace(
        trigger,
        columns=tuple(new if own and column.lower() == old.lower() else column for column in trigger.columns),
        when=rename_column_of(trigger.when, table, old, new, ambiguous, rows),
        body=tuple(rename_column_of(text, table, old, new, ambiguous, rows) for text in trigger.body),
    )


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
