"""Shapes of queries that are rare by chance but matter to the optimizer: pages, row values, extremes, shared CTEs."""

from __future__ import annotations

from tests.random_sql import TYPES, Col, Generator, TableDef


class ShapeGenerator(Generator):
    """Draws queries in certain shapes now and then, and columns without a type, which hold anything."""

    types = (*TYPES, *TYPES, "")

    def value(self, type_: str) -> object:
        """A value of a type, or of any."""
        return super().value(type_ or self.random.choice(TYPES))

    def literal(self, type_: str) -> str:
        """A literal or a parameter of a type, or of any."""
        return super().literal(type_ or self.random.choice(TYPES))

    def expression(self, scope: list[Col], type_: str, depth: int = 2) -> str:
        """An expression of a type, or of any."""
        if type_:
            return super().expression(scope, type_, depth)
        roll = self.random.random()
        if depth <= 0 or roll < 0.7:
            return (self.column(scope, "") if self.chance(0.8) else None) or self.literal("")
        first, second = (self.expression(scope, "", depth - 1) for _ in range(2))
        if roll < 0.85:
            return f"coalesce({first}, {second})"
        return f"CASE WHEN {self.predicate(scope, depth - 1)} THEN {first} ELSE {second} END"

    def query(self) -> tuple[str, bool]:
        """A whole query, and whether its order is defined."""
        if self.chance(0.7):
            return super().query()
        self.params = []
        self._aliases = 0
        shapes = (self.page, self.page, self.page, self.row_values, self.extremes, self.shared, self.in_keys)
        found = self.random.choice(shapes)()
        return found if found is not None else super().query()

    def _aliased(self, table: TableDef) -> tuple[str, list[Col]]:
        self._aliases += 1
        alias = f"x{self._aliases}"
        return f"{table.name} AS {alias}", self._columns(table, alias)

    def page(self) -> tuple[str, bool] | None:
        """Rows in the order of columns that an index may have, with a tie-break, and a LIMIT."""
        identified = [t for t in self.tables if t.columns[0][0] == "id"]
        if not identified:
            return None
        from_, scope = self._aliased(self.random.choice(identified))
        ids = [scope[0].sql]
        if self.chance(0.4):
            right, columns = self._aliased(self.random.choice(identified))
            kind = self.one_of("JOIN", "LEFT JOIN")
            from_ += f" {kind} {right} ON {self._join_condition(scope, columns, scope + columns)}"
            ids.append(columns[0].sql)
            scope += columns
        keys = []
        for column in self.random.sample(scope, self.random.randint(1, min(3, len(scope)))):
            key = column.sql
            if column.type == "TEXT" and self.chance(0.2):
                key += " COLLATE " + self.one_of("NOCASE", "BINARY")
            keys.append(key + self.one_of("", "", " DESC", " DESC", " NULLS LAST", " DESC NULLS FIRST"))
        direction = self.one_of("", " DESC")
        keys += [key + direction for key in ids]
        shown = ", ".join(column.sql for column in self.random.sample(scope, min(3, len(scope))))
        distinct = f"DISTINCT {', '.join(ids)}, " if self.chance(0.1) else ""
        where = f" WHERE {self.predicate(scope, 1)}" if self.chance(0.7) else ""
        limit = f" LIMIT {self.random.randint(1, 8)}" if self.chance(0.8) else ""
        offset = f" OFFSET {self.random.randint(0, 4)}" if limit and self.chance(0.3) else ""
        return f"SELECT {distinct}{shown} FROM {from_}{where} ORDER BY {', '.join(keys)}{limit}{offset}", True

    def row_values(self) -> tuple[str, bool]:
        """Comparisons of several columns at once."""
        from_, scope = self._aliased(self.random.choice(self.tables))
        first, second = (self.random.choice(scope) for _ in range(2))
        pair = f"({first.sql}, {second.sql})"
        # Not IN (SELECT ...): SQLite 3.40 goes wrong where it uses an index for several columns at once.
        if self.chance(0.5):
            operator = self.one_of("=", "<", "<=", ">", "<>")
            condition = f"{pair} {operator} ({self.literal(first.type)}, {self.literal(second.type)})"
        else:
            items = [f"({self.literal(first.type)}, {self.literal(second.type)})" for _ in range(3)]
            condition = f"{pair} IN (VALUES {', '.join(items)})"
        return f"SELECT {scope[0].sql}, {first.sql}, {second.sql} FROM {from_} WHERE {condition}", False

    def extremes(self) -> tuple[str, bool]:
        """The least or greatest value of a table."""
        from_, scope = self._aliased(self.random.choice(self.tables))
        column = self.random.choice(scope)
        where = f" WHERE {self.predicate(scope, 1)}" if self.chance(0.6) else ""
        # Of texts that are alike in the column's collation, any may be given.
        shown = f"lower({column.sql})" if column.folds else column.sql
        return f"SELECT {self.one_of('min', 'max')}({shown}) FROM {from_}{where}", False

    def shared(self) -> tuple[str, bool]:
        """A CTE that is used twice."""
        query, types = self.select([])
        query += f" ORDER BY {', '.join(str(i + 1) for i in range(len(types)))} LIMIT 10"
        shown = [f"a.c{i}" for i in range(len(types))]
        left = self.one_of("JOIN", "LEFT JOIN")
        return (
            f"WITH s AS ({query}) SELECT {', '.join(shown)}, b.c0 FROM s AS a {left} s AS b ON a.c0 = b.c{len(types) - 1}"
            f" WHERE {self.predicate([Col(f'a.c{i}', type_) for i, type_ in enumerate(types)], 1)}"
        ), False

    def in_keys(self) -> tuple[str, bool]:
        """A key among what a subquery finds."""
        from_, scope = self._aliased(self.random.choice(self.tables))
        inner_from, inner = self._aliased(self.random.choice(self.tables))
        key = scope[0] if self.chance(0.6) else self.random.choice(scope)
        value = self.column(inner, key.type) or self.literal(key.type)
        where = f" WHERE {self.predicate(inner, 1)}" if self.chance(0.8) else ""
        more = f" AND {self.predicate(scope, 0)}" if self.chance(0.3) else ""
        columns = ", ".join(column.sql for column in scope)
        return (
            f"SELECT {columns} FROM {from_} WHERE {key.sql} IN (SELECT {value} FROM {inner_from}{where}){more}",
            False,
        )
