"""The published isolation anomalies at every level, wherever a database can be.

The scripts follow the Hermitage suite (https://github.com/ept/hermitage), which took them from Adya's thesis "Weak Consistency"
and Berenson et al., "A Critique of ANSI SQL Isolation Levels". Each line is a session's number and its statement; ``happened``
says from the outcomes whether the anomaly came about. ``ALLOWED`` is the table of the README.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

import zodbapi
from tests.sessions import Outcome, RemoteRunner, Runner, Sessions
from tests.test_storage_zeo import Server

RC, SI, SER = "READ COMMITTED", "SNAPSHOT", "SERIALIZABLE"
Outcomes = list[Outcome]
_names = count()


@dataclass(frozen=True)
class Anomaly:
    """A schedule, the levels that let it happen, and whether it did."""

    allowed: tuple[str, ...]
    script: str
    happened: Callable[[Outcomes, dict[int, int]], bool]
    unlocked: tuple[str, ...] | None = None  # the levels that let it happen where no lock makes a writer wait


def values(outcome: Outcome) -> dict[int, int]:
    return dict(outcome.rows)


def all_committed(outcomes: Outcomes, final: dict[int, int]) -> bool:
    return not any(outcome.error for outcome in outcomes)


def went_back(outcomes: Outcomes, writers: dict[int, int]) -> bool:
    """Whether reads that come one after the other see an earlier writer after a later one."""
    seen = [writers[value] for outcome in outcomes for value in values(outcome).values()]
    return seen != sorted(seen)


READ = "SELECT id, value FROM test"
ANOMALIES = {
    "G0 dirty write": Anomaly(
        (),
        """1 UPDATE test SET value = 11 WHERE id = 1
           2 UPDATE test SET value = 12 WHERE id = 1
           1 UPDATE test SET value = 21 WHERE id = 2
           1 COMMIT
           2 UPDATE test SET value = 22 WHERE id = 2
           2 COMMIT""",
        lambda outcomes, final: final not in ({1: 11, 2: 21}, {1: 12, 2: 22}),
    ),
    "G1a aborted reads": Anomaly(
        (),
        f"""1 UPDATE test SET value = 101 WHERE id = 1
            2 {READ}
            1 ROLLBACK
            2 {READ}
            2 COMMIT""",
        lambda outcomes, final: any(101 in values(outcomes[i]).values() for i in (1, 3)),
    ),
    "G1b intermediate reads": Anomaly(
        (),
        f"""1 UPDATE test SET value = 101 WHERE id = 1
            2 {READ}
            1 UPDATE test SET value = 11 WHERE id = 1
            1 COMMIT
            2 {READ}
            2 COMMIT""",
        lambda outcomes, final: any(101 in values(outcomes[i]).values() for i in (1, 4)),
    ),
    "G1c circular information flow": Anomaly(
        (),
        f"""1 UPDATE test SET value = 11 WHERE id = 1
            2 UPDATE test SET value = 22 WHERE id = 2
            1 {READ} WHERE id = 2
            2 {READ} WHERE id = 1
            1 COMMIT
            2 COMMIT""",
        lambda outcomes, final: values(outcomes[2]) == {2: 22} and values(outcomes[3]) == {1: 11},
    ),
    "OTV observed transaction vanishes": Anomaly(
        (),
        f"""1 UPDATE test SET value = 11 WHERE id = 1
            1 UPDATE test SET value = 19 WHERE id = 2
            2 UPDATE test SET value = 12 WHERE id = 1
            1 COMMIT
            3 {READ} WHERE id = 1
            2 UPDATE test SET value = 18 WHERE id = 2
            3 {READ} WHERE id = 2
            2 COMMIT
            3 {READ} WHERE id = 2
            3 {READ} WHERE id = 1
            3 COMMIT""",
        lambda outcomes, final: went_back(
            [outcomes[i] for i in (4, 6, 8, 9)], {10: 0, 20: 0, 11: 1, 19: 1, 12: 2, 18: 2}
        ),
    ),
    "PMP predicate many preceders": Anomaly(
        (RC,),
        f"""1 {READ} WHERE value = 30
            2 INSERT INTO test VALUES (3, 30)
            2 COMMIT
            1 {READ} WHERE value % 3 = 0
            1 COMMIT""",
        lambda outcomes, final: values(outcomes[0]) != values(outcomes[3]),
    ),
    "PMP, of a write": Anomaly(
        (RC,),
        f"""1 UPDATE test SET value = value + 10
            2 {READ} WHERE value = 20
            2 DELETE FROM test WHERE value = 20
            1 COMMIT
            2 COMMIT""",
        lambda outcomes, final: all_committed(outcomes, final) and values(outcomes[1]).keys() & final.keys() != set(),
        unlocked=(),
    ),
    "P4 lost update": Anomaly(
        (RC,),
        f"""1 {READ} WHERE id = 1
            2 {READ} WHERE id = 1
            1 UPDATE test SET value = 11 WHERE id = 1
            2 UPDATE test SET value = 12 WHERE id = 1
            1 COMMIT
            2 COMMIT""",
        all_committed,
        unlocked=(),
    ),
    "P4 lost update, one after the other": Anomaly(
        (RC,),
        f"""1 {READ} WHERE id = 1
            2 {READ} WHERE id = 1
            1 UPDATE test SET value = 11 WHERE id = 1
            1 COMMIT
            2 UPDATE test SET value = 12 WHERE id = 1
            2 COMMIT""",
        all_committed,
    ),
    "P4 lost update, to the same value": Anomaly(
        (RC,),
        f"""1 {READ} WHERE id = 1
            2 {READ} WHERE id = 1
            1 UPDATE test SET value = 11 WHERE id = 1
            2 UPDATE test SET value = 11 WHERE id = 1
            1 COMMIT
            2 COMMIT""",
        all_committed,
        unlocked=(),
    ),
    "P4 lost update, to the value it had": Anomaly(
        (RC,),
        f"""1 {READ} WHERE id = 1
            2 {READ} WHERE id = 1
            1 UPDATE test SET value = 11 WHERE id = 1
            2 UPDATE test SET value = 10 WHERE id = 1
            1 COMMIT
            2 COMMIT""",
        all_committed,
        unlocked=(),
    ),
    "G-single read skew": Anomaly(
        (RC,),
        f"""1 {READ} WHERE id = 1
            2 {READ}
            2 UPDATE test SET value = 12 WHERE id = 1
            2 UPDATE test SET value = 18 WHERE id = 2
            2 COMMIT
            1 {READ} WHERE id = 2
            1 COMMIT""",
        lambda outcomes, final: values(outcomes[5]) == {2: 18},
    ),
    "G-single, on predicates": Anomaly(
        (RC,),
        f"""1 {READ} WHERE value % 5 = 0
            2 UPDATE test SET value = 12 WHERE value = 10
            2 COMMIT
            1 {READ} WHERE value % 3 = 0
            1 COMMIT""",
        lambda outcomes, final: values(outcomes[3]) != {},
    ),
    "G-single, of a write": Anomaly(
        (RC,),
        f"""1 {READ} WHERE id = 1
            2 {READ}
            2 UPDATE test SET value = 12 WHERE id = 1
            2 UPDATE test SET value = 18 WHERE id = 2
            2 COMMIT
            1 DELETE FROM test WHERE value = 20
            1 COMMIT""",
        all_committed,
    ),
    "P3 phantom": Anomaly(
        (RC,),
        f"""1 {READ} WHERE value > 15
            2 INSERT INTO test VALUES (3, 30)
            2 COMMIT
            1 {READ} WHERE value > 15
            1 COMMIT""",
        lambda outcomes, final: len(outcomes[0].rows) != len(outcomes[3].rows),
    ),
    "G2-item write skew": Anomaly(
        (RC, SI),
        f"""1 {READ} WHERE id IN (1, 2)
            2 {READ} WHERE id IN (1, 2)
            1 UPDATE test SET value = 11 WHERE id = 1
            2 UPDATE test SET value = 21 WHERE id = 2
            1 COMMIT
            2 COMMIT""",
        all_committed,
    ),
    "G2 write skew on predicates": Anomaly(
        (RC, SI),
        f"""1 {READ} WHERE value % 3 = 0
            2 {READ} WHERE value % 3 = 0
            1 INSERT INTO test VALUES (3, 30)
            2 INSERT INTO test VALUES (4, 42)
            1 COMMIT
            2 COMMIT""",
        all_committed,
    ),
    "G2, one of three only reads": Anomaly(
        (RC, SI),
        f"""1 {READ}
            2 UPDATE test SET value = value + 5 WHERE id = 2
            2 COMMIT
            3 {READ}
            3 COMMIT
            1 UPDATE test SET value = 0 WHERE id = 1
            1 COMMIT""",
        all_committed,
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("zeo"))
    yield found
    found.kill()


def drop_tables(connection: zodbapi.Connection) -> None:
    """Leaves nothing to the next test on the same server."""
    connection.execute("PRAGMA foreign_keys = OFF")
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        connection.execute(f"DROP TABLE {name}")
    connection.execute("PRAGMA foreign_keys = ON")


class Place:
    """Where the database is, and where its sessions run: in threads, or in the processes ``remote``."""

    def __init__(self, dsn: str, remote: list[RemoteRunner], *, local: bool) -> None:
        self.dsn = dsn
        self.local = local
        self.keeper = zodbapi.connect(dsn, autocommit=True)  # a database in memory lives as long as it is open
        self._remote = remote

    def play(self, level: str, script: str) -> Outcomes:
        """The outcomes of a script's statements, in the order in which they begin."""
        steps = re.findall(r"^\s*(\d) (.+)$", script, re.MULTILINE)
        numbers = sorted({int(number) for number, _ in steps})
        runners: list[Runner | RemoteRunner] = []
        for number in numbers:
            if self._remote:
                self._remote[number - 1].open(self.dsn, level)
                runners.append(self._remote[number - 1])
            else:
                runners.append(Runner(self.dsn, level))
        sessions = Sessions(runners, local=self.local)
        try:
            for number in numbers:
                sessions.start(number, "BEGIN")
            futures: list[Future[Outcome]] = [sessions.start(int(number), sql.strip()) for number, sql in steps]
            return [future.result(60) for future in futures]
        finally:
            sessions.close()


