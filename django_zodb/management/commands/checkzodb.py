"""``manage.py checkzodb``: whether trees are sound, indexes equal the rows, and rows keep their constraints."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, Error, connections


class Command(BaseCommand):
    help = "Checks the database: trees, indexes against rows, constraints. Can make all indexes again from the rows."
    requires_system_checks = []  # noqa: RUF012 - a database is checked because something is wrong with the project

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections), help="which of DATABASES"
        )
        parser.add_argument("--reindex", action="store_true", help="first make every index again from the rows")

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if connection.vendor != "zodb":
            raise CommandError(f"The database {options['database']!r} is not one of django_zodb.")
        try:
            with connection.cursor() as cursor:
                if options["reindex"]:
                    cursor.execute("REINDEX")
                problems = list(find_problems(cursor))
        except Error as exc:
            raise CommandError(str(exc)) from exc
        for problem in problems:
            self.stderr.write(problem)
        if problems:
            raise CommandError(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found")
        self.stdout.write("ok")


def find_problems(cursor: Any) -> Iterator[str]:
    """A sentence for each problem."""
    cursor.execute("PRAGMA integrity_check")
    for (problem,) in cursor.fetchall():
        if problem != "ok":
            yield problem
    cursor.execute("PRAGMA foreign_key_check")
    for table, rowid, parent, *_ in cursor.fetchall():
        yield f"table {table}: row {rowid} refers to a row of {parent} that is not there"
