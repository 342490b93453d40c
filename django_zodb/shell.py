"""``manage.py dbshell``: a Python console on the database, or SQL from the command line or standard input.

In: Django's connection and the arguments after ``--``. Out: tables of text; CommandError, and so a status that is not
zero, when SQL fails.
"""

from __future__ import annotations

import argparse
import atexit
import code
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.db import Error

from zodbapi.parser import parse
from zodbapi.parser.words import RESERVED
from zodbapi.shell import format_table

if TYPE_CHECKING:
    # Django's own class, because a backend's client has no narrower one.
    from django.db.backends.base.base import BaseDatabaseWrapper as DatabaseWrapper

HISTORY = Path("~/.django_zodb_history")


def run(connection: DatabaseWrapper, parameters: Sequence[str]) -> None:
    """Runs the SQL of ``-c``, else of standard input, else a console when a person sits there."""
    parser = argparse.ArgumentParser(
        prog="manage.py dbshell --", description="SQL on the database, or a Python console."
    )
    parser.add_argument("-c", metavar="SQL", dest="scripts", action="append", help="run this and exit; may be repeated")
    scripts = parser.parse_args(list(parameters)).scripts
    if scripts is None and sys.stdin.isatty():
        Console(connection).run()
        return
    for script in [sys.stdin.read()] if scripts is None else scripts:
        run_script(connection, script)


def run_script(connection: DatabaseWrapper, script: str) -> None:
    """Runs statement after statement and prints their rows; the first that fails ends it."""
    connection.ensure_connection()
    try:
        with connection.wrap_database_errors:
            statements = [statement.sql for statement in parse(script)]
        for statement in statements:
            execute(connection, statement)
    except Error as exc:
        raise CommandError(str(exc)) from exc


def execute(connection: DatabaseWrapper, sql: str, params: Sequence[Any] | None = None) -> None:
    """Runs one statement and prints what it returns."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        if cursor.description is not None:
            print(format_table([column[0] for column in cursor.description], cursor.fetchall()), end="")
        elif cursor.rowcount >= 0:
            print(f"({cursor.rowcount} row{'' if cursor.rowcount == 1 else 's'} changed)")


class Console:
    """A Python console with ``root``, ``connection`` and ``sql()``."""

    def __init__(self, connection: DatabaseWrapper) -> None:
        connection.ensure_connection()
        self.connection = connection
        self.names: dict[str, Any] = {"root": connection.connection.root, "connection": connection, "sql": self.sql}

    def sql(self, sql: str, params: Sequence[Any] | None = None) -> None:
        """Runs a statement, with %s for each of ``params``, and prints its rows as a table."""
        try:
            execute(self.connection, sql, params)
        except Error as exc:
            print(f"{type(exc).__name__}: {exc}", file=sys.stderr)

    def run(self) -> None:
        """Reads and runs lines until the end of input."""
        self.prepare_line_editing()
        banner = (
            f"Python {sys.version.split()[0]} on {self.connection.settings_dict['NAME']}\n"
            'root: the tables as mappings - connection: Django\'s - sql("SELECT ..."): print rows - Ctrl+D: leave'
        )
        code.interact(banner=banner, local=self.names, exitmsg="")

    def prepare_line_editing(self) -> None:
        """History in a file, and completion of names of Python and of SQL, where there is readline."""
        with contextlib.suppress(ImportError):
            import readline

            history = HISTORY.expanduser()

            def save_history() -> None:
                with contextlib.suppress(OSError):
                    readline.write_history_file(history)

            with contextlib.suppress(OSError):
                readline.read_history_file(history)
            readline.set_history_length(1000)
            atexit.register(save_history)
            readline.set_completer(self.make_completer(readline.get_line_buffer))
            readline.set_completer_delims(" \t\n`~!@#$%^&*()-=+{}\\|;:'\",<>/?")
            readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")

    def make_completer(self, line: Callable[[], str]) -> Callable[[str, int], str | None]:
        """Completes tables, columns and keywords inside quotation marks, and Python's names elsewhere."""
        import rlcompleter

        python = rlcompleter.Completer(self.names)

        def complete(text: str, state: int) -> str | None:
            if not inside_quotes(line()):
                return python.complete(text, state)
            matches = self.sql_matches(text)
            return matches[state] if state < len(matches) else None

        return complete

    def sql_matches(self, text: str) -> list[str]:
        """What of SQL begins with ``text``; after ``table.``, the table's columns."""
        root = self.connection.connection.root
        table, dot, start = text.rpartition(".")
        if dot:
            columns = root[table].columns if table in root else ()
            return [f"{table}.{column}" for column in columns if column.lower().startswith(start.lower())]
        names = [*root, *sorted({column for table in root.values() for column in table.columns})]
        keywords = sorted(RESERVED) if text else []
        return [name for name in [*keywords, *names] if name.lower().startswith(text.lower())]


def inside_quotes(line: str) -> bool:
    """Whether the end of a line of Python is inside a string."""
    quote = ""
    skip = False
    for character in line:
        if skip:
            skip = False
        elif character == "\\":
            skip = True
        elif not quote and character in "'\"":
            quote = character
        elif character == quote:
            quote = ""
    return bool(quote)
