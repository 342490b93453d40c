"""The crash test, for a few seconds; ``python -m tests.crash`` runs it for a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.log import COMMITTED
from tests.crash.scene import Scene


@pytest.mark.parametrize(("zeo", "blobs"), [(False, False), (False, True), (True, False)], ids=["file", "blobs", "zeo"])
def test_nothing_is_lost_when_processes_are_killed(tmp_path: Path, zeo: bool, blobs: bool) -> None:
    report = Scene(tmp_path, processes=4, seconds=8.0, seed=7, zeo=zeo, blobs=blobs).run(interval=1.5)
    assert not report.problems, str(report)
    assert report.counts[COMMITTED] > 20
    assert report.killed["workers"]
    assert bool(report.killed["servers"]) is zeo
