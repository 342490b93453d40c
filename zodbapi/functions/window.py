"""Window functions, and ``partition``, which computes any window call over one partition.

In: the rows of one partition, already in the window's order, as parallel lists: ``args[i]`` is the tuple of arguments of row
i, ``peers[i]`` its ORDER BY value or the tuple of them (rows with equal ones are peers; without ORDER BY all are ``()``).
Out: the results, in the same order.

A window function is registered with kind ``window``. Its ``call`` is either an accumulator class, which sees the rows of the
frame as an aggregate does (first_value, last_value, nth_value), or a function ``(args, peers) -> results`` over the whole
partition (row_number, rank, lag...), which has no frame.

A frame is a slice ``start:end`` of the partition. For every kind of frame both ends only move forward from row to row, so an
accumulator takes in rows at the front and drops them at the back::

    rows      0  1  2  3  4  5
    frame 2   [  .  ]
    frame 3      [  .  ]            step(row 3), inverse(row 0)

EXCLUDE leaves holes in the slice, so there each frame is added up anew.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from operator import eq
from typing import Any

from zodbapi.catalog import INTEGER, REAL
from zodbapi.errors import OperationalError
from zodbapi.functions import result_types
from zodbapi.functions.aggregate import Count, Sum, sum_of
from zodbapi.functions.registry import AggregateFunction
from zodbapi.functions.running import running
from zodbapi.values import add, sort_key, sub, to_integer, whole_number

Frame = tuple[str, tuple[str, Any], tuple[str, Any], str]
Slices = list[tuple[int, int]]

DEFAULT_FRAME: Frame = ("range", ("unbounded preceding", None), ("current row", None), "no others")
_RUNNING_ROWS: Frame = ("rows", ("unbounded preceding", None), ("current row", None), "no others")
WHOLE_FRAMES = (None, DEFAULT_FRAME)  # of windows without ORDER BY
_RUNNING = (None, DEFAULT_FRAME, _RUNNING_ROWS)  # frames from the first row to the one at hand


def partition(
    function: AggregateFunction,
    frame: Frame | None,
    descending: bool,
    args: Sequence[tuple[Any, ...]],
    peers: Sequence[Any],
    filter_flags: Sequence[Any] | None = None,
) -> list[Any]:
    """The results of a window call for all rows of one partition.

    ``descending`` is the direction of the one ORDER BY term of a RANGE frame with an offset. Rows whose filter flag is not
    true, and those with a NULL first argument if the function skips NULLs, are in no frame.
    """
    if not args:
        return []
    if function.kind == "window" and not isinstance(function.call, type):
        return function.call(args, peers)  # type: ignore[no-any-return]
    if filter_flags is None and frame in _RUNNING:
        results = running(function.call, args)
        if results is not None:
            return _at_ends(results, peers, of_rows=frame == _RUNNING_ROWS)
    counted = _counted(function, args, filter_flags)
    unit, start, end, exclude = frame or DEFAULT_FRAME
    if start[0] == "unbounded preceding" and end[0] == "unbounded following" and exclude == "no others":
        return [_whole(function, args, counted)] * len(args)
    groups = _group_slices(peers)
    slices = _SLICES[unit](start, end, peers, groups, descending)
    if exclude != "no others":
        return _excluding(function, args, counted, slices, groups, exclude)
    return _moving(function, args, counted, slices)


def whole(function: AggregateFunction, args: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The result of a call over a whole partition, alone in a list; empty where it takes more than one of Python's functions."""
    if function.call is Count:
        return [len(args) - sum(1 for row in args if row and row[0] is None)]
    if function.call is not Sum:
        return []
    values = [row[0] for row in args if row[0] is not None]
    return [sum_of(values)]


def _at_ends(results: Sequence[Any], peers: Sequence[Any], *, of_rows: bool) -> list[Any]:
    """Running results where the frame of each row ends: with the row itself, or with the last of its peers."""
    if of_rows or not any(map(eq, peers, peers[1:])):
        return list(results)
    return [results[end - 1] for _, end in _group_slices(peers)]


def _counted(function: AggregateFunction, args: Sequence[tuple[Any, ...]], flags: Sequence[Any] | None) -> list[bool]:
    """For each row, whether the function sees it at all."""
    skips = function.skip_nulls
    seen = [not (skips and row and row[0] is None) for row in args]
    return seen if flags is None else [bool(flag) and ok for flag, ok in zip(flags, seen, strict=True)]


def _whole(function: AggregateFunction, args: Sequence[tuple[Any, ...]], counted: Sequence[bool]) -> Any:
    return _fresh(function, (row for row, ok in zip(args, counted, strict=True) if ok))


