"""What the suite's ``tests/test_sqlite.py`` has, with the engine from the environment and a runner that writes its results."""

import os

# It differs from one version of Django to the next.
from test_sqlite import *  # noqa: F403

ENGINE = os.environ.get("SUITE_ENGINE", "django_zodb")

DATABASES = {"default": {"ENGINE": ENGINE}, "other": {"ENGINE": ENGINE}}
if ENGINE == "django_zodb":
    for database in DATABASES.values():
        database["NAME"] = ":memory:"

TEST_RUNNER = "tests.django.recorder.Recorder"
