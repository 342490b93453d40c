"""Definitions: what CREATE TABLE, CREATE INDEX and ALTER TABLE make of the schema, and what they refuse."""

from __future__ import annotations

import pytest

from tests.definitions import FUNCTIONS, allot, alterations, bind, define, table
from zodbapi.binder.schema_sql import index_sql, statements_after_rows, table_sql
from zodbapi.binder.types import declared_type
from zodbapi.binder.writer import bind_writer
from zodbapi.catalog import Check, ForeignKey, Index, IndexColumn, Kind, Schema
from zodbapi.errors import DatabaseError, OperationalError
from zodbapi.plan.commands import AlterTable, CreateTable
from zodbapi.plan.writer import TableWriter

# --- types ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("", Kind.ANY),
        ("INTEGER", Kind.INTEGER),
        ("bigint unsigned", Kind.INTEGER),
        ("serial", Kind.INTEGER),
        ("INT8", Kind.INTEGER),
        ("bool", Kind.BOOLEAN),
        ("double precision", Kind.REAL),
        ("float", Kind.REAL),
        ("numeric", Kind.NUMERIC),
        ("numeric(10, 2)", Kind.DECIMAL),
        ("decimal", Kind.DECIMAL),
        ("varchar(30)", Kind.TEXT),
        ("char(32)", Kind.TEXT),
        ("native character(70)", Kind.TEXT),
        ("clob", Kind.TEXT),
        ("bytea", Kind.BLOB),
        ("varbinary(3)", Kind.BLOB),
        ("date", Kind.DATE),
        ("time", Kind.TIME),
        ("datetime", Kind.TIMESTAMP),
        ("timestamp(6) without time zone", Kind.TIMESTAMP),
        ("timestamp with time zone", Kind.TIMESTAMPTZ),
        ("timestamptz", Kind.TIMESTAMPTZ),
        ("interval", Kind.INTERVAL),
        ("uuid", Kind.UUID),
        ("jsonb", Kind.JSON),
        ("FLOATING POINT", Kind.INTEGER),  # SQLite's rule: INT is looked for first
        ("whatever", Kind.NUMERIC),
    ],
)
def test_declared_types(declared: str, kind: Kind) -> None:
    found = declared_type(declared)
    assert (found.kind, found.declared) == (kind, declared)


def test_precision_and_scale() -> None:
    assert (declared_type("decimal(10,2)").precision, declared_type("decimal(10,2)").scale) == (10, 2)
    assert (declared_type("numeric(5)").precision, declared_type("numeric(5)").scale) == (5, 0)
    assert declared_type("varchar(30)").precision == 30
    with pytest.raises(OperationalError, match="out of range"):
        declared_type("decimal(2, 3)")


# --- CREATE TABLE ---------------------------------------------------------------------------------------------------


def test_columns() -> None:
    columns = table(
        "CREATE TABLE t (a varchar(9) NOT NULL COLLATE nocase DEFAULT 'x', b, c int AS (abs(b)) STORED)"
    ).columns
    assert [(c.name, c.type.kind, c.not_null, c.default, c.collation) for c in columns] == [
        ("a", Kind.TEXT, True, "'x'", "NOCASE"),
        ("b", Kind.ANY, False, None, "BINARY"),
        ("c", Kind.INTEGER, False, None, "BINARY"),
    ]
    assert (columns[2].generated, columns[2].stored) == ("abs(b)", True)


@pytest.mark.parametrize("kind", ["INTEGER", "bigint", "serial", "smallint"])
def test_integer_primary_key_is_the_rowid(kind: str) -> None:
    made = table(f"CREATE TABLE t (a, id {kind} PRIMARY KEY)")
    assert (made.primary_key, made.rowid_column, made.indexes) == ((1,), 1, ())
    assert made.columns[1].not_null
    made = table(f"CREATE TABLE t (id {kind}, CONSTRAINT k PRIMARY KEY (id AUTOINCREMENT))")
    assert (made.rowid_column, made.primary_key_name, made.autoincrement) == (0, "k", True)


def test_other_primary_keys_have_an_index() -> None:
    made = table("CREATE TABLE t (a text COLLATE NOCASE, b int, PRIMARY KEY (b, a DESC))")
    assert (made.primary_key, made.rowid_column) == ((1, 0), None)
    assert made.indexes == (
        Index(
            2,
            "sqlite_autoindex_t_1",
            (IndexColumn(1), IndexColumn(0, collation="NOCASE", descending=True)),
            unique=True,
            origin="pk",
        ),
    )
    assert all(column.not_null for column in made.columns)


