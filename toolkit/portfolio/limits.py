"""`Limits` and `Instrument`: how entries are sized and what the account must keep to, in one frozen config each."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from toolkit.engine.sizing import LimitRates, SizeMode
from toolkit.errors import InputError, UnknownNameError
from toolkit.toml_file import read_toml

_MODES = {mode.name.lower(): mode for mode in SizeMode}
_ORDERS = ("weight", "prediction")
_MANY = 2**31


@dataclass(frozen=True)
class Limits:
    """Sizing and compliance of one account. Shares are of equity at the decision; None = no such limit.

    Attributes
    ----------
    sizing : "weight" (a share `weight * exposure` of equity), "risk" (`risk_per_trade` of equity is lost if the stop
        is hit, before costs), "notional" (`notional_per_trade`, money) or "prediction" (as weight, times 2p - 1). By
        risk and by notional an instance gets its weight relative to an equal one: half the average, half the size.
    exposure : all weights together are this share of equity, where they add up to 1.
    price_buffer : how much worse than the decision's close a fill may be and still be paid for, a fraction.
    max_trade, max_symbol, max_gross, max_net : largest notional of one trade, of one symbol (both sides added), of all,
        and of longs less shorts (either way), shares. max_trade_notional : of one trade, money.
    leverage : gross exposure that the account can carry; above 1 is refused until liquidation is modelled.
    max_open, max_open_symbol, max_open_strategy : most trades open at once, waiting entries counted.
    max_volume_share : largest share of the volume of the decision's bar.
    daily_loss_halt : a fall of equity from 00:00 UTC that stops entries until the next 00:00.
    drawdown_halt : a fall of equity from its peak that stops entries for good. Both are looked at when an entry is
        decided and at 00:00 UTC.
    halt_closes : a halt also cancels waiting entries and closes open trades.
    entry_order : which of the entries of one moment is decided first: "weight" (the largest), or "prediction" (the
        model's largest probability, then the weight; those without one last).
    """

    sizing: str = "weight"
    exposure: float = 1.0
    risk_per_trade: float = 0.01
    notional_per_trade: float = 1_000.0
    price_buffer: float = 0.002
    max_trade: float | None = None
    max_trade_notional: float | None = None
    max_symbol: float | None = None
    max_gross: float | None = None
    max_net: float | None = None
    leverage: float = 1.0
    max_open: int | None = None
    max_open_symbol: int | None = None
    max_open_strategy: int | None = None
    max_volume_share: float | None = None
    daily_loss_halt: float | None = None
    drawdown_halt: float | None = None
    halt_closes: bool = False
    entry_order: str = "weight"

    def __post_init__(self) -> None:
        if self.sizing not in _MODES:
            raise UnknownNameError("`sizing`", self.sizing, _MODES)
        if self.entry_order not in _ORDERS:
            raise UnknownNameError("`entry_order`", self.entry_order, _ORDERS)
        for name in ("exposure", "risk_per_trade", "notional_per_trade", "leverage"):
            _positive(name, getattr(self, name))
        for name in ("max_trade", "max_trade_notional", "max_symbol", "max_gross", "max_net", "max_volume_share"):
            if getattr(self, name) is not None:
                _positive(name, getattr(self, name))
        for name in ("max_open", "max_open_symbol", "max_open_strategy"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"`{name}` must be a whole number of at least 1, was {value!r}; leave it out for none")
        _number("price_buffer", self.price_buffer)
        if not 0 <= self.price_buffer < 1:
            raise InputError(f"`price_buffer` must be a fraction from 0 to below 1, was {self.price_buffer}")
        if self.leverage > 1:
            raise InputError(
                f"`leverage` must not be above 1, was {self.leverage}: liquidation is not modelled yet, and a backtest "
                f"would not show it"
            )
        if self.risk_per_trade >= 1:
            raise InputError(
                f"`risk_per_trade` is a fraction of equity below 1 (0.01 is 1 %), was {self.risk_per_trade}"
            )
        for name in ("daily_loss_halt", "drawdown_halt"):
            value = getattr(self, name)
            if value is not None and not 0 < _number(name, value) < 1:
                raise InputError(f"`{name}` must be a fraction between 0 and 1 (0.05 is 5 %), was {value!r}")
        if not isinstance(self.halt_closes, bool):
            raise InputError(f"`halt_closes` must be true or false, was {self.halt_closes!r}")
        self._check_contradictions()

    def _check_contradictions(self) -> None:
        """`InputError` where one limit can never be reached, or forbids what another one asks for."""
        wider = (
            ("max_trade", "max_symbol"), ("max_trade", "max_gross"), ("max_symbol", "max_gross"),
            ("max_net", "max_gross"), ("max_gross", "leverage"),
        )  # fmt: skip
        for narrow, wide in wider:
            a, b = getattr(self, narrow), getattr(self, wide)
            if a is not None and b is not None and a > b:
                raise InputError(
                    f"`{narrow}` {a} contradicts `{wide}` {b}: it can never be reached; lower `{narrow}`, raise "
                    f"`{wide}`, or leave one out"
                )
        for narrow in ("max_open_symbol", "max_open_strategy"):
            a = getattr(self, narrow)
            if a is not None and self.max_open is not None and a > self.max_open:
                raise InputError(
                    f"`{narrow}` {a} contradicts `max_open` {self.max_open}: it can never be reached; lower it, or "
                    f"raise `max_open`"
                )
        if self.halt_closes and self.daily_loss_halt is None and self.drawdown_halt is None:
            raise InputError("`halt_closes` needs a halt; give `daily_loss_halt` or `drawdown_halt`")
        most = math.inf if self.max_trade_notional is None else self.max_trade_notional
        if self.sizing == "notional" and self.notional_per_trade > most:
            raise InputError(
                f"`notional_per_trade` {self.notional_per_trade:g} contradicts `max_trade_notional` {most:g}: every "
                f"trade would be clipped; make them agree"
            )

    def rates(self) -> LimitRates:
        """The kernels' form."""

        def most(value: float | None) -> float:
            return math.inf if value is None else float(value)

        def count(value: int | None) -> int:
            return _MANY if value is None else min(value, _MANY)

        return LimitRates(
            int(_MODES[self.sizing]), float(self.exposure), float(self.risk_per_trade), float(self.notional_per_trade),
            float(self.price_buffer), most(self.max_trade), most(self.max_trade_notional), most(self.max_symbol),
            most(self.max_gross), most(self.max_net), float(self.leverage), count(self.max_open),
            count(self.max_open_symbol), count(self.max_open_strategy), most(self.max_volume_share),
            most(self.daily_loss_halt), most(self.drawdown_halt), self.halt_closes,
            self.entry_order == "prediction",
        )  # fmt: skip


@dataclass(frozen=True)
class Instrument:
    """What a venue allows on one symbol; 0 = no such rule.

    Attributes
    ----------
    lot_step : quantities are multiples of it. min_qty, min_notional : smallest order, base units and money.
    tick : price step of stops and targets; 0 leaves that of `Costs`.
    market : "swap" or "spot"; a spot market has no shorts.
    hedge_mode : both sides of a swap may be open at once.
    """

    lot_step: float = 0.0
    min_qty: float = 0.0
    min_notional: float = 0.0
    tick: float = 0.0
    market: str = "swap"
    hedge_mode: bool = True

    def __post_init__(self) -> None:
        for name in ("lot_step", "min_qty", "min_notional", "tick"):
            if _number(name, getattr(self, name)) < 0:
                raise InputError(f"`{name}` must not be negative, was {getattr(self, name)}; leave it out for none")
        if self.market not in ("spot", "swap"):
            raise UnknownNameError("`market`", self.market, ("spot", "swap"))
        if not isinstance(self.hedge_mode, bool):
            raise InputError(f"`hedge_mode` must be true or false, was {self.hedge_mode!r}")


def limits_from(table: Mapping[str, Any]) -> Limits:
    """`Limits` from a TOML or JSON table; an unknown key is refused with the nearest names. "none" is no limit."""
    return Limits(**_known("limits", "limit", table, Limits))


def instruments_from(table: Mapping[str, Any]) -> dict[str, Instrument]:
    """`Instrument`s by symbol, from a table of tables: `[instruments."BTC/USDT"]`."""
    from toolkit.bars.symbols import canonical_symbol

    if not isinstance(table, Mapping):
        raise InputError(f"`instruments` must be a table of symbols, was {table!r}")
    return {
        canonical_symbol(symbol): Instrument(**_known(f"instruments.{symbol}", "instrument rule", rules, Instrument))
        for symbol, rules in table.items()
    }


def limits_over(base: Limits | None, table: Mapping[str, Any]) -> Limits:
    """`base` (or the defaults) with what the table names in its place."""
    return limits_from({**asdict(base or Limits()), **_known("limits", "limit", table, Limits)})


def instruments_over(
    base: Mapping[str, Instrument], tables: Mapping[str, Mapping[str, Any] | Instrument]
) -> dict[str, Instrument]:
    """`base` with what the tables name in its place, rule by rule; an `Instrument` replaces a symbol's rules."""
    from toolkit.bars.symbols import canonical_symbol

    out = dict(base)
    if not isinstance(tables, Mapping):
        raise InputError(f"`instruments` must be a table of symbols, was {tables!r}")
    for name, rules in tables.items():
        symbol = canonical_symbol(name)
        if isinstance(rules, Instrument):
            out[symbol] = rules
        else:
            given = _known(f"instruments.{name}", "instrument rule", rules, Instrument)
            out[symbol] = Instrument(**{**asdict(out.get(symbol, Instrument())), **given})
    return out


def read_limits(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tables of limits and of instruments of a TOML file, each checked by itself: `[limits]` (or the file's top
    level) and `[instruments."BTC/USDT"]`."""
    read = read_toml(path, "limits file")
    instruments = read.pop("instruments", {})
    limits = read.get("limits", read)
    instruments_from(instruments)
    limits_from(limits)
    return dict(limits), dict(instruments)


def _known(name: str, kind: str, table: Any, wanted: type[Any]) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise InputError(f"`{name}` must be a table of names and values, was {table!r}")
    names = {f.name for f in fields(wanted)}
    for key in table:
        if key not in names:
            raise UnknownNameError(kind, str(key), names)
    return {key: None if value == "none" else value for key, value in table.items()}


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"`{name}` must be a finite number, was {value!r}")
    return float(value)


def _positive(name: str, value: Any) -> None:
    if _number(name, value) <= 0:
        raise InputError(f"`{name}` must be above 0, was {value!r}; leave it out for its default")
