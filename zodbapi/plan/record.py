"""What expressions and nodes are: records that are never changed.

To type checkers ``record`` is ``dataclass``, and they are what keeps frozen records from being changed. At run time
nothing does: a frozen dataclass sets each field by a call of ``object.__setattr__``, which is five times as slow, and
plans are made of hundreds of records. Of the methods only ``__init__`` is generated, because generating takes a tenth of a
millisecond each time that a process starts; the others get the fields at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass, fields
    from operator import attrgetter

    def record(*, frozen, slots):
        """A dataclass with equality and hash by value."""
        assert frozen

        def make(cls):
            made = dataclass(slots=slots, eq=False, repr=False)(cls)
            names = [field.name for field in fields(made)]
            values = _values_of(names)

            def equal(self, other):
                if other.__class__ is not made:
                    return NotImplemented
                return self is other or values(self) == values(other)

            def hashed(self):
                return hash(values(self))

            def shown(self):
                return f"{made.__name__}({', '.join(f'{n}={v!r}' for n, v in zip(names, values(self), strict=True))})"

            made.__eq__, made.__hash__, made.__repr__ = equal, hashed, shown
            return made

        return make

    def _values_of(names):
        """What gives the values of so many fields of a record as a tuple."""
        match names:
            case []:
                return lambda _: ()
            case [name]:
                get = attrgetter(name)
                return lambda record: (get(record),)
            case _:
                return attrgetter(*names)


__all__ = ["record"]