def test_unique_constraints() -> None:
    made = table(
        "CREATE TABLE t (id integer primary key, a int UNIQUE, b int, c int,"
        " CONSTRAINT bc UNIQUE NULLS NOT DISTINCT (b, c) DEFERRABLE INITIALLY DEFERRED, UNIQUE (a), UNIQUE (id))"
    )
    assert [(i.name, i.unique, i.origin, i.nulls_distinct, i.deferred) for i in made.indexes] == [
        ("sqlite_autoindex_t_1", True, "u", True, False),
        ("bc", True, "u", False, True),
    ]


def test_checks_and_foreign_keys() -> None:
    made = table(
        "CREATE TABLE t (a int CHECK (a > 0), b int REFERENCES p ON DELETE CASCADE, c int,"
        " CONSTRAINT positive CHECK (c > 0),"
        " CONSTRAINT f FOREIGN KEY (b, c) REFERENCES q (x, y) ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED)"
    )
    assert made.checks == (Check("", "a > 0"), Check("positive", "c > 0"))
    assert made.foreign_keys == (
        ForeignKey("", (1,), "p", (), "CASCADE", "NO ACTION"),
        ForeignKey("f", (1, 2), "q", ("x", "y"), "NO ACTION", "SET NULL", True, True),
    )


def test_create_table_as() -> None:
    schema = define("CREATE TABLE s (a varchar(3), b numeric(5, 2))")
    command = bind("CREATE TABLE t AS SELECT a, b, a || 'x', 1 AS a FROM s", schema)
    assert isinstance(command, CreateTable) and command.query is not None
    assert [(c.name, str(c.type)) for c in command.table.columns] == [
        ("a", "varchar(3)"),
        ("b", "numeric(5, 2)"),
        ("a || 'x'", "any"),
        ("a:1", "any"),
    ]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE TABLE t (a, A)", "duplicate column name: A"),
        ("CREATE TABLE t (a, UNIQUE (b))", "no such column: b"),
        ("CREATE TABLE t (a, PRIMARY KEY (b))", "no such column: b"),
        ("CREATE TABLE t (a PRIMARY KEY, b PRIMARY KEY)", 'table "t" has more than one primary key'),
        (
            "CREATE TABLE t (a text PRIMARY KEY AUTOINCREMENT)",
            "AUTOINCREMENT is only allowed on an INTEGER PRIMARY KEY",
        ),
        ("CREATE TABLE t (a CHECK (b > 1))", "no such column: b"),
        ("CREATE TABLE t (a CHECK (nosuch(a)))", "no such function: nosuch"),
        ("CREATE TABLE t (a CHECK (a > ?))", "parameters prohibited in CHECK constraints"),
        ("CREATE TABLE t (a CHECK (EXISTS (SELECT 1)))", "subqueries prohibited in CHECK constraints"),
        ("CREATE TABLE t (a, FOREIGN KEY (x) REFERENCES p)", 'unknown column "x" in foreign key definition'),
        (
            "CREATE TABLE t (a, FOREIGN KEY (a) REFERENCES p(a, b))",
            "number of columns in foreign key does not match the number of columns in the referenced table",
        ),
        ("CREATE TABLE t (a AS (1))", "must have at least one non-generated column"),
        ("CREATE TABLE t (x, a AS (b), b AS (a))", 'generated column loop on "a"'),
        ("CREATE TABLE t (x, a AS (random()))", "non-deterministic functions prohibited in generated columns"),
        ("CREATE TABLE t (a DEFAULT (b))", "default value of column [a] is not constant"),
        ("CREATE TABLE t (a COLLATE foo)", "no such collation sequence: foo"),
        ("CREATE TABLE t (a, UNIQUE (a + 1))", "expressions prohibited in PRIMARY KEY and UNIQUE constraints"),
        ("CREATE TABLE t (x, a AS (1) DEFAULT 3)", "cannot use DEFAULT on a generated column"),
        ("CREATE TABLE t (x, a AS (1) PRIMARY KEY)", "generated columns cannot be part of the PRIMARY KEY"),
        ("CREATE TABLE sqlite_t (a)", "object name reserved for internal use: sqlite_t"),
        ("CREATE INDEX i ON nosuch (a)", "no such table: main.nosuch"),
        ("CREATE INDEX i ON v (a)", "views may not be indexed"),
        ("CREATE INDEX i ON p (nosuch)", "no such column: nosuch"),
        ("CREATE INDEX i ON p (random())", "non-deterministic functions prohibited in index expressions"),
        ("CREATE INDEX i ON p (b) WHERE b > (SELECT 1)", "subqueries prohibited in partial index WHERE clauses"),
        ("DROP INDEX u", "index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped"),
        ("ALTER TABLE nosuch RENAME TO x", "no such table: nosuch"),
        ("ALTER TABLE v ADD a", "Cannot alter a view"),
        ("ALTER TABLE p RENAME TO v", "there is already another table or index with this name: v"),
        ("ALTER TABLE p RENAME nosuch TO x", 'no such column: "nosuch"'),
        ("ALTER TABLE p RENAME a TO b", "error in table p after rename: duplicate column name: b"),
        ("ALTER TABLE p ADD B int", "duplicate column name: B"),
        ("ALTER TABLE p ADD PRIMARY KEY (b)", 'table "p" has more than one primary key'),
        ("ALTER TABLE p ADD CHECK (z)", "no such column: z"),
        ("ALTER TABLE p DROP nosuch", 'no such column: "nosuch"'),
        ("ALTER TABLE p DROP CONSTRAINT nosuch", "no such constraint: nosuch"),
        ("ALTER TABLE p ALTER a DROP NOT NULL", 'column "a" is in a primary key'),
    ],
)
def test_refused(sql: str, message: str) -> None:
    schema = define("CREATE TABLE p (a INTEGER PRIMARY KEY, b, CONSTRAINT u UNIQUE (b)); CREATE VIEW v AS SELECT 1")
    with pytest.raises(DatabaseError) as caught:
        bind(sql, schema)
    assert str(caught.value) == message


