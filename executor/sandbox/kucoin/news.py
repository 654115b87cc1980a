"""What KuCoin's spot websocket says, written from the venue's records.

Each maker names the documentation page whose example it follows.
"""

from collections.abc import Sequence
from typing import Any

from executor.sandbox.book import Fill, Trigger, VenueOrder
from executor.sandbox.kucoin.frames import (
    USER_ID,
    account_id,
    candle_row,
    market_id,
    nanos,
    stop_kind,
)
from executor.sandbox.records import Moved
from executor.sandbox.steps import plain

Frame = dict[str, Any]

ORDERS, ORDERS_V2 = "/spotMarket/tradeOrders", "/spotMarket/tradeOrdersV2"
STOPS, BALANCES = "/spotMarket/advancedOrders", "/account/balance"
PRIVATE = (ORDERS, ORDERS_V2, STOPS, BALANCES)
TICKER, CANDLES = "/market/ticker", "/market/candles"
SNAPSHOT = "/market/snapshot"


def welcome(connect_id: str) -> Frame:
    """The first message. Source: https://www.kucoin.com/docs-new/websocket-api/base-info/introduction"""
    return {"id": connect_id, "type": "welcome"}


def ack(number: str) -> Frame:
    """Source: https://www.kucoin.com/docs-new/websocket-api/base-info/introduction"""
    return {"id": number, "type": "ack"}


def pong(number: str, now_ms: int) -> Frame:
    """Source: https://www.kucoin.com/docs-new/websocket-api/base-info/introduction"""
    return {"id": number, "type": "pong", "timestamp": now_ms * 1000}


def error(number: str, code: int, text: str) -> Frame:
    """Source: https://www.kucoin.com/docs-new/error-code/websocket"""
    return {"id": number, "type": "error", "code": code, "data": text}


def order_news(order: VenueOrder, kind: str, topic: str = ORDERS, ts_ms: int | None = None) -> Frame:
    """An order entered the book (`open`), was changed (`update`), was filled whole (`filled`) or ended (`canceled`).

    Source: https://www.kucoin.com/docs/websocket/spot-trading/private-channels/private-order-change
    """
    data = _order(order, kind, "open" if kind in ("open", "update") else "done", ts_ms)
    return _private(topic, "orderChange", order.id, data)


def match_news(order: VenueOrder, fill: Fill, filled: float, topic: str = ORDERS) -> Frame:
    """A part of an order was filled; `fill` is that part, `filled` the sum with it.

    Source: https://www.kucoin.com/docs/websocket/spot-trading/private-channels/private-order-change
    """
    data = _order(order, "match", "match", fill.ts_ms)
    liquidity = "taker" if fill.taker else "maker"
    data |= {
        "liquidity": liquidity,
        "feeType": f"{liquidity}Fee",
        "filledSize": plain(filled),
        "remainSize": plain(order.qty - filled),
        "matchPrice": plain(fill.price),
        "matchSize": plain(fill.qty),
        "tradeId": fill.id,
    }
    return _private(topic, "orderChange", fill.id, data)


def stop_news(trigger: Trigger, kind: str, now_ms: int) -> Frame:
    """A stop order came (`open`), fired (`triggered`, `error` where it failed) or was taken away (`cancel`).

    Source: https://www.kucoin.com/docs/websocket/spot-trading/private-channels/stop-order-event; `triggerSuccess` and
    `error` of one that failed as in https://github.com/ccxt/ccxt/pull/18747
    """
    order = trigger.order
    price = order.price if order.type != "market" else trigger.trigger_price
    data: Frame = {
        "createdAt": trigger.created_ms,
        "orderId": trigger.id,
        "orderPrice": plain(price),
        "orderType": "stop",
        "side": order.side,
        "size": plain(order.qty),
        "stop": stop_kind(trigger),
        "stopPrice": plain(trigger.trigger_price),
        "symbol": market_id(trigger.symbol),
        "tradeType": "TRADE",
        "ts": nanos(now_ms),
        "type": kind,
    }
    if kind == "triggered":
        data["triggerSuccess"] = trigger.status == "fired"
        if trigger.status != "fired":
            data["error"] = trigger.reason
    return _private(STOPS, "stopOrder", trigger.id, data)


