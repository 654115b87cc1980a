"""Hop equals step, and what the lifecycle promises of every run, on random instances."""

import numpy as np
import pytest

from toolkit.bars.series import Bars, from_arrays
from toolkit.engine.rules import Costs, TradeRules
from toolkit.engine.run import EngineRun, prepare, run
from toolkit.engine.types import ACCEPTED, EXIT_ORDER, NO_SIGNAL
from toolkit.strategy import Signals
from toolkit.verify.bits import differing
from toolkit.verify.hop import first_difference, simulate, verify_hop
from toolkit.verify.random_cases import Case, random_case

pytestmark = pytest.mark.xdist_group("engine")


def test_hop_equals_step_on_every_bar_and_every_corner_is_reached() -> None:
    report = verify_hop(cases=1200, seed=3)
    assert report.differences == []
    assert report.missing == []
    assert report.steps < report.bars / 5


def test_a_difference_is_named() -> None:
    hopped, stepped = simulate(random_case(5))
    assert first_difference(hopped, stepped) == ""
    worse = stepped.trades.copy()
    worse["exit_price"][1] = np.nextafter(worse["exit_price"][1], 0)
    said = first_difference(EngineRun(worse, stepped.signals, stepped.states, 0), stepped)
    assert "trades row 1, exit_price" in said
    assert "signals" in first_difference(EngineRun(stepped.trades, stepped.signals[:-1], {}, 0), stepped)


def _cut(case: Case, n: int, altered: bool) -> EngineRun:
    """The case with base bars and signals after base bar `n` dropped, or turned into something else."""
    base, step = case.bars.base, case.bars.base.interval_ms
    known = case.bars.close_ts <= base.ts[n - 1] + step

    def bars(b: Bars) -> Bars:
        keep = b.ts + b.interval_ms <= base.ts[n - 1] + step
        scale = np.where(keep, 1.0, 0.5)
        columns = [b.open * scale, b.high * scale, b.low * scale, b.close * scale, np.where(keep, b.volume, 3.0)]
        filled = b.filled & keep
        return Bars(b.symbol, b.exchange, b.interval, b.ts.copy(), *columns, filled)

    def array(values: np.ndarray) -> np.ndarray:
        return np.where(known, values, ~values if values.dtype == np.bool_ else values * 3)

    if not altered:
        return simulate(case)[0]
    signals = Signals(*(array(a) for a in case.signals))
    verdicts = {s: np.where(known, v, 4 - v).astype(np.uint8) for s, v in case.verdicts.items()}
    finer = None if case.finer is None else bars(case.finer)
    prepared = prepare(
        bars(base).to(case.bars.interval), signals, case.rules, case.costs, verdicts=verdicts, finer=finer,
        start_ms=case.start_ms,
    )  # fmt: skip
    return run(prepared, 1000.0)


@pytest.mark.parametrize("chunk", range(2))
def test_changing_the_future_changes_nothing_earlier(chunk: int) -> None:
    compared = 0
    for seed in range(chunk * 100, chunk * 100 + 100):
        case = random_case(10_000 + seed)
        n = len(case.bars.base) // 2
        last_t = int(case.bars.base.ts[0]) // case.bars.base.interval_ms + n - 1
        whole, altered = _cut(case, n, False), _cut(case, n, True)
        for name, until in (("trades", "exit_t"), ("signals", "t")):
            a, b = getattr(whole, name), getattr(altered, name)
            a, b = a[a[until] <= last_t], b[b[until] <= last_t]
            assert len(a) == len(b), str(case)
            # When and why a signal ends may lie in the future.
            for column in set(a.dtype.names) - ({"end", "closed_t", "ignored"} if name == "signals" else set()):
                assert not differing(a[column], b[column]).any(), f"{case}: {column}"
            compared += len(a)
    assert compared > 500


def test_no_trade_is_without_the_stop_that_was_asked_for_and_no_stop_without_a_trade() -> None:
    trades_seen = 0
    for seed in range(20_000, 20_300):
        case = random_case(seed)
        for result in simulate(case):
            asked = case.rules.trail is not None or case.rules.stop not in (None, "signal", "1.5signal")
            if asked:
                assert np.isfinite(result.trades["stop_price"]).all(), str(case)
            trades_seen += len(result.trades)
            stopped = result.trades[np.isin(result.trades["exit_reason"], (1, 6))]
            assert np.isfinite(stopped["stop_price"]).all(), str(case)
            assert np.isfinite(result.trades["target_price"][result.trades["exit_reason"] == 2]).all(), str(case)
            for state in result.states.values():
                assert not (state.order.kind == EXIT_ORDER and not state.trade.active), str(case)
                assert not (state.trade.active and state.signal.status != ACCEPTED), str(case)
                assert state.signal.status != NO_SIGNAL or state.order.kind == 0, str(case)
    assert trades_seen > 1000


def test_a_leg_has_one_trade_at_a_time_and_never_fills_before_its_signal() -> None:
    for seed in range(30_000, 30_100):
        case = random_case(seed)
        trades = simulate(case)[0].trades
        assert (trades["entry_t"] > trades["signal_t"]).all()
        assert (trades["exit_t"] >= trades["entry_t"]).all()
        for side in (1, -1):
            own = trades[trades["side"] == side]
            assert (own["entry_t"][1:] > own["exit_t"][:-1]).all()
            # Signalled at the close of the bar of the exit at the earliest.
            assert (own["signal_t"][1:] >= own["exit_t"][:-1]).all()


def test_no_bars_and_no_signals_give_nothing() -> None:
    empty = np.empty(0)
    none = np.empty(0, np.bool_)
    bars = from_arrays(np.empty(0, np.int64), empty, empty, empty, empty, empty, interval="1m")
    result = run(prepare(bars, Signals(none, none, none, none, empty, empty), TradeRules(), Costs()), 1.0)
    assert len(result.trades) == 0
    assert len(result.signals) == 0
