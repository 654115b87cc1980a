"""Trend and season of the price as Prophet fits them on daily closes.

Complete UTC days of the log close, missing ones flat as everywhere, each at the moment of its close. The fit is Taylor
and Letham's (2018): a straight trend with 25 possible turns in the first four fifths, the week as three pairs of sines,
with a window of two years or more the year as ten. It is made at anchors, the multiples of `refit` days since the epoch
(UTC), on the `window` days before. A bar's value is the continuation of the newest fit at its close, computed here, bar
by bar: `Prophet.predict` adds up in an order that depends on how many bars are asked for.
"""

from functools import partial
from math import pi
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars
from toolkit.compiled import kernel
from toolkit.errors import InputError, RunError
from toolkit.factors.engines.libraries import Fits
from toolkit.factors.registry import Param, factor
from toolkit.types import FloatArray, IntArray

WINDOW = Param("window", 365, minimum=30, maximum=3650)
REFIT = Param("refit", 7, maximum=366)
AHEAD = Param("ahead", 1, maximum=366)
TWO_YEARS = 730
_SEED = 0
_PACKAGES = ("prophet", "cmdstanpy", "pandas")
# Stan's own words where it gives up on the numbers; a program that was killed, or has no room, says none of them.
_GAVE_UP = ("terminated with error", "Initialization fail", "Error evaluating")


class Continuation(NamedTuple):
    """A fit from its anchor on: `level + slope * days + sum of sines`, logarithm of the price.

    Attributes
    ----------
    level, slope : of the trend at the anchor, and a day. sigma : of the fit's errors, NaN where the window is constant.
    turns : float64[p], radians a day of each pair of sines; sine, cosine : float64[p], their sizes.
    """

    level: float
    slope: float
    sigma: float
    turns: FloatArray
    sine: FloatArray
    cosine: FloatArray


@kernel
def log_of(x: FloatArray) -> FloatArray:
    """float64[n]: natural logarithm, value by value."""
    out = np.empty(len(x))
    for i in range(len(x)):
        out[i] = np.log(x[i])
    return out


@kernel
def seasons(days: FloatArray, turns: FloatArray, sine: FloatArray, cosine: FloatArray) -> FloatArray:
    """float64[k]: sum of the sines at moments (days since the epoch), in the order of the pairs."""
    out = np.zeros(len(days))
    for i in range(len(days)):
        for p in range(len(turns)):
            angle = turns[p] * days[i]
            out[i] += np.sin(angle) * sine[p] + np.cos(angle) * cosine[p]
    return out


FITS = Fits["Continuation | None"]("prophet_trend", "prophet")


def fit_continuation(anchor: int, log_close: FloatArray) -> Continuation | None:
    """The fit of the days that closed up to `anchor` (days since the epoch); None where Stan finds none.

    Raises
    ------
    RunError : Stan's program could not be run, or was ended; what it would have found is not known.
    """
    import pandas as pd

    closes = np.arange(anchor - len(log_close) + 1, anchor + 1, dtype=np.int64) * DAY_MS
    frame = pd.DataFrame({"ds": pd.to_datetime(closes, unit="ms"), "y": log_close})
    # As Prophet itself goes on; but of a program that was killed it would say that there is nothing to be found.
    model = _fitted(frame) or _fitted(frame, algorithm="Newton")
    return None if model is None else _continuation(model, len(log_close) - 1)


def _fitted(frame: Any, **how: str) -> Any:
    """A `Prophet`, None where Stan gives up."""
    from prophet import Prophet

    # Scaled between lowest and highest, so that the unit of the price is of no matter.
    model: Any = Prophet(
        weekly_seasonality=3, yearly_seasonality=10 if len(frame) >= TWO_YEARS else False,
        daily_seasonality=False, uncertainty_samples=0, scaling="minmax",
    )  # fmt: skip
    model.stan_backend.set_options(newton_fallback=False)
    try:
        with TemporaryDirectory(prefix="lockstep-prophet-") as folder:
            model.fit(frame, seed=_SEED, output_dir=folder, **how)
    except (RuntimeError, OSError) as error:
        if any(words in str(error) for words in _GAVE_UP):
            return None
        raise RunError(
            f"Prophet's fit was ended before it found anything ({' '.join(str(error).split())[-200:]}); see that there "
            f"is memory, and room for temporary files, and ask again"
        ) from error
    return model


