"""A year of an account whose models are learned again and again: how much of the time is not learning."""

import tempfile
import time
from pathlib import Path
from typing import Any

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
    """Time spent in fits alone, the out-of-fold ones included."""

    def __init__(self) -> None:
        self.secs, self.count, self._fit = 0.0, 0, training.fit

    def __call__(self, *given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return self._fit(*given, **named)
        finally:
            self.secs += time.perf_counter() - began
            self.count += 1


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Three rows: what is not learning, what is not fitting in the narrowest sense, and the whole."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "bars.duckdb"
        which = store_year(db)
        asked = members(1 if quick else len(STRATEGIES))
        end = "2022-03-01" if quick else None
        # Kernels are compiled once a version of the sources, not once a run.
        portfolio_backtest(asked, start="2022-01-10", end="2022-01-12", db=db, beside=False, models=_plan(), jobs=1)
        timed = _Timed()
        training.fit = timed  # type: ignore[assignment]
        try:
            began = time.perf_counter()
            result = portfolio_backtest(
                asked, start="2022-01-10", end=end, db=db, beside=False, models=_plan(), jobs=1
            )  # fmt: skip
            assert result.metrics and result.predictions is not None
            seconds = time.perf_counter() - began
        finally:
            training.fit = timed._fit
    walk = result.models
    assert walk is not None
    made = sum(bool(one.version) for one in walk.trainings)
    what = f"{len(asked)} instances, {made} trainings every 30 trades, {len(result.predictions):,} signals"
    return [
        _row(f"{what}: not learning", 1 - walk.learning_secs / seconds, which, f"< {MOST_OUTSIDE:.0%}"),
        _row(f"{what}: not in a backend's fit", 1 - timed.secs / seconds, "", "reported"),
        {
            "what": f"{what}: the whole, one process", "value": f"{seconds:.1f} s, {timed.count} fits", "peer": "",
            "ratio": None, "bar": "reported",
        },
    ]  # fmt: skip


def _plan() -> ModelPlan:
    return ModelPlan(RECIPE, RETRAIN)


def _row(what: str, share: float, peer: str, bar: str) -> dict[str, Any]:
    return {"what": what, "value": f"{share:.1%} of the time", "peer": peer, "ratio": None, "bar": bar}
