"""``python -m tests.demo``: make the bookshop in ``.demo/`` unless it is there, and serve it."""

import argparse
from pathlib import Path

from tests.demo.bookshop import ADMIN, make_bookshop, serve

FOLDER = Path(__file__).resolve().parents[2] / ".demo"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--scale", type=float, default=1.0, help="a multiple of the usual number of rows")
    options = parser.parse_args()
    make_bookshop(FOLDER, options.scale)
    print(
        f"\nServing http://127.0.0.1:{options.port}/admin/ - log in as {ADMIN} / {ADMIN}, stop with Ctrl+C.\n",
        flush=True,
    )
    serve(FOLDER, options.port)


if __name__ == "__main__":
    main()
