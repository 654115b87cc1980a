"""A gateway under the deployment's names: `BTC/USDT` of a backtest may be the swap `BTC/USDT:USDT` of a venue."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from executor.broker.venue import (
    Balance,
    Capabilities,
    Gateway,
    Heard,
    Held,
    Listed,
    Rules,
    Ticket,
    Word,
)

_W = TypeVar("_W", bound=Word)


class Renamed:
    """`gateway` with other names of its symbols.

    rename : gives the venue's name of one of the deployment's. A symbol of the venue that was never asked for keeps its
        own.
    """

    def __init__(self, gateway: Gateway, rename: Callable[[str], str]) -> None:
        self.name, self._gateway, self._theirs = gateway.name, gateway, rename
        self._ours: dict[str, str] = {}

    async def open(self, symbols: Sequence[str]) -> None:
        await self._gateway.open([self._out(symbol) for symbol in symbols])

    def rules(self, symbol: str) -> Rules:
        return self._gateway.rules(self._out(symbol))

    def capabilities(self, symbol: str) -> Capabilities:
        return self._gateway.capabilities(self._out(symbol))

    async def submit(self, ticket: Ticket) -> Word:
        return self._in(await self._gateway.submit(self._sent(ticket)))

    async def cancel(self, ticket: Ticket, venue_id: str) -> None:
        await self._gateway.cancel(self._sent(ticket), venue_id)

    async def find(self, ticket: Ticket, venue_id: str) -> Word:
        return self._in(await self._gateway.find(self._sent(ticket), venue_id))

    async def orders(self, symbol: str) -> Sequence[Listed]:
        return [self._in(one) for one in await self._gateway.orders(self._out(symbol))]

    async def traded(self, symbol: str) -> Sequence[Listed]:
        return [self._in(one) for one in await self._gateway.traded(self._out(symbol))]

    async def held(self) -> Sequence[Held]:
        return [replace(one, symbol=self._name(one.symbol)) for one in await self._gateway.held()]

    async def balances(self) -> Sequence[Balance]:
        return await self._gateway.balances()

    async def last_price(self, symbol: str) -> float:
        return await self._gateway.last_price(self._out(symbol))

    async def hear(self) -> Heard:
        heard = await self._gateway.hear()
        return Heard(
            [self._in(word) for word in heard.words], [self._name(symbol) for symbol in heard.symbols],
            {self._name(symbol): price for symbol, price in heard.prices.items()}, heard.is_broken,
        )  # fmt: skip

    async def can_withdraw(self) -> bool | None:
        return await self._gateway.can_withdraw()

    async def close(self) -> None:
        await self._gateway.close()

    def _out(self, symbol: str) -> str:
        theirs = self._theirs(symbol)
        self._ours[theirs] = symbol
        return theirs

    def _name(self, symbol: str) -> str:
        return self._ours.get(symbol, symbol)

    def _sent(self, ticket: Ticket) -> Ticket:
        return replace(ticket, symbol=self._out(ticket.symbol))

    def _in(self, word: _W) -> _W:
        return replace(word, symbol=self._name(word.symbol))
