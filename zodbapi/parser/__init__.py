"""Text to trees.

In: SQL text. Out: one ``Parsed`` a statement: sqlglot's tree of a query, INSERT, UPDATE or DELETE (``statements``, with
the gaps of its dialect closed in ``dialect``), or a definition of ``syntax`` for all other statements, which ``ddl``,
``table`` and ``trigger`` read by recursive descent over ``words``.
"""

from zodbapi.parser.statements import Parsed, item_text, parse, parse_expression, parse_one, split

__all__ = ["Parsed", "item_text", "parse", "parse_expression", "parse_one", "split"]
