"""The dialect: what sqlglot has to know of SQLite's SQL, as tables of its tokenizer and parser.

Functions keep the names they are called by (``exp.Anonymous``), so that the binder alone decides what they mean.
``Placeholder.this`` is the parameter's index, as text: see ``parser``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.sqlite import SQLite
from sqlglot.parser import binary_range_parser
from sqlglot.parsers.sqlite import SQLiteParser
from sqlglot.tokenizer_core import Token, TokenType

# Names of calls that stand for operators; no user can write them.
PLUS, ARROW, DOUBLE_ARROW = "+", "->", "->>"

_KEYWORDS = """ALL AND ASC AS BETWEEN CASE COLLATE CROSS CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP DEFAULT DELETE DESC
DISTINCT ELSE END ESCAPE EXCEPT EXISTS FALSE FILTER FOR FROM FULL GLOB GROUP_BY HAVING IN INDEXED_BY INNER
INSERT INTERSECT INTO IS ISNULL JOIN LEFT LIKE LIMIT MATCH NATURAL NOT NOTNULL NULL OFFSET ON OR ORDER_BY OUTER
OVER PARTITION_BY RANGE RECURSIVE REGEXP REPLACE RETURNING RIGHT ROW ROWS SELECT SET THEN TRUE UNION UPDATE
USING VALUES WHEN WHERE WINDOW WITH"""
_SYMBOLS = ("==", "||", ">=", "<=", "<>", "!=", "->", "->>")


def _known_keywords() -> dict[str, TokenType]:
    known = SQLite.Tokenizer.KEYWORDS
    names = [word.replace("_BY", " BY") for word in _KEYWORDS.split()]
    # CLIKE is LIKE that heeds case, ILIKE one that ignores it for all letters; sqlglot has no word for the first.
    patterns = {"ILIKE": TokenType.ILIKE, "CLIKE": TokenType.SIMILAR_TO}
    # ORDER and GROUP without BY: a type of token that nothing accepts.
    halves = dict.fromkeys(("ORDER", "GROUP"), TokenType.BLOCK_START)
    return {name: known[name] for name in (*names, *_SYMBOLS)} | patterns | halves


class Tokenizer(SQLite.Tokenizer):
    """Only SQLite's own words are keywords, so that names of types and of other dialects' clauses stay plain names."""

    KEYWORDS: ClassVar[dict[str, TokenType]] = _known_keywords()
    COMMANDS: ClassVar[set[TokenType]] = set()
    SINGLE_TOKENS: ClassVar[dict[str, TokenType]] = {
        **SQLite.Tokenizer.SINGLE_TOKENS,
        "$": TokenType.PARAMETER,
        "#": TokenType.UNKNOWN,
    }
    VAR_SINGLE_TOKENS: ClassVar[set[str]] = {"$"}  # inside a name


class Dialect(SQLite):
    """SQLite's dialect with the tables above; kept out of sqlglot's registry of dialects by its name."""

    class Tokenizer(Tokenizer):
        """See the module's."""


def _call(self: Any, name: str, *args: exp.Expression) -> exp.Expression:
    made: exp.Expression = self.expression(exp.Anonymous(this=name, expressions=list(args)))
    return made


def _primary(self: Any, made: exp.Expression, token: Token) -> exp.Expression:
    return made.update_positions(token)


def _parse_cast(self: Any) -> exp.Expression:
    """``CAST(expression AS words)``: the words of the type are kept as ``kind`` of the ``DataType``."""
    operand = self._parse_disjunction()
    if not self._match(TokenType.ALIAS):
        self.raise_error("Expected AS after CAST")
    words: list[str] = []
    while self._curr and self._curr.token_type not in (TokenType.L_PAREN, TokenType.R_PAREN):
        words.append(self._curr.text)
        self._advance()
    if self._match(TokenType.L_PAREN):
        sizes = self._parse_csv(self._parse_unary)
        self._match_r_paren()
        words.append(f"({', '.join(size.sql() for size in sizes)})")
    if not self._match(TokenType.R_PAREN, advance=False):
        self.raise_error("Expected a type")
    to = exp.DataType(this=exp.DType.USERDEFINED, kind=" ".join(words))
    made: exp.Expression = self.expression(exp.Cast(this=operand, to=to))
    return made


