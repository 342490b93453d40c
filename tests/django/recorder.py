"""A test runner that also writes what became of every test, in whichever process it ran."""

import json
import os
import unittest
from pathlib import Path
from typing import Any

from django.test.runner import DiscoverRunner


class RecordingResult(unittest.TextTestResult):
    """Keeps ``{test id: [status, reason]}``, status being passed, failed or skipped, and writes it when the run ends.

    With several processes this result lives in the parent, which replays the events of its workers on it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outcomes: dict[str, tuple[str, str]] = {}

    def record(self, test: unittest.TestCase, status: str, reason: str = "") -> None:
        """Notes an outcome; a failure is never overwritten by what the same test reports afterwards."""
        if self.outcomes.get(test.id(), ("", ""))[0] != "failed":
            self.outcomes[test.id()] = (status, reason)

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self.record(test, "passed")

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self.record(test, "passed", "fails as Django expects")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self.record(test, "failed", "passed, but Django or the backend's features expect a failure")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self.record(test, "skipped", reason)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self.record(test, "failed", describe(err))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self.record(test, "failed", describe(err))

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.record(test, "failed", describe(err))

    def stopTestRun(self) -> None:
        super().stopTestRun()
        Path(os.environ["SUITE_RESULTS"]).write_text(json.dumps(self.outcomes, indent=0, sort_keys=True))


def describe(err: Any) -> str:
    """The last line that a traceback would have."""
    return f"{err[0].__name__}: {err[1]}".splitlines()[0][:300]


class Recorder(DiscoverRunner):
    """Django's runner with the recording result."""

    def get_resultclass(self) -> type[unittest.TextTestResult]:
        return super().get_resultclass() or RecordingResult
