"""Sessions that run statements in turn, each where it belongs: in a thread of its own, or in a process of its own.

In: statements for numbered sessions, in the order in which they begin. Out: what each one gave. A statement that has to wait
for another session's lock waits, while the others go on.

Run as ``python -m tests.sessions`` it is one session: methods and arguments come in on standard input, outcomes go out, a line
each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import zodbapi

ROOT = Path(__file__).parent.parent
WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "ALTER", "DROP", "TRUNCATE")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one statement gave: rows, or the name of the exception's class with its message."""

    rows: list[tuple[Any, ...]]
    count: int = -1
    error: str = ""
    message: str = ""
    in_transaction: bool = False  # afterwards


ABORTED = Outcome([], error="aborted")  # of the statements after a conflict, to the end of the transaction


class Runner:
    """One connection; after a lost conflict it skips the rest of the transaction."""

    def __init__(self, dsn: str, level: str) -> None:
        self.connection = zodbapi.connect(
            dsn, autocommit=True, isolation_level=level, check_same_thread=False, timeout=30.0
        )
        self._failed = False

    def run(self, sql: str) -> Outcome:
        """Runs one statement."""
        if self._failed:
            self._failed = sql not in ("COMMIT", "ROLLBACK")
            return ABORTED
        try:
            cursor = self.connection.execute(sql)
            rows = cursor.fetchall() if cursor.description is not None else []
        except zodbapi.ConflictError as error:
            self.connection.rollback()
            self._failed = sql != "COMMIT"
            return Outcome([], error=type(error).__name__, message=str(error))
        except zodbapi.Error as error:
            open_ = self.connection.in_transaction
            return Outcome([], error=type(error).__name__, message=str(error), in_transaction=open_)
        return Outcome(rows, cursor.rowcount, in_transaction=self.connection.in_transaction)

    def close(self) -> None:
        """Lets go of the database."""
        self.connection.close()


class RemoteRunner:
    """Runners in another process, one after the other."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.sessions"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)

    def open(self, dsn: str, level: str) -> None:
        """Connects."""
        self._ask("open", dsn, level)

    def run(self, sql: str) -> Outcome:
        """Has the process run one statement."""
        rows, *rest = self._ask("run", sql)
        return Outcome([tuple(row) for row in rows], *rest)

    def close(self) -> None:
        """Disconnects."""
        self._ask("close")

    def _ask(self, *call: str) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(call), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """Ends the process."""
        self._process.communicate(timeout=30)


class Sessions:
    """Numbered sessions with one database."""

    def __init__(self, runners: Sequence[Runner | RemoteRunner], *, local: bool) -> None:
        self._local = local  # one writer at a time
        self._runners = runners
        count = len(runners)
        self._threads = [ThreadPoolExecutor(1) for _ in range(count)]
        self._last: list[Future[Outcome]] = [_done() for _ in range(count)]
        self._writers: list[int] = []  # the one that has the lock, and those who wait for it
        self.waits = 0  # how many statements had to wait for another session

    def start(self, number: int, sql: str) -> Future[Outcome]:
        """Begins a statement of session ``number`` (from 1), and waits for its end unless it waits for another session."""
        place = number - 1
        queued = place in self._writers[1:]
        self._last[place] = future = self._threads[place].submit(self._runners[place].run, sql)
        if queued:
            return future
        if self._local and (sql.startswith(WRITES) or sql.endswith("FOR UPDATE")) and place not in self._writers:
            self._writers.append(place)
            if len(self._writers) > 1:
                self.waits += 1
                assert not _is_done_soon(future), f"{sql} should wait for session {self._writers[0] + 1}"
                return future
        if not future.result(60).in_transaction:
            self._release(place)
        return future

    def _release(self, place: int) -> None:
        """The transaction of a session has ended: the next one that waits for its lock goes on."""
        while self._writers and self._writers[0] == place:
            del self._writers[0]
            if not self._writers:
                return
            place = self._writers[0]
            if self._last[place].result(60).in_transaction:
                return

    def close(self) -> None:
        """Ends all sessions."""
        for thread, runner in zip(self._threads, self._runners, strict=True):
            thread.shutdown()
            runner.close()


def _done() -> Future[Outcome]:
    future: Future[Outcome] = Future()
    future.set_result(Outcome([]))
    return future


def _is_done_soon(future: Future[Outcome]) -> bool:
    try:
        future.result(0.02)
    except TimeoutError:
        return False
    return True


def main() -> None:
    """Sessions one after the other, spoken to through pipes."""
    runner: Runner | None = None
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        answer = None
        if method == "open":
            runner = Runner(*arguments)
        else:
            assert runner is not None
            answer = getattr(runner, method)(*arguments)
        print(json.dumps(list(astuple(answer)) if answer is not None else None), flush=True)


if __name__ == "__main__":
    main()
