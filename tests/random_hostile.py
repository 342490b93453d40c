"""Random statements out of extreme values: most are valid, few make sense, and none may raise what is not PEP 249's."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from decimal import Decimal
from typing import Any

from zodbapi.functions import BUILTIN

LITERALS = [
    *("NULL 0 1 -1 9223372036854775807 -9223372036854775808 1e308 -1e308 1e-320 9e999 -9e999 -0.0 0.1 1000000".split()),
    *(
        "'' 'a' '%' '2020-02-30' '2020-01-01' 'now' '$' '1e400' 'nan' 'inf' '(' '*' '[a-' 'P1D' '0x1F' x'00ff' x''".split()
    ),
    *["'9999-12-31 23:59:59'", "'0001-01-01'", "'{\"a\": [1, 2]}'", "'[1,'", "'$.a[0]'", "'$.a['", "'\x00x'"],
    *["TRUE", "FALSE", "'+5 days'", "'-99999 years'", "'1 day'", "'%Y-%s-%f%'", "'\U0001f600'", "99999999999"],
    "'12345678-1234-5678-1234-567812345678'",
]
PARAMETERS = [
    *[
        None,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        2**64,
        1e308,
        float("inf"),
        float("nan"),
        "x",
        "\ud800",
        b"\xff",
        True,
        "2020-01-01",
    ],
    *map(Decimal, ["1E+5000", "NaN", "sNaN", "Infinity", "1.5", "1E-5000", "123456789012345678901234567890.5"]),
    *[dt.date.max, dt.date.min, dt.datetime.max, dt.datetime.min, dt.timedelta.max, dt.timedelta.min, dt.time(1, 2)],
    dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=14))),
    dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=14))),
    dt.time(1, 2, tzinfo=dt.UTC),
    uuid.UUID(int=5),
    {"a": 1},
]
SCHEMA = """CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c REAL, d DECIMAL(10, 2), e DATE, f TIMESTAMP, g TIME,
    h INTERVAL, i UUID, j JSON, k BOOLEAN, l BLOB, m TIMESTAMPTZ, n)"""
COLUMNS = "id a b c d e f g h i j k l m n".split()
TYPES = (
    "INTEGER TEXT REAL NUMERIC BLOB DATE TIMESTAMP TIME INTERVAL UUID JSON BOOLEAN DECIMAL(5,2) TIMESTAMPTZ DECIMAL "
    "DECIMAL(40,38) BIGINT"
).split()
OPERATORS = "+ - * / % || & | << >> = < > <= >= <> IS LIKE GLOB REGEXP -> ->> AND OR".split()
FORMATS = "%d %s %5.3f %x %e %g %c %q %w % %*d %-10s %,d %!.20f %99999999999d %.99999999d %zz".split()
WINDOWS = [
    "",
    "RANGE BETWEEN 1 PRECEDING AND CURRENT ROW",
    "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    "GROUPS 1 PRECEDING",
]
NOT_CALLED = ("randomblob", "zeroblob", "current_date", "current_time", "current_timestamp", "clike")
SCALARS = [
    f
    for name, known in sorted(BUILTIN.scalars.items())
    if name.isidentifier() and name not in NOT_CALLED
    for f in known
]
AGGREGATES = [f for _, known in sorted(BUILTIN.aggregates.items()) for f in known]


class HostileStatements:
    """A source of statements. ``parameters`` has the values of all names that were handed out so far."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.parameters: dict[str, Any] = {}

    def statement(self) -> str:
        """The next statement."""
        e, pick = self.expression, self.random.choice
        choices: list[tuple[int, Any]] = [
            (30, lambda: f"SELECT {e()} FROM t"),
            (10, lambda: f"SELECT {e(0, False)}"),
            (10, lambda: f"SELECT id FROM t WHERE {e()}"),
            (10, lambda: f"SELECT * FROM t WHERE {pick(COLUMNS)} {pick('< = > <= >= <> IS'.split())} {e(2, False)}"),
            (5, lambda: f"SELECT id FROM t ORDER BY {e()}"),
            (5, lambda: f"SELECT {self.aggregate(1)}, count(*) FROM t GROUP BY {e(1)}"),
            (5, lambda: f"SELECT {self.aggregate(1)} FROM t HAVING {self.aggregate(2)}"),
            (
                5,
                lambda: f"SELECT {self.aggregate(1)} OVER (PARTITION BY {e(2)} ORDER BY {e(2)} {pick(WINDOWS)}) FROM t",
            ),
            (5, lambda: f"SELECT * FROM t x JOIN t y ON x.{pick(COLUMNS)} = y.{pick(COLUMNS)} LIMIT 9"),
            (3, lambda: f"SELECT DISTINCT {e(1)} FROM t UNION SELECT {e(1)} FROM t ORDER BY 1"),
            (3, lambda: f"SELECT 1 FROM t LIMIT {e(2, False)} OFFSET {e(2, False)}"),
            (3, lambda: f"SELECT * FROM json_each({e(2, False)})"),
            (20, lambda: f"INSERT INTO t ({pick(COLUMNS)}) VALUES ({e(1, False)})"),
            (5, lambda: f"INSERT OR REPLACE INTO t (id, {pick(COLUMNS[1:])}) VALUES ({e(3, False)}, {e(1, False)})"),
            (5, lambda: f"INSERT INTO t (id) VALUES (1) ON CONFLICT DO UPDATE SET {pick(COLUMNS)} = {e(2)}"),
            (10, lambda: f"UPDATE t SET {pick(COLUMNS)} = {e()} WHERE {e(2)}"),
            (3, lambda: f"DELETE FROM t WHERE {e(1)}"),
            (1, lambda: "DELETE FROM t WHERE id NOT IN (SELECT id FROM t LIMIT 30)"),
            (3, lambda: f"CREATE INDEX IF NOT EXISTS i ON t ({pick(COLUMNS)}, {e(2)})"),
            (3, lambda: f"CREATE UNIQUE INDEX IF NOT EXISTS i ON t ({pick(COLUMNS)}) WHERE {e(2)}"),
            (4, lambda: "DROP INDEX IF EXISTS i"),
            (
                2,
                lambda: (
                    f"CREATE TABLE IF NOT EXISTS u (a {pick(TYPES)} DEFAULT ({e(2, False)}), b {pick(TYPES)} AS (a))"
                ),
            ),
            (2, lambda: f"INSERT INTO u (a) VALUES ({e(2, False)})"),
            (2, lambda: "DROP TABLE IF EXISTS u"),
            (1, lambda: f"ALTER TABLE u ALTER COLUMN a TYPE {pick(TYPES)}"),
        ]
        weights, makers = zip(*choices, strict=True)
        text: str = self.random.choices(makers, weights)[0]()
        return text

    def expression(self, depth: int = 0, columns: bool = True) -> str:
        """An expression; without ``columns`` one that can stand where there is no row."""
        pick = self.random.choice

        def e() -> str:
            return self.expression(depth + 1, columns)

        if depth > 3 or self.random.random() < 0.25:
            return pick(
                [lambda: pick(LITERALS), lambda: pick(COLUMNS) if columns else pick(LITERALS), self._parameter]
            )()
        makers: list[Any] = [
            *[lambda: f"({e()} {pick(OPERATORS)} {e()})"] * 6,
            *[lambda: self._call(pick(SCALARS), e)] * 8,
            lambda: f"({pick(['-', '~', 'NOT ', '+'])} {e()})",
            lambda: f"CAST({e()} AS {pick(TYPES)})",
            lambda: f"CAST({e()} AS {pick(TYPES)})",
            lambda: f"({e()} BETWEEN {e()} AND {e()})",
            lambda: f"({e()} IN ({e()}, {e()}))",
            lambda: f"({e()} IN (SELECT {self.expression(depth + 1)} FROM t))",
            lambda: f"(SELECT {self.expression(depth + 1)} FROM t ORDER BY {self.expression(depth + 1)} LIMIT 1)",
            lambda: f"(SELECT {self.aggregate(depth + 1)} FROM t)",
            lambda: f"CASE {e()} WHEN {e()} THEN {e()} ELSE {e()} END",
            lambda: f"({e()} COLLATE {pick(['NOCASE', 'RTRIM', 'BINARY'])})",
            lambda: f"(({e()}, {e()}) {pick(['=', '<', '>=', '<>'])} ({e()}, {e()}))",
            lambda: f"printf('{pick(FORMATS)}', {e()}, {e()})",
        ]
        text: str = pick(makers)()
        return text

    def aggregate(self, depth: int) -> str:
        """A call of an aggregate."""
        return self._call(self.random.choice(AGGREGATES), lambda: self.expression(depth + 1))

    def _call(self, function: Any, argument: Any) -> str:
        most = function.max_args if function.max_args >= 0 else function.min_args + 2
        count = self.random.randint(function.min_args, most)
        return f"{function.name}({', '.join(argument() for _ in range(count))})"

    def _parameter(self) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = self.random.choice(PARAMETERS)
        return f":{name}"
