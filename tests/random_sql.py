"""Random schemas, rows, queries and writes that SQLite and this engine must answer alike.

Everything is drawn from one ``random.Random``, so a seed is a reproduction. What has no defined answer is not drawn:
LIMIT comes with an order over all columns, scalar subqueries are aggregates or LIMIT 1 of a total order, columns hold
only values of their declared type, and sums of floats are exact because all floats are multiples of 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

TEXTS = ("", "a", "A", "b", "ab", "Ab", "aB", "z", "1", "10", "-2", "a b", "%", "_x", "x'y", "€")
TYPES = ("INTEGER", "REAL", "TEXT")


@dataclass
class Col:
    """A column that expressions may use: its SQL, its type, and whether its collation folds case."""

    sql: str
    type: str
    folds: bool = False


@dataclass
class TableDef:
    """A table of the random schema."""

    name: str
    columns: list[tuple[str, str]]  # (name, type)
    not_null: set[str] = field(default_factory=set)
    folding: set[str] = field(default_factory=set)  # columns with COLLATE NOCASE
    unique: set[str] = field(default_factory=set)  # columns of a UNIQUE or PRIMARY KEY constraint


class Generator:
    """Draws SQL text. ``params`` collects the values of the ``?`` of the statement being drawn."""

    types: tuple[str, ...] = TYPES

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.tables: list[TableDef] = []
        self.params: list[object] = []
        self._aliases = 0
        self._depth = 0

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def one_of(self, *items: str) -> str:
        return self.random.choice(items)

    # --- schema and rows ------------------------------------------------------------------------------------------

    def schema(self) -> list[str]:
        """CREATE TABLE and CREATE INDEX statements."""
        statements = []
        for number in range(self.random.randint(2, 4)):
            statements += self._table(f"t{number}")
        return statements

    def _table(self, name: str) -> list[str]:
        table = TableDef(name, [])
        parts: list[str] = []
        unique: list[str] = []
        if self.chance(0.7):
            table.columns.append(("id", "INTEGER"))
            table.not_null.add("id")
            parts.append("id INTEGER PRIMARY KEY")
        for i in range(self.random.randint(2, 4)):
            column, type_ = f"{'abcde'[i]}", self.one_of(*self.types)
            words = [column, type_]
            if self.chance(0.3):
                words.append("NOT NULL")
                table.not_null.add(column)
            if type_ == "TEXT" and self.chance(0.3):
                words.append("COLLATE NOCASE")
                table.folding.add(column)
            if self.chance(0.1):
                words.append("UNIQUE")
                unique.append(column)
            table.columns.append((column, type_))
            parts.append(" ".join(words))
        names = [column for column, _ in table.columns]
        if "id" not in names and self.chance(0.3):
            parts.append(f"PRIMARY KEY ({self._unique(table, self.random.randint(1, 2))})")
            table.not_null |= table.unique
            parts = [self._with_not_null(part, table) for part in parts]
        table.unique.update(unique)
        if self.chance(0.2):
            parts.append(f"UNIQUE ({self._unique(table, 2)})")
        self.tables.append(table)
        indexes = [self._index(table, number) for number in range(self.random.randint(0, 3))]
        return [f"CREATE TABLE {name} ({', '.join(parts)})", *indexes]

    @staticmethod
    def _with_not_null(part: str, table: TableDef) -> str:
        """SQLite takes NULL in a PRIMARY KEY that does not say NOT NULL; this engine does not."""
        if part.startswith("PRIMARY") or part[0] not in table.not_null or "NOT NULL" in part:
            return part
        return part + " NOT NULL"

    def _unique(self, table: TableDef, width: int) -> str:
        names = self.random.sample([column for column, _ in table.columns], width)
        table.unique.update(names)
        return ", ".join(names)

    def _index(self, table: TableDef, number: int) -> str:
        names = [column for column, _ in table.columns]
        keys = []
        for column in self.random.sample(names, self.random.randint(1, min(3, len(names)))):
            type_ = dict(table.columns)[column]
            key = column
            if self.chance(0.15):
                key = f"lower({column})" if type_ == "TEXT" else f"{column} + 1"
            elif type_ == "TEXT" and self.chance(0.2):
                key += " COLLATE " + self.one_of("NOCASE", "BINARY")
            keys.append(key)  # not DESC: with such an index, SQLite 3.40 finds row values that are not there
        where = ""
        if self.chance(0.2):
            column = self.random.choice(names)
            where = (
                f" WHERE {column} IS NOT NULL"
                if self.chance(0.6)
                else f" WHERE {column} > {self._plain(table, column)}"
            )
        return f"CREATE INDEX {table.name}_i{number} ON {table.name} ({', '.join(keys)}){where}"

    def _plain(self, table: TableDef, column: str) -> str:
        return self._sql_value(self.value(dict(table.columns)[column]))

    def value(self, type_: str) -> object:
        """A value of a type."""
        if type_ == "INTEGER":
            return self.random.randint(-3, 8)
        if type_ == "REAL":
            return self.random.randint(-6, 12) / 2
        return self.random.choice(TEXTS)

    @staticmethod
    def _sql_value(value: object) -> str:
        return (
            "'" + value.replace("'", "''") + "'" if isinstance(value, str) else "NULL" if value is None else repr(value)
        )

    def changing(self) -> list[str]:
        """The tables that statements may change."""
        return [table.name for table in self.tables]

    def rows(self) -> list[tuple[str, tuple[object, ...]]]:
        """INSERT statements with their parameters; some fail for a constraint, on both sides."""
        statements = []
        for table in self.tables:
            count = self.random.choice((0, 1, 3, 8, 15, 30))
            for number in range(count):
                row = tuple(
                    number * 2 - 5
                    if column == "id"
                    else None
                    if column not in table.not_null and self.chance(0.2)
                    else self.value(type_)
                    for column, type_ in table.columns
                )
                marks = ", ".join(f"?{i}" for i in range(1, len(row) + 1))
                statements.append((f"INSERT OR IGNORE INTO {table.name} VALUES ({marks})", row))
        return statements

    # --- expressions ----------------------------------------------------------------------------------------------

    def literal(self, type_: str) -> str:
        """A literal or a parameter."""
        if self.chance(0.06):
            return "NULL"
        value = self.value(type_)
        if self.chance(0.35):
            self.params.append(value)
            return f"?{len(self.params)}"
        return self._sql_value(value)

    def column(self, scope: list[Col], type_: str | None = None) -> str | None:
        """A column of the scope, of that type if one is given."""
        fitting = [c for c in scope if type_ is None or c.type == type_]
        return self.random.choice(fitting).sql if fitting else None

    def expression(self, scope: list[Col], type_: str, depth: int = 2) -> str:
        """An expression of a type."""
        roll = self.random.random()
        if depth <= 0 or roll < 0.5:
            return (self.column(scope, type_) if self.chance(0.8) else None) or self.literal(type_)
        if roll < 0.58 and self._depth < 2:
            return self.scalar_query(scope, type_)
        if roll < 0.66:
            condition = self.predicate(scope, depth - 1)
            otherwise = f" ELSE {self.expression(scope, type_, depth - 1)}" if self.chance(0.7) else ""
            return f"CASE WHEN {condition} THEN {self.expression(scope, type_, depth - 1)}{otherwise} END"
        if roll < 0.74:
            first, second = (self.expression(scope, type_, depth - 1) for _ in range(2))
            return f"{self.one_of('coalesce', 'ifnull', 'nullif')}({first}, {second})"
        if type_ == "TEXT":
            return self._text(scope, depth - 1)
        return self._number(scope, type_, depth - 1)

    def _text(self, scope: list[Col], depth: int) -> str:
        text = self.expression(scope, "TEXT", depth)
        match self.random.randint(0, 5):
            case 0:
                return f"{self.one_of('lower', 'upper', 'trim', 'rtrim')}({text})"
            case 1:
                return f"({text} || {self.expression(scope, self.one_of('TEXT', 'INTEGER'), depth)})"
            case 2:
                return f"substr({text}, {self.random.randint(-2, 3)}, {self.random.randint(0, 3)})"
            case 3:
                return f"replace({text}, 'a', {self.expression(scope, 'TEXT', 0)})"
            case 4:
                return f"typeof({self.expression(scope, self.one_of(*self.types), depth)})"
            case _:
                return f"CAST({self.expression(scope, 'INTEGER', depth)} AS TEXT)"

    def _number(self, scope: list[Col], type_: str, depth: int) -> str:
        if type_ == "REAL":
            first = self.expression(scope, "REAL", depth)
            return f"({first} {self.one_of('+', '-', '*')} {self.expression(scope, self.one_of('INTEGER', 'REAL'), depth)})"
        match self.random.randint(0, 5):
            case 0:
                return f"length({self.expression(scope, 'TEXT', depth)})"
            case 1:
                return f"abs({self.expression(scope, 'INTEGER', depth)})"
            case 2:
                return f"(- {self.expression(scope, 'INTEGER', depth)})"
            case 3:
                return f"({self.predicate(scope, depth)})"
            case 4:
                return f"CAST({self.expression(scope, self.one_of('TEXT', 'REAL'), depth)} AS INTEGER)"
            case _:
                operator = self.one_of("+", "-", "*", "/", "%", "&", "|")
                first, second = (self.expression(scope, "INTEGER", depth) for _ in range(2))
                return f"({first} {operator} {second})"

    def scalar_query(self, scope: list[Col], type_: str) -> str:
        """A subquery of one value, often correlated."""
        self._depth += 1
        from_, inner = self.from_clause(1)
        where = f" WHERE {self.predicate(inner + scope, 1)}" if self.chance(0.7) else ""
        value = self._shown(inner, type_)  # of outer columns alone, it would be an aggregate of the outer query
        self._depth -= 1
        if self.chance(0.5) or type_ != "INTEGER":
            return f"(SELECT {self.one_of('min', 'max')}({value}) FROM {from_}{where})"
        return f"(SELECT count({self.one_of('*', value)}) FROM {from_}{where})"

    def predicate(self, scope: list[Col], depth: int = 2) -> str:
        """A condition."""
        roll = self.random.random()
        if depth > 0 and roll < 0.3:
            terms = [self.predicate(scope, depth - 1) for _ in range(self.random.randint(2, 3))]
            return "(" + f" {self.one_of('AND', 'AND', 'OR')} ".join(terms) + ")"
        if depth > 0 and roll < 0.36:
            return f"NOT ({self.predicate(scope, depth - 1)})"
        if depth > 0 and roll < 0.48 and self._depth < 2:
            return self._query_predicate(scope)
        return self._comparison(scope, max(depth - 1, 0))

    def _comparison(self, scope: list[Col], depth: int) -> str:
        column = self.random.choice(scope) if scope and self.chance(0.85) else None
        type_ = column.type if column else self.one_of(*self.types)
        left = column.sql if column else self.expression(scope, type_, depth)
        other = type_ if self.chance(0.9) else self.one_of(*self.types)
        match self.random.randint(0, 11):
            case 0:
                return f"{left} IS {self.one_of('', 'NOT ')}NULL"
            case 1:
                low, high = (self.expression(scope, other, 0) for _ in range(2))
                return f"{left} {self.one_of('', '', 'NOT ')}BETWEEN {low} AND {high}"
            case 2:
                items = ", ".join(self.literal(other) for _ in range(self.random.randint(1, 4)))
                return f"{left} {self.one_of('', '', 'NOT ')}IN ({items})"
            case 3 if type_ == "TEXT":
                pattern = self.one_of("'a%'", "'%b'", "'_'", "'%'", "'A_'", "''")
                return f"{left} {self.one_of('', 'NOT ')}LIKE {pattern}"
            case 4 if type_ == "TEXT":
                pattern = self.one_of("'a*'", "'*b'", "'?'", "'*'", "'[aA]*'")
                return f"{left} GLOB {pattern}"
            case 5:
                return f"{left} {self.one_of('IS', 'IS NOT')} {self.expression(scope, other, 0)}"
            case _:
                collate = f" COLLATE {self.one_of('NOCASE', 'BINARY')}" if type_ == "TEXT" and self.chance(0.1) else ""
                operator = self.one_of("=", "=", "=", "<", "<=", ">", ">=", "<>")
                return f"{left} {operator} {self.expression(scope, other, depth)}{collate}"

    def _query_predicate(self, scope: list[Col]) -> str:
        self._depth += 1
        from_, inner = self.from_clause(1 if self.chance(0.7) else 2)
        where = f" WHERE {self.predicate(inner + scope, 1)}" if self.chance(0.8) else ""
        if scope and inner and self.chance(0.5):
            outer = self.random.choice(scope)
            same = self.column(inner, outer.type)
            if same is not None:
                where = f"{where} AND {same} = {outer.sql}" if where else f" WHERE {same} = {outer.sql}"
        negation = self.one_of("", "NOT ")
        if self.chance(0.5):
            limit = " LIMIT 1" if self.chance(0.3) else ""
            text = f"{negation}EXISTS (SELECT 1 FROM {from_}{where}{limit})"
        else:
            type_ = self.one_of(*self.types)
            left = self.expression(scope, type_, 0)
            distinct = self.one_of("", "", "DISTINCT ")
            text = f"{left} {negation}IN (SELECT {distinct}{self.expression(inner, type_, 1)} FROM {from_}{where})"
        self._depth -= 1
        return text

    # --- queries --------------------------------------------------------------------------------------------------

    def from_clause(self, most: int = 3) -> tuple[str, list[Col]]:
        """A FROM clause and the columns that it makes visible."""
        text, scope = self._relation()
        joins = self.random.randint(0, most - 1)
        alone = joins == 1 and "(" not in text
        for _ in range(joins):
            right, columns = self._relation()
            kinds = ["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "CROSS JOIN", ","]
            if alone:  # SQLite loses rows of RIGHT and FULL joins next to other joins
                kinds += ["RIGHT JOIN", "FULL JOIN"]
            kind = self.random.choice(kinds)
            both = scope + columns
            if kind in (",", "CROSS JOIN"):
                text += f"{kind if kind == ',' else ' ' + kind} {right}"
            else:
                text += f" {kind} {right} ON {self._join_condition(scope, columns, both)}"
            scope = both
        return text, scope

    def _join_condition(self, left: list[Col], right: list[Col], both: list[Col]) -> str:
        terms = []
        if self.chance(0.85):
            column = self.random.choice(left)
            other = self.column(right, column.type) or self.column(right)
            terms.append(f"{column.sql} = {other}")
        if not terms or self.chance(0.3):
            terms.append(self._comparison(both, 0))
        return " AND ".join(terms)

    def _relation(self) -> tuple[str, list[Col]]:
        self._aliases += 1
        alias = f"x{self._aliases}"
        if self._depth < 2 and self.chance(0.15):
            self._depth += 1
            query, types = self.select([], total_order=self.chance(0.3))
            self._depth -= 1
            return f"({query}) AS {alias}", [Col(f"{alias}.c{i}", type_) for i, type_ in enumerate(types)]
        table = self.random.choice(self.tables)
        return f"{table.name} AS {alias}", self._columns(table, alias)

    @staticmethod
    def _columns(table: TableDef, alias: str) -> list[Col]:
        return [Col(f"{alias}.{name}", type_, name in table.folding) for name, type_ in table.columns]

    def query(self) -> tuple[str, bool]:
        """A whole query, and whether its order is defined."""
        self.params = []
        self._aliases = 0
        with_ = ""
        if self.chance(0.1):
            with_ = self._with()
        ordered = self.chance(0.5)
        if self.chance(0.12):
            return with_ + self._compound(ordered), ordered
        return with_ + self.select([], total_order=ordered)[0], ordered

    def _with(self) -> str:
        query, types = self.select([], total_order=False)
        name = f"w{len(self.tables)}"
        columns = [(f"c{i}", type_) for i, type_ in enumerate(types)]
        self.tables = [t for t in self.tables if not t.name.startswith("w")]
        self.tables.append(TableDef(name, columns))
        return f"WITH {name} AS ({query}) "

    def forget_ctes(self) -> None:
        """To be called after each query: its WITH is not visible to others."""
        self.tables = [t for t in self.tables if not t.name.startswith("w")]

    def _compound(self, ordered: bool) -> str:
        types = [self.one_of(*self.types) for _ in range(self.random.randint(1, 3))]
        text = self.select([], types=types)[0]
        for _ in range(self.random.randint(1, 2)):
            text += f" {self.one_of('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT')} {self.select([], types=types)[0]}"
        return text + (self._total_order(len(types)) if ordered else "")

    def _total_order(self, width: int) -> str:
        keys = [
            f"{i + 1}{self.one_of('', ' DESC')}{self.one_of('', '', '', ' NULLS LAST', ' NULLS FIRST')}"
            for i in range(width)
        ]
        self.random.shuffle(keys)
        limit = f" LIMIT {self.random.randint(0, 6)}" if self.chance(0.4) else ""
        offset = f" OFFSET {self.random.randint(0, 3)}" if limit and self.chance(0.4) else ""
        return f" ORDER BY {', '.join(keys)}{limit}{offset}"

    def select(
        self, outer: list[Col], *, total_order: bool = False, types: list[str] | None = None
    ) -> tuple[str, list[str]]:
        """A SELECT whose columns are named c0, c1, ... and their types."""
        wanted = types or [self.one_of(*self.types) for _ in range(self.random.randint(1, 3))]
        from_, scope = self.from_clause()
        where = f" WHERE {self.predicate(scope + outer)}" if self.chance(0.7) else ""
        roll = self.random.random()
        if roll < 0.2:
            text = self._grouped(scope, wanted, from_, where)
        elif roll < 0.28:
            text = self._windowed(scope, wanted, from_, where)
        else:
            shown = [f"{self._shown(scope, type_)} AS c{i}" for i, type_ in enumerate(wanted)]
            distinct = "DISTINCT " if self.chance(0.2) else ""
            text = f"SELECT {distinct}{', '.join(shown)} FROM {from_}{where}"
        if total_order:
            text += self._total_order(len(wanted))
        return text, wanted

    def _shown(self, scope: list[Col], type_: str) -> str:
        """An output column; BINARY, so that an order over all columns is total."""
        text = self.expression(scope, type_, 1)
        return f"({text}) COLLATE BINARY" if type_ == "TEXT" else text

    def _grouped(self, scope: list[Col], types: list[str], from_: str, where: str) -> str:
        keys = [self.column(scope) or "1" for _ in range(self.random.randint(0, 2))]
        shown = []
        for i, type_ in enumerate(types):
            key = next((c.sql for c in scope if c.sql in keys and c.type == type_ and not c.folds), None)
            value = key if key and self.chance(0.6) else self._aggregate(scope, type_)
            shown.append(f"({value}) COLLATE BINARY AS c{i}" if type_ == "TEXT" else f"{value} AS c{i}")
        group = f" GROUP BY {', '.join(keys)}" if keys else ""
        having = ""
        if keys and self.chance(0.4):
            operator = self.one_of(">", "<", "=", "<>")
            having = f" HAVING {self._aggregate(scope, 'INTEGER')} {operator} {self.literal('INTEGER')}"
            if self.chance(0.4):
                having += f" AND {keys[0]} IS NOT NULL"
        return f"SELECT {', '.join(shown)} FROM {from_}{where}{group}{having}"

    def _aggregate(self, scope: list[Col], type_: str) -> str:
        distinct = self.one_of("", "", "DISTINCT ")
        kept = f" FILTER (WHERE {self.predicate(scope, 0)})" if self.chance(0.1) else ""
        if type_ == "INTEGER":
            match self.random.randint(0, 3):
                case 0:
                    return f"count(*){kept}"
                case 1:
                    return f"count({distinct}{self.expression(scope, self.one_of(*self.types), 1)}){kept}"
                case 2:
                    return f"sum({distinct}{self.expression(scope, 'INTEGER', 1)}){kept}"
        if type_ == "REAL" and self.chance(0.5):
            return f"{self.one_of('sum', 'total', 'avg')}({self.expression(scope, 'REAL', 1)}){kept}"
        return f"{self.one_of('min', 'max')}({self._shown(scope, type_)}){kept}"

    def _windowed(self, scope: list[Col], types: list[str], from_: str, where: str) -> str:
        partition = f"PARTITION BY {self.column(scope)} " if self.chance(0.6) else ""
        order = f"ORDER BY {self.column(scope)}{self.one_of('', ' DESC')}"
        frame = ""
        shown = []
        for i, type_ in enumerate(types):
            if type_ == "INTEGER":
                call = self.one_of("rank()", "dense_rank()", "count(*)", f"sum({self.expression(scope, 'INTEGER', 0)})")
                if call[0] in "cs" and self.chance(0.4):
                    frame = self.one_of(" RANGE UNBOUNDED PRECEDING", " GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW")
                shown.append(f"{call} OVER ({partition}{order}{frame}) AS c{i}")
                frame = ""
            else:
                value = self._shown(scope, type_)
                shown.append(f"{self.one_of('min', 'max')}({value}) OVER ({partition}{order}) AS c{i}")
        return f"SELECT {', '.join(shown)} FROM {from_}{where}"

    # --- writes ---------------------------------------------------------------------------------------------------

    def write(self) -> str:
        """An UPDATE, DELETE or INSERT ... SELECT."""
        self.params = []
        self._aliases = 0
        table = self.random.choice(self.tables)
        scope = self._columns(table, table.name)
        tables = self.tables
        self.tables = [
            t for t in tables if t is not table
        ]  # SQLite's subqueries may see what the statement has written
        where = f" WHERE {self.predicate(scope)}"
        self.tables = tables
        plain = [(name, type_) for name, type_ in table.columns if name != "id"]
        free = [(name, type_) for name, type_ in plain if name not in table.unique]
        match self.random.randint(0, 3):
            case 0:
                return f"DELETE FROM {table.name}{where}"
            case 1:
                types = [type_ for _, type_ in plain]
                names = ", ".join(name for name, _ in plain)
                query = self.select([], types=types, total_order=True)[0]
                return f"INSERT {self.one_of('', 'OR IGNORE ')}INTO {table.name} ({names}) {query}"
            case _ if free:
                name, type_ = self.random.choice(free)
                ignore = self.one_of("", "OR IGNORE ")
                self._depth = 2
                value = self.expression(scope, type_, 1)
                self._depth = 0
                return f"UPDATE {ignore}{table.name} SET {name} = {value}{where}"
            case _:
                return f"DELETE FROM {table.name}{where}"
