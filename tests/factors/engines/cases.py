"""Every sparse factor with parameters that make its fits small."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tests.factors.series import market
from toolkit.bars.series import Bars
from toolkit.factors.engines import hidden, mixture, seasonal

# Name, parameters, interval on which it is tried.
CASES: list[tuple[str, tuple[int | str, ...], str]] = [
    ("tsfresh", (12, "mean"), "5m"),
    ("tsfresh", (30, "fft_coefficient__attr_angle__coeff_3"), "1h"),
    ("tsfresh", (60, "agg_linear_trend__attr_stderr__chunk_len_10__f_agg_max"), "5m"),
    ("tsfresh", (60, "ar_coefficient__coeff_2__k_10"), "1h"),
    ("tsfresh_volume", (20, "autocorrelation__lag_2"), "5m"),
    ("tsfresh_volume", (40, "change_quantiles__f_agg_var__isabs_True__qh_0.8__ql_0.2"), "1d"),
    ("prophet_trend", (30, 5), "1d"),
    ("prophet_season", (30, 3), "4h"),
    ("prophet_ahead", (120, 7, 2), "1d"),
    ("prophet_residual", (30, 5), "4h"),
    ("market_state_mixture", (2, 60, 25, 5), "5m"),
    ("market_state_mixture_probability", (3, 80, 1, 2), "1d"),
    ("market_state_hmm", (3, 90, 40), "1h"),
    ("market_state_hmm_probability", (2, 60, 13), "5m"),
]
BARS = {"5m": 900, "1h": 700, "4h": 420, "1d": 420}


def history(interval: str, seed: int = 11) -> Bars:
    """Gaps, quiet stretches, bars without volume and of unknown volume; the first bar is on no round number."""
    step_off = {"5m": 7, "1h": 5, "4h": 3, "1d": 1}[interval]
    minutes = {"5m": 5, "1h": 60, "4h": 240, "1d": 1440}[interval]
    return market(seed, BARS[interval], interval, start_ms=1_704_067_200_000 + step_off * minutes * 60_000,
                  unknown_volume=0.004)  # fmt: skip


def forget() -> None:
    """No fit is known any more."""
    for fits in (hidden.FITS, mixture.FITS, seasonal.FITS):
        fits.clear()


@contextmanager
def afresh() -> Iterator[None]:
    """What is computed here is fitted here."""
    forget()
    yield
    forget()


def bits(values: object) -> bytes:
    """Bits of floats; every NaN alike."""
    array = np.array(values, np.float64)
    array[np.isnan(array)] = np.nan
    return array.tobytes()
