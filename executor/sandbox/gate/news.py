"""What Gate's websockets say of orders, trades, money, positions and markets, beyond the rows of its REST API."""

from executor.sandbox.book import Candle, Fill, Listing, Position, Trigger, VenueOrder
from executor.sandbox.gate import frames, swap_frames
from executor.sandbox.gate.frames import Frame, market_id
from executor.sandbox.records import Moved
from executor.sandbox.steps import plain

_EVENTS = {"put": "put", "update": "update", "finish": "finish"}


def spot_order(order: VenueOrder, listing: Listing, verb: str, uid: str) -> Frame:
    """verb : "put", "update" or "finish". Source: https://www.gate.com/docs/developers/apiv4/ws/en/#orders-channel"""
    row = frames.order_row(order, listing)
    row |= {
        "event": _EVENTS[verb],
        "user": int(uid),
        "create_time_ms": str(order.created_ms),
        "update_time_ms": str(order.updated_ms),
        "stp_id": 0,
        "stp_act": "-",
        "biz_info": "-",
    }
    del row["status"]
    return row


def swap_order(order: VenueOrder, listing: Listing, verb: str, uid: str) -> Frame:
    """As `spot_order`. Source: https://www.gate.com/docs/developers/futures/ws/en/#orders-api"""
    row = swap_frames.order_row(order, listing, uid)
    row |= {
        "create_time": order.created_ms // 1000,
        "create_time_ms": order.created_ms,
        "update_time": order.updated_ms,
        "finish_time": order.updated_ms // 1000,
        "finish_time_ms": order.updated_ms,
        "user": uid,
    }
    if verb != "finish":
        row["finish_as"] = f"_{'new' if verb == 'put' else 'update'}"
    return row


def spot_fill(fill: Fill, uid: str) -> Frame:
    """Source: https://www.gate.com/docs/developers/apiv4/ws/en/#user-trades-channel"""
    row = frames.fill_row(fill)
    return row | {"id": int(fill.id), "user_id": int(uid), "create_time": fill.ts_ms // 1000}


def swap_fill(fill: Fill) -> Frame:
    """Source: https://www.gate.com/docs/developers/futures/ws/en/#user-trades-api"""
    row = swap_frames.fill_row(fill)
    row |= {"id": fill.id, "create_time": fill.ts_ms // 1000, "create_time_ms": fill.ts_ms, "fee": fill.fee}
    del row["trade_id"]
    return row


def spot_trigger(trigger: Trigger, uid: str, ts_ms: int) -> Frame:
    """Source: https://www.gate.com/docs/developers/apiv4/ws/en/#priceorders-channel"""
    order = trigger.order
    return {
        "market": market_id(trigger.symbol),
        "uid": uid,
        "id": trigger.id,
        "currency_type": "",
        "trigger_price": plain(trigger.trigger_price),
        "order_price": plain(order.price),
        "amount": plain(order.qty),
        "side": order.side,
        "type": order.type,
        "text": trigger.client_id,
        "rule": trigger.rule,
        "order_type": order.type,
        "account": "normal",
        "time_in_force": order.tif,
        "status": frames.TRIGGER_STATES[trigger.status],
        "fired_order_id": trigger.order_id or "0",
        "reason": trigger.reason,
        "create_time_ms": str(trigger.created_ms),
        "update_time_ms": str(ts_ms),
    }


def spot_balance(moved: Moved, uid: str, ts_ms: int) -> Frame:
    """Source: https://www.gate.com/docs/developers/apiv4/ws/en/#spot-balance-channel"""
    return {
        "timestamp": str(ts_ms // 1000),
        "timestamp_ms": str(ts_ms),
        "user": uid,
        "currency": moved.currency,
        "change": plain(moved.free_change),
        "total": plain(moved.money.total),
        "available": plain(moved.money.free),
        "freeze": plain(moved.money.held),
        "freeze_change": plain(moved.held_change),
        "change_type": "order-update",
    }


def swap_balance(moved: Moved, uid: str, ts_ms: int) -> Frame:
    """Source: https://www.gate.com/docs/developers/futures/ws/en/#balances-api"""
    return {
        "balance": moved.money.total,
        "change": round(moved.free_change + moved.held_change, 12),
        "text": "-",
        "time": ts_ms // 1000,
        "time_ms": ts_ms,
        "type": "pnl",
        "user": uid,
        "currency": moved.currency.lower(),
    }


def position(held: Position, row: Frame, ts_ms: int) -> Frame:
    """row : of REST. Source: https://www.gate.com/docs/developers/futures/ws/en/#positions-subscription"""
    numbers = ("entry_price", "leverage", "margin", "realised_pnl", "cross_leverage_limit", "risk_limit", "liq_price")
    found = row | {name: float(row[name]) for name in numbers}
    return found | {"time": ts_ms // 1000, "time_ms": ts_ms, "user": str(row["user"]), "size": round(held.qty)}


def spot_candle(candle: Candle, interval: str, listing: Listing) -> Frame:
    """`v` is quote volume, `a` base volume. Source: https://www.gate.com/docs/developers/apiv4/ws/en/#candlesticks-channel"""
    ts, money, close, high, low, first, volume, _ = frames.candle_row(candle, is_closed=False)
    name = f"{interval}_{market_id(listing.symbol)}"
    return {"t": ts, "v": money, "c": close, "h": high, "l": low, "o": first, "n": name, "a": volume, "w": False}


def swap_candle(candle: Candle, interval: str, listing: Listing) -> Frame:
    """Source: https://www.gate.com/docs/developers/futures/ws/en/#candlesticks-api"""
    row = swap_frames.candle_row(candle, listing)
    return row | {"n": f"{interval}_{market_id(listing.symbol)}", "a": row["sum"]}
