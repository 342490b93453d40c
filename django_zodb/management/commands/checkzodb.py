"""``manage.py checkzodb``: whether trees are sound, indexes equal the rows, and rows keep their constraints."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from django_zodb.management.database_command import DatabaseCommand


class Command(DatabaseCommand):
    help = "Checks the database: trees, indexes against rows, constraints. Can make all indexes again from the rows."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--rebuild", "--reindex", action="store_true", help="first make every index again from the rows"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with self.open_database(options) as connection:
            problems = connection.check(rebuild=options["rebuild"])
        for problem in problems:
            self.stderr.write(problem)
        if problems:
            raise CommandError(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found")
        self.stdout.write("ok")
