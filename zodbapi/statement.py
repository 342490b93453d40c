"""Compiled statements: the one module that knows every stage, and the cache of what came out.

In: SQL text, the schema, the functions and the statistics. Out: a ``Statement``, which is run with a transaction and a
tuple of parameters::

    text -> parse -> bind -> optimize -> generate -> Statement.run(txn, params)

A statement holds no persistent object and depends on nothing but its cache key, (text, schema version, functions
version, paramstyle), so connections and threads share it. Statistics are not part of the key: they choose between plans
that give the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from zodbapi import codegen, commands
from zodbapi.binder import bind
from zodbapi.binder.trigger import bind_trigger, may_fire
from zodbapi.binder.writer import bind_index, bind_writer, row_scope
from zodbapi.compiled import Collations, Description, Run, Statement
from zodbapi.errors import IntegrityError, OperationalError, ProgrammingError
from zodbapi.generations import GenerationCache
from zodbapi.optimizer import optimize
from zodbapi.parameters import Parameters, known_values
from zodbapi.parser import Parsed, parse
from zodbapi.parser.repeated import LONGEST_REPEATED, one_of_repeated
from zodbapi.parser.shapes import Folded, fold, grouped, lift_rows
from zodbapi.plan.commands import Command, Need
from zodbapi.plan.nodes import (
    Delete,
    Filter,
    HashJoin,
    IndexRange,
    Insert,
    Instead,
    Join,
    Node,
    Project,
    RowidRange,
    Scan,
    Update,
    Values,
    output_names,
    output_types,
)
from zodbapi.plan.writer import BoundIndex
from zodbapi.pragmas import table_functions
from zodbapi.record import record, replace
from zodbapi.storage.stats import Stats
from zodbapi.uncollected import UNCOLLECTED

if TYPE_CHECKING:
    from zodbapi.catalog import Index, Schema, Table, Trigger, Type
    from zodbapi.codegen import Program, WriterProgram
    from zodbapi.functions.registry import Functions
    from zodbapi.storage.transaction import Transaction

STATEMENTS: GenerationCache[Statement] = GenerationCache(1000)
_WRITERS: GenerationCache[WriterProgram] = GenerationCache(500)
_INDEXES: GenerationCache[BoundIndex] = GenerationCache(500)  # those that are partial or of expressions


def _parse_either(sql: str) -> list[Parsed]:
    """Reads a text that parameters came with: ``%s`` is a placeholder if there are no others, else what SQL makes of it."""
    if "%s" not in sql and "%(" not in sql:
        return parse(sql, runs=True)
    try:
        parsed = parse(sql, runs=True)
        if any(statement.parameters for statement in parsed):
            return parsed
    except OperationalError:
        return parse(sql, "format", runs=True)
    return parse(sql, "format", runs=True)


def prepare(
    sql: str,
    schema: Schema,
    functions: Functions,
    stats: Stats,
    paramstyle: str,
    parameters: Parameters | None = None,
) -> Statement:
    """The compiled form of the only statement of a text, from the cache if it was compiled for an equal schema.

    ``parameters`` are those of the call that it is compiled for: the plan is one that suits them.
    """
    key = (sql, schema.version, functions.version, paramstyle)
    found = STATEMENTS.recall(key)
    if found is None:
        with UNCOLLECTED:
            found = _prepare(sql, schema, Compiler(functions, stats), paramstyle, parameters)
    return found


def _prepare(sql: str, schema: Schema, compiler: Compiler, paramstyle: str, parameters: Parameters | None) -> Statement:
    functions, stats = compiler.functions, compiler.stats
    key = (sql, schema.version, functions.version, paramstyle)
    if "\0" in sql:
        raise ProgrammingError("the query contains a null character")
    repeated = one_of_repeated(sql)
    if repeated is not None:
        statement = _prepare_repeated(sql, repeated[1], prepare(repeated[0], schema, functions, stats, paramstyle))
        if len(sql) <= LONGEST_REPEATED:
            STATEMENTS.add(key, statement)
        return statement
    lifted = lift_rows(sql)
    if lifted is not None and (found := _prepare_lifted(lifted[0], schema, functions, stats)):
        return replace(found, sql=sql, style=paramstyle, parameter_count=0, literals=lifted[1])
    folded = fold(sql, paramstyle, schema.texts_of_indexes)
    if folded is not None and (found := _prepare_folded(folded, schema, compiler, paramstyle, parameters)):
        _, _, slices, total, literals, order = folded
        weave = itemgetter(*order) if order else None
        statement = replace(found, sql=sql, parameter_count=total, slices=slices, literals=literals, weave=weave)
        STATEMENTS.add(key, statement)
        return statement
    parsed = _parse_either(sql) if paramstyle == "auto" else parse(sql, paramstyle, runs=True)
    if len(parsed) > 1:
        raise ProgrammingError("You can only execute one statement at a time.")
    if not parsed:
        return Statement(sql, paramstyle, Need.CONTROL, None, _run_nothing, schema.version)
    statement = compile_parsed(parsed[0], schema, replace(compiler, parameters=parameters), sql, paramstyle)
    if statement.program is not None:
        STATEMENTS.add(key, statement)
    return statement


def _prepare_repeated(sql: str, times: int, one: Statement) -> Statement:
    count = one.parameter_count * times
    return replace(one, sql=sql, run=partial(_run_repeated, one), parameter_count=count, rows_insert=None)


def _run_repeated(one: Statement, txn: Transaction, params: tuple[Any, ...]) -> list[tuple[Any, ...]] | None:
    """Runs a statement that inserts one row for each of its share of the parameters."""
    size = one.parameter_count
    shares = [params[start : start + size] for start in range(0, len(params), size)]
    done = one.insert_rows(txn, shares, statements=False)
    if done is not None:
        return done[0]
    rows: list[tuple[Any, ...]] | None = None
    changes = 0
    for share in shares:
        found = one.run(txn, share)
        changes += txn.changes
        if found is not None:
            rows = rows or []
            rows.extend(found)
    txn.changes = changes
    return rows


def _prepare_lifted(sql: str, schema: Schema, functions: Functions, stats: Stats) -> Statement | None:
    """The statement that all INSERTs of as many literals share; None if there is an error, which names what the text has."""
    try:
        return prepare(sql, schema, functions, stats, "qmark")
    except OperationalError:
        return None


def _prepare_folded(
    folded: Folded, schema: Schema, compiler: Compiler, style: str, parameters: Parameters | None
) -> Statement | None:
    """The statement that all texts of a shape share; None if there is an error, which names what the text has."""
    key = (folded.sql, folded.places, schema.version, compiler.functions.version, style)
    found = STATEMENTS.recall(key)
    if found is None:
        read = style if style != "auto" else "format" if "%s" in folded.sql else "qmark"
        given = known_values(None, folded.total, parameters)
        if given or not folded.total:
            given = grouped(given, folded.slices) + folded.values
            compiler = replace(compiler, parameters=itemgetter(*folded.order)(given) if folded.order else given)
        try:
            (parsed,) = parse(folded.sql, read, folded, runs=True)
            found = compile_parsed(parsed, schema, compiler, folded.sql, style)
        except OperationalError:
            return None
        STATEMENTS.add(key, found)
    return found


def _run_nothing(txn: Transaction, params: tuple[Any, ...]) -> None:
    """What an empty text does."""


def compile_parsed(
    parsed: Parsed, schema: Schema, compiler: Compiler, sql: str = "", style: str = "qmark"
) -> Statement:
    """The compiled form of one parsed statement; ``sql`` is its text as the user wrote it, in the style."""
    sql = sql or parsed.sql
    bound = bind(parsed, schema, compiler.functions)
    count = len(bound.parameters)
    given = tuple(name for name in bound.parameters if name is not None)
    names = given if count and len(given) == count else None
    if isinstance(bound.node, Command):
        return replace(_command(bound.node, schema, compiler, sql, style), parameter_count=count, names=names)
    try:
        plan = compiler.optimize(bound.node, schema, known_values(names, count, compiler.parameters))
        program = compiler.generate(plan, schema)
    except RecursionError:
        raise OperationalError("expression tree is too large") from None
    writes = silent = False
    if isinstance(plan, (Insert, Update, Delete, Instead)):
        compiler.check_triggers(plan, schema)
        writes, silent = True, plan.returning is None
    statement = Statement(
        sql=sql,
        style=style,
        kind=Need.WRITE if writes or bound.for_update else Need.READ,
        node=plan,
        run=_resolving(plan, program.run),
        schema_version=schema.version,
        program=program,
        description=None if silent else _describe(output_names(plan), output_types(plan)),
        parameter_count=count,
        names=names,
        is_dml=writes,
        inserts=isinstance(plan, Insert),
        lock=bound.for_update,
        scanned=_scanned(plan),
    )
    if isinstance(plan, Insert):
        resolve = partial(writer, schema, compiler.functions)
        statement.rows_insert = cache(partial(_rows_insert, plan, resolve, compiler.functions.collations))
    return statement


def _command(command: Command, schema: Schema, compiler: Compiler, sql: str, style: str) -> Statement:
    """A statement for which nothing is generated."""
    run, shown = partial(commands.run, command, compiler), commands.output_columns(command)
    described = None if shown is None else _describe(*shown)
    return Statement(sql, style, commands.need(command), command, run, schema.version, description=described)


def _rows_insert(
    plan: Insert, resolve_writer: Callable[[int], WriterProgram], collations: Collations
) -> codegen.RowsInsert | None:
    """What inserts many rows by a statement for one; None if it is not of the kind for which that can be."""
    program = resolve_writer(plan.table.id)
    if not (isinstance(plan.input, Values) and codegen.can_insert_many(plan, program)):
        return None
    return codegen.generate_rows_insert(plan, program, collations)


def _resolving(plan: Node, run: Run) -> Run:
    """The function of a program; for INSERT OR FAIL and the like one whose errors say so."""
    actions = {plan.action} if isinstance(plan, Update) else set()
    if isinstance(plan, Insert):
        actions = {clause.action for clause in plan.clauses}
    resolution = next((action.upper() for action in actions if action in ("fail", "rollback")), "")
    if not resolution:
        return run

    def run_resolving(txn: Transaction, params: tuple[Any, ...]) -> list[tuple[Any, ...]] | None:
        try:
            return run(txn, params)
        except IntegrityError as error:
            error.resolution = error.resolution or resolution
            raise

    return run_resolving


def _scanned(plan: Node) -> int | None:
    """The table that a query reads in its outermost loop, if nothing between that and the result buffers rows."""
    match plan:
        case Project() | Filter():
            return _scanned(plan.input)
        case Join() | HashJoin():
            return _scanned(plan.left)
        case Scan() | RowidRange() | IndexRange():
            return plan.table.id
        case _:
            return None


def _describe(names: Sequence[str], types: Sequence[Type]) -> Description:
    """PEP 249's seven items a column."""
    return tuple(
        (name, type_.kind.value, None, None, type_.precision, type_.scale, None)
        for name, type_ in zip(names, types, strict=True)
    )


