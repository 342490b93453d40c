"""``python -m tests.django [LABELS]``: Django's own test suite on ``django_zodb``, or on a stock backend to compare with."""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.django.expected import Expected, Outcomes
from tests.django.source import FOLDER, fetch_suite, install_requirements

ROOT = Path(__file__).resolve().parents[2]
# The suite has no option for it.
START = """
import multiprocessing, runpy, sys
multiprocessing.set_start_method(sys.argv.pop(1))
runpy.run_path("runtests.py", run_name="__main__")
"""


def main() -> None:
    options, more = parse_arguments()
    suite = fetch_suite()
    install_requirements(suite)
    whole = not options.labels and not more
    arguments = [options.start_method, *options.labels, f"--parallel={options.parallel}", *more]
    outcomes, seconds = run_suite(suite, options.engine, arguments, whole)
    print_skips(outcomes)
    if options.engine == "django_zodb":
        print_difference(outcomes)
        surprises = Expected.read().surprises(outcomes, whole)
    else:
        surprises = []
    if surprises:
        print("\nNot as listed in tests/django/expected.toml:", *surprises, sep="\n  ")
    print(f"\n{len(outcomes)} tests in {seconds:.0f} s on {options.engine}")
    counts = Counter(status for status, _ in outcomes.values())
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    sys.exit(1 if surprises else 0)


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m tests.django",
        description=__doc__,
        epilog="Other options go to Django's runtests.py: --reverse, --shuffle, -k PATTERN, --failfast, ...",
    )
    parser.add_argument("labels", nargs="*", metavar="LABEL", help="a part of the suite: lookup, queries.test_q, ...")
    parser.add_argument(
        "--engine", default="django_zodb", help="e.g. sqlite3: any stock backend, nothing is compared then"
    )
    parser.add_argument("--parallel", type=int, default=2, help="the number of processes (2)")
    parser.add_argument(
        "--start-method",
        choices=multiprocessing.get_all_start_methods(),
        default="fork",
        help="how the processes start (fork)",
    )
    return parser.parse_known_args()


def run_suite(suite: Path, engine: str, arguments: list[str], whole: bool) -> tuple[Outcomes, float]:
    """Runs the suite in a process of its own; its output goes through, its results come in a file."""
    results = FOLDER / f"results-of-{os.getpid()}.json"
    backend = engine if engine == "django_zodb" else f"django.db.backends.{engine}"
    environment = os.environ | {
        "SUITE_ENGINE": backend,
        "SUITE_RESULTS": str(results),
        "PYTHONPATH": str(ROOT),
        # The suite checks texts that depend on it.
        "LANG": "C.UTF-8",
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    program = [sys.executable, "-c", START, *arguments, "--settings=tests.django.settings", "--noinput"]
    start = time.monotonic()
    done = subprocess.run(program, cwd=suite, env=environment, check=False)
    if not results.exists():
        sys.exit(f"The suite ended with status {done.returncode} and left no results: it did not run to its end.")
    seconds = time.monotonic() - start
    outcomes = {test: (status, reason) for test, (status, reason) in json.loads(results.read_text()).items()}
    # The results of a whole run are kept, for others to be compared with.
    results.rename(results_of(engine)) if whole else results.unlink()
    return outcomes, seconds


def results_of(engine: str) -> Path:
    return FOLDER / f"results-{engine}.json"


def print_skips(outcomes: Outcomes) -> None:
    reasons = Counter(reason for status, reason in outcomes.values() if status == "skipped")
    missing = sum(n for reason, n in reasons.items() if reason.startswith("Database doesn't support feature"))
    print(f"\nSkipped, by reason ({missing} for a missing database feature):")
    for reason, count in reasons.most_common():
        print(f"  {count:>5}  {reason}")


def print_difference(outcomes: Outcomes) -> None:
    """Names the tests that pass on sqlite3 and not here, when sqlite3 was run before."""
    if not results_of("sqlite3").exists():
        return
    stock = json.loads(results_of("sqlite3").read_text())
    worse = {test: outcome for test, outcome in outcomes.items() if outcome[0] != "passed" == stock.get(test, [""])[0]}
    print(f"\n{len(worse)} tests pass on sqlite3 and not here:")
    for test, (status, reason) in sorted(worse.items()):
        print(f"  {status}: {test} ({reason})")


if __name__ == "__main__":
    main()
