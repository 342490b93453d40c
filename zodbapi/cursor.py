"""``Cursor``: PEP 249's, with what sqlite3 adds.

``execute`` is written flat on purpose: for a cached statement that reads by primary key its own cost is most of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import length_hint
from threading import get_ident
from typing import TYPE_CHECKING, Any, Self

from zodbapi.compiled import READ, Statement
from zodbapi.errors import ProgrammingError
from zodbapi.execution import read, run, run_begun, run_many, run_script, run_whole, translate
from zodbapi.parameters import Parameters
from zodbapi.statement import STATEMENTS
from zodbapi.uncollected import UNCOLLECTED

if TYPE_CHECKING:
    from zodbapi.compiled import Description
    from zodbapi.connection import Connection

Row = tuple[Any, ...]


class _Refusing:
    """Stands in for the rows of a cursor that has none to fetch."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        raise ProgrammingError(self._message)

    def __length_hint__(self) -> int:
        return 0


_NO_ROWS = _Refusing("no rows to fetch: the last statement returned none, or none was executed")
_CLOSED = _Refusing("Cannot operate on a closed cursor.")


class Cursor:
    """Runs statements and hands out their rows.

    What most cursors never change is a class attribute, so that making a cursor costs little: ``Connection.execute``
    makes one a call.
    """

    description: Description | None = None
    rowcount: int = -1
    lastrowid: int | None = None
    arraysize: int = 1
    row_factory: Callable[[Cursor, Row], Any] | None = None
    _rows: Iterator[Row] = _NO_ROWS
    _total: int = 0

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        if connection.row_factory is not None:
            self.row_factory = connection.row_factory

    def execute(self, sql: str, parameters: Parameters | None = None, /) -> Cursor:
        """Runs one statement; the cursor itself is returned, ready to be iterated."""
        connection = self.connection
        txn = connection._txn
        thread = connection._thread
        ident = get_ident()
        if (thread is not None and thread != ident) or self._rows is _CLOSED:
            self._check_usable()
        style = connection.paramstyle
        if not parameters and (parameters is None or style == "auto"):
            style = "qmark"
        schema = txn.schema
        statement = STATEMENTS.young.get((sql, schema.version, connection._functions_version, style))
        begun = not txn.active
        if begun:
            txn.begin(late=statement is not None and statement.is_dml and not connection._observed)
        elif txn.read_committed:
            txn.renew()
        try:
            if txn.schema is not schema:
                statement = STATEMENTS.young.get((sql, txn.schema.version, connection._functions_version, style))
            if statement is None:
                statement = connection._prepare(sql, style, parameters)
            params = statement.normalise(parameters)
            if connection._observed or not (statement.kind is READ or (statement.is_dml and (begun or txn.writing))):
                return self._finish(*run(connection, statement, params, begun))
            connection._running = ident
            rows: Any
            if statement.is_dml:
                if begun:
                    statement, rows = run_begun(connection, statement, params, run_whole)
                else:
                    rows = run_whole(connection, statement, params)
            elif statement.scanned is None:
                rows = statement.run(txn, params)
            else:
                rows = read(connection, statement, params)
            connection._running = 0
        except BaseException as error:
            connection._running = 0
            UNCOLLECTED.leave()
            if begun:
                txn.rollback()
            if (translated := translate(error)) is not None:
                raise translated from error
            raise
        if statement.is_dml:
            return self._finish(statement, rows)
        if begun:
            txn.rollback()
        self.description = statement.description
        self.rowcount = -1
        self._total = length_hint(rows, -1)
        self._rows = iter(rows)
        return self

    def _finish(self, statement: Statement, rows: list[Row] | None) -> Cursor:
        """Takes over what a statement that is no query left: rows of RETURNING or a PRAGMA, and counts."""
        txn = self.connection._txn
        self.description = statement.description
        self.rowcount = -1
        if statement.is_dml:
            self.rowcount = txn.changes
            if statement.inserts:
                self.lastrowid = txn.last_rowid
        if statement.description is None:
            self._total, self._rows = 0, _NO_ROWS
        else:
            rows = rows or []
            self._total, self._rows = len(rows), iter(rows)
        return self

    def executemany(self, sql: str, parameter_rows: Iterable[Parameters], /) -> Cursor:
        """Runs one INSERT, UPDATE or DELETE for each item; the text is compiled once.

        Outside a transaction with ``autocommit`` all of them are one transaction.
        """
        self._check_usable()
        statement, self.rowcount = run_many(self.connection, sql, parameter_rows)
        self.description, self._total, self._rows = None, 0, _NO_ROWS
        if statement.inserts:
            self.lastrowid = self.connection._txn.last_rowid
        return self

    def callproc(
        self, name: str, parameters: Sequence[Any] = (), named: Mapping[str, Any] | None = None, /
    ) -> Sequence[Any]:
        """Runs a procedure with parameters by place, then by name; they are returned as they came: it changes none.

        A function that SQL knows can be called so, too: its answer is the only row.
        """
        values = list(parameters)
        procedure = self.connection.schema.procedures.get(name.lower())
        if named:
            given = {key.lower(): value for key, value in named.items()}
            expected = procedure.parameters[len(values) :] if procedure is not None else ()
            values += [given.pop(key.lower()) for key in expected if key.lower() in given]
            if given:
                raise ProgrammingError(f"procedure {name} has no parameter {next(iter(given))}")
        quoted = '"' + name.replace('"', '""') + '"'
        style = "%s" if self.connection.paramstyle == "format" else "?"
        is_function = procedure is None and self.connection._functions.knows(name)
        verb = "SELECT" if is_function else "CALL"
        self.execute(f"{verb} {quoted}({', '.join([style] * len(values))})", tuple(values))
        return parameters

    def executescript(self, script: str, /) -> Cursor:
        """Commits what is open, then runs every statement of a text, each on its own unless the text says BEGIN."""
        self._check_usable()
        run_script(self.connection, script)
        self.description, self.rowcount, self._total, self._rows = None, -1, 0, _NO_ROWS
        return self

    def fetchone(self) -> Any:
        """The next row, or None after the last."""
        if self.connection._txn is None:
            self._check_usable()
        row = next(self._rows, None)
        if self.row_factory is None or row is None:
            return row
        return self.row_factory(self, row)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next ``size`` rows, or ``arraysize``; a negative number means all."""
        self._check_usable()
        most = self.arraysize if size is None else size
        return self._made(list(islice(self._rows, most if most >= 0 else None)))

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        self._check_usable()
        return self._made(list(self._rows))

    def _made(self, rows: list[Row]) -> list[Any]:
        factory = self.row_factory
        return rows if factory is None else [factory(self, row) for row in rows]

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.connection._txn is None:
            self._check_usable()
        row = next(self._rows)
        return row if self.row_factory is None else self.row_factory(self, row)

    def next(self) -> Any:
        """The next row; StopIteration after the last."""
        return self.__next__()

    @property
    def rownumber(self) -> int | None:
        """The index in the result of the row that a fetch would give next; None without a result, or when it streams."""
        if self.description is None or self._total < 0:
            return None
        return self._total - length_hint(self._rows)

    @property
    def messages(self) -> list[tuple[type[Exception], Exception]]:
        """Warnings of the last statement: this driver raises what it has to say, so there are none."""
        return []

    def setinputsizes(self, sizes: Sequence[Any], /) -> None:
        """Does nothing: values carry their types."""

    def setoutputsize(self, size: int, column: int | None = None, /) -> None:
        """Does nothing: values are never cut."""

    def close(self) -> None:
        """Lets go of the result; only ``close`` may be called from now on."""
        self._rows = _CLOSED

    def _check_usable(self) -> None:
        """Raises unless the cursor and its connection are open and used in their thread."""
        if self._rows is _CLOSED:
            raise ProgrammingError("Cannot operate on a closed cursor.")
        self.connection._check_usable()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()