def _parse_exists(self: Any) -> exp.Expression:
    """``EXISTS (query)``; the query may be a compound in parentheses, with ORDER BY and LIMIT behind them."""
    self._advance(-1)
    query = self._parse_primary()
    self._advance(-1)
    if not isinstance(query, exp.Subquery):
        self.raise_error("Expected a query after EXISTS")
    bare = not any(value for name, value in query.args.items() if name != "this")
    made: exp.Expression = self.expression(exp.Exists(this=query.this if bare else query))
    return made


def _parse_insert(self: Any) -> exp.Expression:
    """INSERT with any number of ON CONFLICT clauses: ``conflict`` is a list when there are several."""
    parse: Any = SQLiteParser.STATEMENT_PARSERS[TokenType.INSERT]
    made: exp.Expression = parse(self)
    clauses = [made.args.get("conflict")]
    while clauses[-1] is not None:
        clauses.append(self._parse_on_conflict())
    if len(clauses) > 2:
        made.set("conflict", clauses[:-1])
        made.set("returning", made.args.get("returning") or self._parse_returning())
    return made


def _parse_limited(kind: TokenType) -> Any:
    """UPDATE or DELETE whose LIMIT may have an OFFSET."""
    stock: Any = SQLiteParser.STATEMENT_PARSERS[kind]

    def parse(self: Any) -> exp.Expression:
        made: exp.Expression = stock(self)
        if made.args.get("limit"):
            made.args["offset"] = self._parse_offset()
        return made

    return parse


def _parse_pattern(form: type[exp.Expression]) -> Any:
    """LIKE and its kin with any value behind ESCAPE; sqlglot reads only texts, NULL and placeholders there."""

    def parse(self: Any, this: exp.Expression) -> exp.Expression:
        made: exp.Expression = self.expression(form(this=this, expression=self._parse_bitwise()))
        if self._match(TokenType.ESCAPE):
            made = self.expression(exp.Escape(this=made, expression=self._parse_bitwise()))
        return made

    return parse


# Words that name nothing unless they are quoted.
_RESERVED = {
    TokenType[word]
    for word in """ALIAS AND BETWEEN CASE COLLATE DELETE DISTINCT ELSE ESCAPE EXISTS FROM GROUP_BY HAVING IN INSERT
    INTERSECT INTO IS ISNULL JOIN LIMIT NOT NOTNULL NULL ON OR ORDER_BY RETURNING SELECT SET THEN UNION EXCEPT UPDATE USING VALUES
    WHEN WHERE BLOCK_START""".split()
}


