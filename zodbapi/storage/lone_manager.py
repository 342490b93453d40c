"""Transaction managers of ZODB connections that commit alone.

In: what ``ZODB.Connection`` asks of a transaction manager and its transactions. Out: a commit in one phase, or the usual two.

The ``transaction`` package coordinates any number of resources, with hooks, synchronizers and savepoints. A driver
connection of its own needs none of this, and a commit of one row spends a tenth of its time there.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from transaction.interfaces import NoTransaction

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger("zodbapi.storage")


class LoneManager:
    """Manager and transaction in one: there is one transaction at a time, of at most one connection.

    It never tells the connection that transactions begin and end: ``Transaction`` decides when its snapshot moves.
    """

    explicit = True  # no transaction begins unasked
    user = description = ""
    extension: ClassVar[Mapping[str, Any]] = {}

    def __init__(self) -> None:
        self._active = False
        self._resource: Any = None
        self._data: Any = None

    # --- a manager ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a transaction."""
        self._active = True

    def get(self) -> LoneManager:
        """The transaction that has begun."""
        if not self._active:
            raise NoTransaction
        return self

    def commit(self) -> None:
        """Commit, in one phase where that will do; a failure aborts, and is raised."""
        resource = self._resource
        if resource is not None:
            try:
                if not resource.commit_at_once():
                    resource.tpc_begin(self)
                    resource.commit(self)
                    resource.tpc_vote(self)
                    resource.tpc_finish(self)
            except BaseException:
                self._take_back(resource)
                raise
        self._end()

    def _take_back(self, resource: Any) -> None:
        """Abort what was half committed; what fails in that is not why the commit failed."""
        for step in (resource.abort, resource.tpc_abort) if self._data is not None else (resource.abort,):
            try:
                step(self)
            except Exception:
                logger.exception("could not abort a transaction that failed to commit")
        self._end()

    def abort(self) -> None:
        """End the transaction, if there is one, without its changes."""
        resource = self._resource
        self._end()
        if resource is not None:
            resource.abort(self)

    def _end(self) -> None:
        self._active = False
        self._resource = self._data = None

    def registerSynch(self, synch: Any) -> None:
        """Nothing: see above."""

    def unregisterSynch(self, synch: Any) -> None:
        """Nothing was registered."""

    # --- a transaction --------------------------------------------------------------------------------------------------

    def join(self, resource: Any) -> None:
        """Take part: the connection's first change asks for it."""
        self._resource = resource

    def data(self, _resource: Any) -> Any:
        """What the connection keeps here while it commits."""
        return self._data

    def set_data(self, _resource: Any, data: Any) -> None:
        """Keep something for the connection."""
        self._data = data
