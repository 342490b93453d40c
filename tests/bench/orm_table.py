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
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from tests.bench.database import ALIASES, configure, load
from tests.bench.shown import shown

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


def run(rows: int, rounds: int, only: str, clock: Clock) -> None:
    """Prints one line a workload, and the geometric mean."""
    with tempfile.TemporaryDirectory() as folder:
        configure(folder)
        for alias in ALIASES:
            load(alias, rows)
        print(f"{rows} rows, {rounds} rounds, files, through the ORM")
        print(f"{'':34}{'django_zodb':>13}{'sqlite3':>14}{'ratio':>9}")
        ratios: list[float] = []
        for name, sample in samples(rows, clock):
            if only in name:
                ours, theirs = medians(sample, rounds)
                ratios.append(ours / theirs)
                print(f"{name:34}{shown(ours)}  {shown(theirs)}{ratios[-1]:9.2f}", flush=True)
        ahead = sum(ratio <= 1 for ratio in ratios)
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        print(f"geometric mean {mean:.2f}, {ahead} of {len(ratios)} lines at or below 1")


def medians(sample: Sample, rounds: int) -> tuple[float, float]:
    """Of the samples of both; they take turns, so that a busy machine hits both."""
    taken: dict[str, list[float]] = {alias: [] for alias in ALIASES}
    for alias in ALIASES:
        sample(alias)
    for number in range(rounds):
        for alias in ALIASES if number % 2 else reversed(ALIASES):
            taken[alias].append(sample(alias))
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
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", _PROCESS, settings["ENGINE"], settings["NAME"]], check=True, env=os.environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
