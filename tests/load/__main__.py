"""``python -m tests.load``: people in the admin of a project that many processes serve from one file.

Prints requests by status and exits with 1 if one failed, or the file is not as it should be afterwards.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import zodbapi
from tests.load.browser import Person
from tests.load.site import running


def load(folder: Path, seconds: float, people: int) -> list[str]:
    """Runs the load and prints the figures; what is wrong."""
    with running(folder, seconds) as site:
        crowd = [Person(f"person{number}", site.servers) for number in range(people)]
        begin = time.monotonic()

        def work(person: Person) -> None:
            while time.monotonic() < begin + seconds:
                person.act()

        threads = [threading.Thread(target=work, args=(person,)) for person in crowd]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lasted = time.monotonic() - begin
        problems = list(site.stop())
        counts = sum((person.verdicts for person in crowd), Counter[str]())
        refused = sum((person.refused for person in crowd), Counter[str]())
        requests = counts.total()
        print(f"{lasted:.0f} s, {people} people: {requests} requests, {requests / lasted:.1f}/s; {site.orders()}")
        print(", ".join(f"{what}: {count}" for what, count in sorted(counts.items())))
        print(f"forms refused: {dict(refused)}")
        problems += [failure for person in crowd for failure in person.failures]
        problems += filter(None, [site.check()])
    with closing(zodbapi.connect(str(folder / "db.fs"))) as connection:
        there = {email for (email,) in connection.execute("SELECT email FROM shop_customer")}
    problems += [f"lost: {email}" for person in crowd for email in person.customers if email not in there]
    print(f"{sum(len(person.customers) for person in crowd)} customers added; {len(problems)} problems")
    return problems


def main() -> int:
    """Runs the load in a temporary folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--people", type=int, default=6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="load") as folder:
        problems = load(Path(folder) / "bookshop", options.seconds, options.people)
    for problem in problems[:20]:
        print(f"WRONG: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
