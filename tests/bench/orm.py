"""The same through Django's ORM: two databases of one project, one on each backend.

In: a folder and a number of rows. Out: the workloads of ``workloads``, on models instead of connections.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from itertools import count
from typing import Any

from tests.bench.workloads import Work, Workload

ALIASES = ("default", "sqlite")


def set_up(folder: str, rows: int) -> tuple[str, ...]:
    """Configures Django, makes and fills the tables; gives the aliases, which stand for connections."""
    import django
    from django.conf import settings

    settings.configure(
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={
            "default": {"ENGINE": "django_zodb", "NAME": os.path.join(folder, "orm.fs")},
            "sqlite": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(folder, "orm.sqlite3")},
        },
    )
    django.setup()
    _define_models()
    for alias in ALIASES:
        _fill(alias, rows)
    return ALIASES


Author: Any = None
Book: Any = None


def _define_models() -> None:
    global Author, Book
    from django.db import models

    class BenchAuthor(models.Model):
        name = models.CharField(max_length=50)
        joined = models.DateTimeField()

        class Meta:
            app_label = "bench"

    class BenchBook(models.Model):
        author = models.ForeignKey(BenchAuthor, models.CASCADE)
        title = models.CharField(max_length=100)
        year = models.IntegerField(db_index=True)
        price = models.DecimalField(max_digits=8, decimal_places=2)
        published = models.DateField()
        in_print = models.BooleanField(default=True)

        class Meta:
            app_label = "bench"

    Author, Book = BenchAuthor, BenchBook


def _fill(alias: str, rows: int) -> None:
    from datetime import UTC, date, datetime, timedelta
    from decimal import Decimal

    from django.db import connections

    rng = random.Random(1)
    with connections[alias].schema_editor() as editor:
        editor.create_model(Author)
        editor.create_model(Book)
    start = datetime(2020, 1, 1, tzinfo=UTC)
    authors = [Author(id=i, name=f"author {i}", joined=start + timedelta(hours=i)) for i in range(1, rows // 20 + 2)]
    Author.objects.using(alias).bulk_create(authors)
    books = [
        Book(
            id=i,
            author_id=rng.randint(1, len(authors)),
            title=f"the {rng.choice(('old', 'new', 'red'))} book {i}",
            year=rng.randint(1900, 2025),
            price=Decimal(rng.randint(100, 9999)) / 100,
            published=date(2000, 1, 1) + timedelta(days=i % 9000),
        )
        for i in range(1, rows + 1)
    ]
    Book.objects.using(alias).bulk_create(books, batch_size=1000)


def _keyed(make: Callable[[Any, int], Any]) -> Callable[[Any, int], Work]:
    def prepare(alias: str, rows: int) -> Work:
        rng = random.Random(2)
        manager = Book.objects.using(alias)
        return lambda: make(manager, rng.randint(1, rows))

    return prepare


def _query(make: Callable[[Any], Any]) -> Callable[[Any, int], Work]:
    return lambda alias, rows: lambda: make(Book.objects.using(alias))


def _create(alias: str, rows: int) -> Work:
    numbers = count(rows + 1)
    return lambda: Book.objects.using(alias).create(
        author_id=1, title=f"new {next(numbers)}", year=2000, price=1, published="2001-02-03"
    )


def _bulk_create(alias: str, rows: int) -> Work:
    def work() -> None:
        books = [Book(author_id=1, title=f"bulk {i}", year=2000, price=1, published="2001-02-03") for i in range(500)]
        Book.objects.using(alias).bulk_create(books)

    return work


def _aggregates(books: Any) -> Any:
    from django.db.models import Avg, Count, Sum

    return list(books.values("year").annotate(n=Count("id"), total=Sum("price"), mean=Avg("price")).order_by("year"))


WORKLOADS = (
    Workload("orm: get by primary key", _keyed(lambda books, key: books.get(pk=key)), 100),
    Workload("orm: exists", _keyed(lambda books, key: books.filter(pk=key).exists()), 100),
    Workload("orm: 1000 objects", _query(lambda books: list(books.all()[:1000]))),
    Workload("orm: values_list of all", _query(lambda books: list(books.values_list()))),
    Workload("orm: a page by date", _query(lambda books: list(books.order_by("-published", "-id")[:100]))),
    Workload("orm: filter by year", _query(lambda books: list(books.filter(year=1999)))),
    Workload("orm: icontains, count", _query(lambda books: books.filter(title__icontains="RED BOOK 9").count())),
    Workload("orm: select_related, 1000", _query(lambda books: list(books.select_related("author")[:1000]))),
    Workload("orm: prefetch, 200", _query(lambda books: list(books.prefetch_related("author")[:200]))),
    Workload("orm: aggregates by year", _query(_aggregates)),
    Workload("orm: create", _create, 10),
    Workload("orm: bulk_create 500", _bulk_create),
    Workload("orm: update one", _keyed(lambda books, key: books.filter(pk=key).update(price=key)), 20),
    Workload("orm: delete one", _keyed(lambda books, key: books.filter(pk=key).delete()), 20),
)