# --- writers --------------------------------------------------------------------------------------------------------


def writer(sql: str, name: str = "t") -> TableWriter:
    schema = define(sql)
    return bind_writer(schema, schema.tables[name], FUNCTIONS)


def test_generated_columns_are_ordered_by_what_they_use() -> None:
    bound = writer("CREATE TABLE t (a AS (b + 1), b AS (c + 1), c, d AS (a + b))")
    assert [position for position, _ in bound.generated] == [1, 0, 3]


def test_index_keys_and_predicates_are_bound() -> None:
    bound = writer("CREATE TABLE t (a, b); CREATE INDEX i ON t (lower(a), b) WHERE b > 1")
    assert len(bound.indexes[0].keys) == 2
    assert bound.indexes[0].where is not None


def test_foreign_keys_are_resolved_both_ways() -> None:
    sql = """CREATE TABLE p (id integer primary key, x, y, UNIQUE (x, y));
    CREATE TABLE t (a REFERENCES p, x, y, z REFERENCES nosuch, q REFERENCES p(x), FOREIGN KEY (y, x) REFERENCES p(y, x));
    CREATE INDEX i ON t (a, z)"""
    child, parent = writer(sql), writer(sql, "p")
    by_rowid, missing, mismatch, by_index = child.parents
    assert (by_rowid.parent_positions, by_rowid.parent_index, by_rowid.mismatch) == ((0,), None, False)
    assert by_rowid.child_index is not None and by_rowid.child_index.name == "i"
    assert missing.parent is None
    assert mismatch.mismatch
    assert by_index.parent_positions == (2, 1)
    assert by_index.parent_index is not None and by_index.parent_index.name == "sqlite_autoindex_p_1"
    assert [bound.child.name for bound in parent.children] == ["t", "t", "t"]


def test_a_table_can_be_its_own_parent() -> None:
    bound = writer("CREATE TABLE t (id integer primary key, up REFERENCES t)")
    assert bound.parents[0].parent is bound.table
    assert bound.children[0].key == bound.parents[0].key


# --- ALTER TABLE ----------------------------------------------------------------------------------------------------

