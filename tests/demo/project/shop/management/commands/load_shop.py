"""Fills the bookshop: the same rows every time, so that two of them can be compared."""

import random
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.core.management.base import BaseCommand
from django.db import transaction

from shop.models import Author, Book, Customer, Genre, Order, OrderLine, Publisher, Review

CITIES = [
    "Berlin",
    "Bologna",
    "Boston",
    "Kraków",
    "Kyoto",
    "Leipzig",
    "Lisboa",
    "London",
    "Málaga",
    "Nairobi",
    "Zürich",
]
FIRST_NAMES = [
    "Ada", "Ana", "Björn", "Chinua", "Claire", "Dörte", "Emily", "Fjodor", "Grace", "Haruki", "Inés", "Jorge",
    "Katherine", "Leo", "Mary", "Ngũgĩ", "Olga", "Pablo", "Rosa", "Selma", "Stanisław", "Toni", "Ursula", "Virginia",
]  # fmt: skip
LAST_NAMES = [
    "Achebe", "Allende", "Austen", "Borges", "Brontë", "Calvino", "Čapek", "Dickinson", "Eco", "Frisch", "García",
    "Hopper", "Kafka", "Lagerlöf", "Lem", "Lovelace", "Morrison", "Müller", "Neruda", "Pamuk", "Szymborska", "Woolf",
]  # fmt: skip
GENRES = {
    "Fiction": ["Crime", "Fantasy", "Historical", "Science fiction", "Short stories"],
    "Non-fiction": ["Biography", "History", "Mathematics", "Nature", "Travel"],
    "Poetry": ["Ballads", "Haiku", "Sonnets"],
}
ADJECTIVES = ["Blue", "Distant", "Forgotten", "Golden", "Hidden", "Last", "Little", "Long", "Quiet", "Second", "White"]
NOUNS = ["Bridge", "Garden", "House", "Island", "Letter", "Library", "Mirror", "Orchard", "River", "Summer", "Window"]
OPINIONS = [
    "Could not put it down.",
    "The middle drags, the ending makes up for it.",
    "A present for my sister, who loved it.",
    "Read it twice, and found another book the second time.",
    "Not for me.",
]
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


