"""PEP 249's type objects and constructors.

A ``description``'s type code is the name of a ``catalog.Kind``: ``"integer"``, ``"text"``, ... A type object compares
equal to each of its codes, so ``description[0][1] == zodbapi.NUMBER`` reads as the standard wants.
"""

from __future__ import annotations

import datetime

from zodbapi.catalog import Kind


class TypeObject:
    """Equal to every type code that it stands for."""

    def __init__(self, name: str, *kinds: Kind) -> None:
        self.name = name
        self.codes = frozenset(kind.value for kind in kinds)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TypeObject):
            return self.name == other.name
        return other in self.codes if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"zodbapi.{self.name}"


STRING = TypeObject("STRING", Kind.TEXT, Kind.JSON, Kind.UUID)
BINARY = TypeObject("BINARY", Kind.BLOB)
NUMBER = TypeObject("NUMBER", Kind.INTEGER, Kind.REAL, Kind.NUMERIC, Kind.DECIMAL, Kind.BOOLEAN)
DATETIME = TypeObject("DATETIME", Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMPTZ, Kind.INTERVAL)
ROWID = TypeObject("ROWID", Kind.INTEGER)

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> datetime.date:
    """The local date at ``ticks`` seconds since the epoch."""
    return datetime.datetime.fromtimestamp(ticks).date()


def TimeFromTicks(ticks: float) -> datetime.time:
    """The local time of day at ``ticks`` seconds since the epoch."""
    return datetime.datetime.fromtimestamp(ticks).time()


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    """The local date and time at ``ticks`` seconds since the epoch."""
    return datetime.datetime.fromtimestamp(ticks)
