"""A ticket as the arguments of ccxt's `create_order`."""

import math
from typing import Any, NamedTuple

from executor.broker.exchange.markets import Market
from executor.broker.venue import RefusedError, Ticket, Type

# How far beyond the last price a market buy that must be a limit order may be filled.
BUY_ROOM = 0.01
# How far beyond its trigger a limit is placed where the ticket names no price, and the venue takes limits alone.
_TRIGGER_ROOM = 0.005


class Request(NamedTuple):
    """Arguments of `create_order`. amount : in the venue's units. price : None for a market order."""

    symbol: str
    type: str
    side: str
    amount: float
    price: float | None
    params: dict[str, Any]


def needs_price(ticket: Ticket, market: Market) -> bool:
    """Whether the last price must be known to write the request."""
    return ticket.type is Type.MARKET and ticket.side == "buy" and market.quirks.buys_by_cost


def request_of(ticket: Ticket, market: Market, last_price: float) -> Request:
    """How the ticket is said to the venue.

    last_price : of the symbol; looked at where `needs_price`.

    Raises
    ------
    RefusedError : below the venue's least amount or money; it was not sent.
    """
    amount = market.amount(ticket.qty)
    params: dict[str, Any] = {market.quirks.client_param: market.quirks.client_prefix + ticket.client_id}
    kind, price = "market", None
    if ticket.type is Type.MARKET:
        if needs_price(ticket, market):
            # A market buy there takes money, which buys another quantity than the one that was sized.
            kind, price = "limit", last_price * (1.0 + BUY_ROOM)
            params["timeInForce"] = "IOC"
    elif ticket.type is Type.LIMIT:
        kind, price = "limit", ticket.price
    else:
        params["stopLossPrice" if ticket.type is Type.STOP else "takeProfitPrice"] = ticket.trigger_price
        price = _placed_price(ticket, market)
        kind = "market" if price is None else "limit"
    if market.quirks.market == "swap":
        params |= _swap_params(ticket, market)
    _check(ticket, market, amount, price if price is not None else ticket.trigger_price)
    return Request(market.symbol, kind, ticket.side, amount, price, params)


def _placed_price(ticket: Ticket, market: Market) -> float | None:
    """Limit of what a trigger places, None for a market order."""
    if not math.isnan(ticket.price):
        return ticket.price
    if not market.quirks.capabilities.stop_is_limit:
        return None
    return ticket.trigger_price * (1.0 - _TRIGGER_ROOM if ticket.side == "sell" else 1.0 + _TRIGGER_ROOM)


def _swap_params(ticket: Ticket, market: Market) -> dict[str, Any]:
    params: dict[str, Any] = {"reduceOnly": True} if ticket.reduce_only else {}
    if market.quirks.venue == "binanceusdm" and market.hedge:
        # In hedge mode an order names its side, and may not say that it reduces.
        return {"positionSide": ticket.position.upper()}
    return params


def _check(ticket: Ticket, market: Market, amount: float, price: float) -> None:
    """Venues refuse these too, some only once a trigger fires."""
    rules = market.rules()
    if amount * market.contract_size < rules.min_qty * (1.0 - 1e-9):
        raise RefusedError(
            f"{ticket.qty:g} of {ticket.symbol} is less than {market.quirks.venue} takes, {rules.min_qty:g}",
            code="min_qty",
        )
    money = amount * market.contract_size * price
    if money < rules.min_notional:
        raise RefusedError(
            f"{money:g} {market.quote} of {ticket.symbol} is less than {market.quirks.venue} takes, "
            f"{rules.min_notional:g}",
            code="min_notional",
        )
