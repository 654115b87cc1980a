"""A shadow is the trade that the leg would have made, had this entry alone been accepted."""

from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.cases import COSTS, RULES, bars, random_signals
from toolkit.analysis.backtest import backtest_signals
from toolkit.engine.shadow import shadow_trades
from toolkit.engine.types import ACCEPTED, LONG, REJECTED, VETOED
from toolkit.strategy import Signals
from toolkit.types import Records


def alone(signals: Signals, index: int, side: int) -> Signals:
    """The same exits and distances, and one entry."""
    only = np.zeros(len(signals.enter_long), np.bool_)
    only[index] = True
    none = np.zeros_like(only)
    return signals._replace(
        enter_long=only if side == LONG else none, enter_short=none if side == LONG else only
    )  # fmt: skip


def same(a: Records, b: Records) -> bool:
    return all(np.array_equal(a[name], b[name], equal_nan=True) for name in a.dtype.names or ())


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("timeout", [None, "1h"])
def test_a_shadow_is_the_trade_of_the_entry_alone(name: str, timeout: str | None) -> None:
    series = bars()
    signals = random_signals(len(series), seed=len(name), share=0.03)
    rng = np.random.default_rng(7)
    verdicts = rng.choice(np.array([ACCEPTED, VETOED, REJECTED], np.uint8), len(series))
    rules = replace(RULES[name], signal_timeout=timeout)
    result = backtest_signals(series, signals, rules, COSTS, verdicts=verdicts)
    prepared, records = result.prepared, result.records
    shadows = shadow_trades(
        records.signals, prepared.legs, prepared.market, prepared.rules, prepared.rates, result.notional
    )  # fmt: skip
    refused = np.flatnonzero(records.signals["decision"] != ACCEPTED)
    assert len(refused) > 3
    assert not shadows["qty"][records.signals["decision"] == ACCEPTED].any()
    for k in refused[:: max(1, len(refused) // 20)]:
        signal = records.signals[k]
        index = int(np.searchsorted(series.close_ts, (signal["t"] + 1) * series.base.interval_ms))
        expected = backtest_signals(series, alone(signals, index, int(signal["side"])), rules, COSTS).records.trades
        assert len(expected) == (shadows["qty"][k] > 0)
        if len(expected):
            assert same(expected, shadows[k : k + 1])


def test_shadow_pnl_is_in_the_signals_table_of_refused_signals_only() -> None:
    series = bars()
    signals = random_signals(len(series), seed=3)
    verdicts = np.where(np.arange(len(series)) % 2 == 0, ACCEPTED, VETOED).astype(np.uint8)
    frame = backtest_signals(series, signals, RULES["stop and target"], COSTS, verdicts=verdicts).signals
    followed = frame["shadow_pnl"].is_not_null()
    accepted = frame["decision"] == "accepted"
    assert accepted.any() and not (followed & accepted).any()
    assert (followed & ~accepted).sum() > 0.9 * (~accepted).sum()
