"""A compiled statement: what it is, and what it makes of the parameters of a call.

In: what the pipeline of ``statement`` found out. Out: rows, when it is run with a transaction and a tuple of parameters.
It holds no persistent object, so connections and threads share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from zodbapi import codegen, values
from zodbapi.errors import ProgrammingError
from zodbapi.parameters import Parameters, adapt, as_tuple, by_name
from zodbapi.parser.shapes import grouped
from zodbapi.plan.commands import Command, Need
from zodbapi.plan.nodes import Node
from zodbapi.record import record
from zodbapi.values.conversion import MAX_EXPONENT

if TYPE_CHECKING:
    from zodbapi.codegen import Program
    from zodbapi.storage.transaction import Transaction

Description = tuple[tuple[str, str, None, None, int | None, int | None, None], ...]
Collations = Mapping[str, Callable[[Any], Any]]
Run = Callable[["Transaction", tuple[Any, ...]], "list[tuple[Any, ...]] | None"]
Outcome = tuple["list[tuple[Any, ...]] | None"] | None  # the rows of RETURNING, or None for nothing done

WORTHWHILE = 4  # rows: from that number on, inserting them in one go is faster
WORTH_COMPILING = 64  # rows that a statement inserts in all: then the program for that is worth its compilation

READ = Need.READ  # cursors ask for it all the time: a global is found sooner than a member of an enum


@record(slots=True)
class Statement:
    """One compiled statement.

    ``kind`` says what the connection must provide. ``names`` has the parameters' names, one an index, and is None when they
    are positional.
    """

    sql: str
    style: str
    kind: Need
    node: Node | Command | None
    run: Run
    schema_version: int
    program: Program | None = None
    description: Description | None = None
    parameter_count: int = 0
    names: tuple[str, ...] | None = None
    is_dml: bool = False  # INSERT, UPDATE or DELETE
    inserts: bool = False
    lock: str = ""  # what FOR UPDATE says of a lock that is not free: wait, nowait, skip locked
    scanned: int | None = None  # id of the table whose rows come one by one, in a query that buffers nothing
    _stream: Program | None = None
    slices: tuple[tuple[int, int, int], ...] = ()  # of the parameters, that programs take as lists
    rows_insert: Callable[[], codegen.RowsInsert | None] | None = None  # of an INSERT of one row: what inserts many
    rows_seen: int = 0  # by ``insert_rows``
    literals: tuple[Any, ...] = ()  # of the text, where texts with other literals share the program
    weave: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None  # puts them between the parameters

    def stream(self, txn: Transaction, params: tuple[Any, ...], collations: Collations) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that has ``scanned``, made as they are asked for."""
        if self._stream is None:
            assert isinstance(self.node, Node)
            self._stream = codegen.generate_stream(self.node, collations)
        return self._stream.run(txn, params)  # type: ignore[return-value]

    def insert_rows(self, txn: Transaction, rows: Sequence[tuple[Any, ...]], statements: bool) -> Outcome:
        """Tries to insert a row for each item, all in one go; if that does not work nothing has happened.

        Args:
            txn: the transaction.
            rows: normalised parameters of this statement, which inserts one row.
            statements: whether each row is a statement of its own.
        """
        self.rows_seen += len(rows)
        if self.rows_insert is None or len(rows) < WORTHWHILE or self.rows_seen < WORTH_COMPILING:
            return None
        insert = self.rows_insert()
        if insert is None or (statements and insert.refers_to_itself):
            return None
        return insert.attempt(txn, rows, statements=statements)

    def normalise(self, parameters: Parameters | None) -> tuple[Any, ...]:
        """The tuple that programs take: values in order, each of a native class."""
        if parameters is None:
            parameters = ()
        if self.names is not None:
            parameters = by_name(self.names, parameters)
        elif type(parameters) is not tuple:
            unused = not self.parameter_count and isinstance(parameters, Mapping)
            parameters = () if unused else as_tuple(parameters)
        if len(parameters) != self.parameter_count:
            raise ProgrammingError(
                "Incorrect number of bindings supplied. "
                f"The current statement uses {self.parameter_count}, and there are {len(parameters)} supplied."
            )
        for value in parameters:
            cls = type(value)
            if cls is str:
                continue
            if cls is int:
                if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
                    continue
            elif cls in values.NATIVE:
                continue
            elif cls is float:
                if value == value:
                    continue
            elif cls is datetime:
                if value.tzinfo is UTC:
                    continue
            elif cls is Decimal and value.is_finite() and -MAX_EXPONENT <= value.adjusted() <= MAX_EXPONENT:
                continue
            parameters = tuple(
                [item if type(item) in values.NATIVE else adapt(i, item) for i, item in enumerate(parameters, 1)]
            )
            break
        if self.slices:
            parameters = grouped(parameters, self.slices)
        if self.literals:
            parameters += self.literals
            if self.weave is not None:
                return self.weave(parameters)
        return parameters
