"""What Gate's USDT futures API answers, written from the venue's records; sizes are contracts, below 0 of sells."""

from typing import Any

from executor.sandbox.book import Booked, Candle, Day, Fill, Listing, Position, Trigger, VenueOrder
from executor.sandbox.gate.frames import finish_as, market_id, text_of
from executor.sandbox.steps import plain

Frame = dict[str, Any]

_TRIGGER_ENDS = {"fired": "succeeded", "failed": "failed", "canceled": "cancelled", "expired": "expired"}
_MODES = {"both": "single", "long": "dual_long", "short": "dual_short"}


def whole(value: float) -> int:
    """Contracts as the venue writes them."""
    return round(value)


def contract_row(listing: Listing, price: float, funding: float) -> Frame:
    """A market. Source: https://www.gate.com/docs/developers/apiv4/en/#query-all-futures-contracts"""
    return {
        "name": market_id(listing.symbol),
        "type": "direct",
        "quanto_multiplier": plain(listing.contract_size),
        "ref_discount_rate": "0",
        "order_price_deviate": "0.5",
        "maintenance_rate": "0.005",
        "mark_type": "index",
        "last_price": plain(price),
        "mark_price": plain(price),
        "index_price": plain(price),
        "funding_rate_indicative": plain(funding),
        "mark_price_round": plain(listing.tick),
        "funding_offset": 0,
        "in_delisting": listing.status != "trading",
        "risk_limit_base": "1000000",
        "interest_rate": "0.0003",
        "order_price_round": plain(listing.tick),
        "order_size_min": max(1, whole(listing.min_qty)),
        "ref_rebate_rate": "0.2",
        "funding_interval": 28_800,
        "risk_limit_step": "1000000",
        "leverage_min": "1",
        "leverage_max": "100",
        "risk_limit_max": "8000000",
        "maker_fee_rate": plain(listing.maker),
        "taker_fee_rate": plain(listing.taker),
        "funding_rate": plain(funding),
        "order_size_max": 1_000_000,
        "funding_next_apply": 0,
        "short_users": 977,
        "config_change_time": 1_609_899_548,
        "trade_size": 28_530_850_594,
        "position_size": 5_223_816,
        "long_users": 455,
        "funding_impact_value": "60000",
        "orders_limit": 50,
        "trade_id": 10_851_092,
        "orderbook_id": 2_129_638_396,
        "enable_bonus": True,
        "enable_credit": True,
        "create_time": 1_546_300_800,
        "funding_cap_ratio": "0.75",
        "status": "trading" if listing.status == "trading" else "suspend",
    }


def ticker_row(listing: Listing, price: float, day: Day) -> Frame:
    """24 hours. Source: https://www.gate.com/docs/developers/apiv4/en/#get-all-futures-trading-statistics"""
    base, money = day.volume * listing.contract_size, day.money * listing.contract_size
    return {
        "contract": market_id(listing.symbol),
        "last": plain(price),
        "low_24h": plain(day.low),
        "high_24h": plain(day.high),
        "change_percentage": plain((price / day.open - 1.0) * 100 if day.open else 0.0),
        "total_size": "5223816",
        "volume_24h": plain(day.volume),
        "volume_24h_base": plain(base),
        "volume_24h_quote": plain(money),
        "volume_24h_settle": plain(money),
        "mark_price": plain(price),
        "funding_rate": "0",
        "funding_rate_indicative": "0",
        "index_price": plain(price),
        "highest_bid": plain(price),
        "lowest_ask": plain(price),
    }


def candle_row(candle: Candle, listing: Listing) -> Frame:
    """t seconds, v contracts, sum money. Source: https://www.gate.com/docs/developers/apiv4/en/#futures-market-k-line-chart"""
    return {
        "t": candle.ts_ms // 1000,
        "v": whole(candle.volume),
        "c": plain(candle.close),
        "h": plain(candle.high),
        "l": plain(candle.low),
        "o": plain(candle.open),
        "sum": plain(candle.volume * listing.contract_size * candle.close),
    }


def order_row(order: VenueOrder, listing: Listing, uid: str) -> Frame:
    """An order, without its fees. Source: https://www.gate.com/docs/developers/apiv4/en/#create-a-futures-order"""
    sign = 1 if order.side == "buy" else -1
    size = order.filled * listing.contract_size
    row: Frame = {
        "id": int(order.id),
        "user": int(uid),
        "create_time": order.created_ms / 1000,
        "status": "open" if order.status == "open" else "finished",
        "contract": market_id(order.symbol),
        "size": sign * whole(order.qty),
        "iceberg": 0,
        "price": plain(order.price),
        "is_close": False,
        "is_reduce_only": order.reduce_only,
        "is_liq": False,
        "tif": "ioc" if order.type == "market" else order.tif,
        "left": sign * whole(order.left),
        "fill_price": plain(order.cost / size if size else 0.0),
        "text": text_of(order.client_id),
        "tkfr": plain(listing.taker),
        "mkfr": plain(listing.maker),
        "refu": 0,
        "refr": "0",
        "stp_id": 0,
        "stp_act": "-",
        "amend_text": "-",
    }
    if order.status != "open":
        row |= {"finish_time": order.updated_ms / 1000, "finish_as": finish_as(order)}
    return row


