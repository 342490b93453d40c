"""Programs whose source is the same share their code, and their source is known as long as one of them is there."""

from __future__ import annotations

import gc
import linecache

import zodbapi
from zodbapi import statement
from zodbapi.codegen.writer import Namespace, Writer, execute


def _module(constant: object) -> tuple[Namespace, str]:
    namespace, writer = Namespace(), Writer()
    name = namespace.constant(constant)
    with writer.block("def run()"):
        writer.line(f"return {name}  # only here")
    execute(writer, namespace, "test")
    return namespace, namespace.globals["run"].__code__.co_filename


def test_code_is_shared_and_values_are_not() -> None:
    """One code object, two results."""
    (one, file), (other, _) = _module(1), _module("x")
    assert one.globals["run"].__code__ is other.globals["run"].__code__
    assert (one.globals["run"](), other.globals["run"]()) == (1, "x")
    assert linecache.getline(file, 2) == "    return c0  # only here\n"


def test_source_goes_with_the_last_program() -> None:
    """linecache does not grow with every statement that there ever was."""
    (one, file), (other, _) = _module(1), _module(2)
    del one
    gc.collect()
    assert linecache.getline(file, 1)
    del other
    gc.collect()
    assert file not in linecache.cache


def test_statements_with_other_names_share_code() -> None:
    """What columns are called and what literals are is no part of the source."""
    connection = zodbapi.connect(":memory:")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)")
    connection.execute("INSERT INTO t VALUES (1, 10), (2, 20)")
    assert connection.execute("SELECT a AS x FROM t WHERE id = 1").fetchall() == [(10,)]
    assert connection.execute("SELECT a AS y FROM t WHERE id = 2").fetchall() == [(20,)]
    runs = [found.program.run for found in statement.STATEMENTS.young.values() if "AS x FROM t" in found.sql]
    runs += [found.program.run for found in statement.STATEMENTS.young.values() if "AS y FROM t" in found.sql]
    assert len({run.__code__ for run in runs}) == 1
    connection.close()
