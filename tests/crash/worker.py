"""One process of the crash test: ``python -m tests.crash.worker DSN BLOBS LOG NAME THREADS SEED``.

In: a database. Out: lines in the log. It goes on until SIGTERM, or until it is killed; anything that a constraint, a lost
race or a server that is away does not explain ends it with a traceback. A file that it has open it packs by itself.
"""

from __future__ import annotations

import logging
import random
import signal
import sys
import threading
import time
import traceback

import zodbapi
from tests.crash import bank, log
from zodbapi.storage import packing

OFTEN = 1 << 21  # bytes of a file that is worth packing here
LEVELS = ("", "READ COMMITTED", "SERIALIZABLE")


class Worker:
    """One thread with its connection."""

    def __init__(self, dsn: str, blobs: str, journal: log.Journal, name: str, seed: int) -> None:
        self._dsn = dsn
        self._blobs = blobs or None
        self._log = journal
        self._name = name
        self._random = random.Random(f"{seed} {name}")
        self._level = self._random.choice(LEVELS)
        self._number = 0
        self._remote = dsn.startswith("zeo:")

    def run(self, stop: threading.Event) -> None:
        """Transactions, one after the other, until ``stop``."""
        connection = self._connect(stop)
        self._log.write(log.READY, self._name)
        while not stop.is_set():
            act = self._random.choices(list(bank.ACTS), bank.ACTS.values())[0]
            for attempt in range(1000):
                if self._attempt(connection, act):
                    break
                if stop.wait(self._random.random() * 0.002 * min(attempt, 20)):
                    break
            else:
                raise AssertionError(f"{act.__name__} lost {attempt} races")
        connection.close()

    def _connect(self, stop: threading.Event) -> zodbapi.Connection:
        while True:
            try:
                days = {} if self._remote else {"history_days": 0}
                return zodbapi.connect(self._dsn, isolation_level=self._level, blob_dir=self._blobs, **days)
            except zodbapi.OperationalError:
                if not self._remote or stop.wait(0.1):
                    raise

    def _attempt(self, connection: zodbapi.Connection, act: bank.Act) -> bool:
        """Whether it is over: committed, or refused by a constraint."""
        self._number += 1
        token = f"{self._name}-{self._number}-{act.__name__}"
        self._log.write(log.BEGUN, token)
        try:
            act(connection, self._random, token)
            connection.commit()
            verdict = log.COMMITTED
        except zodbapi.IntegrityError:
            connection.rollback()
            verdict = log.REFUSED
        except zodbapi.ConflictError:
            connection.rollback()
            verdict = log.CONFLICT
        except zodbapi.OperationalError as error:
            if not self._remote or "server" not in str(error):
                raise
            connection.rollback()
            verdict = log.LOST
            time.sleep(0.05)
        self._log.write(verdict, token)
        return verdict in (log.COMMITTED, log.REFUSED)


def main(dsn: str, blobs: str, path: str, name: str, threads: int, seed: int) -> int:
    """Runs the threads; the exit status says whether all of them came to their end."""
    journal, failures, stop = log.Journal(path), [], threading.Event()
    logging.disable()  # ZEO tells at length how it lost its server
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def run(number: int) -> None:
        try:
            Worker(dsn, blobs, journal, f"{name}.{number}", seed).run(stop)
        except BaseException:
            failures.append(traceback.format_exc())

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        while thread.is_alive():  # a join without a timeout would not let the handler of SIGTERM run
            thread.join(0.2)
    sys.stderr.write("".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    packing._WORTH_PACKING = OFTEN
    raise SystemExit(main(*sys.argv[1:5], int(sys.argv[5]), int(sys.argv[6])))
