"""The planted cheats are proper strategies in all but their cheat: they load, run and trade on both sides."""

import numpy as np
import pytest
from numpy.random import default_rng

from toolkit.bars.intervals import DAY_MS, MINUTE_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.strategy import load_strategies

CHEATING: dict[str, dict[str, bool | float]] = {
    "cheat_behind_a_switch": {"peek": True},
    "cheat_centred_window": {},
    "cheat_daily_open_join": {},
    "cheat_stop_peeks": {},
    "cheat_target_peeks": {"target_r": 2.0},
    "cheat_understated_lookback": {},
}


@pytest.fixture(scope="module")
def bars() -> Bars:
    rng = default_rng(7)
    n = 3 * 1440
    close = 100 * np.exp(np.cumsum(rng.normal(0, 5e-4, n)))
    open_ = np.concatenate(([100.0], close[:-1]))
    spread = 1 + rng.uniform(0, 5e-4, n)
    high, low = np.maximum(open_, close) * spread, np.minimum(open_, close) / spread
    ts = 19_000 * DAY_MS + MINUTE_MS * np.arange(n, dtype=np.int64)
    return from_arrays(ts, open_, high, low, close, rng.uniform(1, 2, n), interval="1m")


@pytest.mark.parametrize("name", CHEATING)
def test_a_cheat_loads_and_trades_on_both_sides_of_every_interval(name: str, bars: Bars) -> None:
    cheat = load_strategies(["tests.verify.cheats"])[name]
    for interval in cheat.intervals:
        signals = cheat.signals(bars.to(interval), cheat.params())
        assert signals.enter_long.any()
        assert signals.enter_short.any()


@pytest.mark.parametrize("name", CHEATING)
def test_a_cheat_reads_bars_it_must_not(name: str, bars: Bars) -> None:
    """Cut to the declared lookback of some bar, each cheat says something else there than on the whole history."""
    cheat = load_strategies(["tests.verify.cheats"])[name]
    p = cheat.params(CHEATING[name])
    whole = cheat.signals(bars, p)

    def differs(t: int) -> bool:
        window = bars.window(cheat.lookback_start(bars, t, p), int(bars.close_ts[t]))
        cut = cheat.signals(window, p)
        return any(not np.array_equal(a[-1], b[t], equal_nan=True) for a, b in zip(cut, whole, strict=True))

    assert any(differs(t) for t in range(2 * 1440, 2 * 1440 + 200))
