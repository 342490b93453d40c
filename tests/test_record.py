"""Records do what dataclasses do, as far as it is used."""

from __future__ import annotations

import copy
import pickle
from functools import cached_property
from typing import ClassVar

import pytest

from zodbapi.record import field, fields, is_record, record, replace


@record(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0
    note: str = field(default="", compare=False, repr=False)

    kinds: ClassVar[int] = 1

    @property
    def total(self) -> int:
        return self.x + self.y


@record(frozen=True, slots=True)
class Named(Point):
    name: str = "p"


@record(frozen=True)
class Area:
    points: tuple[Point, ...]

    @cached_property
    def size(self) -> int:
        return len(self.points)


@record(slots=True)
class State:
    start: int
    seen: list[int] = field(default_factory=list)
    steps: int = field(default=3, init=False)
    total: int = field(init=False)
    paths: dict[int, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.total = self.start + 1


def test_fields_are_set_by_place_and_by_name() -> None:
    assert (Point(1).x, Point(1).y, Point(x=1, y=2).total) == (1, 0, 3)
    assert Named(1, name="q").name == "q"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        Point(1, z=2)  # type: ignore[call-arg]


def test_frozen_records_are_equal_by_value() -> None:
    assert Point(1, 2, "here") == Point(1, 2, "there")
    assert hash(Point(1, 2, "here")) == hash(Point(1, 2, "there"))
    assert Point(1) != Point(2)
    assert Point(1) != Named(1)
    assert len({Point(1), Point(1), Named(1)}) == 2
    assert Area((Point(1),)) == Area((Point(1),))


def test_other_records_are_equal_if_they_are_the_same() -> None:
    state = State(1)
    assert state == state
    assert state != State(1)


def test_each_record_has_a_default_of_its_own() -> None:
    first, second, given = State(1), State(1), State(1, [7])
    first.seen.append(1)
    first.paths[1] = 2
    assert (first.seen, second.seen, given.seen, second.paths) == ([1], [], [7], {})
    assert (first.steps, first.total) == (3, 2)


def test_a_subclass_that_is_made_first_keeps_its_own_initialiser() -> None:
    @record(slots=True)
    class Base:
        seen: list[int] = field(default_factory=list)

    class Counting(Base):
        def __init__(self) -> None:
            super().__init__([1])
            self.counted = len(self.seen)

    assert Counting().counted == 1
    assert Counting().counted == 1
    assert Base().seen == []


def test_slots_leave_no_room_for_other_attributes() -> None:
    assert not hasattr(Named(1), "__dict__")
    with pytest.raises(AttributeError):
        State(1).other = 1  # type: ignore[attr-defined]


def test_a_record_is_replaced_by_one_with_other_values() -> None:
    named = Named(1, 2, "here", "q")
    changed = replace(named, y=5)
    assert (changed, changed.note, named.y) == (Named(1, 5, name="q"), "here", 2)
    area = Area((Point(1),))
    assert area.size == 1
    assert replace(area, points=()).size == 0
    assert copy.copy(named) == named
    assert pickle.loads(pickle.dumps(named)) == named


def test_shown_and_matched_as_written() -> None:
    assert repr(Named(1, 2, "here")) == "Named(x=1, y=2, name='p')"
    match Named(1, 2, "here", "q"):
        case Named(x, y, note, name):
            assert (x, y, note, name) == (1, 2, "here", "q")


def test_fields_can_be_listed() -> None:
    assert [each.name for each in fields(Named)] == ["x", "y", "note", "name"]
    assert [each.type for each in fields(Area)] == ["tuple[Point, ...]"]
    assert (is_record(Point), is_record(int)) == (True, False)
