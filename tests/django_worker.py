"""A process of a Django project without files: ``python -m tests.django_worker NAME LOG HEALTH_CHECKS PREFIX``.

In: the name of a database. Out: lines in a log (``tests.crash.log``), until SIGTERM. Each thread plays a server's: requests
one after the other on a connection that is kept for ever, each one atomic. Only OperationalError may end a request.
"""

from __future__ import annotations

import logging
import random
import signal
import sys
import threading
import time
import traceback

import django
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import OperationalError, connection, models, transaction

import zodbapi
from tests.crash import log

ACCOUNTS, START = 10, 100


def configure(name: str, health_checks: bool) -> None:
    """Settings of a project with persistent connections."""
    database = {"ENGINE": "django_zodb", "NAME": name, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": health_checks}
    settings.configure(DATABASES={"default": database}, INSTALLED_APPS=["django_zodb"], USE_TZ=True)
    django.setup()


def define_models() -> tuple[type[models.Model], type[models.Model]]:
    """Accounts, and the entries of what was moved between them."""

    class Account(models.Model):
        balance = models.IntegerField()

        class Meta:
            app_label = "bank"

    class Entry(models.Model):
        token = models.CharField(max_length=100, unique=True)
        source = models.ForeignKey(Account, models.PROTECT, related_name="+")
        target = models.ForeignKey(Account, models.PROTECT, related_name="+")

        class Meta:
            app_label = "bank"

    return Account, Entry


def prepare() -> None:
    """Makes the tables."""
    account, entry = define_models()
    with connection.schema_editor() as editor:
        editor.create_model(account)
        editor.create_model(entry)
    account.objects.bulk_create(account(balance=START) for _ in range(ACCOUNTS))


def request(token: str, rng: random.Random, account: type[models.Model], entry: type[models.Model]) -> None:
    """One request: moves one from an account to another."""
    request_started.send(None)
    try:
        with transaction.atomic():
            source, target = rng.sample(range(1, ACCOUNTS + 1), 2)
            account.objects.filter(pk=source).update(balance=models.F("balance") - 1)
            entry.objects.create(token=token, source_id=source, target_id=target)
            account.objects.filter(pk=target).update(balance=models.F("balance") + 1)
    finally:
        request_finished.send(None)


def serve(journal: log.Journal, name: str, stop: threading.Event, tables: tuple[type[models.Model], ...]) -> None:
    """One thread: request after request."""
    rng, number = random.Random(name), 0
    while not stop.is_set():
        number += 1
        token = f"{name}-{number}"
        journal.write(log.BEGUN, token)
        try:
            request(token, rng, *tables)
            journal.write(log.COMMITTED, token)
        except OperationalError as error:
            lost_race = isinstance(error.__cause__, zodbapi.ConflictError)
            journal.write(log.CONFLICT if lost_race else log.LOST, token)
            time.sleep(0.05 * rng.random())
    connection.close()


def main(name: str, path: str, health_checks: str, prefix: str) -> int:
    """Runs two threads; the exit status says whether both came to their end."""
    logging.disable()
    configure(name, health_checks == "True")
    tables, journal, stop, failures = define_models(), log.Journal(path), threading.Event(), []
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def run(number: int) -> None:
        try:
            serve(journal, f"{prefix}.{number}", stop, tables)
        except BaseException:
            failures.append(traceback.format_exc())

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stderr.write("".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) == 2:
        configure(sys.argv[1], True)
        prepare()
    else:
        raise SystemExit(main(*sys.argv[1:]))
