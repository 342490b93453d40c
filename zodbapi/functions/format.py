"""``format`` (``printf``): SQLite's formatting language."""

from __future__ import annotations

import math
import re
import sys
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from typing import Any

from zodbapi.values import to_integer, to_number, to_text

_SPECIFIER = re.compile(r"%([-+ 0#!,]*)(\*|\d{1,18})?(?:\.(\*|\d{1,18})?)?(?:hh|h|ll|l|)([a-zA-Z%])?", re.ASCII)
_MAX_WIDTH = 1_000_000
_ROUNDING = Context(prec=2000, rounding=ROUND_HALF_UP)
_CUT = {count: Context(prec=count, rounding=ROUND_DOWN) for count in (16, 26)}


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
            number = to_integer(_zero(arguments.take()))
            body = _whole(str(abs(number)), _sign(number < 0, flags), flags, width, precision)
        case "u":
            number = to_integer(_zero(arguments.take())) & 0xFFFF_FFFF_FFFF_FFFF
            body = _whole(str(number), "", flags, width, precision)
        case "x" | "X" | "o":
            body = _radix(conversion, to_integer(_zero(arguments.take())), flags, width, precision)
        case "f" | "F" | "e" | "E" | "g" | "G":
            body = _real(conversion, float(to_number(_zero(arguments.take()))), flags, width, precision)
        case "s" | "z":
            value = arguments.take()
            body = "" if value is None else _cut(to_text(value), precision, flags)
        case "c":
            value = arguments.take()
            body = (("" if value is None else to_text(value))[:1] or "\0") * max(precision or 1, 1)
        case "q" | "Q" | "w":
            body = _quoted(conversion, arguments.take(), precision, flags)
        case "p":
            body = f"{to_integer(_zero(arguments.take())):X}"
        case _:
            return None
    if "!" not in flags and conversion != "c" and not body.isascii():  # the width counts bytes
        width -= len(body.encode("utf-8", "surrogatepass")) - len(body)
    return body.ljust(width) if "-" in flags else body.rjust(width)


def _zero(value: Any) -> Any:
    return 0 if value is None else value


def _count(text: str | None, arguments: _Arguments) -> int | None:
    if text is None:
        return None
    return to_integer(_zero(arguments.take())) if text == "*" else int(text)


def _sign(negative: bool, flags: str) -> str:
    """The sign; of the flags ``+`` and space the last one counts."""
    if negative:
        return "-"
    return max("+", " ", key=flags.rfind) if "+" in flags or " " in flags else ""


def _whole(digits: str, sign: str, flags: str, width: int, precision: int | None) -> str:
    digits = digits.rjust(min(precision or 0, _MAX_WIDTH), "0")
    if "0" in flags:
        digits = digits.rjust(width - len(sign), "0")
    if "," in flags:
        digits = re.sub(r"(?<=\d)(?=(?:\d{3})+\Z)", ",", digits)
    return sign + digits


def _radix(conversion: str, number: int, flags: str, width: int, precision: int | None) -> str:
    digits = _whole(format(number & 0xFFFF_FFFF_FFFF_FFFF, conversion), "", flags.replace(",", ""), width, precision)
    prefix = "" if "#" not in flags or number == 0 else {"x": "0x", "X": "0X", "o": "0"}[conversion]
    return prefix + digits


def _real(conversion: str, number: float, flags: str, width: int, precision: int | None) -> str:
    sign = _sign(number < 0, flags)
    if math.isinf(number):
        return sign + "Inf"
    digits = _digits(conversion, abs(number), flags, 6 if precision is None else min(precision, 350))
    return sign + (digits.rjust(width - len(sign), "0") if "0" in flags and "-" not in flags else digits)


def _digits(conversion: str, number: float, flags: str, precision: int) -> str:
    """The digits, rounded half up from the shortest decimal text, or with ``!`` from the exact value; 16 or 26 count."""
    value = Decimal(number) if "!" in flags or number < sys.float_info.min else Decimal(repr(number))
    form, strip = conversion.lower(), "!" in flags
    if form == "g":
        precision = max(precision - 1, 0)
        strip = "#" not in flags
    power = 0
    if form != "f":
        value = _ROUNDING.quantize(value, Decimal(1).scaleb(value.adjusted() - precision)) if value else value
        power = value.adjusted() if value else 0
        if form == "g" and -4 <= power <= precision:
            form, precision = "f", precision - power
        else:
            form, value = "e", value.scaleb(-power, _ROUNDING)
    value = _ROUNDING.quantize(value, Decimal(1).scaleb(-precision))
    text = format(value, "f")
    count = 26 if "!" in flags else 16
    if len(value.as_tuple().digits) > count:
        text = format(_CUT[count].plus(value).quantize(Decimal(1).scaleb(-precision), context=_ROUNDING), "f")
    if "." not in text and ("#" in flags or "!" in flags):
        text += "."
    if strip and "." in text:
        text = text.rstrip("0")
        text = (text + "0" if "!" in flags else text[:-1]) if text.endswith(".") else text
    return text if form == "f" else f"{text}{'e' if conversion.islower() else 'E'}{power:+03d}"


def _cut(text: str, precision: int | None, flags: str) -> str:
    """As many bytes of the text as the precision says, with ``!`` characters."""
    if precision is None or "!" in flags or text.isascii():
        return text if precision is None else text[:precision]
    return text.encode("utf-8", "surrogatepass")[:precision].decode("utf-8", "ignore")


def _quoted(conversion: str, value: Any, precision: int | None, flags: str) -> str:
    if value is None:
        return _cut("NULL" if conversion == "Q" else "(NULL)", precision, flags)
    text = _cut(to_text(value), precision, flags)
    if conversion == "w":
        return text.replace('"', '""')
    text = text.replace("'", "''")
    return f"'{text}'" if conversion == "Q" else text
