"""Plays the customers: orders, payments and cancellations, one after the other."""

import random
import time

from django.core.management.base import BaseCommand
from django.db import transaction

from shop.models import Book, Customer, Order, OrderLine


class Command(BaseCommand):
    help = "Places orders, has them paid and sent, and deletes cancelled ones, until the time is over or it is stopped."

    def add_arguments(self, parser):
        parser.add_argument("--seconds", type=float, default=60.0, help="how long (%(default)s)")

    def handle(self, *, seconds, **options):
        end, done = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            random.choice([self.place, self.place, self.advance, self.delete])()
            done += 1
        self.stdout.write(f"{done} transactions")

    @transaction.atomic
    def place(self):
        customer = random.choice(Customer.objects.order_by("pk")[:50])
        order = Order.objects.create(
            customer=customer, status=random.choice([Order.Status.OPEN, Order.Status.CANCELLED])
        )
        for book in random.sample(list(Book.objects.filter(available=True)[:20]), 3):
            OrderLine.objects.create(order=order, book=book, quantity=random.randrange(1, 4), price=book.price)

    @transaction.atomic
    def advance(self):
        order = Order.objects.select_for_update().filter(status=Order.Status.OPEN).order_by("placed").first()
        if order is not None:
            order.status = Order.Status.SENT
            order.save()

    def delete(self):
        Order.objects.filter(pk__in=Order.objects.filter(status=Order.Status.CANCELLED).values("pk")[:5]).delete()
