"""Statements that sqlglot does not read, or not with the places of their expressions: DDL, transactions, PRAGMA, EXPLAIN.

In: the text of one statement. Out: a tree of ``syntax``, or the finished ``Command`` where no name has to be resolved.
A recursive descent in the order of https://www.sqlite.org/lang.html, extended with what PostgreSQL's ALTER TABLE can do.
"""

from __future__ import annotations

from collections.abc import Callable

from zodbapi.catalog import Procedure
from zodbapi.errors import NotSupportedError, OperationalError
from zodbapi.isolation import LEVELS, Isolation
from zodbapi.parser.syntax import (
    Action,
    AlterDefinition,
    CallDefinition,
    Definition,
    ExplainDefinition,
    IndexDefinition,
    TableDefinition,
    ViewDefinition,
)
from zodbapi.parser.table import parse_column, parse_constraint, parse_table_body, parse_terms, parse_type
from zodbapi.parser.trigger import parse_trigger
from zodbapi.parser.words import WordCursor, qualified_name
from zodbapi.plan.commands import (
    Command,
    Comment,
    CreateProcedure,
    Drop,
    Maintenance,
    Pragma,
    TransactionControl,
    Truncate,
)
from zodbapi.record import replace

__all__ = ["parse_ddl"]


def parse_ddl(sql: str) -> Definition | Command | None:
    """The tree of one statement's text, or None when sqlglot is to parse it (SELECT, INSERT, ...)."""
    cursor = WordCursor(sql)
    rule = _STATEMENTS.get(cursor.word.upper)
    if rule is None:
        return None
    cursor.advance()
    tree = rule(cursor)
    cursor.finish()
    return tree


# --- CREATE -------------------------------------------------------------------------------------------------------


def _create(cursor: WordCursor) -> Definition | Command:
    temporary = bool(cursor.accept_any("TEMP", "TEMPORARY"))
    if cursor.accept("TRIGGER"):
        return replace(parse_trigger(cursor), temporary=temporary)
    if temporary and not (cursor.sees("TABLE") or cursor.sees("VIEW")):
        raise cursor.error()
    or_replace = cursor.accept("OR", "REPLACE")
    if or_replace and not cursor.sees("PROCEDURE"):
        raise cursor.error()
    unique = cursor.accept("UNIQUE")
    if cursor.accept("INDEX"):
        return _create_index(cursor, unique)
    if not unique and cursor.accept("TABLE"):
        return _create_table(cursor, temporary)
    if not unique and cursor.accept("VIEW"):
        return _create_view(cursor, temporary)
    if not unique and cursor.accept("PROCEDURE"):
        return _create_procedure(cursor, or_replace)
    what = cursor.accept_any("VIRTUAL", "FUNCTION", "SEQUENCE", "SCHEMA", "EXTENSION", "MATERIALIZED", "TYPE")
    if what:
        raise NotSupportedError(f"CREATE {what} is not supported")
    raise cursor.error()


def _create_table(cursor: WordCursor, temporary: bool) -> Definition:
    exists = cursor.accept("IF", "NOT", "EXISTS")
    temporary = temporary or cursor.sees("TEMP", ".")
    name = qualified_name(cursor)
    if cursor.accept("AS"):
        return TableDefinition(name, (), if_not_exists=exists, temporary=temporary, query=cursor.rest())
    columns, constraints = parse_table_body(cursor)
    definition = TableDefinition(name, columns, constraints, exists, temporary)
    while True:
        if cursor.accept("WITHOUT", "ROWID"):
            _check_without_rowid(definition)
        elif cursor.accept("STRICT"):
            _check_strict(definition)
        else:
            return definition
        cursor.accept(",")


def _check_without_rowid(table: TableDefinition) -> None:
    """Raises for what SQLite refuses; the table is like any other, and has rowids."""
    parts = [*table.constraints, *(constraint for column in table.columns for constraint in column.constraints)]
    keys = [constraint for constraint in parts if constraint.kind == "primary key"]
    if not keys:
        raise OperationalError(f"PRIMARY KEY missing on table {table.name}")
    if any(key.autoincrement for key in keys):
        raise OperationalError("AUTOINCREMENT not allowed on WITHOUT ROWID tables")


