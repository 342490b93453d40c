"""CREATE TRIGGER: the event, and the statements of the body as slices of the text.

In: the words after TRIGGER. Out: a ``TriggerDefinition``.
"""

from __future__ import annotations

from zodbapi.parser.syntax import TriggerDefinition
from zodbapi.parser.words import WordCursor, qualified_name

_BODY = ("SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "VALUES")


def parse_trigger(cursor: WordCursor) -> TriggerDefinition:
    """Consumes a trigger's definition from its name on."""
    exists = cursor.accept("IF", "NOT", "EXISTS")
    name = qualified_name(cursor)
    timing = cursor.accept_any("BEFORE", "AFTER")
    if not timing:
        timing = "INSTEAD OF" if cursor.accept("INSTEAD", "OF") else "BEFORE"
    event = cursor.accept_any("INSERT", "UPDATE", "DELETE")
    if not event:
        raise cursor.error()
    columns: list[str] = []
    if event == "UPDATE" and cursor.accept("OF"):
        columns.append(cursor.name())
        while cursor.accept(","):
            columns.append(cursor.name())
    cursor.expect("ON")
    table = qualified_name(cursor)
    cursor.accept("FOR", "EACH", "ROW")
    when = cursor.text_until("BEGIN") if cursor.accept("WHEN") else ""
    cursor.expect("BEGIN")
    body: list[str] = []
    while not body or not cursor.accept("END"):
        body.append(_statement(cursor))
    return TriggerDefinition(name, table, timing, event, tuple(body), when, tuple(columns), exists)


def _statement(cursor: WordCursor) -> str:
    if cursor.word.upper not in _BODY:
        raise cursor.error()
    text = cursor.text_until(";")
    cursor.expect(";")
    return text
