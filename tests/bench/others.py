"""The driver's workloads on other databases: PostgreSQL over its local socket and sqlglot's own Python executor.

In: connections of zodbapi and of sqlite3 that are loaded. Out: one line a workload, by the clock: most of PostgreSQL's work is
another process's. What is not installed, or cannot do a statement, is a dash.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlglot.errors import SqlglotError
from sqlglot.executor import execute
from sqlglot.executor.table import Table

from tests.bench.shown import shown
from tests.bench.workloads import SCHEMA, WORKLOADS, load

MOST_FOR_SQLGLOT = 100_000  # rows: it needs half a second for a query of 20,000
SLOW = 1.0  # seconds: what takes longer is not measured again


def run(connections: dict[str, Any], rows: int, rounds: int, only: str) -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as folder, postgresql(folder) as server:
        if server is not None:
            load(server, rows)
            server.execute("ANALYZE")
            server.commit()
            connections = {**connections, "PostgreSQL": server}
        sides = dict(connections)
        if rows <= MOST_FOR_SQLGLOT:
            sides["sqlglot"] = Executor(connections["sqlite3"])
        print(f"\n{rows} rows, {rounds} rounds, bare driver, by the clock")
        print(f"{'':28}" + "".join(f"{side:>14}" for side in ("zodbapi", "sqlite3", "PostgreSQL", "sqlglot")))
        for workload in WORKLOADS:
            if only in workload.name:
                taken = {
                    side: seconds(workload.prepare(connection, rows), workload.repeat, rounds)
                    for side, connection in sides.items()
                }
                cells = (taken.get(side) for side in ("zodbapi", "sqlite3", "PostgreSQL", "sqlglot"))
                print(f"{workload.name:28}" + "".join(f"{_cell(cell):>14}" for cell in cells), flush=True)


def _cell(taken: float | None) -> str:
    return "-" if taken is None else shown(taken).strip()


def seconds(work: Callable[[], Any], repeat: int, rounds: int) -> float | None:
    """Of the fastest round, for one call; None when the other side cannot do it."""
    best = None
    for _ in range(rounds):
        start = time.perf_counter()
        done = 0
        try:
            while done < repeat and time.perf_counter() - start < SLOW:
                work()
                done += 1
        except (SqlglotError, NotImplementedError):
            return None
        taken = (time.perf_counter() - start) / done
        best = taken if best is None else min(best, taken)
        if taken > SLOW:
            break
    return best


# --- sqlglot ------------------------------------------------------------------------------------------------------------


class Executor:
    """Runs SELECT on the tables of another connection, held in memory, as a PEP 249 cursor would."""

    def __init__(self, source: Any) -> None:
        self._tables, self._schema = {}, {}
        for name in ("author", "book"):
            cursor = source.execute(f"SELECT * FROM {name}")
            columns = tuple(column[0] for column in cursor.description)
            self._tables[name] = Table(columns=columns, rows=cursor.fetchall())
            self._schema[name] = {column: _type(name, column) for column in columns}
        self._rows: list[Any] = []

    def cursor(self) -> Executor:
        """Itself."""
        return self

    def execute(self, sql: str, params: tuple[Any, ...] = ()) -> Executor:
        """Run a SELECT; parameters become part of the text."""
        if not sql.startswith("SELECT"):
            raise NotImplementedError
        following = iter(params)
        text = re.sub(r"\?", lambda _: _literal(next(following)), sql)
        try:
            self._rows = execute(text, schema=self._schema, tables=self._tables, dialect="sqlite").rows
        except SqlglotError:
            raise
        except Exception as error:  # the executor fails in many ways at what it does not know
            raise NotImplementedError from error
        return self

    def executemany(self, sql: str, rows: Any) -> None:
        """Not offered."""
        raise NotImplementedError

    def fetchall(self) -> list[Any]:
        """The rows."""
        return self._rows

    def fetchone(self) -> Any:
        """The first row."""
        return self._rows[0] if self._rows else None

    def commit(self) -> None:
        """Nothing was written."""


def _type(table: str, column: str) -> str:
    text = next(statement for statement in SCHEMA if f"TABLE {table} " in statement)
    found = re.search(rf"\b{column} (\w+)", text)
    assert found is not None
    return found[1]


def _literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


# --- PostgreSQL -----------------------------------------------------------------------------------------------------------


@contextmanager
def postgresql(folder: str) -> Iterator[Any]:
    """A connection to a server of its own below ``folder``, reached by its socket; None where it is not installed."""
    binaries = shutil.which("initdb") or next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))[-1:]), None)
    if binaries is None or importlib.util.find_spec("psycopg") is None:
        yield None
        return
    psycopg = importlib.import_module("psycopg")
    command = os.path.join(os.path.dirname(os.path.realpath(binaries)), "")
    place, as_owner = os.path.join(folder, "pg"), []
    os.mkdir(place)
    if os.geteuid() == 0:  # it refuses to run as root
        shutil.chown(folder, "postgres")
        shutil.chown(place, "postgres")
        as_owner = ["runuser", "-u", "postgres", "--"]
    data = os.path.join(place, "data")
    quiet: Any = {"check": True, "stdout": subprocess.DEVNULL, "cwd": place}
    subprocess.run([*as_owner, command + "initdb", "-D", data, "-A", "trust", "-U", "bench", "-E", "UTF8"], **quiet)
    control = [*as_owner, command + "pg_ctl", "-D", data, "-w", "-l", os.path.join(place, "log")]
    subprocess.run([*control, "-o", f"-c listen_addresses='' -k {place}", "start"], **quiet)
    try:
        with psycopg.connect(host=place, user="bench", dbname="postgres") as connection:
            yield Server(connection)
    finally:
        subprocess.run([*control, "-m", "fast", "stop"], **quiet)


class Server:
    """psycopg's connection or cursor, with sqlite3's placeholders and names of types."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.fetchall = getattr(inner, "fetchall", None)
        self.fetchone = getattr(inner, "fetchone", None)
        self.commit = getattr(inner, "commit", None)

    def cursor(self) -> Server:
        """A cursor."""
        return Server(self._inner.cursor())

    def execute(self, sql: str, params: tuple[Any, ...] = ()) -> Server:
        """Run a statement."""
        return Server(self._inner.execute(_translated(sql) if params else _types(sql), params or None))

    def executemany(self, sql: str, rows: Any) -> None:
        """Run it for every row."""
        cursor = self._inner if hasattr(self._inner, "executemany") else self._inner.cursor()
        cursor.executemany(_translated(sql), rows)


def _types(sql: str) -> str:
    return sql.replace("INTEGER PRIMARY KEY", "INTEGER GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY")


def _translated(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")