class Command(BaseCommand):
    help = "Fills the bookshop with some thousands of rows."

    def add_arguments(self, parser):
        parser.add_argument("--scale", type=float, default=1.0, help="a multiple of the usual number of rows")

    def handle(self, *, scale, **options):
        self.random = random.Random(1989)
        self.scale = scale
        with transaction.atomic():
            publishers = self.load("publishers", Publisher, 40, self.publisher)
            authors = self.load("authors", Author, 500, self.author)
            genres = self.load_genres()
            books = self.load("books", Book, 2000, lambda n: self.book(n, publishers))
            self.link("authors of books", Book.authors.through, "author_id", books, authors, [1, 1, 1, 2, 3])
            self.link("genres of books", Book.genres.through, "genre_id", books, genres, [1, 1, 2])
            customers = self.load("customers", Customer, 1000, self.customer)
            orders = self.load("orders", Order, 3000, lambda n: self.order(n, customers))
            self.load_lines(orders, books)
            self.load("reviews", Review, 1500, lambda n: self.review(n, books, customers))

    def load(self, what, model, count, make):
        """Saves ``count`` objects that ``make`` makes from 0, 1, 2, ... and returns them."""
        return self.save(what, model, [make(n) for n in range(max(3, round(count * self.scale)))])

    def save(self, what, model, objects):
        step = max(1, len(objects) // 50)
        for start in range(0, len(objects), step):
            model.objects.bulk_create(objects[start : start + step])
            self.show_progress(what, min(start + step, len(objects)), len(objects))
        return objects

    def show_progress(self, what, done, total):
        """Draws the bar again in its place; without a terminal, one line when all is done."""
        filled = 40 * done // total
        line = f"  {what:<18}[{'#' * filled}{'.' * (40 - filled)}] {done:>6} of {total}"
        if self.stdout.isatty():
            self.stdout.write(f"\r{line}", ending="\n" if done == total else "")
            self.stdout.flush()
        elif done == total:
            self.stdout.write(line)

    def publisher(self, n):
        city = CITIES[n % len(CITIES)]
        name = f"{LAST_NAMES[n % len(LAST_NAMES)]} & {FIRST_NAMES[(n * 7) % len(FIRST_NAMES)]} {n + 1}"
        return Publisher(name=name, city=city, founded=1850 + n * 3, website=f"https://publisher-{n + 1}.example/")

    def author(self, n):
        born = date(1900, 1, 1) + timedelta(days=self.random.randrange(36_500))
        first, last = self.random.choice(FIRST_NAMES), self.random.choice(LAST_NAMES)
        return Author(
            first_name=first, last_name=last, born=born if n % 9 else None, biography=f"Lives in {CITIES[n % 11]}."
        )

    def load_genres(self):
        parents = self.save("genres", Genre, [Genre(name=name) for name in GENRES])
        children = [Genre(name=name, parent=parent) for parent in parents for name in GENRES[parent.name]]
        return parents + self.save("subgenres", Genre, children)

    def book(self, n, publishers):
        title = f"The {self.random.choice(ADJECTIVES)} {self.random.choice(NOUNS)}"
        return Book(
            title=title if n % 3 else f"{title}, volume {n % 7 + 1}",
            isbn=f"978{n:010d}",
            publisher=self.random.choice(publishers),
            format=self.random.choice(Book.Format.values),
            pages=self.random.randrange(80, 900) if n % 13 else None,
            price=Decimal(self.random.randrange(499, 9999)) / 100,
            published=date(1960, 1, 1) + timedelta(days=self.random.randrange(24_000)),
            available=n % 10 != 0,
            details={
                "language": self.random.choice(["de", "en", "es", "ja"]),
                "weight": self.random.randrange(100, 2000),
            },
        )

    def link(self, what, through, field, books, others, counts):
        rows = [
            through(book_id=book.pk, **{field: other.pk})
            for book in books
            for other in self.random.sample(others, self.random.choice(counts))
        ]
        self.save(what, through, rows)

    def customer(self, n):
        first, last = self.random.choice(FIRST_NAMES), self.random.choice(LAST_NAMES)
        return Customer(
            name=f"{first} {last}",
            email=f"reader{n + 1}@example.com",
            city=self.random.choice(CITIES),
            joined=EPOCH + timedelta(minutes=self.random.randrange(500_000)),
            newsletter=n % 3 == 0,
        )

    def order(self, n, customers):
        status = self.random.choices(Order.Status.values, [1, 2, 6, 1])[0]
        return Order(
            reference=uuid.UUID(int=self.random.getrandbits(128), version=4),
            customer=self.random.choice(customers),
            placed=EPOCH + timedelta(minutes=n * 170 + self.random.randrange(170)),
            status=status,
            discount=self.random.choice([Decimal(0), Decimal(0), Decimal("2.5"), Decimal(10)]),
            delivery=timedelta(hours=self.random.randrange(20, 200)) if status == "sent" else None,
        )

    def load_lines(self, orders, books):
        lines = [
            OrderLine(order=order, book=book, quantity=self.random.randrange(1, 4), price=book.price)
            for order in orders
            for book in self.random.sample(books, self.random.randrange(1, min(5, len(books))))
        ]
        self.save("order lines", OrderLine, lines)

    def review(self, n, books, customers):
        return Review(
            book=self.random.choice(books),
            customer=self.random.choice(customers) if n % 20 else None,
            stars=self.random.choices([1, 2, 3, 4, 5], [1, 1, 3, 6, 5])[0],
            text=self.random.choice(OPINIONS),
            written=EPOCH + timedelta(minutes=self.random.randrange(500_000)),
        )
