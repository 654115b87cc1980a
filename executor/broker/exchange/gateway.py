"""`ExchangeGateway`: one account at a venue that ccxt knows."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from executor.broker.exchange.account import Account
from executor.broker.exchange.finding import Finder
from executor.broker.exchange.hearing import Ears
from executor.broker.exchange.known import quirks_of
from executor.broker.exchange.markets import Market
from executor.broker.exchange.quirks import SwapSettings
from executor.broker.exchange.requests import needs_price, request_of
from executor.broker.exchange.session import Keys, Session
from executor.broker.exchange.words import listed, order_word
from executor.broker.venue import (
    Balance,
    Capabilities,
    Heard,
    Held,
    Listed,
    RefusedError,
    Rules,
    Seen,
    Ticket,
    Type,
    UnknownOutcomeError,
    UnreachableVenueError,
    Word,
)
from executor.tasks import end
from toolkit.errors import UnknownNameError

_log = logging.getLogger(__name__)
# A heard price that is older is asked for again.
_FRESH_SECS = 5.0
_LEARN_SECS = 900.0


class ExchangeGateway:
    """One account, spot and swap markets of it.

    Parameters
    ----------
    venue : ccxt's name. swap : how swaps are traded; set and verified by `open`.
    options : ccxt settings, merged deep into the exchange's own.
    stale_secs : a stream that is silent for longer is opened anew.
    monotonic, sleep : time that passes, in seconds.

    Raises
    ------
    UnknownNameError : nothing is known of the venue. InputError : ccxt is not installed.
    """

    def __init__(
        self,
        venue: str,
        keys: Keys,
        *,
        swap: SwapSettings | None = None,
        options: Mapping[str, Any] | None = None,
        stale_secs: float = 30.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = venue
        self._keys, self._swap, self._options = keys, swap or SwapSettings(), options or {}
        self._stale_secs, self._monotonic, self._sleep = stale_secs, monotonic, sleep
        self._markets: dict[str, Market] = {}
        self._session: Session | None = None
        self._learning: asyncio.Task[None] | None = None

    async def open(self, symbols: Sequence[str]) -> None:
        """As the protocol says; also sets and verifies position mode, leverage and margin mode of swaps.

        Raises
        ------
        InputError : the venue does not trade a symbol, or it is of a market that is not traded live.
        VenueError : the key is refused, or a mode cannot be set. UnreachableVenueError : no answer.
        """
        quirks = {symbol: quirks_of(self.name, symbol) for symbol in symbols}
        self._session = session = Session(self.name, self._keys, symbols, self._options)
        try:
            await session.open()
            rows = session.rest.markets
            for symbol, quirk in quirks.items():
                self._markets[symbol] = Market(rows[symbol], quirk, hedge=self._swap.hedge)
            self._account = Account(session, self._markets, self._swap)
            await self._account.prepare()
        except BaseException:
            await session.close()
            raise
        self._finder = Finder(session, self._markets, self._sleep)
        self._ears = Ears(session, self._markets, self._finder, self._stale_secs, self._monotonic, self._sleep)
        self._ears.start()
        self._learning = asyncio.create_task(self._keep_learning())

    def rules(self, symbol: str) -> Rules:
        return self._market(symbol).rules()

    def capabilities(self, symbol: str) -> Capabilities:
        found = quirks_of(self.name, symbol).capabilities
        return replace(found, hedge=self._swap.hedge) if found.market == "swap" else found

    async def can_withdraw(self) -> bool | None:
        """Whether the key may take money out; None where the venue does not say."""
        return await self._account.can_withdraw()

    async def submit(self, ticket: Ticket) -> Word:
        market = self._market(ticket.symbol)
        last = 0.0
        if needs_price(ticket, market):
            try:
                last = await self.last_price(ticket.symbol)
            except UnreachableVenueError as error:
                # Nothing has left yet.
                pause = max(error.pause_secs, 1.0)
                raise RefusedError(f"{ticket.symbol} has no price ({error})", code="price", pause_secs=pause) from error
        request = request_of(ticket, market, last)
        what = f"{ticket.kind.value} {ticket.client_id} of {ticket.symbol}"
        try:
            row = await self._open().send(market.quirks, what, lambda: self._open().rest.create_order(*request))
        except RefusedError as error:
            market.is_halted = market.is_halted or error.is_halted
            raise
        word = replace(order_word(row, market), client_id=ticket.client_id, symbol=ticket.symbol)
        if not word.venue_id:
            raise UnknownOutcomeError(f"{self.name} answered {what} without a number")
        if ticket.type in (Type.STOP, Type.TARGET):
            # Answers to triggers say little more than a number.
            word = replace(word, seen=Seen.OPEN, filled=0.0, price=float("nan"), fees={})
        self._ears.sent(word, is_trigger=ticket.type in (Type.STOP, Type.TARGET))
        return word

    async def cancel(self, ticket: Ticket, venue_id: str) -> None:
        quirks = self._market(ticket.symbol).quirks
        is_trigger = ticket.type in (Type.STOP, Type.TARGET) and quirks.triggers_apart
        if venue_id:
            try:
                return await self._cancel(ticket, venue_id, is_trigger=is_trigger)
            except (RefusedError, UnknownOutcomeError) as error:
                if error.pause_secs:
                    raise
                # Venues refuse the cancel of what has ended, or fired, each in its own class.
                word = await self._found_after(ticket, venue_id, error)
                if not (word.fired_id or word.seen.is_final):
                    raise
        else:
            word = await self.find(ticket, "")
        if not word.seen.is_final:
            number = word.fired_id or word.venue_id
            await self._cancel(ticket, number, is_trigger=is_trigger and not word.fired_id)

    async def find(self, ticket: Ticket, venue_id: str) -> Word:
        word = await self._finder.find(ticket, venue_id)
        self._ears.learned(ticket, word)
        return word

    async def orders(self, symbol: str) -> Sequence[Listed]:
        market, found = self._market(symbol), list[Listed]()
        for is_trigger in (False, True) if market.quirks.triggers_apart else (False,):
            rows = await self._finder.open_orders(market, trigger=is_trigger)
            found.extend(self._ears.named(listed(row, market, is_trigger=is_trigger)) for row in rows)
        return found

    async def traded(self, symbol: str) -> Sequence[Listed]:
        return await self._finder.traded(self._market(symbol))

    async def held(self) -> Sequence[Held]:
        return await self._account.held()

    async def balances(self) -> Sequence[Balance]:
        return await self._account.balances()

    async def last_price(self, symbol: str) -> float:
        """The price that was heard last; asked for where that is some seconds ago."""
        market, session = self._market(symbol), self._open()
        heard = self._ears.price(symbol, _FRESH_SECS)
        if heard is not None:
            return heard
        row = await session.ask(market.quirks, f"the price of {symbol}", lambda: session.rest.fetch_ticker(symbol))
        try:
            return float(row["last"])
        except TypeError:
            raise UnreachableVenueError(f"{self.name} named no price of {symbol}") from None

    async def hear(self) -> Heard:
        return await self._ears.hear()

    async def close(self) -> None:
        if self._session is None:
            return
        if self._learning is not None:
            await end([self._learning])
            await self._ears.close()
        await self._session.close()

    async def _cancel(self, ticket: Ticket, venue_id: str, *, is_trigger: bool) -> None:
        what = f"the cancel of {ticket.client_id} of {ticket.symbol}"
        call = partial(self._open().rest.cancel_order, venue_id, ticket.symbol, {"trigger": True} if is_trigger else {})
        await self._open().send(self._market(ticket.symbol).quirks, what, call)

    async def _found_after(self, ticket: Ticket, venue_id: str, error: Exception) -> Word:
        try:
            return await self.find(ticket, venue_id)
        except UnreachableVenueError:
            raise error from None

    async def _keep_learning(self) -> None:
        """Rules change, and markets are halted, while a daemon runs."""
        while True:
            await self._sleep(_LEARN_SECS)
            try:
                await self._open().load_markets()
            except UnreachableVenueError as error:
                _log.warning("%s", error)
                continue
            for market in self._markets.values():
                market.learn(self._open().rest.markets[market.symbol])

    def _open(self) -> Session:
        if self._session is None:
            raise UnreachableVenueError(f"{self.name} is not open")
        return self._session

    def _market(self, symbol: str) -> Market:
        if symbol not in self._markets:
            raise UnknownNameError(f"symbol that was opened on {self.name}", symbol, self._markets)
        return self._markets[symbol]
