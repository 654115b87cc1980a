"""What a model sees at an entry signal: factors as known at that close, and the signal's own side and distances."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from toolkit.bars.intervals import DAY_MS, interval_ms
from toolkit.bars.series import Bars
from toolkit.engine.entries import entry_distances
from toolkit.engine.lookback import factor_start
from toolkit.engine.types import LegSignals, Rules
from toolkit.errors import InputError
from toolkit.factors.table import FactorSpec, expand_spec, parse_spec, spec_packages
from toolkit.types import FloatArray, IntArray

SIDE, STOP, TARGET = "side", "stop_distance", "target_distance"
OF_SIGNAL = (SIDE, STOP, TARGET)

_WINDOWS = (10, 30, 100)
_OVER_WINDOWS = (
    "range_pct", "efficiency_ratio", "adx", "r_squared", "slope_pct", "realised_volatility", "zscore", "rsi", "roc",
    "volume_ratio", "bars_since_max", "bars_since_min",
)  # fmt: skip
_OF_DAY = ("minutes_since_midnight", "weekday", "day_position", "gap")
_HIGHER = ("natr(14)", "slope_pct(20)", "efficiency_ratio(20)", "rsi(14)", "zscore(20)")
# The market's state: how far it moves and whether it goes somewhere.
_DAILY = ("natr(14)", "realised_volatility(20)", "slope_pct(20)", "efficiency_ratio(20)", "rsi(14)", "range_pct(5)")


class Entries(NamedTuple):
    """Entry signals of one side on one series.

    bar : int64[k], positions in the signal-interval bars. side : LONG or SHORT. stop, target : float64[k], distances in
    price units, NaN = none.
    """

    bar: IntArray
    side: int
    stop: FloatArray
    target: FloatArray


def default_features(intervals: Iterable[str]) -> tuple[str, ...]:
    """Names of a set to begin with, the same columns for strategies on any of `intervals`: ratios alone, so that rows
    of different symbols and years compare; own interval, the next higher ones, the day, and the signal itself.

    Intervals above 4h have no higher ones but days; above a day no days either.
    """
    longest = max((interval_ms(name) for name in intervals), default=0)
    if not longest:
        raise InputError("features need at least one interval, were asked for none")
    names = [f"{name}({window})" for name in _OVER_WINDOWS for window in _WINDOWS]
    names += [f"{higher}:{name}" for higher in ("1h", "4h") if interval_ms(higher) > longest for name in _HIGHER]
    if longest < DAY_MS:
        names += [*_OF_DAY, *(f"1d:{name}" for name in _DAILY)]
    return (*names, *OF_SIGNAL)


def check_features(names: Sequence[str], intervals: Iterable[str]) -> tuple[str, ...]:
    """Names as their columns are called, a set's word replaced by all of its own; `InputError` for none, one twice, or
    one that an interval does not have.
    """
    texts = tuple(text for name in names for text in _texts(name.strip()))
    if not texts:
        raise InputError("a model needs at least one feature, was given none")
    twice = next((name for k, name in enumerate(texts) if name in texts[:k]), None)
    if twice is not None:
        raise InputError(f"feature {twice!r} is named twice; leave the second one out")
    for spec in _specs(texts):
        for interval in intervals:
            if spec.interval is not None and interval_ms(spec.interval) < interval_ms(interval):
                raise InputError(
                    f"feature {spec.text!r} is of a shorter interval than {interval}, on which entries are decided; "
                    f"name the interval's own or a longer one"
                )
            spec.warmup_ms(interval)
    return texts


def features_start(names: Iterable[str], interval: str, bar_ms: int) -> int:
    """Epoch ms from which history decides the features of the bar of `interval` that opens at `bar_ms`."""
    return min([bar_ms, *(factor_start(spec.text, interval, bar_ms) for spec in _specs(names))])


def feature_peers(names: Iterable[str]) -> tuple[str, ...]:
    """Other symbols whose bars features read (`correlation(60, ETH/USDT)`), each once, in their one spelling."""
    return tuple(dict.fromkeys(peer for spec in _specs(names) for peer in _peers(spec)))


def feature_packages(names: Iterable[str]) -> tuple[str, ...]:
    """Packages whose versions decide the features' values, each once."""
    found = (package for name in names if name not in OF_SIGNAL for package in spec_packages(name))
    return tuple(dict.fromkeys(found))


def feature_values(bars: Bars, entries: Entries, names: Sequence[str]) -> FloatArray:
    """float64[k, len(names)]: features as known when each entry is decided, NaN where history is too short.

    Distances are fractions of the close, the side is 1 (long) or -1. What names another symbol is missing for that
    symbol's own entries: strategies on several symbols share their columns.
    """
    out = np.empty((len(entries.bar), len(names)))
    close = bars.close[entries.bar]
    for column, name in enumerate(names):
        if name == SIDE:
            out[:, column] = entries.side
        elif name in (STOP, TARGET):
            out[:, column] = (entries.stop if name == STOP else entries.target) / close
        else:
            spec = parse_spec(name)
            out[:, column] = np.nan if bars.symbol in _peers(spec) else spec.values_at(bars, entries.bar)
    return out


def entries_of(bars: Bars, signals: LegSignals, rules: Rules, side: int) -> Entries:
    """Every raw entry of a leg, with the distances that its rules make of it."""
    moments = (signals.entry_t + 1) * bars.base.interval_ms
    bar = np.searchsorted(bars.close_ts, moments).astype(np.int64)
    stop, target = entry_distances(bars.close[bar], signals, rules)
    return Entries(bar, side, stop, target)


def _texts(name: str) -> list[str]:
    return [name] if name in OF_SIGNAL else [spec.text for spec in expand_spec(name)]


def _specs(names: Iterable[str]) -> list[FactorSpec]:
    return [spec for name in names if name not in OF_SIGNAL for spec in expand_spec(name)]


def _peers(spec: FactorSpec) -> tuple[str, ...]:
    return tuple(str(value) for name, value in spec.named_params() if name == "symbol")