LIBRARY = """
CREATE TABLE author (id integer PRIMARY KEY, name text UNIQUE, born date);
CREATE TABLE book (id integer PRIMARY KEY, title text NOT NULL, author int REFERENCES author (id), pages int,
    CONSTRAINT long CHECK (pages > 9 AND book.pages < 'pages'), half int AS (pages / 2));
CREATE INDEX by_title ON book (lower(title), author) WHERE "pages" > 3;
CREATE VIEW v AS SELECT title FROM book WHERE book.pages > 1
"""
TABLES = LIBRARY.rpartition(";")[0]


def alter(sql: str, schema: Schema | None = None) -> tuple[Schema, list[object]]:
    schema = schema or define(LIBRARY)
    command = bind(sql, schema)
    assert isinstance(command, AlterTable)
    steps = alterations(schema, command)
    work = [(s.violations, s.rows, s.drop, s.build) for s in steps]
    return allot(steps[-1].schema), [w for w in work if any(w)]


def test_rename_table() -> None:
    schema, work = alter("ALTER TABLE author RENAME TO writer")
    assert work == []
    assert [index.name for index in schema.tables["writer"].indexes] == ["sqlite_autoindex_writer_1"]
    assert schema.tables["book"].foreign_keys[0].parent == "writer"
    schema, _ = alter('ALTER TABLE book RENAME TO "the book"')
    assert schema.tables["the book"].checks[0].expression == "pages > 9 AND \"the book\".pages < 'pages'"
    assert schema.views["v"].sql == 'SELECT title FROM "the book" WHERE "the book".pages > 1'


def test_rename_column() -> None:
    schema, work = alter("ALTER TABLE book RENAME COLUMN pages TO length")
    book = schema.tables["book"]
    assert work == []
    assert book.columns[3].name == "length"
    assert book.checks[0].expression == '"length" > 9 AND book."length" < \'pages\''
    assert book.columns[4].generated == '"length" / 2'
    assert book.indexes[0].where == '"length" > 3'
    schema, _ = alter("ALTER TABLE author RENAME id TO number")
    assert schema.tables["book"].foreign_keys[0].parent_columns == ("number",)


@pytest.mark.parametrize(
    ("view", "renamed"),
    [
        ("SELECT title AS t FROM book", 'SELECT "name of it" AS t FROM book'),
        ("SELECT b.title, a.name FROM book b, author AS a", 'SELECT b."name of it", a.name FROM book b, author AS a'),
        ("SELECT title FROM book JOIN other USING (id)", None),
        ("SELECT book.title, other.title FROM book, other", 'SELECT book."name of it", other.title FROM book, other'),
        ("SELECT title(title) FROM book", 'SELECT title("name of it") FROM book'),
        ("SELECT title FROM other", "SELECT title FROM other"),
    ],
)
def test_views_follow_a_renamed_column(view: str, renamed: str | None) -> None:
    schema = define(f"{LIBRARY}; CREATE TABLE other (id, title); CREATE VIEW w AS {view}")
    schema, _ = alter('ALTER TABLE book RENAME COLUMN title TO "name of it"', schema)
    assert schema.views["w"].sql == (renamed or view)


def test_a_view_may_not_break() -> None:
    with pytest.raises(OperationalError, match="error in view v: no such column: title"):
        alter("ALTER TABLE book DROP COLUMN title")


def test_add_column() -> None:
    schema, work = alter("ALTER TABLE book ADD price decimal(5, 2) DEFAULT 1.5 NOT NULL UNIQUE CHECK (price > 0)")
    book = schema.tables["book"]
    assert (book.columns[5].name, book.columns[5].not_null) == ("price", True)
    assert (book.indexes[1].name, book.indexes[1].columns) == ("sqlite_autoindex_book_1", (IndexColumn(5),))
    assert book.checks[1].expression == "price > 0"
    rows = 'SELECT rowid, "id", "title", "author", "pages", NULL, (1.5) FROM "book"'
    assert work == [((), rows, (), ())]


def test_add_primary_key_column_numbers_the_rows() -> None:
    schema, work = alter("ALTER TABLE t ADD id integer PRIMARY KEY", define("CREATE TABLE t (a)"))
    assert (schema.tables["t"].rowid_column, schema.tables["t"].columns[1].not_null) == (1, True)
    assert work == [((), 'SELECT rowid, "a", rowid FROM "t"', (), ())]


