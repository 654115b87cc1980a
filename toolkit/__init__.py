"""Lockstep's research toolkit. `import toolkit as tk` gives the verbs of the `toolkit` command as functions.

bars = tk.load_bars("BTC/USDT", "5m", "2022-01-01", "2023-01-01")
result = tk.backtest("volatility_breakout", bars, params={"window": 96}, rules=tk.TradeRules(max_hold="4h"))
result.metrics, result.trades, result.plot(), result.to_vectorbt()
"""

from importlib import import_module
from typing import Any

# Where each public name lives. They are imported when first asked for, so that the executor, which imports the
# engine alone, carries neither polars nor duckdb.
_PUBLIC = {
    "Bars": "toolkit.bars.series",
    "from_arrays": "toolkit.bars.series",
    "load_bars": "toolkit.bars.load",
    "synthetic_bars": "toolkit.bars.synthetic",
    "Signals": "toolkit.strategy",
    "strategy": "toolkit.strategy",
    "load_strategies": "toolkit.strategy",
    "get_strategy": "toolkit.strategy",
    "Costs": "toolkit.engine.rules",
    "ExitRule": "toolkit.engine.rules",
    "TradeRules": "toolkit.engine.rules",
    "backtest": "toolkit.analysis.backtest",
    "backtest_signals": "toolkit.analysis.backtest",
    "BacktestResult": "toolkit.analysis.result",
    "sweep": "toolkit.sweep.run",
    "SweepResult": "toolkit.sweep.result",
    "portfolio_backtest": "toolkit.portfolio.backtest",
    "Limits": "toolkit.portfolio.limits",
    "RebalancePolicy": "toolkit.portfolio.rebalance",
    "SelectionRule": "toolkit.portfolio.selection",
    "make_dataset": "toolkit.models.making",
    "model_eval": "toolkit.models.evaluate_run",
    "model_train": "toolkit.models.train_run",
    "model_experiment": "toolkit.models.experiment",
    "ModelPlan": "toolkit.models.plan",
    "Recipe": "toolkit.models.recipe",
    "RetrainPolicy": "toolkit.models.retraining",
    "Experiment": "toolkit.sweep.experiment",
    "verify": "toolkit.verify",
    "parity": "toolkit.verify.parity",
    "LockstepError": "toolkit.errors",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'toolkit' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    # A verb with a package of its own (`tk.sweep`, `tk.verify`) is that package, which can be called.
    return module if _PUBLIC[name] == f"toolkit.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
