"""A driver connection inside a transaction that someone else manages.

In: a ``transaction`` manager. Out: the same ``Transaction``, which commits together with the manager's other resources, in
two phases. It begins with the manager's transaction and ends with it, whoever ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zope.interface
from transaction._transaction import Status
from transaction.interfaces import ISynchronizer, NoTransaction

from zodbapi import errors
from zodbapi.storage.failures import translated
from zodbapi.storage.transaction import Transaction

if TYPE_CHECKING:
    from zodbapi.isolation import Isolation
    from zodbapi.storage.database import Database


@zope.interface.implementer(ISynchronizer)
class Participant(Transaction):
    """The transactions of a driver connection that takes part in those of ``manager``."""

    def __init__(self, database: Database, manager: Any) -> None:
        super().__init__(database, manager)
        self._manager.registerSynch(self)

    def begin(self, write: bool = False, isolation: Isolation | None = None, late: bool = False) -> None:
        """Take part in the manager's transaction, which begins now if there is none."""
        try:
            self._manager.get()
        except NoTransaction:
            self._manager.begin()  # tells the ZODB connection, which then has the newest snapshot
        super().begin(write, isolation, late)

    def _refresh(self, behind: bool = True) -> None:
        # The manager told the connection of its transaction; another snapshot is due only if that one is stale.
        with translated():
            seen = self._mvcc._ltid
            if self._connection._needs_to_join and self._mvcc._start is not None:
                self._connection.newTransaction(None, True)
            self._read_schema()
            self._seen = seen

    def _begin_managed(self) -> None:
        self._manager.get().addBeforeCommitHook(self._check_pending)

    def _check_pending(self) -> None:
        if self.pending:
            self._run(self.pending)
        self._guard_reads()

    def _abort(self) -> bool:
        self._manager.abort()
        return False

    def commit(self) -> None:
        """Commit the manager's transaction, with all its resources. A failing deferred check leaves it open."""
        if not self.active:
            return
        self._check_alive()
        if self.pending:
            self._run(self.pending)
        try:
            with translated():
                self._manager.commit()
        except BaseException:
            self._roll_back()
            raise

    def rollback(self) -> None:
        """Abort the manager's transaction if something was written here; what only read goes on to its end."""
        if self.writing:
            self._roll_back()

    def stop_writing(self) -> None:
        """Nothing: who writes is the writer until the manager's transaction ends."""

    def prepare(self) -> None:
        """Refused: the manager commits in two phases itself."""
        raise errors.NotSupportedError("the transaction manager of this connection prepares its transactions")

    def close(self) -> None:
        """Leave the manager; a transaction in which something was written has to end first."""
        self._manager.unregisterSynch(self)
        self._roll_back()
        super().close()

    # --- ISynchronizer ----------------------------------------------------------------------------------------------------

    def newTransaction(self, _transaction: Any) -> None:
        """Nothing: the first statement takes part."""

    def beforeCompletion(self, _transaction: Any) -> None:
        """Nothing: the deferred checks are a hook before the commit."""

    def afterCompletion(self, transaction: Any) -> None:
        """The manager's transaction has ended, and this one with it."""
        if self.writing:
            if transaction.status != Status.COMMITTED:
                self._undo_temporary()
            self._rolled_back()
        elif self.active:
            self._end()