def test_drop_column() -> None:
    schema, work = alter("ALTER TABLE book DROP COLUMN title", define(TABLES))
    book = schema.tables["book"]
    assert [c.name for c in book.columns] == ["id", "author", "pages", "half"]
    assert (book.indexes, book.foreign_keys[0].columns) == ((), (1,))
    assert work == [((), 'SELECT rowid, "id", "author", "pages", NULL FROM "book"', (4,), ())]
    schema, _ = alter("ALTER TABLE book DROP half, DROP pages", define(TABLES))
    assert schema.tables["book"].checks == ()


def test_drop_column_that_is_needed() -> None:
    with pytest.raises(OperationalError, match="no such column: pages"):
        alter("ALTER TABLE book DROP pages")
    with pytest.raises(OperationalError, match="a foreign key of table book refers to it"):
        alter("ALTER TABLE author DROP id")
    schema, _ = alter("ALTER TABLE author DROP id CASCADE")
    assert (schema.tables["author"].primary_key, schema.tables["book"].foreign_keys) == ((), ())


def test_change_type() -> None:
    schema, work = alter("ALTER TABLE author ALTER name TYPE varchar(30)")
    assert (str(schema.tables["author"].columns[1].type), work) == ("varchar(30)", [])
    _, work = alter("ALTER TABLE author ALTER name TYPE int USING abs(name)")
    assert work == [((), 'SELECT rowid, "id", (abs(name)), "born" FROM "author"', (), ())]
    _, work = alter("ALTER TABLE author ALTER born TYPE text")
    assert work == [((), 'SELECT rowid, "id", "name", CAST("born" AS text) FROM "author"', (), ())]


def test_change_collation() -> None:
    schema, work = alter("ALTER TABLE author ALTER name TYPE text COLLATE nocase")
    author = schema.tables["author"]
    assert (author.columns[1].collation, author.indexes[0].columns[0].collation) == ("NOCASE", "NOCASE")
    assert work == [((), None, (), ("sqlite_autoindex_author_1",))]


def test_change_type_of_the_primary_key() -> None:
    schema, work = alter("ALTER TABLE t ALTER id TYPE text", define("CREATE TABLE t (id integer PRIMARY KEY)"))
    made = schema.tables["t"]
    assert (made.rowid_column, made.indexes[0].origin) == (None, "pk")
    assert work == [((), 'SELECT rowid, CAST("id" AS text) FROM "t"', (), ())]
    schema, work = alter("ALTER TABLE t ALTER id TYPE bigint", schema)
    made = schema.tables["t"]
    assert (made.rowid_column, made.indexes) == (0, ())
    assert work == [((), 'SELECT NULL, "id" FROM "t"', (2,), ())]


def test_nullability() -> None:
    schema, work = alter("ALTER TABLE author ALTER name SET NOT NULL")
    assert schema.tables["author"].columns[1].not_null
    query = 'SELECT 1 FROM "author" WHERE "name" IS NULL LIMIT 1'
    violation = (query, "NOT NULL constraint failed: author.name")
    assert work == [((violation,), None, (), ("sqlite_autoindex_author_1",))]
    schema, work = alter("ALTER TABLE author ALTER name DROP NOT NULL", schema)
    assert not schema.tables["author"].columns[1].not_null
    assert work == [((), None, (), ("sqlite_autoindex_author_1",))]


def test_defaults() -> None:
    schema, work = alter(
        "ALTER TABLE book ALTER pages SET DEFAULT 1 + 1, ALTER title SET DEFAULT 'x', ALTER title DROP DEFAULT"
    )
    assert ([c.default for c in schema.tables["book"].columns[:4]], work) == ([None, None, None, "1 + 1"], [])


def test_add_constraints() -> None:
    schema, work = alter("ALTER TABLE book ADD CONSTRAINT u UNIQUE (title), ADD CHECK (pages > 0)")
    assert schema.tables["book"].indexes[1].columns == (IndexColumn(1),)
    violation = ('SELECT 1 FROM "book" WHERE NOT (pages > 0) LIMIT 1', "CHECK constraint failed: pages > 0")
    assert work == [((), None, (), ("u",)), ((violation,), None, (), ())]
    schema, work = alter("ALTER TABLE book ADD FOREIGN KEY (pages) REFERENCES author")
    query = (
        'SELECT 1 FROM "book" AS c WHERE c."pages" IS NOT NULL AND NOT EXISTS'
        ' (SELECT 1 FROM "author" AS p WHERE p."id" = c."pages") LIMIT 1'
    )
    assert work == [(((query, "FOREIGN KEY constraint failed"),), None, (), ())]


