"""What plans, schemas and trees of definitions consist of: records that are never changed.

To type checkers ``record`` is ``dataclass``, and they are what keeps frozen records from being changed. At run time
nothing does: a frozen dataclass sets each field by a call of ``object.__setattr__``, which is five times as slow, and
plans are made of hundreds of records. Of the methods only ``__init__`` is generated, when the first record of a class is
made, because generating takes a tenth of a millisecond each time that a process starts; the others get the fields at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import replace
else:
    from dataclasses import MISSING, dataclass, fields
    from operator import attrgetter

    def record(*, frozen, slots=False):
        """A dataclass with equality and hash by value."""
        assert frozen

        def make(cls):
            made = dataclass(init=False, eq=False, repr=False, slots=slots)(cls)
            found = fields(made)
            values = _values_of([field.name for field in found if field.compare])
            shown = [field.name for field in found if field.repr]
            parts = _values_of(shown)

            def equal(self, other):
                if other.__class__ is not made:
                    return NotImplemented
                return self is other or values(self) == values(other)

            def hashed(self):
                return hash(values(self))

            def show(self):
                fields = [f"{name}={value!r}" for name, value in zip(shown, parts(self), strict=True)]
                return f"{made.__qualname__}({', '.join(fields)})"

            def initialise(self, *args, **kwargs):
                made.__init__ = _initialiser(found)
                made.__init__(self, *args, **kwargs)

            made.__eq__, made.__hash__, made.__repr__, made.__init__ = equal, hashed, show, initialise
            made.__values__ = _values_of([field.name for field in found])
            return made

        return make

    def replace(record, /, **changes):
        """The record with other values of some fields."""
        cls = record.__class__
        made = cls(*cls.__values__(record))
        for name, value in changes.items():
            setattr(made, name, value)
        return made

    def _values_of(names):
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

    def _initialiser(found):
        """The method that sets the fields of a new record."""
        defaults, parameters, body = {"MISSING": MISSING}, [], []
        for field in found:
            name, given = field.name, field.name
            if field.default is not MISSING:
                defaults[f"default_{name}"] = field.default
                parameters.append(f"{name}=default_{name}")
            elif field.default_factory is not MISSING:
                defaults[f"make_{name}"] = field.default_factory
                parameters.append(f"{name}=MISSING")
                given = f"make_{name}() if {name} is MISSING else {name}"
            else:
                parameters.append(name)
            body.append(f"\n    self.{name} = {given}")
        exec(f"def __init__({', '.join(['self', *parameters])}):{''.join(body) or ' pass'}", defaults)
        return defaults["__init__"]


__all__ = ["record", "replace"]