def _fresh(function: AggregateFunction, rows: Iterable[tuple[Any, ...]]) -> Any:
    accumulator = function.call()
    step = accumulator.step
    for row in rows:
        step(*row)
    return accumulator.finalize()


def _moving(
    function: AggregateFunction, args: Sequence[tuple[Any, ...]], counted: Sequence[bool], slices: Slices
) -> list[Any]:
    """Results over frames without holes, with one accumulator if it can drop rows or never has to."""
    accumulator = function.call()
    inverse = getattr(accumulator, "inverse", None)
    growing = all(start == 0 for start, _ in slices)
    step, finish = accumulator.step, _result(accumulator)
    if finish is None or (inverse is None and not growing):
        return [_fresh(function, _rows(args, counted, start, end)) for start, end in slices]
    low = high = 0
    results: list[Any] = []
    last: tuple[int, int] | None = None
    for start, end in slices:
        if (start, end) == last:
            results.append(results[-1])
            continue
        last = (start, end)
        if start >= high:  # the frames do not overlap (or this one is empty): nothing to carry over
            low = high = start
            accumulator = function.call()
            step, inverse = accumulator.step, getattr(accumulator, "inverse", None)
            finish = _result(accumulator) or accumulator.finalize
        for position in range(high, end):
            if counted[position]:
                step(*args[position])
        for position in range(low, start):
            if counted[position] and inverse is not None:
                inverse(*args[position])
        low, high = start, max(high, end)
        results.append(finish())
    return results


def _result(accumulator: Any) -> Callable[[], Any] | None:
    """What gives a result before the last step: ``value`` of the user's classes, ``finalize`` of ours; None: nothing does."""
    if type(accumulator).__module__ in _OURS:
        return accumulator.finalize  # type: ignore[no-any-return]
    return getattr(accumulator, "value", None)


_OURS = frozenset({"zodbapi.functions.aggregate", "zodbapi.functions.json", __name__})


def _rows(args: Sequence[tuple[Any, ...]], counted: Sequence[bool], start: int, end: int) -> Iterable[tuple[Any, ...]]:
    return (args[i] for i in range(start, end) if counted[i])


def _excluding(
    function: AggregateFunction,
    args: Sequence[tuple[Any, ...]],
    counted: Sequence[bool],
    slices: Slices,
    groups: Slices,
    exclude: str,
) -> list[Any]:
    results: list[Any] = []
    for i, (start, end) in enumerate(slices):
        first, last = (i, i + 1) if exclude == "current row" else groups[i]
        kept = [*range(start, min(end, first)), *range(max(start, last), end)]
        if exclude == "ties" and start <= i < end:
            kept = [*range(start, min(end, first)), i, *range(max(start, last), end)]
        results.append(_fresh(function, (args[j] for j in kept if counted[j])))
    return results


# --- where frames begin and end -------------------------------------------------------------------------------------


def _group_slices(peers: Sequence[Any]) -> Slices:
    """For each row, the slice of its peers."""
    slices: Slices = []
    start = 0
    for i in range(1, len(peers) + 1):
        if i == len(peers) or peers[i] != peers[start]:
            slices.extend([(start, i)] * (i - start))
            start = i
    return slices


def _offset(bound: tuple[str, Any], end: str) -> int:
    """The offset of a ROWS or GROUPS bound with its sign: preceding is negative."""
    kind, value = bound
    if kind not in ("preceding", "following"):
        return 0
    value = _integer(value)
    if value is None or value < 0:
        raise OperationalError(f"frame {end} offset must be a non-negative integer")
    return -value if kind == "preceding" else value


def _integer(value: Any) -> int | None:
    """The integer that a number is, or a text is of; None if it is none."""
    if type(value) is str:
        value = whole_number(value)
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _rows_slices(
    start: tuple[str, Any], end: tuple[str, Any], peers: Sequence[Any], groups: Slices, descending: bool
) -> Slices:
    count = len(peers)
    low, high = _offset(start, "starting"), _offset(end, "ending") + 1
    from_first, to_last = start[0] == "unbounded preceding", end[0] == "unbounded following"
    return [_clipped(0 if from_first else i + low, count if to_last else i + high, count) for i in range(count)]


def _clipped(start: int, end: int, count: int) -> tuple[int, int]:
    start = min(max(start, 0), count)
    return start, max(min(end, count), start)


