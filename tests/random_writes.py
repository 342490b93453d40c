"""Random schemas and writes of the kinds that faults came from: views, generated columns, foreign keys, triggers, upserts.

What has no defined answer is not drawn: which of several matches an UPDATE ... FROM takes (so it matches a primary key),
and in which order rows are changed (so unique columns are not).
"""

from __future__ import annotations

from tests.random_shapes import ShapeGenerator
from tests.random_sql import TYPES, Col, TableDef

ACTIONS = ("CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION")


class WriteGenerator(ShapeGenerator):
    """Draws views, generated columns, child tables and triggers, and writes in more shapes."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.views: list[TableDef] = []
        self.generated: dict[str, list[tuple[str, str]]] = {}
        self.children: list[tuple[str, str]] = []  # child table, parent table
        self.logs = False  # whether triggers write to a table
        self._constant = False  # whether literals must not become parameters

    # --- schema ---------------------------------------------------------------------------------------------------

    def schema(self) -> list[str]:
        """The statements; the tables of rows come first, then what is built on them."""
        statements = ["PRAGMA foreign_keys = ON", *super().schema()]
        self._constant = True
        statements += [self._generated_column(table) for table in self.tables if self.chance(0.15)]
        statements += [self._view(f"v{number}") for number in range(self.random.randint(0, 2))]
        parents = [t for t in self.tables if t.columns[0][0] == "id"]
        if parents and self.chance(0.3):
            statements.append(self._child(self.random.choice(parents)))
        if self.chance(0.2):
            statements += self._triggers(self.random.choice(self.tables))
        self._constant = False
        return statements

    def literal(self, type_: str) -> str:
        """A literal or a parameter; where there can be no parameters, a literal."""
        if self._constant:
            return self._sql_value(self.value(type_))
        return super().literal(type_)

    def _generated_column(self, table: TableDef) -> str:
        column, type_ = self.random.choice(table.columns)
        expression = {"INTEGER": f"{column} % 3", "REAL": f"{column} * 2", "TEXT": f"lower({column})"}.get(
            type_, column
        )
        self.generated[table.name] = [("g", type_)]
        return f"ALTER TABLE {table.name} ADD COLUMN g {type_} GENERATED ALWAYS AS ({expression}) VIRTUAL"

    def _view(self, name: str) -> str:
        # Of one table or of two stacked: joins of views that join would take all the time there is.
        types = [self.one_of(*TYPES) for _ in range(self.random.randint(1, 3))]
        self._depth = 2
        parts = []
        for _ in range(self.random.choice((1, 1, 2))):
            from_, scope = self._some_table()
            shown = [f"{self._shown(scope, type_)} AS c{i}" for i, type_ in enumerate(types)]
            parts.append(f"SELECT {', '.join(shown)} FROM {from_}{self._where(scope)}")
        self._depth = 0
        query = f" {self.one_of('UNION ALL', 'UNION')} ".join(parts)
        self.views.append(TableDef(name, [(f"c{i}", type_) for i, type_ in enumerate(types)]))
        return f"CREATE VIEW {name} AS {query}"

    def _child(self, parent: TableDef) -> str:
        self.children.append((f"k{parent.name}", parent.name))
        default = self.one_of("", "", " DEFAULT -5", " DEFAULT 99")
        keys = f"ON DELETE {self.one_of(*ACTIONS)} ON UPDATE {self.one_of(*ACTIONS)}"
        columns = f"id INTEGER PRIMARY KEY, p INTEGER{default} REFERENCES {parent.name} (id) {keys}, q INTEGER"
        return f"CREATE TABLE k{parent.name} ({columns})"

    def _triggers(self, table: TableDef) -> list[str]:
        self.logs = True
        statements = ["CREATE TABLE log (n INTEGER, what TEXT)"]
        for number, event in enumerate(self.random.sample(["INSERT", "UPDATE", "DELETE"], 2)):
            known = [name for name, used in (("new", event != "DELETE"), ("old", event != "INSERT")) if used]
            scope = [Col(f"{name}.{column}", type_) for name in known for column, type_ in table.columns]
            timing = self.one_of("BEFORE", "AFTER")
            if timing == "BEFORE":  # NEW.id is not defined before it is drawn
                scope = [column for column in scope if not column.sql.endswith(".id")]
            self._depth = 2
            of = f" OF {table.columns[-1][0]}" if event == "UPDATE" and self.chance(0.4) else ""
            column = self.random.choice(scope)  # compared with a literal: SQLite gives new and old no affinity
            when = f" WHEN {column.sql} {self.one_of('<', '>=', '<>')} {self._sql_value(self.value(column.type))}"
            when = when if self.chance(0.5) else ""
            value = self.expression(scope, "INTEGER", 1)
            self._depth = 0
            statements.append(
                f"CREATE TRIGGER r{number} {timing} {event}{of} ON {table.name}{when} "
                f"BEGIN INSERT INTO log VALUES ({value}, '{event}'); END"
            )
        return statements

    def rows(self) -> list[tuple[str, tuple[object, ...]]]:
        """INSERT statements; rows of children refer to rows that are there, or to nothing."""
        statements = super().rows()
        if any(table.name in self.generated for table in self.tables):
            statements = [(self._without_generated(sql), row) for sql, row in statements]
        for child, parent in self.children:
            for number in range(self.random.randint(0, 8)):
                wanted = self.random.randint(-5, 12)
                sql = f"INSERT INTO {child} SELECT ?1, (SELECT id FROM {parent} WHERE id = ?2), ?3"
                statements.append((sql, (number, wanted, self.value("INTEGER"))))
        return statements

    def _without_generated(self, sql: str) -> str:
        name = sql.split()[4]
        table = next(t for t in self.tables if t.name == name)
        columns = ", ".join(column for column, _ in table.columns)
        return sql.replace(f"INTO {name} VALUES", f"INTO {name} ({columns}) VALUES")

    def changing(self) -> list[str]:
        """The tables that statements may change."""
        return [*super().changing(), *[child for child, _ in self.children], *(["log"] if self.logs else [])]

    def _columns(self, table: TableDef, alias: str) -> list[Col]:  # type: ignore[override]
        generated = [Col(f"{alias}.{name}", type_) for name, type_ in self.generated.get(table.name, ())]
        return super()._columns(table, alias) + generated

    def _some_table(self) -> tuple[str, list[Col]]:
        return self._aliased(self.random.choice(self.tables))

    def _where(self, scope: list[Col], probability: float = 0.6) -> str:
        return f" WHERE {self.predicate(scope, 1)}" if self.chance(probability) else ""

    def _relation(self) -> tuple[str, list[Col]]:
        if self.views and not self._constant and self.chance(0.1):
            return self._aliased(self.random.choice(self.views))
        return super()._relation()

    # --- queries --------------------------------------------------------------------------------------------------

    # --- writes ---------------------------------------------------------------------------------------------------

    def write(self) -> str:
        """A statement that writes, sometimes with RETURNING."""
        self.params = []
        self._aliases = 0
        views, self.views = self.views, []  # as tables that the statement itself changes
        text = self._write_shape()
        self.views = views
        return text

    def _write_shape(self) -> str:
        shapes = (self._unchanged, self._from, self._upsert, self._upsert, self._replace, self._key_change)
        text = None if self.chance(0.35) else self.random.choice(shapes)()
        return text if text is not None else super().write()

    def _free(self, table: TableDef) -> list[tuple[str, str]]:
        return [(n, t) for n, t in table.columns if n != "id" and n not in table.unique]

    def _returning(self, table: TableDef) -> str:
        return f" RETURNING {', '.join(name for name, _ in table.columns)}" if self.chance(0.3) else ""

    def _unchanged(self) -> str | None:
        """An UPDATE that changes some rows, or some columns, or nothing."""
        table = self.random.choice(self.tables)
        free = self._free(table)
        if not free:
            return None
        scope = self._columns(table, table.name)
        self._depth = 2
        assigned = []
        for name, type_ in self.random.sample(free, self.random.randint(1, len(free))):
            kind = self.random.randint(0, 3)
            if kind == 0:
                value = name
            elif kind == 1:
                value = f"CASE WHEN {self.predicate(scope, 1)} THEN {name} ELSE {self.expression(scope, type_, 0)} END"
            elif kind == 2 and type_ in ("INTEGER", "REAL"):
                value = f"{name} + {self.one_of('0', '1')}"
            else:
                value = self.expression(scope, type_, 1)
            assigned.append(f"{name} = {value}")
        where = self._where(scope)
        self._depth = 0
        return f"UPDATE {table.name} SET {', '.join(assigned)}{where}{self._returning(table)}"

    def _from(self) -> str | None:
        """UPDATE ... FROM a table whose primary key says which row is meant."""
        table = self.random.choice(self.tables)
        sources = [t for t in self.tables if t.columns[0][0] == "id" and t is not table]
        free = self._free(table)
        if not free or not sources:
            return None
        source = self.random.choice(sources)
        right, columns = self._aliased(source)
        scope = self._columns(table, table.name)
        key = self.column(scope, "INTEGER")
        name, type_ = self.random.choice(free)
        value = self.column(columns, type_)
        if key is None or value is None:
            return None
        self._depth = 2
        more = f" AND {self.predicate(scope + columns, 1)}" if self.chance(0.5) else ""
        self._depth = 0
        where = f" WHERE {columns[0].sql} = {key}{more}"
        return f"UPDATE {table.name} SET {name} = {value} FROM {right}{where}{self._returning(table)}"

    def _rows_of_values(self, table: TableDef) -> str:
        rows = []
        for _ in range(self.random.randint(1, 4)):
            items = [
                str(self.random.randint(-6, 40)) if name == "id" else self.literal(type_)
                for name, type_ in table.columns
            ]
            rows.append(f"({', '.join(items)})")
        return ", ".join(rows)

    def _upsert(self) -> str | None:
        """INSERT with one or two ON CONFLICT clauses."""
        table = self.random.choice(self.tables)
        names = [name for name, _ in table.columns]
        free = self._free(table)
        text = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {self._rows_of_values(table)}"
        clauses = ""
        if names[0] == "id" and free and self.chance(0.8):
            name, type_ = self.random.choice(free)
            scope = self._columns(table, table.name)  # not of excluded, to which SQLite gives no affinity
            self._depth = 2
            value = self.one_of(f"excluded.{name}", f"{table.name}.{name}", "")
            value = value or self.expression(scope, type_, 1)
            where = self._where(scope, 0.3)
            self._depth = 0
            clauses = f" ON CONFLICT (id) DO UPDATE SET {name} = {value}{where}"
        if not clauses or self.chance(0.4):
            clauses += " ON CONFLICT DO NOTHING"
        return f"{text}{clauses}{self._returning(table)}"

    def _replace(self) -> str:
        table = self.random.choice(self.tables)
        names = ", ".join(name for name, _ in table.columns)
        return f"REPLACE INTO {table.name} ({names}) VALUES {self._rows_of_values(table)}{self._returning(table)}"

    def _key_change(self) -> str | None:
        """What makes foreign keys act: parents go, or get other keys."""
        if not self.children:
            return None
        child, parent = self.random.choice(self.children)
        condition = f"id {self.one_of('=', '<', '>')} {self.random.randint(-5, 12)}"
        match self.random.randint(0, 3):
            case 0:
                return f"UPDATE {parent} SET id = id + {self.one_of('100', '0')} WHERE {condition}"
            case 1:
                return f"UPDATE {child} SET p = {self.one_of('p', 'NULL', '1', 'q')} WHERE {condition}"
            case _:
                return f"DELETE FROM {parent} WHERE {condition}"