@record(frozen=True, slots=True)
class Compiler:
    """The stages below parsing, for commands that run queries and write rows of their own."""

    functions: Functions
    stats: Stats
    parameters: Parameters | None = None  # of the call that a statement is compiled for

    def optimize(self, node: Node, schema: Schema, params: tuple[Any, ...] = ()) -> Node:
        """The plan after all rules, for a call with these parameters."""

        def bind(table: Table, index: Index) -> BoundIndex:
            key = (schema.version, self.functions.version, index.id)
            found = _INDEXES.recall(key)
            if found is None:
                found = bind_index(table, index, row_scope(schema, table, self.functions))
                _INDEXES.add(key, found)
            return found

        return optimize(node, self.stats, bind_index=bind, schema=schema, samples=self.stats, params=params)

    def generate(self, plan: Node, schema: Schema, *, in_trigger: bool = False, as_stored: bool = False) -> Program:
        """The program of an optimised plan; ``as_stored``: large values stay where they are."""
        instead = triggers(schema, self.functions, plan.table).instead if isinstance(plan, Instead) else None
        return codegen.generate(
            plan,
            partial(writer, schema, self.functions),
            self.functions.collations,
            in_trigger=in_trigger,
            instead=instead,
            as_stored=as_stored,
        )

    def trigger(self, trigger: Trigger, schema: Schema, policy: str = "") -> codegen.TriggerProgram:
        """The programs of a trigger; ``policy`` is what the statement that fires it does about conflicts, if it says that."""
        schema = schema if trigger.temporary else schema.stored

        def program(node: Node) -> Program:
            plan = self.optimize(node, schema)
            found = self.generate(plan, schema, in_trigger=True)
            return replace(found, run=_resolving(plan, found.run))

        bound = bind_trigger(trigger, schema, self.functions, policy)
        return codegen.TriggerProgram(program(bound.when) if bound.when else None, tuple(map(program, bound.body)))

    def check_triggers(self, plan: Insert | Update | Delete | Instead, schema: Schema) -> None:
        """Raises if a trigger that the statement may fire names what is not there, even if no row will fire it."""
        for trigger in schema.triggers_of(plan.table.name):
            if may_fire(trigger, plan):
                bind_trigger(trigger, schema if trigger.temporary else schema.stored, self.functions)

    def query(self, sql: str, schema: Schema, *, as_stored: bool = False) -> Program:
        """The program of a query without parameters, given as text; ``as_stored``: large values stay where they are."""
        return self.generate(self.optimize(self._bind(sql, schema), schema), schema, as_stored=as_stored)

    def describe(self, sql: str, schema: Schema) -> tuple[tuple[str, ...], tuple[Type, ...]]:
        """The names and types of the columns of a query, given as text."""
        node = self._bind(sql, schema)
        return output_names(node), output_types(node)

    def _bind(self, sql: str, schema: Schema) -> Node:
        node = bind(parse(sql)[0], schema, self.functions).node
        assert isinstance(node, Node)
        return node

    def run_script(self, sql: str, txn: Transaction, params: Mapping[str, Any]) -> None:
        """Runs statements, whose rows nobody gets; each sees what those before it did."""
        for parsed in parse(sql):
            statement = prepare(parsed.sql, txn.schema, self.functions, self.stats, "qmark")
            if statement.kind is Need.CONTROL:
                raise OperationalError("a procedure cannot begin or end transactions")
            statement.run(txn, statement.normalise(params if statement.parameter_count else None))

    def writer(self, schema: Schema, table_id: int) -> WriterProgram:
        """What writes rows of a table."""
        return writer(schema, self.functions, table_id)