def _groups_slices(
    start: tuple[str, Any], end: tuple[str, Any], peers: Sequence[Any], groups: Slices, descending: bool
) -> Slices:
    count = len(peers)
    low, high = _offset(start, "starting"), _offset(end, "ending")
    distinct = list(dict.fromkeys(groups))
    starts = [group[0] for group in distinct] + [count]
    from_first, to_last = start[0] == "unbounded preceding", end[0] == "unbounded following"
    slices: Slices = []
    for number, (first, last) in enumerate(distinct):
        begin = 0 if from_first else starts[min(max(number + low, 0), len(distinct))]
        stop = count if to_last else starts[min(max(number + high + 1, 0), len(distinct))]
        slices.extend([_clipped(begin, stop, count)] * (last - first))
    return slices


def _range_slices(
    start: tuple[str, Any], end: tuple[str, Any], peers: Sequence[Any], groups: Slices, descending: bool
) -> Slices:
    count = len(peers)
    if start[0] in ("preceding", "following") or end[0] in ("preceding", "following"):
        values = [peer[0] if type(peer) is tuple and len(peer) == 1 else peer for peer in peers]
        keys = _RangeKeys(values, groups, descending)
        begins = _range_bound(start, "starting", groups, count, keys, first=True)
        stops = _range_bound(end, "ending", groups, count, keys, first=False)
        return [_clipped(begin, stop, count) for begin, stop in zip(begins, stops, strict=True)]
    from_first, to_last = start[0] == "unbounded preceding", end[0] == "unbounded following"
    return [(0 if from_first else first, count if to_last else last) for first, last in groups]


def _range_bound(
    bound: tuple[str, Any], name: str, groups: Slices, count: int, keys: _RangeKeys, *, first: bool
) -> list[int]:
    kind, offset = bound
    if kind == "unbounded preceding":
        return [0] * count
    if kind == "unbounded following":
        return [count] * count
    if kind == "current row":
        return [group[0] if first else group[1] for group in groups]
    if type(offset) is str:
        offset = whole_number(offset)
    if not _is_distance(offset):
        raise OperationalError(f"frame {name} offset must be a non-negative number")
    return [keys.place(i, kind, offset, first=first) for i in range(count)]


def _is_distance(offset: Any) -> bool:
    if type(offset) is timedelta:
        return offset >= timedelta()
    return type(offset) in (int, float, Decimal) and offset >= 0


class _RangeKeys:
    """The order values of a partition, searchable by distance. NULLs stand together at one end and have no distance."""

    def __init__(self, values: Sequence[Any], groups: Slices, descending: bool) -> None:
        self.values, self.groups, self.descending = values, groups, descending
        present = [i for i, value in enumerate(values) if value is not None]
        self.begin = present[0] if present else 0
        self.keys = [sort_key(values[i]) for i in present]
        if descending:
            self.keys.reverse()

    def place(self, i: int, kind: str, offset: Any, *, first: bool) -> int:
        """Where the frame of row i starts (``first``) or ends, ``offset`` before or behind its value."""
        value = self.values[i]
        if value is None:
            return self.groups[i][0 if first else 1]
        if type(value) in (int, float, bool, Decimal, timedelta) or isinstance(value, date):
            value = (sub if (kind == "preceding") != self.descending else add)(value, offset)
        target = sort_key(value)
        if self.descending:
            from_end = bisect_right(self.keys, target) if first else bisect_left(self.keys, target)
            return self.begin + len(self.keys) - from_end
        return self.begin + (bisect_left(self.keys, target) if first else bisect_right(self.keys, target))


_SLICES: dict[str, Callable[..., Slices]] = {"rows": _rows_slices, "groups": _groups_slices, "range": _range_slices}


# --- functions of the whole partition -------------------------------------------------------------------------------

Args = Sequence[tuple[Any, ...]]


def row_number(args: Args, peers: Sequence[Any]) -> list[int]:
    """1, 2, 3..."""
    return list(range(1, len(args) + 1))


def rank(args: Args, peers: Sequence[Any]) -> list[int]:
    """The number of the first peer."""
    return [start + 1 for start, _ in _group_slices(peers)]


