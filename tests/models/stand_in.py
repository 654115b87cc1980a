"""A small way of learning for tests of what surrounds it, and members to learn from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars
from toolkit.bars.synthetic import synthetic_bars
from toolkit.engine.rules import Costs, TradeRules
from toolkit.engine.types import Judged
from toolkit.errors import InputError
from toolkit.models.applying import Application
from toolkit.models.features import entries_of, feature_values
from toolkit.models.judging import resimulate
from toolkit.models.panel import Panel
from toolkit.models.paths import outcomes, until
from toolkit.models.plan import ModelPlan
from toolkit.models.trained import Trained
from toolkit.models.walking import Known, Learn
from toolkit.portfolio.loading import LoadedMember
from toolkit.portfolio.members import Member
from toolkit.types import FloatArray

FEATURES = ("natr(14)", "rsi(10)", "zscore(20)", "side", "stop_distance")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
DAYS_STORED = 22
COSTS = Costs(taker_rate=0.0002)


def members() -> list[Member]:
    """Two strategies on two symbols, one of them with a timeout so that a veto blocks, one with a shared period."""
    found = []
    for symbol in SYMBOLS:
        rules = TradeRules(side="both", stop=0.004, target=0.006, max_hold="2h")
        found.append(Member("volatility_breakout", symbol, "5m", {"window": 12}, rules, COSTS))
        rules = TradeRules(side="both", stop="1atr(10)", target="2R", signal_timeout="1h", one_entry_per="4h")
        found.append(Member("reversal_breakout", symbol, "15m", {}, rules, COSTS))
    return found


def minutes(days: int, seed: int = 5) -> Mapping[str, Bars]:
    return synthetic_bars(SYMBOLS, days=days, seed=seed)


def first_ms(bars: Mapping[str, Bars], day: int = 0) -> int:
    return int(bars["BTC/USDT"].ts[0]) + day * DAY_MS


@dataclass(frozen=True)
class Plain:
    """No cleaning but of what is missing."""

    def clean(self, x: FloatArray) -> FloatArray:
        return np.nan_to_num(x)


@dataclass(frozen=True, eq=False)
class Direction:
    """A probability from the distance along one direction."""

    centre: FloatArray
    direction: FloatArray

    def predict(self, x: FloatArray) -> FloatArray:
        steps = np.zeros(len(x))
        # Column by column, so that a row is the same alone and among others.
        for k in range(len(self.centre)):
            steps += (x[:, k] - self.centre[k]) * self.direction[k]
        return np.asarray(1.0 / (1.0 + np.exp(-steps)))

    def save(self, folder: Path) -> None:
        np.savez(folder / "direction.npz", centre=self.centre, direction=self.direction)

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "direction"}


@dataclass(frozen=True)
class DirectionLearner:
    """Learns the direction from losers to winners; every number of every known row moves it."""

    threshold: float = 0.5

    features: tuple[str, ...] = FEATURES

    def __call__(
        self, loaded: Sequence[LoadedMember], judged: Mapping[str, Mapping[int, Judged]], known: Known, panel: Panel
    ) -> Trained:
        x, won = known_rows(loaded, judged, known)
        if won.all() or not won.any():
            raise InputError(f"{len(won)} rows are all of one class; wait for more trades")
        scale = x.std(axis=0) + 1e-12
        direction = (x[won].mean(axis=0) - x[~won].mean(axis=0)) / scale**2
        return Trained(
            FEATURES, np.arange(len(FEATURES)), Plain(), Direction(x.mean(axis=0), direction),
            Application("veto", threshold=self.threshold),
            {"backend": "direction", "rows": len(won), "window": {"until_ms": known.until_ms}},
        )  # fmt: skip


@dataclass(frozen=True)
class Strict(DirectionLearner):
    """Refuses everything that it has learned to judge."""

    threshold: float = 2.0


def known_rows(
    loaded: Sequence[LoadedMember], judged: Mapping[str, Mapping[int, Judged]], known: Known
) -> tuple[FloatArray, Any]:
    """Features and whether it won, of every signal on the path that was decided and known inside the window."""
    parts, wins = [], []
    for one in loaded:
        whole = outcomes(one, resimulate(until(one, known.until_ms), judged[one.instance.id]))
        for side, leg in one.prepared.legs.items():
            moment = (whole.signals["t"] + 1) * one.bars.base.interval_ms
            rows = (whole.signals["side"] == side) & (whole.known <= known.until_ms) & (moment >= known.from_ms)
            entries = entries_of(one.bars, leg, one.prepared.rules, side)
            x = np.nan_to_num(feature_values(one.bars, entries, FEATURES))
            trades = whole.trades[rows]
            parts.append(x[np.searchsorted(leg.entry_t, whole.signals["t"][rows])])
            wins.append(side * (trades["exit_price"] - trades["entry_price"]) > 0)
    return np.concatenate(parts), np.concatenate(wins)


@dataclass(frozen=True)
class StandInPlan(ModelPlan):
    """A plan that learns directions."""

    recipe: Any = None
    learn: Learn = field(default_factory=DirectionLearner)

    @property
    def ranks(self) -> bool:
        return False

    def features(self, intervals: Iterable[str]) -> tuple[str, ...]:
        return FEATURES

    def learner(self, intervals: Iterable[str], jobs: int) -> Learn:
        return self.learn

    def table(self) -> dict[str, Any]:
        return {"recipe": "direction"}
