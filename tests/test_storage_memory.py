"""The storage of databases in memory keeps what can still be read, and no more."""

from __future__ import annotations

import pytest

from tests.storage_worker import create, until_done, update
from zodbapi.storage.database import Database
from zodbapi.storage.memory import Revision, needed


def revisions(tids: str) -> tuple[Revision, ...]:
    return tuple((tid.encode(), b"data") for tid in tids)


@pytest.mark.parametrize(
    ("tids", "oldest", "replaced", "left"),
    [
        ("", "5", None, ""),
        ("3", "5", None, "3"),
        ("3", "5", "4", ""),
        ("3", "4", "4", "3"),
        ("123", "5", None, "3"),
        ("123", "3", None, "23"),
        ("123", "2", None, "123"),
        ("123", "1", None, "123"),
    ],
)
def test_needed(tids: str, oldest: str, replaced: str | None, left: str) -> None:
    assert needed(revisions(tids), oldest.encode(), replaced.encode() if replaced else None) == revisions(left)


def test_old_revisions_go_and_open_snapshots_stay() -> None:
    database = Database.open(":memory:")
    writer, reader = database.begin_session(), database.begin_session()
    table = create(writer)
    writer.begin(write=True)
    writer.rows(table.id)[1] = (1, 0)
    writer.commit()
    for step in range(20):
        until_done(writer, lambda t, step=step: update(t, table, 1, step))
    assert max(map(len, database.storage._revisions.values())) <= 2
    reader.begin()
    for step in range(20):
        until_done(writer, lambda t, step=step: update(t, table, 1, step + 100))
    assert reader.rows(table.id)[1] == (1, 19)
    reader.rollback()
    until_done(writer, lambda t: update(t, table, 1, 7))
    assert max(map(len, database.storage._revisions.values())) <= 2
    writer.close()
    reader.close()
    database.close()


def test_pack_removes_what_nothing_refers_to() -> None:
    database = Database.open(":memory:")
    txn = database.begin_session()
    table = create(txn)
    txn.begin(write=True)
    txn.rows(table.id).update({n: (n, "x") for n in range(1000)})
    txn.commit()
    before = len(database.storage)
    txn.begin(write=True)
    txn.rows(table.id).clear()
    txn.commit()
    database.pack()
    assert len(database.storage) < before / 3
    txn.begin()
    assert len(txn.rows(table.id)) == 0
    txn.close()
    database.close()
