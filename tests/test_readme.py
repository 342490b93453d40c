"""The README and the code agree: paths exist, commands and targets are there, the example prints what it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def paths_named() -> list[str]:
    """What stands between backquotes and is a path of ours; ``a/b.py`, `c.py`` names two of one folder."""
    found: list[str] = []
    for line in README.splitlines():
        folder = ""
        for quoted in re.findall(r"`([\w/]+\.(?:py|toml))`", line):
            path = quoted if "/" in quoted or not folder else f"{folder}/{quoted}"
            folder = path.rpartition("/")[0]
            found.append(path)
    return sorted({path for path in found if path != "manage.py"})  # that one is the reader's


@pytest.mark.parametrize("path", paths_named())
def test_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+)", README))))
def test_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`(?:manage\.py )?([a-z]+zodb|runzeo)\b", README))))
def test_command_exists(command: str) -> None:
    assert (ROOT / "django_zodb" / "management" / "commands" / f"{command}.py").exists()


@pytest.mark.parametrize("source", ["README.md", "Makefile"])
def test_options_exist(source: str) -> None:
    """Of the programs among the tests that are named there."""
    text = (ROOT / source).read_text().replace("\n", " ")
    commands = re.findall(r"-m (tests\.\w+)((?: (?:--?)?[\w$(),.\"]+)*)", text)
    assert commands
    for module, arguments in commands:
        place = ROOT / module.replace(".", "/")
        program = (place / "__main__.py" if place.is_dir() else place.with_suffix(".py")).read_text()
        for option in re.findall(r"--\w+", arguments):
            assert f'"{option}"' in program, f"{module} {option}"


def test_tour_names_at_most_ten_files() -> None:
    tour = README.partition("## The life of a statement")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in tour.splitlines() if line.startswith("| `")]
    assert 0 < sum(cell.count("`") // 2 for cell in cells) <= 10


def test_python_example(tmp_path: Path) -> None:
    example = next(
        block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "zodbapi.connect" in block
    )
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = re.findall(r"# (.+?) - ", example)
    assert done.stdout.splitlines() == expected
