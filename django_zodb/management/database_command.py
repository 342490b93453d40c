"""What the management commands have in common: each is about one of DATABASES."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, Error, connections

if TYPE_CHECKING:
    from django_zodb.base import DatabaseWrapper
    from zodbapi.connection import Connection


class DatabaseCommand(BaseCommand):
    """A command with the option ``--database``."""

    requires_system_checks = []  # noqa: RUF012 - what is in a file can be looked after whatever the project's state

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections), help="which of DATABASES"
        )

    def find_database(self, options: dict[str, Any]) -> DatabaseWrapper:
        """Django's connection; CommandError if it is of another backend."""
        connection = connections[options["database"]]
        if connection.vendor != "zodb":
            raise CommandError(
                f"The database {connection.alias!r} is not one of django_zodb but of {connection.settings_dict['ENGINE']}."
            )
        return cast("DatabaseWrapper", connection)

    @contextmanager
    def open_database(self, options: dict[str, Any]) -> Iterator[Connection]:
        """The driver's connection, whose errors in the block are CommandErrors."""
        database = self.find_database(options)
        try:
            database.ensure_connection()
            with database.wrap_database_errors:
                yield database.connection
        except Error as exc:
            raise CommandError(str(exc)) from exc
