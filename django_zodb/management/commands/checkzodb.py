"""``manage.py checkzodb``: whether trees are sound, indexes equal the rows, and rows keep their constraints."""

from __future__ import annotations

from argparse import ArgumentParser
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
        parser.add_argument(
            "--rebuild", "--reindex", action="store_true", help="first make every index again from the rows"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if connection.vendor != "zodb":
            raise CommandError(f"The database {options['database']!r} is not one of django_zodb.")
        try:
            connection.ensure_connection()
            with connection.wrap_database_errors:
                problems = connection.connection.check(rebuild=options["rebuild"])
        except Error as exc:
            raise CommandError(str(exc)) from exc
        for problem in problems:
            self.stderr.write(problem)
        if problems:
            raise CommandError(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found")
        self.stdout.write("ok")
