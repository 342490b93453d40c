"""The isolation levels, and their names in SQL and in options.

In: words such as REPEATABLE READ. Out: what a transaction may see of others::

    READ COMMITTED   every statement sees what was committed before it, until the transaction writes
    SNAPSHOT         the whole transaction sees what was committed before it began
    SERIALIZABLE     the same; and it commits only if nothing that it read, or found missing, has changed until then
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Isolation(Enum):
    """What a transaction sees of others that run at the same time."""

    READ_COMMITTED = "READ COMMITTED"
    SNAPSHOT = "SNAPSHOT"
    SERIALIZABLE = "SERIALIZABLE"


LEVELS: Final = {
    **{level.value: level for level in Isolation},
    "READ UNCOMMITTED": Isolation.READ_COMMITTED,  # nothing uncommitted is ever seen, as in PostgreSQL
    "REPEATABLE READ": Isolation.SNAPSHOT,
}
