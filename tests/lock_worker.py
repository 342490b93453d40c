"""A process that takes the lock of a file, or commits to it on a slow disk; run as ``python -m tests.lock_worker``.

In: path, ``hold`` with a timeout or ``commit`` with the seconds that the disk takes, and lines to go on. Out: a line for
each step.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import zodbapi
from zodbapi.storage import committing
from zodbapi.storage.file_lock import FileLock


def say(word: str) -> None:
    """Tell the test how far this is."""
    print(word, flush=True)


def hold(path: str, timeout: float) -> None:
    """Take the lock, and keep it until the next line."""
    lock = FileLock(path)
    say("asking")
    try:
        lock.acquire(timeout)
    except zodbapi.OperationalError as error:
        say(str(error))
    except KeyboardInterrupt:
        say("interrupted")
    else:
        say("held")
        sys.stdin.readline()
        lock.release()
        say("released")
    sys.stdin.readline()


def commit(path: str, seconds: float) -> None:
    """Insert a row for each line; each write to disk is a line of PATH.log."""

    def write_to_disk(_fd: int) -> None:
        with open(f"{path}.log", "a") as log:
            log.write(f"{os.getpid()}\n")
        time.sleep(seconds)

    connection = zodbapi.connect(path, isolation_level=None)
    committing._write_to_disk = write_to_disk
    say("ready")
    for line in sys.stdin:
        connection.execute("INSERT INTO t (word) VALUES (?)", [line.strip()])
        say("done")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started to ignore it
    {"hold": hold, "commit": commit}[sys.argv[2]](sys.argv[1], float(sys.argv[3]))
