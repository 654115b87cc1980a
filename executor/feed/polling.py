"""`RestCandles`: a venue's candles over REST through ccxt, and the venue's clock."""

import asyncio
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from executor.feed.base import ClosedBar, Series
from executor.feed.venues import errors, exchange_class
from toolkit.bars.volume_units import volume_unit
from toolkit.errors import InputError, UnknownNameError, VenueError

_DEFAULT_PAGE_BARS = 500
_LONGEST_PAUSE_SECS = 60.0


class UnreachableError(VenueError):
    """No usable answer this time; the same may be asked again after `pause_secs` or more."""

    pause_secs = 0.0


class RestCandles:
    """One exchange's candles of the symbols that are traded.

    Parameters
    ----------
    options : ccxt settings, merged deep into the exchange's own. clock : epoch ms of this machine; it may jump.
    """

    def __init__(
        self, exchange: str, symbols: Iterable[str], options: Mapping[str, Any], clock: Callable[[], int]
    ) -> None:
        self.name = exchange
        self._symbols = sorted(set(symbols))
        self._clock = clock
        self._ahead_ms = 0
        self.answers = 0
        self._errors = errors()
        self._exchange = exchange_class(exchange, stream=False)(settings(exchange, self._symbols, options))
        self._exchange.has["fetchCurrencies"] = False
        self._exchange.on_rest_response = self._heard
        self._opening = asyncio.Lock()
        self._is_open = False

    def now_ms(self) -> int:
        """The venue's clock: this machine's, set right by the date of every answer."""
        return self._clock() + self._ahead_ms

    def markets(self) -> list[dict[str, Any]]:
        """ccxt's markets of the symbols."""
        return [self._exchange.markets[symbol] for symbol in self._symbols]

    async def open(self) -> None:
        """Load the markets, once.

        Raises
        ------
        UnknownNameError : the venue does not trade a symbol. VenueError : it refused, or did not answer.
        """
        async with self._opening:
            if self._is_open:
                return
            await self._ask("its markets", self._exchange.load_markets)
            markets = self._exchange.markets
            for symbol in self._symbols:
                if symbol not in markets:
                    raise UnknownNameError(f"symbol on {self.name}", symbol, markets)
                if markets[symbol]["active"] is False:
                    raise VenueError(f"{self.name} does not trade {symbol} now; disable what trades it")
            # The others are megabytes, and are never looked at.
            self._exchange.set_markets([markets[symbol] for symbol in self._symbols])
            self._is_open = True

    def page_bars(self, series: Series) -> int:
        """How many candles one request may ask for."""
        limit = self._exchange.feature_value(series.symbol, "fetchOHLCV", "limit", _DEFAULT_PAGE_BARS)
        return int(limit or _DEFAULT_PAGE_BARS)

    def check(self, series: Series) -> None:
        """`InputError` where the venue serves no candles of this base."""
        if series.base not in (self._exchange.timeframes or {}):
            raise InputError(
                f"{self.name} serves no {series.base} candles, only {', '.join(self._exchange.timeframes)}"
            )

    async def rows(self, series: Series, since_ms: int, count: int) -> Sequence[ClosedBar]:
        """Up to `count` candles that open at or after `since_ms`, ascending, the open one too; volume in base units.

        Raises
        ------
        UnreachableError : no usable answer. VenueError : the venue refuses this range.
        """
        unit = volume_unit(self.name, self._exchange.market(series.symbol))

        async def ask() -> list[ClosedBar]:
            found = await self._exchange.fetch_ohlcv(series.symbol, series.base, since_ms, count)
            return sorted((_bar(row, unit) for row in found), key=lambda bar: bar.ts)

        return [bar for bar in await self._ask(f"{series.base} candles of {series.symbol}", ask) if bar.ts >= since_ms]

    async def close(self) -> None:
        await self._exchange.close()

    async def _ask(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return await call()
        except (self._errors.OperationFailed, OSError) as error:
            failure = UnreachableError(f"{self.name} did not answer for {what} ({brief(error)})")
            if isinstance(error, self._errors.RateLimitExceeded):
                failure.pause_secs = self._asked_pause()
            raise failure from error
        except self._errors.BaseError as error:
            raise VenueError(f"{self.name} refused {what} ({brief(error)})") from error
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise UnreachableError(f"{self.name} answered no candles for {what} ({brief(error)})") from error

    def _heard(self, status: int, reason: str, url: str, method: str, headers: Any, body: str, *_: Any) -> str:
        """ccxt's hook for each answer: sets the clock; a cut body is an error and not an empty list of candles."""
        self.answers += 1
        try:
            venue_ms = int(parsedate_to_datetime(headers["Date"]).timestamp() * 1000)
        except (KeyError, TypeError, ValueError):
            pass
        else:
            # The date counts whole seconds, and the answer was on its way.
            if not venue_ms - 500 <= self.now_ms() <= venue_ms + 3_000:
                self._ahead_ms = venue_ms + 500 - self._clock()
        if 200 <= status < 300:
            try:
                json.loads(body)
            except ValueError:
                raise self._errors.BadResponse(f"{method} {url} {status} {reason}: {body[:40]!r}") from None
        return body.strip()

    def _asked_pause(self) -> float:
        """Seconds that the venue asks for in `Retry-After`, 0 where it does not."""
        try:
            asked = float((self._exchange.last_response_headers or {}).get("Retry-After", 0.0))
        except ValueError:
            return 0.0
        return min(max(asked, 0.0), _LONGEST_PAUSE_SECS) if math.isfinite(asked) else 0.0


def settings(exchange: str, symbols: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """ccxt's settings of an exchange: only the kinds of markets that are traded are loaded."""
    types = sorted({"swap" if ":" in symbol else "spot" for symbol in symbols})
    small: dict[str, Any] = {"fetchMarkets": {"types": types}}
    if exchange == "gate":
        small |= {"swap": {"fetchMarkets": {"settlementCurrencies": ["usdt"]}}, "unifiedAccount": False}
    if exchange == "kucoin":
        small |= {"hf": True, "uta": False}
        small["fetchMarkets"]["fetchTickersFees"] = False
    return _merged({"enableRateLimit": True, "options": small}, options)


def brief(error: BaseException) -> str:
    """Class and first words of an error: ccxt puts whole HTML pages into its messages."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


def _bar(row: Sequence[Any], unit: float) -> ClosedBar:
    ts, opened, high, low, close = (float(value) for value in row[:5])
    volume = math.nan if row[5] is None else float(row[5]) * unit
    if not (ts > 0 and all(map(math.isfinite, (opened, high, low, close)))):
        raise ValueError("a candle lacks its time or a price")
    return ClosedBar(int(ts), opened, high, low, close, volume)


def _merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(ours)
    for key, value in theirs.items():
        inner = found.get(key)
        found[key] = _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return found
