"""States of the market as those of a hidden Markov model of the returns: filtered, never smoothed.

The model (hmmlearn's Gaussian emissions of mean 0, Baum and Welch's EM) is fitted on the absolute schedule of
`anchors`, on the window of log returns before the anchor, and starts from equal parts of the window by size of the
return, so there is nothing random in it. A bar's mean return is nothing beside its deviation, and a state with a mean
of its own settles on a single crash, has no variance there, and would be taken for the calmest.

The probability at a bar is that of the forward algorithm, which goes from the first bar of the fitted window to that
bar: what is known at its close. Smoothed probabilities and Viterbi's path, which hmmlearn's `predict` gives, revise a
bar by the bars after it; neither is used.
"""

from functools import partial
from math import pi
from typing import NamedTuple

import numpy as np

from toolkit.bars.series import Bars
from toolkit.compiled import kernel
from toolkit.factors.elementwise import log_returns
from toolkit.factors.engines.anchors import anchored, anchored_lookback
from toolkit.factors.engines.libraries import Fits
from toolkit.factors.engines.mixture import REFIT, STATES, WINDOW, most_probable
from toolkit.factors.registry import factor
from toolkit.types import FloatArray, IntArray

# How long a state lasts to begin with, and the prior of its variance, in units of the window's.
_STAYS = 0.95
_VARIANCE_PRIOR = 1e-2
# Of each move: one that was never seen, as from a state of the last bar alone, may still come.
_MOVES_PRIOR = 1e-3
# Weight of the prior that means are 0: hmmlearn estimates no variances where it is told to leave the means alone.
_AT_ZERO = 1e12


class Markov(NamedTuple):
    """States ascending by variance. scale: what returns are divided by; start: float64[s]; moves: [s, s] above 0, from
    row to column; variance: [s], of scaled returns."""

    scale: float
    start: FloatArray
    moves: FloatArray
    variance: FloatArray


@kernel
def filtered(x: FloatArray, start: FloatArray, moves: FloatArray, variance: FloatArray) -> FloatArray:
    """float64[n, s]: probability of each state at each bar given the bars up to it (forward algorithm, Rabiner 1989).

    Moves are above 0, so that from the second bar on each state can be reached.

    Twin: the last row of hmmlearn's `predict_proba` of the bars up to each one.
    """
    n, states = len(x), len(start)
    out = np.empty((n, states))
    reached = start.copy()
    density = np.empty(states)
    for i in range(n):
        top = -np.inf
        for s in range(states):
            density[s] = -0.5 * (np.log(2.0 * pi * variance[s]) + x[i] * x[i] / variance[s])
            if reached[s] > 0.0:
                top = max(top, density[s])
        total = 0.0
        for s in range(states):
            # A state that cannot be reached may fit by far the best.
            out[i, s] = reached[s] * np.exp(density[s] - top) if reached[s] > 0.0 else 0.0
            total += out[i, s]
        for s in range(states):
            out[i, s] /= total
        for s in range(states):
            reached[s] = 0.0
            for before in range(states):
                reached[s] += out[i, before] * moves[before, s]
    return out


FITS = Fits["Markov | None"]("market_state_hmm", "hmmlearn.hmm")


def fit_markov(states: int, window: FloatArray) -> Markov | None:
    """The model of a window of returns; None where all are equal or EM fails."""
    from hmmlearn.hmm import GaussianHMM

    scale = float(window.std())
    if not scale > 0.0:
        return None
    x = window / scale
    # Equal parts by size, earlier bars first among equals.
    parts = np.array_split(np.argsort(np.abs(x), kind="stable"), states)
    model = GaussianHMM(
        states, covariance_type="diag", n_iter=100, tol=1e-3, init_params="", implementation="log",
        covars_prior=_VARIANCE_PRIOR, transmat_prior=1.0 + _MOVES_PRIOR, means_weight=_AT_ZERO,
    )  # fmt: skip
    model.n_features = 1
    model.startprob_ = np.full(states, 1.0 / states)
    model.transmat_ = np.full((states, states), (1.0 - _STAYS) / (states - 1)) + np.eye(states) * (
        _STAYS - (1.0 - _STAYS) / (states - 1)
    )
    model.means_ = np.zeros((states, 1))
    model.covars_ = np.array([[np.mean(x[part] ** 2) + _VARIANCE_PRIOR] for part in parts])
    try:
        model.fit(x[:, None])
        variance = model.covars_[:, 0, 0]
    except ValueError:
        return None
    order = np.argsort(variance, kind="stable")
    moves = np.ascontiguousarray(model.transmat_[order][:, order])
    found = Markov(scale, model.startprob_[order], moves, variance[order])
    finite = all(np.isfinite(one).all() for one in found[1:])
    return found if finite and (moves > 0.0).all() and (found.variance > 0.0).all() else None


def markov_probabilities(bars: Bars, indices: IntArray, states: int, window: int, refit: int) -> FloatArray:
    """float64[k, states]: filtered probabilities, the calmest state first; NaN where no model could be fitted."""
    returns = bars.memo("log_returns", lambda: log_returns(bars.close))
    out = np.full((len(indices), states), np.nan)
    for part in anchored(bars, indices, window, refit):
        span = part.of(returns)
        fit = FITS.get(partial(fit_markov, states), span[:window], states)
        if fit is not None:
            out[part.rows] = filtered(span / fit.scale, fit.start, fit.moves, fit.variance)[part.last]
    return out


def _lookback(interval_ms: int, states: int, window: int, refit: int) -> int:
    return anchored_lookback(window, refit, 1)


@factor("market_state_hmm", params=[STATES, WINDOW, REFIT], lookback=_lookback, sparse=True, packages=("hmmlearn",))
def market_state_hmm(bars: Bars, indices: IntArray, states: int, window: int, refit: int) -> FloatArray:
    """State of the market, 0 = the calmest: likeliest state of a hidden Markov model of log returns, filtered, fitted
    every `refit` bars on the `window` bars closed before.
    """
    return most_probable(markov_probabilities(bars, indices, states, window, refit))


@factor(
    "market_state_hmm_probability",
    params=[STATES, WINDOW, REFIT],
    lookback=_lookback,
    sparse=True,
    packages=("hmmlearn",),
)
def market_state_hmm_probability(bars: Bars, indices: IntArray, states: int, window: int, refit: int) -> FloatArray:
    """Filtered probability, 0 to 1, of the most volatile state of `market_state_hmm`."""
    return markov_probabilities(bars, indices, states, window, refit)[:, -1]
