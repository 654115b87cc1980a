"""What KuCoin's spot REST API answers, written from the venue's records.

Each maker names the documentation page whose example it follows; numbers are strings without exponent, stamps epoch
ms unless said otherwise.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from executor.sandbox.book import Booked, Day, Fill, Listing, Trigger, VenueOrder
from executor.sandbox.steps import plain

Frame = dict[str, Any]

# Of the account that the documentation's examples show.
USER_ID = "60fe4956c43cbc0006562c2c"
_NANOS = 1_000_000


def market_id(symbol: str) -> str:
    """`BTC/USDT` as KuCoin writes it, `BTC-USDT`."""
    return symbol.replace("/", "-")


def nanos(ms: int) -> int:
    """Epoch ns, as the matching engine stamps."""
    return ms * _NANOS


def ok(data: object) -> Frame:
    """Source: https://www.kucoin.com/docs-new/introduction"""
    return {"code": "200000", "data": data}


def symbol_row(listing: Listing) -> Frame:
    """A market. Source: https://www.kucoin.com/docs-new/rest/spot-trading/market-data/get-all-symbols"""
    name = market_id(listing.symbol)
    return {
        "symbol": name,
        "name": name,
        "baseCurrency": listing.base,
        "quoteCurrency": listing.quote,
        "feeCurrency": fee_currency(listing, "buy"),
        "market": "USDS",
        "baseMinSize": plain(listing.min_qty),
        "quoteMinSize": plain(listing.min_notional),
        "baseMaxSize": "10000000000",
        "quoteMaxSize": "99999999",
        "baseIncrement": plain(listing.lot),
        "quoteIncrement": "0.000001",
        "priceIncrement": plain(listing.tick),
        "priceLimitRate": "0.1",
        "minFunds": plain(listing.min_notional),
        "isMarginEnabled": False,
        "enableTrading": listing.status == "trading",
        "feeCategory": 1,
        "makerFeeCoefficient": "1.00",
        "takerFeeCoefficient": "1.00",
        "st": False,
    }


def currency_row(currency: str) -> Frame:
    """A currency. Source: https://www.kucoin.com/docs-new/rest/spot-trading/market-data/get-all-currencies"""
    chain = {
        "chainName": currency,
        "withdrawalMinSize": "0.001",
        "depositMinSize": "0.0002",
        "withdrawFeeRate": "0",
        "withdrawalMinFee": "0.0005",
        "isWithdrawEnabled": True,
        "isDepositEnabled": True,
        "confirms": 3,
        "preConfirms": 1,
        "contractAddress": "",
        "withdrawPrecision": 8,
        "maxWithdraw": None,
        "maxDeposit": None,
        "needTag": False,
        "chainId": currency.lower(),
    }
    return {
        "currency": currency,
        "name": currency,
        "fullName": currency,
        "precision": 8,
        "confirms": None,
        "contractAddress": None,
        "isMarginEnabled": False,
        "isDebitEnabled": False,
        "chains": [chain],
    }


def ticker_row(listing: Listing, price: float, day: Day, now_ms: int) -> Frame:
    """24 hours. Source: https://www.kucoin.com/docs-new/rest/spot-trading/market-data/get-24hr-stats"""
    name = market_id(listing.symbol)
    return {
        "time": now_ms,
        "symbol": name,
        "symbolName": name,
        "buy": plain(price),
        "sell": plain(price),
        "changeRate": plain((price - day.open) / day.open if day.open else 0.0),
        "changePrice": plain(price - day.open),
        "high": plain(day.high),
        "low": plain(day.low),
        "vol": plain(day.volume),
        "volValue": plain(day.money),
        "last": plain(price),
        "averagePrice": plain(day.money / day.volume if day.volume else price),
        "takerFeeRate": plain(listing.taker),
        "makerFeeRate": plain(listing.maker),
        "takerCoefficient": "1",
        "makerCoefficient": "1",
    }


def level1(price: float, now_ms: int) -> Frame:
    """The best prices. Source: https://www.kucoin.com/docs-new/rest/spot-trading/market-data/get-ticker"""
    return {
        "time": now_ms,
        "sequence": str(now_ms),
        "price": plain(price),
        "size": "0.000025",
        "bestBid": plain(price),
        "bestBidSize": "0.000025",
        "bestAsk": plain(price),
        "bestAskSize": "1.24808993",
    }


