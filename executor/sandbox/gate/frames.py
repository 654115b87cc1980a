"""What Gate's spot API answers, written from the venue's records.

Each maker names the documentation whose example it follows; numbers are strings without exponent.
"""

from typing import Any

from executor.sandbox.book import Booked, Candle, Day, Fill, Listing, Money, Trigger, VenueOrder
from executor.sandbox.steps import plain

Frame = dict[str, Any]

_FINISHES = {"manual": "cancelled", "filled": "filled", "ioc": "ioc", "reduce_only": "reduce_only"}
TRIGGER_STATES = {
    "open": "open",
    "fired": "finish",
    "failed": "failed",
    "canceled": "cancelled",
    "expired": "expired",
}


def market_id(symbol: str) -> str:
    """`BTC/USDT` and `BTC/USDT:USDT` as Gate writes them, `BTC_USDT`."""
    return symbol.partition(":")[0].replace("/", "_")


def text_of(client_id: str) -> str:
    """What stands in `text`: that of the client, or who sent the order."""
    return client_id or "apiv4"


def finish_as(order: VenueOrder) -> str:
    """How an order ended, "open" before."""
    return "open" if order.status == "open" else _FINISHES.get(order.reason, "cancelled")


def decimals(step: float) -> int:
    """Digits after the point of a step that is a power of ten."""
    return len(plain(step).partition(".")[2])


def pair_row(listing: Listing) -> Frame:
    """A market. Source: https://www.gate.com/docs/developers/apiv4/en/#query-all-supported-currency-pairs"""
    return {
        "id": market_id(listing.symbol),
        "base": listing.base,
        "base_name": listing.base,
        "quote": listing.quote,
        "quote_name": listing.quote,
        "fee": plain(listing.taker * 100),
        "min_base_amount": plain(listing.min_qty),
        "min_quote_amount": plain(listing.min_notional),
        "amount_precision": decimals(listing.lot),
        "precision": decimals(listing.tick),
        "trade_status": "tradable" if listing.status == "trading" else "untradable",
        "sell_start": 0,
        "buy_start": 1_516_378_650,
        "type": "normal",
    }


def currency_row(currency: str) -> Frame:
    """A currency. Source: https://www.gate.com/docs/developers/apiv4/en/#query-all-currency-information"""
    chain = {"name": currency, "addr": "", "withdraw_disabled": False, "deposit_disabled": False}
    return {
        "currency": currency,
        "name": currency,
        "delisted": False,
        "withdraw_disabled": False,
        "withdraw_delayed": False,
        "deposit_disabled": False,
        "trade_disabled": False,
        "chain": currency,
        "chains": [chain],
    }


def ticker_row(listing: Listing, price: float, day: Day) -> Frame:
    """24 hours. Source: https://www.gate.com/docs/developers/apiv4/en/#get-currency-pair-ticker-information"""
    return {
        "currency_pair": market_id(listing.symbol),
        "last": plain(price),
        "lowest_ask": plain(price),
        "highest_bid": plain(price),
        "change_percentage": plain((price / day.open - 1.0) * 100 if day.open else 0.0),
        "base_volume": plain(day.volume),
        "quote_volume": plain(day.money),
        "high_24h": plain(day.high),
        "low_24h": plain(day.low),
    }