class Parser(SQLiteParser):
    """The tables of the parser. See ``make_parser`` for how they get to work."""

    __slots__ = ()

    RESERVED_TOKENS: ClassVar[set[TokenType]] = SQLiteParser.RESERVED_TOKENS | _RESERVED
    ID_VAR_TOKENS: ClassVar[set[TokenType]] = SQLiteParser.ID_VAR_TOKENS - _RESERVED
    TABLE_ALIAS_TOKENS: ClassVar[set[TokenType]] = SQLiteParser.TABLE_ALIAS_TOKENS - _RESERVED
    ALIAS_TOKENS: ClassVar[set[TokenType]] = SQLiteParser.ALIAS_TOKENS - _RESERVED
    AMBIGUOUS_ALIAS_TOKENS: ClassVar[tuple[TokenType, TokenType]] = (TokenType.BLOCK_START, TokenType.BLOCK_END)
    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    FUNC_TOKENS: ClassVar[set[TokenType]] = SQLiteParser.FUNC_TOKENS | {TokenType.SIMILAR_TO}
    FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {"CAST": _parse_cast, "EXISTS": _parse_exists}
    NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {"CASE": SQLiteParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}
    NO_PAREN_FUNCTIONS: ClassVar[dict[TokenType, Any]] = {}
    SUBQUERY_PREDICATES: ClassVar[dict[TokenType, Any]] = {}
    SUBQUERY_TOKENS: ClassVar[set[TokenType]] = SQLiteParser.SUBQUERY_TOKENS | {TokenType.VALUES}
    LAMBDAS: ClassVar[dict[TokenType, Any]] = {}
    COLUMN_OPERATORS: ClassVar[dict[TokenType, Any]] = {TokenType.DOT: None}
    CONCAT_OPERATORS: ClassVar[dict[TokenType, Any]] = {
        TokenType.DPIPE: lambda self, left, right: self.expression(exp.DPipe(this=left, expression=right)),
        TokenType.ARROW: lambda self, left, right: _call(self, ARROW, left, right),
        TokenType.DARROW: lambda self, left, right: _call(self, DOUBLE_ARROW, left, right),
    }
    UNARY_PARSERS: ClassVar[dict[TokenType, Any]] = {
        TokenType.PLUS: lambda self: _call(self, PLUS, self._parse_unary()),
        TokenType.NOT: SQLiteParser.UNARY_PARSERS[TokenType.NOT],
        TokenType.TILDE: SQLiteParser.UNARY_PARSERS[TokenType.TILDE],
        TokenType.DASH: SQLiteParser.UNARY_PARSERS[TokenType.DASH],
    }
    PRIMARY_PARSERS: ClassVar[dict[TokenType, Any]] = {
        **{
            kind: SQLiteParser.PRIMARY_PARSERS[kind]
            for kind in (TokenType.STRING, TokenType.NUMBER, TokenType.HEX_STRING, TokenType.STAR)
        },
        TokenType.PLACEHOLDER: lambda self, token: _primary(self, exp.Placeholder(this=token.text), token),
        TokenType.NULL: lambda self, token: _primary(self, exp.Null(), token),
        TokenType.TRUE: lambda self, token: _primary(self, exp.Boolean(this=True), token),
        TokenType.FALSE: lambda self, token: _primary(self, exp.Boolean(this=False), token),
        TokenType.CURRENT_DATE: lambda self, token: _primary(self, exp.CurrentDate(), token),
        TokenType.CURRENT_TIME: lambda self, token: _primary(self, exp.CurrentTime(), token),
        TokenType.CURRENT_TIMESTAMP: lambda self, token: _primary(self, exp.CurrentTimestamp(), token),
    }
    PLACEHOLDER_PARSERS: ClassVar[dict[TokenType, Any]] = {
        TokenType.PLACEHOLDER: lambda self: exp.Placeholder(this=self._prev.text)
    }
    RANGE_PARSERS: ClassVar[dict[TokenType, Any]] = {
        **{
            kind: SQLiteParser.RANGE_PARSERS[kind]
            for kind in (TokenType.BETWEEN, TokenType.IN, TokenType.IS, TokenType.GLOB, TokenType.MATCH)
        },
        TokenType.RLIKE: binary_range_parser(exp.RegexpLike),
        TokenType.LIKE: _parse_pattern(exp.Like),
        TokenType.ILIKE: _parse_pattern(exp.ILike),
        TokenType.SIMILAR_TO: _parse_pattern(exp.SimilarTo),
    }
    STATEMENT_PARSERS: ClassVar[dict[TokenType, Any]] = {
        TokenType.INSERT: _parse_insert,
        TokenType.UPDATE: _parse_limited(TokenType.UPDATE),
        TokenType.DELETE: _parse_limited(TokenType.DELETE),
    }
    QUERY_MODIFIER_PARSERS: ClassVar[dict[TokenType, Any]] = {
        kind: SQLiteParser.QUERY_MODIFIER_PARSERS[kind]
        for kind in (
            TokenType.WHERE,
            TokenType.GROUP_BY,
            TokenType.HAVING,
            TokenType.WINDOW,
            TokenType.ORDER_BY,
            TokenType.LIMIT,
            TokenType.OFFSET,
            TokenType.FOR,
        )
    }
    QUERY_MODIFIER_TOKENS: ClassVar[set[TokenType]] = set(QUERY_MODIFIER_PARSERS)


DIALECT = Dialect()


def make_parser() -> SQLiteParser:
    """A parser with this module's tables.

    sqlglot's compiled parser refuses to make instances of interpreted subclasses, but reads its tables through the
    instance's class. So an instance of the compiled class is made and then given the class with our tables, which adds
    no attributes and overrides no method.
    """
    parser = SQLiteParser(dialect=DIALECT)
    parser.__class__ = Parser
    return parser
