"""The two databases of the ORM's benchmarks: Django's settings, the tables, the rows."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import django
from django.conf import settings
from django.db import connections
from django.db.transaction import atomic

ALIASES = ("zodb", "sqlite")
WORDS = "old new red blue great small lost hidden silent golden first last secret broken quiet".split()
ROWS_AT_ONCE = 100_000  # a transaction: each writes about every leaf of an index again
START = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def configure() -> None:
    """Settings with a database of each of the two, and a second one for migrations; ``place`` gives them files."""
    settings.configure(
        SECRET_KEY="bench",
        DATABASES={
            "default": {},
            "sqlite": {"ENGINE": "django.db.backends.sqlite3", "NAME": ""},
            "zodb": {"ENGINE": "django_zodb", "NAME": ""},
            "sqlite_empty": {"ENGINE": "django.db.backends.sqlite3", "NAME": ""},
            "zodb_empty": {"ENGINE": "django_zodb", "NAME": ""},
        },
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "tests.bench",
        ],
        TEMPLATES=[],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        DEBUG=False,
    )
    django.setup()


def place(alias: str, path: str) -> None:
    """Let the alias stand for another file from now on."""
    connections[alias].close()
    connections[alias].settings_dict["NAME"] = path


def load(alias: str, rows: int) -> None:
    """Makes the tables: ``rows`` books, a twentieth as many authors, two tags and one loan a book on average."""
    from tests.bench.models import MODELS, Author, Book, Loan, Tag

    rng = random.Random(1)
    with connections[alias].schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)
    authors = max(rows // 20, 1)
    _insert(alias, Author, (_author(i, rng) for i in range(1, authors + 1)))
    _insert(alias, Tag, ({"id": i, "name": f"tag {i}"} for i in range(1, 31)))
    _insert(alias, Book, (_book(i, authors, rng) for i in range(1, rows + 1)))
    pairs = {(rng.randint(1, rows), rng.randint(1, 30)) for _ in range(2 * rows)}
    through = ({"id": i, "book": book, "tag": tag} for i, (book, tag) in enumerate(sorted(pairs), 1))
    _insert(alias, Book.tags.through, through)
    _insert(alias, Loan, (_loan(i, rows, rng) for i in range(1, rows + 1)))


def _insert(alias: str, model: Any, found: Iterator[dict[str, Any]]) -> None:
    """Inserts through ``executemany``: at a million rows making model instances would take longer than the database."""
    connection = connections[alias]
    fields = model._meta.concrete_fields
    columns = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    table = connection.ops.quote_name(model._meta.db_table)
    sql = f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(fields))})"
    rows = (tuple(f.get_db_prep_save(values[f.name], connection=connection) for f in fields) for values in found)
    while some := list(islice(rows, ROWS_AT_ONCE)):
        with atomic(using=alias), connection.cursor() as cursor:
            cursor.executemany(sql, some)


def _author(i: int, rng: random.Random) -> dict[str, Any]:
    return {
        "id": i,
        "name": f"author {i}",
        "country": rng.choice(("de", "fr", "it", "jp", "us")),
        "born": START.date() - datetime.timedelta(days=rng.randint(8000, 40000)),
        "biography": "lived " * 20,
    }


def _book(i: int, authors: int, rng: random.Random) -> dict[str, Any]:
    return {
        "id": i,
        "isbn": f"{9780000000000 + i}",
        "title": f"the {rng.choice(WORDS)} {rng.choice(WORDS)} book {i}",
        "author": rng.randint(1, authors),
        "price": Decimal(rng.randint(500, 5000)) / 100,
        "pages": rng.randint(50, 1500),
        "published": START.date() - datetime.timedelta(days=rng.randint(0, 10000)),
        "created": START + datetime.timedelta(seconds=rng.randint(0, 100_000_000)),
        "available": rng.random() < 0.7,
        "rating": None if rng.random() < 0.2 else round(rng.uniform(1, 5), 1),
        "data": {"language": rng.choice(("en", "de", "fr")), "shelf": rng.randint(1, 50), "notes": ["a", "b"]},
        "blurb": "it was a dark and stormy night " * 5,
    }


def _loan(i: int, rows: int, rng: random.Random) -> dict[str, Any]:
    return {
        "id": i,
        "book": rng.randint(1, rows),
        "borrower": f"reader {rng.randint(1, max(rows // 10, 1))}",
        "start": START + datetime.timedelta(hours=rng.randint(0, 40000)),
        "returned": START.date() if rng.random() < 0.8 else None,
    }
