"""``python -m tests.crash``: processes on one database, killed at random moments; exits with 1 if something is wrong."""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from tests.crash.scene import Scene


def main() -> int:
    """Runs the scene and prints its report."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between two kills, on average")
    parser.add_argument("--zeo", action="store_true", help="over a ZEO server, which is killed and started again too")
    parser.add_argument("--blobs", action="store_true", help="with a folder for values above a megabyte")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--folder", type=Path, help="where the database stays afterwards (a temporary one is removed)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        scene = Scene(folder, options.processes, options.seconds, options.seed, options.zeo, options.blobs)
        report = scene.run(options.interval)
    ways = ", over ZEO" * options.zeo + ", with blobs" * options.blobs
    print(f"seed {options.seed}, {options.processes} processes{ways}")
    print(report)
    for problem in report.problems[:50]:
        print(f"WRONG: {problem}")
    return 1 if report.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
