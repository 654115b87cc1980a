"""Many trade rules over one set of signals in one compiled call: simulate, summarise, keep only the figures."""

import numpy as np

from toolkit.analysis.metrics import N_METRICS, Account, Calendar, new_scratch, summarise
from toolkit.compiled import kernel
from toolkit.engine.hop import N_TRADES, simulate_leg, simulate_pair
from toolkit.engine.rule_table import rule_numbers
from toolkit.engine.types import SIGNAL, TRADE, CostRates, LegSignals, Market, Rules
from toolkit.types import FloatArray, IntArray, Records

LONG_SIDE, SHORT_SIDE, BOTH_SIDES = 0, 1, 2


@kernel
def run_rules(
    table: tuple[FloatArray, FloatArray],
    market: Market,
    legs: tuple[LegSignals, LegSignals],
    costs: tuple[CostRates, float, bool],
    days: Calendar,
    sides: IntArray,
    buffers: tuple[Records, Records],
    first: int,
    out: FloatArray,
) -> tuple[int, int]:
    """Figures of every rule from `first` on, for each of `sides`, each leg simulated once a rule.

    Parameters
    ----------
    table : see `rule_table`.
    costs : rates, capital (the fixed notional of every trade) and whether returns compound.
    sides : int64[S], LONG_SIDE, SHORT_SIDE, BOTH_SIDES.
    buffers : TRADE records of the long and the short leg, overwritten.
    out : float64[R, S, N_METRICS], written.

    Returns
    -------
    The first rule that was not done (R: all were), because a leg made more trades than fit; and how many it made.
    """
    numbers, exits = table
    rates, capital, compound = costs
    no_signals = np.empty(0, SIGNAL)
    none = buffers[0][:0]
    scratch = new_scratch(len(days.close))
    wants_long = wants_short = False
    for s in sides:
        wants_long = wants_long or s != SHORT_SIDE
        wants_short = wants_short or s != LONG_SIDE
    start_t = days.start_t
    for r in range(first, len(numbers)):
        rules = Rules(*(rule_numbers(numbers[r]) + (exits[r],)))
        n_long = n_short = 0
        if rules.period_shared and wants_long and wants_short:
            _, _, counts_l, counts_s = simulate_pair(
                start_t, market, legs[0], legs[1], rules, rates, capital, False, buffers, (no_signals, no_signals)
            )
            n_long, n_short = counts_l[N_TRADES], counts_s[N_TRADES]
        else:
            if wants_long:
                _, counts = simulate_leg(
                    1, start_t, market, legs[0], rules, rates, capital, False, buffers[0], no_signals
                )
                n_long = counts[N_TRADES]
            if wants_short:
                _, counts = simulate_leg(
                    -1, start_t, market, legs[1], rules, rates, capital, False, buffers[1], no_signals
                )
                n_short = counts[N_TRADES]
        most = max(n_long, n_short)
        if most > len(buffers[0]):
            return r, most
        account = Account(capital, compound, rates, rules.target_fill)
        for j in range(len(sides)):
            long = none if sides[j] == SHORT_SIDE else buffers[0][:n_long]
            short = none if sides[j] == LONG_SIDE else buffers[1][:n_short]
            summarise(long, short, (market.open, market.t0), account, days, scratch, out[r, j])
    return len(numbers), 0


def figures(
    table: tuple[FloatArray, FloatArray],
    market: Market,
    legs: tuple[LegSignals, LegSignals],
    costs: tuple[CostRates, float, bool],
    days: Calendar,
    sides: IntArray,
    capacity: int = 4096,
) -> FloatArray:
    """`run_rules` with buffers that grow as needed: float64[R, S, N_METRICS]. Releases the GIL while it computes."""
    out = np.empty((len(table[0]), len(sides), N_METRICS))
    done = 0
    while True:
        buffers = (np.empty(capacity, TRADE), np.empty(capacity, TRADE))
        done, needed = run_rules(table, market, legs, costs, days, sides, buffers, done, out)
        if done >= len(table[0]):
            return out
        capacity = 2 * needed