def fill_row(fill: Fill) -> Frame:
    """A trade of the account. Source: https://www.gate.com/docs/developers/apiv4/en/#query-personal-trading-records-3"""
    return {
        "trade_id": fill.id,
        "id": int(fill.id),
        "create_time": fill.ts_ms / 1000,
        "contract": market_id(fill.symbol),
        "order_id": fill.order_id,
        "size": whole(fill.qty) if fill.side == "buy" else -whole(fill.qty),
        "close_size": 0,
        "price": plain(fill.price),
        "text": text_of(fill.client_id),
        "fee": plain(fill.fee),
        "point_fee": "0",
        "role": "taker" if fill.taker else "maker",
    }


def trigger_row(trigger: Trigger, uid: str) -> Frame:
    """A price order. Source: https://www.gate.com/docs/developers/apiv4/en/#query-single-auto-order-details-2"""
    order = trigger.order
    is_open = trigger.status == "open"
    return {
        "user": int(uid),
        "trigger": {
            "strategy_type": 0,
            "price_type": 0,
            "price": plain(trigger.trigger_price),
            "rule": 1 if trigger.rule == ">=" else 2,
            "expiration": (trigger.expires_ms - trigger.created_ms) // 1000,
        },
        "initial": {
            "contract": market_id(trigger.symbol),
            "size": whole(order.qty) if order.side == "buy" else -whole(order.qty),
            "price": plain(order.price),
            "tif": "ioc" if order.type == "market" else order.tif,
            "text": order.client_id,
            "iceberg": 0,
            "is_close": False,
            "is_reduce_only": order.reduce_only,
            "auto_size": "",
        },
        "id": int(trigger.id),
        "id_string": trigger.id,
        "trade_id": int(trigger.order_id or 0),
        "trade_id_string": trigger.order_id,
        "status": "open" if is_open else "finished",
        "finish_as": "" if is_open else _TRIGGER_ENDS[trigger.status],
        "reason": trigger.reason,
        "create_time": trigger.created_ms // 1000,
        "finish_time": trigger.updated_ms // 1000,
        "is_stop_order": False,
        "stop_trigger": {"rule": 0, "trigger_price": "", "order_price": ""},
        "me_order_id": 0,
        "order_type": "",
    }


def position_row(position: Position, listing: Listing, price: float, uid: str) -> Frame:
    """A position. Source: https://www.gate.com/docs/developers/apiv4/en/#get-single-position-information"""
    value = abs(position.qty) * listing.contract_size * price
    margin = abs(position.qty) * listing.contract_size * position.entry_price / position.leverage
    won = position.qty * listing.contract_size * (price - position.entry_price)
    is_cross = position.margin_mode == "cross"
    return {
        "user": int(uid),
        "contract": market_id(position.symbol),
        "size": whole(position.qty),
        "leverage": "0" if is_cross else plain(position.leverage),
        "risk_limit": "1000000",
        "leverage_max": "100",
        "maintenance_rate": "0.005",
        "value": plain(value),
        "margin": plain(margin),
        "entry_price": plain(position.entry_price),
        "liq_price": "0",
        "mark_price": plain(price),
        "unrealised_pnl": plain(won),
        "realised_pnl": plain(position.realised),
        "history_pnl": "0",
        "last_close_pnl": "0",
        "realised_point": "0",
        "history_point": "0",
        "adl_ranking": 5,
        "pending_orders": 0,
        "close_order": None,
        "mode": _MODES[position.side],
        "cross_leverage_limit": plain(position.leverage) if is_cross else "0",
        "update_time": position.updated_ms // 1000,
        "update_id": 1,
        "open_time": position.updated_ms // 1000,
    }


def booked_row(row: Booked) -> Frame:
    """A change of money. Source: https://www.gate.com/docs/developers/apiv4/en/#query-futures-account-change-history"""
    kinds = {"trade": "pnl", "fee": "fee", "funding": "fund", "deposit": "dnw", "withdraw": "dnw"}
    return {
        "time": row.ts_ms // 1000,
        "change": plain(row.change),
        "balance": plain(row.balance),
        "text": f"{market_id(row.symbol)}:{row.id}" if row.symbol else "-",
        "type": kinds[row.kind],
        "contract": market_id(row.symbol),
        "trade_id": row.id,
    }
