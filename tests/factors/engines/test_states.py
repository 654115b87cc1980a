"""States of the market: against their libraries, on a market with planted states, and filtered, not smoothed."""

import numpy as np
import pytest

from tests.factors.engines.cases import bits
from toolkit.bars.intervals import HOUR_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.factors.elementwise import log_returns
from toolkit.factors.engines.hidden import filtered, fit_markov, markov_probabilities
from toolkit.factors.engines.libraries import library
from toolkit.factors.engines.mixture import mixture_probabilities, most_probable, seen
from toolkit.types import BoolArray, FloatArray

N = 1600


def wild(n: int = N) -> BoolArray:
    """Stretches of 80 hours, calm and wild in turn."""
    return (np.arange(n) // 80) % 2 == 1


def planted(seed: int = 0, n: int = N) -> Bars:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, np.where(wild(n), 0.012, 0.002), n)))
    opened = np.r_[100.0, close[:-1]]
    return from_arrays(
        400_000 * HOUR_MS + HOUR_MS * np.arange(n, dtype=np.int64), opened, np.maximum(opened, close),
        np.minimum(opened, close), close, np.ones(n), interval="1h",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "params", "share"),
    [("market_state_hmm", (2, 800, 100), 0.95), ("market_state_mixture", (2, 800, 100, 10), 0.9)],
)
def test_planted_states_are_told_and_numbered_by_volatility_after_every_fit(
    name: str, params: tuple[int, ...], share: float
) -> None:
    bars = planted()
    # Away from the moments at which the market turns.
    t = np.array([k for k in range(960, N) if 20 <= k % 80 < 80])
    state = bars.factor_at(t, name, *params)
    assert np.isin(state, (0.0, 1.0)).all()
    assert ((state == 1.0) == wild()[t]).mean() > share
    probability = bars.factor_at(t, f"{name}_probability", *params)
    assert ((probability > 0.5) == (state == 1.0)).all()
    assert probability[wild()[t]].mean() > 0.8 > 0.2 > probability[~wild()[t]].mean()


def test_terciles_tell_calm_from_wild() -> None:
    bars = planted()
    state = bars.factor("market_state_terciles", 400, 20)[960:]
    inside = np.arange(960, N) % 80 >= 40
    assert set(np.unique(state)) == set(map(float, range(9)))
    volatility = state // 3
    assert (volatility[inside & wild()[960:]] >= 1).mean() > 0.95
    assert (volatility[inside & ~wild()[960:]] <= 1).mean() > 0.95


def test_a_filtered_probability_stays_what_it_was_and_a_smoothed_one_would_not() -> None:
    """The forward algorithm against hmmlearn's posteriors of the bars up to each one, and of all of them."""
    from hmmlearn.hmm import GaussianHMM

    bars = planted(n=900)
    returns = log_returns(bars.close)[1:]
    with library("the test", "hmmlearn.hmm"):
        fit = fit_markov(3, returns[:500])
    assert fit is not None
    assert (np.diff(fit.variance) > 0).all()
    x = returns[:700] / fit.scale
    ours = filtered(x, fit.start, fit.moves, fit.variance)
    assert bits(filtered(x[:600], fit.start, fit.moves, fit.variance)) == bits(ours[:600])
    model = GaussianHMM(3, covariance_type="diag")
    model.n_features, model.startprob_, model.transmat_ = 1, fit.start, fit.moves
    model.means_, model.covars_ = np.zeros((3, 1)), fit.variance[:, None]
    for t in (0, 1, 250, 499, 563, 699):
        np.testing.assert_allclose(ours[t], model.predict_proba(x[: t + 1, None])[-1], atol=1e-9)
    smoothed = model.predict_proba(x[:, None])
    assert np.abs(smoothed[:650] - ours[:650]).max() > 0.3
    # Right after the market turned, what a smoothed probability says of the bars before is another one than later.
    revised = [np.abs(model.predict_proba(x[:n, None]) - smoothed[:n]).max() for n in (562, 563, 564)]
    assert max(revised) > 0.05


@pytest.mark.parametrize("name", ["market_state_hmm_probability", "market_state_mixture_probability"])
def test_the_probability_at_a_bar_is_the_same_when_later_bars_come(name: str) -> None:
    bars = planted(n=700)
    t = np.arange(560, 600)
    short = bars.window(int(bars.ts[0]), int(bars.close_ts[599]))
    params = (3, 300, 150) if "hmm" in name else (3, 300, 150, 8)
    assert bits(short.factor_at(t, name, *params)) == bits(bars.factor_at(t, name, *params))


def test_the_mixture_is_scikit_learns() -> None:
    from sklearn.mixture import GaussianMixture

    from toolkit.factors.engines.mixture import _fit

    bars = planted()
    volatility, change = bars.factor("realised_volatility", 10)[200:1000], bars.factor("roc", 10)[200:1000]
    with library("the test", "sklearn.mixture"):
        fit = _fit(3, np.vstack((volatility, change)))
    assert fit is not None
    assert (np.diff(fit.mean[:, 0]) > 0).all()
    x = seen(volatility, change, fit.mean_volatility, fit.return_scale)
    np.testing.assert_allclose(x[:, 0], np.log(volatility / volatility.mean()), atol=1e-12)
    np.testing.assert_allclose(x[:, 1], np.log1p(change) / np.sqrt(np.mean(np.log1p(change) ** 2)), atol=1e-12)
    model = GaussianMixture(3)
    model.weights_, model.means_, model.precisions_cholesky_ = np.exp(fit.weight), fit.mean, fit.half
    at = np.arange(1000, 1100)
    x = seen(
        bars.factor("realised_volatility", 10)[at], bars.factor("roc", 10)[at], fit.mean_volatility, fit.return_scale
    )
    from toolkit.factors.engines.mixture import posteriors

    np.testing.assert_allclose(posteriors(x, fit.weight, fit.mean, fit.half), model.predict_proba(x), atol=1e-10)


