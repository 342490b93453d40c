"""What Django's ``tests/test_sqlite.py`` has, with the engine from the environment and a runner that writes its results."""

import os

ENGINE = os.environ.get("SUITE_ENGINE", "django_zodb")

DATABASES = {"default": {"ENGINE": ENGINE}, "other": {"ENGINE": ENGINE}}
if ENGINE == "django_zodb":
    for database in DATABASES.values():
        database["NAME"] = ":memory:"

SECRET_KEY = "django_tests_secret_key"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "tests.django.recorder.Recorder"