def candle_row(candle: Candle, *, is_closed: bool) -> list[str]:
    """Seconds, quote volume, close, high, low, open, base volume, whether it is finished.

    Source: https://www.gate.com/docs/developers/apiv4/en/#market-k-line-chart
    """
    prices = (candle.close, candle.high, candle.low, candle.open)
    money = plain(candle.volume * candle.close)
    closed = "true" if is_closed else "false"
    return [str(candle.ts_ms // 1000), money, *map(plain, prices), plain(candle.volume), closed]


def order_row(order: VenueOrder, listing: Listing) -> Frame:
    """An order; the amount of a market buy is money. Source: https://www.gate.com/docs/developers/apiv4/en/#create-an-order"""
    average = order.cost / order.filled if order.filled else 0.0
    is_money = order.type == "market" and order.side == "buy"
    unit = (average or order.price) if is_money else 1.0
    fee_currency = next(
        (name for name in order.fees if name != "GT"), listing.base if order.side == "buy" else listing.quote
    )
    status = {"open": "open", "closed": "closed", "canceled": "cancelled"}[order.status]
    return {
        "id": order.id,
        "text": text_of(order.client_id),
        "amend_text": "-",
        "create_time": str(order.created_ms // 1000),
        "update_time": str(order.updated_ms // 1000),
        "create_time_ms": order.created_ms,
        "update_time_ms": order.updated_ms,
        "status": status,
        "currency_pair": market_id(order.symbol),
        "type": order.type,
        "account": "spot",
        "side": order.side,
        "amount": plain(order.qty * unit),
        "price": plain(order.price),
        "time_in_force": "ioc" if order.type == "market" else order.tif,
        "iceberg": "0",
        "left": plain(order.left * unit),
        "filled_amount": plain(order.filled),
        "fill_price": plain(order.cost),
        "filled_total": plain(order.cost),
        "avg_deal_price": plain(average),
        "fee": plain(order.fees.get(fee_currency, 0.0)),
        "fee_currency": fee_currency,
        "point_fee": "0",
        "gt_fee": plain(order.fees.get("GT", 0.0)),
        "gt_maker_fee": "0",
        "gt_taker_fee": "0",
        "gt_discount": "GT" in order.fees,
        "rebated_fee": "0",
        "rebated_fee_currency": listing.quote if order.side == "buy" else listing.base,
        "finish_as": finish_as(order),
    }


def fill_row(fill: Fill) -> Frame:
    """A trade of the account. Source: https://www.gate.com/docs/developers/apiv4/en/#query-personal-trading-records"""
    is_gt = fill.fee_currency == "GT"
    base, quote = fill.symbol.split("/")
    return {
        "id": fill.id,
        "create_time": str(fill.ts_ms // 1000),
        "create_time_ms": f"{fill.ts_ms}.000000",
        "currency_pair": market_id(fill.symbol),
        "side": fill.side,
        "role": "taker" if fill.taker else "maker",
        "amount": plain(fill.qty),
        "price": plain(fill.price),
        "order_id": fill.order_id,
        "fee": "0" if is_gt else plain(fill.fee),
        "fee_currency": (base if fill.side == "buy" else quote) if is_gt else fill.fee_currency,
        "point_fee": "0",
        "gt_fee": plain(fill.fee) if is_gt else "0",
        "amend_text": "-",
        "sequence_id": fill.id,
        "text": text_of(fill.client_id),
    }


def trigger_row(trigger: Trigger, uid: str) -> Frame:
    """A price order. Source: https://www.gate.com/docs/developers/apiv4/en/#query-single-auto-order-details"""
    order = trigger.order
    row: Frame = {
        "market": market_id(trigger.symbol),
        "user": int(uid),
        "trigger": {
            "price": plain(trigger.trigger_price),
            "rule": trigger.rule,
            "expiration": (trigger.expires_ms - trigger.created_ms) // 1000,
        },
        "put": {
            "type": order.type,
            "side": order.side,
            "price": plain(order.price),
            "amount": plain(order.qty),
            "account": "normal",
            "time_in_force": order.tif,
        },
        "id": int(trigger.id),
        "ctime": trigger.created_ms // 1000,
        "status": TRIGGER_STATES[trigger.status],
        "reason": trigger.reason,
    }
    if trigger.client_id:
        row["trigger"]["text"] = trigger.client_id
    if trigger.status != "open":
        row["ftime"] = trigger.updated_ms // 1000
    if trigger.order_id:
        row["fired_order_id"] = int(trigger.order_id)
    return row


def account_row(currency: str, money: Money) -> Frame:
    """Money. Source: https://www.gate.com/docs/developers/apiv4/en/#list-spot-trading-accounts"""
    return {"currency": currency, "available": plain(money.free), "locked": plain(money.held), "update_id": 1}


def booked_row(row: Booked) -> Frame:
    """A change of money. Source: https://www.gate.com/docs/developers/apiv4/en/#query-spot-account-transaction-history"""
    kinds = {"trade": "new_order", "fee": "trade_fee", "deposit": "deposit", "withdraw": "withdraw", "funding": "fund"}
    return {
        "id": row.id,
        "time": row.ts_ms,
        "currency": row.currency,
        "change": plain(row.change),
        "balance": plain(row.balance),
        "type": kinds[row.kind],
        "text": market_id(row.symbol),
    }
