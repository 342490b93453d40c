"""``manage.py dumpzodb``: what the database holds, as the tree of objects that it is."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder

from django_zodb.management.database_command import DatabaseCommand


class Command(DatabaseCommand):
    help = "Prints the object tree below the root: a line an object, with its path and its value. Rows are tuples."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--table", action="append", help="only this table, by its name in the database; may be repeated"
        )
        parser.add_argument("--limit", type=int, help="only so many rows of each table")
        parser.add_argument("--indexes", action="store_true", help="the entries of indexes too")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] is not None and options["limit"] < 0:
            raise CommandError("--limit cannot be negative.")
        with self.open_database(options) as connection:
            self.dump(connection.root, options)

    def dump(self, root: Any, options: dict[str, Any]) -> None:
        """Writes as it reads: the whole is never in memory."""
        for table in options["table"] or ():
            if table not in root:
                raise CommandError(f"no such table: {table}")
        show = show_json if options["json"] else show_text
        for path, value in root.walk(options["table"], options["limit"], options["indexes"]):
            self.stdout.write(show(path, value))


def show_text(path: tuple[str, ...], value: object) -> str:
    """Indented by its depth: ``/zodbapi/tables/city/1: (1, 'Oslo')``."""
    line = f"{'  ' * (len(path) - 1)}/{'/'.join(path)}"
    return line if value is None else f"{line}: {value if is_columns(path) else repr(value)}"


def is_columns(path: tuple[str, ...]) -> bool:
    """Whether it is the path of a table or index, whose value is no row but says what its rows have."""
    return len(path) == 3


def show_json(path: tuple[str, ...], value: object) -> str:
    """``{"path": [...], "value": ...}``, dates and decimals as Django serialises them, bytes in hexadecimal."""
    return json.dumps({"path": path, "value": value}, cls=Encoder, ensure_ascii=False)


class Encoder(DjangoJSONEncoder):
    """Django's, for any object."""

    def default(self, o: Any) -> Any:
        if isinstance(o, bytes):
            return o.hex()
        try:
            return super().default(o)
        except TypeError:
            return repr(o)