def dense_rank(args: Args, peers: Sequence[Any]) -> list[int]:
    """The number of the group of peers."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(_group_slices(peers)), 1)}
    return [numbers[group] for group in _group_slices(peers)]


def percent_rank(args: Args, peers: Sequence[Any]) -> list[float]:
    """(rank - 1) / (rows - 1), 0.0 for a single row."""
    others = len(args) - 1
    return [start / others if others else 0.0 for start, _ in _group_slices(peers)]


def cume_dist(args: Args, peers: Sequence[Any]) -> list[float]:
    """The share of rows up to the last peer."""
    return [end / len(args) for _, end in _group_slices(peers)]


def ntile(args: Args, peers: Sequence[Any]) -> list[int]:
    """The number of the bucket when the rows are dealt into N buckets as evenly as possible, larger ones first."""
    count = len(args)
    buckets = 0 if args[0][0] is None else to_integer(args[0][0])
    if buckets <= 0:
        raise OperationalError("argument of ntile must be a positive integer")
    size, larger = divmod(count, buckets)
    cut = larger * (size + 1)
    return [i // (size + 1) + 1 if i < cut else larger + (i - cut) // size + 1 for i in range(count)]


def lag(args: Args, peers: Sequence[Any]) -> list[Any]:
    """The first argument of the row N (1) rows before; the third argument (NULL) where there is none."""
    return _neighbours(args, -1)


def lead(args: Args, peers: Sequence[Any]) -> list[Any]:
    """The first argument of the row N (1) rows behind; the third argument (NULL) where there is none."""
    return _neighbours(args, 1)


def _neighbours(args: Args, direction: int) -> list[Any]:
    """Where all rows look equally far, their neighbours are the same list, shifted."""
    width = len(args[0]) if args else 0
    distances = {row[1] for row in args} if width > 1 else {1}
    if len(distances) > 1 or type(next(iter(distances))) is not int:
        return [_neighbour(args, i, row, direction) for i, row in enumerate(args)]
    distance = direction * distances.pop()
    missing = min(abs(distance), len(args))
    found = [row[0] for row in args]
    if distance > 0:
        return found[missing:] + [row[2] if width > 2 else None for row in args[len(args) - missing :]]
    return [row[2] if width > 2 else None for row in args[:missing]] + found[: len(args) - missing]


def _neighbour(args: Args, i: int, row: tuple[Any, ...], direction: int) -> Any:
    if len(row) > 1 and row[1] is None:
        return row[2] if len(row) > 2 else None
    there = i + direction * (to_integer(row[1]) if len(row) > 1 else 1)
    if 0 <= there < len(args):
        return args[there][0]
    return row[2] if len(row) > 2 else None


WITHOUT_PEERS = frozenset({row_number, ntile, lag, lead})  # what does not look at the ORDER BY values


# --- functions of the frame -----------------------------------------------------------------------------------------


class NthValue:
    """``nth_value(x, n)``: x of the frame's n-th row, or NULL."""

    __slots__ = ("number", "values")

    def __init__(self) -> None:
        self.values: deque[Any] = deque()
        self.number = 1

    def step(self, value: Any, number: Any = 1) -> None:
        place = _integer(number)
        if place is None or place <= 0:
            raise OperationalError("second argument to nth_value must be a positive integer")
        self.number = place
        self.values.append(value)

    def inverse(self, *args: Any) -> None:
        self.values.popleft()

    def finalize(self) -> Any:
        return self.values[self.number - 1] if len(self.values) >= self.number else None


class FirstValue(NthValue):
    """``first_value(x)``: x of the frame's first row."""

    __slots__ = ()

    def step(self, value: Any, number: Any = 1) -> None:
        self.values.append(value)


class LastValue:
    """``last_value(x)``: x of the frame's last row."""

    __slots__ = ("rows", "value")

    def __init__(self) -> None:
        self.rows, self.value = 0, None

    def step(self, value: Any) -> None:
        self.rows, self.value = self.rows + 1, value

    def inverse(self, *args: Any) -> None:
        self.rows -= 1

    def finalize(self) -> Any:
        return self.value if self.rows else None


def _window(name: str, call: Callable[..., Any], low: int, high: int, **options: Any) -> AggregateFunction:
    return AggregateFunction(name, call, low, high, kind="window", skip_nulls=False, **options)


FUNCTIONS: tuple[AggregateFunction, ...] = (
    _window("row_number", row_number, 0, 0, nullable=False, result=INTEGER),
    _window("rank", rank, 0, 0, nullable=False, result=INTEGER),
    _window("dense_rank", dense_rank, 0, 0, nullable=False, result=INTEGER),
    _window("percent_rank", percent_rank, 0, 0, nullable=False, result=REAL),
    _window("cume_dist", cume_dist, 0, 0, nullable=False, result=REAL),
    _window("ntile", ntile, 1, 1, nullable=False, result=INTEGER),
    _window("lag", lag, 1, 2, result=result_types.first),
    _window("lag", lag, 3, 3, result=result_types.first_or_third),
    _window("lead", lead, 1, 2, result=result_types.first),
    _window("lead", lead, 3, 3, result=result_types.first_or_third),
    _window("first_value", FirstValue, 1, 1, result=result_types.first),
    _window("last_value", LastValue, 1, 1, result=result_types.first),
    _window("nth_value", NthValue, 2, 2, result=result_types.first),
)
