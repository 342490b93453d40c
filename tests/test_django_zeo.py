"""A Django project whose ZEO server is killed and started again while requests run."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

import zodbapi
from tests.crash.log import BEGUN, COMMITTED, CONFLICT, LOST, read_log
from tests.django_worker import ACCOUNTS, START
from tests.test_storage_zeo import Server

ROOT = Path(__file__).parent.parent


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.django_worker", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_for_each(log: Path, verdict: str, more: int) -> None:
    """Returns when so many more requests have ended in that way, of every thread of every worker."""

    def ended() -> dict[str, int]:
        found: dict[str, int] = {}
        for token in read_log(log).tokens(verdict):
            thread = token.rpartition("-")[0]
            found[thread] = found.get(thread, 0) + 1
        return found

    before, deadline = ended(), time.monotonic() + 60
    while True:
        now = ended()
        if len(now) == 4 and all(now[thread] >= before.get(thread, 0) + more for thread in now):
            return
        assert time.monotonic() < deadline, f"not every thread got to {verdict}: {before} -> {now}"
        time.sleep(0.1)


@pytest.mark.parametrize("health_checks", [True, False])
def test_a_server_restarts_under_requests(tmp_path: Path, health_checks: bool) -> None:
    server, log = Server(tmp_path), tmp_path / "log"
    log.touch()
    subprocess.run([sys.executable, "-m", "tests.django_worker", server.dsn()], cwd=ROOT, check=True)
    workers = [start(server.dsn(), log, health_checks, f"w{number}") for number in range(2)]
    try:
        wait_for_each(log, COMMITTED, 3)
        for _ in range(2):
            server.kill()
            wait_for_each(log, LOST, 1)
            server.start()
            wait_for_each(log, COMMITTED, 3)
    finally:
        for worker in workers:
            worker.terminate()
        errors = [worker.communicate(timeout=60)[1] for worker in workers]
        server.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(errors)
    record = read_log(log)
    with closing(zodbapi.connect(str(tmp_path / "served.fs"))) as connection:
        there = {token for (token,) in connection.execute("SELECT token FROM bank_entry")}
        (total,) = connection.execute("SELECT sum(balance) FROM bank_account").fetchone()
        moved = dict(connection.execute("SELECT id, balance FROM bank_account"))
        for source, target in connection.execute("SELECT source_id, target_id FROM bank_entry"):
            moved[source] += 1
            moved[target] -= 1
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert record.tokens(COMMITTED) <= there
    assert not record.tokens(CONFLICT) & there
    assert there <= record.tokens(COMMITTED, LOST, BEGUN)
    assert total == ACCOUNTS * START
    assert set(moved.values()) == {START}
