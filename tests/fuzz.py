"""Random differential test: ``python -m tests.fuzz SECONDS [SEED]``.

Every query runs on SQLite, on this engine, and on this engine with the optimizer off; all three must give the same rows
(in the same order where the query defines one). With ``--native`` the tables have types that SQLite does not know, and
only the other two are compared. A difference is reduced, by leaving out parts of the statement and of
the data while it persists, and printed as a script.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import zodbapi
from tests.random_mixed import MixedGenerator
from tests.random_native import NativeGenerator
from tests.reduce_sql import reductions
from zodbapi import statement
from zodbapi.storage import stats

STEPS, MOST_ROUNDS = 100_000, 20  # of SQLite's machine

Rows = list[tuple[Any, ...]]
Params = tuple[Any, ...]


class PretendedRows:
    """Random row counts, so that small tables meet the plans of large ones; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def row_count(self, table_id: int) -> int:
        """10, 1,000 or 1,000,000."""
        return (10, 1_000, 1_000_000)[(self.seed // 3**table_id + table_id) % 3]


@contextmanager
def optimizing(**fixed: Any) -> Iterator[None]:
    """Statements compiled inside are optimised with other options, ``stats`` or ``rules``, and look at small tables too."""
    optimize, enough = statement.optimize, stats.ENOUGH

    def changed(node: Any, numbers: Any, **options: Any) -> Any:
        options.update(fixed)
        return optimize(node, options.pop("stats", numbers), **options)

    statement.optimize = changed
    stats.ENOUGH = 1
    statement.STATEMENTS.clear()
    try:
        yield
    finally:
        statement.optimize = optimize
        stats.ENOUGH = enough
        statement.STATEMENTS.clear()


@dataclass
class Case:
    """A difference, as a script that shows it."""

    schema: list[str]
    rows: list[tuple[str, Params]]
    sql: str
    params: Params
    ordered: bool
    complaint: str = ""
    seed: int = 0
    native: bool = False

    def script(self) -> str:
        """The case as text."""
        inserts = [_inlined(sql, params) for sql, params in self.rows]
        return (
            "\n".join(f"{line};" for line in (*self.schema, *inserts, self.sql)) + f"\n-- parameters: {self.params!r}"
        )


def _inlined(sql: str, params: Params) -> str:
    for i, value in reversed(list(enumerate(params, 1))):
        text = (
            "'" + value.replace("'", "''") + "'" if isinstance(value, str) else "NULL" if value is None else repr(value)
        )
        sql = sql.replace(f"?{i}", text)
    return sql


class Databases:
    """The same data in the oracle and in this engine. The oracle is SQLite, or for native types this engine unoptimised."""

    def __init__(
        self, schema: list[str], rows: list[tuple[str, Params]], seed: int = 0, *, native: bool = False
    ) -> None:
        self.stats = PretendedRows(seed)
        self.oracle: Any = (
            zodbapi.connect(":memory:", autocommit=True)
            if native
            else sqlite3.connect(":memory:", isolation_level=None)
        )
        if not native:
            self.oracle.set_progress_handler(self._is_long, STEPS)
        self._rounds = 0
        self.engine = zodbapi.connect(":memory:", autocommit=True)
        for sql in schema:
            self.oracle.execute(sql)
            self.engine.execute(sql)
        for sql, params in rows:
            self.oracle.execute(sql, params)
            self.engine.execute(sql, params)

    def _is_long(self) -> bool:
        """Whether a query of the oracle is not worth its time: many joined rows show no more than few."""
        self._rounds += 1
        return self._rounds > MOST_ROUNDS

    def close(self) -> None:
        """Frees both."""
        self.oracle.close()
        self.engine.close()

    def query(self, sql: str, params: Params, ordered: bool) -> str | None:
        """What is wrong with the engine's answers to a query, or None."""
        self._rounds = 0
        try:
            with optimizing(rules=()):
                expected = self.oracle.execute(sql, params).fetchall()
        except (sqlite3.Error, zodbapi.Error):
            return None
        except Exception as error:
            return f"oracle: {_last_lines(error)}"
        for name, options in (("optimized", {"stats": self.stats}), ("unoptimized", {"rules": ()})):
            with optimizing(**options):
                found = self._answer(sql, params)
            if isinstance(found, str):
                return f"{name}: {found}"
            if not _same(expected, found, ordered):
                return f"{name}: {_shown(found)}\noracle: {_shown(expected)}"
        return None

    def write(self, sql: str, params: Params, tables: list[str]) -> str | None:
        """What is wrong after a statement that writes, or None."""
        outcomes: list[Any] = []  # errors, or the number of rows with what RETURNING gives
        self._rounds = 0
        for connection, options in ((self.oracle, {"rules": ()}), (self.engine, {"stats": self.stats})):
            try:
                with optimizing(**options):
                    cursor = connection.execute(sql, params)
                    returned = cursor.fetchall() if cursor.description else []
                outcomes.append((cursor.rowcount, Counter(map(_rounded, returned))))
            except (sqlite3.Error, zodbapi.Error) as error:
                outcomes.append("constraint" if "constraint" in str(error) else f"{type(error).__name__}: {error}")
            except Exception as error:
                outcomes.append(_last_lines(error))
        if outcomes[0] != outcomes[1]:
            return f"oracle: {outcomes[0]}\nengine: {outcomes[1]}"
        for table in tables:
            text = f"SELECT * FROM {table}"
            expected, found = self.oracle.execute(text).fetchall(), self.engine.execute(text).fetchall()
            if not _same(expected, found, False):
                return f"table {table}: {_shown(found)}\noracle: {_shown(expected)}"
        return None

    def _answer(self, sql: str, params: Params) -> Rows | str:
        try:
            return self.engine.execute(sql, params).fetchall()
        except Exception as error:
            return _last_lines(error)


def _last_lines(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__}: {error} ({places})"


def _same(expected: Rows, found: Rows, ordered: bool) -> bool:
    if len(expected) != len(found):
        return False
    if ordered:
        return [_rounded(row) for row in expected] == [_rounded(row) for row in found]
    return Counter(map(_rounded, expected)) == Counter(map(_rounded, found))


def _rounded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(float(f"{v:.12g}") if isinstance(v, float) else v for v in row)


def _shown(rows: Rows) -> str:
    return f"{len(rows)} rows {rows[:6]!r}"


# --- reducing ---------------------------------------------------------------------------------------------------------


def complaint_of(case: Case) -> str | None:
    """What is wrong with a case in databases of its own, or None."""
    try:
        databases = Databases(case.schema, case.rows, case.seed, native=case.native)
    except Exception:
        return None
    try:
        if case.sql.lstrip().upper().startswith(("SELECT", "WITH", "VALUES")):
            return databases.query(case.sql, case.params, case.ordered)
        tables = [line.split()[2] for line in case.schema if line.startswith("CREATE TABLE")]
        return databases.write(case.sql, case.params, tables)
    finally:
        databases.close()


def reduced(case: Case, seconds: float = 20.0) -> Case:
    """A smaller case that is still wrong in the same way."""
    deadline = time.monotonic() + seconds
    kind = _kind(case.complaint)

    def fails(candidate: Case) -> bool:
        found = complaint_of(candidate)
        if found is None or _kind(found) != kind:
            return False
        candidate.complaint = found
        return True

    improved = True
    while improved and time.monotonic() < deadline:
        improved = False
        for candidate in _smaller(case):
            if time.monotonic() > deadline:
                break
            if fails(candidate):
                case, improved = candidate, True
                break
    return case


def _kind(complaint: str) -> str:
    """The error class, or that rows differ: a reduction must not turn one defect into another."""
    first = complaint.partition("\n")[0]
    return first.partition(":")[2].strip().partition(":")[0].lstrip("0123456789 ")[:20]


def _smaller(case: Case) -> Iterator[Case]:
    """Candidates, the most promising first."""

    def with_(**changes: Any) -> Case:
        return Case(**{**case.__dict__, **changes})

    size = len(case.rows)
    while size >= 1:
        for start in range(0, len(case.rows), size):
            yield with_(rows=case.rows[:start] + case.rows[start + size :])
        size //= 2
    for sql in reductions(case.sql):
        yield with_(sql=sql)
    for i, line in enumerate(case.schema):
        if line.startswith("CREATE INDEX") or f" {line.split()[2]} " not in f"{case.sql} ":
            yield with_(schema=case.schema[:i] + case.schema[i + 1 :])


# --- running ----------------------------------------------------------------------------------------------------------


def run_seed(seed: int, queries: int = 40, *, native: bool = False) -> list[Case]:
    """Differences in one random database."""
    generator = NativeGenerator(seed) if native else MixedGenerator(seed)
    schema, rows = generator.schema(), generator.rows()
    databases = Databases(schema, rows, seed, native=native)
    names = generator.changing()
    found = []
    try:
        for _ in range(queries):
            sql, ordered = generator.query()
            params = tuple(generator.params)
            complaint = databases.query(sql, params, ordered)
            generator.forget_ctes()
            if complaint is not None:
                found.append(Case(schema, rows, sql, params, ordered, complaint, seed, native))
        for _ in range(4):
            sql = generator.write()
            params = tuple(generator.params)
            done = rows
            complaint = databases.write(sql, params, names)
            if complaint is not None:
                found.append(Case(schema, done, sql, params, False, complaint, seed, native))
                break
            rows = [*rows, (sql, params)]
    finally:
        databases.close()
    return found


def main(report: Callable[[str], None] = print) -> int:
    """Runs for a number of seconds; the exit status says whether a difference was found."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="random differential test against sqlite3"
    )
    parser.add_argument("seconds", nargs="?", type=float, default=30.0, metavar="SECONDS", help="how long to run (30)")
    parser.add_argument("seed", nargs="?", type=int, default=int(time.time()), metavar="SEED", help="where to start")
    parser.add_argument("--most", type=int, default=5, help="stop after so many differences")
    parser.add_argument("--raw", action="store_true", help="do not reduce what is found")
    parser.add_argument("--native", action="store_true", help="native types, against the engine with the optimizer off")
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    seed, found = options.seed, 0
    while time.monotonic() < deadline and found < options.most:
        for case in run_seed(seed, native=options.native)[: options.most - found]:
            found += 1
            shown = case if options.raw else reduced(case)
            report(f"--- seed {seed}\n{shown.script()}\n-- {shown.complaint}\n")
        seed += 1
    report(f"{seed - options.seed} databases, {found} differences")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
