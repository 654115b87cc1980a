"""Shadows: the trade that a refused entry signal would have made, followed off the path.

The same functions as on the path decide its fills and exits; the leg itself never learns of it.
"""

import math
from collections.abc import Mapping

import numpy as np

from toolkit.compiled import kernel
from toolkit.engine.hop import bar_at, next_event, ordered_price, record_trade, signal_at
from toolkit.engine.lifecycle import decide, flat_leg, step
from toolkit.engine.types import ACCEPTED, TRADE, CostRates, LegSignals, Market, Matched, Rules
from toolkit.types import IntArray, Records


@kernel
def shadow_leg(
    side: int,
    refused_t: IntArray,
    market: Market,
    signals: LegSignals,
    rules: Rules,
    costs: tuple[CostRates, float],
    trades: Records,
) -> None:
    """Follow each refused entry of one leg from its decision to the end of its trade, or of the bars.

    Parameters
    ----------
    refused_t : int64[k], ascending bars at whose close an entry was refused.
    costs : rates, and the notional of a trade (money).
    trades : TRADE[k], written; a row whose entry never filled is left as it was.
    """
    rates, notional = costs
    at_signal, cursors = np.zeros(2, np.int64), np.zeros(2, np.int64)
    end_t = market.t0 + len(market.open)
    for k in range(len(refused_t)):
        t = refused_t[k]
        bar = bar_at(market, t)
        at = signal_at(t, bar.close, signals, rules, at_signal)
        cursors[:] = at_signal
        state = decide(flat_leg(side), bar, at, rules, ACCEPTED, notional / bar.close)
        while True:
            t, state = next_event(state, t, end_t, market, signals, rules, rates, cursors)
            if t >= end_t:
                if state.trade.active:
                    mark = Matched(False, False, 0, market.close[end_t - 1 - market.t0], math.nan, 0.0, math.nan)
                    record_trade(state, end_t - 1, mark, math.nan, trades, k)
                break
            bar = bar_at(market, t)
            at = signal_at(t, bar.close, signals, rules, cursors)
            i = (t - market.t0) * market.fine_ratio
            state, matched, managed = step(state, bar, at, rules, rates, market.fine[i : i + market.fine_ratio])
            if matched.exit_reason != 0:
                record_trade(state, t, matched, ordered_price(state, market), trades, k)
                break
            if matched.expired or managed.cancelled:
                break


def shadow_trades(
    signals_out: Records,
    legs: Mapping[int, LegSignals],
    market: Market,
    rules: Rules,
    rates: CostRates,
    notional: float,
) -> Records:
    """TRADE[n], a row an entry signal: the shadow of a refused one, marked at the last close if it is still open.

    `qty` is 0 in the rows of accepted signals and of entries that would not have filled.

    Parameters
    ----------
    signals_out : SIGNAL records of the run (`EngineRun.signals`).
    legs, market, rules, rates : those of the run (`Prepared`).
    notional : money a trade.
    """
    shadows = np.zeros(len(signals_out), TRADE)
    for side, events in legs.items():
        rows = np.flatnonzero((signals_out["side"] == side) & (signals_out["decision"] != ACCEPTED))
        trades = np.zeros(len(rows), TRADE)
        refused_t = np.ascontiguousarray(signals_out["t"][rows])
        shadow_leg(side, refused_t, market, events, rules, (rates, notional), trades)
        shadows[rows] = trades
    return shadows
