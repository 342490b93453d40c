"""The comparison of a run of Django's suite with the committed list."""

from pathlib import Path

from tests.django.expected import LIST, Expected, Skips

PASSED, FAILED = ("passed", ""), ("failed", "AssertionError: 1 != 2")
EXPECTED = Expected(
    failures={"app.tests.Root.test_as_root": "needs a user other than root"},
    skips=(Skips("feature.*: tablespaces", "there is one file", count=1), Skips("^requires redis$", "no server here")),
)
AS_LISTED = {
    "app.tests.Good.test_it": PASSED,
    "app.tests.Root.test_as_root": FAILED,
    "app.tests.Space.test_it": ("skipped", "Database doesn't support feature(s): tablespaces"),
    "app.tests.Cache.test_it": ("skipped", "requires redis"),
}


def test_run_as_listed_has_no_surprise() -> None:
    assert EXPECTED.surprises(AS_LISTED, whole=True) == []


def test_new_failure() -> None:
    assert EXPECTED.surprises(AS_LISTED | {"app.tests.Good.test_it": FAILED}, whole=False) == [
        "failed: app.tests.Good.test_it (AssertionError: 1 != 2)"
    ]


def test_listed_failure_that_passes() -> None:
    assert EXPECTED.surprises(AS_LISTED | {"app.tests.Root.test_as_root": PASSED}, whole=False) == [
        "passed, but listed as failing: app.tests.Root.test_as_root (needs a user other than root)"
    ]


def test_optional_failure_may_pass() -> None:
    test = "app.tests.Root.test_as_root"
    relaxed = Expected(EXPECTED.failures, EXPECTED.skips, frozenset([test]))
    assert relaxed.surprises(AS_LISTED | {test: PASSED}, whole=True) == []
    assert relaxed.surprises(AS_LISTED, whole=True) == []


def test_failures_of_one_version(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    path.write_text('[[failures]]\nreason = "new"\ndjango = "6.0"\ntests = ["app.tests.New.test_it"]\n')
    assert Expected.read(path, "5.2.19").failures == {}
    assert Expected.read(path, "6.0.10").failures == {"app.tests.New.test_it": "new"}


def test_skip_for_a_new_reason() -> None:
    assert EXPECTED.surprises(AS_LISTED | {"app.tests.Good.test_it": ("skipped", "tired")}, whole=False) == [
        "skipped: app.tests.Good.test_it (tired)"
    ]


def test_number_of_skips_counts_in_a_whole_run_only() -> None:
    more = AS_LISTED | {"app.tests.Good.test_it": ("skipped", "Database doesn't support feature(s): tablespaces")}
    assert EXPECTED.surprises(more, whole=False) == []
    assert EXPECTED.surprises(more, whole=True) == ["2 skips match 'feature.*: tablespaces', and 1 are listed"]


def test_a_part_of_the_suite_need_not_have_what_is_listed() -> None:
    part = {"app.tests.Good.test_it": PASSED}
    assert EXPECTED.surprises(part, whole=False) == []
    assert EXPECTED.surprises(part, whole=True) == [
        "listed as failing, but not in the suite: app.tests.Root.test_as_root",
        "0 skips match 'feature.*: tablespaces', and 1 are listed",
    ]


def test_committed_list_gives_every_reason() -> None:
    expected = Expected.read(LIST)
    assert all(expected.failures.values()) and all(skips.reason for skips in expected.skips)
