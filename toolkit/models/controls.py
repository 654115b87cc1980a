"""Negative controls: the procedure on what cannot help and on what must not be known; and the verdict in words."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.models.features import OF_SIGNAL, Entries, feature_values
from toolkit.models.fitness import DAILY
from toolkit.models.panel import Panel, Seen
from toolkit.models.significance import Comparison
from toolkit.portfolio.loading import LoadedMember
from toolkit.types import FloatArray

PERMUTED, NOISE = "labels permuted", "noise features"
PAST, FUTURE = "features of the past", "features of the future"
CONTROLS: Mapping[str, str] = {
    PERMUTED: "the labels of each training part permuted: the features cannot tell anything about them",
    NOISE: "every feature replaced by random numbers",
    PAST: "factors of some bars before the signal: what they tell is old",
    FUTURE: "factors of some bars after the signal, which nobody knows then: the cheat, what a leak would look like",
}
"""Every control by name; the first two must come out near zero."""

# Fewer closed trades than this after the model show nothing.
LEAST_TRADES = 30
P_VALUE, DEFLATED = 0.05, 0.95
# With fewer, no p-value can be as low.
LEAST_PERMUTATIONS = 19


def noise_panel(panel: Panel, *seed: int) -> Panel:
    """The panel with standard normal numbers for features; equal seeds give equal ones, whoever asks first."""

    def noise(leg: Seen) -> FloatArray:
        return np.random.default_rng([*seed, *leg.instance.encode(), leg.side + 1]).standard_normal(leg.x.shape)

    return panel.with_features(noise)


def shifted_panel(loaded: Sequence[LoadedMember], panel: Panel, shift_bars: int) -> Panel:
    """The panel with factors read so many signal bars before (negative) or after each entry, NaN where there are none.

    What belongs to the signal itself (side, distances) stays.
    """
    by_id = {one.instance.id: one for one in loaded}
    moved = np.array([name not in OF_SIGNAL for name in panel.features], np.bool_)
    names = [name for name, factor in zip(panel.features, moved, strict=True) if factor]

    def shifted(leg: Seen) -> FloatArray:
        bars = by_id[leg.instance].bars
        bar = np.searchsorted(bars.close_ts, leg.ts) + shift_bars
        there = np.flatnonzero((bar >= 0) & (bar < len(bars)))
        nothing = np.full(len(there), np.nan)
        x = leg.x.copy()
        x[:, moved] = np.nan
        x[np.ix_(there, moved)] = feature_values(bars, Entries(bar[there], leg.side, nothing, nothing), names)
        return x

    return panel.with_features(shifted)


def control_gains(controls: Mapping[str, FloatArray], before: FloatArray, figure: str = "sortino") -> dict[str, float]:
    """Mean difference of the figure (after less before) that each control made; NaN where it is never defined.

    controls : float64[k, n_days] each, pooled days of each time that it was run. before : float64[n_days].
    """
    of = DAILY[figure]
    gains = {name: of(days) - float(of(before)) for name, days in controls.items()}
    known = {name: each[np.isfinite(each)] for name, each in gains.items()}
    return {name: float(each.mean()) if len(each) else math.nan for name, each in known.items()}


@dataclass(frozen=True)
class Verdict:
    """Whether an improvement survives, in words; `against` are the reasons why it does not."""

    survives: bool
    text: str
    against: tuple[str, ...]


def verdict(comparison: Comparison, trades: int, gains: Mapping[str, float]) -> Verdict:
    """Judge a comparison: every one of the tests must be passed.

    Parameters
    ----------
    trades : closed trades after the model. gains : what the controls gained, see `control_gains`; none = not run.
    """
    c = comparison
    against = tuple(_against(c, trades, gains))
    name = c.figure.capitalize()
    found = (
        f"{name} {_number(c.before)} without a model and {_number(c.after)} with it, a difference of "
        f"{_signed(c.difference)} ({c.level:.0%} interval {_signed(c.low)} to {_signed(c.high)})"
    )
    if c.permutations:
        found += (
            f", p = {c.p_value:.3f} against {c.permutations} models on permuted labels, whose refusals alone make a "
            f"difference of {_signed(c.permuted_mean)}"
        )
    if c.trials > 1:
        found += f", deflated Sharpe ratio {_number(c.deflated_sharpe)} after {c.trials} trials"
    shown = "; ".join(f"{control} {_signed(gain)}" for control, gain in gains.items())
    controls = f" Controls: {shown}." if shown else ""
    if against:
        text = f"No improvement that survives: {'; '.join(against)}. Found: {found}.{controls}"
    else:
        loses = " It still loses money by this figure." if c.after < 0.0 else ""
        text = f"The improvement survives: {found}.{loses}{controls}"
    return Verdict(not against, text, against)


def _against(c: Comparison, trades: int, gains: Mapping[str, float]) -> Iterator[str]:
    if trades < LEAST_TRADES:
        yield f"only {trades} trades were made with the model, fewer than {LEAST_TRADES} show nothing"
    if math.isnan(c.difference):
        yield f"the {c.figure} ratio is not defined on one of the sides (no trades, or no losses)"
        return
    if c.difference <= 0.0:
        yield "the model made it no better"
        return
    if not c.low > 0.0:
        yield "the interval of the difference reaches zero" if c.low <= 0.0 else "too few days for an interval"
    if c.permutations < LEAST_PERMUTATIONS:
        yield f"{c.permutations} models on permuted labels cannot tell it from luck, {LEAST_PERMUTATIONS} are needed"
    elif not c.p_value <= P_VALUE:
        yield f"models on permuted labels do as well in {c.p_value:.0%} of the cases"
    noise = gains.get(NOISE, math.nan)
    if noise >= c.difference:
        yield "features of noise do as well"
    if c.trials > 1 and not c.deflated_sharpe >= DEFLATED:
        yield f"the best of {c.trials} trials may show such a Sharpe ratio by luck"


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.2f}"


def _signed(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:+.2f}"
