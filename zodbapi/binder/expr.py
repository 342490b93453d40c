"""Expressions: sqlglot trees in, plan expressions out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from zodbapi.binder.scope import Scope
from zodbapi.plan.expr import Expr

if TYPE_CHECKING:
    from collections.abc import Sequence


def bind_expr(tree: exp.Expression, scope: Scope) -> Expr:
    """The plan expression of a tree; subqueries in it are bound with ``scope`` as their outer scope."""
    raise NotImplementedError


def bind_predicate(tree: exp.Expression | None, scope: Scope) -> Expr | None:
    """A WHERE, ON or CHECK condition, where aggregates and windows are an error; None stays None."""
    raise NotImplementedError


def coerce_comparison(left: Expr, right: Expr) -> tuple[Expr, Expr]:
    """Both sides after comparison affinity: the one to be converted is wrapped in ``Affine``."""
    raise NotImplementedError


def bind_projection(trees: Sequence[exp.Expression], scope: Scope) -> tuple[tuple[Expr, ...], tuple[str, ...]]:
    """Expressions and result column names of a select list or RETURNING, with stars expanded."""
    raise NotImplementedError
