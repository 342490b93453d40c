"""Several processes on one file: how many statements a second they get through together, beside sqlite3 in WAL mode.

Each process works alone for some seconds on random keys of one table: a read is a SELECT of one row, a write an UPDATE of
one row or an INSERT, committed on its own. ``durable`` has a commit on disk before it returns (sqlite3: ``synchronous =
FULL``; here the default), ``not durable`` leaves that to the operating system (``NORMAL``; ``durable=False``).

``errors`` are statements that raised, such as "database is locked"; each is tried again until it succeeds, and counts
once. ``slowest`` is the longest that a statement took.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import zodbapi

WORKLOADS = {"read-mostly, 95/5": 0.05, "mixed, 50/50": 0.5, "insert only": 1.0}  # share of writes
PROCESSES = (1, 4, 8)
SELECT = "SELECT owner, balance FROM account WHERE id = ?"
UPDATE = "UPDATE account SET balance = balance + ? WHERE id = ?"
INSERT = "INSERT INTO account (owner, balance) VALUES (?, ?)"


@dataclass(frozen=True, slots=True)
class Task:
    """What one process does."""

    engine: str  # zodbapi or sqlite3
    path: str
    durable: bool
    rows: int
    writes: float  # their share; 1.0 inserts
    seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What processes got done, together."""

    rate: float  # statements a second
    errors: int
    slowest: float  # seconds


def connect(engine: str, path: str, durable: bool) -> Any:
    """A connection that commits each statement."""
    if engine == "zodbapi":
        return zodbapi.connect(path, isolation_level=None, durable=durable)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    return connection


def load(engine: str, path: str, rows: int) -> None:
    """Makes the table."""
    connection = connect(engine, path, True)
    connection.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, balance INTEGER NOT NULL)")
    connection.execute("BEGIN")
    connection.executemany(INSERT, [(f"owner {i}", 100) for i in range(rows)])
    connection.execute("COMMIT")
    connection.close()


def work(task: Task) -> dict[str, float]:
    """Runs statements until the time is over; counts, and the longest time of one."""
    connection = connect(task.engine, task.path, task.durable)
    rng = random.Random(task.seed)
    for _ in range(200):
        connection.execute(SELECT, [rng.randint(1, task.rows)]).fetchall()
    print("ready", flush=True)
    sys.stdin.readline()
    done, errors, slowest = 0, 0, 0.0
    began = now = time.perf_counter()
    while now - began < task.seconds:
        started = now
        key = rng.randint(1, task.rows)
        if task.writes == 1.0:
            errors += write(connection, INSERT, [f"owner {key}", 100])
        elif rng.random() < task.writes:
            errors += write(connection, UPDATE, [1, key])
        else:
            connection.execute(SELECT, [key]).fetchall()
        done += 1
        now = time.perf_counter()
        slowest = max(slowest, now - started)
    connection.close()
    return {"rate": done / (now - began), "errors": errors, "slowest": slowest}


def write(connection: Any, sql: str, parameters: list[Any]) -> int:
    """Runs a statement until it succeeds; how often it did not."""
    errors = 0
    while True:
        try:
            connection.execute(sql, parameters)
        except (sqlite3.OperationalError, zodbapi.OperationalError):
            errors += 1
        else:
            return errors


def measure(engine: str, durable: bool, writes: float, processes: int, rows: int, seconds: float) -> Outcome:
    """What so many processes get done on a new file."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        path = os.path.join(folder, f"bench.{engine}")
        load(engine, path, rows)
        tasks = [Task(engine, path, durable, rows, writes, seconds, seed) for seed in range(processes)]
        workers = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.bench.processes",
                    json.dumps({f: getattr(task, f) for f in Task.__slots__}),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for task in tasks
        ]
        for worker in workers:
            assert worker.stdout is not None
            worker.stdout.readline()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        found = [json.loads(worker.communicate()[0]) for worker in workers]
    return Outcome(
        sum(item["rate"] for item in found),
        sum(item["errors"] for item in found),
        max(item["slowest"] for item in found),
    )


def run(rows: int, rounds: int, only: str) -> None:
    """Prints a line for each workload, number of processes and kind of commit; the best of the rounds, taken in turns."""
    print(f"{rows} rows, statements a second of all processes together; best of {rounds} rounds of 2 s")
    print(
        f"{'':20}{'':>3}{'':13}{'zodbapi':>9}{'errors':>8}{'slowest':>9}{'sqlite3':>10}{'errors':>8}{'slowest':>9}{'ratio':>8}"
    )
    for name, writes in WORKLOADS.items():
        for processes in PROCESSES:
            for durable in (True, False):
                if only not in f"{name}, {processes}, {'durable' if durable else 'not durable'}":
                    continue
                best: dict[str, Outcome] = {}
                for number in range(rounds):
                    for engine in ("zodbapi", "sqlite3") if number % 2 else ("sqlite3", "zodbapi"):
                        found = measure(engine, durable, writes, processes, rows, 2.0)
                        if engine not in best or found.rate > best[engine].rate:
                            best[engine] = found
                ours, theirs = best["zodbapi"], best["sqlite3"]
                print(
                    f"{name:20}{processes:3}  {'durable' if durable else 'not durable':11}{_shown(ours)}{_shown(theirs)}"
                    f"{ours.rate / theirs.rate:8.2f}",
                    flush=True,
                )


def _shown(found: Outcome) -> str:
    return f"{found.rate:9.0f}{found.errors:8}{found.slowest * 1000:6.0f} ms"


if __name__ == "__main__":
    print(json.dumps(work(Task(**json.loads(sys.argv[1])))))
