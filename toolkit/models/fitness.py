"""What a model is good for, by name: figures of a re-simulated path, or of the predictions on it. Higher is better.

Sharpe and Sortino are those of `analysis.metrics.METRICS`, on daily profits at a fixed notional; a day without a trade
is a day with a return of 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.errors import UnknownNameError
from toolkit.types import FloatArray

DAYS_PER_YEAR = 365
_SURE = 1e-15


@dataclass(frozen=True)
class Fitness:
    """`text` says what it is; `of_predictions`: it judges probabilities against outcomes, not the money made."""

    text: str
    of_predictions: bool = False


FITNESS: Mapping[str, Fitness] = {
    "sortino": Fitness("mean daily return over the root mean square of the negative ones, times sqrt(365)"),
    "sharpe": Fitness("mean daily return over its standard deviation, times sqrt(365)"),
    "expectancy": Fitness("mean profit of a closed trade, in units of a full trade's notional"),
    "profit_factor": Fitness("sum of wins over sum of losses"),
    "log_loss": Fitness("mean log likelihood of the outcomes (minus the log loss)", of_predictions=True),
    "auc": Fitness("how likely a win was given a higher probability than a loss", of_predictions=True),
}
"""Every fitness by name; each is of the path that the members make with the model in the loop."""

OF_MONEY = tuple(name for name, one in FITNESS.items() if not one.of_predictions)


@dataclass(frozen=True, eq=False)
class Scored:
    """What a fitness reads.

    Attributes
    ----------
    daily : float64[n_days], profits. returns : float64[n_trades], profit of each closed trade over a full notional.
    predictions, outcomes : float64[n_signals], of the path's signals with a prediction and a known label (1 or 0).
    """

    daily: FloatArray
    returns: FloatArray
    predictions: FloatArray
    outcomes: FloatArray


def fitness(name: str, scored: Scored) -> float:
    """The figure `name`, NaN where it is not defined (no trades, no losses, one class); `UnknownNameError`."""
    if name not in FITNESS:
        raise UnknownNameError("fitness", name, FITNESS)
    if name in ("sharpe", "sortino"):
        return float(DAILY[name](scored.daily))
    if name == "expectancy":
        return float(scored.returns.mean()) if len(scored.returns) else float("nan")
    if name == "profit_factor":
        lost = -float(scored.returns[scored.returns <= 0.0].sum())
        return float(scored.returns[scored.returns > 0.0].sum()) / lost if lost > 0.0 else float("nan")
    p, y = scored.predictions, scored.outcomes
    return log_likelihood(p, y) if name == "log_loss" else auc(p, y)


def sharpe(daily: FloatArray) -> FloatArray:
    """float64[...], of daily profits float64[..., n_days]; NaN where they do not vary."""
    if daily.shape[-1] < 2:
        return np.full(daily.shape[:-1], np.nan)
    mean, deviation = daily.mean(axis=-1), daily.std(axis=-1, ddof=1)
    return _ratio(mean, deviation)


def sortino(daily: FloatArray) -> FloatArray:
    """float64[...], of daily profits float64[..., n_days]; NaN where no day has a loss."""
    if not daily.shape[-1]:
        return np.full(daily.shape[:-1], np.nan)
    downside = np.sqrt((np.minimum(daily, 0.0) ** 2).mean(axis=-1))
    return _ratio(daily.mean(axis=-1), downside)


DAILY = {"sharpe": sharpe, "sortino": sortino}


def _ratio(mean: FloatArray, risk: FloatArray) -> FloatArray:
    some = risk > 0.0
    ratio: FloatArray = np.where(some, mean / np.where(some, risk, 1.0), np.nan) * np.sqrt(DAYS_PER_YEAR)
    return ratio


def log_likelihood(p: FloatArray, y: FloatArray) -> float:
    """Mean log likelihood of `y` (0 or 1) under probabilities `p`, NaN without any."""
    if not len(p):
        return float("nan")
    sure = np.clip(p, _SURE, 1.0 - _SURE)
    return float(np.mean(np.where(y > 0.5, np.log(sure), np.log(1.0 - sure))))


def auc(p: FloatArray, y: FloatArray) -> float:
    """Area under the ROC curve, ties counted half; NaN where only one class is there."""
    lost, won = np.sort(p[y <= 0.5]), p[y > 0.5]
    if not len(lost) or not len(won):
        return float("nan")
    below = np.searchsorted(lost, won, side="left") + np.searchsorted(lost, won, side="right")
    return float(below.mean() / (2 * len(lost)))
