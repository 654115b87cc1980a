"""How much of the account each instance gets, learned from daily returns that must not be the days it is judged on.

A weight is a share of equity: not negative, all of them at most 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.track import TrackRecord
from toolkit.portfolio.weights_caps import Caps as Caps
from toolkit.portfolio.weights_caps import capped, largest_total
from toolkit.types import FloatArray

METHODS = ("equal", "winners", "inverse_volatility", "hrp", "min_variance", "max_sharpe", "cvar")
"""`winners` is the 1/0 method: those without a profit get nothing, the others share equally."""

NO_CAPS = Caps()

_JOINT = ("hrp", "min_variance", "max_sharpe", "cvar")
_LEAST_RECORD = 0.5
_SUM_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Weighing:
    """Weights, and what is to be said about them.

    Attributes
    ----------
    weights : a share for every instance of the record, in its order; they add up to 1 - `idle`.
    left_out : why an instance has weight 0, for those that could not be weighed.
    idle : share of the account that caps leave without an instance.
    days : UTC days that the weights were learned on, those without bars of some left out where a method needs all.
    """

    weights: dict[str, float]
    left_out: dict[str, str]
    idle: float
    days: int


def weigh(track: TrackRecord, method: str = "equal", caps: Caps = NO_CAPS) -> dict[str, float]:
    """The weights of `weighing`: not negative, adding up to 1, or less where caps leave money idle."""
    return weighing(track, method, caps).weights


def weighing(track: TrackRecord, method: str = "equal", caps: Caps = NO_CAPS) -> Weighing:
    """Share the account among the instances of a record.

    "equal" and "winners" (profit over the record above 0) need no more; "inverse_volatility" is one over the standard
    deviation of an instance's own days; "hrp", "min_variance", "max_sharpe" and "cvar" are skfolio's (see
    `weights_skfolio.optimised`), on the days on which all weighed instances have bars: a day before a listing is no day
    without risk. Moments are those of the sample; with fewer days than instances they are poor, and hrp minds least.

    Weight 0, and the reason in `left_out`: an instance that closed no trade (every method); and, where risk is
    measured, one with bars on fewer than half the days of the longest record, and one whose returns are all the same.

    Parameters
    ----------
    track : what may be known: give `track.known_at(moment, lookback)`.
    caps : part of the problem for the last three methods; for the others what a cap takes away goes to the rest in
        proportion (`weights_caps.capped`). Caps that nothing can fill leave money idle.

    Raises
    ------
    UnknownNameError : no such method. InputError : nothing can be weighed, or a solver finds no answer.
    """
    if method not in METHODS:
        raise UnknownNameError("weights `method`", method, METHODS)
    # In an order of their own, so that the order of columns does not matter.
    names = sorted(track.instances)
    returns = track.returns.select(names).to_numpy() if names else np.empty((track.returns.height, 0))
    left_out = _untraded(track, names, returns)
    if method == "winners":
        total = np.nansum(returns, axis=0)
        losers = {n: "made no profit on these days" for n, t in zip(names, total, strict=True) if not t > 0.0}
        left_out = losers | left_out
    kept = [name for name in names if name not in left_out]
    days = len(returns)
    if method not in ("equal", "winners") and kept:
        kept, returns, unmeasured = _measurable(names, kept, returns, method)
        left_out |= unmeasured
        days = len(returns)
    if not kept:
        raise InputError(_nothing(method, left_out))
    weights = _shares(track, method, kept, returns, caps)
    shares = {name: weights.get(name, 0.0) for name in track.instances}
    idle = 1.0 - math.fsum(shares.values())
    return Weighing(shares, left_out, idle if idle > _SUM_TOLERANCE else 0.0, days)


def _untraded(track: TrackRecord, names: list[str], returns: FloatArray) -> dict[str, str]:
    """Those of which nothing is known; a trade without a profit or a loss is a trade."""
    found = {}
    traded = set(track.trades.filter(track.trades["exit_ts"].is_not_null())["instance"])
    for k, name in enumerate(names):
        known = returns[:, k][~np.isnan(returns[:, k])]
        if not len(known):
            found[name] = "has no bars on these days"
        elif not known.any() and name not in traded:
            found[name] = "closed no trade on these days"
    return found


def _measurable(
    names: list[str], kept: list[str], returns: FloatArray, method: str
) -> tuple[list[str], FloatArray, dict[str, str]]:
    """Those whose risk can be measured, their columns (joint methods: without days that lack one), why not the rest."""
    columns = returns[:, [names.index(name) for name in kept]]
    known = (~np.isnan(columns)).sum(axis=0)
    least = _LEAST_RECORD * known.max()
    left_out = {
        name: f"has bars on {n} of {known.max()} days: too short a record to measure its risk"
        for name, n in zip(kept, known, strict=True)
        if n < least
    }
    columns, kept = columns[:, known >= least], [name for name in kept if name not in left_out]
    if method in _JOINT:
        columns = columns[~np.isnan(columns).any(axis=1)]
    if len(columns) < 2:
        raise InputError(
            f"{method} needs at least 2 days on which all {len(kept)} instances have bars, found {len(columns)}; "
            f"learn from a longer range, or leave out those that were listed late or ended early"
        )
    flat = np.array([np.ptp(c[~np.isnan(c)]) == 0.0 for c in columns.T], np.bool_)
    for name in np.array(kept)[flat].tolist():
        left_out[name] = f"has the same return on each of {len(columns)} days: it has no risk to measure"
    return [name for name in kept if name not in left_out], columns[:, ~flat], left_out


def _shares(track: TrackRecord, method: str, kept: list[str], returns: FloatArray, caps: Caps) -> dict[str, float]:
    groups, limits = caps.groups(track.members, kept)
    raw = np.ones(len(kept))
    if method == "inverse_volatility":
        raw = 1.0 / np.nanstd(returns, axis=0, ddof=1)
    elif method == "max_sharpe" and not (returns.mean(axis=0) > 0.0).any():
        raise InputError(
            f"max_sharpe needs an instance with a profit, and none of {len(kept)} has one on these {len(returns)} days"
        )
    elif method in _JOINT and len(kept) > 1:
        from toolkit.portfolio.weights_skfolio import optimised

        raw = optimised(method, returns, groups, limits, largest_total(groups, limits))
    return dict(zip(kept, capped(raw, groups, limits).tolist(), strict=True))


def _nothing(method: str, left_out: Mapping[str, str]) -> str:
    if not left_out:
        return f"{method} has no instance to weigh; give a record with at least one"
    name, why = next(iter(left_out.items()))
    others = f", and {len(left_out) - 1} more cannot be weighed" if len(left_out) > 1 else ""
    return f"{method} has no instance to weigh: {name} {why}{others}; learn from a longer range or other instances"
