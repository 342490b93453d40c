"""The fixtures for pytest, in runs of their own that find the plugin by its entry point, as an installed one is found."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

TESTS = """
    import zodbapi

    def test_fresh(zodb_connection):
        zodb_connection.execute("CREATE TABLE t (a)")

    def test_fresh_again(zodb_connection):
        zodb_connection.execute("CREATE TABLE t (a)")

    def test_file(zodb_file, tmp_path):
        assert zodb_file.parent == tmp_path and zodb_file.exists()
        with zodbapi.connect(zodb_file) as connection:
            connection.execute("CREATE TABLE t (a)")
        connection.close()

    def test_loaded(zodb_loaded):
        assert zodb_loaded.execute("SELECT sum(a) FROM t").fetchone() == (499500,)
        zodb_loaded.execute("DELETE FROM t")
        zodb_loaded.commit()

    def test_loaded_again(zodb_loaded):
        test_loaded(zodb_loaded)
"""

LOAD = """
    def load(connection):
        with open("loads.log", "a") as log:
            log.write("loaded ")
        connection.execute("CREATE TABLE t (a INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(1000)])
"""

OVERRIDE = """
    import pytest
    from load import load

    @pytest.fixture(scope="session")
    def zodb_load():
        return load
"""


def dedented(text: str) -> str:
    """A module of the run, without the indentation it has here."""
    return "\n".join(line.removeprefix("    ") for line in text.splitlines())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project next to what pip writes about an installed package: its name, version and entry points."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = tmp_path / "site" / "zodbapi-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: zodbapi\nVersion: 0\n")
    points = [
        f"[{group}]\n" + "\n".join(map(" = ".join, items.items())) for group, items in found["entry-points"].items()
    ]
    (installed / "entry_points.txt").write_text("\n".join(points))
    project = tmp_path / "project"
    project.mkdir()
    (project / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (project / "load.py").write_text(dedented(LOAD))
    (project / "test_it.py").write_text(dedented(TESTS))
    return project


def run(folder: Path, *arguments: str) -> str:
    """What pytest prints in that folder."""
    path = os.pathsep.join((str(folder.parent / "site"), str(ROOT), str(folder)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DJANGO"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_fixtures(folder: Path, arguments: tuple[str, ...]) -> None:
    (folder / "conftest.py").write_text(dedented(OVERRIDE))
    assert "5 passed" in run(folder, "-p", "no:django", *arguments)
    assert (folder / "loads.log").read_text().split() in (["loaded"], ["loaded"] * len(arguments))


def test_the_option_names_a_function(folder: Path) -> None:
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\nzodb_load = load:load\n")
    assert "5 passed" in run(folder, "-p", "no:django")


def test_nothing_to_load(folder: Path) -> None:
    output = run(folder, "-p", "no:django")
    assert "3 passed, 2 errors" in output
    assert "zodb_loaded needs a fixture zodb_load, or the option zodb_load = module:function" in output


def test_beside_django(folder: Path) -> None:
    pytest.importorskip("pytest_django")
    (folder / "conftest.py").write_text(dedented(OVERRIDE))
    settings = "DATABASES = {'default': {'ENGINE': 'django_zodb', 'NAME': ':memory:'}}\nSECRET_KEY = 'x'\n"
    (folder / "project_settings.py").write_text(
        settings + "INSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.auth']\nUSE_TZ = True\n"
    )
    (folder / "test_both.py").write_text(
        "import pytest\n"
        "@pytest.mark.django_db\n"
        "def test_both(zodb_loaded):\n"
        "    from django.contrib.auth.models import User\n"
        "    User.objects.create(username='a')\n"
        "    assert zodb_loaded.execute('SELECT count(*) FROM t').fetchone() == (1000,)\n"
    )
    assert "6 passed" in run(folder, "--ds", "project_settings", "-n", "2")


def test_the_engine_is_not_loaded_before_a_test_asks_for_it(folder: Path) -> None:
    (folder / "test_it.py").write_text(
        "import sys\n"
        "def test_nothing():\n"
        "    assert 'zodbapi.pytest_plugin' in sys.modules\n"
        "    loaded = {'zodbapi.connection', 'ZODB', 'BTrees', 'sqlglot'} & sys.modules.keys()\n"
        "    assert not loaded\n"
    )
    assert "1 passed" in run(folder, "-p", "no:django")


def test_every_public_name_is_found() -> None:
    script = "import zodbapi; print(all(getattr(zodbapi, name) is not None for name in dir(zodbapi)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "True\n"
