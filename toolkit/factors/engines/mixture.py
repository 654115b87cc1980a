"""States of the market as the components of a Gaussian mixture over volatility and return.

A bar is seen as two numbers: the logarithm of the volatility of its last `span` returns, and its return over `span`
bars in units of the fitted window's. The mixture (scikit-learn's EM) is fitted on the absolute schedule of `anchors`;
it starts from equal parts of the window by volatility, so there is nothing random in it. What is said of a bar is the
posterior of that bar's two numbers alone.
"""

from functools import partial
from math import pi
from typing import NamedTuple

import numpy as np

from toolkit.bars.series import Bars
from toolkit.compiled import kernel
from toolkit.factors.engines.anchors import anchored, anchored_lookback
from toolkit.factors.engines.libraries import Fits
from toolkit.factors.registry import Param, factor
from toolkit.types import FloatArray, IntArray

STATES = Param("states", 3, minimum=2, maximum=6)
# Beyond it BLAS would share one fit among threads.
WINDOW = Param("window", 1000, minimum=50, maximum=10_000)
REFIT = Param("refit", 250, maximum=10_000)
SPAN = Param("span", 20, minimum=2)
# A window without movement has volatility 0; its logarithm ends at this part of the fitted window's mean.
_LEAST_VOLATILITY = 1e-3


class _Mixture(NamedTuple):
    """Components ascending by volatility. weight: float64[s] logarithms; mean: [s, 2]; half: [s, 2, 2], the Cholesky
    factors of the precisions, of numbers in the scale of the fit (`mean_volatility`, `return_scale`)."""

    mean_volatility: float
    return_scale: float
    weight: FloatArray
    mean: FloatArray
    half: FloatArray


@kernel
def seen(volatility: FloatArray, change: FloatArray, mean_volatility: float, return_scale: float) -> FloatArray:
    """float64[n, 2]: a bar's two numbers in the scale of a fit."""
    out = np.empty((len(volatility), 2))
    for i in range(len(volatility)):
        out[i, 0] = np.log(max(volatility[i] / mean_volatility, _LEAST_VOLATILITY))
        out[i, 1] = np.log1p(change[i]) / return_scale
    return out


@kernel
def posteriors(x: FloatArray, weight: FloatArray, mean: FloatArray, half: FloatArray) -> FloatArray:
    """float64[n, s]: probability of each component given each row alone. Twin: `GaussianMixture.predict_proba`."""
    n, states = len(x), len(weight)
    out = np.empty((n, states))
    for i in range(n):
        top = -np.inf
        for s in range(states):
            a, b = x[i, 0] - mean[s, 0], x[i, 1] - mean[s, 1]
            u = a * half[s, 0, 0] + b * half[s, 1, 0]
            v = a * half[s, 0, 1] + b * half[s, 1, 1]
            size = np.log(half[s, 0, 0]) + np.log(half[s, 1, 1])
            out[i, s] = weight[s] + size - 0.5 * (u * u + v * v) - np.log(2.0 * pi)
            top = max(top, out[i, s])
        total = 0.0
        for s in range(states):
            out[i, s] = np.exp(out[i, s] - top)
            total += out[i, s]
        for s in range(states):
            out[i, s] /= total
    return out


FITS = Fits["_Mixture | None"]("market_state_mixture", "sklearn.mixture")


def _fit(states: int, window: FloatArray) -> _Mixture | None:
    """The mixture of a window, float64[2, n] of volatility and change; None where nothing moves or EM fails."""
    from sklearn.mixture import GaussianMixture

    volatility, change = window
    mean_volatility = float(volatility.mean())
    return_scale = float(np.sqrt(np.mean(np.log1p(change) ** 2)))
    if not (mean_volatility > 0.0 and return_scale > 0.0):
        return None
    x = seen(volatility, change, mean_volatility, return_scale)
    # Equal parts by volatility, earlier bars first among equals.
    parts = np.array_split(np.argsort(x[:, 0], kind="stable"), states)
    means = np.array([x[part].mean(axis=0) for part in parts])
    spread = np.array([x[part].var(axis=0) + 1e-2 for part in parts])
    model = GaussianMixture(
        states, tol=1e-4, max_iter=200, reg_covar=1e-4, weights_init=np.full(states, 1.0 / states), means_init=means,
        precisions_init=np.array([np.diag(1.0 / one) for one in spread]),
    )  # fmt: skip
    try:
        model.fit(x)
    except ValueError:
        # A component on a single point has no covariance.
        return None
    order = np.argsort(model.means_[:, 0], kind="stable")
    found = (np.log(model.weights_), model.means_, model.precisions_cholesky_)
    return _Mixture(mean_volatility, return_scale, *(np.ascontiguousarray(one[order]) for one in found))


def mixture_probabilities(bars: Bars, indices: IntArray, states: int, window: int, refit: int, span: int) -> FloatArray:
    """float64[k, states]: probabilities of the states, the calmest first; NaN where the window has no such mixture."""
    volatility, change = bars.factor("realised_volatility", span), bars.factor("roc", span)
    out = np.full((len(indices), states), np.nan)
    for part in anchored(bars, indices, window, refit):
        both = np.vstack((part.of(volatility), part.of(change)))
        fit = FITS.get(partial(_fit, states), both[:, :window], states)
        if fit is not None:
            x = seen(both[0, part.last], both[1, part.last], fit.mean_volatility, fit.return_scale)
            out[part.rows] = posteriors(x, fit.weight, fit.mean, fit.half)
    return out


def most_probable(probabilities: FloatArray) -> FloatArray:
    """float64[k]: number of the likeliest state, the calmer of equals; NaN where they are."""
    known = ~np.isnan(probabilities[:, 0])
    return np.where(known, np.argmax(np.where(known[:, None], probabilities, 0.0), axis=1), np.nan)


def _lookback(interval_ms: int, states: int, window: int, refit: int, span: int) -> int:
    return anchored_lookback(window, refit, span)


@factor(
    "market_state_mixture",
    params=[STATES, WINDOW, REFIT, SPAN],
    lookback=_lookback,
    sparse=True,
    packages=("scikit-learn", "scipy"),
)
def market_state_mixture(bars: Bars, indices: IntArray, states: int, window: int, refit: int, span: int) -> FloatArray:
    """State of the market, 0 = the calmest: likeliest part of a Gaussian mixture over volatility and return of `span`
    bars, fitted every `refit` bars on the `window` bars closed before.
    """
    return most_probable(mixture_probabilities(bars, indices, states, window, refit, span))


@factor(
    "market_state_mixture_probability",
    params=[STATES, WINDOW, REFIT, SPAN],
    lookback=_lookback,
    sparse=True,
    packages=("scikit-learn", "scipy"),
)
def market_state_mixture_probability(
    bars: Bars, indices: IntArray, states: int, window: int, refit: int, span: int
) -> FloatArray:
    """Probability, 0 to 1, of the most volatile state of `market_state_mixture`."""
    return mixture_probabilities(bars, indices, states, window, refit, span)[:, -1]
