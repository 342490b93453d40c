"""The connection to one database.

https://docs.djangoproject.com/en/stable/ref/databases/ describes what a project sees of it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import debug_transaction
from django.utils.asyncio import async_unsafe

import zodbapi
from django_zodb.client import DatabaseClient
from django_zodb.creation import DatabaseCreation
from django_zodb.expressions import register_expressions
from django_zodb.features import DatabaseFeatures
from django_zodb.introspection import DatabaseIntrospection
from django_zodb.operations import DatabaseOperations
from django_zodb.schema import DatabaseSchemaEditor
from zodbapi.deferred import deferred

if TYPE_CHECKING:
    from django_zodb import engine
    from zodbapi.connection import Connection
    from zodbapi.cursor import Cursor
else:
    engine = deferred("django_zodb.engine")

register_expressions()


def _varchar(data: dict[str, Any]) -> str:
    # CharField(max_length=None) is allowed: supports_unlimited_charfield.
    return "varchar" if data["max_length"] is None else "varchar({max_length})".format(**data)


def _decimal(data: dict[str, Any]) -> str:
    # A DecimalField without digits only types an expression, as in Cast(x, DecimalField()).
    return "decimal" if data["max_digits"] is None else "decimal({max_digits}, {decimal_places})".format(**data)


class DatabaseWrapper(BaseDatabaseWrapper):
    """A connection of Django to a ZODB database."""

    vendor = "zodb"
    display_name = "ZODB"
    # Values are stored as Python's own classes; the names are those of PostgreSQL, so that inspectdb can tell one
    # field from another.
    data_types: dict[str, Any] = {  # noqa: RUF012 - Django's class attributes are not annotated as ClassVar
        "AutoField": "integer",
        "BigAutoField": "bigint",
        "BinaryField": "blob",
        "BooleanField": "boolean",
        "CharField": _varchar,
        "DateField": "date",
        "DateTimeField": "timestamp with time zone",
        "DecimalField": _decimal,
        "DurationField": "interval",
        "FileField": "varchar(%(max_length)s)",
        "FilePathField": "varchar(%(max_length)s)",
        "FloatField": "double precision",
        "IntegerField": "integer",
        "BigIntegerField": "bigint",
        "IPAddressField": "char(15)",
        "GenericIPAddressField": "char(39)",
        "JSONField": "json",
        "OneToOneField": "integer",
        "PositiveBigIntegerField": "bigint unsigned",
        "PositiveIntegerField": "integer unsigned",
        "PositiveSmallIntegerField": "smallint unsigned",
        "SlugField": "varchar(%(max_length)s)",
        "SmallAutoField": "smallint",
        "SmallIntegerField": "smallint",
        "TextField": "text",
        "TimeField": "time",
        "UUIDField": "uuid",
    }
    data_type_check_constraints = {  # noqa: RUF012
        "PositiveBigIntegerField": '"%(column)s" >= 0',
        "PositiveIntegerField": '"%(column)s" >= 0',
        "PositiveSmallIntegerField": '"%(column)s" >= 0',
    }
    data_types_suffix = {  # noqa: RUF012
        "AutoField": "AUTOINCREMENT",
        "BigAutoField": "AUTOINCREMENT",
        "SmallAutoField": "AUTOINCREMENT",
    }
    # LIKE ignores the case of ASCII letters, as SQLite's does; CLIKE is case-sensitive, ILIKE ignores the case of all
    # letters. None has an escape character unless it is named.
    operators = {  # noqa: RUF012
        "exact": "= %s",
        "iexact": r"ILIKE %s ESCAPE '\'",
        "contains": r"CLIKE %s ESCAPE '\'",
        "icontains": r"ILIKE %s ESCAPE '\'",
        "regex": "REGEXP %s",
        "iregex": "REGEXP '(?i)' || %s",
        "gt": "> %s",
        "gte": ">= %s",
        "lt": "< %s",
        "lte": "<= %s",
        "startswith": r"CLIKE %s ESCAPE '\'",
        "endswith": r"CLIKE %s ESCAPE '\'",
        "istartswith": r"ILIKE %s ESCAPE '\'",
        "iendswith": r"ILIKE %s ESCAPE '\'",
    }
    # The same where the right-hand side is an expression, whose wildcards are escaped by the database.
    pattern_esc = r"REPLACE(REPLACE(REPLACE({}, '\', '\\'), '%%', '\%%'), '_', '\_')"
    pattern_ops = {  # noqa: RUF012
        "contains": r"CLIKE '%%' || {} || '%%' ESCAPE '\'",
        "icontains": r"ILIKE '%%' || {} || '%%' ESCAPE '\'",
        "startswith": r"CLIKE {} || '%%' ESCAPE '\'",
        "istartswith": r"ILIKE {} || '%%' ESCAPE '\'",
        "endswith": r"CLIKE '%%' || {} ESCAPE '\'",
        "iendswith": r"ILIKE '%%' || {} ESCAPE '\'",
    }

    Database = zodbapi
    SchemaEditorClass = DatabaseSchemaEditor
    client_class = DatabaseClient
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures
    introspection_class = DatabaseIntrospection
    ops_class = DatabaseOperations

    # What django_zodb.transaction has to say about the transaction that begins next, and wants to know about the last.
    next_transaction: tuple[str, str | None] = ("deferred", None)  # mode and isolation level of ``Connection.begin``
    commits = 0

    connection: Connection
    creation: DatabaseCreation
    introspection: DatabaseIntrospection
    ops: DatabaseOperations

    def get_connection_params(self) -> dict[str, Any]:
        """The arguments of ``zodbapi.connect()``; OPTIONS go through."""
        options = self.settings_dict
        if not options["NAME"]:
            raise ImproperlyConfigured("settings.DATABASES is improperly configured. Please supply the NAME value.")
        if (options["USER"] or options["PASSWORD"]) and str(options["NAME"]).startswith("zeo:"):
            # Ignoring them would give the impression of a database that is protected.
            raise ImproperlyConfigured(
                "settings.DATABASES is improperly configured. ZEO knows no USER and PASSWORD: protect the server by "
                "TLS with client certificates, named in OPTIONS: authority, certificate, key."
            )
        return {
            "dsn": self.dsn,
            "autocommit": True,
            "functions": engine.FUNCTIONS,
            "paramstyle": "format",
            # Django itself watches over threads, and lets tests share connections between them.
            "check_same_thread": False,
            # Django works best with it: get_or_create() wants to see what another transaction has just committed.
            # https://docs.djangoproject.com/en/stable/ref/databases/#isolation-level has the reasons.
            "isolation_level": "READ COMMITTED",
            **options["OPTIONS"],
        }

    @property
    def dsn(self) -> str:
        """The data source that NAME stands for.

        ``:memory:`` is private to one connection of the driver. All threads of a project have to see the same
        database, so it becomes a shared one of the alias's name.
        """
        name = str(self.settings_dict["NAME"])
        return f"memory://{self.alias}" if name == ":memory:" else name

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        if self.is_in_memory_db():
            self.creation.keep(self.dsn)
        return zodbapi.connect(**conn_params)

    def create_cursor(self, name: str | None = None) -> Cursor:
        """The driver's own cursor: it reads ``%s`` and ``%(name)s`` itself."""
        zone, logged = self.timezone, self.queries_logged
        if zone is datetime.UTC and not logged:
            return self.connection.cursor()
        cursor = cast(
            "engine.LocalCursor", self.connection.cursor(engine.LoggedCursor if logged else engine.LocalCursor)
        )
        cursor.zone = zone
        return cursor

    def get_database_version(self) -> tuple[int, ...]:
        """The version of the engine."""
        return tuple(int(part) for part in zodbapi.__version__.split(".")[:2])

    def is_in_memory_db(self) -> bool:
        """Whether the database ends with the process."""
        return self.creation.is_in_memory_db(self.settings_dict["NAME"])

    def is_usable(self) -> bool:
        return self.connection.is_usable()

    # Transaction control calls the driver: the names of savepoints are unique, as SQL they would crowd out the cache of
    # compiled statements. They are logged as the SQL that they stand for, for connection.queries.

    def _set_autocommit(self, autocommit: bool) -> None:
        with self.wrap_database_errors:
            self.connection.autocommit = autocommit

    def _start_transaction_under_autocommit(self) -> None:
        """An atomic block begins its transaction; without autocommit the driver would begin one at the first write."""
        mode, isolation = self.next_transaction
        with debug_transaction(self, "BEGIN"), self.wrap_database_errors:
            self.connection.begin(mode, isolation=isolation)

    def _commit(self) -> Any:
        result = super()._commit()
        self.commits += 1
        return result

    def _savepoint(self, sid: str) -> None:
        self._control(self.ops.savepoint_create_sql(sid), self.connection.savepoint, sid)

    def _savepoint_rollback(self, sid: str) -> None:
        self._control(self.ops.savepoint_rollback_sql(sid), self.connection.rollback_to, sid)

    def _savepoint_commit(self, sid: str) -> None:
        self._control(self.ops.savepoint_commit_sql(sid), self.connection.release, sid)

    def _control(self, sql: str, method: Any, sid: str) -> None:
        self.validate_no_broken_transaction()
        with debug_transaction(self, sql), self.wrap_database_errors:
            method(sid)

    # Foreign keys are deferred to the commit, as PostgreSQL's are: nothing has to be disabled for rows to be written in
    # any order, and the rows written since the transaction began are all there is to check.

    def check_constraints(self, table_names: Iterable[str] | None = None) -> None:
        """Runs the checks that wait for the commit; raises IntegrityError for the first row that fails."""
        if self.connection is not None:
            with self.wrap_database_errors:
                self.connection.check_deferred()
