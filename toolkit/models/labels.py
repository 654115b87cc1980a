"""What a signal's trade is judged by. Only here does anything look ahead: a label is known from `rows["known"]` on."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from toolkit.bars.series import Bars
from toolkit.engine.durations import time_ms
from toolkit.engine.rules import Columns, TradeRules, compile_rules
from toolkit.engine.run import Prepared
from toolkit.errors import InputError, UnknownNameError
from toolkit.factors.table import parse_spec
from toolkit.types import FloatArray

KINDS = ("win", "return", "r", "barrier")
_NONE = np.empty(0, np.uint8)


@dataclass(frozen=True)
class LabelRule:
    """When an entry was worth taking (1) and when not (0).

    Attributes
    ----------
    kind : "win" (the trade earned more than its costs), "return" (its return is above `above`), "r" (its R multiple is
        above `above`; without a stop it has none and no row), "barrier" (triple barrier, Lopez de Prado 2018, chapter
        3: another trade from the same signal, with a stop of `lower` and a target of `upper` times ATR and the time
        limit `max_hold` alone, earned more than its costs).
    atr : bars of the ATR that barriers are measured in.
    """

    kind: str = "win"
    above: float = 0.0
    upper: float = 2.0
    lower: float = 2.0
    max_hold: str = "1d"
    atr: int = 14

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("label", self.kind, KINDS)
        for name in ("above", "upper", "lower"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"`{name}` of a label must be a finite number, was {value!r}")
        if self.upper <= 0 or self.lower <= 0:
            raise InputError(f"barriers must lie above 0 ATR, were {self.upper} and {self.lower}")
        if isinstance(self.atr, bool) or not isinstance(self.atr, int) or self.atr < 1:
            raise InputError(f"`atr` of a label must be a whole number of at least 1 bar, was {self.atr!r}")
        time_ms("max_hold", self.max_hold)

    @property
    def text(self) -> str:
        """As reports name it."""
        if self.kind == "barrier":
            return f"barrier +{self.upper:g}/-{self.lower:g} ATR({self.atr}), {self.max_hold}"
        return self.kind if self.kind == "win" else f"{self.kind} > {self.above:g}"

    def table(self) -> dict[str, Any]:
        return asdict(self)

    def of(self, ret: FloatArray, r: FloatArray) -> FloatArray:
        """float64[n], 1 or 0 of trades with these returns and R multiples; NaN where one is not defined."""
        value, above = (r, self.above) if self.kind == "r" else (ret, self.above if self.kind == "return" else 0.0)
        return np.where(np.isnan(value), np.nan, (value > above).astype(np.float64))

    def prepared(self, bars: Bars, own: Prepared) -> Prepared:
        """The same entries under the barriers alone."""
        columns = Columns()
        rules = TradeRules(
            stop=f"{self.lower:g}atr({self.atr})", target=f"{self.upper:g}atr({self.atr})", max_hold=self.max_hold
        )
        numbers = compile_rules(rules, bars, columns)
        factors = [parse_spec(spec).values(bars) for spec in columns.distances]
        legs = {}
        for side, leg in own.legs.items():
            at = np.searchsorted(bars.close_ts, (leg.entry_t + 1) * bars.base.interval_ms)
            rows = [np.full(len(at), np.nan)] * 2 + [values[at] for values in factors]
            legs[side] = leg._replace(
                exit_t=np.empty(0, np.int64), distances=np.array(rows), verdicts=_NONE, gates=_NONE
            )
        return replace(own, rules=numbers, legs=legs)


def label_from(said: Any) -> LabelRule:
    """A label from a recipe: its kind, or a table of `LabelRule`'s fields; `InputError` for anything else."""
    if isinstance(said, LabelRule):
        return said
    if isinstance(said, str):
        return LabelRule(said)
    if not isinstance(said, Mapping):
        raise InputError(f"`label` must be one of {', '.join(KINDS)} or a table with a `kind`, was {said!r}")
    known = {one.name for one in fields(LabelRule)}
    for name in said:
        if name not in known:
            raise UnknownNameError("key of a label", str(name), known)
    return LabelRule(**said)
