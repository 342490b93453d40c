"""What reading a table takes in memory: the peak of a process of its own, here and with the sqlite3 module.

In: a number of rows. Out: one line a way of reading, in MB above the process that has only opened the file.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from typing import Any

import zodbapi
from tests.bench.workloads import load

WAYS = (
    "rows one by one, cache of 16 MB",
    "rows one by one, all cached",
    "aggregate, cache of 16 MB",
    "aggregate, all cached",
    "fetchall",
)
_ROWS = "SELECT id, title, author_id, year, price FROM book"
_AGGREGATE = "SELECT year, count(*), avg(price) FROM book GROUP BY year"
_SMALL = 16 << 20


def run(rows: int) -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {"zodbapi": os.path.join(folder, "bench.fs"), "sqlite3": os.path.join(folder, "bench.sqlite3")}
        for side, path in paths.items():
            _in_a_process(side, path, "load", rows)
        print(f"peak memory of a process that reads {rows} rows, above that of one that opened the file")
        print(f"{'':34}{'zodbapi':>11}{'sqlite3':>11}")
        for way in WAYS:
            ours, theirs = (_in_a_process(side, path, way, rows) for side, path in paths.items())
            print(f"{way:34}{ours:8.0f} MB{theirs:8.0f} MB", flush=True)


def _in_a_process(side: str, path: str, way: str, rows: int) -> float:
    command = [sys.executable, "-m", "tests.bench.memory", side, path, way, str(rows)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(found.stdout)


def read(side: str, path: str, way: str) -> float:
    """Read in that way; the growth of the peak of this process, in MB."""
    small = "16 MB" in way
    connection = _open(side, path, small)
    connection.execute("SELECT count(*) FROM author WHERE id = 1").fetchall()
    before = peak()
    for _ in range(2):  # twice: the second time what is cached is there
        if "aggregate" in way:
            connection.execute(_AGGREGATE).fetchall()
        elif "fetchall" in way:
            connection.execute(_ROWS).fetchall()
        else:
            for _row in connection.execute(_ROWS):
                pass
    return (peak() - before) / 1e6


def _open(side: str, path: str, small: bool) -> Any:
    if side == "zodbapi":
        return zodbapi.connect(path, cache_size_bytes=_SMALL) if small else zodbapi.connect(path, cache_size_bytes=0)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA cache_size = -{(_SMALL if small else 1 << 34) >> 10}")
    return connection


def peak() -> int:
    """The most memory that this process has had so far, in bytes."""
    with open("/proc/self/status") as file:  # getrusage() begins with the peak of the process that started this one
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))


def main() -> None:
    """One side, one way; prints the number alone."""
    side, path, way, rows = sys.argv[1:]
    if way == "load":
        connection: Any = zodbapi.connect(path) if side == "zodbapi" else sqlite3.connect(path)
        load(connection, int(rows))
        connection.close()
        print(0)
    else:
        print(read(side, path, way))


if __name__ == "__main__":
    main()
