"""Starts the processes of the crash test, kills them at random moments, and judges what is left.

In: a folder, how long, how many. Out: a ``Report``.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import zodbapi
from tests.crash import bank, log

ROOT = Path(__file__).resolve().parents[2]
SERVER = """
import logging, sys
from zodbapi.storage import server
logging.disable()
server.serve(*sys.argv[1:3], blob_dir=sys.argv[3] or None)
"""
PACKER = """
import logging, sys, zodbapi
logging.disable()
try:
    zodbapi.connect(sys.argv[1], blob_dir=sys.argv[2] or None).execute("VACUUM")
except zodbapi.OperationalError as error:
    sys.exit(0 if "server" in str(error) or "being packed" in str(error) else error)
"""


@dataclass(slots=True)
class Report:
    """What happened, and what is wrong; ``problems`` is empty when all is well."""

    seconds: float
    counts: Counter[str]
    killed: Counter[str]
    doubtful: int  # transactions that nobody was told the end of
    survived: int  # of these, the ones that are there
    size: int
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts, kills = self.counts, ", ".join(f"{count} {what}" for what, count in sorted(self.killed.items()))
        return (
            f"{self.seconds:.0f} s: {counts[log.COMMITTED]} commits ({counts[log.COMMITTED] / self.seconds:.0f}/s), "
            f"{counts[log.CONFLICT]} retries, {counts[log.REFUSED]} refused by constraints, "
            f"{counts[log.LOST]} failed without the server, {counts[log.PACKED]} packs; killed: {kills or 'none'}; "
            f"{self.doubtful} in doubt, {self.survived} of them committed; {self.size >> 10} KB"
        )


class Scene:
    """A database with workers, and a server if there is to be one."""

    def __init__(
        self, folder: Path, processes: int, seconds: float, seed: int, zeo: bool = False, blobs: bool = False
    ) -> None:
        self._folder = folder
        self._log = folder / "log"
        self._output = (folder / "output").open("ab", buffering=0)
        self._processes, self._seconds, self._seed, self._zeo = processes, seconds, seed, zeo
        self._random = random.Random(seed)
        self._path = folder / "bank.fs"
        self._socket = folder / "socket"
        self._blobs = str(folder / "blobs") if blobs else ""
        self._dsn = str(self._path)
        if zeo:
            folder_in_uri = f"&blob_dir={self._blobs}&shared_blob_dir=1" * blobs
            self._dsn = f"zeo://{self._socket}?wait_timeout=10{folder_in_uri}"
        self._option = "" if zeo else self._blobs  # a URI has the folder
        self._workers: list[subprocess.Popen[bytes]] = []
        self._packer: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._failures: list[str] = []
        self._killed: Counter[str] = Counter()
        self._started = 0

    def run(self, interval: float) -> Report:
        """The whole: one kill every ``interval`` seconds on average; the last process ends by itself."""
        self._log.touch()
        connection = zodbapi.connect(str(self._path), blob_dir=self._blobs or None)
        connection.executescript(bank.SCHEMA)
        connection.close()
        if self._zeo:
            self._start_server()
        try:
            for _ in range(self._processes):
                self._start_worker()
            while log.read_log(self._log).counts[log.READY] < self._processes:
                time.sleep(0.1)
                self._reap()
            begin = time.monotonic()
            while (left := begin + self._seconds - time.monotonic()) > 0:
                time.sleep(min(left, self._random.uniform(0, 2 * interval)))
                self._disturb()
            seconds = time.monotonic() - begin
            self._stop()
        finally:
            for process in (*self._workers, self._packer, self._server):
                if process is not None:
                    process.kill()
                    process.wait()
        return self._judge(seconds)

    # --- processes ----------------------------------------------------------------------------------------------------

    def _start_worker(self) -> None:
        self._started += 1
        arguments = (self._dsn, self._option, self._log, f"w{self._started}", 1 + self._started % 2, self._seed)
        self._workers.append(self._start("-m", "tests.crash.worker", *map(str, arguments)))

    def _start_server(self) -> None:
        self._server = self._start("-c", SERVER, str(self._path), str(self._socket), self._blobs)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, *arguments], stdout=self._output, stderr=self._output, cwd=ROOT)

    def _disturb(self) -> None:
        """Kills one of them, or begins a pack."""
        self._reap()
        choice = self._random.random()
        if self._server is not None and choice < 0.5:
            self._kill("servers", self._server)
            time.sleep(self._random.uniform(0, 0.5))
            self._start_server()
        elif choice < 0.75:
            victim = self._workers.pop(self._random.randrange(len(self._workers)))
            self._kill("workers", victim)
            self._start_worker()
        elif self._packer is None:
            self._packer = self._start("-c", PACKER, self._dsn, self._option)
        elif choice < 0.9:
            self._kill("packers", self._packer)
            self._packer = None

    def _kill(self, what: str, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        if process.wait() == -signal.SIGKILL:
            self._killed[what] += 1
        else:
            self._check(process)

    def _reap(self) -> None:
        """Looks after processes that ended by themselves: the packer may, when it is done."""
        if self._packer is not None and self._packer.poll() is not None:
            if self._packer.returncode == 0:
                log.Journal(str(self._log)).write(log.PACKED, "-")
            else:
                self._check(self._packer)
            self._packer = None
        for worker in [worker for worker in self._workers if worker.poll() is not None]:
            self._check(worker)
            self._workers.remove(worker)
            self._start_worker()

    def _stop(self) -> None:
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.wait(60)
            self._check(worker)
        if self._packer is not None:
            self._packer.wait(60)
        self._reap()

    def _check(self, process: subprocess.Popen[bytes]) -> None:
        if process.returncode not in (0, -signal.SIGTERM):  # a worker may be told to stop before it is ready to hear it
            self._failures.append(f"{process.args!r} ended with {process.returncode}, see below")

    # --- judgement ----------------------------------------------------------------------------------------------------

    def _judge(self, seconds: float) -> Report:
        record = log.read_log(self._log)
        connection = zodbapi.connect(str(self._path), blob_dir=self._blobs or None)
        there = bank.tokens_there(connection)
        doubtful = record.tokens(log.BEGUN, log.LOST)
        report = Report(
            seconds, record.counts, self._killed, len(doubtful), len(doubtful & there), self._path.stat().st_size
        )
        silent = {token for token in record.verdicts if token.endswith((*bank.READING, "-delete_parts"))}
        problems = report.problems
        self._output.close()
        if self._failures:
            problems += [*self._failures, (self._folder / "output").read_text()]
        problems += [f"lost: {token}" for token in sorted(record.tokens(log.COMMITTED) - there - silent)]
        problems += [f"not undone: {token}" for token in sorted(record.tokens(log.CONFLICT, log.REFUSED) & there)]
        problems += [f"from nowhere: {token}" for token in sorted(there - record.verdicts.keys())]
        problems += bank.final_problems(connection)
        connection.close()
        return report
