"""Random queries of the kinds that faults came from: collations, anti joins, compounds, frames, related rows.

What has no defined answer is not drawn here either: which of several texts that are alike stands for them, so their
lower-case form is shown.
"""

from __future__ import annotations

from tests.random_sql import TYPES, Col
from tests.random_writes import WriteGenerator

EDGES = (
    "UNBOUNDED PRECEDING", "2 PRECEDING", "1 PRECEDING", "CURRENT ROW", "1 FOLLOWING", "2 FOLLOWING", "UNBOUNDED FOLLOWING",
)  # fmt: skip


class MixedGenerator(WriteGenerator):
    """Draws queries in more shapes, and collations anywhere in expressions."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._plain_texts = False  # whether texts must not have a collation of their own

    # --- expressions and relations --------------------------------------------------------------------------------

    def expression(self, scope: list[Col], type_: str, depth: int = 2) -> str:
        """An expression of a type, a text now and then under a collation."""
        if type_ == "TEXT" and not self._plain_texts and self.chance(0.07):
            return f"({super().expression(scope, type_, depth)} COLLATE {self.one_of('NOCASE', 'NOCASE', 'BINARY')})"
        if depth > 0 and self.chance(0.05) and type_ in TYPES:
            return self._choice(scope, type_, depth - 1)
        return super().expression(scope, type_, depth)

    def _choice(self, scope: list[Col], type_: str, depth: int) -> str:
        first, second = (self.expression(scope, type_, depth) for _ in range(2))
        match self.random.randint(0, 3):
            case 0:
                return f"CASE {first} WHEN {second} THEN {self.expression(scope, type_, depth)} ELSE {first} END"
            case 1:
                otherwise = self.expression(scope, type_, depth)
                return f"iif({first} {self.one_of('=', '<', 'IS')} {second}, {first}, {otherwise})"
            case 2:
                return f"nullif({first}, {second})"
            case _:
                call = f"{self.one_of('min', 'max')}({first}, {second})"
                return f"lower({call})" if type_ == "TEXT" else call

    def _query_predicate(self, scope: list[Col]) -> str:
        # With an index on the left side of IN, SQLite forgets COLLATE in the subquery.
        plain, self._plain_texts = self._plain_texts, True
        text = super()._query_predicate(scope)
        self._plain_texts = plain
        return text

    def query(self) -> tuple[str, bool]:
        """A whole query, and whether its order is defined."""
        if self.chance(0.6):
            return super().query()
        self.params = []
        self._aliases = 0
        shapes = (
            self.anti, self.anti, self.collated, self.collated, self.alike, self.stacked, self.stacked, self.framed,
            self.outer_page, self.classes, self.aggregated, self.ranged, self.related, self.related,
            self.joined_by_name, self.reached, self.ranked,
        )  # fmt: skip
        found = self.random.choice(shapes)()
        return found if found is not None else super().query()

    def anti(self) -> tuple[str, bool]:
        """Rows without a partner, next to other joins."""
        from_, scope = self._some_table()
        if self.chance(0.4):
            right, columns = self._some_table()
            from_ += f" {self.one_of('JOIN', 'LEFT JOIN')} {right} ON {self._join_condition(scope, columns, scope + columns)}"
            scope = scope + columns
        right, columns = self._some_table()
        on = self._join_condition(scope, columns, scope + columns)
        shown = ", ".join(column.sql for column in self.random.sample(scope, min(3, len(scope))))
        more = f" AND {self.predicate(scope + columns, 1)}" if self.chance(0.4) else ""
        if self.chance(0.6):
            missing = self.random.choice(columns).sql
            if self.chance(0.3):
                shown += f", {self.random.choice(columns).sql}"
            return f"SELECT {shown} FROM {from_} LEFT JOIN {right} ON {on} WHERE {missing} IS NULL{more}", False
        inner = f"{on}{f' AND {self.predicate(columns + scope, 1)}' if self.chance(0.4) else ''}"
        exists = f"{self.one_of('NOT EXISTS', 'NOT EXISTS', 'EXISTS')} (SELECT 1 FROM {right} WHERE {inner})"
        more = f" {self.one_of('AND', 'OR')} {self.predicate(scope, 1)}" if self.chance(0.4) else ""
        return f"SELECT {shown} FROM {from_} WHERE {exists}{more}", False

    def _text_source(self) -> tuple[str, str, list[Col]] | None:
        """An expression under a collation, of a table that has texts; the table and its columns."""
        fitting = [t for t in self.tables if any(type_ == "TEXT" for _, type_ in t.columns)]
        if not fitting:
            return None
        from_, scope = self._aliased(self.random.choice(fitting))
        text = self.column(scope, "TEXT") or ""
        if self.chance(0.3):
            text = self.one_of(f"trim({text})", f"ifnull({text}, 'A')", f"({text} || '')")
        if self.chance(0.7):
            text += f" COLLATE {self.one_of('NOCASE', 'NOCASE', 'BINARY')}"
        return text, from_, scope

    def collated(self) -> tuple[str, bool] | None:
        """A column of a subquery or CTE that has a collation, compared, joined, grouped and sorted by."""
        source, other = self._text_source(), self._text_source()
        if source is None or other is None:
            return None
        text, from_, scope = source
        key = scope[0].sql
        inner = f"SELECT {text} AS c0, {key} AS c1 FROM {from_}{self._where(scope, 0.4)}"
        with_, relation = (f"WITH s AS ({inner}) ", "s") if self.chance(0.4) else ("", f"({inner}) AS s")
        value = self._sql_value(self.value("TEXT"))
        text2, from2, scope2 = other
        match self.random.randint(0, 6):
            case 0:
                operator = self.one_of("=", "<", ">=", "<>", "IS", "IS NOT")
                return f"{with_}SELECT c0 || '', c1 FROM {relation} WHERE c0 {operator} {value}", False
            case 1:
                values = ", ".join(self.literal("TEXT") for _ in range(3))
                return (
                    f"{with_}SELECT c0 || '', c1 FROM {relation} WHERE c0 {self.one_of('', 'NOT ')}IN ({values})",
                    False,
                )
            case 2:
                distinct = self.one_of("", "DISTINCT ", "DISTINCT ")
                if not text.startswith(("trim(", "ifnull(", "(")):  # as in ``_query_predicate``
                    text2 = text2.partition(" COLLATE")[0]
                test = (
                    f"c0 {self.one_of('', 'NOT ')}IN (SELECT {distinct}{text2} FROM {from2}{self._where(scope2, 0.3)})"
                )
                return f"{with_}SELECT c0 || '', c1 FROM {relation} WHERE {test}", False
            case 3:
                kind = self.one_of("JOIN", "LEFT JOIN")
                sides = ["s.c0", text2]
                self.random.shuffle(sides)
                on = f"{sides[0]} = {sides[1]}"
                return f"{with_}SELECT s.c0 || '', s.c1, {scope2[0].sql} FROM {relation} {kind} {from2} ON {on}", False
            case 4:
                return f"{with_}SELECT lower(c0), count(*), count(c1) FROM {relation} GROUP BY c0", False
            case 5:
                return f"{with_}SELECT lower(c0) FROM (SELECT DISTINCT c0 FROM {relation})", False
            case _:
                return f"{with_}SELECT lower(c0) FROM {relation} ORDER BY c0{self.one_of('', ' DESC')} LIMIT 5", True

    def alike(self) -> tuple[str, bool] | None:
        """Compounds of texts under collations: the left one decides which are alike."""
        sources = [self._text_source() for _ in range(self.random.randint(2, 3))]
        parts = [f"SELECT {s[0]} AS c0 FROM {s[1]}{self._where(s[2], 0.3)}" for s in sources if s is not None]
        if len(parts) < 2:
            return None
        text = parts[0]
        for part in parts[1:]:
            text += f" {self.one_of('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT')} {part}"
        return f"SELECT lower(c0) FROM ({text}) AS u", False

    def stacked(self) -> tuple[str, bool]:
        """UNION ALL of tables, sorted, cut, and filtered from outside."""
        wanted = [self.one_of(*TYPES) for _ in range(2)]
        parts = []
        for _ in range(self.random.randint(2, 3)):
            from_, scope = self._some_table()
            columns = [self.column(scope, type_) or self._sql_value(self.value(type_)) for type_ in wanted]
            shown = ", ".join(f"{c} COLLATE BINARY AS c{i}" if t == "TEXT" else f"{c} AS c{i}"
                              for i, (c, t) in enumerate(zip(columns, wanted, strict=True)))  # fmt: skip
            parts.append(f"SELECT {shown} FROM {from_}{self._where(scope, 0.4)}")
        text = parts[0]
        for part in parts[1:]:
            text += f" {self.one_of('UNION ALL', 'UNION ALL', 'UNION ALL', 'UNION', 'EXCEPT')} {part}"
        order = self._total_order(2)
        if self.chance(0.4):
            return text + order, True
        scope = [Col(f"u.c{i}", type_) for i, type_ in enumerate(wanted)]
        inner = text + (order if self.chance(0.5) else "")
        where = self._where(scope, 0.8)
        if self.chance(0.5):
            return f"SELECT u.c0, u.c1 FROM ({inner}) AS u{where}", False
        right, columns = self._some_table()
        on = self._join_condition(scope, columns, scope + columns)
        return (
            f"SELECT u.c0, u.c1, {columns[0].sql} FROM ({inner}) AS u {self.one_of('JOIN', 'LEFT JOIN')} {right} ON {on}{where}",
            False,
        )

    def framed(self) -> tuple[str, bool] | None:
        """Window functions over frames; their order is total."""
        identified = [t for t in self.tables if t.columns[0][0] == "id"]
        if not identified:
            return None
        from_, scope = self._aliased(self.random.choice(identified))
        partition = f"PARTITION BY {self.column(scope)} " if self.chance(0.5) else ""
        column = self.random.choice(scope)
        order = f"ORDER BY {column.sql}{self.one_of('', ' DESC', ' NULLS LAST', ' DESC NULLS FIRST')}, {scope[0].sql}"
        number = self.column(scope, "INTEGER") or "1"
        shown = []
        for _ in range(2):
            call = self.one_of(
                f"sum({number})", "count(*)", f"min({number})", f"max({number})", f"first_value({column.sql})",
                f"last_value({column.sql})", f"nth_value({number}, 2)", f"lag({number})", f"lead({number}, 2, -1)",
                "row_number()", "ntile(3)", "percent_rank()", "cume_dist()", f"group_concat({number})", f"total({number})",
            )  # fmt: skip
            frame = ""
            if self.chance(0.7) and call[:3] in ("sum", "cou", "min", "max", "fir", "las", "nth", "gro", "tot"):
                start = self.random.randrange(len(EDGES) - 1)
                end = self.random.randrange(max(start, 1), len(EDGES))
                exclude = self.one_of("", "", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES")
                frame = f" {self.one_of('ROWS', 'ROWS', 'GROUPS')} BETWEEN {EDGES[start]} AND {EDGES[end]}{exclude}"
            kept = (
                f" FILTER (WHERE {self.predicate(scope, 0)})" if call[:3] in ("sum", "cou") and self.chance(0.2) else ""
            )
            shown.append(f"{call}{kept} OVER ({partition}{order}{frame})")
        where = self._where(scope, 0.4)
        return f"SELECT {scope[0].sql}, {', '.join(shown)} FROM {from_}{where}", False

    def ranged(self) -> tuple[str, bool] | None:
        """Aggregates over frames that reach to values, not to rows; peers are in them together."""
        from_, scope = self._some_table()
        numbers = [column for column in scope if column.type in ("INTEGER", "REAL")]
        if not numbers:
            return None
        key, other = self.random.choice(numbers), self.random.choice(numbers)
        bounds = ["UNBOUNDED PRECEDING", "2 PRECEDING", "0.5 PRECEDING", "CURRENT ROW", "1 FOLLOWING", "2.5 FOLLOWING"]
        start = self.random.randrange(len(bounds))
        end = self.random.choice([*bounds[max(start, 1) :], "UNBOUNDED FOLLOWING"])
        exclude = self.one_of("", "", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES")
        order = f"ORDER BY {key.sql}{self.one_of('', ' DESC', ' NULLS LAST', ' DESC NULLS FIRST')}"
        partition = f"PARTITION BY {self.column(scope)} " if self.chance(0.3) else ""
        call = self.one_of("sum", "count", "min", "max", "total", "avg")
        window = f"({partition}{order} RANGE BETWEEN {bounds[start]} AND {end}{exclude})"
        return f"SELECT {key.sql}, {call}({other.sql}) OVER {window} FROM {from_}{self._where(scope, 0.3)}", False

    def related(self) -> tuple[str, bool] | None:
        """Values of related rows, by keys of any types: aggregates, the first row, whether there is one."""
        identified = [t for t in self.tables if t.columns[0][0] == "id"]
        if not identified:
            return None
        from_, scope = self._some_table()
        shown = []
        for _ in range(self.random.randint(1, 3)):
            right, inner = self._aliased(self.random.choice(identified))
            key = self.random.choice(scope)
            same = (self.column(inner, key.type) if self.chance(0.7) else None) or self.random.choice(inner).sql
            collate = f" COLLATE {self.one_of('NOCASE', 'BINARY')}" if key.type == "TEXT" and self.chance(0.2) else ""
            on = f"{same} {self.one_of('=', '=', '=', 'IS', '<')} {key.sql}{collate}"
            if self.chance(0.5):
                on += f" AND {self.predicate(inner + scope if self.chance(0.3) else inner, 0)}"
            number = self.column(inner, "INTEGER") or "1"
            match self.random.randint(0, 3):
                case 0:
                    value = self.one_of("count(*)", f"sum({number})", f"max({number})", f"count(DISTINCT {number})")
                    value = self.one_of(value, f"coalesce(sum({number}), 0)", f"total({number})")
                    shown.append(f"(SELECT {value} FROM {right} WHERE {on})")
                case 1:
                    shown.append(f"{self.one_of('', 'NOT ')}EXISTS (SELECT 1 FROM {right} WHERE {on})")
                case 2:
                    first = f"{self.random.choice(inner).sql}{self.one_of('', ' DESC')}, {inner[0].sql}"
                    offset = self.one_of("", "", " OFFSET 1")
                    value = self.random.choice(inner).sql
                    shown.append(f"(SELECT {value} FROM {right} WHERE {on} ORDER BY {first} LIMIT 1{offset})")
                case _:
                    left = self.random.choice(scope).sql
                    shown.append(f"{left} {self.one_of('', 'NOT ')}IN (SELECT {number} FROM {right} WHERE {on})")
        if self.chance(0.3):
            return f"SELECT {scope[0].sql}, {shown[0]} FROM {from_} WHERE {shown[-1]}", False
        return f"SELECT {scope[0].sql}, {', '.join(shown)} FROM {from_}{self._where(scope, 0.3)}", False

    def joined_by_name(self) -> tuple[str, bool]:
        """USING and NATURAL joins, whose common columns are one."""
        first, second = self.random.choice(self.tables), self.random.choice(self.tables)
        names = {name for name, _ in second.columns}
        common = [name for name, _ in first.columns if name in names]
        kind = self.one_of("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
        if not common or self.chance(0.2):
            return f"SELECT * FROM {first.name} AS x NATURAL {kind} {second.name} AS y", False
        named = self.random.sample(common, self.random.randint(1, min(2, len(common))))
        shown = self.one_of("*", ", ".join([*named, f"x.{named[0]}", f"y.{named[-1]}"]))
        where = f" WHERE {named[0]} {self.one_of('IS NOT NULL', 'IS NULL', '> 1', '= x.' + named[0])}"
        where = where if self.chance(0.5) else ""
        return (
            f"SELECT {shown} FROM {first.name} AS x {kind} {second.name} AS y USING ({', '.join(named)}){where}",
            False,
        )

    def reached(self) -> tuple[str, bool] | None:
        """What rows lead to, by a recursive CTE."""
        from_, scope = self._some_table()
        right, columns = self._some_table()
        start, key, value = (self.column(s, "INTEGER") for s in (scope, columns, columns))
        if start is None or key is None or value is None:
            return None
        more = f" AND {self.predicate(columns, 0)}" if self.chance(0.3) else ""
        step = f"SELECT {value}, r.k + 1 FROM r JOIN {right} ON {key} = r.n WHERE r.k < {self.one_of('1', '2')}{more}"
        query = f"SELECT {start}, 0 FROM {from_}{self._where(scope, 0.5)} {self.one_of('UNION', 'UNION', 'UNION ALL')} {step}"
        shown = self.one_of("n, k", "n, count(*)", "max(k), n")
        group = " GROUP BY n" if shown != "n, k" else ""
        return (
            f"WITH RECURSIVE r (n, k) AS ({query}) SELECT {shown} FROM r{self.one_of('', ' WHERE n > 1')}{group}",
            False,
        )

    def ranked(self) -> tuple[str, bool] | None:
        """The first groups in the order of an aggregate."""
        from_, scope = self.from_clause(2)
        keys = [column for column in scope if not column.folds and column.type in TYPES]
        if not keys:
            return None
        key = self.random.choice(keys).sql
        value = self._aggregate(scope, "INTEGER")
        order = f"{self.one_of(value, '2')}{self.one_of('', ' DESC')}, {key}{self.one_of('', ' DESC')}"
        having = f" HAVING {self._aggregate(scope, 'INTEGER')} > 1" if self.chance(0.3) else ""
        limit = f" LIMIT {self.random.randint(1, 5)}" + self.one_of("", " OFFSET 1", " OFFSET 2")
        grouped = f"FROM {from_}{self._where(scope, 0.5)} GROUP BY {key}{having}"
        return f"SELECT {key}, {value} {grouped} ORDER BY {order}{limit}", True

    def outer_page(self) -> tuple[str, bool] | None:
        """A page of an outer join, whose rows may lack either side."""
        identified = [t for t in self.tables if t.columns[0][0] == "id"]
        if not identified:
            return None
        left, scope = self._aliased(self.random.choice(identified))
        right, columns = self._aliased(self.random.choice(identified))
        kind = self.one_of("LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
        both = scope + columns
        keys = [self.random.choice(both).sql + self.one_of("", " DESC", " NULLS LAST"), scope[0].sql, columns[0].sql]
        where = self._where(both, 0.5)
        missing = f" AND {columns[0].sql} IS NULL" if where and self.chance(0.3) else ""
        page = f" LIMIT {self.random.randint(1, 6)}" + (
            f" OFFSET {self.random.randint(0, 5)}" if self.chance(0.5) else ""
        )
        on = self._join_condition(scope, columns, both)
        text = f"SELECT {scope[0].sql}, {columns[0].sql}, {self.random.choice(both).sql} FROM {left} {kind} {right} ON {on}"
        return f"{text}{where}{missing} ORDER BY {', '.join(keys)}{page}", True

    def classes(self) -> tuple[str, bool]:
        """Columns of every affinity beside parameters of every class."""
        from_, scope = self._some_table()
        column = self.random.choice(scope)
        values: list[object] = [1, 2.0, 2.5, "1", "1.0", " 2", "2x", "", b"1", None, 0, -1, "a", "A", 10**15, 1e15]
        marks = []
        for _ in range(2):
            self.params.append(self.random.choice(values))
            marks.append(f"?{len(self.params)}")
        condition = self.random.choice(
            [
                f"{column.sql} {self.one_of('=', '<', '>', '<=', '<>', 'IS', 'IS NOT')} {marks[0]}",
                f"{marks[0]} {self.one_of('=', '<', '>=')} {column.sql}",
                f"{column.sql} {self.one_of('', 'NOT ')}IN ({marks[0]}, {marks[1]})",
                f"{column.sql} {self.one_of('', 'NOT ')}BETWEEN {marks[0]} AND {marks[1]}",
                f"{column.sql} + 0 = {marks[0]}", f"{column.sql} || '' = {marks[0]}", f"+{column.sql} = {marks[0]}",
                f"CAST({column.sql} AS {self.one_of('TEXT', 'INTEGER', 'REAL')}) = {marks[0]}",
                f"({column.sql}, {marks[1]}) > ({marks[0]}, {scope[0].sql})",
                f"{column.sql} LIKE {marks[0]}", f"CASE {column.sql} WHEN {marks[0]} THEN 1 WHEN {marks[1]} THEN 1 END",
                f"coalesce({column.sql}, {marks[0]}) = {marks[1]}", f"{column.sql} = (SELECT {marks[0]})",
                f"{column.sql} IN (SELECT {marks[0]} UNION ALL SELECT {marks[1]})",
            ]
        )  # fmt: skip
        shown = ", ".join(c.sql for c in scope)
        return f"SELECT {shown}, {marks[0]}, typeof({marks[1]}) FROM {from_} WHERE {condition}", False

    def aggregated(self) -> tuple[str, bool]:
        """Aggregates with DISTINCT and FILTER, of groups and of everything."""
        from_, scope = self.from_clause(2)
        shown = []
        for _ in range(2):
            name = self.one_of("count", "sum", "total", "avg", "min", "max")
            distinct = self.one_of("", "DISTINCT ")
            kept = f" FILTER (WHERE {self.predicate(scope, 1)})" if self.chance(0.5) else ""
            shown.append(f"{name}({distinct}{self.expression(scope, self.one_of('INTEGER', 'REAL'), 1)}){kept}")
        keys = [c for c in self.random.sample(scope, min(2, len(scope))) if not c.folds][: self.random.randint(0, 2)]
        group = f" GROUP BY {', '.join(key.sql for key in keys)}" if keys else ""
        having = (
            f" HAVING {shown[0]} {self.one_of('>', '<', 'IS NOT')} {self.literal('INTEGER')}"
            if self.chance(0.3)
            else ""
        )
        if having and not group:
            having = ""
        # Of equal integers and floats any may stand for the group.
        names = [f"{key.sql} + 0" if key.type != "TEXT" else key.sql for key in keys if key.type in TYPES]
        return f"SELECT {', '.join([*names, *shown])} FROM {from_}{self._where(scope, 0.5)}{group}{having}", False
