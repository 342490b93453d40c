"""Django's source distribution, which has the suite, and what the suite's tests import."""

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import django

FOLDER = Path(__file__).resolve().parents[2] / ".django"


def fetch_suite() -> Path:
    """The ``tests`` folder of the source distribution of the installed version, fetched once."""
    version = django.get_version()
    suite = FOLDER / f"django-{version}" / "tests"
    if not (suite / "runtests.py").exists():
        print(f"Fetching Django {version}'s source distribution", flush=True)
        pip("download", "--no-deps", "--no-binary=django", f"--dest={FOLDER}", f"django=={version}")
        archive = next(path for path in FOLDER.glob("*.tar.gz") if path.name.lower() == f"django-{version}.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(FOLDER, filter="data")
        next(FOLDER.glob(f"[dD]jango-{version}/")).rename(suite.parent)
    return suite


def install_requirements(suite: Path) -> None:
    """Installs the suite's requirements into this environment, wheels only: a run must not depend on a compiler.

    A requirement without a wheel is named; the suite skips the tests that need it.
    """
    done = Path(sys.prefix) / f"django-{django.get_version()}-requirements"
    if done.exists():
        print(done.read_text(), end="")
        return
    lines = (suite / "requirements" / "py3.txt").read_text().splitlines()
    requirements = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    missing = [requirement for requirement in requirements if not install(requirement)]
    names = ", ".join(re.split(r"[\s;<>=!~]", requirement)[0] for requirement in missing)
    done.write_text(
        f"Not installed, for there is no wheel: {names}. Tests that need them are skipped.\n" if names else ""
    )
    print(done.read_text(), end="")


def install(requirement: str) -> bool:
    print(f"Installing {requirement}", flush=True)
    return pip("install", "--only-binary=:all:", requirement, check=False)


def pip(command: str, *arguments: str, check: bool = True) -> bool:
    """Runs pip of this environment, quietly unless it fails and must not."""
    program = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(f"{' '.join(program)}\n{done.stdout}{done.stderr}")
    return done.returncode == 0
