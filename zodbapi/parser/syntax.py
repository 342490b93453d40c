"""Trees of the statements that define tables: names as written, expressions as slices of the text.

In: made by ``ddl``. Out: read by ``binder.ddl``, which turns names into positions and text into catalog objects.
"""

from __future__ import annotations

from zodbapi.record import field, record


@record(frozen=True, slots=True)
class Definition:
    """Root of these trees."""


@record(frozen=True, slots=True)
class Term:
    """One key of an index or constraint: a column's ``name``, or an expression's ``text`` when that is ""."""

    name: str
    text: str
    collation: str = ""
    descending: bool = False


@record(frozen=True, slots=True)
class Reference:
    """REFERENCES parent (columns) and its actions."""

    parent: str
    columns: tuple[str, ...] = ()
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"


@record(frozen=True, slots=True)
class Constraint:
    """A constraint of a column or table.

    ``kind`` is primary key, unique, check, foreign key, not null, null, default, collate or generated. ``text`` is the
    expression, or the collation. ``terms`` are empty in a column's own constraint.
    """

    kind: str
    name: str = ""
    terms: tuple[Term, ...] = ()
    text: str = ""
    reference: Reference | None = None
    autoincrement: bool = False
    stored: bool = False
    nulls_distinct: bool = True
    include: tuple[str, ...] = ()
    deferrable: bool = False
    deferred: bool = False


@record(frozen=True, slots=True)
class ColumnDefinition(Definition):
    """``name type constraints``."""

    name: str
    type: str  # the declared words
    constraints: tuple[Constraint, ...] = ()


@record(frozen=True, slots=True)
class TableDefinition(Definition):
    """CREATE TABLE; ``query`` is the text of CREATE TABLE AS."""

    name: str
    columns: tuple[ColumnDefinition, ...]
    constraints: tuple[Constraint, ...] = ()
    if_not_exists: bool = False
    temporary: bool = False
    query: str = ""


@record(frozen=True, slots=True)
class IndexDefinition(Definition):
    """CREATE INDEX."""

    name: str
    table: str
    terms: tuple[Term, ...]
    unique: bool = False
    where: str | None = None
    include: tuple[str, ...] = ()
    nulls_distinct: bool = True
    if_not_exists: bool = False


@record(frozen=True, slots=True)
class ViewDefinition(Definition):
    """CREATE VIEW."""

    name: str
    columns: tuple[str, ...]
    query: str
    if_not_exists: bool = False
    temporary: bool = False


@record(frozen=True, slots=True)
class TriggerDefinition(Definition):
    """CREATE TRIGGER; the fields are those of ``catalog.Trigger``."""

    name: str
    table: str
    timing: str
    event: str
    body: tuple[str, ...]
    when: str
    columns: tuple[str, ...]
    if_not_exists: bool = False
    temporary: bool = False


@record(frozen=True, slots=True)
class Action(Definition):
    """One action of ALTER TABLE; ``kind`` is that of ``plan.nodes.AlterStep``, whose fields these become."""

    kind: str
    column: str = ""
    name: str = ""
    text: str = ""  # of the type or the default
    using: str | None = None
    collation: str = ""
    definition: ColumnDefinition | None = None
    constraint: Constraint | None = None
    if_exists: bool = False  # or IF NOT EXISTS, for add_column
    cascade: bool = False


@record(frozen=True, slots=True)
class AlterDefinition(Definition):
    """ALTER TABLE, and ALTER INDEX (``table`` is "" then)."""

    table: str
    actions: tuple[Action, ...]
    if_exists: bool = False


@record(frozen=True, slots=True)
class CallDefinition(Definition):
    """CALL; ``arguments`` is their text."""

    procedure: str
    arguments: str


@record(frozen=True, slots=True)
class ExplainDefinition(Definition):
    """EXPLAIN; the explained statement starts at ``offset`` of the text."""

    query_plan: bool
    statement: str
    offset: int = field(default=0, compare=False)
