"""What every leg's strategy says at one close, from windows of exactly its lookback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from executor.engine.windows import History
from executor.feed.base import Series
from toolkit.bars.intervals import DAY_MS, INTERVAL_MS, floor_ts, interval_ms, origin_ms
from toolkit.bars.series import Bars
from toolkit.engine.entries import entry_distances
from toolkit.engine.lookback import history_start
from toolkit.engine.rules import Columns, Costs, TradeRules, compile_rules
from toolkit.engine.signals import distance_columns, gate_bits
from toolkit.engine.types import LONG, SHORT, LegSignals, Rules
from toolkit.errors import InputError
from toolkit.models.features import Entries, feature_peers, feature_values, features_start
from toolkit.strategy import Signals, Strategy, named_lookback
from toolkit.types import FloatArray

_NO_BYTES = np.empty(0, np.uint8)
SIDES = {"long": (LONG,), "short": (SHORT,), "both": (LONG, SHORT)}


@dataclass(frozen=True)
class Traded:
    """An instance as the executor runs it, in the version that its deployment carries."""

    instance_id: str
    deployment: str
    strategy: Strategy
    params: Any
    rules: TradeRules
    costs: Costs
    series: Series
    interval: str
    native: tuple[Series, ...] = ()
    peers: tuple[Series, ...] = ()
    numbers: Rules = field(init=False)
    columns: Columns = field(init=False)

    def __post_init__(self) -> None:
        if self.rules.policy == "finer":
            raise InputError(
                f"{self.instance_id} has policy 'finer', which looks inside a bar with bars that the executor does not "
                f"get; test and deploy it with 'pessimistic' or 'adaptive'"
            )
        columns = Columns()
        empty = Bars(self.series.symbol, self.series.exchange, self.series.base, *_no_bars())
        object.__setattr__(self, "numbers", compile_rules(self.rules, empty.to(self.interval), columns))
        object.__setattr__(self, "columns", columns)

    @property
    def sides(self) -> tuple[int, ...]:
        return SIDES[self.rules.side]

    @property
    def signal_ms(self) -> int:
        return interval_ms(self.interval)

    def history_start(self, bar_ms: int) -> int:
        """Open time (epoch ms) of the earliest base bar that decides what it does at the bar opening at `bar_ms`."""
        return history_start(self.strategy, self.params, self.rules, self.interval, bar_ms)

    def bars_needed(self, features: Sequence[str] = ()) -> tuple[int, dict[str, int]]:
        """How many base bars, and how many of each higher interval, its windows hold at most.

        features : what a model sees at its entries.
        """
        # A Monday, the first of days, weeks and months alike, and the last bar before one: the longest reach back.
        week = 7 * DAY_MS
        monday = floor_ts(2_000 * week, week)
        bars = (monday + k for k in (0, week - self.signal_ms))
        # A window that is read anew inside a signal bar must show the one before it as it was.
        starts = ((b, min(self.history_start(b), features_start(features, self.interval, b))) for b in bars)
        reach = max(bar + 2 * self.signal_ms - start for bar, start in starts)
        names = {self.interval, *(n for n in named_lookback(self.strategy.lookback(self.params)) if n in INTERVAL_MS)}
        names |= {spec.partition(":")[0] for spec in features if ":" in spec}
        return -(-reach // self.series.base_ms), {name: reach // interval_ms(name) + 1 for name in names}


def seeing(one: Traded, features: Sequence[str]) -> Traded:
    """The instance with the other symbols in reach that a model's features read."""
    symbols = (symbol for symbol in feature_peers(features) if symbol != one.series.symbol)
    more = [series for symbol in symbols if (series := one.series._replace(symbol=symbol)) not in one.peers]
    return replace(one, peers=(*one.peers, *more)) if more else one


@dataclass
class Said:
    """A leg's newest signal bar: whether it enters or exits, and its distances (float64[k], price units)."""

    enter: bool
    exit: bool
    distances: FloatArray


@dataclass
class AtClose:
    """What an instance says at a close: by side, and its exit conditions' bits."""

    sides: Mapping[int, Said]
    gates: int


class Evaluator:
    """Strategies called at one moment; what instances share (windows, signals of equal parameters) is made once."""

    def __init__(self, histories: Mapping[Series, History]) -> None:
        self._histories = histories
        self._bars: dict[tuple[object, ...], Bars] = {}
        self._signals: dict[tuple[object, ...], Signals] = {}

    def at(self, one: Traded, moment_ms: int) -> AtClose:
        """What the instance says at the close of its bar at `moment_ms`. Raises what its strategy raises."""
        bars = self._closing(one, moment_ms)
        if bars is None:
            return AtClose({side: Said(False, False, np.empty(0)) for side in one.sides}, 0)
        key = (id(one.strategy), one.params, id(bars))
        signals = self._signals.get(key)
        if signals is None:
            signals = self._signals[key] = one.strategy.signals(bars, one.params)
        distances = np.array([column[-1] for column in distance_columns(bars, signals, one.columns)])
        return AtClose({side: _said(signals, side, distances) for side in one.sides}, self.gates(one, moment_ms))

    def gates(self, one: Traded, moment_ms: int) -> int:
        """Its exit conditions' bits at the close of its bar at `moment_ms`; the strategy is not asked."""
        bars = self._closing(one, moment_ms) if one.columns.gates else None
        return 0 if bars is None else int(gate_bits(bars, one.columns)[-1])

    def features(self, one: Traded, side: int, said: "AtClose", moment_ms: int, names: Sequence[str]) -> FloatArray:
        """float64[1, k]: what a model sees at the entry that the instance's strategy says at the close of its bar."""
        bar_ms = moment_ms - one.signal_ms
        bars = self._window(one, features_start(names, one.interval, bar_ms))
        at = np.array([len(bars) - 1])
        base_ms = one.series.base_ms
        distances = np.ascontiguousarray(said.sides[side].distances[:, None])
        entry = LegSignals(
            np.array([moment_ms // base_ms - 1]), np.empty(0, np.int64), distances, _NO_BYTES, _NO_BYTES,
            one.signal_ms // base_ms, origin_ms(one.signal_ms) // base_ms, -1,
        )  # fmt: skip
        stop, target = entry_distances(bars.close[at], entry, one.numbers)
        return feature_values(bars, Entries(at, side, stop, target), names)

    def _closing(self, one: Traded, moment_ms: int) -> Bars | None:
        """What decides its bar that closes at `moment_ms`, None where that bar is not there."""
        bar_ms = moment_ms - one.signal_ms
        bars = self._window(one, one.history_start(bar_ms))
        return bars if len(bars) and int(bars.ts[-1]) == bar_ms else None

    def _window(self, one: Traded, start_ms: int) -> Bars:
        key = (one.series, one.interval, start_ms, one.native, one.peers)
        bars = self._bars.get(key)
        if bars is None:
            native = {s.base: self._histories[s].bars(s.base, 0) for s in one.native}
            peers = {s.symbol: self._histories[s].bars(s.base, start_ms) for s in one.peers}
            bars = self._histories[one.series].bars(one.interval, start_ms, (native, peers))
            self._bars[key] = bars
        return bars


def _said(signals: Signals, side: int, distances: FloatArray) -> Said:
    enter, leave = (
        (signals.enter_long, signals.exit_long) if side == LONG else (signals.enter_short, signals.exit_short)
    )
    return Said(bool(enter[-1]) and not bool(leave[-1]), bool(leave[-1]), distances)


def _no_bars() -> tuple[Any, ...]:
    return (np.zeros(0, np.int64), *(np.zeros(0) for _ in range(5)), np.zeros(0, np.bool_))
