"""Seeded minutes with the faults of real ones, under the exchange name `synthetic`: for the demo, tests and docs.

The market has one common factor with volatility regimes, slow volatility, a daily and weekly season and jumps; each
symbol adds its own noise, jumps, empty minutes and tick. All symbols stop together in a halt. Nothing here is fitted:
it has the shape of crypto minutes, not their edge, and a strategy that earns on it has found a bug.
"""

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from toolkit.bars.columns import Columns
from toolkit.bars.intervals import DAY_MS, MINUTE_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.compiled import kernel
from toolkit.errors import InputError
from toolkit.types import ByteArray, FloatArray

EXCHANGE = "synthetic"
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
DAY_MINUTES = 1440

# Day (from the start) of the first halt, and the fewest and most days from one halt to the next.
FIRST_HALT_DAY, HALT_EVERY_DAYS = 2, (60, 120)
_OPEN, _EMPTY, _MISSING = 0, 1, 2
_DAYS_FROM_MONDAY_1970 = 3


class Asset(NamedTuple):
    """What makes one symbol: prices in quote units, volatilities as log-return standard deviation a minute."""

    first_price: float
    tick: float
    beta: float
    own_volatility: float
    volume: float  # typical base units a minute
    empty_share: float  # share of minutes without a trade, in a quiet hour more than in a busy one


class Market(NamedTuple):
    """What all symbols share, one value a minute: open, empty or missing; season; volatility; common log return."""

    state: ByteArray
    busy: FloatArray
    scale: FloatArray
    factor: FloatArray


MARKET_VOLATILITY = 6e-4
ASSETS = {
    "BTC/USDT": Asset(16_500.0, 0.01, 1.0, 2.5e-4, 60.0, 0.0004),
    "ETH/USDT": Asset(1_200.0, 0.01, 1.15, 4e-4, 400.0, 0.001),
    "SOL/USDT": Asset(10.0, 0.01, 1.4, 9e-4, 6_000.0, 0.01),
}


def synthetic_bars(
    symbols: Sequence[str] = SYMBOLS,
    start: str = "2023-01-01",
    days: int = 30,
    interval: str = "1m",
    seed: int = 7,
) -> dict[str, Bars]:
    """Regular bars by symbol: `synthetic_columns` with missing minutes filled flat, resampled to `interval`."""
    bars = {}
    for symbol, c in synthetic_columns(symbols, start, days, seed).items():
        minutes = from_arrays(
            c["ts"], c["open"], c["high"], c["low"], c["close"], c["volume"],
            interval="1m", symbol=symbol, exchange=EXCHANGE,
        )  # fmt: skip
        bars[symbol] = minutes.to(interval)
    return bars


def synthetic_columns(
    symbols: Sequence[str] = SYMBOLS, start: str = "2023-01-01", days: int = 30, seed: int = 7
) -> dict[str, Columns]:
    """Raw 1m columns by symbol, as a venue would give them: minutes of a halt are absent.

    Equal arguments give equal bytes. The first days do not depend on `days`, nor a symbol on the others asked for.

    Parameters
    ----------
    symbols : any names; those in `ASSETS` have their usual price and liquidity, others get some from their name.
    start : UTC date of the first minute, `2023-01-01`.
    days : whole days, at least 1; the first halt is on the third.

    Raises
    ------
    InputError : no symbols, a `start` that is not a date, `days` below 1 or a negative `seed`.
    """
    first_day = _day_number(start)
    if days < 1:
        raise InputError(f"days must be at least 1, was {days}")
    if seed < 0:
        raise InputError(f"seed must not be negative, was {seed}")
    if not symbols:
        raise InputError("symbols must name at least one symbol, such as BTC/USDT")
    state = _halts(seed, days)
    busy = _busyness(first_day, days)
    market = Market(state, busy, *_market(busy, *_draws(seed, 0, first_day, days, 3, 2)))
    ts = first_day * DAY_MS + MINUTE_MS * np.arange(days * DAY_MINUTES, dtype=np.int64)
    traded = state != _MISSING
    out: dict[str, Columns] = {}
    for symbol in symbols:
        code = int.from_bytes(hashlib.sha256(symbol.encode()).digest()[:8], "big")
        asset = ASSETS.get(symbol) or _unknown_asset(code)
        values = _asset(asset, market, *_draws(seed, code, first_day, days, 3, 5))
        out[symbol] = {"ts": ts[traded]}
        decimals = max(0, round(-math.log10(asset.tick)))
        for name, column in zip(("open", "high", "low", "close"), values[:4], strict=True):
            # A tick times a whole number is off in the last digits; a venue sends the decimal.
            out[symbol][name] = np.round(column[traded] * asset.tick, decimals)
        out[symbol]["volume"] = np.round(values[4][traded], 5)
    return out


def _day_number(start: str) -> int:
    try:
        moment = datetime.fromisoformat(start)
    except ValueError:
        raise InputError(f"start must be a date such as 2023-01-01, was {start!r}") from None
    ms = int(moment.replace(tzinfo=UTC).timestamp() * 1000)
    if moment.tzinfo is not None or ms % DAY_MS:
        raise InputError(f"start must be a UTC date without a time of day, such as 2023-01-01, was {start!r}")
    return ms // DAY_MS