def balance_news(moved: Moved, now_ms: int) -> Frame:
    """Money moved. Source: https://www.kucoin.com/docs-new/3470075w0"""
    data = {
        "accountId": account_id(moved.currency),
        "currency": moved.currency,
        "total": plain(moved.money.total),
        "available": plain(moved.money.free),
        "hold": plain(moved.money.held),
        "availableChange": plain(moved.free_change),
        "holdChange": plain(moved.held_change),
        "relationContext": {},
        "relationEvent": "trade_hf.setted" if moved.free_change + moved.held_change else "trade_hf.hold",
        "relationEventId": str(now_ms),
        "time": str(now_ms),
    }
    return _private(BALANCES, "account.balance", str(now_ms), data)


def ticker_news(symbol: str, price: float, volume: float, now_ms: int, *, to_all: bool = False) -> Frame:
    """A trade of the market. to_all : for those who hear of all markets; the subject then names the market.

    Source: https://www.kucoin.com/docs-new/3470063w0 and https://www.kucoin.com/docs-new/3470064w0
    """
    data = {
        "bestAsk": plain(price),
        "bestAskSize": "0.40022102",
        "bestBid": plain(price),
        "bestBidSize": "3.39600903",
        "price": plain(price),
        "sequence": str(now_ms),
        "size": plain(volume),
        "time": now_ms,
    }
    if to_all:
        return _public(f"{TICKER}:all", market_id(symbol), data)
    return _public(f"{TICKER}:{market_id(symbol)}", "trade.ticker", data)


def snapshot_news(row: Frame, now_ms: int) -> Frame:
    """24 hours of a market, of a row of `ticker_row`. Source: https://www.kucoin.com/docs-new/3470065w0"""
    data = {
        "symbol": row["symbol"],
        "symbolCode": row["symbol"],
        "trading": True,
        "buy": float(row["buy"]),
        "sell": float(row["sell"]),
        "lastTradedPrice": float(row["last"]),
        "high": float(row["high"]),
        "low": float(row["low"]),
        "vol": float(row["vol"]),
        "volValue": float(row["volValue"]),
        "changePrice": float(row["changePrice"]),
        "changeRate": float(row["changeRate"]),
        "datetime": now_ms,
    }
    topic = f"{SNAPSHOT}:{row['symbol']}"
    return _public(topic, "trade.snapshot", {"sequence": str(now_ms), "data": data})


def candle_news(symbol: str, interval: str, row: Sequence[float], now_ms: int) -> Frame:
    """A candle as it is now; no word that it closed. interval : as KuCoin writes it, `1min`.

    Source: https://www.kucoin.com/docs-new/3470071w0
    """
    name = market_id(symbol)
    data = {"symbol": name, "candles": candle_row(row), "time": nanos(now_ms)}
    return _public(f"{CANDLES}:{name}_{interval}", "trade.candles.update", data)


def _order(order: VenueOrder, kind: str, status: str, ts_ms: int | None) -> Frame:
    is_done = status == "done"
    return {
        "symbol": market_id(order.symbol),
        "orderType": order.type,
        "side": order.side,
        "orderId": order.id,
        "type": kind,
        "orderTime": order.created_ms,
        "size": plain(order.qty),
        "filledSize": plain(order.filled),
        "price": plain(0.0 if order.type == "market" else order.price),
        "clientOid": order.client_id,
        "remainSize": plain(0.0 if is_done else order.qty - order.filled),
        "status": status,
        "ts": nanos(order.updated_ms if ts_ms is None else ts_ms),
    }


def _private(topic: str, subject: str, number: str, data: Frame) -> Frame:
    return {
        "type": "message",
        "topic": topic,
        "subject": subject,
        "id": number,
        "userId": USER_ID,
        "channelType": "private",
        "data": data,
    }


def _public(topic: str, subject: str, data: Frame) -> Frame:
    return {"type": "message", "topic": topic, "subject": subject, "data": data}
