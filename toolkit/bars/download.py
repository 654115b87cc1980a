"""`Venue`: an exchange's candles through ccxt, asked again on network errors, in base units of volume."""

import json
import math
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from toolkit.bars.columns import PRICES, Columns
from toolkit.bars.series import utc
from toolkit.bars.store import Instrument
from toolkit.bars.symbols import canonical_symbol
from toolkit.bars.volume_units import volume_unit
from toolkit.errors import InputError, UnknownNameError, VenueError

OPTIONS_VARIABLE = "LOCKSTEP_CCXT_OPTIONS"
DEFAULT_PAGE_BARS = 500

_T = TypeVar("_T")


class RefusedError(VenueError):
    """The venue answered, and refused; asking the same again is no use."""


class _MalformedError(Exception):
    """An answer that is not a list of candles: a cut body, or a proxy's page."""


@dataclass(frozen=True)
class Retry:
    """How often a read is tried in all, and the pauses between: doubled each time, cut by up to half at random."""

    tries: int = 8
    first_pause_secs: float = 0.5
    longest_pause_secs: float = 60.0


def ccxt_options() -> dict[str, Any]:
    """The JSON object in `LOCKSTEP_CCXT_OPTIONS`, merged deep into ccxt's settings of the exchange; default empty."""
    text = os.environ.get(OPTIONS_VARIABLE, "").strip()
    try:
        options = json.loads(text) if text else {}
    except ValueError as error:
        raise InputError(f"{OPTIONS_VARIABLE} must be a JSON object, was {text[:80]!r} ({error})") from None
    if not isinstance(options, dict):
        raise InputError(f"{OPTIONS_VARIABLE} must be a JSON object, was {text[:80]!r}")
    return options


