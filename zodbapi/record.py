"""What plans, schemas and trees of definitions consist of, and what the stages of the pipeline keep their state in.

To type checkers ``record`` is ``dataclass``, and they are what keeps frozen records from being changed. At run time
nothing does: a frozen dataclass sets each field by a call of ``object.__setattr__``, which is five times as slow, and
plans are made of hundreds of records.

Each process makes the classes anew, so they have to be cheap to make: a dataclass takes a tenth of a millisecond, most of it
for methods that are written as source and compiled. Here ``__init__`` shares the code of other records with as many
fields, with other names in it. Frozen records are equal if their fields are, others if they are the same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from dataclasses import dataclass as record
    from dataclasses import field, fields, replace
    from dataclasses import is_dataclass as is_record
    from typing import Any

    def values_of(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]: ...

else:
    from functools import cache
    from operator import attrgetter
    from types import FunctionType

    MISSING = object()
    _NO_GLOBALS = {}

    class field:
        """One field; ``type`` is the text of its annotation."""

        __slots__ = ("compare", "default", "default_factory", "init", "name", "repr", "type")

        def __init__(
            self,
            *,
            default=MISSING,
            default_factory=MISSING,
            init=True,
            repr=True,  # noqa: A002
            compare=True,
        ):
            self.default, self.default_factory = default, default_factory
            self.init, self.repr, self.compare = init, repr, compare

    def fields(cls):
        """The fields of a class of records."""
        return cls.__fields__

    def is_record(cls):
        """Whether these are records."""
        return hasattr(cls, "__fields__")

    def record(*, frozen=False, slots=False):
        """A class of records."""

        def make(cls):
            types = [(name, type_) for name, type_ in cls.__annotations__.items() if not type_.startswith("ClassVar[")]
            own = {name: _field(cls, name, type_) for name, type_ in types}
            found = tuple({**{each.name: each for each in getattr(cls, "__fields__", ())}, **own}.values())
            made = _with_slots(cls, own) if slots else cls
            made.__fields__ = found
            made.__match_args__ = tuple([each.name for each in found if each.init])
            made.__init__ = _initialiser(made)
            made.__values__ = values_of([*made.__match_args__])
            if frozen:
                made.__compared__ = values_of([each.name for each in found if each.compare])
                made.__eq__, made.__hash__, made.__repr__ = _equal, _hash, _show
            return made

        return make

    def replace(record, /, **changes):
        """The record with other values of some fields."""
        cls = record.__class__
        made = cls(*cls.__values__(record))
        for name, value in changes.items():
            setattr(made, name, value)
        return made

    def _field(cls, name, type_):
        given = cls.__dict__.get(name, MISSING)
        if given.__class__ is not field:
            given = field(default=given)
        given.name, given.type = name, type_
        return given

    def _with_slots(cls, own):
        """The class with slots: it has to be made again, as slots are laid out when a class is made."""
        members = {name: value for name, value in cls.__dict__.items() if name not in own}
        members.pop("__dict__", None)
        members.pop("__weakref__", None)
        inherited = {slot for base in cls.__mro__ for slot in getattr(base, "__slots__", ())}
        members["__slots__"] = tuple([name for name in own if name not in inherited])
        made = type(cls)(cls.__name__, cls.__bases__, members)
        made.__qualname__ = cls.__qualname__
        return made

    # The methods of frozen records, which all share them.

    def _equal(self, other):
        cls = self.__class__
        if other.__class__ is not cls:
            return NotImplemented
        return self is other or cls.__compared__(self) == cls.__compared__(other)

    def _hash(self):
        return hash(self.__class__.__compared__(self))

    def _show(self):
        cls = self.__class__
        shown = [f"{each.name}={getattr(self, each.name)!r}" for each in cls.__fields__ if each.repr]
        return f"{cls.__qualname__}({', '.join(shown)})"

    def values_of(names):
        """What gives the values of so many fields of a record as a tuple."""
        match names:
            case []:
                return _no_values
            case [name]:
                get = attrgetter(name)
                return lambda record: (get(record),)
            case _:
                return attrgetter(*names)

    def _no_values(record):
        return ()

    def _initialiser(cls):
        """The method that sets the fields of a new record."""
        found = cls.__fields__
        if not hasattr(cls, "__post_init__") and all(each.init and each.default_factory is MISSING for each in found):
            names = tuple([each.name for each in found])
            code = _setting(len(names)).replace(co_varnames=("self", *names), co_names=names)
            defaults = tuple([each.default for each in found if each.default is not MISSING])
            return FunctionType(code, _NO_GLOBALS, "__init__", defaults)

        def initialise(self, *args, **kwargs):
            cls.__init__ = _written(cls)
            cls.__init__(self, *args, **kwargs)

        return initialise

    @cache
    def _setting(count):
        """The code that sets so many fields to as many arguments."""
        return _function([f"a{i}" for i in range(count)], [f"self.a{i} = a{i}" for i in range(count)], {}).__code__

    def _written(cls):
        """The method for fields some of which are made for each record: written when the first record is made."""
        values, parameters, body = {"MISSING": MISSING}, [], []
        for each in cls.__fields__:
            name, given = each.name, each.name
            if each.default_factory is not MISSING:
                values[f"make_{name}"] = each.default_factory
                given = f"make_{name}()"
                if each.init:
                    parameters.append(f"{name}=MISSING")
                    given += f" if {name} is MISSING else {name}"
            elif each.default is not MISSING:
                values[f"default_{name}"] = each.default
                if each.init:
                    parameters.append(f"{name}=default_{name}")
                else:
                    given = f"default_{name}"
            elif each.init:
                parameters.append(name)
            else:
                continue
            body.append(f"self.{name} = {given}")
        if hasattr(cls, "__post_init__"):
            body.append("self.__post_init__()")
        return _function(parameters, body, values)

    def _function(parameters, body, values):
        exec(f"def __init__({', '.join(['self', *parameters])}): {'; '.join(body) or 'pass'}", values)
        return values["__init__"]


__all__ = ["field", "fields", "is_record", "record", "replace", "values_of"]
