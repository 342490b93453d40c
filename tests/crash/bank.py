"""The transactions of the crash test, and what must hold after any number of them.

In: a connection, a source of random numbers, and the token of the transaction. Each transaction that changes something
leaves its token, in the journal or in the rows it writes, together with the numbers from which the final state follows.

========== ======================================================== ===================================================
what       transactions                                             what must hold
========== ======================================================== ===================================================
account    an amount moves from one to another                      the total is constant, each balance follows from the
                                                                    journal
word       insert one of a few hundred, or delete it                none twice, each is there as the journal says
parent     insert or delete; insert a child or pet, delete a child  no child without its parent, as many children as the
                                                                    journal says
part       several rows in one statement                            all of a batch are there or none
photo      insert, replace or delete a large value                  as many as the journal says, each as it was written
========== ======================================================== ===================================================
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import zodbapi

ACCOUNTS: Final = 20
START: Final = 1000
WORDS: Final = 300
PARENTS: Final = 40
PARTS: Final = 7
PHOTO: Final = 1_100_000  # bytes, at least: more than one object holds

SCHEMA = f"""
    CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0));
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, source, target, amount INTEGER
    );
    CREATE TABLE word (id INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT NOT NULL UNIQUE, length INTEGER);
    CREATE INDEX word_length ON word (length, word);
    CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE child (id INTEGER PRIMARY KEY AUTOINCREMENT, parent_id INTEGER NOT NULL REFERENCES parent (id));
    CREATE INDEX child_parent ON child (parent_id);
    CREATE TABLE pet (
        id INTEGER PRIMARY KEY AUTOINCREMENT, parent_id INTEGER NOT NULL REFERENCES parent (id) ON DELETE CASCADE
            DEFERRABLE INITIALLY DEFERRED
    );
    CREATE INDEX pet_parent ON pet (parent_id);
    CREATE TABLE part (id INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL, number INTEGER, UNIQUE (token, number));
    CREATE TABLE photo (id INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL, data BLOB NOT NULL);
    INSERT INTO account VALUES {", ".join(f"({n}, {START})" for n in range(1, ACCOUNTS + 1))};
"""

Act = Callable[[zodbapi.Connection, random.Random, str], None]


def note(
    connection: zodbapi.Connection, token: str, kind: str, source: Any = None, target: Any = None, amount: int = 0
) -> None:
    """Writes the transaction's line of the journal."""
    connection.execute("INSERT INTO journal VALUES (NULL, ?, ?, ?, ?, ?)", [token, kind, source, target, amount])