def candle_row(row: Sequence[float]) -> list[str]:
    """Seconds, open, close, high, low, base volume, quote volume, of ts (ms), open, high, low, close, volume.

    Source: https://www.kucoin.com/docs-new/rest/spot-trading/market-data/get-klines
    """
    ts, first, high, low, last, volume = row
    return [str(int(ts) // 1000), *(plain(one) for one in (first, last, high, low, volume, volume * last))]


def fee_currency(listing: Listing, side: str) -> str:
    """What the fee of that side is taken in."""
    if listing.fee_in == "base":
        return listing.base if side == "buy" else listing.quote
    return listing.quote if listing.fee_in == "quote" else listing.fee_in


def order_row(order: VenueOrder, listing: Listing) -> Frame:
    """An order. Source: https://www.kucoin.com/docs-new/rest/spot-trading/orders/get-order-by-orderld"""
    currency = next(iter(order.fees), fee_currency(listing, order.side))
    is_open = order.status == "open"
    left = order.qty - order.filled
    price = 0.0 if order.type == "market" else order.price
    return {
        "id": order.id,
        "clientOid": order.client_id,
        "symbol": market_id(order.symbol),
        "opType": "DEAL",
        "type": order.type,
        "side": order.side,
        "price": plain(price),
        "size": plain(order.qty),
        "funds": plain(price * order.qty),
        "dealSize": plain(order.filled),
        "dealFunds": plain(order.cost),
        "remainSize": plain(left if is_open else 0.0),
        "remainFunds": plain(left * price if is_open else 0.0),
        "cancelledSize": plain(0.0 if is_open else left),
        "cancelledFunds": plain(0.0 if is_open else left * price),
        "fee": plain(order.fees.get(currency, 0.0)),
        "feeCurrency": currency,
        "stp": None,
        "timeInForce": "IOC" if order.tif == "ioc" else "GTC",
        "postOnly": order.tif == "poc",
        "hidden": False,
        "iceberg": False,
        "visibleSize": "0",
        "cancelAfter": 0,
        "channel": "API",
        "remark": None,
        "tags": None,
        "cancelExist": order.status == "canceled",
        "tradeType": "TRADE",
        "inOrderBook": is_open,
        "active": is_open,
        "tax": "0",
        "createdAt": order.created_ms,
        "lastUpdatedAt": order.updated_ms,
    }


def placed(order_id: str, client_id: str) -> Frame:
    """The answer to an order or a stop order: little more than its number.

    Source: https://www.kucoin.com/docs-new/rest/spot-trading/orders/add-order
    """
    return {"orderId": order_id, "clientOid": client_id}


def synced(order: VenueOrder, *, hidden: str = "") -> Frame:
    """What the `sync` routes tell of an order. hidden : the field to leave out, `orderId` or `clientOid`.

    Source: https://www.kucoin.com/docs-new/rest/spot-trading/orders/add-order-sync
    """
    is_open = order.status == "open"
    left = order.qty - order.filled
    row = {
        "orderId": order.id,
        "clientOid": order.client_id,
        "orderTime": order.created_ms,
        "originSize": plain(order.qty),
        "dealSize": plain(order.filled),
        "remainSize": plain(left if is_open else 0.0),
        "canceledSize": plain(0.0 if is_open else left),
        "status": "open" if is_open else "done",
        "matchTime": order.updated_ms,
    }
    return {key: value for key, value in row.items() if key != hidden}


def fill_row(fill: Fill, number: int, listing: Listing) -> Frame:
    """A trade of the account. Source: https://www.kucoin.com/docs-new/rest/spot-trading/orders/get-trade-history"""
    return {
        "id": number,
        "orderId": fill.order_id,
        "counterOrderId": "67174228135f9e000709da8c",
        "tradeId": fill.id,
        "symbol": market_id(fill.symbol),
        "side": fill.side,
        "liquidity": "taker" if fill.taker else "maker",
        "type": "limit",
        "forceTaker": False,
        "price": plain(fill.price),
        "size": plain(fill.qty),
        "funds": plain(fill.price * fill.qty),
        "fee": plain(fill.fee),
        "feeRate": plain(listing.taker if fill.taker else listing.maker),
        "feeCurrency": fill.fee_currency,
        "stop": "",
        "tradeType": "TRADE",
        "taxRate": "0",
        "tax": "0",
        "createdAt": fill.ts_ms,
    }


def stop_row(trigger: Trigger, listing: Listing) -> Frame:
    """A stop order that waits. Source: https://www.kucoin.com/docs-new/rest/spot-trading/orders/get-stop-orders-list"""
    order = trigger.order
    return {
        "id": trigger.id,
        "symbol": market_id(trigger.symbol),
        "userId": USER_ID,
        "status": "NEW",
        "type": order.type,
        "side": order.side,
        "price": None if order.type == "market" else _twenty(order.price),
        "size": _twenty(order.qty),
        "funds": None,
        "stp": None,
        "timeInForce": "IOC" if order.tif == "ioc" else "GTC",
        "cancelAfter": -1,
        "postOnly": False,
        "hidden": False,
        "iceberg": False,
        "visibleSize": None,
        "channel": "API",
        "clientOid": trigger.client_id,
        "remark": None,
        "tags": None,
        "orderTime": nanos(trigger.created_ms),
        "domainId": "kucoin",
        "tradeSource": "USER",
        "tradeType": "TRADE",
        "feeCurrency": fee_currency(listing, order.side),
        "takerFeeRate": _twenty(listing.taker),
        "makerFeeRate": _twenty(listing.maker),
        "createdAt": trigger.created_ms,
        "stop": stop_kind(trigger),
        "stopTriggerTime": None,
        "stopPrice": _twenty(trigger.trigger_price),
    }


def stop_kind(trigger: Trigger) -> str:
    """`loss` fires when the price falls to it, `entry` when it rises to it.

    Source: https://www.kucoin.com/docs-new/rest/spot-trading/orders/add-stop-order
    """
    return "loss" if trigger.rule == "<=" else "entry"


def account_row(currency: str, total: float, free: float, kind: str) -> Frame:
    """Money. Source: https://www.kucoin.com/docs-new/rest/account-info/account-funding/get-account-list-spot"""
    return {
        "id": account_id(currency),
        "currency": currency,
        "type": kind,
        "balance": plain(total),
        "available": plain(free),
        "holds": plain(total - free),
    }


def booked_row(row: Booked) -> Frame:
    """A change of money. Source: https://www.kucoin.com/docs-new/rest/account-info/account-funding/get-account-ledgers-tradehf"""
    kinds = {"trade": "TRADE_EXCHANGE", "fee": "TRADE_EXCHANGE", "deposit": "TRANSFER", "withdraw": "TRANSFER"}
    context = {"symbol": market_id(row.symbol), "tradeId": row.id} if row.symbol else {}
    return {
        "id": row.id,
        "currency": row.currency,
        "amount": plain(abs(row.change)),
        "fee": "0",
        "tax": "0",
        "balance": plain(row.balance),
        "accountType": "TRADE_HF",
        "bizType": kinds[row.kind],
        "direction": "in" if row.change > 0 else "out",
        "createdAt": str(row.ts_ms),
        "context": json.dumps(context),
    }


def account_id(currency: str) -> str:
    """A number of its own for each currency of the account."""
    return str(int.from_bytes(currency.encode(), "big") % 10**12)


def key_row(key: str, permission: str) -> Frame:
    """The key. Source: https://www.kucoin.com/docs-new/rest/account-info/account-funding/get-apikey-info"""
    return {
        "remark": "account1",
        "apiKey": key,
        "apiVersion": 3,
        "permission": permission,
        "ipWhitelist": "",
        "createdAt": 1_728_443_843_000,
        "uid": 165111215,
        "isMaster": True,
    }


def bullet(token: str, endpoint: str, ping_ms: int) -> Frame:
    """A websocket address. Source: https://www.kucoin.com/docs-new/websocket-api/base-info/get-private-token-spot-margin"""
    server = {
        "endpoint": endpoint,
        "encrypt": False,
        "protocol": "websocket",
        "pingInterval": ping_ms,
        "pingTimeout": 10_000,
    }
    return {"token": token, "instanceServers": [server]}


def page(items: Sequence[object], number: int, size: int) -> Frame:
    """A page of a list. Source: https://www.kucoin.com/docs-new/rest/spot-trading/orders/get-stop-orders-list"""
    first = (number - 1) * size
    return {
        "currentPage": number,
        "pageSize": size,
        "totalNum": len(items),
        "totalPage": -(-len(items) // size),
        "items": list(items[first : first + size]),
    }


def _twenty(value: float) -> str:
    return format(Decimal(repr(round(value, 12))), ".20f")