def _check_strict(table: TableDefinition) -> None:
    """Raises for what SQLite refuses; all tables are strict."""
    for column in table.columns:
        if not column.type:
            raise OperationalError(f"missing datatype for {table.name}.{column.name}")


def _create_view(cursor: WordCursor, temporary: bool) -> Definition:
    exists = cursor.accept("IF", "NOT", "EXISTS")
    temporary = temporary or cursor.sees("TEMP", ".")
    name = qualified_name(cursor)
    columns = cursor.names() if cursor.sees("(") else ()
    cursor.expect("AS")
    return ViewDefinition(name, columns, cursor.rest(), exists, temporary)


def _create_procedure(cursor: WordCursor, or_replace: bool) -> Command:
    """``CREATE PROCEDURE name (parameter [type], ...) [LANGUAGE SQL] AS 'statements'``; types are not looked at."""
    name = qualified_name(cursor)
    cursor.expect("(")
    parameters: list[str] = []
    while not cursor.accept(")"):
        if parameters:
            cursor.expect(",")
        cursor.accept("IN")
        parameters.append(cursor.name())
        parse_type(cursor)
    cursor.accept("LANGUAGE", "SQL")
    cursor.expect("AS")
    if cursor.word.kind != "string":
        raise cursor.error()
    return CreateProcedure(Procedure(name, tuple(parameters), cursor.advance().value), or_replace)


def _call(cursor: WordCursor) -> Definition:
    name = qualified_name(cursor)
    cursor.expect("(")
    arguments = "" if cursor.sees(")") else cursor.text_until(")")
    cursor.expect(")")
    return CallDefinition(name, arguments)


def _create_index(cursor: WordCursor, unique: bool) -> Definition:
    cursor.accept("CONCURRENTLY")
    exists = cursor.accept("IF", "NOT", "EXISTS")
    name = qualified_name(cursor)
    cursor.expect("ON")
    table = qualified_name(cursor)
    if cursor.accept("USING"):
        cursor.name()  # the access method; all are BTrees here
    terms = parse_terms(cursor)
    include = cursor.names() if cursor.accept("INCLUDE") else ()
    distinct = not cursor.accept("NULLS", "NOT", "DISTINCT")
    cursor.accept("NULLS", "DISTINCT")
    where = cursor.text_until(";") if cursor.accept("WHERE") else None
    return IndexDefinition(name, table, terms, unique, where, include, distinct, exists)


# --- DROP, COMMENT --------------------------------------------------------------------------------------------------


def _drop(cursor: WordCursor) -> Command:
    what = cursor.accept_any("TABLE", "INDEX", "VIEW", "TRIGGER", "PROCEDURE")
    if not what:
        raise cursor.error()
    cursor.accept("CONCURRENTLY")
    exists = cursor.accept("IF", "EXISTS")
    name = qualified_name(cursor)
    if what == "PROCEDURE" and cursor.accept("("):  # the types that PostgreSQL tells overloads by
        while not cursor.accept(")"):
            cursor.advance()
    cascade = cursor.accept_any("CASCADE", "RESTRICT") == "CASCADE"
    return Drop(what.lower(), name, exists, cascade)


def _truncate(cursor: WordCursor) -> Command:
    cursor.accept("TABLE")
    cursor.accept("ONLY")
    tables = [qualified_name(cursor)]
    while cursor.accept(","):
        tables.append(qualified_name(cursor))
    restart = cursor.accept("RESTART", "IDENTITY")
    cursor.accept("CONTINUE", "IDENTITY")
    return Truncate(tuple(tables), restart, cursor.accept_any("CASCADE", "RESTRICT") == "CASCADE")


def _comment(cursor: WordCursor) -> Command:
    cursor.expect("ON")
    what = cursor.accept_any("TABLE", "COLUMN", "INDEX")
    if not what:
        raise cursor.error()
    name = cursor.name()
    column = ""
    if what == "COLUMN":
        cursor.expect(".")
        column = cursor.name()
        if cursor.accept("."):  # main.table.column
            name, column = column, cursor.name()
    elif cursor.accept("."):
        name = cursor.name()
    cursor.expect("IS")
    if cursor.accept("NULL"):
        return Comment(what.lower(), name, column, "")
    if cursor.word.kind != "string":
        raise cursor.error()
    return Comment(what.lower(), name, column, cursor.advance().value)


