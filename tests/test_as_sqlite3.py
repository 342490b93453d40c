"""Answers and errors as the sqlite3 module gives them: values with their classes, error classes and messages."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest

import zodbapi
from tests.sqlite_oracle import both_engines

NULL_OPERANDS = ("NULL", "x'61'", "'a'", "1", "''")
DAYS = (
    "2024-02-30",
    "2024-02-31 12:00",
    "2023-02-29T23:59:59.5",
    "2024-04-31",
    "2024-02-32",
    "0000-00-10",
    "2024-02-30 10:00Z",
)
MODIFIERS = (
    "",
    ", 'start of day'",
    ", 'start of month'",
    ", 'start of year'",
    ", '+1 day'",
    ", '+1 month'",
    ", 'subsec'",
)

EXPRESSIONS = [
    *[f"{f}('{day}'{m})" for f in ("date", "time", "datetime", "julianday") for day in DAYS for m in MODIFIERS[:6]],
    *[f"{a} {test} {b}" for a in NULL_OPERANDS for b in NULL_OPERANDS for test in ("LIKE", "NOT LIKE", "GLOB")],
    *[f"{a} LIKE {b} ESCAPE {e}" for a in NULL_OPERANDS[:3] for b in NULL_OPERANDS[:3] for e in ("NULL", "'!'", "x'21'", "1")],
    *["json_valid(NULL)", "json_valid(1)", "'[1,2]' ->> -1", "'[1,2]' -> -1", "'[1,2]' -> '$[#-1]'"],
    *["printf('')", "printf()", "format()", "printf(NULL)", "printf('%s')", "printf('%y')", "printf('a%y')", "printf('%')"],
    *["printf('%n', 1)", "hex(printf('%c', ''))", "printf('%c', 'xyz')", "printf('%.3c', 'x')", "printf('%5c|', 'x')"],
    *["zeroblob(NULL)", "zeroblob(-1)", "zeroblob('2')", "abs(-9223372036854775808)", "abs(-9223372036854775807 - 1)"],
]  # fmt: skip


NUMBERS = (
    "1e+20",
    "1e5",
    "1E5",
    "-0.0",
    "1.50",
    "1e-7",
    "0.1e1",
    "-0",
    "12345678901234567890",
    "[1e5,1E+5,-0,1.50,7]",
    '{"a":1e5}',
)
EXPRESSIONS += [
    form.format(f"'{number}'")
    for number in NUMBERS
    for form in (
        *["json({})", "json_extract({}, '$')", "json_type({})", "{} -> '$'", "{} ->> '$'", "json_quote(json({}))"],
        *["json_array(json({}))", "json_extract('[' || {} || ']', '$[0]')", "json_set('[2.0]', '$[1]', json({}))"],
        *["json_remove({}, '$.x')", "json_patch({}, '{{}}')", "json_patch('{{}}', {})", "json_group_array(json({}))"],
    )
]
EXPRESSIONS += [
    *[
        "json_array(1e20, 1e-7, 0.5, -0.0, 1e15, 123456789.0)",
        "json_set('{}', '$.a', 1e20)",
        "json_set('{}', NULL, 1, '$.a', 2)",
    ],
    *[
        "json_type('{}', 'a')",
    ],
    *["json_extract('{}', '$.')", "json_set('{}', '$.c\"d', 1)", "json_extract('[1e400]', '$[0]')"],
]


LOCAL_DAYS = (
    "1850-07-01",
    "1950-07-01 12:00",
    "1969-12-31 23:00",
    "2024-03-31 01:30",
    "2024-07-01",
    "2050-07-01",
    "-0044-03-15",
)
FORMATS = (
    *("%f %.0f %.3f %10.2f|%-10.1f|%010.2f %+f % f %+ f % +f %,f %#.0f %!f %!.0f %.20f".split(" ")),
    *("%e %.0e %.3E %!e %!.0E %12.2e| %g %.0g %.3g %#g %!g %G %.10g".split(" ")),
    *("%d %5d| %-5d| %05d %-05d| %,d %,012d %+d %+ d %.4d %u %,u %05u %x %#x %08X %-08x %o %#o %i".split(" ")),
    *("%s %8s| %-8s| %.2s %q %8q| %Q %.3Q %w %c %.3c %5c|".split(" ")),
)
EXPRESSIONS += [
    f"printf('{form}', {value})"
    for form in FORMATS
    for value in ("1.5", "0.005", "-1234.5678", "1e21", "12345", "-7", "'abc'", "'aé'", "NULL", "x'4142'")
    if (form, value) not in {("%.2s", "'aé'")}  # half a character
]
WORDS = ("''", "'a'", "'é日x'", "x'61'", "'1a'", "NULL", "2.5")
EXPRESSIONS += [
    form.format(word)
    for word in WORDS
    for form in (
        *["length({})", "unicode({})", "hex({})", "quote({})", "soundex({})", "substr({}, 2)", "substr({}, -1, 1)"],
        *["instr({}, 'a')", "instr('xa', {})", "replace({}, 'a', 'é')", "replace('aba', {}, 'x')", "trim({}, 'a')"],
        *[
            "trim('axa', {})",
            "round({})",
            "{} + 1",
            "-{}",
            "~{}",
            "{} || 1",
            "CAST({} AS INTEGER)",
            "CAST({} AS NUMERIC)",
        ],
    )
]


def outcome(connection: Any, sql: str, parameters: Any = ()) -> Any:
    """The rows of a statement with the classes of their values, or the class and the message of its error."""
    try:
        cursor = connection.execute(sql, parameters)
        rows = cursor.fetchall() if cursor.description else []
        return [[(type(v), float(f"{v:.14g}") if isinstance(v, float) else v) for v in row] for row in rows]
    except (sqlite3.Error, zodbapi.Error, OverflowError) as error:
        kind = OverflowError if isinstance(error, OverflowError) else type(error)
        return kind.__name__, str(error)


@pytest.fixture
def both() -> Iterator[tuple[Any, Any]]:
    with both_engines(isolation_level=None) as connections:
        yield connections


def same(both: tuple[Any, Any], sql: str, parameters: Any = ()) -> None:
    expected, found = (outcome(connection, sql, parameters) for connection in both)
    assert found == expected, sql


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions(both: tuple[Any, Any], expression: str) -> None:
    same(both, f"SELECT {expression}")


@pytest.mark.parametrize("modifier", ["localtime", "utc"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
def test_local_time(both: tuple[Any, Any], zone: str, modifier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for day in LOCAL_DAYS:
            same(both, f"SELECT datetime('{day}', '{modifier}'), datetime('{day}', '{modifier}', '+1 month')")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("pattern", [None, "a", b"a", 1])
@pytest.mark.parametrize("column", ["a", "b", "c", "d"])
def test_patterns_of_columns(both: tuple[Any, Any], column: str, pattern: Any) -> None:
    for connection in both:
        connection.execute("CREATE TABLE t (a TEXT, b BLOB, c, d INTEGER)")
        connection.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?)", [("a", b"a", "a", 1), (None,) * 4, ("b", b"b", b"a", 2)]
        )
    for test in ("LIKE", "NOT LIKE", "GLOB", "NOT GLOB"):
        same(both, f"SELECT {column} {test} ?, ? {test} {column} FROM t", (pattern, pattern))
        same(both, f"SELECT a FROM t WHERE {column} {test} ?", (pattern,))
        same(both, f"SELECT a FROM t WHERE ({column} {test} ?) IS NULL", (pattern,))
        join = f"t AS x LEFT JOIN t AS y ON x.a = y.a AND y.d > 1 WHERE y.{column} {test} ?"
        same(both, f"SELECT x.a, y.a FROM {join} ORDER BY 1", (pattern,))


@pytest.mark.parametrize(
    "value", [object(), [1], {1: 2}, {1}, 1j, 2**63, -(2**63) - 1, "a\0b", float("nan"), bytearray(b"x")]
)
def test_parameters(both: tuple[Any, Any], value: Any) -> None:
    for sql in ("SELECT ?", "SELECT 1 WHERE ? IS NULL"):
        same(both, sql, (value,))
    same(both, "SELECT :a, :a", {"a": value})


@pytest.mark.parametrize("sql", ["SELECT 1\0", "\0", "SELECT '\0'", "SELECT 1 -- \0", "INSERT INTO t VALUES ('a\0')"])
def test_a_null_character_in_a_text(both: tuple[Any, Any], sql: str) -> None:
    same(both, sql)


class Counter:
    """An aggregate that would say 0 of no rows, if it were asked."""

    def __init__(self) -> None:
        self.count = 0

    def step(self, value: Any) -> None:
        self.count += 1

    def finalize(self) -> int:
        return self.count


def test_an_aggregate_of_the_user_over_no_rows(both: tuple[Any, Any]) -> None:
    for connection in both:
        connection.create_aggregate("counted", 1, Counter)
        connection.execute("CREATE TABLE t (a)")
    for sql in (
        "counted(a) FROM t",
        "counted(a) FROM t GROUP BY a",
        "counted(1)",
        "counted(a) FILTER (WHERE a) FROM t",
    ):
        same(both, f"SELECT {sql}")


def test_recursive_triggers(both: tuple[Any, Any]) -> None:
    def each(*statements: str) -> None:
        for sql in statements:
            same(both, sql)

    each("CREATE TABLE t (a INTEGER PRIMARY KEY, b UNIQUE)", "CREATE TABLE log (n)", "PRAGMA recursive_triggers")
    each("CREATE TRIGGER up AFTER INSERT ON log WHEN new.n < 20 BEGIN INSERT INTO log VALUES (new.n + 1); END")
    each("CREATE TRIGGER gone AFTER DELETE ON t BEGIN INSERT INTO log VALUES (1000 + old.a); END")
    for setting in (1, 0, "on"):
        each(f"PRAGMA recursive_triggers = {setting}", "PRAGMA recursive_triggers", "DELETE FROM log", "DELETE FROM t")
        each("INSERT INTO log VALUES (1)", "INSERT INTO t VALUES (1, 1), (3, 3)", "REPLACE INTO t VALUES (2, 1)")
        each("UPDATE OR REPLACE t SET b = 3 WHERE a = 2", "SELECT n FROM log ORDER BY n", "SELECT * FROM t")
    each("CREATE TRIGGER ever AFTER INSERT ON t BEGIN INSERT INTO t (b) VALUES (new.b + 1); END")
    each("INSERT INTO t VALUES (100, 100)", "SELECT count(*) FROM t")


def test_data_version(tmp_path: Any) -> None:
    first = [module.connect(str(tmp_path / module.__name__), isolation_level=None) for module in (sqlite3, zodbapi)]
    second = [module.connect(str(tmp_path / module.__name__), isolation_level=None) for module in (sqlite3, zodbapi)]
    question = "PRAGMA data_version"
    for connections, sql in (
        *[(first, question), (first, "CREATE TABLE t (a)"), (first, question), (second, "INSERT INTO t VALUES (1)")],
        *[
            (first, question),
            (first, question),
            (first, "BEGIN"),
            (first, "INSERT INTO t VALUES (2)"),
            (first, "COMMIT"),
        ],
        *[(first, question), (second, "DELETE FROM t"), (first, "INSERT INTO t VALUES (3)"), (first, question)],
    ):
        same((connections[0], connections[1]), sql)
    for connection in (*first, *second):
        connection.close()


def test_what_functions_of_the_user_may_not_return(both: tuple[Any, Any]) -> None:
    for connection in both:
        connection.create_function("strange", 0, object)
        connection.create_function("broken", 0, lambda: 1 // 0)
    same(both, "SELECT strange()")
    same(both, "SELECT broken()")


def test_keys_of_rows(both: tuple[Any, Any]) -> None:
    for connection, module in zip(both, (sqlite3, zodbapi), strict=True):
        connection.row_factory = module.Row
        row = connection.execute("SELECT 1 AS a").fetchone()
        for key in (1.5, None, "b", 7, -2):
            with pytest.raises(IndexError):
                row[key]


def test_a_text_is_a_sequence_of_parameters(both: tuple[Any, Any]) -> None:
    same(both, "SELECT ?", "a")
    same(both, "SELECT ?, ?", "ab")
    same(both, "SELECT 1", {"a": 1})
    same(both, "SELECT ?", "ab")


@pytest.mark.parametrize(
    "count", [1, 1.0, 1.5, "1", "1.0", " 2 ", "1x", None, b"1", -1, -2.0, True, 1e300, float("inf")]
)
def test_counts_of_limit(both: tuple[Any, Any], count: Any) -> None:
    query = "SELECT * FROM (VALUES (1), (2), (3)) ORDER BY 1"
    same(both, f"{query} LIMIT ?", (count,))
    same(both, f"{query} LIMIT 2 OFFSET ?", (count,))


class _Stepless:
    def finalize(self) -> int:
        return 1


def test_aggregates_that_lack_a_method() -> None:
    theirs, ours = sqlite3.connect(":memory:"), zodbapi.connect(":memory:")
    for connection in (theirs, ours):
        connection.create_aggregate("stepless", 1, _Stepless)
    sql = "SELECT stepless(x) FROM (SELECT 1 AS x)"
    with pytest.raises(sqlite3.OperationalError) as expected:
        theirs.execute(sql).fetchall()
    with pytest.raises(zodbapi.OperationalError) as found:
        ours.execute(sql).fetchall()
    assert str(found.value) == str(expected.value)
    theirs.close()
    ours.close()


@pytest.mark.parametrize("answer", [lambda: 1 / 0, lambda: "x"])
def test_a_collation_that_fails_is_named(answer: Any) -> None:
    connection = zodbapi.connect(":memory:")
    connection.create_collation("broken", lambda a, b: answer())
    with pytest.raises(zodbapi.OperationalError, match="user-defined collation raised exception"):
        connection.execute("SELECT x FROM (SELECT 'a' AS x UNION SELECT 'b') ORDER BY x COLLATE broken").fetchall()
    with pytest.raises(TypeError, match="must be callable"):
        connection.create_collation("broken", 5)  # type: ignore[arg-type]
    connection.close()


def test_a_progress_handler_that_fails_interrupts() -> None:
    theirs, ours = sqlite3.connect(":memory:"), zodbapi.connect(":memory:")
    sql = "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1000) SELECT count(*) FROM c"
    for connection, error in ((theirs, sqlite3.OperationalError), (ours, zodbapi.OperationalError)):
        connection.set_progress_handler(lambda: 1 // 0, 10)
        with pytest.raises(error, match="interrupted"):
            connection.execute(sql).fetchall()
        connection.close()


def test_parameters_that_fail_on_the_way_leave_no_transaction() -> None:
    def rows() -> Iterator[Any]:
        yield (1,)
        raise KeyError

    for connection in (sqlite3.connect(":memory:"), zodbapi.connect(":memory:", isolation_level=None)):
        connection.isolation_level = None
        connection.execute("CREATE TABLE t (a)")
        with pytest.raises(KeyError):
            connection.executemany("INSERT INTO t VALUES (?)", rows())
        assert not connection.in_transaction
        connection.close()


def test_a_trace_callback_that_fails_is_ignored(both: tuple[Any, Any]) -> None:
    for connection in both:
        connection.set_trace_callback(lambda sql: 1 // 0)
    same(both, "SELECT 1")


def test_keywords_of_functions(both: tuple[Any, Any]) -> None:
    for connection in both:
        connection.create_function(name="one", narg=0, func=lambda: 1)
        connection.create_aggregate(name="counted", n_arg=1, aggregate_class=Counter)
        connection.set_trace_callback(trace_callback=None)
        connection.set_progress_handler(progress_handler=None, n=1)
    same(both, "SELECT one(), counted(1)")


def test_foreign_keys_deferred_before_the_transaction(both: tuple[Any, Any]) -> None:
    question = "PRAGMA defer_foreign_keys"
    for sql in (
        *("PRAGMA foreign_keys = 1", "CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE c (x REFERENCES p)"),
        *(
            f"{question} = 1",
            question,
            "BEGIN",
            question,
            "INSERT INTO c VALUES (1)",
            "INSERT INTO p VALUES (1)",
            "COMMIT",
        ),
        *(question, "INSERT INTO c VALUES (2)", f"{question} = 1", "BEGIN", "INSERT INTO c VALUES (2)", "COMMIT"),
        *(question, "ROLLBACK", question, f"{question} = 1", "INSERT INTO c VALUES (1)", question, "SELECT * FROM c"),
    ):
        same(both, sql)


VIEW = """
CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);
INSERT INTO t VALUES (1, 'x'), (2, 'y');
CREATE VIEW v AS SELECT a, b FROM t;
CREATE TRIGGER vi INSTEAD OF INSERT ON v BEGIN INSERT INTO t VALUES (new.a, new.b); END;
CREATE TRIGGER vd INSTEAD OF DELETE ON v BEGIN DELETE FROM t WHERE a = old.a; END;
"""


@pytest.mark.parametrize("tail", ["", " RETURNING a"])
def test_rows_of_a_view_are_not_counted(both: tuple[Any, Any], tail: str) -> None:
    for connection in both:
        connection.executescript(VIEW)
    for sql in (
        "INSERT INTO v VALUES (3, 'z')",
        "DELETE FROM v WHERE a = 3",
        "INSERT INTO t VALUES (4, 'q'), (5, 'r')",
    ):
        counts = []
        for connection in both:
            cursor = connection.execute(sql + tail)
            if tail:
                cursor.fetchall()
            counts.append(cursor.rowcount)
        assert counts[0] == counts[1], sql


RECURSIVE = "WITH RECURSIVE c (x) AS ({}) SELECT x FROM c ORDER BY x"
STATEMENTS = [
    *["INSERT INTO v VALUES (1, 'z') ON CONFLICT DO NOTHING", "INSERT OR IGNORE INTO v VALUES (1, 'z')"],
    *["INSERT INTO v VALUES (1, 'z') ON CONFLICT (a) DO UPDATE SET b = 1"],
    *["CREATE TABLE w (a, b) WITHOUT ROWID", "CREATE TABLE w (a INTEGER PRIMARY KEY AUTOINCREMENT) WITHOUT ROWID"],
    *[
        "CREATE TABLE w (a, PRIMARY KEY (a)) WITHOUT ROWID",
        "CREATE TABLE w (a TEXT PRIMARY KEY, b) STRICT, WITHOUT ROWID",
    ],
    *["CREATE TABLE w (a TEXT PRIMARY KEY, b ANY) STRICT, WITHOUT ROWID", "ALTER TABLE t RENAME TO sqlite_t"],
    *["SELECT -0x8000000000000000", "SELECT - 0x08000000000000000", "SELECT 5 - 0x8000000000000000 IS NULL"],
    *["SELECT (5) - 0x8000000000000000 > 0", "SELECT -0x7fffffffffffffff", "SELECT (-0x8000000000000000)"],
    *["UPDATE t SET t.b = 1", "UPDATE t AS q SET q.b = 1", "UPDATE t SET nope.b = 1", "UPDATE t SET (a, t.b) = (1, 2)"],
    *["SELECT 0x8000000000000000"],
    *[
        RECURSIVE.format(query)
        for query in (
            "SELECT 1 UNION ALL SELECT a.x + b.x FROM c AS a JOIN c AS b WHERE a.x < 5",
            "SELECT 1 UNION ALL SELECT max(x) + 1 FROM c WHERE x < 5",
            "SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 5 GROUP BY x",
            "SELECT 1 UNION ALL SELECT count(*) OVER () FROM c LIMIT 4",
            "SELECT 1 UNION ALL SELECT x + (SELECT max(a) FROM t WHERE a <= c.x) FROM c WHERE x < 5",
            "SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3 UNION ALL SELECT x + 10 FROM c WHERE x < 3",
        )
    ],
    *["SELECT '[10,20]' -> true", "SELECT '[10,20]' ->> false", "SELECT json_array('[[1]]' ->> 0, '[[1]]' -> 0)"],
    *["SELECT json_object('a', '{\"b\":[1]}' ->> 'b')"],
]


@pytest.mark.parametrize("sql", STATEMENTS)
def test_statements(both: tuple[Any, Any], sql: str) -> None:
    for connection in both:
        connection.executescript(VIEW)
    same(both, sql)
    same(both, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")


@pytest.mark.parametrize(
    "frame", ["ROWS '1'", "ROWS 1.0", "ROWS 1.5", "ROWS 'x'", "GROUPS '2'", "RANGE '1'", "RANGE 'x'", "RANGE NULL"]
)
def test_offsets_of_frames(both: tuple[Any, Any], frame: str) -> None:
    rows = "(VALUES (1), (2), (2), (4))"
    same(both, f"SELECT column1, sum(column1) OVER (ORDER BY column1 {frame} PRECEDING) FROM {rows} ORDER BY 1, 2")


@pytest.mark.parametrize(
    "call",
    ["nth_value(n, 2.0)", "nth_value(n, 1.5)", "nth_value(n, '2')", "lead(n, m, -9)", "lag(n, m, n)", "lag(n, m)"],
)
def test_places_of_window_functions(both: tuple[Any, Any], call: str) -> None:
    rows = "(SELECT column1 AS n, column2 AS m FROM (VALUES (1, 1), (2, NULL), (3, 2), (4, 0)))"
    same(both, f"SELECT n, {call} OVER (ORDER BY n) FROM {rows} ORDER BY n")


@pytest.mark.parametrize("name", ["case_sensitive_like", "ignore_check_constraints", "query_only"])
def test_settings_that_would_be_missed(name: str) -> None:
    connection = zodbapi.connect(":memory:", isolation_level=None)
    connection.execute(f"PRAGMA {name} = off")
    with pytest.raises(zodbapi.NotSupportedError, match=f"PRAGMA {name} is not supported"):
        connection.execute(f"PRAGMA {name} = 1")
    connection.close()
