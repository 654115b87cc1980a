"""Prophet's continuation against `Prophet.predict`, planted trends and seasons, and which fits are made."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.factors.engines.cases import bits, forget
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.errors import InputError, RunError
from toolkit.factors import factor_lookback
from toolkit.factors.engines.libraries import library
from toolkit.factors.engines.seasonal import FITS, Continuation, fit_continuation, seasons
from toolkit.types import FloatArray

FIRST_DAY = 19_000


def daily(log_close: FloatArray, missing: tuple[int, ...] = ()) -> Bars:
    close = np.exp(log_close)
    kept = np.setdiff1d(np.arange(len(close)), missing)
    ts = (FIRST_DAY + kept) * DAY_MS
    return from_arrays(ts, close[kept], close[kept], close[kept], close[kept], np.ones(len(kept)), interval="1d")


def walk(days: int, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    return 10.0 + np.cumsum(rng.normal(0.001, 0.02, days)) + 0.01 * np.sin(2 * np.pi * np.arange(days) / 7)


@pytest.mark.parametrize(("days", "refit"), [(60, 7), (365, 30), (740, 90)])
def test_the_continuation_is_what_prophet_predicts(days: int, refit: int) -> None:
    log_close = walk(days + 2 * refit + 10)
    bars = daily(log_close)
    closed = bars.close_ts // DAY_MS
    t = int(np.flatnonzero(closed % refit == refit - 1)[-1])
    anchor = int(closed[t]) // refit * refit
    fitted = np.flatnonzero(closed <= anchor)[-days:]
    with library("the test", "prophet"):
        from prophet import Prophet

        model = Prophet(weekly_seasonality=3, yearly_seasonality=10 if days >= 730 else False,
                        daily_seasonality=False, uncertainty_samples=0, scaling="minmax")  # fmt: skip
        frame = pd.DataFrame({"ds": pd.to_datetime(bars.close_ts[fitted], unit="ms"), "y": np.log(bars.close[fitted])})
        model.fit(frame, seed=0)
        at = pd.to_datetime(bars.close_ts[t] + np.array([0, 1, 3]) * DAY_MS, unit="ms")
        told = model.predict(pd.DataFrame({"ds": at}))
    trend, season = told["trend"].to_numpy(), told["additive_terms"].to_numpy()
    sigma = float(model.params["sigma_obs"][0, 0]) * model.y_scale

    def ours(name: str, *more: int) -> float:
        return float(bars.factor_at(np.array([t]), name, days, refit, *more)[0])

    assert ours("prophet_trend") == pytest.approx(trend[1] - trend[0], abs=1e-10)
    assert ours("prophet_season") == pytest.approx(season[0], abs=1e-10)
    assert ours("prophet_ahead", 3) == pytest.approx(trend[2] + season[2] - trend[0] - season[0], abs=1e-9)
    forecast = trend[0] + season[0]
    assert ours("prophet_residual") == pytest.approx((np.log(bars.close[t]) - forecast) / sigma, abs=1e-6)


def test_the_unit_of_the_price_is_of_no_matter() -> None:
    log_close = walk(120)
    t = np.array([119])
    for name in ("prophet_trend", "prophet_season", "prophet_residual"):
        a, b = (daily(log_close + shift).factor_at(t, name, 60, 7)[0] for shift in (0.0, -18.0))
        assert a == pytest.approx(b, rel=2e-3, abs=1e-5)


def test_a_planted_trend_and_week_are_found() -> None:
    days = np.arange(240)
    week = 0.02 * np.cos(2 * np.pi * (FIRST_DAY + 1 + days) / 7)
    bars = daily(5.0 + 0.003 * days + week + np.random.default_rng(0).normal(0, 0.002, len(days)))
    t = np.arange(225, 239)
    assert bars.factor_at(t, "prophet_trend", 200, 7) == pytest.approx(np.full(14, 0.003), abs=2e-4)
    assert bars.factor_at(t, "prophet_season", 200, 7) == pytest.approx(week[t], abs=2e-3)
    assert np.abs(bars.factor_at(t, "prophet_residual", 200, 7)).max() < 5.0
    ahead = bars.factor_at(t[:-1], "prophet_ahead", 200, 7, 1)
    assert ahead == pytest.approx(0.003 + week[t[1:]] - week[t[:-1]], abs=3e-3)


def test_between_anchors_one_fit_continues_at_each_close() -> None:
    bars = daily(walk(200))
    closed = bars.close_ts // DAY_MS
    t = np.arange(150, 199)
    slopes = bars.factor_at(t, "prophet_trend", 60, 10)
    for k in range(1, len(t)):
        assert (slopes[k] == slopes[k - 1]) == bool(closed[t[k]] % 10)


def test_only_what_is_asked_for_is_fitted() -> None:
    forget()
    bars = daily(walk(200))
    bars.factor_at(np.array([150, 151, 190]), "prophet_trend", 60, 20)
    bars.factor_at(np.array([150, 151, 190]), "prophet_residual", 60, 20)
    assert len(FITS._kept) == 2
    cut = bars.window(int(bars.ts[50]), int(bars.ts[195]))
    cut.factor_at(np.array([140]), "prophet_season", 60, 20)
    assert len(FITS._kept) == 2


def test_missing_days_are_flat_days() -> None:
    log_close = walk(120)
    missing = (70, 71, 95)
    gaps = daily(log_close, missing)
    assert gaps.filled.sum() == 3
    flat = log_close.copy()
    flat[[70, 71, 95]] = log_close[[69, 69, 94]]
    for name in ("prophet_trend", "prophet_season", "prophet_residual"):
        expected = daily(flat).factor_at(np.array([119]), name, 60, 7)
        np.testing.assert_allclose(gaps.factor_at(np.array([119]), name, 60, 7), expected, rtol=1e-6)


def test_a_constant_window_has_no_residual() -> None:
    fit = fit_in_library(np.full(40, 3.0))
    assert fit is not None
    assert (fit.slope, fit.level) == (0.0, 3.0)
    assert np.isnan(fit.sigma)
    assert seasons(np.array([19_000.3]), fit.turns, fit.sine, fit.cosine).tolist() == [0.0]


def fit_in_library(log_close: FloatArray) -> Continuation | None:
    with library("the test", "prophet"):
        return fit_continuation(FIRST_DAY, log_close)


def failing(monkeypatch: pytest.MonkeyPatch, said: Mapping[str, str]) -> list[str]:
    """Stan's program fails with these words, by algorithm; the algorithms that were asked."""
    from cmdstanpy import CmdStanModel

    asked: list[str] = []
    real = CmdStanModel.optimize

    def optimize(self: CmdStanModel, *args: object, **kwargs: Any) -> object:
        asked.append(kwargs["algorithm"])
        if kwargs["algorithm"] in said:
            raise RuntimeError(f"Error during optimization! Command 'x' failed: {said[kwargs['algorithm']]}")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(CmdStanModel, "optimize", optimize)
    return asked