def test_probabilities_add_up_and_the_state_is_the_likeliest() -> None:
    bars = planted(3)
    t = np.arange(1200, 1400, 7)
    for p, name, params in (
        (markov_probabilities(bars, t, 4, 600, 60), "market_state_hmm", (4, 600, 60)),
        (mixture_probabilities(bars, t, 4, 600, 60, 10), "market_state_mixture", (4, 600, 60, 10)),
    ):
        np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)
        assert bars.factor_at(t, name, *params).tolist() == p.argmax(axis=1).tolist()
        assert bars.factor_at(t, f"{name}_probability", *params).tolist() == p[:, -1].tolist()


def test_of_equals_the_calmer_state_is_said_and_nothing_of_nothing() -> None:
    p: FloatArray = np.array([[0.4, 0.4, 0.2], [np.nan, np.nan, np.nan], [0.1, 0.2, 0.7]])
    assert bits(most_probable(p)) == bits([0.0, np.nan, 2.0])


def test_an_outlier_that_no_state_explains_has_a_probability_still() -> None:
    bars = planted(n=900)
    close = bars.close.copy()
    close[800:] *= 50.0
    jumped = from_arrays(bars.ts, close, close, close, close, np.ones(900), interval="1h")
    t = np.arange(795, 810)
    for name, params in (("market_state_hmm", (2, 300, 250)), ("market_state_mixture", (2, 300, 250, 5))):
        values = jumped.factor_at(t, f"{name}_probability", *params)
        assert np.isfinite(values).all()
        assert jumped.factor_at(np.array([800]), name, *params)[0] == 1.0


@pytest.mark.parametrize("sigmas", [-8.0, 15.0, -40.0, 200.0])
@pytest.mark.parametrize("params", [(2, 100, 50), (3, 300, 150), (4, 600, 60)])
def test_a_crash_in_the_fitted_window_is_wild_wherever_it_is(sigmas: float, params: tuple[int, int, int]) -> None:
    _, window, refit = params
    rng = np.random.default_rng(0)
    n = 1200
    closed = 400_000 + np.arange(n) + 1
    anchor = int(np.flatnonzero(closed % refit == 0)[-1])
    for last in (anchor, anchor - window // 2):
        change = rng.normal(0, np.where(wild(n), 0.005, 0.002))
        change[last] = sigmas * 0.003
        close = 100 * np.exp(np.cumsum(change))
        bars = from_arrays(400_000 * HOUR_MS + HOUR_MS * np.arange(n, dtype=np.int64), close, close, close, close,
                           np.ones(n), interval="1h")  # fmt: skip
        t = np.arange(anchor, min(anchor + refit, n))
        states = bars.factor_at(t, "market_state_hmm", *params)
        assert np.isfinite(states).all()
        assert np.isfinite(bars.factor_at(t, "market_state_hmm_probability", *params)).all()
        if last == anchor:
            assert states[0] == params[0] - 1
        with library("the test", "hmmlearn.hmm"):
            fit = fit_markov(params[0], change[anchor - window + 1 : anchor + 1])
        assert fit is not None
        np.testing.assert_allclose(fit.moves.sum(axis=1), 1.0)
        assert (fit.moves > 0.0).all()


def test_the_markov_model_is_that_of_a_textbook() -> None:
    """Baum and Welch by hand, with means of 0 and the same priors, from the same start."""
    returns = log_returns(planted(2).close)[1:601]
    with library("the test", "hmmlearn.hmm"):
        fit = fit_markov(2, returns)
    assert fit is not None
    x = returns / returns.std()
    parts = np.array_split(np.argsort(np.abs(x), kind="stable"), 2)
    variance = np.array([np.mean(x[part] ** 2) + 0.01 for part in parts])
    start, moves = np.full(2, 0.5), np.array([[0.95, 0.05], [0.05, 0.95]])
    for _ in range(200):
        density = np.exp(-0.5 * x[:, None] ** 2 / variance) / np.sqrt(2 * np.pi * variance)
        ahead, behind = np.empty((600, 2)), np.ones((600, 2))
        ahead[0] = start * density[0]
        ahead[0] /= ahead[0].sum()
        for i in range(1, 600):
            ahead[i] = (ahead[i - 1] @ moves) * density[i]
            ahead[i] /= ahead[i].sum()
        for i in range(598, -1, -1):
            behind[i] = moves @ (density[i + 1] * behind[i + 1])
            behind[i] /= behind[i].sum()
        posterior = ahead * behind
        posterior /= posterior.sum(axis=1, keepdims=True)
        pairs = ahead[:-1, :, None] * moves * (density[1:] * behind[1:])[:, None, :]
        pairs /= pairs.sum(axis=(1, 2), keepdims=True)
        start = posterior[0]
        moves = pairs.sum(axis=0) + 1e-3
        moves /= moves.sum(axis=1, keepdims=True)
        variance = (0.01 + posterior.T @ x**2) / posterior.sum(axis=0)
    # hmmlearn stops when a step gains less than 0.001 in log likelihood.
    np.testing.assert_allclose(fit.variance, variance, rtol=0.01)
    np.testing.assert_allclose(fit.moves, moves, atol=0.003)
