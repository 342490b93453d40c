"""``manage.py runzeo``: the configured database file, served over ZEO to other processes."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

import zodbapi
from zodbapi.storage import server


class Command(BaseCommand):
    help = (
        "Serves the database file over ZEO. Other processes, on this machine or others, then use it with "
        'NAME = "zeo://HOST:PORT" (or "zeo:///path/of/socket").'
    )
    requires_system_checks = []  # noqa: RUF012 - a server for the database must start without it

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections), help="which of DATABASES"
        )
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
        try:
            server.serve(
                self.find_file(options["database"]),
                options["address"],
                self.read_certificates(options),
                blob_dir=connections[options["database"]].settings_dict["OPTIONS"].get("blob_dir"),
                starting=lambda address: self.tell(f"Starting ZEO server on {address}..."),
                running=lambda address: self.tell("ZEO server is running... Press Ctrl+C to stop."),
            )
        except (zodbapi.Error, OSError) as exc:
            raise CommandError(f"cannot serve: {exc}") from exc

    def find_file(self, alias: str) -> str:
        """The path of the file that the alias names; whatever is not a file cannot be served."""
        connection = connections[alias]
        if connection.vendor != "zodb":
            raise CommandError(
                f"The database {alias!r} is not one of django_zodb but of {connection.settings_dict['ENGINE']}."
            )
        name = str(connection.settings_dict["NAME"])
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
