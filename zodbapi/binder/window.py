"""Windows: the calls of one query that have OVER, its WINDOW clause, and frames."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from zodbapi.binder.scope import Binding, Field, Scope
from zodbapi.errors import OperationalError
from zodbapi.plan.expr import Column, Const, Expr, Frame, FrameBound, SortKey, WindowCall
from zodbapi.record import field, record


@record(slots=True)
class Windows:
    """The window calls of one query; ``definitions`` are those of its WINDOW clause by folded name."""

    binding: Binding
    source: int
    definitions: dict[str, exp.Window]
    calls: dict[WindowCall, int] = field(default_factory=dict)
    fields: list[Field] = field(default_factory=list)

    def add(self, call: WindowCall) -> Column:
        """The column under which the Window node gives the result of a call."""
        position = self.calls.setdefault(call, len(self.calls))
        if position == len(self.fields):
            self.fields.append(Field("", call.type, call.nullable))
        return Column(self.source, position, call.type, call.nullable)

    def resolve(self, over: exp.Window) -> exp.Window:
        """A window with what it takes over from the named one it builds on."""
        name = over.args.get("alias")
        if name is None:
            return over
        base = self.definitions.get(name.name.lower())
        if base is None:
            raise OperationalError(f"no such window: {name.name}")
        base = self.resolve(base)
        bare = not (over.args.get("partition_by") or over.args.get("order") or over.args.get("spec"))
        if bare:
            return base
        for clause, word in (("partition_by", "PARTITION clause"), ("spec", "frame specification")):
            inherited = base.args.get(clause) if clause == "spec" else over.args.get(clause)
            if inherited:
                raise OperationalError(f"cannot override {word} of window: {name.name}")
        if over.args.get("order") and base.args.get("order"):
            raise OperationalError(f"cannot override ORDER BY clause of window: {name.name}")
        return exp.Window(
            partition_by=[key.copy() for key in base.args.get("partition_by") or ()],
            order=(over.args.get("order") or base.args.get("order") or exp.Order()).copy(),
            spec=over.args["spec"].copy() if over.args.get("spec") else None,
        )


def make_windows(binding: Binding, clauses: Sequence[exp.Window]) -> Windows:
    """The collector for one query with that WINDOW clause."""
    windows = Windows(binding, binding.new_source(), {w.this.name.lower(): w for w in clauses})
    binding.fields[windows.source] = windows.fields
    return windows


def bind_frame(spec: exp.WindowSpec | None, order: Sequence[SortKey], scope: Scope) -> Frame | None:
    """The frame of a window; None for the default one."""
    if spec is None:
        return None
    args = spec.args
    unit = args["kind"].lower()
    start = _bound(args.get("start"), args.get("start_side"), scope)
    end = _bound(args.get("end") or "CURRENT ROW", args.get("end_side"), scope)
    _check_bounds(unit, start, end, order)
    exclude = args.get("exclude")
    return Frame(unit, start, end, exclude.name.lower() if exclude is not None else "no others")


def _bound(value: object, side: str | None, scope: Scope) -> FrameBound:
    from zodbapi.binder.expr import bind_expr

    if value == "CURRENT ROW":
        return FrameBound("current row")
    if side is None:
        raise OperationalError("unsupported frame specification")
    if value == "UNBOUNDED":
        return FrameBound(f"unbounded {side.lower()}")
    assert isinstance(value, exp.Expression)
    return FrameBound(side.lower(), bind_expr(value, scope))


_RANKS = ("unbounded preceding", "preceding", "current row", "following", "unbounded following")


def _check_bounds(unit: str, start: FrameBound, end: FrameBound, order: Sequence[SortKey]) -> None:
    if start.kind == _RANKS[4] or end.kind == _RANKS[0] or _RANKS.index(start.kind) > _RANKS.index(end.kind):
        raise OperationalError("unsupported frame specification")
    if unit == "range" and (start.offset is not None or end.offset is not None) and len(order) != 1:
        raise OperationalError("RANGE with offset PRECEDING/FOLLOWING requires one ORDER BY expression")
    for bound, word in ((start, "starting"), (end, "ending")):
        if bound.offset is not None and _negative(bound.offset):
            raise OperationalError(f"frame {word} offset must be a non-negative {_NUMBERS.get(unit, 'integer')}")


_NUMBERS = {"range": "number"}


def _negative(offset: Expr) -> bool:
    if not isinstance(offset, Const):
        return False
    if offset.value is None:
        return True
    return bool(offset.value < 0) if isinstance(offset.value, (int, float)) else False
