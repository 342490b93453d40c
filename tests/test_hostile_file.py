"""A file from a stranger, with what lies beside it, runs no code: not when it is opened, read, packed or served.

Each payload makes a directory when it is unpickled; ZODB's own FileStorage shows that it would.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import transaction
import ZODB
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.utils import z64

import zodbapi
from zodbapi import errors
from zodbapi.storage import database, server
from zodbapi.storage.record_reader import unpickle_values

ROOT = Path(__file__).parent.parent


class Exploit:
    """Unpickles as a call."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self._path,)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    found = tmp_path / "db.fs"
    with closing(zodbapi.connect(str(found), autocommit=True)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT UNIQUE)")
        connection.execute("INSERT INTO t (word) VALUES ('a'), ('b')")
    forget(found)
    yield found
    forget(found)


def forget(path: Path | str) -> None:
    found = database._open.pop(str(path), None)
    if found is not None:
        found._stop()


def use(dsn: str) -> None:
    """All that a user does with a database; errors are allowed, code of the file is not."""
    statements = (
        "SELECT * FROM t",
        "SELECT count(*) FROM t WHERE word > ''",
        "INSERT INTO t (word) VALUES ('c')",
        "UPDATE t SET word = word || '!'",
        "PRAGMA integrity_check",
        "SELECT * FROM sqlite_master",
        "VACUUM",
        "DELETE FROM t",
    )
    with suppress(errors.Error), closing(zodbapi.connect(dsn, autocommit=True)) as connection:
        for statement in statements:
            with suppress(errors.Error):
                repr(connection.execute(statement).fetchall())
        with suppress(errors.Error):
            repr(connection.root.objects)
    forget(dsn)


# --- records ----------------------------------------------------------------------------------------------------------


def in_a_row(root: Any, payload: Exploit) -> None:
    (rows,) = root["zodbapi"]["rows"].values()
    rows[1] = (1, payload)


def in_an_index(root: Any, payload: Exploit) -> None:
    (index,) = root["zodbapi"]["indexes"].values()
    index[next(iter(index))] = payload


def in_the_schema(root: Any, payload: Exploit) -> None:
    for key, value in list(root["zodbapi"]["schema"].items()):
        if not isinstance(value, int):
            root["zodbapi"]["schema"][key] = payload


def as_the_cookie(root: Any, payload: Exploit) -> None:
    root["zodbapi"]["schema"]["cookie"] = payload


def as_our_entry(root: Any, payload: Exploit) -> None:
    root["zodbapi"] = payload


def beside_our_entry(root: Any, payload: Exploit) -> None:
    root["other"] = payload


@pytest.mark.parametrize("place", [in_a_row, in_an_index, in_the_schema, as_the_cookie, as_our_entry, beside_our_entry])
def test_records(path: Path, place: Callable[[Any, Exploit], None]) -> None:
    ran = path.parent / "ran"
    with closing(ZODB.DB(FileStorage(str(path)))) as stock, stock.transaction() as connection:
        place(connection.root(), Exploit(ran))
    use(str(path))
    assert not ran.exists()
    path.with_name("db.fs.index").unlink(missing_ok=True)
    use(f"file://{path}")
    assert not ran.exists()


# --- the index file -----------------------------------------------------------------------------------------------------


OPEN = "import sys; from ZODB.FileStorage import FileStorage; FileStorage(sys.argv[1])"


@pytest.mark.parametrize("use_it", ["path", "uri", "server", "zodb"])
def test_index_files(path: Path, use_it: str) -> None:
    ran = path.parent / "ran"
    path.with_name("db.fs.index").write_bytes(pickle.dumps(Exploit(ran), 3))
    match use_it:
        case "path":
            use(str(path))
        case "uri":
            use(f"file://{path}")
        case "server":
            server._ServedFile(str(path)).close()
        case "zodb":
            subprocess.run([sys.executable, "-c", OPEN, str(path)], check=False, capture_output=True)
    assert ran.exists() is (use_it == "zodb")


