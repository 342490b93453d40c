"""Damaged files and hostile environments: the data stays as it was last committed, and the message says what is wrong.

Everything goes through the driver's face. Where the process itself has to be another one (without rights, with a limit,
killed), a child does it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ZODB.FileStorage import FileIterator, FileStorage

import zodbapi
from zodbapi.storage import database

ROOT = Path(__file__).parent.parent


def forget(path: Path) -> None:
    """Close what the process keeps of a file, as its end would."""
    found = database._open.pop(str(path), None)
    if found is not None:
        found._stop()


def words(path: Path | str, **options: bool) -> list[str]:
    """The words of a file that is opened for this; its indexes are right."""
    forget(Path(path))
    with closing(zodbapi.connect(str(path), **options)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = [word for (word,) in connection.execute("SELECT word FROM t ORDER BY id")]
    forget(Path(path))
    return found


def make(path: Path, *added: str) -> None:
    """A database with a table of words, each from a transaction of its own."""
    with closing(zodbapi.connect(str(path), autocommit=True)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT UNIQUE)")
        for word in added:
            add(connection, word)
    forget(path)


def add(connection: zodbapi.Connection, word: str) -> None:
    connection.execute("INSERT INTO t (word) VALUES (?)", [word])


def run(script: str, *arguments: object) -> str:
    """What a child process with this script printed; it has zodbapi, closing, os and sys."""
    head = "import os, sys, zodbapi\nfrom contextlib import closing\n"
    command = [sys.executable, "-W", "error", "-c", head + script, *map(str, arguments)]
    return subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=120).stdout


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    found = tmp_path / "db.fs"
    make(found, "a", "b")
    yield found
    forget(found)


# --- tails ------------------------------------------------------------------------------------------------------------


def last_transaction(path: Path) -> int:
    """Where it begins."""
    data = path.read_bytes()
    return len(data) - 8 - int.from_bytes(data[-8:], "big")


def check_tail(path: Path, damaged: bytes, expected: list[str]) -> None:
    path.write_bytes(damaged)
    assert words(path) == expected
    assert path.read_bytes() == damaged, "reading changes nothing"


@pytest.mark.parametrize("tail", ["cut off", "zeroed", "unfinished", "of something else"])
def test_a_tail_that_is_broken_at_any_byte(path: Path, tail: str) -> None:
    data, begin = path.read_bytes(), last_transaction(path)
    for cut in range(begin, len(data)):
        rest = len(data) - cut
        match tail:
            case "cut off":
                damaged = data[:cut]
            case "zeroed":
                damaged = data[:cut] + bytes(rest)
            case "unfinished":  # what a writer leaves that is killed while it writes
                damaged = data[: begin + 16] + b"c" + data[begin + 17 : cut] if cut > begin + 16 else data[:cut]
            case _:
                damaged = data[:cut] + bytes(255 - byte for byte in data[cut:])
        check_tail(path, damaged, ["a"])
        if cut % 40 == 0:  # the next writer cuts it off
            with closing(zodbapi.connect(str(path), autocommit=True)) as connection:
                add(connection, "c")
            assert words(path) == ["a", "c"]
            FileStorage(str(path)).close()


def test_an_append_after_the_file_is_found_and_kept(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"appended by mistake" * 100)
    with closing(zodbapi.connect(str(path), autocommit=True)) as connection:
        add(connection, "c")
    assert words(path) == ["a", "b", "c"]
    assert path.with_name("db.fs.tr0").read_bytes() == b"appended by mistake" * 100


def test_damage_before_the_tail_is_an_error_that_changes_nothing(path: Path) -> None:
    data, begin = bytearray(path.read_bytes()), last_transaction(path)
    data[begin - 30 : begin] = bytes(30)
    path.write_bytes(data)
    for _ in range(2):
        with pytest.raises(
            zodbapi.OperationalError, match=r"^database disk image is malformed: .* byte \d+; .*fsrecover"
        ):
            words(path)
    assert path.read_bytes() == data


# --- the index file ---------------------------------------------------------------------------------------------------


def save_index(path: Path) -> Path:
    """Make the index file as a process does that ends after much work."""
    connection = zodbapi.connect(str(path))
    connection._database.storage._save_index()
    connection.close()
    forget(path)
    return path.with_name(path.name + ".index")


def test_an_index_file_that_is_missing_older_or_of_before_a_restore(path: Path) -> None:
    index = save_index(path)
    old_index, old_data = index.read_bytes(), path.read_bytes()
    with closing(zodbapi.connect(str(path), autocommit=True)) as connection:
        for number in range(50):
            add(connection, f"{number}")
    assert words(path)[-1] == "49"
    save_index(path)
    new_index, new_data = index.read_bytes(), path.read_bytes()
    for data in (old_data, new_data):
        for content in (None, old_index, new_index):
            path.write_bytes(data)
            index.unlink(missing_ok=True)
            if content is not None:
                index.write_bytes(content)
            assert words(path) == ["a", "b", *(str(number) for number in range(50 if data is new_data else 0))]


def test_an_index_file_of_another_history(path: Path, tmp_path: Path) -> None:
    """Two copies of one file go on with transactions of the same length: positions fit, objects do not."""
    other = tmp_path / "other.fs"
    shutil.copy(path, other)
    for copy, texts in ((path, "wx"), (other, "yz")):
        with closing(zodbapi.connect(str(copy), autocommit=True)) as connection:
            for text in texts:
                add(connection, text)
        forget(copy)
    assert path.stat().st_size == other.stat().st_size
    stolen = save_index(other).rename(tmp_path / "db.fs.index")
    storage = database.Database.open(str(path)).storage
    assert storage._saved_pos == 4, "the index was made from the file"
    assert words(path) == ["a", "b", "w", "x"]
    assert words(other) == ["a", "b", "y", "z"]
    assert stolen.exists()


def test_zodb_reads_the_index_file(path: Path) -> None:
    index = save_index(path)
    storage = FileStorage(str(path))
    assert storage._restore_index() is not None
    storage.close()
    assert index.exists()


# --- rights and space -------------------------------------------------------------------------------------------------


UNPRIVILEGED = """
path = sys.argv[1]
with closing(zodbapi.connect(path, autocommit=True)) as connection:  # loads all that is needed, while it may be read
    connection.execute("INSERT INTO t (word) VALUES ('root')")
    connection.execute("DELETE FROM t WHERE word = 'root'")
    connection.execute("SELECT * FROM t").fetchall()
