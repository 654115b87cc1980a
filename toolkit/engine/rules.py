"""`TradeRules` and `Costs`: what is not in a strategy's arrays, validated once and turned into numbers."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from toolkit.bars.intervals import INTERVAL_MS, interval_ms, origin_ms
from toolkit.bars.series import Bars
from toolkit.engine.durations import Duration, time_ms, to_base_bars
from toolkit.engine.types import CostRates, DistanceMode, Policy, Rules, TargetFill
from toolkit.errors import InputError, UnknownNameError

# A fraction (0.02 or "2%"), "signal" or "1.5signal" (the strategy's array), "2atr(14)" (a factor in price units),
# for a target "2R" (multiples of the stop distance), None.
Distance: TypeAlias = float | str | None

SIDES = ("long", "short", "both")
MAX_GATES = 8
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_SPEC = re.compile(rf"{_NUMBER}?\s*\*?\s*([a-zA-Z_]\w*)(\([^()]*\))?")
_WHEN = re.compile(r"(.+?)\s*(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)")
_PROFIT = re.compile(rf"(-?){_NUMBER}\s*(R|%)?")


def _one_of(name: str, value: object, allowed: Any) -> None:
    if value not in allowed:
        raise UnknownNameError(f"`{name}`", value, allowed)


@dataclass(frozen=True)
class ExitRule:
    """Leave an open trade at a close where every condition of the rule holds.

    Attributes
    ----------
    on : "signal" (the strategy's exit signal) or "time" (every close).
    after : only once the trade has been held so long.
    min_profit, max_profit : bounds, inclusive, on the profit at the close: a fraction of the entry (0.01 or "1%") or
        "1R" (multiples of the stop distance; without a stop the condition does not hold).
    when : a factor compared with a number, "adx(14) < 20", read from the last closed bar of its interval.
    """

    on: str = "signal"
    after: Duration | None = None
    min_profit: float | str | None = None
    max_profit: float | str | None = None
    when: str | None = None

    def __post_init__(self) -> None:
        _one_of("exits.on", self.on, ("signal", "time"))
        for name in ("min_profit", "max_profit"):
            if getattr(self, name) is not None:
                parse_profit(f"exits.{name}", getattr(self, name))
        if self.when is not None:
            parse_when(self.when)


@dataclass(frozen=True)
class TradeRules:
    """How entries become trades and trades end; the same for every strategy.

    Attributes
    ----------
    stop, target, trail : see `Distance`; distances are frozen at the signal and applied to the fill price. A target in
        R needs a stop or a trail.
    trail_on : the trailing stop follows the "close" or the "extreme" (the high of a long, the low of a short).
    max_hold : leave after so long, counted from the fill bar, filled bars included.
    signal_timeout : how long a refused entry signal blocks new ones; None: it closes at once.
    entry_ttl : how long an entry order that cannot fill waits; default one signal bar.
    one_entry_per : at most one entry signal per UTC period ("1d"), refused ones counted too.
    one_entry_scope : "leg" or "instance" (long and short share it).
    exits : rules tried in their order at each close; default: leave on the strategy's exit signal.
    side : "long", "short" or "both".
    policy : "pessimistic", "optimistic", "ohlc", "adaptive" or "finer".
    target_fill : "touch", "through" or "market".
    """

    stop: Distance = "signal"
    target: Distance = "signal"
    trail: Distance = None
    trail_on: str = "close"
    max_hold: Duration | None = None
    signal_timeout: Duration | None = None
    entry_ttl: Duration | None = None
    one_entry_per: str | None = None
    one_entry_scope: str = "leg"
    exits: tuple[ExitRule, ...] = (ExitRule(),)
    side: str = "both"
    policy: str = "pessimistic"
    target_fill: str = "touch"

    def __post_init__(self) -> None:
        _one_of("trail_on", self.trail_on, ("close", "extreme"))
        _one_of("one_entry_scope", self.one_entry_scope, ("leg", "instance"))
        _one_of("side", self.side, SIDES)
        _one_of("policy", self.policy, [p.name.lower() for p in Policy])
        _one_of("target_fill", self.target_fill, [f.name.lower() for f in TargetFill])
        for name in ("stop", "target", "trail"):
            parse_distance(name, getattr(self, name))
        if needs_stop(self.stop, self.target, self.trail):
            raise InputError(
                f"`target` {self.target!r} is multiples of the stop distance, and `stop` and `trail` are None; "
                f"give a stop, or a target such as '2%'"
            )
        if not isinstance(self.exits, tuple | list) or not all(isinstance(rule, ExitRule) for rule in self.exits):
            raise InputError(f"`exits` must be a tuple of ExitRule, was {self.exits!r}")
        object.__setattr__(self, "exits", tuple(self.exits))
        if self.one_entry_per is not None:
            _one_of("one_entry_per", self.one_entry_per, tuple(INTERVAL_MS))


@dataclass(frozen=True)
class Costs:
    """What trading costs; every rate is a fraction except the slippage.

    Attributes
    ----------
    taker_rate, maker_rate : fee on the notional of market orders (and stops) and of resting limits.
    slippage_bps : basis points against the trader on every market order and stop.
    funding_rate : fraction of the notional that a long pays a short (a short a long where negative) at every stamp.
    funding_interval : time between funding stamps, counted from 00:00 UTC.
    tick : price step; stops round towards the entry, targets away; 0 = no rounding.
    """

    taker_rate: float = 0.001
    maker_rate: float = 0.001
    slippage_bps: float = 1.0
    funding_rate: float = 0.0
    funding_interval: str = "8h"
    tick: float = 0.0

    def __post_init__(self) -> None:
        for name in ("taker_rate", "maker_rate", "slippage_bps", "funding_rate", "tick"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"`{name}` must be a finite number, was {value!r}")
        if not 0 <= self.slippage_bps < 10_000:
            raise InputError(f"`slippage_bps` must be from 0 to below 10000 basis points, was {self.slippage_bps}")
        if not 0 <= self.taker_rate < 1 or not -0.01 <= self.maker_rate < 1:
            raise InputError(
                f"fee rates are fractions (0.001 is 0.1 %), were taker {self.taker_rate}, maker {self.maker_rate}"
            )
        if self.tick < 0:
            raise InputError(f"`tick` must not be negative, was {self.tick}")
        if time_ms("funding_interval", self.funding_interval) <= 0:
            raise InputError(
                f"`funding_interval` must be above 0, was {self.funding_interval!r}; for no funding leave "
                f"`funding_rate` at 0"
            )

    def rates(self, base_ms: int) -> CostRates:
        """The kernels' form for bars of `base_ms`."""
        stamp_ms = time_ms("funding_interval", self.funding_interval)
        if self.funding_rate == 0.0:
            every, stamps = 0, 0
        elif stamp_ms % base_ms == 0:
            every, stamps = stamp_ms // base_ms, 1
        elif base_ms % stamp_ms == 0:
            every, stamps = 1, base_ms // stamp_ms
        else:
            raise InputError(f"`funding_interval` must fit the base interval, was {self.funding_interval!r}")
        return CostRates(
            float(self.taker_rate), float(self.maker_rate), self.slippage_bps / 1e4,
            float(self.funding_rate) * stamps, every, float(self.tick),
        )  # fmt: skip


class ParsedDistance(NamedTuple):
    """mode, factor, and for a column the factor's spec text."""

    mode: DistanceMode
    k: float
    column: str


def parse_distance(name: str, value: Distance) -> ParsedDistance:
    """Read a stop, target or trail distance; `InputError` says what is allowed."""
    if value is None:
        return ParsedDistance(DistanceMode.NONE, 0.0, "")
    allowed = f"`{name}` must be a fraction (0.02 or '2%'), 'signal', a factor such as '2atr(14)'"
    allowed += ", 'R' multiples such as '2R' or None" if name == "target" else " or None"
    parsed = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        parsed = ParsedDistance(DistanceMode.FRACTION, float(value), "")
    elif isinstance(value, str) and re.fullmatch(rf"{_NUMBER}\s*%", value.strip()):
        parsed = ParsedDistance(DistanceMode.FRACTION, float(value.strip().rstrip("%")) / 100, "")
    elif isinstance(value, str) and (found := _SPEC.fullmatch(value.strip())):
        k, word, args = float(found[1] or 1), found[2], found[3] or ""
        if word == "signal":
            parsed = ParsedDistance(DistanceMode.SIGNAL, k, "")
        elif word == "R":
            parsed = ParsedDistance(DistanceMode.STOP, k, "") if name == "target" else None
        else:
            parsed = ParsedDistance(DistanceMode.COLUMN, k, word + args)
    if parsed is None or not (math.isfinite(parsed.k) and parsed.k > 0):
        raise InputError(f"{allowed}; was {value!r}")
    return parsed


def needs_stop(stop: Distance, target: Distance, trail: Distance) -> bool:
    """Whether the target is multiples of a stop distance that no rule gives: it would refuse every entry."""
    return stop is None and trail is None and parse_distance("target", target).mode == DistanceMode.STOP


def parse_profit(name: str, value: float | str | None) -> tuple[float, bool]:
    """A profit bound and whether it is in R."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value), False
    found = _PROFIT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise InputError(f"`{name}` must be a fraction (0.01 or '1%') or R multiples ('1R'), was {value!r}")
    amount = float(found[1] + found[2])
    return (amount / 100 if found[3] == "%" else amount), found[3] == "R"


class Columns:
    """Distinct factor columns and exit conditions that a set of rules reads, each made once."""

    def __init__(self) -> None:
        self.distances: dict[str, int] = {}
        self.gates: dict[str, int] = {}

    def distance(self, spec: str) -> int:
        # Rows 0 and 1 are the strategy's own stop and target distances.
        return self.distances.setdefault(spec, 2 + len(self.distances))

    def gate(self, when: str) -> int:
        position = self.gates.setdefault(when, len(self.gates))
        if position >= MAX_GATES:
            raise InputError(
                f"at most {MAX_GATES} different exit conditions (`when`) fit one run, {when!r} is one more"
            )
        return position


def compile_rules(rules: TradeRules, bars: Bars, columns: Columns) -> Rules:
    """`rules` in numbers for signals on `bars`, its factor columns and gates entered in `columns`."""
    signal_ms, base_ms = bars.interval_ms, bars.base.interval_ms

    def level(name: str, own: int) -> tuple[int, float, int]:
        parsed = parse_distance(name, getattr(rules, name))
        return int(parsed.mode), parsed.k, columns.distance(parsed.column) if parsed.column else own

    period_ms = interval_ms(rules.one_entry_per) if rules.one_entry_per else 0
    table = np.array([_exit_row(r, signal_ms, base_ms, columns) for r in rules.exits]).reshape(-1, 6)
    timed = table[table[:, 0] == 0.0, 1] if len(table) else table
    return Rules(
        *level("stop", 0), *level("target", 1), *level("trail", 0), rules.trail_on == "extreme",
        to_base_bars("max_hold", rules.max_hold, signal_ms, base_ms),
        to_base_bars("signal_timeout", rules.signal_timeout, signal_ms, base_ms),
        to_base_bars("entry_ttl", rules.entry_ttl, signal_ms, base_ms) or signal_ms // base_ms,
        period_ms, origin_ms(period_ms), rules.one_entry_scope == "instance" and period_ms > 0, base_ms,
        int(Policy[rules.policy.upper()]), int(TargetFill[rules.target_fill.upper()]),
        max(1, int(timed.min())) if len(timed) else 0, table,
    )  # fmt: skip


def _exit_row(rule: ExitRule, signal_ms: int, base_ms: int, columns: Columns) -> list[float]:
    bounds, units = [math.nan, math.nan], set()
    for position, name in enumerate(("min_profit", "max_profit")):
        value = getattr(rule, name)
        if value is not None:
            bounds[position], in_r = parse_profit(f"exits.{name}", value)
            units.add(in_r)
    if len(units) > 1:
        raise InputError(
            f"an exit rule's profit bounds must share a unit, were {rule.min_profit!r}, {rule.max_profit!r}"
        )
    after = to_base_bars("exits.after", rule.after, signal_ms, base_ms)
    gate = columns.gate(rule.when) if rule.when is not None else -1
    if rule.on == "time" and not after and gate < 0 and not units:
        raise InputError("an exit rule on 'time' needs `after`, a profit bound or `when`; it would close every trade")
    return [float(rule.on == "signal"), float(after), *bounds, float(True in units), float(gate)]


def parse_when(text: str) -> tuple[str, str, float]:
    """Factor spec, comparison and number of an exit condition such as "adx(14) < 20"."""
    found = _WHEN.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise InputError(f"`when` must compare a factor with a number, such as 'adx(14) < 20', was {text!r}")
    return found[1].strip(), found[2], float(found[3])


def rules_from(table: Mapping[str, Any]) -> TradeRules:
    """`TradeRules` from a TOML or JSON table; an unknown key is refused with the nearest names."""
    given = _known("rules", "trade rule", table, TradeRules)
    if "exits" in given:
        given["exits"] = _exit_rules(given["exits"])
    # TOML has no null: "none" says it.
    settings: dict[str, Any] = {k: None if v == "none" else v for k, v in given.items()}
    return TradeRules(**settings)


def costs_from(table: Mapping[str, Any]) -> Costs:
    """`Costs` from a TOML or JSON table; an unknown key is refused with the nearest names."""
    return Costs(**_known("costs", "cost", table, Costs))


def _exit_rules(given: Any) -> tuple[ExitRule, ...]:
    if given == "none":
        return ()
    if not isinstance(given, list | tuple) or not all(isinstance(rule, Mapping | ExitRule) for rule in given):
        raise InputError(
            f"`exits` must be a list of tables such as {{on = 'time', after = '4h'}} or none, was {given!r}"
        )
    return tuple(
        rule if isinstance(rule, ExitRule) else ExitRule(**_known("exits", "exit rule", rule, ExitRule))
        for rule in given
    )


def _known(name: str, kind: str, table: Mapping[str, Any], wanted: type[Any]) -> dict[str, Any]:
    """The table as keywords of a dataclass."""
    if not isinstance(table, Mapping):
        raise InputError(f"`{name}` must be a table of names and values, was {table!r}")
    names = {f.name for f in fields(wanted)}
    for key in table:
        if key not in names:
            raise UnknownNameError(kind, key, names)
    return dict(table)
