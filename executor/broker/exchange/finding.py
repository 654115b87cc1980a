"""`Finder`: where an order stands, asked for in every place where a venue may list it.

An order that was sent and never answered may be open, finished, or known by its trades alone; its client id is asked
for first, and then looked for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from executor.broker.exchange.markets import Market
from executor.broker.exchange.session import MissingError, Session
from executor.broker.exchange.words import (
    Row,
    client_id_of,
    fired_word,
    names_of,
    order_word,
    stamp,
    trade_fees,
    traded,
    traded_order,
    trades_word,
    trigger_word,
)
from executor.broker.venue import Listed, Seen, Ticket, Type, Word

# Clocks differ, and a venue stamps an order later than it was written down here.
_BEFORE_MS = 300_000
_PAGE = 100
# Between a trigger leaving its list and its order being listed.
_BETWEEN_SECS = 1.0


class Finder:
    """Looks orders up over REST. sleep : how to wait, in seconds."""

    def __init__(
        self,
        session: Session,
        markets: Mapping[str, Market],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._session, self._markets, self._sleep = session, markets, sleep

    async def find(self, ticket: Ticket, venue_id: str) -> Word:
        """As `Gateway.find` says; UnreachableVenueError where one of the places did not answer."""
        market = self._markets[ticket.symbol]
        if ticket.type in (Type.STOP, Type.TARGET) and market.quirks.triggers_apart:
            return await self._find_trigger(ticket, venue_id, market)
        row = await self._order(market, venue_id, ticket.client_id)
        if row is None:
            row = await self._among(market, ticket.client_id, trigger=False)
        if row is not None:
            return replace(await self.with_fees(order_word(row, market), market), client_id=ticket.client_id)
        return await self._by_trades(ticket, venue_id, market)

    async def order(self, market: Market, venue_id: str) -> Word | None:
        """A plain order by its number, with its fees; None where the venue knows none."""
        row = await self._order(market, venue_id, "")
        return None if row is None else await self.with_fees(order_word(row, market), market)

    async def open_orders(self, market: Market, *, trigger: bool) -> Sequence[Row]:
        """Every open order of a symbol, or every waiting trigger, page by page."""
        field, found = market.quirks.trigger_pages if trigger else market.quirks.pages, dict[str, Row]()
        while True:
            params: dict[str, Any] = {"trigger": True} if trigger else {}
            if found:
                # Pages are counted from one, offsets in orders.
                params[field] = len(found) if field == "offset" else len(found) // _PAGE + 1
            rows: Sequence[Row] = await self._session.ask(
                market.quirks,
                f"open orders of {market.symbol}",
                partial(self._session.rest.fetch_open_orders, market.symbol, None, _PAGE, params),
            )
            before = len(found)
            found.update((str(row["id"]), row) for row in rows)
            if not field or len(rows) < _PAGE or len(found) == before:
                return list(found.values())

    async def with_fees(self, word: Word, market: Market) -> Word:
        """The word with what its trades cost, where it does not say so and they are all listed."""
        if word.fees is not None or not word.filled:
            return word
        trades = [row for row in await self._trades(market, word.ts_ms) if str(row.get("order")) == word.venue_id]
        is_whole = abs(traded(trades, market) - word.filled) <= 0.5 * market.step * market.contract_size
        return replace(word, fees=trade_fees(trades)) if is_whole else word

    async def traded(self, market: Market) -> Sequence[Listed]:
        """Orders by the account's newest trades."""
        rows, orders = await self._trades(market, None), dict[str, list[Row]]()
        for row in sorted(rows, key=stamp):
            orders.setdefault(str(row.get("order")), []).append(row)
        if len(rows) >= _PAGE:
            # The oldest one's first trades may be on the page before.
            del orders[next(iter(orders))]
        return [traded_order(number, fills, market) for number, fills in orders.items()]

    async def _find_trigger(self, ticket: Ticket, venue_id: str, market: Market) -> Word:
        row = await self._trigger(market, venue_id, ticket.client_id)
        if row is None and not venue_id:
            row = await self._among(market, ticket.client_id, trigger=True)
        if row is not None:
            word = replace(trigger_word(row, market), client_id=ticket.client_id)
            return await self._follow(word, ticket, market) if word.seen is Seen.FIRED else word
        for is_last in (False, True):
            order = await self._fired_order(ticket, market)
            if order is not None:
                word = replace(order, client_id=ticket.client_id, venue_id=venue_id or order.venue_id)
                return fired_word(word, order)
            if not is_last:
                await self._sleep(_BETWEEN_SECS)
        if not venue_id:
            return _nowhere(ticket)
        # The venue had it, and no order came of it.
        return replace(_nowhere(ticket), seen=Seen.CANCELLED, venue_id=venue_id, reason="the trigger ended")

    async def _follow(self, word: Word, ticket: Ticket, market: Market) -> Word:
        """What became of the order that the trigger placed."""
        order = await self.order(market, word.fired_id) if word.fired_id else await self._fired_order(ticket, market)
        return word if order is None else fired_word(word, order)

    async def _fired_order(self, ticket: Ticket, market: Market) -> Word | None:
        """The order that a trigger placed, where it kept the client id."""
        row = await self._order(market, "", ticket.client_id)
        if row is None:
            row = await self._among(market, ticket.client_id, trigger=False)
        return None if row is None else await self.with_fees(order_word(row, market), market)

    async def _order(self, market: Market, venue_id: str, client_id: str) -> Row | None:
        """By its number, otherwise by its client id."""
        quirks = market.quirks
        if venue_id:
            found = await self._asked(market, lambda: self._session.rest.fetch_order(venue_id, market.symbol))
            if found is not None:
                return found
        if not client_id or not quirks.finds_by_client:
            return None
        params = {quirks.client_param: quirks.client_prefix + client_id}
        return await self._asked(market, lambda: self._session.rest.fetch_order(None, market.symbol, params))

    async def _trigger(self, market: Market, venue_id: str, client_id: str) -> Row | None:
        quirks, params = market.quirks, dict[str, Any](trigger=True)
        if not venue_id:
            if not quirks.finds_triggers_by_client:
                return None
            params[quirks.client_param] = quirks.client_prefix + client_id
        return await self._asked(
            market, lambda: self._session.rest.fetch_order(venue_id or None, market.symbol, params)
        )

    async def _asked(self, market: Market, call: Callable[[], Awaitable[Row]]) -> Row | None:
        """None where the venue says that there is no such order."""
        try:
            row = await self._session.ask(market.quirks, f"an order of {market.symbol}", call)
        except MissingError:
            return None
        return row if row.get("id") else None

    async def _among(self, market: Market, client_id: str, *, trigger: bool) -> Row | None:
        """Among the open and the finished ones."""
        rows = await self.open_orders(market, trigger=trigger)
        found = next((row for row in rows if client_id_of(row, market) == client_id), None)
        if found is not None or (trigger and market.quirks.ended_triggers_vanish):
            return found
        rows = await self._session.ask(
            market.quirks,
            f"finished orders of {market.symbol}",
            partial(
                self._session.rest.fetch_closed_orders,
                market.symbol,
                None,
                _PAGE,
                {"trigger": True} if trigger else {},
            ),
        )
        return next((row for row in rows if client_id_of(row, market) == client_id), None)

    async def _by_trades(self, ticket: Ticket, venue_id: str, market: Market) -> Word:
        """An order that is listed nowhere and was filled all the same."""
        named = market.quirks.client_prefix + ticket.client_id
        rows = await self._trades(market, None)
        ours = [row for row in rows if str(row.get("order")) == venue_id or named in _names(row)]
        if not ours and len(rows) >= _PAGE:
            rows = await self._trades(market, ticket.created_ms)
            ours = [row for row in rows if str(row.get("order")) == venue_id or named in _names(row)]
        if not ours:
            return _nowhere(ticket)
        number = str(ours[0].get("order") or venue_id)
        order = await self._order(market, number, "")
        if order is not None:
            return replace(await self.with_fees(order_word(order, market), market), client_id=ticket.client_id)
        return trades_word(number, ticket.client_id, ours, market)

    async def _trades(self, market: Market, around_ms: int | None) -> Sequence[Row]:
        """A page of the account's trades: the newest, or from some minutes before a moment."""
        since = None if around_ms is None else max(around_ms - _BEFORE_MS, 1)
        found: Sequence[Row] = await self._session.ask(
            market.quirks,
            f"trades of {market.symbol}",
            lambda: self._session.rest.fetch_my_trades(market.symbol, since, _PAGE),
        )
        return found


def _names(row: Row) -> set[Any]:
    return set(names_of(row))


def _nowhere(ticket: Ticket) -> Word:
    return Word(ticket.client_id, Seen.ABSENT, 0.0, float("nan"), {}, 0, symbol=ticket.symbol)
