"""A bookshop: what it sells, to whom, and what was said about it."""

import uuid
from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class Publisher(models.Model):
    name = models.CharField(max_length=100, unique=True)
    city = models.CharField(max_length=60)
    founded = models.PositiveSmallIntegerField()
    website = models.URLField(blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Author(models.Model):
    first_name = models.CharField(max_length=60)
    last_name = models.CharField(max_length=60, db_index=True)
    born = models.DateField(null=True, blank=True)
    biography = models.TextField(blank=True)

    class Meta:
        ordering = ["last_name", "first_name"]

    def __str__(self):
        return f"{self.first_name} {self.last_name}"


class Genre(models.Model):
    name = models.CharField(max_length=40, unique=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True, blank=True, related_name="children")

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Book(models.Model):
    class Format(models.TextChoices):
        HARDCOVER = "H", "Hardcover"
        PAPERBACK = "P", "Paperback"
        AUDIO = "A", "Audiobook"

    title = models.CharField(max_length=200, db_index=True)
    isbn = models.CharField("ISBN", max_length=13, unique=True)
    publisher = models.ForeignKey(Publisher, models.PROTECT, related_name="books")
    authors = models.ManyToManyField(Author, related_name="books")
    genres = models.ManyToManyField(Genre, related_name="books", blank=True)
    format = models.CharField(max_length=1, choices=Format, default=Format.PAPERBACK)
    pages = models.PositiveIntegerField(null=True, blank=True)
    price = models.DecimalField(max_digits=7, decimal_places=2)
    published = models.DateField(db_index=True)
    available = models.BooleanField(default=True)
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["title"]
        constraints = [models.CheckConstraint(condition=Q(price__gte=0), name="book_price_not_negative")]

    def __str__(self):
        return self.title


class Customer(models.Model):
    name = models.CharField(max_length=120)
    email = models.EmailField(unique=True)
    city = models.CharField(max_length=60)
    joined = models.DateTimeField(default=timezone.now)
    newsletter = models.BooleanField(default=False)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Order(models.Model):
    class Status(models.TextChoices):
        OPEN = "open", "Open"
        PAID = "paid", "Paid"
        SENT = "sent", "Sent"
        CANCELLED = "cancelled", "Cancelled"

    reference = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    placed = models.DateTimeField(default=timezone.now, db_index=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN, db_index=True)
    discount = models.DecimalField("discount in %", max_digits=4, decimal_places=1, default=Decimal(0))
    delivery = models.DurationField(null=True, blank=True)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["-placed"]
        indexes = [models.Index(fields=["placed"], condition=Q(status="open"), name="open_orders")]

    def __str__(self):
        return f"Order {self.pk} of {self.customer}"


class OrderLine(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    book = models.ForeignKey(Book, models.PROTECT, related_name="lines")
    quantity = models.PositiveSmallIntegerField(default=1)
    price = models.DecimalField(max_digits=7, decimal_places=2)
    total = models.GeneratedField(
        expression=F("quantity") * F("price"),
        output_field=models.DecimalField(max_digits=9, decimal_places=2),
        db_persist=True,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "book"], name="one_line_a_book"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="line_quantity_positive"),
        ]

    def __str__(self):
        return f"{self.quantity} x {self.book}"


class Review(models.Model):
    book = models.ForeignKey(Book, models.CASCADE, related_name="reviews")
    customer = models.ForeignKey(Customer, models.SET_NULL, null=True, blank=True, related_name="reviews")
    stars = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])
    text = models.TextField(blank=True)
    written = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-written"]

    def __str__(self):
        return f"{self.stars} of 5 for {self.book}"
