"""A market in which a factor truly tells which entries work: what the proof must find, and measure."""

from typing import NamedTuple

import numpy as np

from toolkit.bars.intervals import DAY_MS, HOUR_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.engine.rules import Costs, TradeRules
from toolkit.engine.types import ACCEPTED
from toolkit.models.dataset import ROW, Dataset
from toolkit.models.features import check_features, entries_of, feature_values
from toolkit.models.judging import resimulate
from toolkit.models.outcome import profits
from toolkit.models.paths import NEVER, begun, outcomes
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member
from toolkit.strategy import Signals, strategy

FIRST_DAY = 19_000
FIRST_MS = FIRST_DAY * DAY_MS
HOURS_A_REGIME = 60
HOLD_HOURS = 4
SIGMA, DRIFT = 0.006, 0.0004
SYMBOLS = ("AAA/USDT", "BBB/USDT", "CCC/USDT")
# The first tells the regime, the others nothing.
FEATURES = ("volume_ratio(10)", "rsi(10)", "zscore(30)", "minutes_since_midnight", "side", "stop_distance")
COSTS = Costs(taker_rate=0.0, maker_rate=0.0, slippage_bps=0.0)


class Params(NamedTuple):
    every: int = 3  # hours from one entry to the next that is possible


@strategy(intervals=("1h",), lookback=lambda p: 1)
def planted_regime(bars: Bars, p: Params) -> Signals:
    """Buys every few hours whatever happens: right in one regime, wrong in the other."""
    enter = (bars.ts // HOUR_MS) % p.every == 0
    never, nothing = np.zeros(len(bars), np.bool_), np.full(len(bars), np.nan)
    return Signals(enter, never, never, never, 0.03 * bars.close, nothing)


def regimes(days: int, seed: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """bool[hours]: whether entries work; stretches of random length."""
    rng = np.random.default_rng([seed, 1])
    good, out = bool(rng.integers(2)), []
    while len(out) < 24 * days:
        out += [good] * int(rng.integers(HOURS_A_REGIME // 2, 2 * HOURS_A_REGIME))
        good = not good
    return np.array(out[: 24 * days], np.bool_)


def planted_bars(symbol: str, days: int, seed: int, drift: float = DRIFT) -> Bars:
    """Hourly bars that drift up in one regime and down in the other; in the good one volume grows from hour to hour
    of the day's thirds, so that `volume_ratio` is high at its end, in the bad one it falls."""
    rng = np.random.default_rng([seed, 0])
    good = regimes(days, seed)
    n = len(good)
    close = 100.0 * np.exp(np.cumsum(np.where(good, drift, -drift) + SIGMA * rng.standard_normal(n)))
    opened = np.concatenate([[100.0], close[:-1]])
    wick = np.exp(np.abs(SIGMA / 4 * rng.standard_normal((2, n))))
    # Entries are decided at the close of every third hour: there volume is high or low by regime.
    hour = np.arange(n) + FIRST_DAY * 24
    volume = 1_000.0 * np.exp(0.1 * rng.standard_normal(n)) * np.where(hour % 3 == 0, np.where(good, 2.0, 0.5), 1.0)
    return from_arrays(
        FIRST_MS + HOUR_MS * np.arange(n, dtype=np.int64), opened, np.maximum(opened, close) * wick[0],
        np.minimum(opened, close) / wick[1], close, volume, interval="1h", symbol=symbol,
    )  # fmt: skip


def planted_members(days: int, seed: int = 5, symbols: int = 2, drift: float = DRIFT) -> list[LoadedMember]:
    """One strategy on some symbols, each with regimes of its own; a drift of 0 plants nothing."""
    bars = {name: planted_bars(name, days, seed + k, drift) for k, name in enumerate(SYMBOLS[:symbols])}
    rules = TradeRules(side="long", max_hold=f"{HOLD_HOURS}h")
    members = [Member("planted_regime", name, "1h", {}, rules, COSTS) for name in bars]
    return load_members(members, bars=bars, start=FIRST_MS + 3 * DAY_MS, jobs=1)


def span(days: int) -> tuple[int, int]:
    """The traded period of `planted_members`."""
    return FIRST_MS + 3 * DAY_MS, FIRST_MS + days * DAY_MS


def planted_dataset(loaded: list[LoadedMember], features: tuple[str, ...] = FEATURES) -> Dataset:
    """Every signal of the members' own paths with a known outcome, a win being a 1; made the slow and plain way."""
    names = check_features(features, {one.instance.interval for one in loaded})
    rows, x = [], []
    for number, one in enumerate(loaded):
        found = outcomes(one, resimulate(begun(one, 0), None))
        base_ms = one.bars.base.interval_ms
        made = np.zeros(len(found.signals), ROW)
        made["member"] = number
        for name in ("t", "side", "decision"):
            made[name] = found.signals[name]
        made["ts"] = (found.signals["t"] + 1) * base_ms
        made["known"] = found.known
        made["exit_reason"] = found.trades["exit_reason"]
        entered = np.where(found.trades["qty"] > 0, found.trades["qty"] * found.trades["entry_price"], 1.0)
        made["ret"] = profits(found.trades) / entered
        kept = (found.known != NEVER) & (made["decision"] == ACCEPTED)
        entries = entries_of(one.bars, one.prepared.legs[1], one.prepared.rules, 1)
        at = np.searchsorted(one.prepared.legs[1].entry_t, made["t"][kept])
        rows.append(made[kept])
        x.append(feature_values(one.bars, entries, names)[at])
    table, values = np.concatenate(rows), np.concatenate(x)
    order = np.lexsort((table["side"], table["member"], table["ts"]))
    table, values = table[order], values[order]
    ids = tuple(one.instance.id for one in loaded)
    strategies = tuple(one.instance.strategy for one in loaded)
    y = (table["ret"] > 0.0).astype(np.float64)
    return Dataset(names, values, table, ids, strategies, "win", y, np.ones(len(y)), {})
