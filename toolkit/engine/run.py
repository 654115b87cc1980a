"""One instance through the engine: both legs of one strategy on one series, with records."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.bars.series import Bars
from toolkit.engine.hop import N_SIGNALS, N_STEPS, N_TRADES, simulate_leg, simulate_pair
from toolkit.engine.market import first_t, prepare_market
from toolkit.engine.rules import Columns, Costs, TradeRules, compile_rules
from toolkit.engine.signals import check_verdicts, distance_columns, gate_bits, leg_signals
from toolkit.engine.types import LONG, SHORT, SIGNAL, TRADE, CostRates, LegSignals, LegState, Market, Rules
from toolkit.errors import InputError
from toolkit.strategy import Signals, checked_signals
from toolkit.types import ByteArray, Records

_FIRST_CAPACITY = 1024


@dataclass(frozen=True)
class Prepared:
    """What a simulation reads, made once: market, rules and costs in numbers, and each side's events."""

    market: Market
    rules: Rules
    rates: CostRates
    legs: Mapping[int, LegSignals]
    start_t: int


@dataclass(frozen=True)
class EngineRun:
    """Records of a run.

    Attributes
    ----------
    trades : TRADE records by entry bar, long before short; a trade still open at the end has exit_reason 0.
    signals : SIGNAL records by bar, long before short.
    states : last state of each side that was run.
    steps : how many bars the lifecycle was called on.
    """

    trades: Records
    signals: Records
    states: Mapping[int, LegState]
    steps: int


def prepare(
    bars: Bars,
    signals: Signals,
    rules: TradeRules,
    costs: Costs,
    *,
    verdicts: Mapping[int, ByteArray] | None = None,
    finer: Bars | None = None,
    start_ms: int | None = None,
) -> Prepared:
    """Check the inputs of one instance and bring them into the kernels' form.

    Parameters
    ----------
    bars : the signal-interval bars; orders fill on `bars.base`.
    verdicts : by side (LONG, SHORT): uint8[n], what is said of an entry proposed at each signal bar.
    finer : a finer series, required by `policy="finer"`.
    start_ms : no bar that opens before it is stepped (warm-up history only feeds factors).
    """
    if rules.policy == "finer" and finer is None:
        raise InputError(
            f"policy 'finer' needs a finer stored series than {bars.base.interval}; store one, or choose another policy"
        )
    checked_signals(signals, len(bars), "signals")
    check_verdicts(verdicts or {}, len(bars))
    columns = Columns()
    numbers = compile_rules(rules, bars, columns)
    distances, gates = distance_columns(bars, signals, columns), gate_bits(bars, columns)
    sides = {"long": (LONG,), "short": (SHORT,), "both": (LONG, SHORT)}[rules.side]
    legs = {s: leg_signals(bars, signals, s, distances, gates, (verdicts or {}).get(s)) for s in sides}
    base = bars.base
    market = prepare_market(base, finer if rules.policy == "finer" else None)
    start_t = first_t(base) if start_ms is None else max(first_t(base), -(-start_ms // base.interval_ms))
    return Prepared(market, numbers, costs.rates(base.interval_ms), legs, start_t)


def run(prepared: Prepared, notional: float, *, every_bar: bool = False) -> EngineRun:
    """Simulate the prepared instance at a fixed notional a trade; `every_bar` steps instead of hopping (the proof)."""
    capacity = _FIRST_CAPACITY
    while True:
        buffers = {s: (np.zeros(capacity, TRADE), np.zeros(capacity, SIGNAL)) for s in prepared.legs}
        states, counts = _simulate(prepared, notional, every_bar, buffers)
        needed = max((int(max(c[N_TRADES], c[N_SIGNALS])) for c in counts.values()), default=0)
        if needed <= capacity:
            break
        capacity = needed
    trades = [buffers[s][0][: counts[s][N_TRADES]] for s in counts]
    signals = [buffers[s][1][: counts[s][N_SIGNALS]] for s in counts]
    all_trades, all_signals = np.concatenate(trades), np.concatenate(signals)
    return EngineRun(
        all_trades[np.lexsort((-all_trades["side"], all_trades["entry_t"]))],
        all_signals[np.lexsort((-all_signals["side"], all_signals["t"]))],
        states,
        int(sum(c[N_STEPS] for c in counts.values())),
    )


def _simulate(
    prepared: Prepared, notional: float, every_bar: bool, buffers: Mapping[int, tuple[Records, Records]]
) -> tuple[dict[int, LegState], dict[int, np.ndarray[tuple[int], np.dtype[np.int64]]]]:
    market, rules, rates, start_t = prepared.market, prepared.rules, prepared.rates, prepared.start_t
    legs = prepared.legs
    if len(legs) == 2 and rules.period_shared:
        trades, signals = zip(buffers[LONG], buffers[SHORT], strict=True)
        long, short, counts_l, counts_s = simulate_pair(
            start_t, market, legs[LONG], legs[SHORT], rules, rates, notional, every_bar, trades, signals
        )
        return {LONG: long, SHORT: short}, {LONG: counts_l, SHORT: counts_s}
    states, counts = {}, {}
    for side, events in legs.items():
        states[side], counts[side] = simulate_leg(
            side, start_t, market, events, rules, rates, notional, every_bar, *buffers[side]
        )
    return states, counts
