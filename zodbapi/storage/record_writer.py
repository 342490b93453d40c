"""Pickles the nodes of our trees without asking for each value whether it is persistent.

In: the state of a persistent object. Out: the same record that ZODB makes, in a fifth of the time.

ZODB's pickler calls a Python function for every value, to replace persistent objects by references. Where they are in a
node of a tree is known: a leaf has one at its end, to the next leaf, and an inner node has its children. So the values of a
leaf are pickled without that function, and the reference is put behind them::

    state of a leaf     (values, next)
    its pickle          PROTO  <values>  <reference>  TUPLE2  STOP

and for an inner node the question is answered by a dict of its children. A row that does hold a reference (to a large
value) makes the plain pickler stop, and the record is made in ZODB's way.
"""

from __future__ import annotations

import io
from typing import Any

from ZODB._compat import _protocol
from ZODB.serialize import ObjectWriter
from zodbpickle.pickle import Pickler

from zodbapi.storage.nodes import LEAVES, NODES, TREES
from zodbapi.storage.pickling import NotPlain, pickle_values
from zodbapi.storage.record_form import LEAF_FORMS, PROTO, class_record


class RecordWriter(ObjectWriter):  # type: ignore[misc]
    """ZODB's writer, with a shorter way for the nodes of trees."""

    def serialize(self, obj: Any) -> bytes:
        """The record of an object."""
        cls = type(obj)
        if cls in NODES:
            return self._dump(cls, obj.__getstate__())
        record: bytes = super().serialize(obj)
        return record

    def _dump(self, classmeta: Any, state: Any) -> bytes:
        try:
            if classmeta in LEAVES:
                return self._leaf(classmeta, state)
            if classmeta in TREES:
                if state is None or len(state) == 1:  # the state of a leaf, while it has only one
                    return class_record(classmeta) + pickle_values(state)
                return self._inner(classmeta, state)
        except (NotPlain, TypeError):
            pass  # ZODB's own way makes the record, or says what is wrong
        record: bytes = super()._dump(classmeta, state)
        return record

    def _leaf(self, cls: type, state: Any) -> bytes:
        if len(state) == 1:
            return class_record(cls) + pickle_values(state)
        values, following = state
        oid, _ = self._reference(following)
        return LEAF_FORMS[cls].record(pickle_values(values)[len(PROTO) : -1], oid)

    def _inner(self, cls: type, state: Any) -> bytes:
        children, first = state
        references = {child: self._reference(child) for child in (*children[::2], first)}
        file = io.BytesIO()
        pickler = Pickler(file, _protocol)
        pickler.persistent_id = references.get
        pickler.dump(state)
        return class_record(cls) + file.getvalue()

    def _reference(self, node: Any) -> tuple[bytes, type]:
        if node._p_oid is None or node._p_jar is not self._jar:
            self.persistent_id(node)  # gives a new node its id, and has it stored too
        return node._p_oid, type(node)
