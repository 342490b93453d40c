"""The log of the workers: which transactions they began, and what they were told of each.

In: lines that any number of processes append to one file. Out: a verdict for each transaction.

A line is written before a transaction begins and after it ended, so a worker that is killed leaves at most one transaction
a thread in doubt.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

BEGUN: Final = "begun"
COMMITTED: Final = "committed"  # acknowledged: it is there, whatever happens later
CONFLICT: Final = "conflict"  # told to try again: it is not there
REFUSED: Final = "refused"  # a constraint failed: it is not there
LOST: Final = "lost"  # the server went away: it is there or not, but whole
PACKED: Final = "packed"
READY: Final = "ready"  # a worker has opened the database


class Journal:
    """Appends lines to the log; threads and processes may do so at once."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def write(self, verdict: str, token: str) -> None:
        """One line, in one write."""
        os.write(self._fd, f"{verdict} {token}\n".encode())


@dataclass(slots=True)
class Record:
    """What the log says after the last worker has ended."""

    verdicts: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def tokens(self, *verdicts: str) -> set[str]:
        """The transactions with one of these verdicts."""
        return {token for token, verdict in self.verdicts.items() if verdict in verdicts}


def read_log(path: Path) -> Record:
    """The last word on each transaction, and how often each verdict was given."""
    record = Record()
    for line in path.read_text().splitlines():
        verdict, token = line.split()
        record.counts[verdict] += 1
        if verdict not in (PACKED, READY):
            record.verdicts[token] = verdict
    return record
