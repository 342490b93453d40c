"""Transaction ids, which are times.

In: the last one. Out: the next, from the clock if that has gone on.

ZODB's way breaks the time into year, month, day, hour and minute for every id; here that is done once a minute.
"""

from __future__ import annotations

import time
from struct import Struct

from persistent.TimeStamp import TimeStamp

_SECONDS = Struct(">I")
_TICKS = 2**32 / 60  # in a second
# The minute of the clock, and how the ids in it begin; always changed as a whole, so that threads need no lock.
_minute: tuple[float, bytes] = (-1.0, b"")


def next_tid(last: bytes) -> bytes:
    """A transaction id after ``last``: that of now, or the one that follows ``last`` when the clock has gone backwards."""
    global _minute
    minute, second = divmod(time.time(), 60)
    known, start = _minute
    if minute != known:
        start = TimeStamp(*time.gmtime(minute * 60)[:5], 0.0).raw()[:4]
        _minute = minute, start
    tid = start + _SECONDS.pack(int(second * _TICKS))
    if tid > last:
        return tid
    return bytes(TimeStamp(tid).laterThan(TimeStamp(last)).raw())
