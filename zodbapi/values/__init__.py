"""Values: what SQL's operators, comparisons, casts and column types do to native Python values.

In: values of the native classes (int, float, Decimal, bool, str, bytes, date, datetime, time, timedelta, UUID) or None.
Out: the same. Generated code imports its operators from here.

- ``conversion``: to text, to number, truth, typeof      - ``arithmetic``: ``+ - * / % || & | << >> ~``
- ``ordering``: the total order, sort keys, sentinels     - ``affinity``: conversion before a comparison
- ``column``: what a write does, ``store``                - ``casting``: what CAST does
- ``parameter``: values of the caller, ``adapt``          - ``pattern``: LIKE, GLOB, REGEXP
- ``temporal``: texts of dates, times and intervals       - ``collation``: BINARY, NOCASE, RTRIM
"""

from zodbapi.values.affinity import affine, exact_class
from zodbapi.values.arithmetic import (
    add,
    bit_and,
    bit_not,
    bit_or,
    concat,
    div,
    mod,
    mul,
    negate,
    plus,
    shift_left,
    shift_right,
    sub,
)
from zodbapi.values.casting import cast, to_decimal
from zodbapi.values.collation import COLLATIONS, ascii_lower, ascii_upper, uuid_number
from zodbapi.values.column import is_json, store
from zodbapi.values.conversion import (
    MAX_INTEGER,
    MIN_INTEGER,
    exact_float,
    float_text,
    to_integer,
    to_number,
    to_real,
    to_text,
    truth,
    typeof,
    whole_number,
)
from zodbapi.values.ordering import (
    ABOVE,
    BELOW,
    NEVER,
    Ordered,
    comparable,
    compare_key,
    eq,
    ge,
    gt,
    le,
    lt,
    ne,
    sort_key,
)
from zodbapi.values.parameter import NATIVE, adapt
from zodbapi.values.pattern import (
    clike,
    glob,
    glob_matcher,
    ilike,
    like,
    like_matcher,
    regexp,
    regexp_matcher,
)

__all__ = [
    "ABOVE", "BELOW", "COLLATIONS", "MAX_INTEGER", "MIN_INTEGER", "NATIVE", "NEVER", "Ordered",
    "adapt", "add", "affine", "ascii_lower", "ascii_upper", "bit_and", "bit_not", "bit_or", "cast", "clike", "comparable",
    "compare_key", "concat", "div", "eq", "exact_class", "exact_float", "float_text", "ge", "glob", "glob_matcher", "gt",
    "ilike", "is_json", "le", "like", "like_matcher", "lt", "mod", "mul", "ne", "negate", "plus", "regexp", "regexp_matcher",
    "shift_left", "shift_right", "sort_key", "store", "sub", "to_decimal", "to_integer", "to_number", "to_real", "to_text",
    "truth", "typeof", "uuid_number", "whole_number",
]  # fmt: skip
