"""The table of the ORM's daily work: every workload on django_zodb and on Django's sqlite3, both on files, in turns."""

from __future__ import annotations

import gc
import math
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from tests.bench.database import ALIASES, configure, load, place
from tests.bench.shown import shown

SECONDS_A_LINE = 30.0
NOISE = 1.2  # how much more a line may grow before it is marked
Clock = Callable[[], float]
Sample = Callable[[str], float]  # alias -> seconds of one unit of work

_PROCESS = """
import django, sys
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": sys.argv[1], "NAME": sys.argv[2]}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
)
django.setup()
from django.db import connection
from django.contrib.contenttypes.models import ContentType
cursor = connection.cursor()
cursor.execute("SELECT id, name FROM bench_tag WHERE id = %s", (7,))
assert cursor.fetchone() == (7, "tag 7")
"""


def run(sizes: Sequence[int], rounds: int, only: str, clock: Clock) -> None:
    """Prints one line a workload and the geometric mean for each number of rows, then how the lines grow."""
    configure()
    found = {}
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for alias, suffix in zip(ALIASES, (".fs", ".sqlite3"), strict=True):
                place(alias, os.path.join(folder, "bench" + suffix))
                start = clock()
                load(alias, rows)
                print(f"{rows} rows loaded into {alias} in {shown(clock() - start).strip()}", flush=True)
            found[rows] = table(rows, rounds, only, clock)
            for alias in ALIASES:
                place(alias, "")
    if len(found) > 1:
        show_growth(found)


def table(rows: int, rounds: int, only: str, clock: Clock) -> dict[str, tuple[float, float]]:
    """Prints and returns the seconds of both, by workload."""
    print(f"{rows} rows, {rounds} rounds, files, through the ORM")
    print(f"{'':34}{'django_zodb':>13}{'sqlite3':>14}{'ratio':>9}")
    lines = {}
    for name, sample in samples(rows, clock):
        if only in name:
            ours, theirs = lines[name] = medians(sample, rounds)
            print(f"{name:34}{shown(ours)}  {shown(theirs)}{ours / theirs:9.2f}", flush=True)
    ratios = [ours / theirs for ours, theirs in lines.values()]
    ahead = sum(ratio <= 1 for ratio in ratios)
    print(f"geometric mean {geometric_mean(ratios):.2f}, {ahead} of {len(ratios)} lines at or below 1\n", flush=True)
    return lines


def show_growth(found: dict[int, dict[str, tuple[float, float]]]) -> None:
    """Prints the ratio of each line at each size, and how many times longer either takes at the largest than the smallest."""
    sizes = sorted(found)
    first, last = found[sizes[0]], found[sizes[-1]]
    print(f"{'ratio at':34}{''.join(f'{rows:>10}' for rows in sizes)}   grows: {'django_zodb':>11}{'sqlite3':>10}")
    faster = 0
    for name in first:
        ratios = [found[rows][name][0] / found[rows][name][1] for rows in sizes]
        ours, theirs = (last[name][side] / first[name][side] for side in (0, 1))
        is_faster = ours > theirs * NOISE
        faster += is_faster
        shown_ratios = "".join(f"{ratio:10.2f}" for ratio in ratios)
        print(f"{name:34}{shown_ratios}   {ours:17.1f}x{theirs:9.1f}x{' *' if is_faster else ''}")
    print(f"* {faster} of {len(first)} lines grow faster than sqlite3's")


def geometric_mean(ratios: Sequence[float]) -> float:
    """Of positive numbers."""
    return math.exp(statistics.fmean(map(math.log, ratios)))


def medians(sample: Sample, rounds: int) -> tuple[float, float]:
    """Of the samples of both; they take turns, so that a busy machine hits both. Slow lines are content with fewer."""
    taken: dict[str, list[float]] = {alias: [] for alias in ALIASES}
    for alias in ALIASES:
        sample(alias)
    enough = time.monotonic() + SECONDS_A_LINE
    for number in range(rounds):
        for alias in ALIASES if number % 2 else reversed(ALIASES):
            taken[alias].append(sample(alias))
        if time.monotonic() > enough:
            break
    ours, theirs = (statistics.median(taken[alias]) for alias in ALIASES)
    return ours, theirs


def samples(rows: int, clock: Clock) -> list[tuple[str, Sample]]:
    """All workloads by name."""
    from django.db import transaction

    from tests.bench.orm import DURABLE, READS, WRITES, Work

    def sampled(work: Work, repeat: int, surround: Callable[[str], Any]) -> Sample:
        sources = {alias: random.Random(2) for alias in ALIASES}

        def sample(alias: str) -> float:
            rng = sources[alias]
            with surround(alias):
                gc.collect()
                start = clock()
                for _ in range(repeat):
                    work(alias, rng, rows)
                return (clock() - start) / repeat

        return sample

    def atomic(alias: str) -> Any:
        return transaction.atomic(using=alias)

    found = [(name, sampled(work, repeat, nullcontext)) for name, work, repeat in READS]
    found += [(name, sampled(work, repeat, atomic)) for name, work, repeat in WRITES]
    found += [(name, sampled(work, repeat, nullcontext)) for name, work, repeat in DURABLE]
    return [*found, ("start a process, first query", start_process)]


def start_process(alias: str) -> float:
    """Processor seconds of a process that asks an existing file one question."""
    from django.db import connections

    settings = connections[alias].settings_dict
    # Installed packages have bytecode; a folder with none, or a setting that forbids to keep it, is not what is measured.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = os.path.join(os.path.dirname(settings["NAME"]), "bytecode")
    command = [sys.executable, "-c", _PROCESS, settings["ENGINE"], settings["NAME"]]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
