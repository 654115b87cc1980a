"""`Session`: ccxt's REST and websocket objects of one account, questions asked and orders sent once each."""

import asyncio
import json
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from executor.broker.exchange.outcomes import is_missing, is_skew, order_error, said
from executor.broker.exchange.quirks import Quirks
from executor.broker.venue import UnreachableVenueError
from executor.feed.polling import brief, settings
from executor.feed.venues import errors, exchange_class
from toolkit.errors import UnknownNameError, VenueError

_log = logging.getLogger(__name__)
_LONGEST_PAUSE_SECS = 60.0
# A frozen connection is noticed after about three times as long.
_KEEP_ALIVE_MS = 2_000
_TIMEOUT_MS = 10_000
# Orders that ccxt keeps of what was streamed; each update gives all of them.
_ORDERS_KEPT = 200

# What an answer of an unexpected shape becomes inside ccxt.
_BROKEN = (OSError, TypeError, ValueError, KeyError, IndexError, AttributeError)

# With a key ccxt also asks KuCoin which pairs may be borrowed.
_MARKETS_PARAMS = {"kucoin": {"marginables": False}}

_T = TypeVar("_T")


@dataclass(frozen=True)
class Keys:
    """Of an account. password : the passphrase, where the venue has one. None of it is ever shown."""

    key: str = field(repr=False)
    secret: str = field(repr=False)
    password: str = field(default="", repr=False)


class MissingError(UnreachableVenueError):
    """The venue answered that there is no such order."""


