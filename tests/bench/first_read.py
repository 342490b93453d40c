"""What the first read of a file costs: each query in a process of its own, that has only opened the file.

In: a number of rows. Out: one line a query; processor time here and with the sqlite3 module, whose file the system has cached.
"""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import zodbapi
from tests.bench.shown import shown
from tests.bench.workloads import load

QUERIES = {
    "all rows": "SELECT id, title, author_id, year, price FROM book",
    "filter, few rows": "SELECT id, title FROM book WHERE price > 49.9",
    "group by an indexed column": "SELECT author_id, count(*) FROM book GROUP BY author_id",
    "range of an index, rowids": "SELECT id FROM book WHERE year BETWEEN 1950 AND 1960",
    "range of an index, rows": "SELECT id, title FROM book WHERE year = 1950",
    "1000 rows by primary key": "SELECT id, title, author_id, year, price FROM book WHERE id = ?",
}


def run(rows: int, rounds: int, only: str) -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {"zodbapi": os.path.join(folder, "bench.fs"), "sqlite3": os.path.join(folder, "bench.sqlite3")}
        for side, path in paths.items():
            connection = _open(side, path)
            load(connection, rows)
            connection.close()
        print(f"{rows} rows, {rounds} rounds, first read after the file was opened")
        print(f"{'':28}{'zodbapi':>13}{'sqlite3':>14}{'ratio':>9}")
        for name in QUERIES:
            if only in name:
                ours, theirs = (
                    statistics.median(_in_a_process(side, path, name, rows) for _ in range(rounds))
                    for side, path in paths.items()
                )
                print(f"{name:28}{shown(ours)}  {shown(theirs)}{ours / theirs:9.2f}", flush=True)


def _in_a_process(side: str, path: str, name: str, rows: int) -> float:
    command = [sys.executable, "-m", "tests.bench.first_read", side, path, name, str(rows)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _open(side: str, path: str) -> Any:
    return zodbapi.connect(path) if side == "zodbapi" else sqlite3.connect(path)


def main() -> None:
    """One side, one query; prints its seconds."""
    side, path, name, rows = sys.argv[1:]
    connection = _open(side, path)
    connection.execute("SELECT name FROM author WHERE id = 1").fetchall()
    rng, sql = random.Random(5), QUERIES[name]
    start = time.process_time()
    if "?" in sql:
        for _ in range(1000):
            connection.execute(sql, (rng.randint(1, int(rows)),)).fetchall()
    else:
        connection.execute(sql).fetchall()
    print(time.process_time() - start)


if __name__ == "__main__":
    main()
