"""Queries: SELECT, VALUES, compounds and WITH."""

from __future__ import annotations

from sqlglot import exp

from zodbapi.binder.scope import Binding, Scope
from zodbapi.plan.expr import Expr
from zodbapi.plan.nodes import Node


def bind_query(tree: exp.Expression, binding: Binding, outer: Scope | None = None) -> Node:
    """The plan of a query (SELECT, VALUES, compound, parenthesised, with its WITH); the root is a single-source node.

    ``plan.nodes.output_source`` gives its source and ``output_names`` its names; ``query_fields(node, binding)`` its
    types. The trees' own ``with_`` is used; WITH in front of INSERT, UPDATE or DELETE: see ``bind_with``.
    """
    raise NotImplementedError


def bind_with(tree: exp.Expression, scope: Scope) -> None:
    """Makes the CTEs of a WITH clause (``tree.args.get("with_")``) visible in the scope and all scopes inside it."""
    raise NotImplementedError


def bind_from(tree: exp.Expression, scope: Scope) -> Node:
    """The plan of ``tree``'s FROM and JOIN clauses; their relations become visible in the scope."""
    raise NotImplementedError


def bind_limit(tree: exp.Expression, scope: Scope) -> tuple[Expr | None, Expr | None]:
    """LIMIT and OFFSET of a tree that may have them (``limit`` and ``offset`` args)."""
    raise NotImplementedError
