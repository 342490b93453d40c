"""``python -m tests.bench [TABLE] [--rows N]``: every workload on both sides in turns; medians and ratios.

``driver`` has a second table, with PostgreSQL and sqlglot's executor. ``--sizes 1000,20000,1000000`` makes ``orm`` print how
each line grows. ``cold`` shows where the time of first executions goes, ``memory`` what reading takes, ``reopen`` what the first
read of a file costs; ``all`` is the others.
"""

from __future__ import annotations

import argparse
import gc
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import zodbapi
from tests.bench import cold, first_read, memory, orm_table, others, processes
from tests.bench.shown import shown
from tests.bench.workloads import WORKLOADS, Work, Workload, load


def measure(
    works: tuple[Work, Work], workload: Workload, rounds: int, clock: Callable[[], float]
) -> tuple[float, float]:
    """Median seconds of one call, for each of the two; they take turns, so that a busy machine hits both."""
    taken: tuple[list[float], list[float]] = ([], [])
    for work in works:
        work()
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            work = works[side]
            gc.collect()
            start = clock()
            for _ in range(workload.repeat):
                work()
            taken[side].append((clock() - start) / workload.repeat)
    return statistics.median(taken[0]), statistics.median(taken[1])


def connect(memory: bool, folder: str) -> tuple[Any, Any]:
    """A connection of each driver, to files or in memory."""
    if memory:
        return zodbapi.connect(":memory:"), sqlite3.connect(":memory:")
    return zodbapi.connect(os.path.join(folder, "bench.fs")), sqlite3.connect(os.path.join(folder, "bench.sqlite3"))


def driver_table(options: argparse.Namespace, clock: Callable[[], float]) -> None:
    """Prints one line a workload of the bare driver."""
    with tempfile.TemporaryDirectory() as folder:
        connections = connect(options.memory, folder)
        for connection in connections:
            load(connection, options.rows)
        print(f"{options.rows} rows, {options.rounds} rounds, {'memory' if options.memory else 'files'}, bare driver")
        print(f"{'':28}{'zodbapi':>13}{'sqlite3':>14}{'ratio':>9}")
        for workload in WORKLOADS:
            if options.only in workload.name:
                works = tuple(workload.prepare(connection, options.rows) for connection in connections)
                ours, theirs = measure((works[0], works[1]), workload, options.rounds, clock)
                print(f"{workload.name:28}{shown(ours)}  {shown(theirs)}{ours / theirs:9.2f}", flush=True)
        sides = dict(zip(("zodbapi", "sqlite3"), connections, strict=True))
        others.run(sides, options.rows, options.rounds, options.only)
        for connection in connections:
            connection.close()


def main() -> None:
    """Prints the tables that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    tables = ("all", "driver", "orm", "processes", "cold", "memory", "reopen")
    parser.add_argument("table", nargs="?", choices=tables, default="all")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument(
        "--sizes",
        type=lambda text: [int(size) for size in text.split(",")],
        help="numbers of rows, for the ORM's table",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="the driver's in-memory databases instead of files")
    parser.add_argument("--cpu", action="store_true", help="processor time instead of the clock, for a busy machine")
    parser.add_argument("--only", default="", help="run only workloads with this text in their names")
    options = parser.parse_args()
    clock = time.process_time if options.cpu else time.perf_counter
    if options.table == "reopen":
        first_read.run(options.rows, options.rounds, options.only)
        return
    if options.table == "memory":
        memory.run(options.rows)
        return
    if options.table == "cold":
        cold.run(options.rounds, options.only, clock)
        return
    if options.table in ("all", "driver"):
        driver_table(options, clock)
    if options.table in ("all", "processes"):
        processes.run(options.rows, min(options.rounds, 3), options.only)
    if options.table in ("all", "orm"):
        orm_table.run(options.sizes or [options.rows], options.rounds, options.only, clock)


if __name__ == "__main__":
    main()