class Venue:
    """One exchange's public market data. Opening it loads the venue's markets and compares clocks.

    Parameters
    ----------
    exchange : ccxt's id of the exchange, such as `binance` or `gate`.
    options : ccxt settings, merged deep into the exchange's own; default those of `LOCKSTEP_CCXT_OPTIONS`.
    on_retry : called with one sentence before each pause.
    sleep : how to wait, in seconds.

    Raises
    ------
    UnknownNameError : ccxt has no such exchange. VenueError : it gives no candles, or did not answer.
    """

    def __init__(
        self,
        exchange: str,
        options: dict[str, Any] | None = None,
        *,
        retry: Retry | None = None,
        on_retry: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import ccxt  # half a second, and only a pull needs it

        self.name = exchange.lower()
        if self.name not in ccxt.exchanges:
            raise UnknownNameError("exchange", exchange, ccxt.exchanges)
        self._retry = retry or Retry()
        self._on_retry = on_retry
        self._sleep = sleep
        config = ccxt_options() if options is None else options
        self._ccxt = ccxt
        self._exchange: Any = getattr(ccxt, self.name)({"enableRateLimit": True, **config})
        # ccxt turns a body that is not JSON into an empty list of candles: without this, a cut answer loses bars.
        self._exchange.on_rest_response = self._whole_body
        if self._exchange.has.get("fetchOHLCV") is not True:
            raise VenueError(f"{self.name} does not give candles over REST; choose another exchange, or import files")
        self._read("its markets", self._exchange.load_markets)
        self._ahead_ms = self._clock_difference_ms()

    def now_ms(self) -> int:
        """The venue's clock (this machine's, where the venue does not tell), epoch ms."""
        return time.time_ns() // 1_000_000 + self._ahead_ms

    def symbol(self, text: str) -> str:
        """The venue's unified symbol for any spelling; `UnknownNameError` with near ones where it lists none such."""
        markets = self._exchange.markets
        name = text if text in markets else canonical_symbol(text)
        if name not in markets:
            raise UnknownNameError(f"symbol on {self.name}", name, markets)
        return name

    def check_interval(self, interval: str) -> None:
        """`InputError` where the venue serves no candles of this interval."""
        offered = self._exchange.timeframes or {}
        if interval not in offered:
            raise InputError(
                f"{self.name} does not offer interval {interval!r}, only {', '.join(offered)}; pull a shorter one: "
                f"longer bars are made from it when they are asked for"
            )

    def offers(self, interval: str) -> bool:
        return interval in (self._exchange.timeframes or {})

    def page_bars(self, symbol: str) -> int:
        """How many candles one request may ask for."""
        return int(self._exchange.feature_value(symbol, "fetchOHLCV", "limit", DEFAULT_PAGE_BARS) or DEFAULT_PAGE_BARS)

    def instrument(self, symbol: str) -> Instrument:
        """The venue's tick, lot and minimum amounts for a symbol."""
        market = self._exchange.market(symbol)
        limits = market["limits"]
        size = (market["contractSize"] or 1.0) if market["contract"] else 1.0
        lot, least = self._step(market["precision"]["amount"]), limits["amount"]["min"]
        return Instrument(
            self.name,
            symbol,
            tick=self._step(market["precision"]["price"]),
            lot=None if lot is None else lot * size,
            min_qty=None if least is None else least * size,
            min_notional=limits["cost"]["min"],
        )

    def candles(self, symbol: str, interval: str, since_ms: int, count: int) -> Columns:
        """Up to `count` candles that open at or after `since_ms`, ascending, the open one too; empty where none.

        Columns as in `toolkit.bars.columns`; volume in base units, NaN where the venue's unit is not known.

        Raises
        ------
        RefusedError : the venue refuses this range. VenueError : no usable answer after all retries.
        """

        def ask() -> Columns:
            try:
                rows = self._exchange.fetch_ohlcv(symbol, interval, since_ms, count)
                columns = _columns(rows)
            except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
                # ccxt hands a body that is not JSON to its parser as text.
                raise _MalformedError(f"the answer is not a list of candles ({type(error).__name__})") from error
            return columns

        columns = self._read(f"{interval} candles of {symbol} from {utc(since_ms)}", ask)
        columns["volume"] = columns["volume"] * volume_unit(self.name, self._exchange.market(symbol))
        return columns

    def volume_is_known(self, symbol: str) -> bool:
        """False where ccxt does not say in which unit the venue counts the volume of this contract."""
        return not math.isnan(volume_unit(self.name, self._exchange.market(symbol)))

    def _step(self, precision: float | None) -> float | None:
        if precision is None:
            return None
        return precision if self._exchange.precisionMode == self._ccxt.TICK_SIZE else 10.0**-precision

    def _whole_body(self, status: int, reason: str, url: str, method: str, headers: Any, body: str, *_: Any) -> str:
        """ccxt's hook for each answer: the body as it is, `BadResponse` where a successful one is not JSON."""
        if 200 <= status < 300:
            try:
                json.loads(body)
            except ValueError:
                raise self._ccxt.BadResponse(f"{method} {url} {status} {reason} is not JSON, {body[:40]!r}") from None
        return body.strip()

    def _clock_difference_ms(self) -> int:
        if self._exchange.has.get("fetchTime") is not True:
            return 0
        venue_ms = self._read("its clock", self._exchange.fetch_time)
        return 0 if venue_ms is None else int(venue_ms) - time.time_ns() // 1_000_000

    def _read(self, what: str, call: Callable[[], _T]) -> _T:
        """Call until it answers. Only reads come here: a repeated order could be two orders."""
        pause = self._retry.first_pause_secs
        for attempt in range(1, self._retry.tries + 1):
            try:
                return call()
            except (self._ccxt.OperationFailed, ConnectionError, _MalformedError) as error:
                if attempt == self._retry.tries:
                    raise VenueError(
                        f"{self.name} gave no usable answer to {attempt} requests for {what} ({_brief(error)}); bars "
                        f"pulled so far are kept: run the same command later to go on"
                    ) from error
                wait = max(
                    min(pause, self._retry.longest_pause_secs) * random.uniform(0.5, 1.0), self._asked_pause(error)
                )
                self._on_retry(f"{self.name}: {_brief(error)}; asking again in {wait:.1f} s (try {attempt + 1})")
                self._sleep(wait)
                pause *= 2
            except self._ccxt.BaseError as error:
                raise RefusedError(f"{self.name} refused {what}: {_brief(error)}") from error
        raise AssertionError("a retry policy asks at least once")

    def _asked_pause(self, error: Exception) -> float:
        """Seconds that the venue asks for in `Retry-After`, 0 where it does not."""
        if not isinstance(error, self._ccxt.RateLimitExceeded):
            return 0.0
        try:
            asked = float((self._exchange.last_response_headers or {}).get("Retry-After", 0.0))
        except ValueError:
            return 0.0
        return min(max(asked, 0.0), self._retry.longest_pause_secs) if math.isfinite(asked) else 0.0


def _columns(rows: Sequence[Sequence[float | None]]) -> Columns:
    """Candle rows as columns, ascending; a row given twice counts once, two rows for one moment are malformed."""
    unique = sorted({tuple(row[:6]) for row in rows}, key=lambda row: float(row[0] or 0.0))
    table = np.array(unique, dtype=np.float64).reshape(-1, 6)
    ts = table[:, 0]
    if not (ts > 0).all() or (np.diff(ts) == 0).any() or np.isnan(table[:, 1:5]).any():
        raise ValueError("a candle lacks its time or a price, or comes twice with different values")
    columns: Columns = {"ts": ts.astype(np.int64)}
    for at, name in enumerate((*PRICES, "volume"), start=1):
        columns[name] = np.ascontiguousarray(table[:, at])
    return columns


def _brief(error: BaseException) -> str:
    """Class and first words of an error: ccxt puts whole HTML pages into its messages."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}{'...' if len(text) > 160 else ''}" if text else type(error).__name__
