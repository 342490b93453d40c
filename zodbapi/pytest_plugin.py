"""Fixtures for pytest: databases that are fresh for every test.

pytest finds this plugin by its entry point. It loads nothing of the engine before a test asks for a database.

===================  =====================================================================================================
``zodb_connection``  a connection to an empty database in memory
``zodb_file``        the path of an empty database file in the test's ``tmp_path``
``zodb_loaded``      a connection to a copy of the database that ``zodb_load`` filled, once a session
``zodb_load``        the function that fills it: override this fixture, or name ``module:function`` in the option of that name
===================  =====================================================================================================
"""

from __future__ import annotations

import importlib
import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from zodbapi.connection import Connection
    from zodbapi.storage.database import Database


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option ``zodb_load`` of pytest's configuration file."""
    parser.addini("zodb_load", "module:function that fills the database of the fixture zodb_loaded, given a connection")


@pytest.fixture
def zodb_connection() -> Iterator[Connection]:
    """A connection to an empty database in memory, which ends with the test."""
    import zodbapi

    connection = zodbapi.connect(":memory:")
    yield connection
    connection.close()


@pytest.fixture
def zodb_file(tmp_path: Path) -> Path:
    """The path of an empty database file in the test's own folder."""
    import zodbapi

    path = tmp_path / "test.fs"
    zodbapi.connect(path).close()
    return path


@pytest.fixture(scope="session")
def zodb_load(pytestconfig: pytest.Config) -> Callable[[Connection], Any]:
    """What fills the database of ``zodb_loaded``, given a connection; its transaction is committed afterwards."""
    module, _, function = pytestconfig.getini("zodb_load").partition(":")
    if not function:
        raise pytest.UsageError("zodb_loaded needs a fixture zodb_load, or the option zodb_load = module:function")
    found: Callable[[Connection], Any] = getattr(importlib.import_module(module), function)
    return found


@pytest.fixture(scope="session")
def zodb_template(zodb_load: Callable[[Connection], Any]) -> Iterator[Database]:
    """The database that ``zodb_load`` filled; in every process of a parallel run one."""
    import zodbapi
    from zodbapi.storage.database import Database

    template = Database.open(f"memory://pytest-{uuid.uuid4()}")
    connection = zodbapi.connect(template.dsn)
    try:
        with connection:
            zodb_load(connection)
    finally:
        connection.close()
    yield template
    template.close()


@pytest.fixture
def zodb_loaded(zodb_template: Database) -> Iterator[Connection]:
    """A connection to a copy of the filled database; the copy shares what the test does not change."""
    import zodbapi

    copied = zodb_template.copy_as(f"memory://pytest-{uuid.uuid4()}")
    connection = zodbapi.connect(copied.dsn)
    yield connection
    connection.close()
    copied.close()