def test_add_and_drop_primary_key() -> None:
    schema, work = alter("ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a)", define("CREATE TABLE t (a int, b)"))
    assert (schema.tables["t"].rowid_column, schema.tables["t"].primary_key_name) == (0, "k")
    violation = ('SELECT 1 FROM "t" WHERE "a" IS NULL LIMIT 1', "NOT NULL constraint failed: t.a")
    assert work == [((violation,), 'SELECT NULL, "a", "b" FROM "t"', (), ())]
    schema, work = alter("ALTER TABLE t DROP CONSTRAINT k, ADD PRIMARY KEY (a, b)", schema)
    made = schema.tables["t"]
    assert (made.rowid_column, made.primary_key, [i.origin for i in made.indexes]) == (None, (0, 1), ["pk"])


def test_drop_constraints() -> None:
    schema, work = alter("ALTER TABLE book DROP CONSTRAINT long, DROP CONSTRAINT book_author_fkey")
    assert (schema.tables["book"].checks, schema.tables["book"].foreign_keys, work) == ((), (), [])
    schema, work = alter("ALTER TABLE author DROP CONSTRAINT sqlite_autoindex_author_1")
    assert (schema.tables["author"].indexes, work) == ((), [((), None, (2,), ())])


def test_later_actions_see_earlier_ones() -> None:
    schema, _ = alter(
        "ALTER TABLE book ADD isbn text, ADD CONSTRAINT u UNIQUE (isbn), RENAME isbn TO number, RENAME TO b"
    )
    made = schema.tables["b"]
    assert (made.columns[5].name, made.indexes[1].columns) == ("number", (IndexColumn(5),))


def test_rename_index_and_constraint() -> None:
    schema, _ = alter("ALTER INDEX by_title RENAME TO other")
    assert schema.tables["book"].indexes[0].name == "other"
    schema, _ = alter("ALTER TABLE book RENAME CONSTRAINT long TO short")
    assert schema.tables["book"].checks[0].name == "short"


# --- SQL of the schema ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        LIBRARY,
        'CREATE TABLE "a ""b" ("c d" varchar(3) COLLATE NOCASE DEFAULT \'it\'\'s\' NOT NULL UNIQUE)',
        "CREATE TABLE t (a int, b int, CONSTRAINT k PRIMARY KEY (b, a), UNIQUE NULLS NOT DISTINCT (a) INCLUDE (b))",
        "CREATE TABLE t (a integer, CONSTRAINT k PRIMARY KEY (a AUTOINCREMENT))",
        "CREATE TABLE t (a integer PRIMARY KEY AUTOINCREMENT, b AS (a || ')') STORED, c DEFAULT (1 + 2))",
        "CREATE TABLE t (a, b, CONSTRAINT u UNIQUE (a COLLATE nocase DESC) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE t (a, b, FOREIGN KEY (a, b) REFERENCES p (x, y) ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE)",
        (
            "CREATE TABLE t (a text, b); CREATE UNIQUE INDEX i ON t ((lower(a)) DESC, b COLLATE RTRIM) INCLUDE (a)"
            " NULLS NOT DISTINCT WHERE a > 'x'; COMMENT ON COLUMN t.a IS 'it''s'; COMMENT ON TABLE t IS 't';"
            " COMMENT ON INDEX i IS 'i'"
        ),
    ],
)
def test_sql_round_trips(sql: str) -> None:
    schema = define(sql)
    text = ";\n".join([*map(table_sql, schema.tables.values()), *statements_after_rows(schema)])
    again = define(text)
    assert again.tables == schema.tables
    assert {v.name: v.sql for v in again.views.values()} == {v.name: v.sql for v in schema.views.values()}


def test_sql_is_readable() -> None:
    schema = define(
        "CREATE TABLE t (id integer PRIMARY KEY, a text NOT NULL CHECK (a > '')); CREATE INDEX i ON t (a DESC)"
    )
    made = schema.tables["t"]
    assert table_sql(made) == (
        'CREATE TABLE "t" (\n    "id" integer PRIMARY KEY,\n    "a" text NOT NULL,\n    CHECK (a > \'\')\n)'
    )
    assert index_sql(made, made.indexes[0]) == 'CREATE INDEX "i" ON "t" ("a" DESC)'