class Session:
    """One account's connection. Nothing is retried that changes anything at the venue.

    Parameters
    ----------
    options : ccxt settings, merged deep into the exchange's own.

    Raises
    ------
    UnknownNameError : ccxt knows no such exchange.
    """

    def __init__(self, venue: str, keys: Keys, symbols: Sequence[str], options: Mapping[str, Any]) -> None:
        self.venue, self.errors = venue, errors()
        self._symbols = sorted(set(symbols))
        ours = {
            "apiKey": keys.key,
            "secret": keys.secret,
            "password": keys.password,
            # ccxt's own pace would hold orders back; a venue that wants less says so, and is obeyed.
            "enableRateLimit": False,
            "timeout": _TIMEOUT_MS,
            **options,
        }
        config = settings(venue, self._symbols, ours)
        self.rest: Any = exchange_class(venue, stream=False)(config)
        self.stream: Any = exchange_class(venue, stream=True)(config)
        self.rest.has["fetchCurrencies"] = self.stream.has["fetchCurrencies"] = False
        self.rest.on_rest_response = self._whole
        self.stream.streaming["keepAlive"] = _KEEP_ALIVE_MS
        # With "new updates" alone Gate gives the newest rows of all symbols to whoever waits for one of them.
        self.stream.newUpdates = False
        self.stream.options["ordersLimit"] = _ORDERS_KEPT
        # Of KuCoin: each change of the price, where ccxt's choice is a snapshot every two seconds.
        self.stream.options["watchTicker"] = {"spotMethod": "/market/ticker"}
        # ccxt stamps REST requests by the venue's clock, and websocket ones by this machine's.
        self.stream.seconds = lambda: self.venue_ms() // 1000

    def venue_ms(self) -> int:
        """This machine's clock, set right by the venue's when a session opened, or refused a stamp."""
        return int(self.rest.milliseconds() - (self.rest.options.get("timeDifference") or 0))

    async def open(self) -> None:
        """Set the clock right and load the markets.

        Raises
        ------
        UnknownNameError : the venue does not trade a symbol. UnreachableVenueError : it did not answer.
        """
        await self.set_clock()
        await self.load_markets()

    async def load_markets(self) -> None:
        """Learn the markets anew, and keep the ones of the symbols; one that is gone since is not traded.

        Raises
        ------
        UnknownNameError : the venue has never traded a symbol. UnreachableVenueError : it did not answer.
        """
        before = dict(self.rest.markets or {})
        await self._plain_ask("its markets", lambda: self.rest.load_markets(True, _MARKETS_PARAMS.get(self.venue, {})))
        markets, kept = self.rest.markets, []
        for symbol in self._symbols:
            if symbol not in markets and symbol not in before:
                raise UnknownNameError(f"symbol on {self.venue}", symbol, markets)
            kept.append(markets[symbol] if symbol in markets else {**before[symbol], "active": False})
        for exchange in (self.rest, self.stream):
            exchange.set_markets(kept)

    async def set_clock(self) -> None:
        """Stamp by the venue's clock from now on."""
        await self._plain_ask("its time", self.rest.load_time_difference)
        self.stream.options["timeDifference"] = self.rest.options.get("timeDifference")

    async def check_key(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """The first signed question.

        Raises
        ------
        VenueError : the key is refused. UnreachableVenueError : no usable answer.
        """
        try:
            return await call()
        except self.errors.AuthenticationError as error:
            raise VenueError(
                f"{self.venue} refused the key ({said(error).text or brief(error)}); "
                f"check key, secret, passphrase, and the addresses it may be used from"
            ) from error
        except (self.errors.BaseError, *_BROKEN) as error:
            raise self._no_answer("the account", error) from error

    async def ask(self, quirks: Quirks, what: str, call: Callable[[], Awaitable[_T]]) -> _T:
        """The answer to a question; a stamp that was refused is set right, once.

        Raises
        ------
        MissingError : there is no such order. UnreachableVenueError : no usable answer.
        """
        try:
            try:
                return await call()
            except self.errors.BaseError as error:
                if not is_skew(error, quirks):
                    raise
                await self.set_clock()
                return await call()
        except (self.errors.BaseError, *_BROKEN) as error:
            if is_missing(error, self.errors):
                raise MissingError(f"{self.venue} knows no such order ({what})") from error
            raise self._no_answer(what, error) from error

    async def send(self, quirks: Quirks, what: str, call: Callable[[], Awaitable[_T]]) -> _T:
        """Done at most once: only a request that was surely refused for its stamp is sent a second time.

        Raises
        ------
        RefusedError : surely not done. UnknownOutcomeError : nobody knows.
        """
        try:
            try:
                return await call()
            except self.errors.BaseError as error:
                if not is_skew(error, quirks):
                    raise
                _log.warning("the clock is off by %s's; it is set right", self.venue)
                await self.set_clock()
                return await call()
        except UnreachableVenueError as error:
            raise order_error(what, error, quirks, self.errors, error.pause_secs) from error
        except (self.errors.BaseError, *_BROKEN) as error:
            raise order_error(what, error, quirks, self.errors, self._asked_pause()) from error

    def open_stream(self) -> None:
        """Before each wait: KuCoin's channels ask REST for an address, which ccxt leaves to an opened object."""
        self.stream.open()

    async def drop_stream(self) -> None:
        """Close the websockets; the next waits open others."""
        await self.stream.close_ws_clients()

    def is_streaming(self) -> bool:
        """Every websocket is open."""
        clients = self.stream.clients.values()
        return bool(clients) and all(client.isConnected and not client.closed() for client in clients)

    def keep_alive(self) -> None:
        """Ping often: ccxt lets a venue's own, slower beat win."""
        for client in self.stream.clients.values():
            client.keepAlive = _KEEP_ALIVE_MS

    def forget_tokens(self) -> None:
        """Ask for a new websocket address: KuCoin's holds a token that expires, and ccxt keeps it."""
        if "urls" in self.stream.options:
            self.stream.options["urls"] = {}

    async def close(self) -> None:
        await asyncio.gather(self.stream.close(), self.rest.close())

    async def _plain_ask(self, what: str, call: Callable[[], Awaitable[_T]]) -> _T:
        try:
            return await call()
        except (self.errors.BaseError, *_BROKEN) as error:
            raise self._no_answer(what, error) from error

    def _no_answer(self, what: str, error: BaseException) -> UnreachableVenueError:
        pause = self._asked_pause() if isinstance(error, self.errors.RateLimitExceeded) else 0.0
        return UnreachableVenueError(f"{self.venue} did not answer for {what} ({brief(error)})", pause_secs=pause)

    def _whole(self, status: int, reason: str, url: str, method: str, headers: Any, body: str, *_: Any) -> str:
        """ccxt's hook for each answer: a cut body is an error, not an empty order."""
        if 200 <= status < 300 and status != 204:
            try:
                json.loads(body)
            except ValueError:
                raise self.errors.BadResponse(f"{method} {status} {reason}: {body[:40]!r}") from None
        return body.strip()

    def _asked_pause(self) -> float:
        """Seconds that the last answer asks for, 0 where it does not."""
        headers = {key.lower(): value for key, value in (self.rest.last_response_headers or {}).items()}
        for name, unit in (
            ("retry-after", 1.0),
            ("gw-ratelimit-reset", 1_000.0),
            ("x-gate-ratelimit-reset-timestamp", 0.0),
        ):
            try:
                asked = float(headers.get(name, ""))
            except ValueError:
                continue
            secs = asked / unit if unit else asked - self.venue_ms() / 1000
            if math.isfinite(secs) and secs > 0:
                return min(secs, _LONGEST_PAUSE_SECS)
        return 0.0
