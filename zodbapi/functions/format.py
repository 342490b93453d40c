"""``format`` (``printf``): SQLite's formatting language."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from zodbapi.values import to_integer, to_number, to_text

_SPECIFIER = re.compile(r"%([-+ 0#!,]*)(\*|\d{1,18})?(?:\.(\*|\d{1,18})?)?(?:hh|h|ll|l|)([a-zA-Z%])?", re.ASCII)
_MAX_WIDTH = 1_000_000
_ROUNDING = Context(prec=2000, rounding=ROUND_HALF_UP)


class _Arguments:
    """The arguments not consumed yet; NULL once there are none left."""

    def __init__(self, args: tuple[Any, ...]) -> None:
        self._rest = iter(args)

    def take(self) -> Any:
        return next(self._rest, None)


def format_text(*args: Any) -> str | None:
    """The first argument with its ``%`` specifiers replaced by the others; NULL if nothing was written, as in SQLite."""
    if not args or args[0] is None:
        return None
    text = to_text(args[0])
    arguments = _Arguments(args[1:])
    parts: list[str] = []
    position = 0
    while True:
        start = text.find("%", position)
        if start < 0:
            if position < len(text):
                parts.append(text[position:])
            break
        if position < start:
            parts.append(text[position:start])
        match = _SPECIFIER.match(text, start)
        if match is None or match.group(4) is None:
            # SQLite stops at a specifier without a conversion; a lone "%" at the end is kept.
            if start + 1 == len(text):
                parts.append("%")
            break
        piece = _convert(match, arguments)
        if piece is None:
            break
        parts.append(piece)
        position = match.end()
    return "".join(parts) if parts else None


def _convert(match: re.Match[str], arguments: _Arguments) -> str | None:
    """One specifier's text; None for a conversion that does not exist, which ends the output as in SQLite."""
    flags, width_text, precision_text, conversion = match.groups()
    width = _count(width_text, arguments) or 0
    if conversion == "n":
        return ""
    if width < 0:
        flags, width = flags + "-", -width
    has_point = "." in match.group()
    precision = abs(_count(precision_text, arguments) or 0) if has_point else None
    width = min(width, _MAX_WIDTH)
    match conversion:
        case "%":
            body = "%"
        case "d" | "i":
            body = _signed(str(abs(number := to_integer(_zero(arguments.take())))), number < 0, flags, width, precision)
        case "u":
            body = _signed(
                str(to_integer(_zero(arguments.take())) & 0xFFFF_FFFF_FFFF_FFFF), False, "", width, precision
            )
        case "x" | "X" | "o":
            body = _radix(conversion, to_integer(_zero(arguments.take())), flags, width, precision)
        case "f" | "F" | "e" | "E" | "g" | "G":
            body = _real(conversion, float(to_number(_zero(arguments.take()))), flags, width, precision)
        case "s" | "z":
            value = arguments.take()
            body = "" if value is None else to_text(value)
            body = body if precision is None else body[:precision]
        case "c":
            value = arguments.take()
            body = (("" if value is None else to_text(value))[:1] or "\0") * max(precision or 1, 1)
        case "q" | "Q" | "w":
            body = _quoted(conversion, arguments.take(), precision)
        case "p":
            body = f"{to_integer(_zero(arguments.take())):X}"
        case _:
            return None
    return body.ljust(width) if "-" in flags else body.rjust(width)


def _zero(value: Any) -> Any:
    return 0 if value is None else value


def _count(text: str | None, arguments: _Arguments) -> int | None:
    if text is None:
        return None
    return to_integer(_zero(arguments.take())) if text == "*" else int(text)


def _sign(negative: bool, flags: str) -> str:
    return "-" if negative else "+" if "+" in flags else " " if " " in flags else ""


def _signed(digits: str, negative: bool, flags: str, width: int, precision: int | None) -> str:
    sign = _sign(negative, flags)
    if precision is not None:
        digits = digits.rjust(min(precision, _MAX_WIDTH), "0")
    if "0" in flags and "-" not in flags:
        digits = digits.rjust(width - len(sign), "0")
    if "," in flags:
        digits = re.sub(r"(?<=\d)(?=(?:\d{3})+\Z)", ",", digits)
    return sign + digits


def _radix(conversion: str, number: int, flags: str, width: int, precision: int | None) -> str:
    digits = format(number & 0xFFFF_FFFF_FFFF_FFFF, conversion)
    if precision is not None:
        digits = digits.rjust(min(precision, _MAX_WIDTH), "0")
    prefix = "" if "#" not in flags or number == 0 else {"x": "0x", "X": "0X", "o": "0"}[conversion]
    if "0" in flags and "-" not in flags:
        digits = digits.rjust(width, "0")
    return prefix + digits


def _real(conversion: str, number: float, flags: str, width: int, precision: int | None) -> str:
    sign = _sign(number < 0, flags)
    if number in (float("inf"), float("-inf")):
        return sign + "Inf"
    digits = _fixed(abs(number), 6 if precision is None else precision, flags) if conversion in "fF" else ""
    shape = (
        "#" if "#" in flags or "!" in flags else ""
    ) + f".{min(6 if precision is None else precision, 350)}{conversion}"
    digits = digits or format(abs(number), shape)
    if "!" in flags:
        digits = _shortened(digits)
    if "," in flags and conversion in "fF":
        whole, point, fraction = digits.partition(".")
        digits = f"{int(whole):,}" + point + fraction
    if "0" in flags and "-" not in flags:
        digits = digits.rjust(width - len(sign), "0")
    return sign + digits


def _fixed(number: float, precision: int, flags: str) -> str:
    """The digits, rounded half up from the shortest decimal text, as in SQLite."""
    step = Decimal(1).scaleb(-min(precision, 350))
    digits = format(_ROUNDING.quantize(Decimal(repr(number)), step), "f")
    return digits + "." if precision == 0 and ("#" in flags or "!" in flags) else digits


def _shortened(digits: str) -> str:
    """With the flag ``!`` trailing zeros go, but one digit stays behind the point."""
    mantissa, e, exponent = digits.partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0")
        mantissa += "0" if mantissa.endswith(".") else ""
    return mantissa + e + exponent


def _quoted(conversion: str, value: Any, precision: int | None) -> str:
    if value is None:
        return "NULL" if conversion == "Q" else "(NULL)"
    text = to_text(value)
    text = text if precision is None else text[:precision]
    if conversion == "w":
        return text.replace('"', '""')
    text = text.replace("'", "''")
    return f"'{text}'" if conversion == "Q" else text
