"""Options of the test run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--golden=rewrite`` writes the golden files instead of comparing them."""
    parser.addoption("--golden", choices=("compare", "rewrite"), default="compare", help="what to do with golden files")
