"""Transactions of one process: snapshot, undo, savepoints, checks, locks, ids."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ZEO.Exceptions import ClientDisconnected
from ZODB import POSException

from tests.storage_worker import TABLE, create, insert, problems, schema_of, until_done, update
from zodbapi import errors
from zodbapi.catalog import Table, View
from zodbapi.record import replace
from zodbapi.storage import ddl
from zodbapi.storage.database import Database
from zodbapi.storage.leaves import find_leaf
from zodbapi.storage.rowids import MAX_ROWID
from zodbapi.storage.stats import Stats
from zodbapi.storage.transaction import Transaction
from zodbapi.undo import PRESENT


@pytest.fixture(params=["memory", "file"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    dsn = ":memory:" if request.param == "memory" else str(tmp_path / "db.fs")
    found = Database.open(dsn, timeout=0.2)
    yield found
    txn = found.begin_session()
    txn.begin()
    assert problems(txn) == []
    txn.close()
    found.close()


@pytest.fixture
def txn(database: Database) -> Iterator[Transaction]:
    session = database.begin_session()
    yield session
    session.close()


@pytest.fixture
def other(database: Database) -> Iterator[Transaction]:
    session = database.begin_session()
    yield session
    session.close()


@pytest.fixture
def table(txn: Transaction) -> Table:
    return create(txn)


def words(txn: Transaction, table: Table) -> list[str]:
    """The words of the table, in a transaction of their own if there is none."""
    if txn.active:
        return [row[1] for row in txn.rows(table.id).values()]
    txn.begin()
    try:
        return words(txn, table)
    finally:
        txn.rollback()


# --- begin, commit, rollback --------------------------------------------------------------------------------------------


def test_committed_rows_are_seen_by_the_next_transaction_of_others(
    txn: Transaction, other: Transaction, table: Table
) -> None:
    other.begin()
    assert words(other, table) == []
    until_done(txn, lambda t: insert(t, table, "a"))
    assert words(other, table) == []
    other.commit()
    assert words(other, table) == ["a"]


def test_rollback_forgets_rows_and_the_next_transaction_goes_on(txn: Transaction, table: Table) -> None:
    txn.begin()
    insert(txn, table, "a")
    txn.rollback()
    assert words(txn, table) == []
    until_done(txn, lambda t: insert(t, table, "b"))
    assert words(txn, table) == ["b"]


def test_begin_twice(txn: Transaction) -> None:
    txn.begin()
    with pytest.raises(errors.OperationalError, match="cannot start a transaction within a transaction"):
        txn.begin()


def test_ending_no_transaction_does_nothing(txn: Transaction) -> None:
    txn.commit()
    txn.rollback()
    assert not txn.active


def test_a_writer_that_changed_nothing_lets_others_write(txn: Transaction, other: Transaction) -> None:
    """Also where the first write of the database would have made its entry of the root."""
    txn.begin(write=True)
    txn.stop_writing()
    create(other)
    assert txn.active
    with txn.statement():
        assert list(txn.schema.tables) == ["t"]
    txn.rollback()
    assert list(schema_of(txn)) == ["t"]


def test_a_snapshot_is_kept_while_nothing_is_committed(txn: Transaction, table: Table) -> None:
    words(txn, table)
    seen = txn._seen
    words(txn, table)
    assert txn._seen is seen


# --- conflicts and locks --------------------------------------------------------------------------------------------------


def test_two_changes_of_a_row_that_both_read_conflict(txn: Transaction, other: Transaction, table: Table) -> None:
    until_done(txn, lambda t: insert(t, table, "a"))
    other.begin()
    assert words(other, table) == ["a"]
    until_done(txn, lambda t: update(t, table, 1, "b"))
    update(other, table, 1, "c")
    with pytest.raises(errors.ConflictError, match="retry"):
        other.commit()
    assert not other.active
    assert words(other, table) == ["b"]


def test_changes_of_different_rows_merge(txn: Transaction, other: Transaction, table: Table) -> None:
    until_done(txn, lambda t: [insert(t, table, word) for word in "ab"])
    other.begin()
    words(other, table)
    until_done(txn, lambda t: update(t, table, 1, "A"))
    update(other, table, 2, "B")
    other.commit()
    assert words(txn, table) == ["A", "B"]


def test_a_writer_that_read_nothing_gets_the_newest_snapshot(
    txn: Transaction, other: Transaction, table: Table
) -> None:
    other.begin()
    until_done(txn, lambda t: insert(t, table, "a"))
    assert other.start_writing()
    assert insert(other, table, "b") == 2
    other.commit()
    assert words(txn, table) == ["a", "b"]


def test_a_unique_key_taken_meanwhile_conflicts(txn: Transaction, other: Transaction, table: Table) -> None:
    until_done(txn, lambda t: insert(t, table, "x"))
    other.begin()
    words(other, table)
    until_done(txn, lambda t: insert(t, table, "a", 10))
    insert(other, table, "a", 20)
    with pytest.raises(errors.ConflictError):
        other.commit()


def test_second_writer_waits_and_then_gives_up(txn: Transaction, other: Transaction) -> None:
    txn.begin(write=True)
    other.begin()
    with pytest.raises(errors.OperationalError, match=r"^database is locked$"):
        other.start_writing()
    assert other.active
    other.rollback()
    with pytest.raises(errors.OperationalError, match=r"^database is locked$"):
        other.begin(write=True)
    assert not other.active
    txn.rollback()
    other.begin(write=True)
    other.rollback()


def test_read_current_makes_a_change_of_what_was_read_conflict(
    txn: Transaction, other: Transaction, table: Table
) -> None:
    until_done(txn, lambda t: [insert(t, table, str(n), n) for n in range(1, 400)])
    for changed, conflicts in ((7, True), (390, False)):
        other.begin()
        other.read_current(other.rows(table.id), 8)
        until_done(txn, lambda t, changed=changed: update(t, table, changed, f"x{t.mark()}{changed}"))
        update(other, table, 200, f"y{changed}")
        if conflicts:
            with pytest.raises(errors.ConflictError):
                other.commit()
        else:
            other.commit()


@pytest.mark.parametrize("size", [1, 50, 400])
@pytest.mark.parametrize("place", ["low", "between", "high", "beyond"])
def test_read_current_of_a_range(txn: Transaction, other: Transaction, size: int, place: str) -> None:
    """Both insert into the range that the second one has read as empty; nothing is merged."""
    table = create(txn, replace(TABLE, name="bare", indexes=()))
    until_done(
        txn, lambda t: t.start_writing() or t.rows(table.id).update({n * 100: (n * 100, f"{n}") for n in range(size)})
    )
    low, high = size * 50 + 1, size * 50 + 1999
    rowid = {"low": low, "between": low + 500, "high": high, "beyond": 100_000}[place]
    other.begin()
    other.read_current(other.rows(table.id), low, high)
    until_done(txn, lambda t: t.put(t.rows(table.id), rowid, (rowid, "theirs")) if t.start_writing() or True else None)
    with other.statement():
        other.put(other.rows(table.id), low + 1, (low + 1, "ours"))
    if place == "beyond" and size == 400:
        other.commit()
    else:
        with pytest.raises(errors.ConflictError):
            other.commit()


def test_read_current_costs_nothing_when_nobody_else_can_commit(txn: Transaction, table: Table) -> None:
    txn.begin(write=True)
    assert txn.alone
    txn.read_current(txn.rows(table.id), 1)
    assert not txn._connection.unmerged
    txn.rollback()
    assert not txn.alone


@pytest.mark.parametrize("size", [0, 1, 29, 31, 400, 5000])
def test_find_leaf(size: int) -> None:
    tree = ddl.LOBTree({n * 10: (n,) for n in range(size)})
    for key in (-1, 0, 5, size * 5, size * 10 - 10, size * 10 + 7):
        leaf = find_leaf(tree, key)
        if size <= 30:
            assert leaf is tree or len(leaf) == len(tree)
        elif key in tree:
            assert key in leaf
        else:
            below = tree.maxKey(key) if key >= 0 else tree.minKey()
            assert below in leaf


@pytest.mark.parametrize("lock", [True, False])
def test_threads(database: Database, table: Table, lock: bool) -> None:
    """Each thread inserts; with the lock held from the first write nothing conflicts."""
    retries: list[int] = []

    def work(number: int) -> None:
        session = database.begin_session()
        for n in range(40):

            def step(t: Transaction, n: int = n) -> None:
                if lock:
                    t.start_writing()
                else:
                    t.rows(table.id).get(1)
                insert(t, table, f"{number} {n}")

            retries.append(until_done(session, step) - 1)
        session.close()

    database.timeout = 30.0
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session = database.begin_session()
    assert len(words(session, table)) == 160
    session.close()
    if lock:
        assert sum(retries) == 0


# --- undo and savepoints ----------------------------------------------------------------------------------------------------


def test_a_failing_statement_leaves_nothing(txn: Transaction, table: Table) -> None:
    txn.begin()
    insert(txn, table, "a")
    with pytest.raises(errors.IntegrityError), txn.statement():
        insert(txn, table, "b")
        txn.last_rowid = 99
        insert(txn, table, "a")
    assert txn.last_rowid == 0
    assert words(txn, table) == ["a"]
    txn.commit()
    assert words(txn, table) == ["a"]


SCRIPTS = [
    ("a <x b <y c /x", "a b c"),
    ("a <x b >x c", "a c"),
    ("a <x b <y c >y d >x", "a"),
    ("a <x b <y c >x d >x e", "a e"),
    ("a <x b <x c >x d", "a b d"),
    ("a <x b <x c >x /x >x d", "a d"),
    ("<x a /x b <x c >X", "a b"),
    ("a <x >x >x b", "a b"),
    ("a <x b <y c /x >y", "no such savepoint: y"),
    ("a >x", "no such savepoint: x"),
    ("a <x b /x /x", "no such savepoint: x"),
    ("a <x b >x /x >x", "no such savepoint: x"),
]


@pytest.mark.parametrize(("script", "outcome"), SCRIPTS)
def test_savepoints(txn: Transaction, table: Table, script: str, outcome: str) -> None:
    """A letter inserts, ``<x`` sets a savepoint, ``>x`` goes back to it, ``/x`` releases it."""
    txn.begin()
    try:
        for word in script.split():
            match word[0], word[1:]:
                case "<", name:
                    txn.savepoint(name)
                case ">", name:
                    txn.rollback_to(name)
                case "/", name:
                    txn.release(name)
                case _:
                    insert(txn, table, word)
    except errors.OperationalError as error:
        assert str(error) == outcome
        txn.rollback()
        return
    assert words(txn, table) == outcome.split()
    assert problems(txn) == []
    txn.commit()
    assert words(txn, table) == outcome.split()


def test_undo_of_deletes_and_set_entries(txn: Transaction, table: Table) -> None:
    until_done(txn, lambda t: insert(t, table, "a"))
    txn.begin()
    with pytest.raises(ZeroDivisionError), txn.statement():
        txn.drop(txn.rows(table.id), 1)
        txn.drop(txn.index(table.indexes[0].id), "a")
        txn.undo.append((txn.index(table.indexes[1].id), ("a", 1), PRESENT))
        txn.index(table.indexes[1].id).remove(("a", 1))
        raise ZeroDivisionError
    assert problems(txn) == []
    assert words(txn, table) == ["a"]


# --- checks that are put off ------------------------------------------------------------------------------------------------


def refuse_odd(_txn: Transaction, key: int) -> None:
    if key % 2:
        raise errors.IntegrityError(f"odd: {key}")


def test_a_failing_deferred_check_leaves_the_transaction_open(txn: Transaction, table: Table) -> None:
    txn.begin()
    insert(txn, table, "a")
    txn.pending[refuse_odd] = {2, 3}
    with pytest.raises(errors.IntegrityError, match="odd: 3"):
        txn.commit()
    assert txn.active
    txn.pending[refuse_odd].discard(3)
    txn.commit()
    assert words(txn, table) == ["a"]


def test_a_failing_immediate_check_undoes_the_statement(txn: Transaction, table: Table) -> None:
    txn.begin()
    with pytest.raises(errors.IntegrityError), txn.statement():
        insert(txn, table, "a")
        txn.immediate[refuse_odd] = {1}
        txn.run_immediate()
    assert not txn.immediate
    assert words(txn, table) == []


# --- rowids -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rowids", "following"), [([], 1), ([5], 6), ([-5], -4), ([0], 1), ([1, MAX_ROWID - 1], MAX_ROWID)]
)
def test_next_rowid(txn: Transaction, table: Table, rowids: list[int], following: int) -> None:
    txn.begin()
    for rowid in rowids:
        insert(txn, table, f"word {rowid}", rowid)
    assert txn.next_rowid(table.id, False) == following


def test_next_rowid_after_the_largest_is_a_free_one(txn: Transaction, table: Table) -> None:
    txn.begin()
    insert(txn, table, "a", MAX_ROWID)
    assert 0 < txn.next_rowid(table.id, False) < MAX_ROWID


def delete(txn: Transaction, table: Table, rowid: int) -> None:
    """Delete a row, as generated code does it for a table with AUTOINCREMENT."""
    with txn.statement():
        word = txn.rows(table.id)[rowid][1]
        txn.drop(txn.rows(table.id), rowid)
        txn.free_rowid(table.id, rowid)
        txn.drop(txn.index(table.indexes[0].id), word)
        txn.undo.append((txn.index(table.indexes[1].id), (word, rowid), PRESENT))
        txn.index(table.indexes[1].id).remove((word, rowid))


def test_autoincrement_goes_on_after_deleted_rows_and_given_rowids(txn: Transaction, other: Transaction) -> None:
    table = create(txn, replace(TABLE, autoincrement=True))
    txn.begin(write=True)
    assert [insert(txn, table, word) for word in "abc"] == [1, 2, 3]
    delete(txn, table, 2)
    delete(txn, table, 3)
    txn.commit()
    txn.begin(write=True)
    assert insert(txn, table, "d") == 4
    insert(txn, table, "e", 100)
    mark = txn.mark()
    delete(txn, table, 100)
    assert txn.next_rowid(table.id, True) == 101
    txn.undo_to(mark)
    delete(txn, table, 4)
    assert txn.next_rowid(table.id, True) == 101
    delete(txn, table, 100)
    txn.commit()
    other.begin()
    assert insert(other, table, "f") == 101
    insert(other, table, "g", MAX_ROWID)
    delete(other, table, MAX_ROWID)
    with pytest.raises(errors.OperationalError, match="database or disk is full"):
        other.next_rowid(table.id, True)


def test_an_insert_changes_nothing_but_its_row(txn: Transaction) -> None:
    table = create(txn, replace(TABLE, autoincrement=True))
    txn.begin()
    insert(txn, table, "a")
    assert not txn.entry["sequences"]
    txn.rollback()


@pytest.mark.parametrize("autoincrement", [False, True])
def test_overlapping_transactions_that_have_read_take_different_rowids(
    txn: Transaction, other: Transaction, autoincrement: bool
) -> None:
    table = create(txn, replace(TABLE, autoincrement=autoincrement))
    until_done(txn, lambda t: insert(t, table, "a"))
    other.begin()
    assert words(other, table) == ["a"]
    until_done(txn, lambda t: insert(t, table, "b"))
    assert insert(other, table, "c") == 3
    assert insert(other, table, "d") == 4
    other.commit()
    assert words(txn, table) == ["a", "b", "c", "d"]


# --- schema -----------------------------------------------------------------------------------------------------------------


def test_a_schema_is_seen_by_others_when_it_is_committed(txn: Transaction, other: Transaction) -> None:
    other.begin()
    txn.begin()
    with txn.statement():
        table = ddl.number(txn, TABLE)
        ddl.set_schema(txn, txn.schema.with_table(table).with_view(View("v", (), "SELECT 1")))
    insert(txn, table, "a")
    assert other.schema.tables == {}
    txn.commit()
    assert other.schema.tables == {}
    other.rollback()
    other.begin()
    assert other.schema == txn.schema
    assert other.schema.version == txn.schema.version
    assert words(other, table) == ["a"]


def test_a_schema_is_rolled_back_with_its_trees(txn: Transaction, table: Table) -> None:
    before = txn.schema
    txn.begin()
    insert(txn, table, "a")
    txn.savepoint("s")
    with txn.statement():
        second = ddl.number(txn, replace(TABLE, name="u"))
        ddl.set_schema(txn, txn.schema.with_table(second).without_table("t"))
    insert(txn, second, "b")
    assert list(txn.schema.tables) == ["u"]
    txn.rollback_to("s")
    assert txn.schema == before
    assert words(txn, table) == ["a"]
    with pytest.raises(KeyError):
        txn.rows(second.id)
    txn.commit()
    assert words(txn, table) == ["a"]


def test_ids_of_dropped_tables_are_not_used_again(txn: Transaction, table: Table) -> None:
    txn.begin()
    with txn.statement():
        ddl.set_schema(txn, txn.schema.without_table("t"))
    txn.commit()
    again = create(txn)
    assert {again.id, *(index.id for index in again.indexes)}.isdisjoint(
        {table.id, *(index.id for index in table.indexes)}
    )


def test_renaming_keeps_the_rows(txn: Transaction, other: Transaction, table: Table) -> None:
    until_done(txn, lambda t: insert(t, table, "a"))
    txn.begin()
    with txn.statement():
        ddl.set_schema(txn, txn.schema.with_table(replace(table, name="Other"), instead_of="t"))
    txn.commit()
    assert words(other, table) == ["a"]
    assert list(schema_of(other)) == ["other"]


def test_concurrent_schema_changes_conflict(txn: Transaction, other: Transaction, table: Table) -> None:
    other.begin()
    words(other, table)
    txn.begin()
    with txn.statement():
        ddl.set_schema(txn, txn.schema.with_view(View("v", (), "SELECT 1")))
    txn.commit()
    with other.statement():
        ddl.set_schema(other, other.schema.with_view(View("w", (), "SELECT 2")))
    with pytest.raises(errors.ConflictError):
        other.commit()
    other.begin()
    assert list(other.schema.views) == ["v"]


def test_clear_rows_is_undone(txn: Transaction, table: Table) -> None:
    until_done(txn, lambda t: insert(t, table, "a"))
    txn.begin()
    with pytest.raises(ZeroDivisionError), txn.statement():
        ddl.clear_rows(txn, table)
        assert words(txn, table) == []
        raise ZeroDivisionError
    assert words(txn, table) == ["a"]
    with txn.statement():
        ddl.clear_rows(txn, table)
    txn.rollback()
    assert words(txn, table) == ["a"]


# --- errors of the storage --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "expected", "message"),
    [
        (POSException.POSKeyError(b"12345678"), errors.OperationalError, "^database disk image is malformed"),
        (POSException.ReadConflictError("packed"), errors.ConflictError, "retry"),
        (ClientDisconnected("gone"), errors.OperationalError, "^server closed the connection: gone"),
        (OSError(5, "Input/output error"), errors.OperationalError, "^disk I/O error"),
    ],
)
def test_reading_a_tree_raises_errors_of_ours(
    txn: Transaction, table: Table, monkeypatch: pytest.MonkeyPatch, cause: Exception, expected: Any, message: str
) -> None:
    until_done(txn, lambda t: [insert(t, table, str(n)) for n in range(100)])
    txn._connection.cacheMinimize()
    txn.begin()

    def fail(_oid: bytes) -> None:
        raise cause

    rows = txn.rows(table.id)
    monkeypatch.setattr(txn._mvcc, "load", fail)
    for read in (lambda: rows.get(7), lambda: rows[7], lambda: list(rows.items()), lambda: 7 in rows):
        with pytest.raises(expected, match=message) as caught:
            read()
        assert caught.value.__cause__ is cause
    monkeypatch.undo()
    txn.rollback()


# --- estimates ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 1000, 10**12])
@pytest.mark.parametrize("size", [0, 1, 50, 1000, 20_000])
def test_row_count(size: int, step: int) -> None:
    database = Database.open(":memory:")
    session = database.begin_session()
    table = create(session, replace(TABLE, indexes=()))
    session.begin(write=True)
    session.rows(table.id).update({n * step: (n * step, "") for n in range(size)})
    session.commit()
    session.begin()
    count = Stats(session).row_count(table.id)
    if step == 1 or size <= 1:
        assert count in (size, pytest.approx(size, rel=0.2))
    else:
        assert count == pytest.approx(size, rel=0.5)
    session.close()
    database.close()
