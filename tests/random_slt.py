"""Statements in the styles of SQLite's sqllogictest files, made anew from a seed: ``python -m tests.random_slt SECONDS [SEED]``.

Each style is a function that gives a schema (statements) and queries; a query says whether its order is defined. All
run on sqlite3 and on this engine, and what sqllogictest would print of both must be the same.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random
from typing import Any

import zodbapi
from tests.sqllogic import shown

Style = Callable[[Random], tuple[list[str], Iterator[str]]]


def numbers(random: Random, count: int, most: int = 99) -> list[int]:
    """Some integers."""
    return [random.randint(0, most) for _ in range(count)]


# --- select1, select2, select3 ------------------------------------------------------------------------------------


def select(random: Random) -> tuple[list[str], Iterator[str]]:
    """One table of five columns, NULLs here and there; items, predicates and orders drawn from lists."""
    schema = ["CREATE TABLE t1(a INTEGER, b INTEGER, c INTEGER, d INTEGER, e INTEGER)"]
    nulls = random.random() < 0.6
    for number in range(30):
        row = [str(100 + number * 5 + i) for i in range(5)]
        random.shuffle(row)
        if nulls and random.random() < 0.4:
            row[random.randrange(5)] = "NULL"
        names = random.sample("abcde", 5)
        schema.append(f"INSERT INTO t1({','.join(names)}) VALUES({','.join(row)})")

    def queries() -> Iterator[str]:
        while True:
            items = random.sample(_items(random), random.randint(1, 7))
            where = ""
            if random.random() < 0.8:
                joiner = random.choice([" AND ", " OR ", "\n    OR ", "\n   AND "])
                where = " WHERE " + joiner.join(random.sample(_predicates(random), random.randint(1, 4)))
            order = random.sample([str(i + 1) for i in range(len(items))], random.randint(0, len(items)))
            by = f" ORDER BY {','.join(order)}" if order else ""
            yield f"SELECT {', '.join(items)} FROM t1{where}{by}"

    return schema, queries()


def _items(random: Random) -> list[str]:
    n = random.randint(1, 9) * 111
    return [
        "a", "b", "c", "d", "e", "a-b", "b-c", "c-d", "d-e", "a+b*2", "a+b*2+c*3", "a+b*2+c*3+d*4+e*5", "abs(a)",
        "abs(b-c)", "(a+b+c+d+e)/5", f"CASE a+1 WHEN b THEN 111 WHEN c THEN {n} WHEN d THEN 333 ELSE 555 END",
        "CASE WHEN c>(SELECT avg(c) FROM t1) THEN a*2 ELSE b*10 END",
        "CASE WHEN a<b-3 THEN 111 WHEN a<=b THEN 222 WHEN a<b+3 THEN 333 ELSE 444 END",
        "(SELECT count(*) FROM t1 AS x WHERE x.b<t1.b)",
        "(SELECT count(*) FROM t1 AS x WHERE x.c>t1.c AND x.d<t1.d)", "coalesce(a,b,c,d,e)", "nullif(a,b)",
    ]  # fmt: skip


def _predicates(random: Random) -> list[str]:
    low = random.randint(100, 240)
    return [
        "a>b", "b>c", "c>d", "d>e", "d NOT BETWEEN 110 AND 150", "c BETWEEN b-2 AND d+2", "(e>c OR e<d)", "(e>a AND e<b)",
        "(c<=d-2 OR c>=d+2)", "EXISTS(SELECT 1 FROM t1 AS x WHERE x.b<t1.b)", "coalesce(a,b,c,d,e)<>0", "(a>b-2 AND a<b+2)",
        f"a BETWEEN {low} AND {low + 40}", "a IS NULL", "b IS NOT NULL", f"c IN ({low},{low + 1},{low + 2},NULL)", "(d>e)=(a>b)",
    ]  # fmt: skip


# --- select4: compounds over nine tables ----------------------------------------------------------------------------


def compounds(random: Random) -> tuple[list[str], Iterator[str]]:
    """Nine tables, joins of a few of them by equalities, and compound selects."""
    schema = []
    for t in range(1, 10):
        columns = [f"{c}{t}" for c in "abcde"]
        schema.append(f"CREATE TABLE t{t}( {', '.join(f'{c} INTEGER' for c in columns)}, x{t} VARCHAR(30))")
        for n in range(random.randint(5, 30)):
            values = ",".join(map(str, numbers(random, 5, 30)))
            schema.append(f"INSERT INTO t{t}({','.join(columns)},x{t}) VALUES({values},'table t{t} row {n}')")
        for i in range(random.randint(0, 3)):
            unique = "UNIQUE " if random.random() < 0.1 else ""
            c = random.choice(columns)
            schema.append(f"CREATE {unique}INDEX t{t}i{i} ON t{t}({c}{random.choice(['', ' DESC'])})")

    def term(column: str, t: int) -> str:
        tests = []
        for _ in range(random.randint(1, 4)):
            c = f"{random.choice('abcde')}{t}"
            many = ",".join(map(str, numbers(random, random.randint(2, 6), 30)))
            n = random.randint(0, 30)
            tests.append(
                random.choice(
                    [f"{c} in ({many})", f"{c}={n}", f"{n}={c}", f"({c}={n} OR {n + 1}={c})", f"NOT ({c}>{n})"]
                )
            )
        return f"SELECT {column}{t} FROM t{t} WHERE {random.choice([' AND ', ' OR ']).join(tests)}"

    def queries() -> Iterator[str]:
        while True:
            if random.random() < 0.5:
                terms = [term(random.choice("abcde"), random.randint(1, 9)) for _ in range(random.randint(2, 8))]
                text = terms[0]
                for other in terms[1:]:
                    text += f" {random.choice(['UNION', 'EXCEPT', 'INTERSECT', 'UNION ALL'])} {other}"
                yield text
                continue
            tables = random.sample(range(1, 10), random.randint(2, 5))
            links = []
            for i, t in enumerate(tables[1:], 1):
                pair = [f"{random.choice('abcde')}{t}", f"{random.choice('abcde')}{tables[random.randrange(i)]}"]
                random.shuffle(pair)
                links.append("=".join(pair))
                if random.random() < 0.6:
                    links.append(f"{random.choice('abcde')}{t} in ({','.join(map(str, numbers(random, 4, 30)))})")
            links.append(f"{random.choice('abcde')}{tables[0]}={random.randint(0, 30)}")
            random.shuffle(links)
            items = ",".join(f"{random.choice(['x', 'a', 'b+' + str(t) + '*'])}{t}".replace("*", "+a") for t in tables)
            random.shuffle(tables)
            yield f"SELECT {items} FROM {', '.join(f't{t}' for t in tables)} WHERE {' AND '.join(links)}"

    return schema, queries()


# --- select5: joins of up to 64 tables ------------------------------------------------------------------------------


def chains(random: Random) -> tuple[list[str], Iterator[str]]:
    """64 tables of ten rows; each query joins some in random order, each linked to another."""
    schema = []
    for t in range(1, 65):
        schema.append(f"CREATE TABLE t{t}( a{t} INTEGER PRIMARY KEY, b{t} INTEGER, x{t} VARCHAR(40))")
        links = random.sample(range(1, 11), 10)
        for n, link in enumerate(links, 1):
            schema.append(f"INSERT INTO t{t} VALUES({n},{link},'table t{t} row {n}')")

    def queries() -> Iterator[str]:
        while True:
            tables = random.sample(range(1, 65), random.choice([4, 6, 8, 12, 20, 30, 40, 50, 60, 64]))
            links = []
            for first, second in pairwise(tables):
                pair = [f"a{first}", f"b{second}"] if random.random() < 0.9 else [f"b{first}", f"b{second}"]
                random.shuffle(pair)
                links.append("=".join(pair))
            links.append(f"{random.choice('ab')}{random.choice(tables)}={random.randint(1, 10)}")
            random.shuffle(links)
            shown_ = random.sample(tables, len(tables))
            random.shuffle(tables)
            from_ = ",".join(f"t{t}" for t in tables)
            yield f"SELECT {','.join(f'x{t}' for t in shown_)} FROM {from_} WHERE {' AND '.join(links)}"

    return schema, queries()


# --- random: expressions, aggregates, groups ------------------------------------------------------------------------


def expressions(random: Random) -> tuple[list[str], Iterator[str]]:
    """Three tables of three integers, and deep arithmetic over their products."""
    schema = []
    for t in range(3):
        schema.append(f"CREATE TABLE tab{t}(col0 INTEGER, col1 INTEGER, col2 INTEGER)")
        schema += [f"INSERT INTO tab{t} VALUES({','.join(map(str, numbers(random, 3)))})" for _ in range(3)]

    def queries() -> Iterator[str]:
        while True:
            yield _Expressions(random).query()

    return schema, queries()


class _Expressions:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.columns: list[str] = []

    def one_of(self, *items: str) -> str:
        return self.random.choice(items)

    def sign(self) -> str:
        return self.one_of("", "", "", "- ", "+ ", "- - ", "+ - ")

    def value(self, depth: int = 0) -> str:
        """A number."""
        roll = self.random.random()
        if depth > 3 or roll < 0.45:
            if self.columns and self.random.random() < 0.5:
                return self.sign() + self.one_of(*self.columns)
            return self.sign() + str(self.random.randint(0, 99))
        if roll < 0.75:
            operator = self.one_of("+", "-", "*", "*", "/")
            return f"{self.value(depth + 1)} {operator} {self.value(depth + 1)}"
        return self.sign() + self._call(depth)

    def _call(self, depth: int) -> str:
        first, second = self.value(depth + 1), self.value(depth + 1)
        match self.random.randint(0, 7):
            case 0:
                return f"COALESCE ( {first}, {second}, {self.value(depth + 1)} )"
            case 1:
                return f"NULLIF ( {first}, {second} )"
            case 2:
                return f"CAST( {self.one_of('NULL', first)} AS {self.one_of('INTEGER', 'REAL', 'INTEGER')} )"
            case 3:
                return f"CASE {first} WHEN {second} THEN {self.value(depth + 1)} {self.one_of('', f'ELSE {first} ')}END"
            case 4:
                return f"CASE WHEN {self.test(depth + 1)} THEN {first} ELSE {self.one_of('NULL', second)} END"
            case 5:
                return f"ABS ( {first} )"
            case _:
                return f"( {first} )"

    def test(self, depth: int = 0) -> str:
        """A condition, often NULL."""
        not_ = self.one_of("", "", "NOT ")
        a, b, c = (self.one_of("NULL", self.value(depth + 1), self.value(depth + 1)) for _ in range(3))
        match self.random.randint(0, 7):
            case 0:
                return f"{not_}( {a} ) {self.one_of('', 'NOT ')}BETWEEN {b} AND {c}"
            case 1:
                members = self.one_of(f" {b}, {c}, {self.value(depth + 1)} ", f" {b} ", "")
                return f"{not_}{a} {self.one_of('', 'NOT ')}IN ({members})"
            case 2:
                return f"{not_}( {a} ) IS {self.one_of('', 'NOT ')}NULL"
            case 3 if depth < 2:
                return f"{not_}( {self.test(depth + 1)} {self.one_of('AND', 'OR')} {self.test(depth + 1)} )"
            case 4:
                return f"{not_}{a}"
            case 5:
                return f"{not_}( NOT ( {a} ) IS NULL )"
            case _:
                return f"{not_}{a} {self.one_of('<', '<=', '>', '>=', '=', '<>')} {b}"

    def total(self) -> str:
        """An expression of aggregates."""
        terms = []
        for _ in range(self.random.randint(1, 3)):
            name = self.one_of("COUNT ( * )", "COUNT", "SUM", "MIN", "MAX", "AVG", "COUNT")
            if "*" not in name:
                name += f" ( {self.one_of('', '', 'ALL ', 'DISTINCT ')}{self.value(2)} )"
            terms.append(self.sign() + name)
        return f" {self.one_of('+', '-', '*', '/')} ".join([*terms, *[self.sign() + "7"] * self.random.randint(0, 1)])

    def query(self) -> str:
        """A SELECT of one to three items."""
        alias = self.one_of("", " AS cor0", " cor0")
        from_ = f" FROM tab{self.random.randint(0, 2)}{alias}"
        if alias and self.random.random() < 0.3:
            from_ += f" {self.one_of('CROSS JOIN', ',')} tab{self.random.randint(0, 2)} AS cor1"
            self.columns = [f"cor{i}.col{j}" for i in (0, 1) for j in range(3)]
        else:
            self.columns = ["col0", "col1", "col2"] + (["cor0.col0", "cor0.col2"] if alias else [])
        where = f" WHERE {self.test()}" if self.random.random() < 0.5 else ""
        quantifier = self.one_of("", "", "ALL ", "DISTINCT ")
        count = self.random.randint(1, 3)
        roll = self.random.random()
        if roll < 0.12:
            self.columns = []
            return f"SELECT {quantifier}{', '.join(self._named(self.value()) for _ in range(count))}"
        if roll < 0.4:
            return f"SELECT {quantifier}{', '.join(self._named(self.total()) for _ in range(count))}{from_}{where}"
        if roll < 0.65:
            keys = self.random.sample(self.columns, self.random.randint(1, 2))
            self.columns = keys
            having = f" HAVING {self.test(1)}" if self.random.random() < 0.4 else ""
            items = [self._named(self.one_of(self.value(), self.value(), self.total())) for _ in range(count)]
            return f"SELECT {quantifier}{', '.join(items)}{from_}{where} GROUP BY {', '.join(keys)}{having}"
        if roll < 0.7:
            return f"SELECT {quantifier}*{from_}{where}"
        return f"SELECT {quantifier}{', '.join(self._named(self.value()) for _ in range(count))}{from_}{where}"

    def _named(self, text: str) -> str:
        return text + self.one_of("", "", f" AS col{self.random.randint(0, 2)}", f" col{self.random.randint(0, 2)}")


# --- index: the same predicates with and without indexes -----------------------------------------------------------


def indexes(random: Random) -> tuple[list[str], Iterator[str]]:
    """A table of two integers, two floats and two texts in copies with different indexes, read through views too."""
    columns = "pk INTEGER PRIMARY KEY, col0 INTEGER, col1 FLOAT, col2 TEXT, col3 INTEGER, col4 FLOAT, col5 TEXT"
    schema = [f"CREATE TABLE tab0({columns})"]
    for pk in range(random.choice([10, 50, 100])):
        values: list[Any] = [pk]
        for _ in range(2):
            word = "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=5))
            values += [
                random.randint(0, 999),
                random.choice([random.randint(0, 99999) / 100, random.randint(0, 999)]),
                f"'{word}'",
            ]
        schema.append(f"INSERT INTO tab0 VALUES({','.join(map(str, values))})")
    for t in range(1, 4):
        schema.append(f"CREATE TABLE tab{t}({columns})")
        for i in range(random.randint(1, 4)):
            keys = random.sample(["col0", "col1", "col3", "col4", "col2"], random.randint(1, 3))
            parts = ", ".join(k + random.choice(["", "", " DESC"]) for k in keys)
            unique = random.choice(["", "", "", "UNIQUE "]) if len(keys) > 1 else ""
            schema.append(f"CREATE {unique}INDEX idx_tab{t}_{i} ON tab{t} ({parts})")
        schema.append(f"INSERT INTO tab{t} SELECT * FROM tab0")
    schema += [
        f"CREATE VIEW view_{t} AS SELECT {random.choice(['pk, col0', '*'])} FROM tab{t} WHERE {_condition(random)}"
        for t in range(1, 4)
    ]

    def queries() -> Iterator[str]:
        while True:
            condition = _condition(random, deep=True)
            order = random.choice(["", "", " ORDER BY 2 DESC, 1", " ORDER BY 1"])
            item = random.choice(["pk", "pk, col0", "col0, pk", "pk, col1 + col0", "pk, col1", "pk, col4 * 2"])
            if order.startswith(" ORDER BY 2") and "," not in item:
                order = " ORDER BY 1 DESC"
            roll = random.random()
            for t in range(4):
                if roll < 0.1:
                    yield (
                        f"DELETE FROM tab{t} WHERE {condition}"
                        if random.random() < 0.2
                        else f"SELECT count(*), sum(col0), avg(col1), max(col4) FROM tab{t} WHERE {condition}"
                    )
                elif roll < 0.2 and t:
                    yield f"SELECT * FROM view_{t}"
                else:
                    yield f"SELECT {item} FROM tab{t} WHERE {condition}{order}"

    return schema, queries()


def _condition(random: Random, deep: bool = False, depth: int = 0) -> str:
    column = random.choice(["col0", "col1", "col3", "col4"])
    number: Any = random.randint(0, 999) if column in ("col0", "col3") else random.randint(0, 99900) / 100
    match random.randint(0, 9 if deep and depth < 3 else 5):
        case 0:
            return f"{column} BETWEEN {number} AND {number + 200}"
        case 1:
            return f"({column} IS NULL)"
        case 2:
            return f"{column} IN ({','.join(str(number + i * 3) for i in range(random.randint(1, 7)))})"
        case 3 if deep and depth < 2:
            other = random.choice(["col0", "col3"])
            inner = _condition(random, deep, depth + 1)
            return f"{column} IN (SELECT {other} FROM tab0 WHERE {inner})"
        case 6 | 7:
            joined = random.choice([" AND ", " OR "]).join(
                _condition(random, deep, depth + 1) for _ in range(random.randint(2, 4))
            )
            return f"{random.choice(['', '', 'NOT '])}({joined})"
        case 8:
            return f"({_condition(random, deep, depth + 1)})"
        case _:
            operator = random.choice(["<", "<=", ">", ">=", "="])
            return f"{number} {operator} {column}" if random.random() < 0.2 else f"{column} {operator} {number}"


# --- evidence: what each statement of the language does -------------------------------------------------------------


def statements(random: Random) -> tuple[list[str], Iterator[str]]:
    """A small table with views, indexes and triggers that come and go; many statements fail, as they should."""
    key = random.choice(["", " PRIMARY KEY", " UNIQUE"])
    schema = [f"CREATE TABLE t1( x INTEGER{key}, y VARCHAR(8) )"]
    schema += [f"INSERT INTO t1 VALUES({x},'{y}')" for x, y in ((1, "true"), (0, "false"))]
    schema += ["CREATE INDEX t1i1 ON t1(x)", "CREATE TABLE log(what TEXT, x INTEGER)"]

    def queries() -> Iterator[str]:
        while True:
            yield random.choice(_STATEMENTS).format(
                n=random.randint(1, 2),
                i=random.randint(0, 6),
                v=random.choice(["0", "1", "2", "5", "NULL", "3+1", "x+2", "4.0", "-1"]),
                w=random.choice(
                    ["", " WHERE x>0", " WHERE y='unknown'", " WHERE x IN t3", " WHERE x NOT NULL", " WHERE z"]
                ),
                temp=random.choice(["", "", "TEMP ", "TEMPORARY "]),
                when=random.choice(["", "BEFORE ", "AFTER ", "INSTEAD OF "]),
                event=random.choice(["INSERT", "UPDATE", "DELETE", "UPDATE OF x"]),
                on=random.choice(["t1", "t1", "view1"]),
                row=random.choice(["new", "old"]),
                exists=random.choice(["", " IF EXISTS"]),
                end=random.choice(["", ";"]),
            )

    return schema, queries()


_STATEMENTS = [
    "INSERT INTO t1 VALUES({i},'insert')", "INSERT INTO t1(y) VALUES('only')", "INSERT INTO t1 VALUES({i})",
    "INSERT OR REPLACE INTO t1 VALUES({i}, 'insert or replace')", "REPLACE INTO t1 VALUES({i}, 'replace (new)')",
    "INSERT OR IGNORE INTO t1 VALUES({i}, 'ignored')", "INSERT INTO view{n} VALUES({i},'unknown')",
    "UPDATE t1 SET x={v}{w}", "UPDATE t1 SET y='unknown'{w}", "UPDATE t1 SET x=3, x=4, x={i}", "UPDATE t1 SET z='foo'",
    "UPDATE view{n} SET x={i}", "DELETE FROM t1{w}", "DELETE FROM view{n}{w}",
    "CREATE {temp}VIEW view{n} AS SELECT x, y FROM t1{w}", "DROP VIEW{exists} view{n}", "DROP VIEW{exists} t1",
    "CREATE {temp}TABLE t3( x INTEGER )", "INSERT INTO t3 VALUES({i})", "DROP TABLE{exists} t3", "DROP TABLE{exists} view{n}",
    "CREATE INDEX t1i{n} ON t1({row})", "CREATE INDEX t1i{n} ON t1(y, x DESC)", "DROP INDEX{exists} t1i{n}{end}",
    "CREATE TRIGGER t1r{n} {when}{event} ON {on} BEGIN SELECT 1; END{end}",
    "CREATE TEMP TRIGGER t1t{n} {when}{event} ON {on} BEGIN INSERT INTO log VALUES('{event}', {row}.x); END;",
    "DROP TRIGGER{exists} t1r{n}", "DROP TRIGGER{exists} t1t{n}", "REINDEX", "REINDEX t1", "REINDEX t1i{n}",
    "SELECT count(*), sum(x), avg(x), total(x), min(y), max(x) FROM t1{w}", "SELECT x, y FROM view{n} ORDER BY x, y",
    "SELECT count(DISTINCT x), sum(DISTINCT x), avg(DISTINCT y) FROM t1{w}", "SELECT x, y FROM t1{w}",
    "SELECT count(DISTINCT *) FROM t1", "SELECT what, x, count(*) FROM log GROUP BY what, x ORDER BY 1, 2",
    "SELECT {v} IN t3", "SELECT {i} IN (SELECT * FROM t1)", "SELECT {v} NOT IN (SELECT x FROM t1)", "SELECT {i} IN ()",
    "SELECT name FROM sqlite_master ORDER BY name", "SELECT name FROM sqlite_temp_master ORDER BY name",
]  # fmt: skip


STYLES: dict[str, Style] = {
    "select": select, "compounds": compounds, "chains": chains, "expressions": expressions, "indexes": indexes,
    "statements": statements,
}  # fmt: skip


# --- running --------------------------------------------------------------------------------------------------------


def outcome(connection: Any, sql: str) -> Any:
    """The rows as sqllogictest prints them, each value as integer, as float and as text; or that there was an error."""
    try:
        cursor = connection.execute(sql)
        if cursor.description is None:
            return cursor.rowcount
        rows = [tuple((type(v), v if isinstance(v, str) else shown(v, "R")) for v in row) for row in cursor.fetchall()]
    except (sqlite3.Error, zodbapi.Error) as error:
        return "integer overflow" if "overflow" in str(error) else "error"
    return rows if "ORDER BY" in sql else sorted(rows, key=repr)


def differences(style: str, seed: int, count: int) -> list[str]:
    """What differs in one database of a style."""
    schema, queries = STYLES[style](Random(seed))
    pair = (sqlite3.connect(":memory:", isolation_level=None), zodbapi.connect(":memory:", autocommit=True))
    found = []
    for i, sql in enumerate([*schema, *(next(queries) for _ in range(count))]):
        start = time.process_time()
        expected, answer = (outcome(connection, sql) for connection in pair)
        taken = time.process_time() - start
        if expected != answer and (i < len(schema) or not _ties(sql, expected, answer)):
            found.append(f"{style} {seed}: {sql}\n  sqlite3: {str(expected)[:300]}\n  zodbapi: {str(answer)[:300]}")
        elif taken > 3:
            found.append(f"{style} {seed}: {sql}\n  took {taken:.1f} s")
    for connection in pair:
        connection.close()
    return found


def _ties(sql: str, expected: Any, answer: Any) -> bool:
    """Whether only rows that an ORDER BY leaves in any order are in another order."""
    if "ORDER BY" not in sql or not isinstance(expected, list) or not isinstance(answer, list):
        return False
    if sorted(expected, key=repr) != sorted(answer, key=repr):
        return False
    if not all(key.split()[0].isdigit() for key in sql.rpartition("ORDER BY ")[2].split(",")):
        return False
    keys = [int(key.split()[0]) - 1 for key in sql.rpartition("ORDER BY ")[2].split(",")]
    return [[row[k] for k in keys] for row in expected] == [[row[k] for k in keys] for row in answer]


def main() -> int:
    """Runs for a number of seconds."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.random_slt", description="sqllogictest's styles, against sqlite3"
    )
    parser.add_argument("seconds", nargs="?", type=float, default=30.0)
    parser.add_argument("seed", nargs="?", type=int, default=int(time.time()))
    parser.add_argument("--style", choices=tuple(STYLES))
    options = parser.parse_args()
    deadline, seed, found = time.monotonic() + options.seconds, options.seed, 0
    while time.monotonic() < deadline and found < 10:
        for style in [options.style] if options.style else STYLES:
            for text in differences(style, seed, 12 if style == "chains" else 60):
                print(text)
                found += 1
        seed += 1
    print(f"{seed - options.seed} seeds, {found} differences")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
