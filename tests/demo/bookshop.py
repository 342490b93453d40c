"""Makes the bookshop's Django project in a folder, and serves it."""

import os
import subprocess
import sys
from pathlib import Path

TEMPLATE = Path(__file__).parent / "project"
ADMIN = "admin"


def make_bookshop(folder: Path, scale: float = 1.0) -> None:
    """Leaves a migrated and filled project in ``folder``, and does only what is not done yet."""
    if not (folder / "manage.py").exists():
        print(f"Making a Django project in {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        django = [sys.executable, "-m", "django", "startproject", "--template", str(TEMPLATE), "bookshop", str(folder)]
        subprocess.run(django, check=True, env=environment())
    if not (folder / "shop" / "migrations" / "0001_initial.py").exists():
        manage(folder, "makemigrations", "shop", "--verbosity=0")
    manage(folder, "migrate", "--verbosity=1")
    # The last step of the first run: what is there after it is complete.
    if not (folder / "filled").exists():
        print("Loading the shop")
        manage(folder, "flush", "--noinput", "--verbosity=0")
        manage(folder, "load_shop", f"--scale={scale}")
        manage(folder, "createsuperuser", "--noinput", "--username", ADMIN, "--email", "admin@example.com")
        (folder / "filled").touch()


def serve(folder: Path, port: int) -> None:
    """Turns this process into the project's server."""
    os.chdir(folder)
    os.execve(sys.executable, serving(port), environment())


def serving(port: int) -> list[str]:
    """The command that serves the project, in its folder."""
    return [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]


def manage(folder: Path, *arguments: str) -> None:
    """Runs ``manage.py`` of the project."""
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=folder, check=True, env=environment())


def environment() -> dict[str, str]:
    """This process's environment, without what would lead Django to another project's settings."""
    kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return kept | {"DJANGO_SUPERUSER_PASSWORD": ADMIN, "PYTHONUNBUFFERED": "1"}