def _continuation(model: Any, days: int) -> Continuation:
    """What a fitted `Prophet` says after its last day, every possible turn of the trend being behind it."""
    params = {name: np.asarray(value, np.float64).reshape(-1) for name, value in model.params.items()}
    low, high = model.y_min, model.y_scale
    rate, offset = float(params["k"][0]), float(params["m"][0])
    for delta, at in zip(params["delta"], model.changepoints_t, strict=True):
        rate += float(delta)
        offset -= float(delta) * float(at)
    turns = [
        2.0 * pi * (k + 1) / season["period"]
        for season in model.seasonalities.values()
        for k in range(season["fourier_order"])
    ]
    beta = params["beta"][: 2 * len(turns)] * high
    sigma = float(params["sigma_obs"][0]) * high if high > 0.0 and params["sigma_obs"][0] > 1e-9 else np.nan
    return Continuation(
        (rate + offset) * high + low, rate * high / days, sigma, np.array(turns), beta[0::2].copy(), beta[1::2].copy()
    )  # fmt: skip


class _Said(NamedTuple):
    """At each asked bar, float64[k]: the trend's slope a day, its level, the season at the bar and later, and sigma."""

    slope: FloatArray
    level: FloatArray
    season: FloatArray
    later: FloatArray
    sigma: FloatArray


def _said(bars: Bars, indices: IntArray, window: int, refit: int, ahead: int = 0) -> _Said:
    """`later` is the season `ahead` days after the bar."""
    daily = bars.to("1d")
    log_close = daily.memo("log_close", lambda: log_of(daily.close))
    moments = bars.close_ts[indices] / DAY_MS
    anchors = bars.close_ts[indices] // (refit * DAY_MS) * refit
    first_day = int(daily.ts[0]) // DAY_MS if len(daily) else 0
    out = _Said(*(np.full(len(indices), np.nan) for _ in _Said._fields))
    for anchor in np.unique(anchors).tolist():
        mine = anchors == anchor
        begin = anchor - window - first_day
        days = log_close[begin : begin + window]
        fit = FITS.get(partial(fit_continuation, anchor), days, anchor)
        if fit is None:
            continue
        out.slope[mine], out.sigma[mine] = fit.slope, fit.sigma
        out.level[mine] = fit.level + fit.slope * (moments[mine] - anchor)
        out.season[mine] = seasons(moments[mine], fit.turns, fit.sine, fit.cosine)
        out.later[mine] = seasons(moments[mine] + ahead, fit.turns, fit.sine, fit.cosine)
    return out


def _lookback(interval_ms: int, window: int, refit: int, ahead: int = 0) -> int:
    if interval_ms > DAY_MS:
        raise InputError(
            f"Prophet's factors are fitted on daily bars and need bars of at most 1d, were asked of bars of "
            f"{interval_ms // DAY_MS} days; ask them of bars.at('1d')"
        )
    # The bar that closes right before the next anchor reaches back the farthest.
    return (window + refit) * (DAY_MS // interval_ms) - 1


@factor("prophet_trend", params=[WINDOW, REFIT], lookback=_lookback, sparse=True, packages=_PACKAGES)
def prophet_trend(bars: Bars, indices: IntArray, window: int, refit: int) -> FloatArray:
    """Slope of Prophet's trend, a day, as a fraction of the price (of its logarithm); fitted every `refit` days on the
    `window` days closed before.
    """
    return _said(bars, indices, window, refit).slope


@factor("prophet_season", params=[WINDOW, REFIT], lookback=_lookback, sparse=True, packages=_PACKAGES)
def prophet_season(bars: Bars, indices: IntArray, window: int, refit: int) -> FloatArray:
    """How far Prophet's season (week; year with a window of 730 days or more) puts the price above its trend at the
    close, as a fraction (of its logarithm).
    """
    return _said(bars, indices, window, refit).season


@factor("prophet_ahead", params=[WINDOW, REFIT, AHEAD], lookback=_lookback, sparse=True, packages=_PACKAGES)
def prophet_ahead(bars: Bars, indices: IntArray, window: int, refit: int, ahead: int) -> FloatArray:
    """Prophet's forecast of the logarithm of the price `ahead` days after the close less that at the close."""
    said = _said(bars, indices, window, refit, ahead)
    return said.slope * ahead + (said.later - said.season)


@factor("prophet_residual", params=[WINDOW, REFIT], lookback=_lookback, sparse=True, packages=_PACKAGES)
def prophet_residual(bars: Bars, indices: IntArray, window: int, refit: int) -> FloatArray:
    """Logarithm of the close less Prophet's forecast of it, in the sigmas of the fit's errors; NaN if those are 0."""
    said = _said(bars, indices, window, refit)
    return (log_of(bars.close[indices]) - said.level - said.season) / said.sigma