def writer(schema: Schema, functions: Functions, table_id: int) -> WriterProgram:
    """The functions that write rows of a table with all its constraints and indexes; memoised."""
    key = (schema.version, functions.version, table_id)
    found = _WRITERS.recall(key)
    if found is None:
        table = schema.table_by_id(table_id)
        own = schema if table.temporary else schema.stored
        bound = bind_writer(own, table, functions)
        found = codegen.generate_writer(bound, partial(writer, schema, functions), functions.collations)
        seen = schema if schema.table(table.name) is table else own
        if seen.triggers_of(table.name):
            draft = cache(partial(_draft, own, table, functions))
            found = codegen.with_triggers(found, table, triggers(seen, functions, table), draft)
        _WRITERS.add(key, found)
    return found


def _draft(schema: Schema, table: Table, functions: Functions) -> Callable[..., tuple[Any, ...]]:
    """What makes rows of a table as BEFORE triggers see them: converted and with generated columns, for which nothing holds."""
    columns = tuple(replace(column, not_null=False) for column in table.columns)
    loose = replace(table, columns=columns, checks=(), indexes=(), foreign_keys=())
    bound = replace(bind_writer(schema, loose, functions), children=())
    return codegen.generate_writer(bound, partial(writer, schema, functions), functions.collations).make_row


def triggers(schema: Schema, functions: Functions, table: Table) -> codegen.Triggers:
    """What fires the triggers of a table, or of a view that ``table`` describes."""

    def compile_(trigger: Trigger, txn: Transaction) -> codegen.TriggerProgram:
        return Compiler(functions, Stats(txn)).trigger(trigger, schema, txn.policy)

    return codegen.Triggers(table, schema.triggers_of(table.name), compile_)


_completed: dict[int, Functions] = {}


def complete(functions: Functions) -> Functions:
    """The functions with the table functions of the schema (sqlite_master, pragma_...); equal sets give the same object."""
    if "sqlite_master" in functions.tables:
        return functions
    found = _completed.get(functions.version)
    if found is None:

        def stages_for(txn: Transaction) -> Compiler:
            return Compiler(functions, Stats(txn))

        found = _completed[functions.version] = functions.extended(*table_functions(stages_for))
    return found
