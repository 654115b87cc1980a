"""A year of an account whose models are learned again and again: how much of the time is not learning."""

import tempfile
import time
from pathlib import Path
from typing import Any

import toolkit.models.relearning as relearning
import toolkit.models.training as training
from tests.bench.portfolio_thousand import SYMBOLS, store_year
from toolkit.engine.rules import Costs, TradeRules
from toolkit.models.plan import ModelPlan
from toolkit.models.recipe import Recipe
from toolkit.models.retraining import RetrainPolicy
from toolkit.portfolio.backtest import portfolio_backtest
from toolkit.portfolio.members import Member

MOST_OUTSIDE = 0.20
STRATEGIES = ("volatility_breakout", "reversal_breakout", "support_resistance_breakout")
RECIPE = Recipe("lightgbm", folds=4, min_trades=100)
RETRAIN = RetrainPolicy("30trades", 100, "180d", "10m")


def members(strategies: int) -> list[Member]:
    rules = TradeRules(side="both", stop="2atr(20)", target="3atr(20)", max_hold="1d", signal_timeout="4h")
    costs = Costs(taker_rate=0.0005, maker_rate=0.0002)
    return [
        Member(name, symbol, "15m", {}, rules, costs) for name in STRATEGIES[:strategies] for symbol in SYMBOLS
    ]  # fmt: skip


class _Timed:
    """A function of a module, and the time that is spent in it."""

    def __init__(self, module: Any, name: str) -> None:
        self.secs, self.count, self._function = 0.0, 0, getattr(module, name)
        self._module, self._name = module, name

    def __call__(self, *given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return self._function(*given, **named)
        finally:
            self.secs += time.perf_counter() - began
            self.count += 1

    def __enter__(self) -> "_Timed":
        setattr(self._module, self._name, self)
        return self

    def __exit__(self, *_: object) -> None:
        setattr(self._module, self._name, self._function)


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Three rows: what is neither fitting models nor choosing what their predictions come to, what is not learning (its
    datasets and out-of-fold predictions included), and the whole."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "bars.duckdb"
        which = store_year(db)
        asked = members(1 if quick else len(STRATEGIES))
        end = "2022-03-01" if quick else None
        how: dict[str, Any] = {"db": db, "beside": False, "models": ModelPlan(RECIPE, RETRAIN), "jobs": 1}
        # Kernels are compiled once a version of the sources, not once a run.
        portfolio_backtest(asked, start="2022-01-10", end="2022-01-12", **how)
        with _Timed(training, "fit") as fits, _Timed(relearning, "fit_application") as choices:
            began = time.perf_counter()
            result = portfolio_backtest(asked, start="2022-01-10", end=end, **how)
            assert result.metrics and result.predictions is not None
            seconds = time.perf_counter() - began
    walk = result.models
    assert walk is not None
    made = sum(bool(one.version) for one in walk.trainings)
    what = f"{len(asked)} instances, {made} trainings every 30 trades, {len(result.predictions):,} signals"
    outside = 1 - (fits.secs + choices.secs) / seconds
    return [
        _row(f"{what}: neither fits nor thresholds", outside, which, f"< {MOST_OUTSIDE:.0%}"),
        _row(f"{what}: not learning", 1 - walk.learning_secs / seconds, "", "reported"),
        {
            "what": f"{what}: the whole, one process", "value": f"{seconds:.1f} s, {fits.count:,} fits", "peer": "",
            "ratio": None, "bar": "reported",
        },
    ]  # fmt: skip


def _row(what: str, share: float, peer: str, bar: str) -> dict[str, Any]:
    return {"what": what, "value": f"{share:.1%} of the time", "peer": peer, "ratio": None, "bar": bar}
