"""``manage.py runzeo``: the configured database file, served over ZEO to other processes."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

import zodbapi
from django_zodb.management.database_command import DatabaseCommand
from zodbapi.storage import server

if TYPE_CHECKING:
    from django_zodb.base import DatabaseWrapper


class Command(DatabaseCommand):
    help = (
        "Serves the database file over ZEO. Other processes, on this machine or others, then use it with "
        'NAME = "zeo://HOST:PORT" (or "zeo:///path/of/socket").'
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--address",
            default="127.0.0.1:49275",
            help="HOST:PORT (port 0 picks a free one) or the path of a Unix socket (%(default)s)",
        )
        parser.add_argument("--certificate", help="file with the server's certificate: turns TLS on")
        parser.add_argument("--key", help="file with the certificate's key, unless the certificate's file has it")
        parser.add_argument(
            "--ca", help="file, or folder, with the certificates that clients must present or be signed by"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        database = self.find_database(options)
        try:
            server.serve(
                self.find_file(database),
                options["address"],
                self.read_certificates(options),
                blob_dir=database.settings_dict["OPTIONS"].get("blob_dir"),
                starting=lambda address: self.tell(f"Starting ZEO server on {address}..."),
                running=lambda address: self.tell("ZEO server is running... Press Ctrl+C to stop."),
            )
        except (zodbapi.Error, OSError) as exc:
            raise CommandError(f"cannot serve: {exc}") from exc

    def find_file(self, database: DatabaseWrapper) -> str:
        """The path of the file that NAME says; whatever is not a file cannot be served."""
        alias, name = database.alias, str(database.settings_dict["NAME"])
        if name == ":memory:" or name.startswith("memory://"):
            raise CommandError(f"The database {alias!r} is in memory ({name}): only a database file can be served.")
        if "://" in name and not name.startswith("file://"):
            raise CommandError(f"The database {alias!r} is {name}: only a database file can be served.")
        return name.removeprefix("file://").partition("?")[0]

    def read_certificates(self, options: dict[str, Any]) -> server.Certificates | None:
        """What the TLS options say; half of them is an error rather than half a protection."""
        certificate, key, authority = options["certificate"], options["key"], options["ca"]
        if not (certificate or key or authority):
            return None
        if not (certificate and authority):
            raise CommandError("TLS needs --certificate and --ca (and --key, unless the certificate's file has it).")
        return server.Certificates(certificate, authority, key)

    def tell(self, line: str) -> None:
        """Prints at once: whoever started the server waits for the line."""
        self.stdout.write(line)
        self.stdout.flush()
