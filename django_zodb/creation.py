"""Test databases: in memory unless TEST NAME says otherwise, and cloned in milliseconds for ``test --parallel``."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from django.db.backends.base.creation import BaseDatabaseCreation

import zodbapi

if TYPE_CHECKING:
    from django_zodb.base import DatabaseWrapper
    from zodbapi.connection import Connection

MEMORY = "memory://"


def _keep_real_clock() -> None:
    """Keeps freezegun, if tests have it, from putting its own classes in the place of those of ``datetime`` in the engine."""
    if find_spec("freezegun") is not None:
        import_module("freezegun").configure(extend_ignore_list=["zodbapi", "django_zodb"])


class DatabaseCreation(BaseDatabaseCreation):
    """Makes, clones and removes the databases that tests run on."""

    connection: DatabaseWrapper
    # A database in memory ends with its last connection. Django closes them after every request, so one more is kept.
    _kept: ClassVar[dict[str, Connection]] = {}

    def keep(self, dsn: str) -> None:
        """Keeps a database in memory until ``drop``."""
        if dsn not in self._kept:
            self._kept[dsn] = zodbapi.connect(dsn, check_same_thread=False)

    def drop(self, name: str) -> None:
        """Removes a database: its file, or the memory that is kept for it."""
        if self.is_in_memory_db(name):
            kept = self._kept.pop(name, None)
            if kept is not None:
                kept.close()
        else:
            for file in (name, *(f"{name}.{suffix}" for suffix in ("index", "lock", "old", "pack", "tmp"))):
                Path(file).unlink(missing_ok=True)

    @staticmethod
    def is_in_memory_db(name: Any) -> bool:
        """Whether a NAME means a database that ends with the process."""
        return str(name) == ":memory:" or str(name).startswith(MEMORY)

    def _get_test_db_name(self) -> str:
        name = str(self.connection.settings_dict["TEST"]["NAME"] or ":memory:")
        # pytest-django makes such names for the processes of pytest-xdist, each of which has a memory of its own.
        derived = name.startswith(f"test_{self.connection.settings_dict['NAME']}_")
        return f"{MEMORY}test_{self.connection.alias}" if derived or name == ":memory:" else name

    def _create_test_db(self, verbosity: int, autoclobber: bool, keepdb: bool = False) -> str:
        _keep_real_clock()
        name = self._get_test_db_name()
        if keepdb:
            return name
        if not self.is_in_memory_db(name) and Path(name).exists():
            if not autoclobber and not self._confirmed(name):
                self.log("Tests cancelled.")
                sys.exit(1)
            if verbosity >= 1:
                shown = self._get_database_display_str(verbosity, name)  # type: ignore[attr-defined]
                self.log(f"Destroying old test database for alias {shown}...")
        self.drop(name)
        return name

    def _confirmed(self, name: str) -> bool:
        question = f"Type 'yes' if you would like to try deleting the test database '{name}', or 'no' to cancel: "
        return input(question) == "yes"

    def _destroy_test_db(self, test_database_name: str, verbosity: int) -> None:
        if test_database_name:
            self.drop(test_database_name)

    # --- one clone a process of test --parallel -----------------------------------------------------------------------

    def get_test_db_clone_settings(self, suffix: str) -> dict[str, Any]:
        """The settings with a NAME that has the suffix, before a file's extension."""
        settings = self.connection.settings_dict
        name = str(settings["NAME"])
        if self.is_in_memory_db(name):
            return {**settings, "NAME": f"{name}_{suffix}"}
        path = Path(name)
        return {**settings, "NAME": str(path.with_name(f"{path.stem}_{suffix}{path.suffix}"))}

    def _clone_test_db(self, suffix: str, verbosity: int, keepdb: bool = False) -> None:
        target = self.get_test_db_clone_settings(suffix)["NAME"]
        if self.is_in_memory_db(target):
            if multiprocessing.get_start_method() == "fork":
                # The child process inherits the memory of this one, the database with it.
                return
            target = _transfer_file(target, os.getpid())
        elif keepdb and Path(target).exists():
            return
        self.drop(target)
        self.connection.ensure_connection()
        _copy(self.connection.connection, target)

    def setup_worker_connection(self, _worker_id: int) -> None:
        """In a new process: turns to the clone, which a process that was not forked loads into its memory."""
        name = self.connection.settings_dict["NAME"]
        if self.is_in_memory_db(name) and multiprocessing.get_start_method() == "fork":
            self.connection.close()
            return
        # In place: new threads connect by the same dictionary.
        self.connection.settings_dict.update(self.get_test_db_clone_settings(str(_worker_id)))
        self.connection.close()
        name = self.connection.settings_dict["NAME"]
        if self.is_in_memory_db(name) and name not in self._kept:  # where it is, another alias is a mirror of this one
            self.keep(name)
            parent = multiprocessing.parent_process()  # os.getppid() is a fork server
            assert parent is not None and parent.pid is not None
            file = _transfer_file(name, parent.pid)
            with closing(zodbapi.connect(file)) as source:
                _copy(source, name)
            self.drop(file)
        if os.environ.get("RUNNING_DJANGOS_TEST_SUITE") == "true":  # Django 6.0 does it itself
            self.mark_expected_failures_and_skips()


def _copy(source: Connection, target: str) -> None:
    with closing(zodbapi.connect(target)) as connection:
        source.backup(connection)


def _transfer_file(name: str, parent: int) -> str:
    """Where a process puts a database of its memory for a child to load it."""
    return str(Path(tempfile.gettempdir()) / f"{name.removeprefix(MEMORY)}_{parent}.fs")
