"""What is loaded when, by processes of their own."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from zodbapi.deferred import deferred, load

_SETTINGS = """
import sys, django
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django_zodb", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_zodb"],
)
django.setup()
from django.contrib.auth.models import User
str(User.objects.filter(date_joined__year=2020).query)
"""


def loaded(code: str) -> set[str]:
    """The packages that a process has loaded which runs the code."""
    code += "\nprint(*{name.split('.')[0] for name in sys.modules})"
    root = str(Path(__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True)
    return set(done.stdout.split())


ENGINE = {"sqlglot", "ZODB", "BTrees", "persistent", "transaction", "zope"}


def test_django_is_set_up_without_the_engine() -> None:
    assert not loaded(_SETTINGS) & ENGINE


def test_a_connection_loads_the_engine() -> None:
    assert (
        loaded(_SETTINGS + "User._meta.get_fields(); from django.db import connection; connection.cursor()") >= ENGINE
    )


def test_the_driver_is_imported_without_the_engine() -> None:
    assert not loaded("import sys, zodbapi; zodbapi.IntegrityError") & ENGINE


def test_a_deferred_module_is_the_module() -> None:
    import string

    module = deferred("string")
    assert module.digits is string.digits
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_threads_may_load_a_module_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_load.py").write_text("import time\ntime.sleep(0.2)\nvalue = 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    module, found = deferred("slow_to_load"), []
    threads = [threading.Thread(target=lambda: found.append(module.value)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [7, 7, 7, 7]
    assert gc.isenabled()


def test_what_an_application_has_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        load("zodbapi.record")
        assert gc.get_freeze_count() == frozen
    finally:
        gc.unfreeze()
