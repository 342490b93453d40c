"""A process that works on one database file, for the tests of the storage; run as ``python -m tests.storage_worker``.

In: path, number of the worker, what to do, for how many seconds at least. Out: a line for each commit, once it is acknowledged.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from zodbapi import errors
from zodbapi.catalog import INTEGER, TEXT, Column, Index, IndexColumn, Table
from zodbapi.functions import BUILTIN
from zodbapi.integrity import find_orphans, find_problems
from zodbapi.statement import Compiler, complete
from zodbapi.storage import ddl
from zodbapi.storage.database import Database
from zodbapi.storage.stats import Stats
from zodbapi.storage.transaction import Transaction
from zodbapi.undo import MISSING, PRESENT

ACCOUNTS = 20
AT_LEAST = 20  # commits of a worker that is not killed, however busy the machine is
START = 100

TABLE = Table(
    id=0,
    name="t",
    columns=(Column("id", INTEGER, not_null=True), Column("word", TEXT, not_null=True)),
    primary_key=(0,),
    rowid_column=0,
    indexes=(
        Index(0, "t_word", (IndexColumn(1),), unique=True),
        Index(0, "t_word2", (IndexColumn(1),)),
    ),
)


def create(txn: Transaction, table: Table = TABLE) -> Table:
    """Create the table in a transaction of its own."""
    txn.begin()
    with txn.statement():
        numbered = ddl.number(txn, table)
        ddl.set_schema(txn, txn.schema.with_table(numbered))
    txn.commit()
    return numbered


def insert(txn: Transaction, table: Table, word: str, rowid: int | None = None) -> int:
    """Insert a row and its index entries, as generated code does it; inside a transaction."""
    with txn.statement():
        unique, plain = (txn.index(index.id) for index in table.indexes)
        if word in unique:
            raise errors.IntegrityError("UNIQUE constraint failed: t.word")
        rows, undo = txn.rows(table.id), txn.undo
        if rowid is None:
            rowid = txn.next_rowid(table.id, table.autoincrement)
        undo.append((rows, rowid, rows.get(rowid, MISSING)))
        rows[rowid] = (rowid, word)
        undo.append((unique, word, MISSING))
        unique[word] = rowid
        undo.append((plain, (word, rowid), MISSING))
        plain.add((word, rowid))
    return rowid


def update(txn: Transaction, table: Table, rowid: int, value: Any) -> None:
    """Put another second column in a row, and move its index entries if it has some; inside a transaction."""
    with txn.statement():
        rows, undo = txn.rows(table.id), txn.undo
        old = rows[rowid][1]
        undo.append((rows, rowid, rows[rowid]))
        rows[rowid] = (rowid, value)
        unique, plain = (txn.index(index.id) for index in table.indexes)
        if (old, rowid) in plain:
            txn.drop(unique, old)
            undo.append((plain, (old, rowid), PRESENT))
            plain.remove((old, rowid))
            txn.put(unique, value, rowid)
            undo.append((plain, (value, rowid), MISSING))
            plain.add((value, rowid))


def until_done(txn: Transaction, work: Any) -> int:
    """Run ``work(txn)`` in transactions until one commits; how many tries it took."""
    tries = 0
    while True:
        tries += 1
        try:
            txn.begin()
            work(txn)
            txn.commit()
        except errors.ConflictError:
            txn.rollback()
        else:
            return tries


def main(path: str, number: int, task: str, seconds: float) -> None:
    database = Database.open(path)
    txn = database.begin_session()
    table = next(iter(schema_of(txn).values()))
    end = time.monotonic() + seconds
    done = 0
    while done < AT_LEAST or time.monotonic() < end:
        tries = until_done(txn, lambda t, step=done: TASKS[task](t, table, number, step))
        done += 1
        os.write(1, f"{number} {done} {tries}\n".encode())


def problems(txn: Transaction) -> list[str]:
    """What is wrong with the database, as the open transaction sees it."""
    compiler = Compiler(complete(BUILTIN), Stats(txn))
    return [*find_problems(txn, compiler), *map(str, find_orphans(txn, compiler))]


def schema_of(txn: Transaction) -> Any:
    txn.begin()
    try:
        return txn.schema.tables
    finally:
        txn.rollback()


def _count(txn: Transaction, table: Table, number: int, step: int) -> None:
    txn.start_writing()
    update(txn, table, 1, txn.rows(table.id)[1][1] + 1)


def _count_read_first(txn: Transaction, table: Table, number: int, step: int) -> None:
    value = txn.rows(table.id)[1][1]
    update(txn, table, 1, value + 1)


def _insert(txn: Transaction, table: Table, number: int, step: int) -> None:
    insert(txn, table, f"{os.getpid()}-{step}")


def _transfer(txn: Transaction, table: Table, number: int, step: int) -> None:
    rows = txn.rows(table.id)
    total = sum(row[1] for row in rows.values())
    assert total == ACCOUNTS * START, total
    source, target = (step * 7 + number) % ACCOUNTS + 1, (step * 3 + number * 5) % ACCOUNTS + 1
    if source != target:
        update(txn, table, source, rows[source][1] - 1)
        update(txn, table, target, rows[target][1] + 1)


TASKS = {"count": _count, "count_read_first": _count_read_first, "insert": _insert, "transfer": _transfer}

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
