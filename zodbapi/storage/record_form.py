"""The form of the records of nodes.

In: a class, opcodes, ids. Out: the bytes around them, which are the same in every record of the class. So whoever reads a leaf
finds its values, and the id of the next leaf, without unpickling it::

    record of a leaf     PROTO <class> STOP   PROTO <values> <reference to the next leaf> TUPLE2 STOP
"""

from __future__ import annotations

from typing import Final

from ZODB._compat import _protocol

from zodbapi.record import record
from zodbapi.storage.nodes import LEAVES

PROTO: Final = bytes([0x80, _protocol])
_OID: Final = b"C\x08"  # what the bytes of an id begin with in a pickle


def class_record(cls: type) -> bytes:
    """What the record of an object that is made without arguments begins with."""
    return PROTO + _global(cls) + b"q\x00."


def _global(cls: type) -> bytes:
    return f"c{cls.__module__}\n{cls.__name__}\n".encode()


@record(frozen=True, slots=True)
class LeafForm:
    """What is the same in all leaves of a class that have a next one: the bytes before the values and around its id."""

    head: bytes
    before: bytes
    after: bytes

    def next_id(self, record: bytes) -> bytes | None:
        """The id of the next leaf; None when the record has another form."""
        place = -8 - len(self.after)
        if record[place - 2 : place] != _OID or not record.endswith(self.after) or not record.startswith(self.head):
            return None
        return record[place : -len(self.after)]

    def values(self, record: bytes) -> bytes:
        """The opcodes of the values of a record of this form."""
        return record[len(self.head) : -8 - len(_OID) - len(self.after)]

    def record(self, values: bytes, next_id: bytes) -> bytes:
        """The record that has these opcodes and names that leaf."""
        return b"".join((self.head, values, _OID, next_id, self.after))


LEAF_FORMS: Final = {
    cls: LeafForm(class_record(cls) + PROTO, _OID, b"q\x00" + _global(cls) + b"q\x01\x86q\x02Q\x86.") for cls in LEAVES
}
