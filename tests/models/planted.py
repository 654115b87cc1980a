"""A market in which a factor truly tells which entries work: what the proof must find, and measure."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from toolkit.bars.intervals import DAY_MS, HOUR_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.engine.rules import Costs, TradeRules
from toolkit.models.dataset import Dataset
from toolkit.models.making import make_dataset
from toolkit.models.recipe import Recipe
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member
from toolkit.strategy import Signals, strategy
from toolkit.types import BoolArray

FIRST_DAY = 19_000
FIRST_MS = FIRST_DAY * DAY_MS
HOURS_A_REGIME = 60
HOLD_HOURS = 2
SIGMA, DRIFT = 0.006, 0.0006
SYMBOLS = ("AAA/USDT", "BBB/USDT", "CCC/USDT")
# The first tells the regime, the others nothing.
FEATURES = ("volume_ratio(10)", "rsi(10)", "zscore(30)", "minutes_since_midnight", "side", "stop_distance")
RULES = TradeRules(side="long", max_hold=f"{HOLD_HOURS}h")
COSTS = Costs(taker_rate=0.0, maker_rate=0.0, slippage_bps=0.0)


class Params(NamedTuple):
    every: int = 3  # hours from one entry to the next that is possible


@strategy(intervals=("1h",), lookback=lambda p: 1)
def planted_regime(bars: Bars, p: Params) -> Signals:
    """Buys every few hours whatever happens: right in one regime, wrong in the other."""
    enter = (bars.ts // HOUR_MS) % p.every == 0
    never, nothing = np.zeros(len(bars), np.bool_), np.full(len(bars), np.nan)
    return Signals(enter, never, never, never, 0.03 * bars.close, nothing)


def regimes(days: int, seed: int) -> BoolArray:
    """bool[hours]: whether entries work; stretches of random length."""
    rng = np.random.default_rng([seed, 1])
    good, out = bool(rng.integers(2)), list[bool]()
    while len(out) < 24 * days:
        out += [good] * int(rng.integers(HOURS_A_REGIME // 2, 2 * HOURS_A_REGIME))
        good = not good
    return np.array(out[: 24 * days], np.bool_)


def planted_bars(symbol: str, days: int, seed: int, drift: float = DRIFT) -> Bars:
    """Hourly bars that drift up in one regime and down in the other; the volume of every third hour, at whose close
    entries are decided, tells which one it is."""
    rng = np.random.default_rng([seed, 0])
    good = regimes(days, seed)
    n = len(good)
    close = 100.0 * np.exp(np.cumsum(np.where(good, drift, -drift) + SIGMA * rng.standard_normal(n)))
    opened = np.concatenate([[100.0], close[:-1]])
    wick = np.exp(np.abs(SIGMA / 4 * rng.standard_normal((2, n))))
    hour = np.arange(n) + FIRST_DAY * 24
    volume = 1_000.0 * np.exp(0.1 * rng.standard_normal(n)) * np.where(hour % 3 == 0, np.where(good, 2.0, 0.5), 1.0)
    return from_arrays(
        FIRST_MS + HOUR_MS * np.arange(n, dtype=np.int64), opened, np.maximum(opened, close) * wick[0],
        np.minimum(opened, close) / wick[1], close, volume, interval="1h", symbol=symbol,
    )  # fmt: skip


def planted_members(days: int, seed: int = 5, symbols: int = 2, drift: float = DRIFT) -> list[LoadedMember]:
    """One strategy on some symbols, each with regimes of its own; a drift of 0 plants nothing."""
    bars = {name: planted_bars(name, days, seed + k, drift) for k, name in enumerate(SYMBOLS[:symbols])}
    members = [Member("planted_regime", name, "1h", {}, RULES, COSTS) for name in bars]
    return load_members(members, bars=bars, start=FIRST_MS + 3 * DAY_MS, jobs=1)


def span(days: int) -> tuple[int, int]:
    """The traded period of `planted_members`."""
    return FIRST_MS + 3 * DAY_MS, FIRST_MS + days * DAY_MS


def recipe(**changed: Any) -> Recipe:
    """Logistic regression on the planted features, quick to learn."""
    return replace(Recipe(backend="logistic", features=FEATURES, folds=3, embargo="8h", min_trades=40), **changed)


def dataset(loaded: list[LoadedMember], features: tuple[str, ...] = FEATURES) -> Dataset:
    """Every signal of the members with a known outcome, a win being a 1."""
    return make_dataset(loaded, features, jobs=1)
