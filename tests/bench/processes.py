"""Several processes on one file: how many statements a second they get through together, beside sqlite3 in WAL mode.

Each process works alone for some seconds on random keys: a read is a SELECT of one row, a write an UPDATE of one row or an
INSERT, committed on its own; by the bare driver on a table of three columns, or through Django on the models of the ORM's
benchmarks. ``durable`` has a commit on disk before it returns (sqlite3: ``synchronous = FULL``; here the default),
``not durable`` leaves that to the operating system (``NORMAL``; ``durable=False``).

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
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, NamedTuple

import zodbapi

WORKLOADS = {"read-mostly, 95/5": 0.05, "mixed, 50/50": 0.5, "insert only": 1.0}  # share of writes
PROCESSES = (1, 4, 8)
THROUGH = ("driver", "Django")
SELECT = "SELECT owner, balance FROM account WHERE id = ?"
UPDATE = "UPDATE account SET balance = balance + ? WHERE id = ?"
INSERT = "INSERT INTO account (owner, balance) VALUES (?, ?)"


@dataclass(frozen=True, slots=True)
class Task:
    """What one process does."""

    engine: str  # zodbapi or sqlite3
    through: str
    path: str
    durable: bool
    rows: int
    writes: float  # their share; 1.0 inserts
    seconds: float
    seed: int


class Client(NamedTuple):
    """One process's connection: what it can do with a key, each in a transaction of its own, and what it may raise."""

    read: Callable[[int], Any]
    update: Callable[[int], Any]
    insert: Callable[[int], Any]
    close: Callable[[], Any]
    errors: tuple[type[Exception], ...]


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


def driver_client(task: Task) -> Client:
    """A connection of the bare driver."""
    connection = connect(task.engine, task.path, task.durable)
    return Client(
        lambda key: connection.execute(SELECT, [key]).fetchall(),
        lambda key: connection.execute(UPDATE, [1, key]),
        lambda key: connection.execute(INSERT, [f"owner {key}", 100]),
        connection.close,
        (sqlite3.OperationalError, zodbapi.OperationalError),
    )


def open_django(engine: str, path: str, durable: bool) -> str:
    """Sets Django up with this file; the alias."""
    from django.db import connections

    from tests.bench import database

    database.configure()
    alias = "zodb" if engine == "zodbapi" else "sqlite"
    database.place(alias, path)
    pragmas = f"PRAGMA journal_mode = WAL; PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}"
    options = {"durable": durable} if engine == "zodbapi" else {"init_command": pragmas}
    connections[alias].settings_dict["OPTIONS"] = options
    return alias


def django_client(task: Task) -> Client:
    """Django's ORM, as it is used outside of ``atomic``."""
    from django.db import OperationalError, connections

    alias = open_django(task.engine, task.path, task.durable)
    from tests.bench.database import START
    from tests.bench.models import Book, Loan

    books, loans = Book.objects.using(alias), Loan.objects.using(alias)
    return Client(
        lambda key: books.get(pk=key),
        lambda key: books.filter(pk=key).update(rating=key % 5),
        lambda key: loans.create(book_id=key, borrower=f"reader {key}", start=START),
        connections[alias].close,
        (OperationalError,),
    )


def load(engine: str, path: str, rows: int) -> None:
    """Makes the driver's table."""
    connection = connect(engine, path, True)
    connection.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, balance INTEGER NOT NULL)")
    connection.execute("BEGIN")
    connection.executemany(INSERT, [(f"owner {i}", 100) for i in range(rows)])
    connection.execute("COMMIT")
    connection.close()


def load_django(engine: str, path: str, rows: int) -> None:
    """Makes the tables of the models."""
    from django.db import connections

    from tests.bench import database

    alias = open_django(engine, path, True)
    database.load(alias, rows)
    connections[alias].close()


def work(task: Task) -> dict[str, float]:
    """Runs statements until the time is over; counts, and the longest time of one."""
    client = (django_client if task.through == "Django" else driver_client)(task)
    rng = random.Random(task.seed)
    for _ in range(200):
        client.read(rng.randint(1, task.rows))
    print("ready", flush=True)
    sys.stdin.readline()
    done, errors, slowest = 0, 0, 0.0
    began = now = time.perf_counter()
    while now - began < task.seconds:
        started = now
        key = rng.randint(1, task.rows)
        if task.writes == 1.0:
            errors += persevere(client.insert, key, client.errors)
        elif rng.random() < task.writes:
            errors += persevere(client.update, key, client.errors)
        else:
            client.read(key)
        done += 1
        now = time.perf_counter()
        slowest = max(slowest, now - started)
    client.close()
    return {"rate": done / (now - began), "errors": errors, "slowest": slowest}


def persevere(write: Callable[[int], Any], key: int, expected: tuple[type[Exception], ...]) -> int:
    """Runs a statement until it succeeds; how often it did not."""
    errors = 0
    while True:
        try:
            write(key)
        except expected:
            errors += 1
        else:
            return errors


def run_process(task: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of this module."""
    command = [sys.executable, "-m", "tests.bench.processes", task, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def measure(
    engine: str, through: str, durable: bool, writes: float, processes: int, rows: int, seconds: float
) -> Outcome:
    """What so many processes get done on a new file."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        path = os.path.join(folder, f"bench.{engine}")
        run_process("load", through, engine, path, str(rows)).communicate()
        tasks = [Task(engine, through, path, durable, rows, writes, seconds, seed) for seed in range(processes)]
        workers = [run_process("work", json.dumps(asdict(task))) for task in tasks]
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
        f"{'':28}{'':>3}{'':13}{'zodbapi':>9}{'errors':>8}{'slowest':>9}{'sqlite3':>10}{'errors':>8}{'slowest':>9}{'ratio':>8}"
    )
    for through, name, processes, durable in product(THROUGH, WORKLOADS, PROCESSES, (True, False)):
        kind = "durable" if durable else "not durable"
        if only not in f"{through}, {name}, {processes}, {kind}":
            continue
        best: dict[str, Outcome] = {}
        for number in range(rounds):
            for engine in ("zodbapi", "sqlite3") if number % 2 else ("sqlite3", "zodbapi"):
                found = measure(engine, through, durable, WORKLOADS[name], processes, rows, 2.0)
                if engine not in best or found.rate > best[engine].rate:
                    best[engine] = found
        ours, theirs = best["zodbapi"], best["sqlite3"]
        print(
            f"{through:8}{name:20}{processes:3}  {kind:11}{_shown(ours)}{_shown(theirs)}{ours.rate / theirs.rate:8.2f}",
            flush=True,
        )


def _shown(found: Outcome) -> str:
    return f"{found.rate:9.0f}{found.errors:8}{found.slowest * 1000:6.0f} ms"


def main(arguments: list[str]) -> None:
    """Runs one of the processes that ``measure`` starts."""
    match arguments:
        case ["load", through, engine, path, rows]:
            (load_django if through == "Django" else load)(engine, path, int(rows))
        case ["work", task]:
            print(json.dumps(work(Task(**json.loads(task)))))


if __name__ == "__main__":
    main(sys.argv[1:])
