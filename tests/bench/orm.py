"""The ORM's daily work, as functions of a database's alias.

In: an alias whose tables are loaded, a source of random numbers, and the number of books. ``READS`` run each query in
autocommit, ``WRITES`` inside a transaction, ``DURABLE`` in transactions of their own. The number behind each is how
often one measurement calls it.
"""

from __future__ import annotations

import datetime
import os
import random
import tempfile
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

from django.core.management import call_command
from django.db import connections, transaction
from django.db.models import Avg, Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Subquery, Sum, Window
from django.db.models.functions import Concat, Length, Lower, Rank, TruncMonth, Upper

from tests.bench.database import START
from tests.bench.models import Author, Book, Loan, Tag

Work = Callable[[str, random.Random, int], Any]


def _books(alias: str) -> QuerySet[Book]:
    return Book.objects.using(alias)


_numbers = {"zodb": count(1), "sqlite": count(1)}


def _new_book(alias: str, rng: random.Random, rows: int) -> Book:
    number = next(_numbers[alias])
    return Book(
        isbn=f"x{number}",
        title=f"new {number}",
        author_id=rng.randint(1, rows // 20),
        price=Decimal("12.50"),
        pages=rng.randint(50, 1500),
        published=START.date(),
        created=START,
        rating=3.5,
        data={"language": "en"},
        blurb="a new book " * 10,
    )


def _create(alias: str, rng: random.Random, rows: int) -> None:
    _new_book(alias, rng, rows).save(using=alias, force_insert=True)


def _bulk_create(alias: str, rng: random.Random, rows: int) -> None:
    _books(alias).bulk_create([_new_book(alias, rng, rows) for _ in range(100)])


def _save(alias: str, rng: random.Random, rows: int) -> None:
    book = _books(alias).get(pk=rng.randint(1, rows))
    book.title = f"saved {rng.randint(1, 1000)}"
    book.save()


def _savepoint(alias: str, rng: random.Random, rows: int) -> None:
    with transaction.atomic(using=alias):
        _books(alias).filter(pk=rng.randint(1, rows)).update(rating=2.5)


def _cascade(alias: str, rng: random.Random, rows: int) -> None:
    book = _new_book(alias, rng, rows)
    book.save(using=alias)
    book.tags.set([1, 2])
    Loan.objects.using(alias).create(book=book, borrower="x", start=START)
    book.delete()


def _cold(alias: str, rng: random.Random, rows: int) -> Any:
    name = f"x{next(_numbers[alias])}"  # a text that was never seen: what the first run of any statement costs
    found = _books(alias).filter(author__country="de", pages__gt=1480).annotate(**{name: F("author__name")})
    return list(found.order_by("title").values_list("id", "title", name)[:20])


def _cold_get(alias: str, rng: random.Random, rows: int) -> Any:
    name = f"x{next(_numbers[alias])}"
    return list(_books(alias).filter(pk=rng.randint(1, rows)).annotate(**{name: F("title")}))


def _test_case(alias: str, rng: random.Random, rows: int) -> None:
    """What a TestCase does around a test: two atomic blocks, rows, all rolled back."""
    with transaction.atomic(using=alias):
        author = Author.objects.using(alias).create(name="x", country="de", born=START.date(), biography="")
        with transaction.atomic(using=alias):
            book = _new_book(alias, rng, rows)
            book.author = author
            book.save(using=alias)
            assert author.books.count() == 1
            transaction.set_rollback(True, using=alias)
        transaction.set_rollback(True, using=alias)


def _subquery(alias: str) -> Any:
    latest = Loan.objects.using(alias).filter(book=OuterRef("pk")).order_by("-start").values("borrower")[:1]
    return list(_books(alias).filter(pages__lt=100).annotate(last=Subquery(latest)).values_list("id", "last"))


def _union(alias: str) -> Any:
    short, long = _books(alias).filter(pages__lt=70), _books(alias).filter(pages__gt=1480)
    return list(short.values_list("id", "title").union(long.values_list("id", "title")))


def _window(alias: str) -> Any:
    rank = Window(Rank(), partition_by=[F("author_id")], order_by=F("price").desc())
    return list(_books(alias).filter(pages__lt=200).annotate(rank=rank).values_list("id", "rank"))


def _months(alias: str) -> Any:
    months = _books(alias).annotate(month=TruncMonth("published")).values("month")
    return list(months.annotate(n=Count("id"), total=Sum("price")).order_by("month"))


def _add_and_clear(alias: str, rng: random.Random, rows: int) -> None:
    book = _books(alias).only("id").get(pk=rng.randint(1, rows))
    book.tags.add(3, 4, 5)
    book.tags.clear()


def _books_of_author(alias: str, rng: random.Random, rows: int) -> Any:
    author = Author.objects.using(alias).get(name=f"author {rng.randint(1, rows // 20)}")
    return list(author.books.all())


def _migrate(alias: str, rng: random.Random, rows: int) -> None:
    """Into a new file."""
    connection = connections[f"{alias}_empty"]
    with tempfile.TemporaryDirectory() as folder:
        connection.settings_dict["NAME"] = os.path.join(folder, "empty")
        call_command("migrate", database=connection.alias, verbosity=0)
        connection.close()


READS: tuple[tuple[str, Work, int], ...] = (
    ("get by pk", lambda a, r, n: _books(a).get(pk=r.randint(1, n)), 50),
    ("get by unique field", lambda a, r, n: _books(a).get(isbn=str(9780000000000 + r.randint(1, n))), 50),
    ("filter by foreign key", lambda a, r, n: list(_books(a).filter(author_id=r.randint(1, n // 20))), 20),
    ("reverse foreign key", _books_of_author, 20),
    ("in list, other sizes",
     lambda a, r, n: list(_books(a).filter(pk__in=[r.randint(1, n) for _ in range(r.randint(2, 60))])), 20),
    ("in_bulk, 100 keys", lambda a, r, n: _books(a).in_bulk(r.sample(range(1, n + 1), 100)), 5),
    ("exists", lambda a, r, n: _books(a).filter(pages=r.randint(50, 1500)).exists(), 50),
    ("count", lambda a, r, n: _books(a).count(), 20),
    ("count, filtered", lambda a, r, n: _books(a).filter(price__gt=Decimal(20)).count(), 3),
    ("all instances", lambda a, r, n: len(_books(a).all()), 1),
    ("iterator", lambda a, r, n: sum(1 for _ in _books(a).iterator()), 1),
    ("only two fields", lambda a, r, n: len(_books(a).only("id", "title")), 1),
    ("values_list, flat", lambda a, r, n: list(_books(a).values_list("title", flat=True)), 1),
    ("values_list, typed columns",
     lambda a, r, n: list(_books(a).values_list("id", "price", "published", "created", "available")), 1),
    ("range scan, index", lambda a, r, n: list(_books(a).filter(pages__range=(100, 160)).values_list("id", "title")), 3),
    ("range scan, dates",
     lambda a, r, n: list(_books(a).filter(published__gte=START.date() - datetime.timedelta(days=300))), 2),
    ("substring", lambda a, r, n: list(_books(a).filter(title__contains="golden book 9").values_list("id")), 2),
    ("substring, ignoring case", lambda a, r, n: list(_books(a).filter(title__icontains="GOLDEN BOOK 9")), 2),
    ("startswith, unique field", lambda a, r, n: list(_books(a).filter(isbn__startswith="97800000001")), 3),
    ("aggregates",
     lambda a, r, n: _books(a).aggregate(Avg("price"), Min("pages"), Max("published"), Sum("rating")), 2),
    ("group by key",
     lambda a, r, n: list(_books(a).values("author_id").annotate(n=Count("id"), total=Sum("price"))), 1),
    ("group by expression",
     lambda a, r, n: list(_books(a).values(size=F("pages") / 100).annotate(n=Count("id")).order_by("size")), 1),
    ("group by month", lambda a, r, n: _months(a), 1),
    ("annotated count of a relation",
     lambda a, r, n: list(Author.objects.using(a).annotate(n=Count("books")).filter(n__gt=25)), 1),
    ("join", lambda a, r, n: list(_books(a).filter(author__country="de").values_list("title", "author__name")), 1),
    ("select_related", lambda a, r, n: list(_books(a).select_related("author")[:100]), 5),
    ("prefetch_related, m2m", lambda a, r, n: list(_books(a).prefetch_related("tags")[:100]), 3),
    ("filter over m2m", lambda a, r, n: list(_books(a).filter(tags__name="tag 7", pages__lt=400)), 2),
    ("order by index, first page", lambda a, r, n: list(_books(a).order_by("-published", "id")[:25]), 10),
    ("order by column, first page", lambda a, r, n: list(_books(a).order_by("-price", "id")[:25]), 3),
    ("order by pk, deep page", lambda a, r, n: list(_books(a).order_by("pk")[n - 100:n - 75]), 10),
    ("order by column, deep page", lambda a, r, n: list(_books(a).order_by("title", "id")[n - 100:n - 75]), 1),
    ("first", lambda a, r, n: _books(a).filter(author_id=r.randint(1, n // 20)).first(), 30),
    ("distinct", lambda a, r, n: list(_books(a).values_list("author__country", flat=True).distinct()), 2),
    ("dates", lambda a, r, n: list(_books(a).dates("published", "year")), 2),
    ("correlated subquery", lambda a, r, n: _subquery(a), 2),
    ("EXISTS", lambda a, r, n: _books(a).filter(
        Exists(Loan.objects.using(a).filter(book=OuterRef("pk"), returned=None))).count(), 2),
    ("window", lambda a, r, n: _window(a), 1),
    ("OR", lambda a, r, n: list(_books(a).filter(Q(pages=r.randint(50, 1500)) | Q(pk=r.randint(1, n)))), 5),
    ("JSON key", lambda a, r, n: list(_books(a).filter(data__shelf=7).values_list("id")), 1),
    ("union", lambda a, r, n: _union(a), 2),
    ("functions", lambda a, r, n: list(_books(a).filter(pages__lt=300).values_list(
        Upper("title"), Length("blurb"), Concat(Lower("title"), F("isbn")))), 1),
    ("F() comparison", lambda a, r, n: _books(a).filter(rating__gt=F("pages") / 300).count(), 2),
    ("first run of a query", _cold, 20),
    ("first run of a get", _cold_get, 20),
)  # fmt: skip

WRITES: tuple[tuple[str, Work, int], ...] = (
    ("create", _create, 30),
    ("bulk_create, 100 rows", _bulk_create, 3),
    ("get and save", _save, 30),
    ("update by pk", lambda a, r, n: _books(a).filter(pk=r.randint(1, n)).update(rating=4.5), 50),
    ("update with F(), by foreign key",
     lambda a, r, n: _books(a).filter(author_id=r.randint(1, n // 20)).update(price=F("price") + 1), 20),
    ("update an indexed column", lambda a, r, n: _books(a).filter(pk=r.randint(1, n)).update(pages=r.randint(1, 999)), 50),
    ("update of a tenth", lambda a, r, n: _books(a).filter(pages__lt=195).update(rating=1.5), 1),
    ("get_or_create, found", lambda a, r, n: Tag.objects.using(a).get_or_create(name=f"tag {r.randint(1, 30)}"), 30),
    ("get_or_create, made", lambda a, r, n: Tag.objects.using(a).get_or_create(name=f"{next(_numbers[a])}"), 20),
    ("m2m add and clear", _add_and_clear, 10),
    ("savepoint", _savepoint, 50),
    ("delete with cascade", _cascade, 10),
    ("delete by query", lambda a, r, n: Loan.objects.using(a).filter(book_id=r.randint(1, n)).delete(), 20),
)  # fmt: skip


DURABLE: tuple[tuple[str, Work, int], ...] = (
    ("create, durable", _create, 10),
    ("update by pk, durable", lambda a, r, n: _books(a).filter(pk=r.randint(1, n)).update(rating=4.5), 10),
    ("test case", _test_case, 10),
    ("migrate the contrib apps", _migrate, 1),
)
