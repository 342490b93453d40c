"""The models of the ORM's benchmarks: a library, with a column of every common class."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=60, unique=True)
    country = models.CharField(max_length=2)
    born = models.DateField()
    biography = models.TextField()

    class Meta:
        app_label = "bench"


class Tag(models.Model):
    name = models.CharField(max_length=30, unique=True)

    class Meta:
        app_label = "bench"


class Book(models.Model):
    isbn = models.CharField(max_length=13, unique=True)
    title = models.CharField(max_length=100)
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    price = models.DecimalField(max_digits=8, decimal_places=2)
    pages = models.IntegerField(db_index=True)
    published = models.DateField(db_index=True)
    created = models.DateTimeField()
    available = models.BooleanField(default=True)
    rating = models.FloatField(null=True)
    data = models.JSONField()
    blurb = models.TextField()
    tags = models.ManyToManyField(Tag)

    class Meta:
        app_label = "bench"


class Loan(models.Model):
    book = models.ForeignKey(Book, models.CASCADE, related_name="loans")
    borrower = models.CharField(max_length=40)
    start = models.DateTimeField()
    returned = models.DateField(null=True)

    class Meta:
        app_label = "bench"
        indexes: ClassVar = [models.Index(fields=["borrower", "start"])]


MODELS = (Author, Tag, Book, Loan)
