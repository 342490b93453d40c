"""Walking plans: both ways find the same parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

import zodbapi
from zodbapi.plan.nodes import Node
from zodbapi.plan.walk import descend, everything, parts, transform

_STATEMENTS = """
SELECT a, b + 1 FROM t WHERE a IN (1, 2, b) AND c LIKE 'x%' ORDER BY b DESC LIMIT 3 OFFSET 1
SELECT t.a, u.b FROM t LEFT JOIN t u ON t.a = u.b AND u.c > 'y' WHERE CASE WHEN t.b > 1 THEN u.a ELSE 2 END = 2
SELECT c, count(DISTINCT a), group_concat(b, ',') FILTER (WHERE a > 1) FROM t GROUP BY c HAVING sum(a) > 1
SELECT a, row_number() OVER (PARTITION BY c ORDER BY b ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING) FROM t
SELECT DISTINCT a FROM t WHERE EXISTS (SELECT 1 FROM t u WHERE u.a = t.b) UNION SELECT (SELECT max(b) FROM t)
WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r
INSERT INTO t (a, b) VALUES (1, 2), (3, 4) ON CONFLICT (a) DO UPDATE SET b = excluded.b + t.b WHERE t.b < 9 RETURNING a, b
UPDATE t SET b = (SELECT max(a) FROM t u WHERE u.c = t.c) WHERE a BETWEEN 1 AND 5
DELETE FROM t WHERE b IN (SELECT a FROM t WHERE c IS NOT NULL)
"""


@pytest.fixture
def plans() -> Iterator[list[Node]]:
    with closing(zodbapi.connect(":memory:", autocommit=True)) as connection:
        connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b INTEGER, c TEXT)")
        connection.execute("CREATE INDEX t_c ON t (c, b)")
        found = [connection._prepare(sql, None).node for sql in _STATEMENTS.strip().splitlines()]
        yield [plan for plan in found if isinstance(plan, Node)]


def test_every_part_is_found_once_and_after_what_it_is_a_part_of(plans: list[Node]) -> None:
    assert len(plans) == len(_STATEMENTS.strip().splitlines())
    for plan in plans:
        found = everything(plan)
        assert sorted(map(id, found)) == sorted(map(id, descend(plan)))
        seen = {id(plan)}
        for part in found:
            assert id(part) in seen
            seen.update(map(id, parts(part)))


def test_a_plan_in_which_nothing_changes_is_the_same_object(plans: list[Node]) -> None:
    for plan in plans:
        assert transform(plan, lambda part: part) is plan
