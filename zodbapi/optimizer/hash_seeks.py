"""Access by a hash table that is made once: what a query that runs for each row of another one may do instead of seeking.

In: a table, the terms that are tested on it, and how often. Out: a ``HashSeek`` by the terms that are equalities with the rows
around, if making the table costs less than so many seeks, or scans where there is no index.
"""

from __future__ import annotations

from zodbapi.catalog import TEXTS, Kind
from zodbapi.optimizer.access import ROWID, Path, target_of
from zodbapi.optimizer.context import LEAST_ROWS, Context
from zodbapi.optimizer.cost import BUILD, COUNT, FETCH, PROBE, SCAN_ROW, SEEK, SORT
from zodbapi.optimizer.predicates import filtered, kind_of, used, volatile
from zodbapi.optimizer.selectivity import passing
from zodbapi.plan.expr import Affine, Compare, Expr
from zodbapi.plan.nodes import HashSeek, Node, Scan

HASH_FACTOR = 1.3  # a hash join must be so much cheaper than an index loop: its cost is sure, the loop's is a guess
HASH_LEFT_ROWS = 1000.0  # fewer left rows than that loop when there is an index, unless enough is known of them
GROWN_ROWS = 500.0  # of a table that is no longer taken for a small one
STEP = 0.1  # putting one row into its group, and adding it to what is made of that; an aggregate keeps no rows
RESULT = 0.4  # making the result of the rows that were found, each time
CALL = 0.2  # microseconds of asking for the table, beside the look-up itself


def hash_keys(term: Expr, lefts: frozenset[int], rights: frozenset[int]) -> tuple[Expr, Expr] | None:
    """The two sides of an equality as (left key, right key), if each reads just one input and hashing is comparing."""
    if not (isinstance(term, Compare) and term.op == "=") or volatile(term):
        return None
    a, b = term.left, term.right
    if term.collation != "BINARY" and not (_is_no_text(a) or _is_no_text(b)):
        return None
    of_a, of_b = used(a), used(b)
    if of_a & lefts and not of_a & rights and of_b & rights and not of_b & lefts:
        return a, b
    if of_b & lefts and not of_b & rights and of_a & rights and not of_a & lefts:
        return b, a
    return None


def _is_no_text(expr: Expr) -> bool:
    """Whether the value is surely no text, so that the collation cannot matter; Affine may leave a text as it is."""
    kind = kind_of(expr)
    return not isinstance(expr, Affine) and kind not in TEXTS and kind is not Kind.ANY


def hash_seek(
    scan: Scan, terms: list[Expr], path: Path, times: float, wanted: float | None, context: Context, *, grouped: bool
) -> Node | None:
    """The access by hash table, for a scan that is done so many times, or None where the path costs less.

    ``wanted``: rows that are read of a path that spares a sort, or counts them. ``grouped``: what is made of the rows is made
    once for each key; see ``group_queries``.
    """
    inner = frozenset((scan.source,))
    outer = frozenset().union(*map(used, terms)) - inner if terms else inner
    if times <= 1 or path.single or not outer:
        return None
    # What is said of a table that has hardly any rows yet may soon be wrong. As it grows, so does what seeks and a hash table
    # cost, unless a seek reads a row or two of many.
    is_known = wanted is None and context.rows(scan.table) >= GROWN_ROWS
    if path.using is not None and times < (LEAST_ROWS if is_known else HASH_LEFT_ROWS):
        return None
    pairs = [(term, pair) for term in terms if (pair := hash_keys(term, outer, inner)) is not None]
    if not pairs:
        return None
    equalities = [term for term, _ in pairs]
    local = [term for term in terms if used(term) <= inner and not volatile(term)]
    rest = [term for term in terms if not any(term is done for done in (*equalities, *local))]
    if any(target_of(key, scan.source, scan.table, False) == ROWID for _, (_, key) in pairs):
        return None
    rows = context.rows(scan.table)
    targets = [target_of(key, scan.source, scan.table, False) for _, (_, key) in pairs]
    kept = passing(rows, local, context)
    each = context.matching(scan.table, kept, targets)
    once = grouped and not rest
    made = rows * SCAN_ROW + kept * (STEP if once and wanted in (None, 0.0) else BUILD + STEP if once else BUILD)
    sort = each * SORT if wanted else 0.0
    seek = path.cost if wanted is None else min(path.cost, SEEK + wanted * FETCH) if wanted else COUNT
    found = PROBE if once else CALL + PROBE + each * SCAN_ROW + sort
    if (made + times * found) * HASH_FACTOR > times * (seek + RESULT if once else seek):
        return None
    keys, probes = tuple(pair[1] for _, pair in pairs), tuple(pair[0] for _, pair in pairs)
    context.introduce(HashSeek)
    return filtered(HashSeek(filtered(scan, local), keys, probes), rest)
