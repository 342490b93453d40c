"""What generated code may call besides ``values`` and ``functions``: small, and named after what SQL needs."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cache, reduce
from itertools import chain, compress, count
from math import isinf
from operator import add, eq, not_
from typing import Any, NoReturn
from uuid import UUID

from zodbapi import errors, values
from zodbapi.catalog import INTEGER, NUMBERS, TEXTS, UUID_NUMBER, Kind
from zodbapi.functions.text import length
from zodbapi.values import NEVER
from zodbapi.values.arithmetic import EXACT, exact_sum
from zodbapi.values.collation import collation_key

_CLASSES: dict[Kind, frozenset[type]] = {
    **dict.fromkeys(NUMBERS, frozenset({int, float, bool, Decimal})),
    **dict.fromkeys(TEXTS, frozenset({str})),
    Kind.BLOB: frozenset({bytes}),
    Kind.DATE: frozenset({date}),
    Kind.TIME: frozenset({time}),
    Kind.INTERVAL: frozenset({timedelta}),
    Kind.UUID: frozenset({UUID}),
}


def length_of(stored: Any) -> Any:
    """SQL's length() of what a row has in a column; a value that is not in the row is not read for it."""
    return stored[0] if type(stored) is tuple else length(stored)


def lists() -> defaultdict[Any, list[Any]]:
    """The table of a hash join: key -> rows."""
    return defaultdict(list)


class Ordered:
    """A value of any class, comparable by Python's operators with values of all classes, in the engine's order."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, Ordered) else other))

    def __hash__(self) -> int:
        return hash(self.value)

    # Python asks the right operand with the mirrored operator, after the stored value has declined.
    def __lt__(self, other: Any) -> bool:
        return _is_value(other) and values.lt(self.value, _value(other))

    def __le__(self, other: Any) -> bool:
        return _is_value(other) and values.le(self.value, _value(other))

    def __gt__(self, other: Any) -> bool:
        return _is_value(other) and values.gt(self.value, _value(other))

    def __ge__(self, other: Any) -> bool:
        return _is_value(other) and values.ge(self.value, _value(other))


def _is_value(other: Any) -> bool:
    return other is not None and other is not NEVER


def _value(other: Any) -> Any:
    """What is compared when both sides were made comparable in the prologue."""
    return other.value if type(other) is Ordered else other


def ordered(value: Any) -> Any:
    """The value, ready for Python's comparison with a value of any class; NULL compares with nothing."""
    return NEVER if value is None else Ordered(value)


