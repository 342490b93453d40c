"""The committed list of what fails and what is skipped, each with its reason, and the comparison with a run."""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import django

Outcomes = Mapping[str, tuple[str, str]]
LIST = Path(__file__).with_name("expected.toml")


@dataclass(frozen=True, slots=True)
class Skips:
    """Skips whose reason, as the suite gives it, matches ``match``; in a whole run ``count`` of them, where that is fixed."""

    match: str
    reason: str
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """``optional`` failures happen on some machines only."""

    failures: Mapping[str, str]
    skips: tuple[Skips, ...]
    optional: frozenset[str] = frozenset()

    @classmethod
    def read(cls, path: Path = LIST, version: str = django.get_version()) -> "Expected":
        """The list in the file, for one version of Django. Tests without a reason are refused."""
        document = tomllib.loads(path.read_text())
        groups = [group for group in document.get("failures", ()) if version.startswith(group.get("django", ""))]
        failures = {test: group["reason"] for group in groups for test in group["tests"]}
        optional = frozenset(test for group in groups if group.get("optional") for test in group["tests"])
        return cls(failures, tuple(Skips(**group) for group in document.get("skips", ())), optional)

    def surprises(self, outcomes: Outcomes, whole: bool) -> list[str]:
        """What the run did otherwise than listed, either way."""
        return [*self.surprising_failures(outcomes, whole), *self.surprising_skips(outcomes, whole)]

    def surprising_failures(self, outcomes: Outcomes, whole: bool) -> list[str]:
        failed = {test: reason for test, (status, reason) in outcomes.items() if status == "failed"}
        found = [f"failed: {test} ({reason})" for test, reason in sorted(failed.items()) if test not in self.failures]
        for test, reason in sorted(self.failures.items()):
            if test in self.optional:
                continue
            if outcomes.get(test, ("absent", ""))[0] not in ("failed", "absent"):
                found.append(f"{outcomes[test][0]}, but listed as failing: {test} ({reason})")
            elif whole and test not in outcomes:
                found.append(f"listed as failing, but not in the suite: {test}")
        return found

    def surprising_skips(self, outcomes: Outcomes, whole: bool) -> list[str]:
        seen: Counter[str] = Counter()
        found = []
        for test, (status, reason) in sorted(outcomes.items()):
            if status == "skipped":
                group = next((skips for skips in self.skips if re.search(skips.match, reason)), None)
                if group is None:
                    found.append(f"skipped: {test} ({reason})")
                else:
                    seen[group.match] += 1
        counted = [skips for skips in self.skips if whole and skips.count not in (None, seen[skips.match])]
        found += [f"{seen[skips.match]} skips match {skips.match!r}, and {skips.count} are listed" for skips in counted]
        return found
