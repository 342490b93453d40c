"""The processes of a Django project on one file: a development server, four workers of gunicorn, a management command.

In: a folder. Out: addresses, and at the end what the processes wrote that they should not have.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.demo.bookshop import environment, make_bookshop, serving

ROOT = Path(__file__).resolve().parents[2]


class Site:
    """The bookshop, served twice."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder
        make_bookshop(folder, scale=0.05)
        ports = [free_port(), free_port()]
        self.servers = [f"http://127.0.0.1:{port}" for port in ports]
        self._environment = environment() | {"PYTHONPATH": str(ROOT)}
        bind = f"127.0.0.1:{ports[1]}"
        commands = {
            "runserver": serving(ports[0])[1:],
            "gunicorn": ["-m", "gunicorn", "--workers=4", f"--bind={bind}", "--timeout=120", "config.wsgi"],
            "place_orders": ["manage.py", "place_orders", f"--seconds={seconds}"],
        }
        self._running = {name: self._start(name, command) for name, command in commands.items()}
        for server in self.servers:
            wait_for(f"{server}/admin/login/")

    def _start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, *command], cwd=self.folder, env=self._environment, stdout=log, stderr=log
            )

    def stop(self) -> Iterator[str]:
        """Ends all processes; what is wrong with them."""
        command = self._running.pop("place_orders")
        if command.wait(120):
            yield f"place_orders ended with {command.returncode}"
        for process in self._running.values():
            process.terminate()
            process.wait(60)
        for log in sorted(self.folder.glob("*.log")):
            text = log.read_text()
            if "Traceback" in text:
                yield f"{log.name}: {text[text.index('Traceback') :][:4000]}"

    def kill(self) -> None:
        """Ends what may still run."""
        for process in self._running.values():
            process.kill()
            process.wait()

    def check(self) -> str:
        """What checkzodb says of the file."""
        command = [sys.executable, "manage.py", "checkzodb"]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def orders(self) -> str:
        """What the command says that it did."""
        return (self.folder / "place_orders.log").read_text().strip()


@contextmanager
def running(folder: Path, seconds: float) -> Iterator[Site]:
    """A site for a block."""
    site = Site(folder, seconds)
    try:
        yield site
    finally:
        site.kill()


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str) -> None:
    """Returns when the server answers."""
    for _ in range(600):
        try:
            urlopen(url, timeout=10).close()
            return
        except URLError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")
