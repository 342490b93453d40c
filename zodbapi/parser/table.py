"""Columns and constraints, as CREATE TABLE, CREATE INDEX and ALTER TABLE write them.

In: a cursor at the first word. Out: the trees of ``syntax``; the cursor stands behind.
"""

from __future__ import annotations

from zodbapi.errors import NotSupportedError
from zodbapi.parser.syntax import ColumnDefinition, Constraint, Reference, Term
from zodbapi.parser.words import Word, WordCursor
from zodbapi.record import replace

# The words that end a declared type.
_AFTER_TYPE = """CONSTRAINT PRIMARY NOT NULL UNIQUE CHECK DEFAULT COLLATE REFERENCES GENERATED AS AUTOINCREMENT USING
    DEFERRABLE""".split()
_CONSTANTS = frozenset(
    {"NULL", "TRUE", "FALSE", "CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"}
)


def parse_table_body(cursor: WordCursor) -> tuple[tuple[ColumnDefinition, ...], tuple[Constraint, ...]]:
    """``( columns, then constraints )``."""
    columns: list[ColumnDefinition] = []
    constraints: list[Constraint] = []
    cursor.expect("(")
    comma = True
    while True:
        constraint = parse_constraint(cursor)
        if constraint is not None:
            constraints.append(constraint)
        elif comma:
            columns.append(parse_column(cursor))
        else:
            raise cursor.error()
        comma = cursor.accept(",")
        if not comma and (constraint is None or cursor.sees(")")):
            break  # SQLite lets the comma between two table constraints go
    cursor.expect(")")
    return tuple(columns), tuple(constraints)


def parse_column(cursor: WordCursor) -> ColumnDefinition:
    """``name [type] [constraints]``."""
    name = cursor.name()
    words = parse_type(cursor)
    constraints: list[Constraint] = []
    while True:
        if _accept_deferrable(cursor, constraints):
            continue
        constraint = _column_constraint(cursor)
        if constraint is None:
            return ColumnDefinition(name, words, tuple(constraints))
        constraints.append(constraint)


def parse_type(cursor: WordCursor) -> str:
    """The words of a declared type, with its arguments; "" when there are none."""
    words: list[Word] = []
    while cursor.word.kind in ("word", "name", "string") and cursor.word.upper not in _AFTER_TYPE:
        words.append(cursor.advance())
        if cursor.sees("("):
            words += [cursor.advance(), *cursor.span_until(), cursor.advance()]
    return cursor.slice(*words) if words else ""


def _accept_deferrable(cursor: WordCursor, constraints: list[Constraint]) -> bool:
    """``[NOT] DEFERRABLE ...`` belongs to the constraint before it."""
    if not constraints or not (
        cursor.sees("DEFERRABLE") or cursor.sees("NOT", "DEFERRABLE") or cursor.sees("INITIALLY")
    ):
        return False
    constraints[-1] = _with_deferrable(cursor, constraints[-1])
    return True


def _with_deferrable(cursor: WordCursor, constraint: Constraint) -> Constraint:
    negated = cursor.accept("NOT", "DEFERRABLE")
    deferrable = cursor.accept("DEFERRABLE")
    deferred = cursor.accept("INITIALLY", "DEFERRED")
    cursor.accept("INITIALLY", "IMMEDIATE")
    # SQLite reads INITIALLY DEFERRED without DEFERRABLE as immediate only after NOT
    deferred = deferred and not negated
    return replace(constraint, deferrable=deferrable or deferred, deferred=deferred)


def _constraint_name(cursor: WordCursor) -> str:
    return cursor.name() if cursor.accept("CONSTRAINT") else ""


def _column_constraint(cursor: WordCursor) -> Constraint | None:
    name = _constraint_name(cursor)
    if cursor.accept("PRIMARY", "KEY"):
        descending = cursor.accept_any("ASC", "DESC") == "DESC"
        _accept_on_conflict(cursor)
        constraint = Constraint("primary key", name, (Term("", "", descending=descending),) if descending else ())
        return _autoincrement(cursor, constraint)
    if cursor.accept("NOT", "NULL"):
        _accept_on_conflict(cursor)
        return Constraint("not null", name)
    if cursor.accept("NULL"):
        return Constraint("null", name)
    if cursor.accept("UNIQUE"):
        distinct = _accept_nulls_distinct(cursor)
        _accept_on_conflict(cursor)
        return Constraint("unique", name, nulls_distinct=distinct)
    if cursor.accept("CHECK"):
        return Constraint("check", name, text=cursor.parenthesised())
    if cursor.accept("DEFAULT"):
        return Constraint("default", name, text=_default(cursor))
    if cursor.accept("COLLATE"):
        return Constraint("collate", name, text=cursor.name())
    if cursor.sees("REFERENCES"):
        return Constraint("foreign key", name, reference=_reference(cursor))
    if cursor.accept("GENERATED", "ALWAYS", "AS") or cursor.accept("AS"):
        text = cursor.parenthesised()
        stored = cursor.accept_any("STORED", "VIRTUAL", "PERSISTENT") in ("STORED", "PERSISTENT")
        return Constraint("generated", name, text=text, stored=stored)
    if name:
        raise cursor.error()
    return None


