"""The two databases of the ORM's benchmarks: Django's settings, the tables, the rows."""

from __future__ import annotations

import datetime
import os
import random
from decimal import Decimal
from typing import Any

import django
from django.conf import settings
from django.db import connections

ALIASES = ("zodb", "sqlite")
WORDS = "old new red blue great small lost hidden silent golden first last secret broken quiet".split()
START = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def configure(folder: str) -> None:
    """Settings with a file of each of the two, and a second one for migrations."""
    settings.configure(
        SECRET_KEY="bench",
        DATABASES={
            "default": {},
            "sqlite": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(folder, "bench.sqlite3")},
            "zodb": {"ENGINE": "django_zodb", "NAME": os.path.join(folder, "bench.fs")},
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


def load(alias: str, rows: int) -> None:
    """Makes the tables: ``rows`` books, a twentieth as many authors, two tags and one loan a book on average."""
    from tests.bench.models import MODELS, Author, Book, Loan, Tag

    rng = random.Random(1)
    with connections[alias].schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)
    authors = max(rows // 20, 1)
    Author.objects.using(alias).bulk_create(
        [
            Author(id=i, name=f"author {i}", country=rng.choice(("de", "fr", "it", "jp", "us")),
                   born=START.date() - datetime.timedelta(days=rng.randint(8000, 40000)), biography="lived " * 20)
            for i in range(1, authors + 1)
        ],
        batch_size=500,
    )  # fmt: skip
    Tag.objects.using(alias).bulk_create([Tag(id=i, name=f"tag {i}") for i in range(1, 31)])
    Book.objects.using(alias).bulk_create([_book(i, authors, rng) for i in range(1, rows + 1)], batch_size=500)
    through: Any = Book.tags.through
    pairs = {(rng.randint(1, rows), rng.randint(1, 30)) for _ in range(2 * rows)}
    through.objects.using(alias).bulk_create(
        [through(book_id=book, tag_id=tag) for book, tag in sorted(pairs)], batch_size=500
    )
    Loan.objects.using(alias).bulk_create(
        [
            Loan(book_id=rng.randint(1, rows), borrower=f"reader {rng.randint(1, max(rows // 10, 1))}",
                 start=START + datetime.timedelta(hours=rng.randint(0, 40000)),
                 returned=START.date() if rng.random() < 0.8 else None)
            for _ in range(rows)
        ],
        batch_size=500,
    )  # fmt: skip


def _book(i: int, authors: int, rng: random.Random) -> Any:
    from tests.bench.models import Book

    return Book(
        id=i,
        isbn=f"{9780000000000 + i}",
        title=f"the {rng.choice(WORDS)} {rng.choice(WORDS)} book {i}",
        author_id=rng.randint(1, authors),
        price=Decimal(rng.randint(500, 5000)) / 100,
        pages=rng.randint(50, 1500),
        published=START.date() - datetime.timedelta(days=rng.randint(0, 10000)),
        created=START + datetime.timedelta(seconds=rng.randint(0, 100_000_000)),
        available=rng.random() < 0.7,
        rating=None if rng.random() < 0.2 else round(rng.uniform(1, 5), 1),
        data={"language": rng.choice(("en", "de", "fr")), "shelf": rng.randint(1, 50), "notes": ["a", "b"]},
        blurb="it was a dark and stormy night " * 5,
    )
