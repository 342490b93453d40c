"""Text, conditional and hash functions against sqlite3, and what is only ours."""

from __future__ import annotations

import hashlib
import itertools
import random
from typing import Any

import pytest

from tests.sqlite_oracle import ask, same
from zodbapi.catalog import BLOB, INTEGER, JSON, NUMERIC, REAL, TEXT, Kind, Type
from zodbapi.errors import DataError, Error
from zodbapi.functions import BUILTIN
from zodbapi.functions.text import MATCHERS

SAMPLES: list[Any] = [
    None, 0, 1, -1, 2, -2, 3, 5, 100, -7, 0.0, 0.5, 1.5, -2.5, 2.675, -3.7, 1234.5678, "", "abc", "Abc", "  ab ", "12", "12.5",
    "1x", "a,b,c", "héé", b"ab\x00", b"abc", "bc", "%", "b", 0.1, "Robert", "Tymczak", "Pfister", "aXbXc", "X",
]  # fmt: skip


def call(name: str, *args: Any) -> Any:
    """The function's result as a statement would see it; errors of the driver are returned."""
    function = BUILTIN.scalar(name, len(args))
    assert function is not None, name
    if function.strict and any(arg is None for arg in args):
        return None
    try:
        result = function.call(*args)
    except Error as error:
        assert not function.safe, f"{name} is declared safe and raised {error!r}"
        return error
    assert function.nullable or result is not None, f"{name} is declared not nullable"
    return result


@pytest.mark.parametrize(
    "name", "char hex length likely lower ltrim quote rtrim trim typeof unicode soundex upper".split()
)
def test_functions_of_one_argument(name: str) -> None:
    for value in SAMPLES:
        if value == "héé" and name in ("upper", "soundex"):
            continue  # letters beyond ASCII are letters here
        expected = ask(f"{name}(?)", value)
        assert same(expected, call(name, value)), (name, value, expected)


@pytest.mark.parametrize("name", "char coalesce glob ifnull instr like ltrim max min nullif rtrim substr trim".split())
def test_functions_of_two_arguments(name: str) -> None:
    for a, b in itertools.product(SAMPLES, SAMPLES):
        if name in ("glob", "like", "ltrim", "rtrim", "trim") and bytes in (type(a), type(b)):
            continue  # blobs are no texts with NULs here
        expected = ask(f"{name}(?, ?)", a, b)
        assert same(expected, call(name, a, b)), (name, a, b, expected)


@pytest.mark.parametrize("name", ["substr", "replace", "iif", "max", "min"])
def test_functions_of_three_arguments(name: str) -> None:
    source = random.Random(name)
    texts = [value for value in SAMPLES if isinstance(value, str)]
    for _ in range(600):
        args = [source.choice(texts if name == "replace" else SAMPLES) for _ in range(3)]
        expected = ask(f"{name}(?, ?, ?)", *args)
        assert same(expected, call(name, *args)), (name, args, expected)


def test_substr_counts_as_sqlite_does() -> None:
    for text, start, count in itertools.product(["abcdef", "hé", b"abcdef", ""], range(-8, 9), range(-8, 9)):
        assert same(ask("substr(?, ?, ?)", text, start, count), call("substr", text, start, count)), (
            text,
            start,
            count,
        )


FORMATS = [
    ("%d|%5d|%-5d|%05d|%+d|% d|%,d", (5, 5, 5, 5, 5, 5, 1234567)),
    ("%s|%10s|%-10s|%.2s|%c", ("abc", "abc", "abc", "abc", "xyz")),
    ("%f|%.2f|%8.3f|%-8.1f|%08.2f|%+.1f", (1.5, 2.345, 3.14159, 2.25, -1.5, 2.5)),
    ("%e|%.3e|%g|%g|%g|%G", (12345.678, 0.00012, 0.0001, 1e10, 100000.0, 1e-7)),
    ("%x|%X|%o|%#x|%08x", (255, 255, 8, 255, 48879)),
    ("%q|%Q|%w|%Q", ("it's", "it's", 'a"b', None)),
    ("%%|%5%|%d%%", (7,)),
    ("%s %s", ("only one",)),
    ("%d", ("12abc",)),
    ("%*d|%.*f", (6, 42, 2, 3.14159)),
    ("so %y rest", (1,)),
    ("%.2f %.2f %.1f %.0f %.0f", (0.125, 2.675, 0.25, 0.5, 1.5)),
    ("%!g %!f %!.3f %#g", (0.1, 2.0, 1.5, 1.0)),
    ("ends with %", ()),
    ("%lld|%ld", (2**62, 5)),
    ("%s|%d|%f", (None, None, None)),
    ("%u", (-1,)),
    ("%.3d|%5.3d", (5, 7)),
    ("%i", (-3.9,)),
    ("%s", (1.0,)),
]


