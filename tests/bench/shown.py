"""How durations are printed."""

from __future__ import annotations


def shown(seconds: float) -> str:
    """A duration in a unit that suits it."""
    return f"{seconds * 1e6:10.2f} us" if seconds < 1e-3 else f"{seconds * 1e3:10.2f} ms"