# --- ALTER ----------------------------------------------------------------------------------------------------------


def _alter(cursor: WordCursor) -> Definition:
    if cursor.accept("INDEX"):
        exists = cursor.accept("IF", "EXISTS")
        old = qualified_name(cursor)
        cursor.expect("RENAME", "TO")
        return AlterDefinition("", (Action("rename_index", old, cursor.name()),), exists)
    cursor.expect("TABLE")
    exists = cursor.accept("IF", "EXISTS")
    cursor.accept("ONLY")
    table = qualified_name(cursor)
    actions = [_action(cursor)]
    while cursor.accept(","):
        actions.append(_action(cursor))
    return AlterDefinition(table, tuple(actions), exists)


def _action(cursor: WordCursor) -> Action:
    match cursor.accept_any("RENAME", "ADD", "DROP", "ALTER"):
        case "RENAME":
            return _rename(cursor)
        case "ADD":
            return _add(cursor)
        case "DROP":
            return _drop_part(cursor)
        case "ALTER":
            return _alter_column(cursor)
        case _:
            raise cursor.error()


def _rename(cursor: WordCursor) -> Action:
    if cursor.accept("TO"):
        return Action("rename_table", name=cursor.name())
    constraint = cursor.accept("CONSTRAINT")
    cursor.accept("COLUMN")
    old = cursor.name()
    cursor.expect("TO")
    return Action("rename_constraint" if constraint else "rename_column", old, cursor.name())


def _add(cursor: WordCursor) -> Action:
    if not cursor.accept("COLUMN"):
        constraint = parse_constraint(cursor)
        if constraint is not None:
            return Action("add_constraint", constraint=constraint)
    exists = cursor.accept("IF", "NOT", "EXISTS")
    return Action("add_column", definition=parse_column(cursor), if_exists=exists)


def _drop_part(cursor: WordCursor) -> Action:
    constraint = cursor.accept("CONSTRAINT")
    if not constraint:
        cursor.accept("COLUMN")
    exists = cursor.accept("IF", "EXISTS")
    name = cursor.name()
    cascade = cursor.accept_any("CASCADE", "RESTRICT") == "CASCADE"
    if constraint:
        return Action("drop_constraint", name=name, if_exists=exists, cascade=cascade)
    return Action("drop_column", name, if_exists=exists, cascade=cascade)


def _alter_column(cursor: WordCursor) -> Action:
    cursor.accept("COLUMN")
    column = cursor.name()
    if cursor.accept("SET", "NOT", "NULL"):
        return Action("set_not_null", column)
    if cursor.accept("DROP", "NOT", "NULL"):
        return Action("drop_not_null", column)
    if cursor.accept("SET", "DEFAULT"):
        return Action("set_default", column, text=cursor.text_until(",", ";"))
    if cursor.accept("DROP", "DEFAULT"):
        return Action("drop_default", column)
    if cursor.accept("ADD", "GENERATED"):
        if not cursor.accept("ALWAYS"):
            cursor.expect("BY", "DEFAULT")
        cursor.expect("AS", "IDENTITY")
        return Action("set_identity", column)
    if cursor.accept("RESTART"):
        return Action("restart_identity", column)
    if cursor.accept("DROP", "IDENTITY"):
        return Action("drop_identity", column, if_exists=cursor.accept("IF", "EXISTS"))
    if cursor.accept("TYPE") or cursor.accept("SET", "DATA", "TYPE"):
        words = parse_type(cursor)
        collation = cursor.name() if cursor.accept("COLLATE") else ""
        using = cursor.text_until(",", ";") if cursor.accept("USING") else None
        return Action("set_type", column, text=words, using=using, collation=collation)
    raise cursor.error()


# --- transactions, PRAGMA, EXPLAIN, maintenance ---------------------------------------------------------------------


