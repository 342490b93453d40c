"""Settings for the tests that need Django: two databases in memory, and the apps that Django itself ships."""

SECRET_KEY = "tests"
DATABASES = {
    "default": {"ENGINE": "django_zodb", "NAME": ":memory:"},
    "other": {"ENGINE": "django_zodb", "NAME": ":memory:"},
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django_zodb",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = True