def _autoincrement(cursor: WordCursor, constraint: Constraint) -> Constraint:
    return replace(constraint, autoincrement=cursor.accept("AUTOINCREMENT"))


def parse_constraint(cursor: WordCursor) -> Constraint | None:
    """A table constraint, if one comes next."""
    named = cursor.sees("CONSTRAINT")
    name = _constraint_name(cursor)
    constraint: Constraint
    if cursor.accept("PRIMARY", "KEY"):
        terms, autoincrement = _key_terms(cursor)
        constraint = Constraint("primary key", name, terms, autoincrement=autoincrement)
        constraint = _key_options(cursor, constraint)
    elif cursor.sees("UNIQUE"):
        cursor.advance()
        distinct = _accept_nulls_distinct(cursor)
        constraint = Constraint("unique", name, parse_terms(cursor), nulls_distinct=distinct)
        constraint = _key_options(cursor, constraint)
    elif cursor.sees("CHECK", "("):
        cursor.advance()
        constraint = Constraint("check", name, text=cursor.parenthesised())
    elif cursor.accept("FOREIGN", "KEY"):
        terms = tuple(Term(column, column) for column in cursor.names())
        constraint = Constraint("foreign key", name, terms, reference=_reference(cursor))
    elif named:
        raise cursor.error()
    else:
        return None
    _accept_on_conflict(cursor)
    return _with_deferrable(cursor, constraint)


def _key_options(cursor: WordCursor, constraint: Constraint) -> Constraint:
    return replace(constraint, include=cursor.names()) if cursor.accept("INCLUDE") else constraint


def _key_terms(cursor: WordCursor) -> tuple[tuple[Term, ...], bool]:
    cursor.expect("(")
    terms, autoincrement = [parse_term(cursor)], cursor.accept("AUTOINCREMENT")
    while cursor.accept(","):
        terms.append(parse_term(cursor))
        autoincrement = cursor.accept("AUTOINCREMENT") or autoincrement
    cursor.expect(")")
    return tuple(terms), autoincrement


def parse_terms(cursor: WordCursor) -> tuple[Term, ...]:
    """``( term, ... )`` of an index."""
    return _key_terms(cursor)[0]


def parse_term(cursor: WordCursor) -> Term:
    """``column or expression [COLLATE name] [ASC | DESC] [NULLS FIRST | LAST]``."""
    words = cursor.span_until(",", "AUTOINCREMENT")
    if len(words) > 2 and words[-2].upper == "NULLS" and words[-1].upper in ("FIRST", "LAST"):
        words = words[:-2]
    descending = len(words) > 1 and words[-1].upper == "DESC"
    if len(words) > 1 and words[-1].upper in ("ASC", "DESC"):
        words = words[:-1]
    collation = ""
    if len(words) > 2 and words[-2].upper == "COLLATE":
        words, collation = words[:-2], words[-1].value
    bare = words[1:-1] if len(words) == 3 and (words[0].upper, words[2].upper) == ("(", ")") else words
    name = bare[0].value if len(bare) == 1 and bare[0].kind in ("word", "name", "string") else ""
    return Term(name, cursor.slice(*words), collation.upper(), descending)


def _default(cursor: WordCursor) -> str:
    words = cursor.span_until(",", ";", *_AFTER_TYPE)
    only = words[0]
    if len(words) == 1 and (only.kind == "name" or (only.kind == "word" and only.upper not in _CONSTANTS)):
        return "'" + only.value.replace("'", "''") + "'"  # SQLite takes a lone name as a text
    return cursor.slice(*words)


def _reference(cursor: WordCursor) -> Reference:
    cursor.expect("REFERENCES")
    parent = cursor.name()
    if cursor.accept("."):
        parent = cursor.name()
    columns = cursor.names() if cursor.sees("(") else ()
    actions = {"DELETE": "NO ACTION", "UPDATE": "NO ACTION"}
    while True:
        if cursor.accept("MATCH"):
            cursor.name()  # SQLite reads MATCH and does not act on it
        elif cursor.accept("ON"):
            event = cursor.accept_any("DELETE", "UPDATE")
            if not event:
                raise cursor.error()
            actions[event] = _reference_action(cursor)
        else:
            return Reference(parent, columns, actions["DELETE"], actions["UPDATE"])


def _reference_action(cursor: WordCursor) -> str:
    for action in ("SET NULL", "SET DEFAULT", "CASCADE", "RESTRICT", "NO ACTION"):
        if cursor.accept(*action.split()):
            return action
    raise cursor.error()


def _accept_nulls_distinct(cursor: WordCursor) -> bool:
    if cursor.accept("NULLS", "NOT", "DISTINCT"):
        return False
    cursor.accept("NULLS", "DISTINCT")
    return True


def _accept_on_conflict(cursor: WordCursor) -> None:
    """ON CONFLICT of a constraint: only ABORT, which is the default, can be honoured."""
    if not cursor.accept("ON", "CONFLICT"):
        return
    if not cursor.accept("ABORT"):
        raise NotSupportedError("ON CONFLICT in a constraint is not supported; say INSERT OR ... instead")
