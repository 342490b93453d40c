"""INSERT ... VALUES with many rows of placeholders alone: the text of a bulk insert.

In: the text, which is another one for every number of rows. Out: that with one row, whose program is run so many times, so
that the rest costs no time to compile and, where it is long, no place in the cache.
"""

from __future__ import annotations

import re
from typing import Final

_NAME = r'(?:"[^"%?]*"|\w+)'
_FIRST_ROW = re.compile(
    rf"(INSERT (?:OR \w+ )?INTO {_NAME}(?: ?\({_NAME}(?:, ?{_NAME})*\))? VALUES )(\((%s|\?)(?:, ?\3)*\))(, ?)",
    re.IGNORECASE,
)
_AFTER_ROWS = re.compile(r"(?: (?:ON|RETURNING)\b[^%?']*)?", re.IGNORECASE)
LONGEST_REPEATED: Final = 2000  # characters of such a text that are kept


def one_of_repeated(sql: str) -> tuple[str, int] | None:
    """The text of the same INSERT with one row, and how many rows there are, if there are some that are alike."""
    first = _FIRST_ROW.match(sql)
    if first is None:
        return None
    row = first[4] + first[2]
    more = sql.count(row)
    end = first.end(2) + more * len(row)
    if not more or sql[first.end(2) : end] != row * more or not _AFTER_ROWS.fullmatch(sql, end):
        return None
    return first[1] + first[2] + sql[end:], 1 + more
