"""``manage.py dbshell``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db.backends.base.client import BaseDatabaseClient

if TYPE_CHECKING:
    from django_zodb.base import DatabaseWrapper


class DatabaseClient(BaseDatabaseClient):
    """A console on the open database: ZODB has no program of its own to start."""

    connection: DatabaseWrapper
    executable_name = "zodbapi"

    def runshell(self, parameters: Iterable[str]) -> None:
        """Runs the console in this process, with the settings' connection."""
        from django_zodb import shell

        shell.run(self.connection, list(parameters))
