"""The exceptions of PEP 249, in the tree that the standard draws.

::

    Exception
    |-- Warning
    `-- Error
        |-- InterfaceError             the driver was used wrongly (closed database, bad option)
        `-- DatabaseError
            |-- DataError              a value does not fit its column or is out of range
            |   `-- RangeError         an integer parameter is outside 64 bits; also an OverflowError, as in sqlite3
            |-- OperationalError       the storage, a lock, a missing table, a malformed file
            |   |-- LockError          another transaction writes, and went on for too long: try again
            |   `-- ConflictError      another transaction won: roll back and run it again
            |-- IntegrityError         UNIQUE, NOT NULL, CHECK, FOREIGN KEY
            |-- InternalError          a broken invariant of the engine
            |-- ProgrammingError       wrong SQL, wrong number or class of parameters
            `-- NotSupportedError      SQL that is understood and not offered

The wording of messages follows SQLite's, because code that runs on SQLite reads them
(https://www.python.org/dev/peps/pep-0249/#exceptions, https://www.sqlite.org/rescode.html).
"""


class Warning(Exception):
    """Something the caller should know although the statement succeeded."""


class Error(Exception):
    """Root of every error that the driver raises."""


class InterfaceError(Error):
    """The driver itself was used wrongly; the database was not asked."""


class DatabaseError(Error):
    """The database refused."""


class DataError(DatabaseError):
    """A value does not fit its column, or an integer is outside 64 bits."""


class RangeError(DataError, OverflowError):
    """An integer parameter is outside 64 bits; to code that knows the sqlite3 module it is an OverflowError."""


class OperationalError(DatabaseError):
    """The storage or the state of the database stands in the way: missing table, lost server, locked file."""


class LockError(OperationalError):
    """Another transaction is the writer, and was not done in time; nothing is lost by trying again."""


class ConflictError(OperationalError):
    """Another transaction committed first: roll back and run the whole transaction again."""


class IntegrityError(DatabaseError):
    """A UNIQUE, NOT NULL, CHECK or FOREIGN KEY constraint failed, or a trigger raised.

    ``resolution`` says what becomes of what was done: ABORT undoes the statement, FAIL nothing, ROLLBACK the transaction. It is
    empty until a statement's OR or ON CONFLICT has a say in that; errors of foreign keys and triggers leave them none.
    """

    resolution = ""


class InternalError(DatabaseError):
    """An invariant of the engine is broken; this is a defect of the engine."""


class ProgrammingError(DatabaseError):
    """The SQL text or the number of parameters is wrong."""


class NotSupportedError(DatabaseError):
    """The statement is understood, but the engine does not offer it."""