# --- undo information ---------------------------------------------------------------------------------------------------


@pytest.fixture
def extended(path: Path) -> Path:
    """A file whose last transaction has a hostile extension."""
    ran = path.parent / "ran"
    with closing(FileStorage(str(path))) as stock:
        data, serial = stock.load(z64)
        meta = TransactionMetaData("user", "description", pickle.dumps({"a": Exploit(ran)}, 3))
        stock.tpc_begin(meta)
        stock.store(z64, serial, data, "", meta)
        stock.tpc_vote(meta)
        stock.tpc_finish(meta)
    return path


def read_histories(storage: Any) -> list[Any]:
    """Every way to the extensions of transactions."""
    found = [storage.undoLog(), storage.undoInfo(), storage.history(z64, 10), storage.lastInvalidations(10)]
    with closing(storage.iterator()) as transactions:
        found.append([record.extension for record in transactions])
    return found


@pytest.mark.parametrize("kind", ["shared", "served", "zodb"])
def test_extensions(extended: Path, kind: str) -> None:
    match kind:
        case "shared":
            use(str(extended))
            storage = database.Database.open(str(extended)).storage
        case "served":
            storage = server._ServedFile(str(extended))
        case _:
            storage = FileStorage(str(extended))
    with suppress(OSError):  # the second time the directory is there
        histories = read_histories(storage)
        assert histories[2][0]["description"] or kind == "shared"
    storage.close()
    assert (extended.parent / "ran").exists() is (kind == "zodb")


def test_extensions_of_plain_data_are_read(path: Path) -> None:
    with closing(FileStorage(str(path))) as stock:
        database_ = ZODB.DB(stock)
        manager = transaction.TransactionManager()
        database_.open(manager).root()["x"] = 1
        manager.get().setExtendedInfo("reason", "because")
        manager.commit()
    storage = database.Database.open(str(path)).storage
    assert storage.undoInfo()[0]["reason"] == "because"
    assert storage.history(z64)[0]["reason"] == "because"


# --- a server and who reaches it ------------------------------------------------------------------------------------------


def listening(port: int) -> set[str]:
    """The addresses, as the kernel writes them, that a port is open at."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, number = local.rpartition(":")
            if state == "0A" and int(number, 16) == port:
                found.add(address)
    return found


@pytest.fixture
def served(extended: Path) -> Iterator[int]:
    """The port of a server of the hostile file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = "import sys; from zodbapi.storage import server; server.serve(*sys.argv[1:])"
    with subprocess.Popen([sys.executable, "-c", script, str(extended), str(port)], cwd=ROOT) as process:
        while not listening(port) and process.poll() is None:
            time.sleep(0.05)
        yield port
        process.kill()


def test_a_server_is_reached_from_this_machine_only(served: int, extended: Path) -> None:
    assert listening(served) == {"0100007F"}
    use(f"zeo://127.0.0.1:{served}?wait_timeout=20")
    client = database.Database.open(f"zeo://127.0.0.1:{served}?wait_timeout=20")
    assert client.storage.undoInfo()
    assert client.storage.history(z64)
    assert len(list(client.storage.iterator())) > 1
    forget(client.dsn)
    assert not (extended.parent / "ran").exists()


@pytest.mark.parametrize("address", ["0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", f"{socket.gethostname()}.:0"])
def test_other_addresses_are_refused_without_certificates(path: Path, address: str) -> None:
    with pytest.raises((errors.ProgrammingError, errors.OperationalError), match=r"certificate|unknown host|unable"):
        server.serve(str(path), address)


def test_what_follows_values_that_end_early_is_not_taken_for_those_of_another_leaf() -> None:
    assert unpickle_values([b"K\x01"]) == (1,)
    assert unpickle_values([b"K\x01t.(K\x02"]) is None
    assert unpickle_values([b"K\x03"]) == (3,)
