"""Databases on a ZEO server: other processes' commits, rowids, a server that goes away."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import zodbapi
from tests.storage_worker import create, insert, problems, schema_of, until_done, update
from tests.test_commands import make_certificate
from zodbapi import errors
from zodbapi.catalog import Table
from zodbapi.storage.database import Database
from zodbapi.storage.transaction import Transaction

SERVE = """
import sys
from zodbapi.storage.server import Certificates, serve

path, certificate, key = sys.argv[1:]
serve(path, "127.0.0.1:0", Certificates(certificate, certificate, key), running=lambda shown: print(shown, flush=True))
"""


class Server:
    """A ZEO server process that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "served.fs"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        address = f"127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "ZEO.runzeo", "-a", address, "-f", str(self._file)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def dsn(self, number: int = 0) -> str:
        """Another spelling for each number, so that one process can play several."""
        return f"zeo://127.0.0.1:{self.port}?wait_timeout={3 + number}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("zeo"))
    yield found
    found.kill()


@pytest.fixture
def databases(server: Server) -> Iterator[list[Database]]:
    opened = [Database.open(server.dsn(number)) for number in range(2)]
    yield opened
    for database in opened:
        database.close()
        database._stop()


@pytest.fixture
def sessions(databases: list[Database]) -> Iterator[list[Transaction]]:
    opened = [database.begin_session() for database in databases]
    yield opened
    for session in opened:
        session.close()


@pytest.fixture
def table(sessions: list[Transaction]) -> Table:
    found = schema_of(sessions[0]).get("t") or create(sessions[0])
    sessions[0].begin(write=True)
    for tree in (sessions[0].rows(found.id), *(sessions[0].index(index.id) for index in found.indexes)):
        tree.clear()
    sessions[0].commit()
    return found


def words(txn: Transaction, table: Table) -> list[str]:
    txn.begin()
    assert problems(txn) == []
    found = [row[1] for row in txn.rows(table.id).values()]
    txn.rollback()
    return found


def test_each_begin_sees_what_others_committed(sessions: list[Transaction], table: Table) -> None:
    first, second = sessions
    for number in range(20):
        until_done(first, lambda t, number=number: insert(t, table, f"{number}"))
        assert len(words(second, table)) == number + 1