@cache
def ordered_by(key: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``ordered`` for texts under a collation, for what comes out is no text that could still be folded."""

    def folded_and_ordered(value: Any) -> Any:
        return ordered(key(value))

    return folded_and_ordered


def plain_class(value: Any) -> type | None:
    """The class of a value, if Python orders it with others of its class as the engine does; else None."""
    return type(value) if type(value) in _ORDERED and value == value else None


_ORDERED = frozenset({int, float, str, Decimal})


def not_null(value: Any) -> Any:
    """The value, ready for Python's equality with a value of any class; NULL equals nothing."""
    return NEVER if value is None else value


@cache
def guard(kind: Kind) -> Callable[[Any], Any]:
    """A function that makes a value ready for Python's comparison with stored values of ``kind``, unconverted."""
    classes = _CLASSES.get(kind, frozenset())

    def guarded(value: Any) -> Any:
        return value if type(value) in classes else ordered(value)

    return guarded


class Failed:
    """Stands for a value that could not be computed: who compares with it gets the error."""

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def _fail(self, *_: object) -> NoReturn:
        raise self._error

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _fail
    __hash__ = None  # type: ignore[assignment]
    has_null = property(_fail)


def attempt(compute: Callable[[], Any]) -> Any:
    """What a function without arguments gives; if it fails, an object that raises its error when it is compared."""
    try:
        return compute()
    except Exception as error:
        return Failed(error)


class Members(frozenset[Any]):
    """The values of an IN list without NULL; ``has_null`` says whether there was one, which makes NOT IN unknown."""

    has_null: bool
    open_rows: tuple[tuple[Any, ...], ...] = ()  # rows of several columns with a NULL among them


def members(items: Iterable[Any]) -> Members:
    """The set of an IN list."""
    found = set(items)
    result = Members(found - {None})
    result.has_null = None in found
    return result


class _All:
    """What everything is a member of."""

    def __contains__(self, value: object) -> bool:
        return True


def members_or_null(found: Members) -> Container[Any]:
    """What a value must not be in for NOT IN to be true: the members and NULL; anything, if there is a NULL in the list."""
    return _All() if found.has_null else found | {None}


def row_members(items: Iterable[tuple[Any, ...]]) -> Members:
    """The set of an IN subquery of several columns; rows with a NULL, which may leave NOT IN open, are kept apart."""
    found = set(items)
    result = Members(row for row in found if None not in row)
    result.open_rows = tuple(row for row in found if None in row)
    result.has_null = bool(result.open_rows)
    return result


def folding(name: str, collations: Mapping[str, Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """The function through which values go into keys: that of a collation, or of ``UUID_NUMBER``."""
    return values.uuid_number if name == UUID_NUMBER else collation_key(name, collations)


def compare_rows(op: str, left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    """Whether a comparison of row values is true; unknown counts as false.

    The first pair of items that differs decides, and a NULL on the way makes the result unknown, except that an
    inequality is already true when any later pair differs (https://www.sqlite.org/rowvalue.html).
    """
    unknown = False
    for a, b in zip(left, right, strict=True):
        if a is None or b is None:
            if op not in ("=", "!="):
                return False
            unknown = True
        elif not values.eq(a, b):
            if op in ("=", "!="):
                return op == "!="
            return values.lt(a, b) if op[0] == "<" else values.gt(a, b)
    return not unknown and op in ("=", "<=", ">=")


def row_in(row: tuple[Any, ...], rows: Iterable[tuple[Any, ...]]) -> bool | None:
    """Whether the row equals one of the rows: True, False, or None when a NULL leaves it open."""
    unknown = False
    for other in rows:
        if compare_rows("=", row, other):
            return True
        unknown = unknown or not compare_rows("!=", row, other)
    return None if unknown else False


def contains(found: Members, value: Any) -> int | None:
    """The value of ``value IN (found)``."""
    if value is None:
        return None if found or found.has_null else 0
    return 1 if value in found else None if found.has_null else 0


def contains_row(found: Members, row: tuple[Any, ...]) -> int | None:
    """The value of ``row IN (found)``; a NULL on either side leaves it open unless the other columns rule it out."""
    if row in found:
        return 1
    candidates = (*found, *found.open_rows) if None in row else found.open_rows
    return 0 if row_in(row, candidates) is False else None


Fold = tuple[Callable[[Any], Any] | None, ...]
Rows = list[tuple[Any, ...]]


def _keyed(rows: Iterable[tuple[Any, ...]], folds: Fold) -> dict[Any, tuple[Any, ...]]:
    """The first of equal rows by its key, in order."""
    found: dict[Any, tuple[Any, ...]] = {}
    for row in rows:
        key = tuple(v if f is None else f(v) for v, f in zip(row, folds, strict=True))
        found.setdefault(key, row)
    return found


def union(left: Rows, right: Rows, folds: Fold = ()) -> Rows:
    """Rows of either side, without duplicates."""
    return list(_keyed(left + right, folds).values()) if folds else list(dict.fromkeys(left + right))


def intersect(left: Rows, right: Rows, folds: Fold = ()) -> Rows:
    """Rows of both sides, without duplicates."""
    if folds:
        others = _keyed(right, folds)
        return [row for key, row in _keyed(left, folds).items() if key in others]
    members_ = set(right)
    return [row for row in dict.fromkeys(left) if row in members_]


def except_(left: Rows, right: Rows, folds: Fold = ()) -> Rows:
    """Rows of the left side that the right side does not have, without duplicates."""
    if folds:
        others = _keyed(right, folds)
        return [row for key, row in _keyed(left, folds).items() if key not in others]
    members_ = set(right)
    return [row for row in dict.fromkeys(left) if row not in members_]


class WorkQueue:
    """The rows a recursive query has still to work on: first in first out, or in the order of its ORDER BY."""

    def __init__(self, distinct: bool, directions: tuple[tuple[bool, bool], ...]) -> None:
        self._rows: deque[tuple[Any, ...]] = deque()
        self._heap: list[tuple[Any, int, tuple[Any, ...]]] = []
        self._seen: set[tuple[Any, ...]] | None = set() if distinct else None
        self._directions = directions
        self._serial = count()

    def put(self, row: tuple[Any, ...], keys: tuple[Any, ...] = ()) -> None:
        """Adds a row, unless an equal one was added before and the query is a UNION."""
        if self._seen is not None:
            if row in self._seen:
                return
            self._seen.add(row)
        if keys:
            place = tuple(directed(k, *d) for k, d in zip(keys, self._directions, strict=True))
            heapq.heappush(self._heap, (place, next(self._serial), row))
        else:
            self._rows.append(row)

    def take(self) -> tuple[Any, ...]:
        """Removes the next row."""
        return self._rows.popleft() if self._rows else heapq.heappop(self._heap)[2]

    def __bool__(self) -> bool:
        return bool(self._rows or self._heap)


class _Reversed:
    """A sort key that sorts the other way round."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.key < self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self.key == other.key)


def directed(value: Any, descending: bool, nulls_first: bool) -> tuple[bool, Any]:
    """A key that sorts any values ascending or descending, with NULL where it belongs."""
    if value is None:
        return (not nulls_first, None)
    key = values.sort_key(value)
    return (nulls_first, _Reversed(key) if descending else key)


def ordered_aggregate(factory: Callable[[], Any], rows: list[Any], directions: tuple[tuple[bool, bool], ...]) -> Any:
    """Result of an aggregate with ORDER BY: ``rows`` are (keys, arguments)."""
    rows.sort(key=lambda row: tuple(directed(k, *d) for k, d in zip(row[0], directions, strict=True)))
    state = factory()
    for _, args in rows:
        state.step(*args)
    return state.finalize()


def once(function: Callable[[], Any]) -> Callable[[], Any]:
    """A function that computes its value at the first call and remembers it, for the length of one statement."""
    results: list[Any] = []

    def remembered() -> Any:
        if not results:
            results.append(function())
        return results[0]

    return remembered


def rowid_of(value: Any) -> int | None:
    """The value as a rowid to look up, or None when no rowid equals it."""
    if type(value) is not int:
        if type(value) not in (bool, float, Decimal) or not abs(value) < 0x8000000000000000 or int(value) != value:
            return None
        value = int(value)
    return value if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF else None


def rowids_of(items: Iterable[Any], *, descending: bool = False) -> list[int]:
    """The distinct rowids among the values, in order."""
    return sorted({rowid for rowid in map(rowid_of, items) if rowid is not None}, reverse=descending)


def distinct_keys(keys: Iterable[Any], *, descending: bool = False) -> list[Any]:
    """The distinct keys that can match an entry, in index order."""
    found = [key for key in keys if key is not None]
    if any(map(_never, chain.from_iterable(found))):
        found = [key for key in found if not any(map(_never, key))]
    return sorted(set(found), reverse=descending)


def _never(part: Any) -> bool:
    return part is NEVER or (type(part) is tuple and len(part) == 1 and part[0] is NEVER)


_LOW, _HIGH = -0x8000000000000000, 0x7FFFFFFFFFFFFFFF


def rowid_bound(value: Any, *, lower: bool, inclusive: bool) -> int | None:
    """The first (or last) rowid that a bound admits; None when it admits none."""
    if value is None:
        return None
    if type(value) is int:
        bound = value if inclusive else value + 1 if lower else value - 1
    elif isinstance(value, float) and isinf(value):
        return (_LOW if value < 0 else None) if lower else (_HIGH if value > 0 else None)
    elif isinstance(value, (float, Decimal, bool)):
        if lower:
            bound = int(value) if int(value) >= value else int(value) + 1
            bound += not inclusive and bound == value
        else:
            bound = int(value) if int(value) <= value else int(value) - 1
            bound -= not inclusive and bound == value
    else:  # a text or blob: greater than every number
        return None if lower else _HIGH
    if lower:
        return None if bound > _HIGH else max(bound, _LOW)
    return None if bound < _LOW else min(bound, _HIGH)


def row_count(value: Any) -> int:
    """LIMIT or OFFSET as an integer.

    Raises:
        IntegrityError: with SQLite's "datatype mismatch" for what is no integer.
    """
    if type(value) is int:
        return value
    number = values.affine(Kind.INTEGER)(value)
    if isinstance(number, float) and number.is_integer() and values.MIN_INTEGER <= number < values.MAX_INTEGER:
        return int(number)
    if not isinstance(number, int):
        raise errors.IntegrityError("datatype mismatch")
    return int(number)


def room_for_best(limit: int) -> int:
    """The length at which a buffer of the best ``limit`` rows is sorted and cut; -1, which no length is, for no limit."""
    return 2 * limit + 100 if limit > 0 else -1


def given_rowid(value: Any, name: str) -> int | None:
    """The rowid that a statement gives to a new row; None asks for the next one.

    Raises:
        IntegrityError: with SQLite's "datatype mismatch" for what is no integer.
    """
    if value is None or type(value) is int:
        return value
    return values.store(INTEGER)(value, name)  # type: ignore[no-any-return]


def required_rowid(value: Any, name: str) -> int:
    """The new rowid of a row that an UPDATE moves."""
    rowid = given_rowid(value, name)
    if rowid is None:
        raise errors.IntegrityError(f"NOT NULL constraint failed: {name}")
    return rowid


def conflicting_rowid(found: list[tuple[int, int]], indexes: frozenset[int] | None) -> int:
    """The row in the way that DO UPDATE is about."""
    return next(rowid for index, rowid in found if indexes is None or index in indexes)


exact_add = EXACT.add  # of decimals, without rounding


def total(values_: list[Any]) -> Any:
    """The sum, added up from the first value to the last; None of no values."""
    return reduce(add, values_) if values_ else None


def total_integer(values_: list[Any]) -> Any:
    """The sum of integers or booleans; None of no values."""
    return sum(values_) if values_ else None


def total_decimal(values_: list[Any]) -> Any:
    """The exact sum of decimals; None of no values."""
    left = iter(values_)
    first = next(left, None)
    return None if first is None else exact_sum(left, first)


def total_mixed(values_: list[Any]) -> Any:
    """The sum of numbers of several classes; None of no values."""
    return reduce(values.add, values_) if values_ else None


def sum_result(total: Any) -> Any:
    """A finished sum.

    Raises:
        OperationalError: the sum of integers does not fit 64 bits, as in SQLite.
    """
    if type(total) is int and not _LOW <= total <= _HIGH:
        raise errors.OperationalError("integer overflow")
    return total if type(total) is not float else total + 0.0  # no sum is -0.0


def average(total: Any, count: int) -> Any:
    """A finished average: a float for integers, exact for decimals and intervals."""
    if not count:
        return None
    if type(total) is Decimal or type(total) is timedelta:
        return total / count
    return (float(total) + 0.0) / count


def changed(
    txn: Any, rowids: list[int], olds: Rows, made: Rows, shown: tuple[int, ...]
) -> tuple[list[int], Rows, Rows]:
    """What of an update of many rows is left to store: not those that are what they were, unless the transaction says so.

    In the columns ``shown`` there are values that are equal and not the same, which their texts tell.
    """
    same = [] if txn.must_store else list(map(eq, olds, made))
    if not any(same):
        return rowids, olds, made
    for i in shown:
        same = [is_same and repr(old[i]) == repr(new[i]) for is_same, old, new in zip(same, olds, made, strict=True)]
    left = list(map(not_, same))
    return list(compress(rowids, left)), list(compress(olds, left)), list(compress(made, left))


def raise_error(message: Any) -> NoReturn:
    """Fails the statement."""
    raise errors.IntegrityError(str(message))