def _unknown_asset(code: int) -> Asset:
    """A small, thinly traded coin whose price and tick follow from its name."""
    magnitude = code % 4 - 2
    first_price = (1 + code // 7 % 90 / 10) * 10.0**magnitude
    return Asset(first_price, 10.0 ** (magnitude - 3), 1.2, 1.2e-3, 20_000.0 / first_price, 0.05)


def _draws(seed: int, code: int, first_day: int, days: int, normals: int, uniforms: int) -> tuple[FloatArray, ...]:
    """float64[days * 1440, normals] and [.., uniforms]; a generator a day, so that more days only add to the end."""
    z = np.empty((days, DAY_MINUTES, normals))
    u = np.empty((days, DAY_MINUTES, uniforms))
    for day in range(days):
        generator = np.random.default_rng([seed, code, first_day + day])
        generator.standard_normal(out=z[day])
        generator.random(out=u[day])
    return z.reshape(-1, normals), u.reshape(-1, uniforms)


def _halts(seed: int, days: int) -> ByteArray:
    """uint8[days * 1440]: open, empty (the venue's minutes before it stops) or missing; halts stay inside a day."""
    state = np.full(days * DAY_MINUTES, _OPEN, np.uint8)
    generator = np.random.default_rng([seed, 1])
    day = FIRST_HALT_DAY
    while day < days:
        begin = day * DAY_MINUTES + int(generator.integers(200, 1000))
        stop = begin + int(generator.integers(20, 80))
        end = stop + int(generator.integers(30, 120))
        state[begin:stop] = _EMPTY
        state[stop:end] = _MISSING
        day += int(generator.integers(*HALT_EVERY_DAYS))
    return state


def _busyness(first_day: int, days: int) -> FloatArray:
    """float64[days * 1440], mean about 1: the season of volatility and volume over the UTC day, weekends quieter."""
    minute = np.arange(DAY_MINUTES)
    day = np.full(DAY_MINUTES, 0.65)
    for middle, width, height in ((870, 130, 1.1), (480, 120, 0.45), (10, 40, 0.5)):
        day += height * np.exp(-(((minute - middle) / width) ** 2))
    weekday = (first_day + np.arange(days) + _DAYS_FROM_MONDAY_1970) % 7
    week = np.where(weekday >= 5, 0.7, 1.1)
    return np.ascontiguousarray(week[:, None] * (day / day.mean()), np.float64).reshape(-1)


@kernel
def _market(busy: FloatArray, z: FloatArray, u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Volatility scale (1 = usual) and log return of the common factor, float64[n] each.

    The scale is a regime (calm, usual, wild; a day and a half on average), times a slow log-normal part, times the
    season.
    """
    n = len(busy)
    scale = np.empty(n)
    factor = np.empty(n)
    regime = 1
    slow = 0.0
    for t in range(n):
        if u[t, 0] < 1.0 / 2160.0:
            # From either edge back to the middle, from the middle to an edge.
            regime = (0 if u[t, 0] < 0.5 / 2160.0 else 2) if regime == 1 else 1
        slow = 0.995 * slow + 0.035 * z[t, 1]
        scale[t] = (0.55, 1.0, 1.9)[regime] * math.exp(slow) * math.sqrt(busy[t])
        jump = 8.0 * z[t, 2] if u[t, 1] < 2e-4 else 0.0
        factor[t] = MARKET_VOLATILITY * scale[t] * (z[t, 0] + jump)
    return scale, factor


@kernel
def _asset(
    asset: Asset, market: Market, z: FloatArray, u: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Open, high, low, close in whole ticks and volume in base units, float64[n] each; drawn also where missing.

    High and low are drawn from the maximum and minimum of a Brownian bridge from open to close (Glasserman 2003,
    Monte Carlo Methods in Financial Engineering, 6.4), so that ranges and returns fit each other.
    """
    state, busy, scale, factor = market
    n = len(busy)
    o, h, lo, c, v = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    price = math.log(asset.first_price)
    last = float(round(asset.first_price / asset.tick))
    for t in range(n):
        before = price
        own = asset.own_volatility * scale[t] * (z[t, 0] + (10.0 * z[t, 1] if u[t, 0] < 2e-4 else 0.0))
        price += asset.beta * factor[t] + own
        quiet = u[t, 3] * math.sqrt(busy[t]) * scale[t] < asset.empty_share
        if state[t] != _OPEN or quiet:
            o[t] = h[t] = lo[t] = c[t] = last
            v[t] = 0.0
            continue
        o[t] = last
        if t > 0 and state[t - 1] == _MISSING:
            # The world went on while the venue stood still.
            o[t] = max(1.0, float(round(math.exp(before) / asset.tick)))
        elif u[t, 4] < 0.1:
            o[t] = max(1.0, last + (1.0 if u[t, 4] < 0.05 else -1.0))
        c[t] = max(1.0, float(round(math.exp(price) / asset.tick)))
        move = math.log(c[t] / o[t])
        variance = (asset.beta * asset.beta * MARKET_VOLATILITY**2 + asset.own_volatility**2) * scale[t] ** 2
        top = (move + math.sqrt(move * move - 2.0 * variance * math.log(1.0 - u[t, 1]))) / 2.0
        bottom = (move - math.sqrt(move * move - 2.0 * variance * math.log(1.0 - u[t, 2]))) / 2.0
        h[t] = max(o[t], c[t], float(math.floor(o[t] * math.exp(top))))
        lo[t] = max(1.0, min(o[t], c[t], float(math.ceil(o[t] * math.exp(bottom)))))
        stretch = abs(move) / math.sqrt(variance)
        v[t] = max(1e-5, asset.volume * busy[t] * scale[t] * (0.5 + 0.6 * stretch) * math.exp(0.6 * z[t, 2] - 0.18))
        last = c[t]
    return o, h, lo, c, v
