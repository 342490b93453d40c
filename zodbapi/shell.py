"""The interactive shell, and SQL from the command line or standard input.

In: ``python -m zodbapi [DATABASE] [SQL ...]``. With SQL, or when standard input is no terminal, it runs and exits: status 0,
or 1 after an error. Otherwise it reads statements (over several lines, up to a semicolon) and dot commands.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import csv
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any

import zodbapi
from zodbapi.binder.schema_sql import comment_statements, index_sql, table_sql, trigger_sql, view_sql
from zodbapi.parser.words import RESERVED

HISTORY = "~/.zodbapi_history"
MODES = ("table", "csv", "json")
HELP = """\
.tables [PATTERN]       the tables and views
.schema [NAME]          the statements that made them
.mode table|csv|json    how rows are shown
.dump                   the whole database as SQL
.explain SQL            the plan and the generated Python of a statement
.timer on|off           how long each statement takes
.read FILE              run the statements of a file
.quit                   leave (so does the end of the input)
"""
_STRINGS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/", re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # line breaks, and what a terminal would obey


class Shell:
    """One session with a database."""

    def __init__(self, connection: zodbapi.Connection, out: IO[str] | None = None) -> None:
        self.connection = connection
        self.out = out or sys.stdout
        self.mode = "table"
        self.timer = False
        self.commands: dict[str, Callable[[str], None]] = {
            ".tables": self.show_tables,
            ".schema": self.show_schema,
            ".mode": self.set_mode,
            ".dump": self.dump,
            ".explain": self.explain,
            ".timer": self.set_timer,
            ".read": self.read,
            ".help": self.show_help,
        }

    # --- running ------------------------------------------------------------------------------------------------

    def run_text(self, text: str) -> bool:
        """Runs all statements and dot commands of a text; stops at the first error, which it reports."""
        pending = ""
        for line in text.splitlines():
            if not pending.strip() and line.startswith("."):
                if not self.run_command(line):
                    return False
                continue
            pending += line + "\n"
            statements, pending = split_statements(pending)
            if not all(self.run_statement(statement) for statement in statements):
                return False
        return self.run_statement(pending)

    def run_statement(self, sql: str) -> bool:
        """Runs one statement and shows its rows; False after an error."""
        if not sql.strip().rstrip(";"):
            return True
        start = time.perf_counter()
        try:
            cursor = self.connection.execute(sql)
            if cursor.description is not None:
                names = [column[0] for column in cursor.description]
                self.show_rows(names, cursor.fetchall())
        except (zodbapi.Error, zodbapi.Warning) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return False
        if self.timer:
            self.print(f"{(time.perf_counter() - start) * 1000:.3f} ms")
        return True

    def run_command(self, line: str) -> bool:
        """Runs a dot command; False after an error."""
        name, _, argument = line.strip().partition(" ")
        command = self.commands.get(name)
        try:
            if command is None:
                raise zodbapi.ProgrammingError(f"unknown command: {name} (.help lists them)")
            command(argument.strip().rstrip(";"))
        except (zodbapi.Error, OSError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return False
        return True

    def interact(self) -> None:
        """Reads statements from the terminal until its end."""
        start_completion(self)
        self.print(f"zodbapi {zodbapi.__version__}: SQL ends with a semicolon, .help lists commands, Ctrl+D leaves")
        pending = ""
        while True:
            try:
                line = input("   ...> " if pending.strip() else "zodb> ")
            except EOFError:
                self.print("")
                return
            except KeyboardInterrupt:
                pending = ""
                self.print("")
                continue
            if not pending.strip() and line.startswith("."):
                if line.strip() in (".quit", ".exit"):
                    return
                self.run_command(line)
                continue
            statements, pending = split_statements(pending + line + "\n")
            for statement in statements:
                try:
                    self.run_statement(statement)
                except KeyboardInterrupt:
                    self.print("interrupted")

    # --- showing ------------------------------------------------------------------------------------------------

    def print(self, text: str) -> None:
        """Writes a line."""
        print(text, file=self.out)

    def show_rows(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Writes a result in the chosen mode."""
        match self.mode:
            case "csv":
                csv.writer(self.out, lineterminator="\n").writerows([names, *(map(csv_text, row) for row in rows)])
            case "json":
                made = [dict(zip(names, row, strict=True)) for row in rows]
                self.print(json.dumps(made, default=json_value, ensure_ascii=False, indent=1))
            case _:
                self.out.write(format_table(names, rows))

    # --- dot commands -------------------------------------------------------------------------------------------

    def show_tables(self, pattern: str) -> None:
        """.tables"""
        sql = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name LIKE ? ORDER BY name"
        for (name,) in self.connection.execute(sql, (pattern or "%",)):
            self.print(name)

    def show_schema(self, name: str) -> None:
        """.schema"""
        schema = self.connection.schema
        folded = name.lower()
        for table in sorted(schema.tables.values(), key=lambda table: table.id):
            if folded in ("", table.name.lower()):
                self.print(table_sql(table) + ";")
                for index in table.indexes:
                    if index.origin == "c":
                        self.print(index_sql(table, index) + ";")
                for statement in comment_statements(table):
                    self.print(statement + ";")
        for view in schema.views.values():
            if folded in ("", view.name.lower()):
                self.print(view_sql(view) + ";")
        for trigger in schema.triggers.values():
            if folded in ("", trigger.table.lower()):
                self.print(trigger_sql(trigger) + ";")

    def set_mode(self, mode: str) -> None:
        """.mode"""
        if mode not in MODES:
            raise zodbapi.ProgrammingError(f"modes are {', '.join(MODES)}")
        self.mode = mode

    def set_timer(self, value: str) -> None:
        """.timer"""
        self.timer = value.lower() in ("on", "1", "yes", "true", "")

    def dump(self, _: str) -> None:
        """.dump"""
        for statement in self.connection.iterdump():
            self.print(statement)

    def explain(self, sql: str) -> None:
        """.explain"""
        for row in self.connection.execute(f"EXPLAIN QUERY PLAN {sql}"):
            self.print(row[-1])
        self.print("")
        for row in self.connection.execute(f"EXPLAIN {sql}"):
            self.print(row[-1])

    def read(self, path: str) -> None:
        """.read"""
        with open(path, encoding="utf-8") as file:
            self.run_text(file.read())

    def show_help(self, _: str) -> None:
        """.help"""
        self.out.write(HELP)


