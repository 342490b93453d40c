"""Constraints of two transactions that overlap in every way: whatever commits, the database is consistent afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pytest

from tests.test_anomalies import RC, SER, SI, Place, place, processes, server

__all__ = ["place", "processes", "server"]  # fixtures

SCHEMA = """
    CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT UNIQUE, low INTEGER, high INTEGER, CHECK (low + high <= 10));
    CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (id));
    CREATE TABLE late (id INTEGER PRIMARY KEY, code TEXT REFERENCES parent (code) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE leaf (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE INDEX leaf_parent ON leaf (parent);
    CREATE TABLE place (id INTEGER PRIMARY KEY, number INTEGER UNIQUE DEFERRABLE INITIALLY DEFERRED);
"""
RESET = """
    DELETE FROM child; DELETE FROM late; DELETE FROM leaf; DELETE FROM place; DELETE FROM parent;
    INSERT INTO parent VALUES (1, 'a', 0, 0), (2, 'b', 0, 0);
    INSERT INTO leaf VALUES (1, 1);
    INSERT INTO place VALUES (1, 1), (2, 2)
"""

# Two statements of which each alone is right, and what must not be true after both.
RACES = {
    "two inserts of a key": (
        "INSERT INTO parent VALUES (3, 'c', 0, 0)",
        "INSERT INTO parent VALUES (4, 'c', 0, 0)",
        "SELECT 1 FROM parent WHERE id = 3 AND EXISTS (SELECT 1 FROM parent WHERE id = 4)",
    ),
    "an insert and an update to a key": (
        "INSERT INTO parent VALUES (3, 'c', 0, 0)",
        "UPDATE parent SET code = 'c' WHERE id = 2",
        "SELECT 1 FROM parent WHERE code = 'c' GROUP BY code HAVING count(*) > 1",
    ),
    "two inserts of a rowid": (
        "INSERT INTO child VALUES (7, 1)",
        "INSERT INTO child VALUES (7, 2)",
        "SELECT 1 FROM child GROUP BY id HAVING count(*) > 1",
    ),
    "deferrable keys": (
        "INSERT INTO place VALUES (3, 3)",
        "UPDATE place SET number = number + 1",
        "SELECT 1 FROM place GROUP BY number HAVING count(*) > 1",
    ),
    "a parent goes, a child comes": (
        "DELETE FROM parent WHERE id = 2",
        "INSERT INTO child VALUES (1, 2)",
        "SELECT 1 FROM child WHERE parent NOT IN (SELECT id FROM parent)",
    ),
    "a parent's key changes, a child comes": (
        "UPDATE parent SET id = 9 WHERE id = 2",
        "INSERT INTO child VALUES (1, 2)",
        "SELECT 1 FROM child WHERE parent NOT IN (SELECT id FROM parent)",
    ),
    "a parent's code changes, a deferred child comes": (
        "UPDATE parent SET code = 'z' WHERE id = 2",
        "INSERT INTO late VALUES (1, 'b')",
        "SELECT 1 FROM late WHERE code NOT IN (SELECT code FROM parent)",
    ),
    "a parent goes with its children, a child comes": (
        "DELETE FROM parent WHERE id = 1",
        "INSERT INTO leaf VALUES (2, 1)",
        "SELECT 1 FROM leaf WHERE parent NOT IN (SELECT id FROM parent)",
    ),
    "a parent moves with its children, a child comes": (
        "UPDATE parent SET id = 9 WHERE id = 1",
        "INSERT INTO leaf VALUES (2, 1)",
        "SELECT 1 FROM leaf WHERE parent NOT IN (SELECT id FROM parent)",
    ),
    "a parent goes, a child moves to it": (
        "DELETE FROM parent WHERE id = 2",
        "UPDATE leaf SET parent = 2 WHERE id = 1",
        "SELECT 1 FROM leaf WHERE parent NOT IN (SELECT id FROM parent)",
    ),
    "two columns of a CHECK": (
        "UPDATE parent SET low = 6 WHERE id = 1",
        "UPDATE parent SET high = 6 WHERE id = 1",
        "SELECT 1 FROM parent WHERE low + high > 10",
    ),
}


def interleavings(first: list[str], second: list[str]) -> Iterator[str]:
    """All scripts that run the statements of session 1 and of session 2 in their order."""
    total = len(first) + len(second)
    for places in combinations(range(total), len(first)):
        ours, theirs = iter(first), iter(second)
        yield "\n".join(f"1 {next(ours)}" if i in places else f"2 {next(theirs)}" for i in range(total))


@pytest.mark.parametrize("place", ["memory", "processes", "zeo"], indirect=True)
@pytest.mark.parametrize("level", [RC, SI, SER])
@pytest.mark.parametrize("race", RACES)
def test_race(place: Place, level: str, race: str) -> None:
    first, second, broken = RACES[race]
    place.keeper.executescript(SCHEMA)
    committed = set()
    read = "SELECT count(*) FROM parent"
    for script in interleavings([read, first, "COMMIT"], [read, second, "COMMIT"]):
        place.keeper.executescript(RESET)
        outcomes = place.play(level, script)
        assert place.keeper.execute(broken).fetchall() == [], script
        for outcome in outcomes:
            assert outcome.error in ("", "aborted", "IntegrityError") or "retry" in outcome.message, outcome
        committed.add(sum(outcome.error == "" for outcome in outcomes))
    assert min(committed) >= 4, "one of the two has committed"