from zodbapi.storage import database
database._close_all(); database._open.clear()
os.setgid(65534); os.setuid(65534)
for name in (path, os.path.dirname(path) + "/new.fs", os.path.dirname(path) + "/secret.fs"):
    try:
        with closing(zodbapi.connect(name, autocommit=True)) as connection:
            print(connection.execute("SELECT word FROM t ORDER BY id").fetchall())
            connection.execute("INSERT INTO t (word) VALUES ('c')")
            print("written")
    except zodbapi.Error as error:
        print(type(error).__name__, error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
@pytest.mark.parametrize("writable", ["nothing", "the file", "the directory"])
def test_a_user_who_may_only_read(writable: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "db.fs"
        make(path, "a", "b")
        shutil.copy(path, folder / "secret.fs")
        run("zodbapi.connect(sys.argv[1]).execute('DELETE FROM t WHERE id > 5')", path)  # now the lock file is there
        folder.chmod(0o777 if writable == "the directory" else 0o755)
        path.chmod(0o666 if writable == "the file" else 0o444)
        (folder / "secret.fs").chmod(0o600)
        before = (folder / "secret.fs").read_bytes()
        read, written, new, secret = run(UNPRIVILEGED, path).splitlines()
        assert read == "[('a',), ('b',)]"
        assert written == "OperationalError attempt to write a readonly database"
        if writable == "the directory":
            assert new.startswith("OperationalError no such table")
        else:
            assert new.startswith("OperationalError unable to open database file: ")
        assert secret.startswith("OperationalError unable to open database file: ")
        assert "Permission denied" in secret
        assert words(path) == ["a", "b"]
        assert (folder / "secret.fs").read_bytes() == before


FULL = """
import resource
path, limit = sys.argv[1], 100_000
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
def limited(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
def attempt(*sql):
    try:
        with connection:
            for statement in sql:
                connection.execute(statement)
        print("done")
    except zodbapi.Error as error:
        print(type(error).__name__, error)
    assert [word[:1] for (word,) in other.execute("SELECT word FROM t ORDER BY id")] == list("ab"), "what others see"
with closing(zodbapi.connect(path)) as connection, closing(zodbapi.connect(path)) as other:
    limited(os.path.getsize(path))
    attempt("INSERT INTO t (word) VALUES ('c')")
    limited(os.path.getsize(path) + 50)
    attempt("INSERT INTO t (word) VALUES ('c')")
    limited(os.path.getsize(path) + 200_000)
    attempt("INSERT INTO t (word) VALUES (printf('%.*c', 300000, 'c'))", "CREATE TABLE u (a)")
    limited(200)
    attempt("VACUUM")
    try:
        zodbapi.connect(os.path.dirname(path) + "/new.fs", autocommit=True).execute("CREATE TABLE t (a)")
    except zodbapi.Error as error:
        print(type(error).__name__, error)
    limited(hard)
    connection.execute("INSERT INTO t (word) VALUES ('c')")
    connection.commit()
    zodbapi.connect(os.path.dirname(path) + "/new.fs", autocommit=True).execute("CREATE TABLE t (a)")
"""


def test_a_full_disk(path: Path) -> None:
    printed = run(FULL, path).splitlines()
    assert len(printed) == 5
    for line in printed:
        assert line.startswith("OperationalError database or disk is full"), printed
    assert words(path) == ["a", "b", "c"]
    assert sorted(found.name for found in path.parent.iterdir()) == ["db.fs", "db.fs.lock", "new.fs", "new.fs.lock"]


FILLED = """
import errno
path, filler = sys.argv[1], os.path.dirname(sys.argv[1]) + "/filler"
def fill():
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError as error:
            assert error.errno == errno.ENOSPC
with closing(zodbapi.connect(path, autocommit=True)) as connection:
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT UNIQUE)")
    fill()
    done = 0
    try:
        for done in range(10_000):
            connection.execute("INSERT INTO t (word) VALUES (?)", [str(done)])
    except zodbapi.Error as error:
        print(type(error).__name__, error)
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (done,)
    try:
        connection.execute("VACUUM")
    except zodbapi.Error as error:
        print(type(error).__name__, error)
    os.unlink(filler)
    for number in range(done, done + 10):
        connection.execute("INSERT INTO t (word) VALUES (?)", [str(number)])
    connection.execute("VACUUM")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (done + 10,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
"""


def test_a_full_file_system(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system can be mounted by root only, and not in every container")
    try:
        printed = run(FILLED, tmp_path / "db.fs").splitlines()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert printed[0].startswith("OperationalError database or disk is full")
    assert all(line.startswith("OperationalError database or disk is full") for line in printed)


def test_a_clock_that_goes_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(zodbapi.connect(str(path), autocommit=True)) as connection:
        for moment in (2_000_000_000.0, 1_000_000_000.0, 3_000_000_000.0, 0.0):
            monkeypatch.setattr("time.time", lambda moment=moment: moment)
            add(connection, f"{moment}")
    monkeypatch.undo()
    run("c = zodbapi.connect(sys.argv[1]); c.execute(\"INSERT INTO t (word) VALUES ('z')\"); c.commit()", path)
    assert words(path) == ["a", "b", "2000000000.0", "1000000000.0", "3000000000.0", "0.0", "z"]
    with closing(FileIterator(str(path))) as transactions:
        tids = [transaction.tid for transaction in transactions]
    assert tids == sorted(set(tids))


# --- other files under the same name ----------------------------------------------------------------------------------


def expire(connection: zodbapi.Connection) -> None:
    """Let the second pass after which an open file is looked at."""
    connection._database.storage._next_look = 0.0


@pytest.mark.parametrize("first", ["read", "write"])
def test_the_file_is_removed_and_comes_back(path: Path, first: str) -> None:
    with closing(zodbapi.connect(str(path), autocommit=True)) as connection:
        query = "SELECT word FROM t ORDER BY id"
        assert len(connection.execute(query).fetchall()) == 2
        path.rename(path.with_name("elsewhere"))
        expire(connection)
        for _ in range(2):
            with pytest.raises(zodbapi.OperationalError, match=r"^unable to open database file: .* was removed$"):
                connection.execute(query) if first == "read" else add(connection, "c")
            expire(connection)
        assert not path.exists()
        path.with_name("elsewhere").rename(path)
        add(connection, "c")
        assert connection.execute(query).fetchall() == [("a",), ("b",), ("c",)]
    assert words(path) == ["a", "b", "c"]


@pytest.mark.parametrize("how", ["moved", "copied"])
@pytest.mark.parametrize("first", ["read", "write"])
@pytest.mark.parametrize("size", ["smaller", "larger", "same"])
def test_another_database_takes_the_place(path: Path, tmp_path: Path, how: str, first: str, size: str) -> None:
    other = tmp_path / "other.fs"
    make(other, *{"smaller": "x", "larger": "xyz", "same": "xy"}[size])
    expected = [(word,) for word in {"smaller": "x", "larger": "xyz", "same": "xy"}[size]]
    with closing(zodbapi.connect(str(path), autocommit=True)) as connection:
        query = "SELECT word FROM t ORDER BY id"
        assert len(connection.execute(query).fetchall()) == 2
        shutil.copy(other, path) if how == "copied" else other.rename(path)
        if first == "read":
            expire(connection)
            assert connection.execute(query).fetchall() == expected
        add(connection, "c")
        assert connection.execute(query).fetchall() == [*expected, ("c",)]
    assert words(path) == [*(word for (word,) in expected), "c"]


@pytest.mark.parametrize(
    "content", [b"", b"some text that is long enough to be more than a header of a transaction", b"FS"]
)
def test_the_file_is_overwritten_with_something_else(path: Path, content: bytes) -> None:
    data = path.read_bytes()
    with closing(zodbapi.connect(str(path), autocommit=True)) as connection:
        path.write_bytes(content)
        expire(connection)
        for act in (lambda: connection.execute("SELECT * FROM t"), lambda: add(connection, "c")):
            with pytest.raises(zodbapi.OperationalError, match=r"^file is not a database: "):
                act()
            expire(connection)
        assert path.read_bytes() == content
        path.write_bytes(data)
        add(connection, "c")
    assert words(path) == ["a", "b", "c"]


def not_databases(folder: Path) -> Iterator[tuple[Path, str]]:
    text, lite, fifo = (folder / name for name in ("text", "lite", "fifo"))
    text.write_text("hello, I am no database")
    with closing(sqlite3.connect(lite)) as connection:
        connection.execute("CREATE TABLE t (a)")
    os.mkfifo(fifo)
    yield text, "^file is not a database: "
    yield lite, "^file is not a database: "
    yield folder, "^unable to open database file: .* is a directory$"
    yield fifo, "^unable to open database file: .* is not a file$"
    yield text / "below", "^unable to open database file: "
    yield Path("/dev/null"), "^unable to open database file: .* is not a file$"
    yield folder / ("long" * 100), "^unable to open database file: "


def test_what_is_no_database_stays_as_it_is(tmp_path: Path) -> None:
    for found, message in list(not_databases(tmp_path)):
        before = found.read_bytes() if os.path.isfile(found) else b""
        with pytest.raises(zodbapi.OperationalError, match=message):
            zodbapi.connect(str(found))
        assert not before or found.read_bytes() == before
    assert sorted(found.name for found in tmp_path.iterdir()) == ["fifo", "lite", "text"]


# --- packs and tools --------------------------------------------------------------------------------------------------


PACK = """
with closing(zodbapi.connect(sys.argv[1], autocommit=True)) as connection:
    connection.execute("UPDATE t SET word = word || ' changed'")
    connection.execute("DROP TABLE u")
    connection.execute("VACUUM")
    connection.execute("INSERT INTO t (word) VALUES ('c')")
"""


@pytest.mark.parametrize("where", ["here", "in another process"])
def test_a_snapshot_goes_on_after_a_pack(path: Path, where: str) -> None:
    with closing(zodbapi.connect(str(path), autocommit=True)) as reader, closing(zodbapi.connect(str(path))) as other:
        reader.execute("CREATE TABLE u (id INTEGER PRIMARY KEY, word TEXT)")
        reader.executemany("INSERT INTO u (word) VALUES (?)", [["old"]] * 500)
        reader.begin()
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (2,)
        reader._txn._connection.cacheMinimize()
        if where == "here":
            other.autocommit = True
            for statement in ("UPDATE t SET word = word || ' changed'", "DROP TABLE u", "VACUUM"):
                other.execute(statement)
            add(other, "c")
        else:
            run(PACK, path)
        assert other.execute("SELECT count(*) FROM t").fetchone() == (3,)
        assert reader.execute("SELECT word FROM t ORDER BY id").fetchall() == [("a",), ("b",)]
        assert reader.execute("SELECT word, count(*) FROM u GROUP BY word").fetchall() == [("old", 500)]
        reader.rollback()
        assert reader.execute("SELECT word FROM t ORDER BY id").fetchall() == [("a changed",), ("b changed",), ("c",)]
        expire(other)
        assert other.execute("SELECT count(*) FROM t").fetchone() == (3,)
        assert not reader._database.storage._retired, "the old file is let go"
    assert words(path) == ["a changed", "b changed", "c"]


def test_a_packer_that_is_killed_leaves_the_file(path: Path) -> None:
    with closing(zodbapi.connect(str(path), autocommit=True)) as connection:
        for number in range(200):
            add(connection, f"{number}")
        script = "zodbapi.connect(sys.argv[1]).execute('VACUUM')"
        command = [sys.executable, "-c", f"import sys, zodbapi; print(flush=True); {script}", str(path)]
        for delay in (0.0, 0.005, 0.01, 0.02, 0.04):
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as packer:
                assert packer.stdout is not None
                packer.stdout.readline()
                time.sleep(delay)
                packer.kill()
            add(connection, f"after {delay}")
        connection.execute("VACUUM")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (207,)
    assert len(words(path)) == 207


def test_zodbs_own_tools(path: Path, tmp_path: Path) -> None:
    with closing(zodbapi.connect(str(path), autocommit=True)) as connection:
        connection.execute("VACUUM")
        add(connection, "c")
    backup, restored = tmp_path / "backup", tmp_path / "restored.fs"
    backup.mkdir()

    def tool(module: str, *arguments: object) -> str:
        command = [sys.executable, "-m", f"ZODB.{module}", *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert "LOBTree" in tool("FileStorage.fsdump", path)
    tool("scripts.fstest", path)
    tool("scripts.repozo", "-B", "-r", backup, "-f", path)
    with closing(zodbapi.connect(str(path), autocommit=True)) as connection:
        add(connection, "d")
    time.sleep(1.1)  # repozo names what it keeps by the second
    tool("scripts.repozo", "-B", "-r", backup, "-f", path)
    tool("scripts.repozo", "-R", "-r", backup, "-o", restored)
    assert words(restored) == words(path) == ["a", "b", "c", "d"]
