"""What the first execution of a statement costs, stage by stage: the statements of Django's admin, compiled again and again.

The bookshop is made in a folder, a tour through its admin says which statements there are, and they are run in that
order inside a transaction that is rolled back, with an empty cache of statements before each of them.
"""

from __future__ import annotations

import gc
import pickle
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import zodbapi
from tests.demo.bookshop import environment, make_bookshop
from zodbapi import codegen, statement
from zodbapi.codegen import writer as source

Clock = Callable[[], float]
STAGES = ("parse", "bind", "optimise", "generate", "Python compile", "rest", "all")
_TIMED = (
    (statement, "parse", "parse"),
    (statement, "bind", "bind"),
    (statement, "bind_index", "bind"),
    (statement, "optimize", "optimise"),
    (codegen, "generate", "generate"),
    (source, "compile", "Python compile"),
)


class Stages:
    """Seconds by stage; a stage inside another one counts for itself alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._inside = [0.0]
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts what happens inside the ``with``."""
        self._inside.append(0.0)
        start = self._clock()
        try:
            yield
        finally:
            taken = self._clock() - start
            self.seconds[name] += taken - self._inside.pop()
            self._inside[-1] += taken

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted as a stage."""

        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return function(*args, **kwargs)

        return run


@contextmanager
def watched(stages: Stages) -> Iterator[None]:
    """The pipeline, with its stages counted."""
    found = [(module, name, getattr(module, name, None)) for module, name, _ in _TIMED]
    for (module, name, stage), (_, _, function) in zip(_TIMED, found, strict=True):
        setattr(module, name, stages.timed(stage, function or compile))
    yield
    for module, name, function in found:
        if function is None:
            delattr(module, name)
        else:
            setattr(module, name, function)


def run_cold(connection: Any, work: list[tuple[str, Any]], clock: Clock) -> list[dict[str, float]]:
    """Seconds by stage of each statement; what they read is in memory by then."""
    taken = []
    connection.begin()
    connection.savepoint("start")
    for sql, params in work:
        connection.execute(sql, params)
    connection.rollback_to("start")
    for sql, params in work:
        stages = Stages(clock)
        statement.STATEMENTS.clear()
        with watched(stages), stages.stage("rest"):
            connection.execute(sql, params)
        taken.append({**stages.seconds, "all": sum(stages.seconds.values())})
    connection.rollback()
    return taken


def time_writers(connection: Any, clock: Clock) -> dict[str, float]:
    """Seconds by table of making what writes its rows: once a table for each version of the schema."""
    found = {}
    for table in connection.schema.tables.values():
        statement._WRITERS.clear()
        start = clock()
        statement.writer(connection.schema, connection._functions, table.id)
        found[table.name] = clock() - start
    return found


def run(rounds: int, only: str, clock: Clock) -> None:
    """Prints medians by stage, and the statements in the order of what they cost."""
    from django_zodb.functions import FUNCTIONS

    with tempfile.TemporaryDirectory() as folder:
        shop = Path(folder, "shop")
        make_bookshop(shop, scale=0.05)
        target = Path(folder, "statements")
        command = [sys.executable, "-m", "tests.bench.admin_tour", str(target)]
        root = str(Path(__file__).parents[2])
        subprocess.run(command, cwd=shop, check=True, env=environment() | {"PYTHONPATH": root})
        work = [found for found in pickle.loads(target.read_bytes()) if only in found[0]]
        connection = zodbapi.connect(str(shop / "db.fs"), paramstyle="format", functions=FUNCTIONS)
        run_cold(connection, work, clock)
        samples = []
        for _ in range(rounds):
            gc.collect()
            samples.append(run_cold(connection, work, clock))
        writers = time_writers(connection, clock)
        connection.close()
    report([sql for sql, _ in work], samples, writers)


def report(texts: list[str], samples: list[list[dict[str, float]]], writers: dict[str, float]) -> None:
    """Prints the tables."""
    by_statement = [
        {stage: statistics.median(one.get(stage, 0.0) for one in taken) * 1e6 for stage in STAGES}
        for taken in zip(*samples, strict=True)
    ]
    print(f"{len(texts)} statements of Django's admin, {len(samples)} rounds, microseconds of the first execution")
    print(f"{'':16}{'median':>9}{'9 in 10':>9}{'most':>9}")
    for stage in STAGES:
        costs = sorted(one[stage] for one in by_statement)
        print(f"{stage:16}{statistics.median(costs):9.0f}{costs[len(costs) * 9 // 10]:9.0f}{costs[-1]:9.0f}")
    within = sum(one["all"] <= 1000 for one in by_statement)
    print(f"within 1 ms: {within} of {len(texts)}\n")
    for one, sql in sorted(zip(by_statement, texts, strict=True), key=lambda pair: -pair[0]["all"]):
        print("".join(f"{one[stage]:6.0f}" for stage in STAGES), f" {len(sql):5}", sql[:100])
    print(f"\na table's writer, once a version of the schema: median {statistics.median(writers.values()) * 1e6:.0f}")
    for table, seconds in sorted(writers.items(), key=lambda pair: -pair[1]):
        print(f"{seconds * 1e6:9.0f} {table}")