def split_statements(text: str) -> tuple[list[str], str]:
    """The statements that end with a semicolon, and what is left after the last."""
    blank = _STRINGS.sub(lambda match: " " * len(match.group()), text)
    for opening in ("'", '"', "`", "/*"):
        cut = blank.find(opening)  # an unfinished string or comment swallows the rest
        if cut >= 0:
            blank = blank[:cut]
    statements, start = [], 0
    for match in re.finditer(";", blank):
        statements.append(text[start : match.end()])
        start = match.end()
    return statements, text[start:]


def shown(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex().upper()}'"
    return str(value)


def csv_text(value: Any) -> str:
    """A value in CSV: NULL is empty."""
    return "" if value is None else shown(value)


def json_value(value: Any) -> str:
    """What JSON has no form for, as text."""
    return value.hex() if isinstance(value, bytes) else str(value)


def format_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """The rows as a table with a header; numbers are aligned to the right."""
    cells = [[_CONTROLS.sub(lambda found: repr(found[0])[1:-1], shown(value)) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(names)]
    out = io.StringIO()
    out.write(" | ".join(name.ljust(width) for name, width in zip(names, widths, strict=True)).rstrip() + "\n")
    out.write("-+-".join("-" * width for width in widths) + "\n")
    for row, texts in zip(rows, cells, strict=True):
        aligned = (
            text.rjust(width) if isinstance(value, int | float) else text.ljust(width)
            for value, text, width in zip(row, texts, widths, strict=True)
        )
        out.write(" | ".join(aligned).rstrip() + "\n")
    out.write(f"({len(rows)} row{'' if len(rows) == 1 else 's'})\n")
    return out.getvalue()


def start_completion(shell: Shell) -> None:
    """History in a file, and completion of keywords, dot commands, tables and columns, where readline exists."""
    try:
        import readline
    except ImportError:
        return
    path = os.path.expanduser(HISTORY)
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    atexit.register(_save_history, readline, path)

    def complete(text: str, state: int) -> str | None:
        matches = [word for word in words(shell) if word.lower().startswith(text.lower())]
        return matches[state] if state < len(matches) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n,()=<>;")
    readline.parse_and_bind("tab: complete")


def _save_history(readline: Any, path: str) -> None:
    with contextlib.suppress(OSError):
        readline.write_history_file(path)


def words(shell: Shell) -> Iterable[str]:
    """Everything that completion offers."""
    schema = shell.connection.schema
    names = {column.name for table in schema.tables.values() for column in table.columns}
    names |= {table.name for table in schema.tables.values()} | {view.name for view in schema.views.values()}
    return [*sorted(names), *sorted(RESERVED), *shell.commands, ".quit"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m zodbapi", description="SQL on a ZODB database.")
    parser.add_argument("database", nargs="?", default=":memory:", help="a path, :memory: or a zodburi URI")
    parser.add_argument("sql", nargs="*", help="statements to run; without any, a shell")
    parser.add_argument("--mode", choices=MODES, default="table", help="how rows are shown")
    chosen = parser.parse_intermixed_args(arguments)
    try:
        connection = zodbapi.connect(chosen.database, autocommit=True)
    except zodbapi.Error as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    try:
        shell = Shell(connection)
        shell.mode = chosen.mode
        if chosen.sql:
            return 0 if all(shell.run_text(text) for text in chosen.sql) else 1
        if not sys.stdin.isatty():
            return 0 if shell.run_text(sys.stdin.read()) else 1
        shell.interact()
        return 0
    except BrokenPipeError:
        return 1
    finally:
        connection.close()