@pytest.mark.parametrize(("template", "args"), FORMATS)
def test_format_is_sqlite_s(template: str, args: tuple[Any, ...]) -> None:
    marks = ", ".join("?" * (len(args) + 1))
    assert call("format", template, *args) == ask(f"format({marks})", template, *args)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (call("upper", "héé"), "HÉÉ"), (call("lower", "ÀB"), "àb"), (call("concat", "a", None, 1), "a1"),
        (call("concat_ws", "-", "a", None, 1), "a-1"), (call("concat_ws", None, "a"), None), (call("octet_length", "é"), 2),
        (call("unhex", "4A4b"), b"JK"), (call("unhex", "4"), None), (call("unhex", "4A-4B", "-"), b"JK"),
        (call("lpad", "ab", 5, "xy"), "xyxab"), (call("lpad", "abc", 2, "x"), "ab"), (call("rpad", "ab", 5, "xy"), "abxyx"),
        (call("rpad", "ab", 5, ""), "ab"), (call("repeat", "ab", 3), "ababab"), (call("repeat", "ab", -1), ""),
        (call("reverse", "abc"), "cba"), (call("md5", "é"), hashlib.md5("é".encode()).hexdigest()), (call("sha512", None), None),
        (call("sha256", b"x"), hashlib.sha256(b"x").hexdigest()), (call("greatest", 1, None, 3), 3), (call("least", None), None),
        (call("zeroblob", 3), b"\0\0\0"), (call("quote", b"\x01"), "X'01'"), (call("quote", "it's"), "'it''s'"),
        (call("typeof", True), "boolean"), (call("starts_with", "abc", "ab"), 1),
    ],
)  # fmt: skip
def test_functions_beyond_sqlite_3_40(found: Any, expected: Any) -> None:
    assert found == expected
    assert type(found) is type(expected)


def test_random_blobs_have_their_length() -> None:
    assert len(call("randomblob", 16)) == 16
    assert len(call("randomblob", 0)) == 1


def test_texts_too_long_are_errors() -> None:
    with pytest.raises(DataError, match="too big"):
        raise call("repeat", "ab", 10**9)


def test_matchers_of_constant_patterns_agree_with_the_functions() -> None:
    for name, pattern in [("like", "a%"), ("clike", "A%"), ("ilike", "É_"), ("glob", "a*"), ("regexp", "^A")]:
        for text in ["abc", "Abc", "éa", ""]:
            assert int(MATCHERS[name](pattern)(text)) == call(name, pattern, text)
    assert not MATCHERS["like"](None)("x")


def test_every_function_declares_what_it_does() -> None:
    assert BUILTIN.scalar("LENGTH", 1) is BUILTIN.scalar("length", 1)
    assert BUILTIN.scalar("length", 2) is None
    assert BUILTIN.knows("GROUP_CONCAT")
    assert not BUILTIN.knows("nothing")
    assert set(BUILTIN.collations) == {"BINARY", "NOCASE", "RTRIM"}


@pytest.mark.parametrize(
    ("name", "types", "kind"),
    [
        ("length", [TEXT], Kind.INTEGER), ("upper", [TEXT], Kind.TEXT), ("coalesce", [INTEGER, INTEGER], Kind.INTEGER),
        ("coalesce", [INTEGER, REAL], Kind.NUMERIC), ("coalesce", [INTEGER, TEXT], Kind.ANY),
        ("iif", [TEXT, REAL, REAL], Kind.REAL),
        ("substr", [BLOB, INTEGER], Kind.BLOB), ("abs", [INTEGER], Kind.INTEGER),
        ("round", [Type(Kind.DECIMAL, 6, 2)], Kind.DECIMAL),
        ("round", [INTEGER], Kind.REAL), ("json_extract", [JSON, TEXT], Kind.ANY), ("->", [JSON, TEXT], Kind.JSON),
        ("nullif", [NUMERIC, TEXT], Kind.NUMERIC),
    ],
)  # fmt: skip
def test_result_types(name: str, types: list[Type], kind: Kind) -> None:
    function = BUILTIN.scalar(name, len(types))
    assert function is not None
    assert function.result_type(types).kind is kind
