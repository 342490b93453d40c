"""Transactions in two phases, with other resources, and at the serializable level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import transaction

from tests.storage_worker import create, insert, until_done, update
from zodbapi import errors
from zodbapi.catalog import Table
from zodbapi.storage.database import Database
from zodbapi.storage.transaction import Transaction


@pytest.fixture
def database() -> Iterator[Database]:
    found = Database.open(":memory:", timeout=0.2)
    yield found
    found.close()


@pytest.fixture
def other(database: Database) -> Iterator[Transaction]:
    session = database.begin_session()
    yield session
    session.close()


@pytest.fixture
def table(other: Transaction) -> Table:
    return create(other)


@pytest.fixture(params=[True, False], ids=["explicit", "implicit"])
def manager(request: pytest.FixtureRequest) -> transaction.TransactionManager:
    return transaction.TransactionManager(explicit=request.param)


@pytest.fixture
def txn(database: Database, manager: transaction.TransactionManager) -> Iterator[Transaction]:
    session = database.begin_session(manager)
    yield session
    session.close()


class Resource:
    """Something else that commits, or refuses to."""

    def __init__(self, manager: Any, *, refuses: bool = False) -> None:
        self.transaction_manager = manager
        self.refuses = refuses
        self.calls: list[str] = []
        manager.get().join(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("tpc_") or name in ("abort", "commit"):

            def called(_transaction: Any) -> None:
                self.calls.append(name)
                if name == "tpc_vote" and self.refuses:
                    raise ValueError("no")

            return called
        raise AttributeError(name)

    def sortKey(self) -> str:
        return "~"


def words(txn: Transaction, table: Table) -> list[str]:
    txn.begin()
    found = [row[1] for row in txn.rows(table.id).values()]
    txn.rollback()
    return found


def test_the_managers_commit_commits(
    txn: Transaction, other: Transaction, table: Table, manager: transaction.TransactionManager
) -> None:
    manager.begin()
    txn.begin()
    insert(txn, table, "a")
    resource = Resource(manager)
    manager.commit()
    assert not txn.active
    assert not txn.writing
    assert resource.calls[-1] == "tpc_finish"
    assert words(other, table) == ["a"]


def test_our_commit_commits_the_others(
    txn: Transaction, other: Transaction, table: Table, manager: transaction.TransactionManager
) -> None:
    txn.begin()
    resource = Resource(manager)
    insert(txn, table, "a")
    txn.commit()
    assert resource.calls[-1] == "tpc_finish"
    assert words(other, table) == ["a"]
    txn.begin()
    assert [row[1] for row in txn.rows(table.id).values()] == ["a"]


def test_another_resource_refuses(
    txn: Transaction, other: Transaction, table: Table, manager: transaction.TransactionManager
) -> None:
    txn.begin()
    insert(txn, table, "a")
    Resource(manager, refuses=True)
    with pytest.raises(ValueError, match="no"):
        txn.commit()
    assert not txn.active
    manager.abort()
    assert words(other, table) == []
    until_done(txn, lambda t: insert(t, table, "b"))
    assert words(other, table) == ["b"]


def test_the_managers_abort_rolls_back(
    txn: Transaction, other: Transaction, table: Table, manager: transaction.TransactionManager
) -> None:
    txn.begin()
    insert(txn, table, "a")
    manager.abort()
    assert not txn.active
    assert words(other, table) == []


def test_reads_share_the_managers_snapshot(
    txn: Transaction, other: Transaction, table: Table, manager: transaction.TransactionManager
) -> None:
    txn.begin()
    assert len(txn.rows(table.id)) == 0
    until_done(other, lambda t: insert(t, table, "a"))
    txn.rollback()  # of a statement that only read
    assert txn.active
    assert len(txn.rows(table.id)) == 0
    manager.abort()
    txn.begin()
    assert len(txn.rows(table.id)) == 1


def test_deferred_checks_run_in_the_managers_commit(
    txn: Transaction, table: Table, manager: transaction.TransactionManager
) -> None:
    def refuse(_txn: Transaction, _key: Any) -> None:
        raise errors.IntegrityError("refused")

    txn.begin()
    insert(txn, table, "a")
    txn.pending[refuse] = {1}
    with pytest.raises(errors.IntegrityError, match="refused"):
        manager.commit()
    assert txn.active
    txn.pending.clear()
    manager.commit()


# --- two phases by hand -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["commit", "rollback"])
def test_prepare(database: Database, other: Transaction, table: Table, outcome: str) -> None:
    txn = database.begin_session()
    txn.begin()
    insert(txn, table, "a")
    txn.prepare()
    assert txn.prepared
    assert words(other, table) == []
    getattr(txn, outcome)()
    assert not txn.prepared
    assert words(other, table) == (["a"] if outcome == "commit" else [])
    until_done(txn, lambda t: insert(t, table, "b"))
    until_done(other, lambda t: insert(t, table, "c"))
    txn.close()


def test_prepare_finds_the_conflict(database: Database, other: Transaction, table: Table) -> None:
    until_done(other, lambda t: insert(t, table, "a"))
    txn = database.begin_session()
    txn.begin()
    len(txn.rows(table.id))
    until_done(other, lambda t: update(t, table, 1, "b"))
    update(txn, table, 1, "c")
    with pytest.raises(errors.ConflictError):
        txn.prepare()
    assert not txn.active
    until_done(other, lambda t: update(t, table, 1, "d"))
    txn.close()


# --- serializable -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("serializable", [True, False])
@pytest.mark.parametrize("local", [True, False])
def test_write_skew(database: Database, serializable: bool, local: bool) -> None:
    """Both read both rows, each changes another: at the serializable level the second one fails."""
    session = database.begin_session()
    table = create(session)
    session.begin(write=True)
    session.rows(table.id).update({1: (1, "1"), 200: (200, "200")})
    session.commit()
    session.close()
    database.local, database._write_lock = local, database._write_lock if local else None
    first, second = database.begin_session(), database.begin_session()
    for txn in (first, second):
        txn.serializable = serializable
        txn.begin()
        assert [row[1] for row in txn.rows(table.id).values()] == ["1", "200"]

    def work(txn: Transaction, rowid: int) -> None:
        update(txn, table, rowid, f"changed {rowid}")
        txn.commit()

    work(first, 1)
    if serializable:
        with pytest.raises(errors.ConflictError):
            work(second, 200)
        second.rollback()
        until_done(second, lambda t: update(t, table, 200, "again"))
    else:
        work(second, 200)
    first.close()
    second.close()


@pytest.mark.parametrize("local", [True, False])
def test_a_phantom(database: Database, table: Table, local: bool) -> None:
    database.local, database._write_lock = local, database._write_lock if local else None
    first, second = database.begin_session(), database.begin_session()
    for txn in (first, second):
        txn.serializable = True
        txn.begin()
        assert len(txn.rows(table.id)) == 0
    for txn, word in ((first, "a"), (second, "b")):
        try:
            insert(txn, table, word)
            txn.commit()
        except errors.ConflictError:
            txn.rollback()
    assert words(first, table) == ["a"]
    first.close()
    second.close()