def test_rowids_of_two_processes_differ(sessions: list[Transaction], table: Table) -> None:
    def work(txn: Transaction, prefix: str) -> None:
        for number in range(1, 41):
            until_done(txn, lambda t, number=number: insert(t, table, f"{prefix} {number}"))

    threads = [threading.Thread(target=work, args=(txn, name)) for txn, name in zip(sessions, "ab", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(words(sessions[0], table)) == 80
    sessions[0].begin()
    rowids = list(sessions[0].rows(table.id))
    assert rowids[-1] - rowids[0] < 80 + 3 * 32


def test_a_given_rowid_is_stepped_over(sessions: list[Transaction], table: Table) -> None:
    first, second = sessions
    until_done(first, lambda t: insert(t, table, "a"))
    first.begin()
    following = max(first.rows(table.id)) + 1
    first.rollback()
    until_done(second, lambda t: insert(t, table, "b", following))
    until_done(first, lambda t: insert(t, table, "c"))
    assert sorted(words(second, table)) == ["a", "b", "c"]


def test_a_conflict(sessions: list[Transaction], table: Table) -> None:
    first, second = sessions
    until_done(first, lambda t: insert(t, table, "a", 1))
    for txn in sessions:
        txn.begin()
        update(txn, table, 1, f"changed {id(txn)}")
    first.commit()
    with pytest.raises(errors.ConflictError):
        second.commit()


def test_the_server_restarts(server: Server, sessions: list[Transaction], table: Table) -> None:
    first, second = sessions
    until_done(first, lambda t: insert(t, table, "a"))
    first.begin()
    insert(first, table, "lost")
    server.kill()
    with pytest.raises(errors.OperationalError, match="server"):
        first.commit()
    assert not first.active
    with pytest.raises(errors.OperationalError, match="server"):
        second.begin()
    server.start()
    until_done(second, lambda t: insert(t, table, "b"))
    assert words(first, table) == ["a", "b"]


@pytest.mark.parametrize("before", [True, False])
def test_a_statement_that_loses_its_server(server: Server, before: bool) -> None:
    """What it has done cannot be undone by reading either, so the transaction ends; the connection goes on."""
    with closing(zodbapi.connect(server.dsn(5))) as connection:
        connection.execute("DROP TABLE IF EXISTS w")
        connection.execute("CREATE TABLE w (id INTEGER PRIMARY KEY, word TEXT UNIQUE)")
        connection.executemany("INSERT INTO w VALUES (?, ?)", [(number, f"{number:04}") for number in range(1, 600)])
        connection.commit()
        connection._txn._connection.cacheMinimize()
        connection.begin()
        connection.execute("SELECT id FROM w WHERE id = 100").fetchall()
        if before:
            connection.execute("UPDATE w SET word = 'changed' WHERE id = 100")
        server.kill()
        connection._database.storage._cache.clear()  # what the client keeps beside the objects
        with pytest.raises(zodbapi.OperationalError, match="server"):
            connection.execute("INSERT INTO w VALUES (1000, '0350a')")
        connection.rollback()
        server.start()
        words = connection.execute("SELECT word FROM w ORDER BY id").fetchall()
        assert words == [(f"{number:04}",) for number in range(1, 600)]
        connection.execute("INSERT INTO w VALUES (1000, '0350a')")
        connection.commit()
        assert zodbapi.check(connection) == []


def test_object_ids_after_a_restart(server: Server, databases: list[Database], sessions: list[Transaction]) -> None:
    first, second = databases
    first.storage.new_oid()  # and a hundred more that the server has given
    server.kill()
    server.start()
    for session in sessions:
        session.begin()
        session.rollback()
    found = [storage.new_oid() for storage in (second.storage, first.storage) for _ in range(200)]
    assert len(set(found)) == len(found)


def test_no_server(server: Server) -> None:
    with pytest.raises(errors.OperationalError, match="server"):
        Database.open("zeo://127.0.0.1:1?wait_timeout=1")
    with pytest.raises(errors.InterfaceError, match="certificates"):
        Database.open(server.dsn() + "&username=me&password=secret")


def test_a_client_cache_that_outlives_the_process(server: Server, sessions: list[Transaction], table: Table) -> None:
    until_done(sessions[0], lambda t: insert(t, table, "cached"))
    cache = server.folder / "client.zec"
    for _ in range(2):
        database = Database.open(f"zeo://127.0.0.1:{server.port}", client_cache=str(cache), client_cache_size=1 << 20)
        txn = database.begin_session()
        assert words(txn, table) == ["cached"]
        with pytest.raises(errors.OperationalError, match="client cache"):
            Database.open(f"zeo://127.0.0.1:{server.port}?wait_timeout=5", client_cache=str(cache))
        txn.close()
        database.close()
        database._stop()
        assert 0 < cache.stat().st_size <= 2 << 20
    assert b"cached" in cache.read_bytes()


def test_wait_timeout_is_an_option() -> None:
    began = time.monotonic()
    with pytest.raises(errors.OperationalError, match="server"):
        Database.open("zeo://127.0.0.1:1", wait_timeout=1)
    assert time.monotonic() - began < 5


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The DSN of a server that wants certificates, and the options that give it one."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = (str(path) for path in make_certificate(folder))
    command = [sys.executable, "-c", SERVE, str(folder / "tls.fs"), certificate, key]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        right = {"authority": certificate, "certificate": certificate, "key": key, "server_hostname": "localhost"}
        yield f"zeo://{process.stdout.readline().strip()}", right
    finally:
        process.kill()
        process.communicate()


def test_tls_by_options(tls: tuple[str, dict[str, str]]) -> None:
    dsn, right = tls
    database = Database.open(dsn, wait_timeout=10, **right)
    create(database.begin_session())
    database.close()
    database._stop()
    trusting = {"authority": right["authority"], "server_hostname": "localhost"}
    for wrong in ({}, trusting, {**right, "server_hostname": "other"}):
        with pytest.raises(errors.OperationalError, match="server"):
            Database.open(dsn, wait_timeout=1, **wrong)


def test_giving_up_in_the_middle_of_connecting_leaves_no_socket(
    tls: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn, right = tls
    trusting = {"authority": right["authority"], "server_hostname": "localhost"}
    left: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: left.append(repr(found.exc_value)))
    for number in range(1, 41):
        with pytest.raises(errors.OperationalError, match="server"):
            Database.open(dsn, wait_timeout=number / 4000, **trusting)
    gc.collect()
    assert left == []


def test_options_that_make_no_sense(tmp_path: Path) -> None:
    for dsn, options, message in (
        ("zeo://127.0.0.1:1", {"certificate": "client.pem"}, "authority"),
        (f"file://{tmp_path}/a.fs", {"wait_timeout": 1}, "only a zeo"),
        (
            "zeo://127.0.0.1:1",
            {"blob_dir": str(tmp_path), "read_only": True},
            "only a path takes .* blob_dir, read_only",
        ),
    ):
        with pytest.raises(errors.InterfaceError, match=message):
            Database.open(dsn, **options)
    with pytest.raises(errors.OperationalError, match="certificates"):
        Database.open("zeo://127.0.0.1:1", authority=str(tmp_path / "nowhere.pem"))
    with pytest.raises(errors.InterfaceError, match="only a zeo"):
        Database.open(str(tmp_path / "a.fs"), client_cache_size=1)