@pytest.fixture(scope="module")
def processes() -> Iterator[list[RemoteRunner]]:
    found = [RemoteRunner() for _ in range(3)]
    yield found
    for runner in found:
        runner.end()


@pytest.fixture(params=["memory", "file", "processes", "zeo"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    match request.param:
        case "memory":
            found = Place(f"memory://anomalies{next(_names)}", [], local=True)
        case "zeo":
            server = request.getfixturevalue("server")
            found = Place(server.dsn(), request.getfixturevalue("processes"), local=False)
            drop_tables(found.keeper)
        case name:
            remote = request.getfixturevalue("processes") if name == "processes" else []
            found = Place(str(tmp_path / "db.fs"), remote, local=True)
    yield found
    assert found.keeper.check() == []
    found.keeper.close()


@pytest.mark.parametrize("level", [RC, SI, SER])
@pytest.mark.parametrize("name", ANOMALIES)
def test_anomaly(place: Place, level: str, name: str) -> None:
    anomaly = ANOMALIES[name]
    place.keeper.executescript(
        "CREATE TABLE test (id INTEGER PRIMARY KEY, value INTEGER); INSERT INTO test VALUES (1, 10), (2, 20)"
    )
    outcomes = place.play(level, anomaly.script)
    final = dict(place.keeper.execute("SELECT id, value FROM test").fetchall())
    allowed = anomaly.allowed if place.local or anomaly.unlocked is None else anomaly.unlocked
    assert anomaly.happened(outcomes, final) == (level in allowed), (outcomes, final)
    for outcome in outcomes:
        assert outcome.error in ("", "aborted") or "retry the transaction" in outcome.message, outcome


def test_the_table_of_the_readme() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    section = readme.partition("\n## Isolation\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    told = {
        row[0].split()[0]: {level for level, cell in zip(rows[0][1:], row[1:], strict=True) if cell == "possible"}
        for row in rows[2:]
    }
    played: dict[str, set[str]] = {}
    for name, anomaly in ANOMALIES.items():
        played.setdefault(re.split("[ ,]", name)[0], set()).update(anomaly.allowed)
    assert rows[0][1:] == [RC, SI, SER]
    assert told == played