def transfer(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Moves an amount, by arithmetic in the database; a balance that would be negative is refused."""
    source, target = rng.sample(range(1, ACCOUNTS + 1), 2)
    amount = rng.randrange(1, START // 4)
    connection.execute("UPDATE account SET balance = balance + ? WHERE id = ?", [amount, target])
    connection.execute("UPDATE account SET balance = balance - ? WHERE id = ?", [amount, source])
    note(connection, token, "transfer", source, target, amount)


def transfer_read(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Moves an amount, by arithmetic on what was read; who reads two balances must not overwrite a third's change."""
    source, target = rng.sample(range(1, ACCOUNTS + 1), 2)
    connection.begin()
    lock = " FOR UPDATE" if connection.isolation_level == "READ COMMITTED" else ""
    query = f"SELECT id, balance FROM account WHERE id IN (?, ?){lock}"
    found = dict(connection.execute(query, [source, target]))
    amount = rng.randrange(0, found[source] + 1)
    for number, balance in ((source, found[source] - amount), (target, found[target] + amount)):
        connection.execute("UPDATE account SET balance = ? WHERE id = ?", [balance, number])
    note(connection, token, "transfer", source, target, amount)


def insert_word(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Inserts a word that may be there already, or is being inserted by another."""
    word = f"word {rng.randrange(WORDS)}"
    connection.execute("INSERT INTO word (word, length) VALUES (?, ?)", [word, rng.randrange(5)])
    note(connection, token, "word", word, amount=1)


def delete_word(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Deletes a word, if it is there."""
    word = f"word {rng.randrange(WORDS)}"
    deleted = connection.execute("DELETE FROM word WHERE word = ?", [word]).rowcount
    note(connection, token, "word", word, amount=-deleted)


def insert_child(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Inserts a child or a pet of a parent that may not exist, or is being deleted."""
    kind = rng.choice(["child", "pet"])
    parent = rng.randrange(PARENTS)
    connection.execute(f"INSERT INTO {kind} (parent_id) VALUES (?)", [parent])
    note(connection, token, kind, parent, amount=1)


def delete_child(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Deletes the children of a parent."""
    parent = rng.randrange(PARENTS)
    deleted = connection.execute("DELETE FROM child WHERE parent_id = ?", [parent]).rowcount
    note(connection, token, "child", parent, amount=-deleted)


def change_parent(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Deletes a parent, which fails while it has children and takes its pets with it; or makes one."""
    parent = rng.randrange(PARENTS)
    if rng.random() < 0.5:
        connection.execute("DELETE FROM parent WHERE id = ?", [parent])
    else:
        connection.execute("INSERT INTO parent VALUES (?, ?)", [parent, token])
    note(connection, token, "parent", parent)


def insert_parts(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Inserts a batch in one statement, which is the transaction."""
    rows = ", ".join("(?, ?)" for _ in range(PARTS))
    connection.autocommit = True
    try:
        numbers = range(PARTS)
        connection.execute(f"INSERT INTO part (token, number) VALUES {rows}", [v for n in numbers for v in (token, n)])
    finally:
        connection.autocommit = False


def delete_parts(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Deletes the oldest batch."""
    connection.begin("immediate")
    found = connection.execute("SELECT token FROM part ORDER BY id LIMIT 1").fetchone()
    if found is not None:
        deleted = connection.execute("DELETE FROM part WHERE token = ?", found).rowcount
        assert deleted == PARTS, f"a batch of {deleted} parts"
        note(connection, token, "deleted", found[0])


def photo_of(token: str) -> bytes:
    """A large value that tells whose it is, of another length for each transaction."""
    written = token.encode() + b"\n"
    return written * ((PHOTO + 1000 * len(token)) // len(written) + 1)


def insert_photo(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Inserts a large value."""
    connection.execute("INSERT INTO photo (token, data) VALUES (?, ?)", [token, photo_of(token)])
    note(connection, token, "photo", amount=1)


def change_photo(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Replaces the oldest photo, or deletes it."""
    connection.begin("immediate")
    found = connection.execute("SELECT id FROM photo ORDER BY id LIMIT 1").fetchone()
    if found is None:
        return note(connection, token, "photo")
    if rng.random() < 0.4:
        connection.execute("UPDATE photo SET token = ?, data = ? WHERE id = ?", [token, photo_of(token), *found])
        return note(connection, token, "photo")
    connection.execute("DELETE FROM photo WHERE id = ?", found)
    return note(connection, token, "photo", amount=-1)


def look_at_photo(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Reads one photo, while others replace and delete it, or pack."""
    connection.begin()
    found = connection.execute("SELECT token, data FROM photo ORDER BY id DESC LIMIT 1").fetchone()
    assert found is None or found[1] == photo_of(found[0]), f"the photo of {found[0]} is not what was written"


def look(connection: zodbapi.Connection, rng: random.Random, token: str) -> None:
    """Reads what must hold in every snapshot, while others write."""
    connection.begin()
    problems = list(seen_problems(connection))
    assert not problems, problems


ACTS: Final[dict[Act, int]] = {
    transfer: 6,
    transfer_read: 6,
    insert_word: 6,
    delete_word: 3,
    insert_child: 6,
    delete_child: 3,
    change_parent: 4,
    insert_parts: 3,
    delete_parts: 2,
    look: 2,
    insert_photo: 1,
    change_photo: 2,
    look_at_photo: 1,
}
READING: Final = ("-look", "-look_at_photo")  # how the tokens end of transactions that leave no trace


# --- what must hold -----------------------------------------------------------------------------------------------------


def seen_problems(connection: zodbapi.Connection) -> Iterator[str]:
    """What is wrong in any snapshot: totals, batches, orphans, doubles."""
    (total,) = connection.execute("SELECT sum(balance) FROM account").fetchone()
    if total != ACCOUNTS * START:
        yield f"the accounts have {total} instead of {ACCOUNTS * START}"
    for token, count in connection.execute(
        f"SELECT token, count(*) FROM part GROUP BY token HAVING count(*) <> {PARTS}"
    ):
        yield f"{count} parts of {token}"
    for kind in ("child", "pet"):
        orphans = f"SELECT {kind}.id FROM {kind} LEFT JOIN parent ON parent.id = parent_id WHERE parent.id IS NULL"
        for (number,) in connection.execute(orphans):
            yield f"{kind} {number} has no parent"
    for word, count in connection.execute("SELECT word, count(*) FROM word GROUP BY word HAVING count(*) > 1"):
        yield f"{word} is there {count} times"


def final_problems(connection: zodbapi.Connection) -> Iterator[str]:
    """What does not follow from the journal: balances, words, children."""
    yield from seen_problems(connection)
    moved = (
        "SELECT id, balance - ? - coalesce((SELECT sum(amount) FROM journal WHERE kind = 'transfer' AND target = a.id), 0)"
        " + coalesce((SELECT sum(amount) FROM journal WHERE kind = 'transfer' AND source = a.id), 0) FROM account AS a"
    )
    for number, rest in connection.execute(moved, [START]):
        if rest:
            yield f"account {number} has {rest} more than the journal says"
    said = dict(connection.execute("SELECT source, sum(amount) FROM journal WHERE kind = 'word' GROUP BY source"))
    there = {word for (word,) in connection.execute("SELECT word FROM word")}
    if {word for word, count in said.items() if count} != there or set(said.values()) - {0, 1}:
        yield f"words differ from the journal: {sorted(there ^ {word for word, count in said.items() if count})}"
    (children,) = connection.execute("SELECT count(*) FROM child").fetchone()
    (expected,) = connection.execute("SELECT coalesce(sum(amount), 0) FROM journal WHERE kind = 'child'").fetchone()
    if children != expected:
        yield f"{children} children, the journal says {expected}"
    (photos,) = connection.execute("SELECT count(*) FROM photo").fetchone()
    (expected,) = connection.execute("SELECT coalesce(sum(amount), 0) FROM journal WHERE kind = 'photo'").fetchone()
    if photos != expected:
        yield f"{photos} photos, the journal says {expected}"
    for token, data in connection.execute("SELECT token, data FROM photo"):
        if data != photo_of(token):
            yield f"the photo of {token} is not what was written"
    yield from zodbapi.check(connection)


def tokens_there(connection: zodbapi.Connection) -> set[str]:
    """The transactions of which the database has a trace."""
    found = {token for (token,) in connection.execute("SELECT token FROM journal")}
    found |= {token for (token,) in connection.execute("SELECT source FROM journal WHERE kind = 'deleted'")}
    return found | {token for (token,) in connection.execute("SELECT token FROM part")}