GAVE_UP = "console log output: Optimization terminated with error: \n Line search failed to achieve a decrease"


def test_where_stan_gives_up_the_other_algorithm_is_asked_and_then_there_is_no_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bars, t = daily(walk(200)), np.array([199])
    expected = bars.factor_at(t, "prophet_trend", 150, 7)[0]
    forget()
    asked = failing(monkeypatch, {"LBFGS": GAVE_UP})
    assert bars.factor_at(t, "prophet_trend", 150, 7)[0] == pytest.approx(expected, abs=1e-3)
    assert asked == ["LBFGS", "Newton"]
    forget()
    failing(monkeypatch, {"LBFGS": GAVE_UP, "Newton": "Error evaluating model log probability: Non-finite gradient."})
    assert np.isnan(bars.factor_at(t, "prophet_trend", 150, 7)).all()
    # What was planted stays out of other tests.
    forget()


def test_a_program_that_was_killed_is_an_error_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    bars, t = daily(walk(200)), np.array([199])
    expected = bars.factor_at(t, "prophet_residual", 150, 7)
    forget()
    with monkeypatch.context() as broken:
        failing(broken, {"LBFGS": "console log output: Initial log joint probability = -36.5"})
        with pytest.raises(RunError, match=r"Prophet's fit was ended before it found anything \(.*-36.5\); see that"):
            bars.factor_at(t, "prophet_residual", 150, 7)
        broken.setattr("tempfile.tempdir", "/proc/nowhere")
        with pytest.raises(RunError, match=r"room for temporary files, and ask again"):
            bars.factor_at(t, "prophet_residual", 150, 7)
    assert bits(bars.factor_at(t, "prophet_residual", 150, 7)) == bits(expected)


def test_lookbacks_and_intervals() -> None:
    assert factor_lookback("prophet_trend", DAY_MS, 365, 7) == 371
    assert factor_lookback("prophet_trend", DAY_MS // 24, 365, 7) == 372 * 24 - 1
    with pytest.raises(InputError, match=r"need bars of at most 1d, were asked of bars of 7 days"):
        factor_lookback("prophet_trend", 7 * DAY_MS, 365, 7)
    with pytest.raises(InputError, match="window of factor prophet_trend must be at least 30, was 20"):
        factor_lookback("prophet_trend", DAY_MS, 20, 7)