def _begin(cursor: WordCursor) -> Command:
    mode = cursor.accept_any("DEFERRED", "IMMEDIATE", "EXCLUSIVE", "CONCURRENT")
    cursor.accept_any("TRANSACTION", "WORK")
    return TransactionControl("begin", mode=mode.lower() or "deferred", isolation=_isolation(cursor))


def _start(cursor: WordCursor) -> Command:
    cursor.expect("TRANSACTION")
    return TransactionControl("begin", mode="deferred", isolation=_isolation(cursor))


def _isolation(cursor: WordCursor) -> Isolation | None:
    """``ISOLATION LEVEL ...``, as in SQL and PostgreSQL, if it is there."""
    if not cursor.accept("ISOLATION"):
        return None
    cursor.expect("LEVEL")
    for name, level in LEVELS.items():
        if cursor.accept(*name.split()):
            return level
    raise cursor.error()


def _commit(cursor: WordCursor) -> Command:
    cursor.accept_any("TRANSACTION", "WORK")
    return TransactionControl("commit")


def _rollback(cursor: WordCursor) -> Command:
    cursor.accept_any("TRANSACTION", "WORK")
    if not cursor.accept("TO"):
        return TransactionControl("rollback")
    cursor.accept("SAVEPOINT")
    return TransactionControl("rollback_to", cursor.name())


def _savepoint(cursor: WordCursor) -> Command:
    return TransactionControl("savepoint", cursor.name())


def _release(cursor: WordCursor) -> Command:
    cursor.accept("SAVEPOINT")
    return TransactionControl("release", cursor.name())


def _set(cursor: WordCursor) -> Command:
    """SET TRANSACTION and SET CONSTRAINTS, as in SQL and PostgreSQL; whichever constraints are named, all are meant."""
    if cursor.accept("TRANSACTION"):
        level = _isolation(cursor)
        if level is None:
            raise cursor.error()
        return TransactionControl("set_isolation", isolation=level)
    cursor.expect("CONSTRAINTS")
    if not cursor.accept("ALL"):
        cursor.name()
        while cursor.accept(","):
            cursor.name()
    if cursor.accept("DEFERRED"):
        return TransactionControl("defer_constraints")
    cursor.expect("IMMEDIATE")
    return TransactionControl("check_constraints")


def _pragma(cursor: WordCursor) -> Command:
    name = cursor.name()
    if cursor.accept("."):
        name = cursor.name()
    if cursor.accept("="):
        return Pragma(name.lower(), _pragma_value(cursor))
    if cursor.accept("("):
        value = _pragma_value(cursor)
        cursor.expect(")")
        return Pragma(name.lower(), value)
    return Pragma(name.lower())


def _pragma_value(cursor: WordCursor) -> object:
    sign = cursor.accept_any("-", "+")
    word = cursor.advance()
    if word.kind != "literal":
        if sign or word.kind == "operator":
            raise cursor.error()
        return word.value
    try:
        return int(sign + word.text)
    except ValueError:
        return sign + word.text


def _explain(cursor: WordCursor) -> Definition:
    query_plan = cursor.accept("QUERY", "PLAN")
    offset = cursor.word.start
    return ExplainDefinition(query_plan, cursor.rest(), offset)


def _maintenance(action: str) -> Callable[[WordCursor], Command]:
    def parse(cursor: WordCursor) -> Command:
        return Maintenance(action, "" if cursor.at_end or cursor.sees(";") else qualified_name(cursor))

    return parse


_STATEMENTS: dict[str, Callable[[WordCursor], Definition | Command]] = {
    "CREATE": _create,
    "DROP": _drop,
    "TRUNCATE": _truncate,
    "ALTER": _alter,
    "CALL": _call,
    "COMMENT": _comment,
    "BEGIN": _begin,
    "START": _start,
    "COMMIT": _commit,
    "END": _commit,
    "ROLLBACK": _rollback,
    "SAVEPOINT": _savepoint,
    "RELEASE": _release,
    "SET": _set,
    "PRAGMA": _pragma,
    "EXPLAIN": _explain,
    "VACUUM": _maintenance("vacuum"),
    "ANALYZE": _maintenance("analyze"),
    "REINDEX": _maintenance("reindex"),
}
