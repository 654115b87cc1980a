"""ccxt's orders and trades as words of a venue.

An order's numbers are read where all venues agree on them, and what a venue says in its own way (`Quirks`) from the
row that ccxt keeps in `info`.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from executor.broker.exchange.markets import Market
from executor.broker.exchange.quirks import OURS
from executor.broker.venue import Listed, Seen, Type, Word

_OPEN = frozenset(
    {"open", "new", "live", "active", "put", "update", "match", "partially_filled", "untriggered", "triggering"}
    # Of futures orders on Gate's websocket, where ccxt passes them on.
    | {"_new", "_update"}
)
_REJECTED = frozenset({"rejected", "failed", "fail"})
# Of triggers, as `finish_as`, `status` or ccxt's status says it.
_FIRED = frozenset({"finish", "finished", "succeeded", "triggered", "closed", "filled", "executed"})

Row = Mapping[str, Any]


def client_id_of(row: Row, market: Market) -> str:
    """Ours without the venue's prefix, "" for any other."""
    found = str(row.get("clientOrderId") or "")
    found = found.removeprefix(market.quirks.client_prefix)
    return found if found.startswith(OURS) else ""


def order_word(row: Row, market: Market) -> Word:
    """What a plain order (no trigger) is.

    fees : None where something is filled and the row does not say what it cost.
    """
    filled = market.qty(row.get("filled"))
    wanted = market.qty(row.get("amount"))
    seen = _order_seen(row, filled, wanted, market)
    return Word(
        client_id=client_id_of(row, market),
        seen=seen,
        filled=filled,
        price=_mean_price(row, filled, market),
        fees=_order_fees(row) if filled else {},
        ts_ms=stamp(row),
        venue_id=str(row.get("id") or ""),
        reason=_reason(row) if seen is Seen.CANCELLED else "",
        symbol=market.symbol,
    )


def trigger_word(row: Row, market: Market) -> Word:
    """What a trigger is, not what became of the order that it placed: FIRED has to be followed to that one."""
    fired_id = fired_id_of(row, market)
    state = _trigger_state(row)
    if state in _REJECTED or (state not in _OPEN and state not in _FIRED):
        seen = Seen.CANCELLED
    else:
        seen = Seen.OPEN if state in _OPEN else Seen.FIRED
    if fired_id:
        seen = Seen.FIRED
    return Word(
        client_id=client_id_of(row, market),
        seen=seen,
        filled=0.0,
        price=math.nan,
        fees={},
        ts_ms=stamp(row),
        venue_id=str(row.get("id") or ""),
        fired_id=fired_id,
        reason=_reason(row) if seen is Seen.CANCELLED else "",
        symbol=market.symbol,
    )


def fired_word(trigger: Word, order: Word) -> Word:
    """A trigger's word with the fills of the order that it became."""
    seen = Seen.FIRED if order.seen is Seen.OPEN else order.seen
    return Word(
        client_id=trigger.client_id,
        seen=seen,
        filled=order.filled,
        price=order.price,
        fees=order.fees,
        ts_ms=max(trigger.ts_ms, order.ts_ms),
        venue_id=trigger.venue_id,
        fired_id=order.venue_id,
        reason=order.reason,
        symbol=order.symbol,
    )


def listed(row: Row, market: Market, *, is_trigger: bool) -> Listed:
    """An order of a list of open ones."""
    word = trigger_word(row, market) if is_trigger else order_word(row, market)
    trigger_price = _number(row.get("triggerPrice"))
    return Listed(
        **vars(word),
        side=str(row.get("side") or ""),
        type=_type(row, trigger_price, is_trigger=is_trigger),
        qty=market.qty(row.get("amount")),
        limit_price=_number(row.get("price")) if row.get("type") != "market" else math.nan,
        trigger_price=trigger_price,
    )


def fired_id_of(row: Row, market: Market) -> str:
    """Number of the order that a trigger became, "" where it became none."""
    found = (str(row["info"].get(key) or "") for key in market.quirks.fired_keys)
    return next((one for one in found if one not in ("", "0")), "")


def trades_word(order_id: str, client_id: str, trades: Iterable[Row], market: Market) -> Word:
    """What an order's trades alone say of it: that much was filled; whether it still works they do not know."""
    rows = list(trades)
    filled = math.fsum(market.qty(row["amount"]) for row in rows)
    money = math.fsum(market.qty(row["amount"]) * float(row["price"]) for row in rows)
    return Word(
        client_id=client_id,
        seen=Seen.OPEN,
        filled=market.qty(filled / market.contract_size),
        price=money / filled if filled else math.nan,
        fees=trade_fees(rows),
        ts_ms=max((stamp(row) for row in rows), default=0),
        venue_id=order_id,
        symbol=market.symbol,
    )


def traded_order(number: str, trades: Iterable[Row], market: Market) -> Listed:
    """An order of which all trades are known, and nothing else."""
    rows = list(trades)
    prefix = market.quirks.client_prefix
    names = (str(name or "").removeprefix(prefix) for row in rows for name in names_of(row))
    ours = next((name for name in names if name.startswith(OURS)), "")
    word = trades_word(number, ours, rows, market)
    return Listed(**vars(word), side=str(rows[0]["side"]), qty=word.filled)


def names_of(row: Row) -> tuple[Any, ...]:
    """Under which a trade may say the client id of its order."""
    info = row.get("info") or {}
    return info.get("text"), info.get("clientOid"), info.get("clientOrderId")


def trade_fees(trades: Iterable[Row]) -> dict[str, float]:
    """Money by currency that trades cost; below 0 a rebate."""
    return _sum_fees(fee for row in trades for fee in _fees_of(row))


def traded(trades: Iterable[Row], market: Market) -> float:
    """Base units of trades."""
    return math.fsum(market.qty(row["amount"]) for row in trades)


def stamp(row: Row) -> int:
    """When the venue last changed it, epoch ms; 0 where it does not say."""
    info = row.get("info") or {}
    known = (row.get("lastTradeTimestamp"), row.get("lastUpdateTimestamp"), info.get("lastUpdatedAt"))
    found = [int(float(one)) for one in (*known, row.get("timestamp")) if one]
    nanos = info.get("ts")
    if nanos:
        found.append(int(float(nanos)) // 1_000_000)
    return max((one for one in found if one < 10**14), default=0)


def _order_seen(row: Row, filled: float, wanted: float, market: Market) -> Seen:
    status = str(row.get("status") or "open").lower()
    if status in _OPEN:
        return Seen.OPEN
    if status == "rejected" and not filled:
        return Seen.REFUSED
    # An IOC order that found too little is "closed" on some venues.
    return Seen.FILLED if filled and filled >= wanted - 0.5 * market.step * market.contract_size else Seen.CANCELLED


def _trigger_state(row: Row) -> str:
    info = row.get("info") or {}
    if info.get("triggerSuccess") in (False, "false"):
        return "failed"
    said = info.get("finish_as") or info.get("algoStatus") or info.get("status") or row.get("status") or "open"
    return str(said).lower()


def _mean_price(row: Row, filled: float, market: Market) -> float:
    if not filled:
        return math.nan
    average = _number(row.get("average"))
    if average > 0:
        return average
    cost = _number(row.get("cost"))
    return cost / filled if cost > 0 else math.nan


def _order_fees(row: Row) -> dict[str, float] | None:
    found = _fees_of(row)
    if not found:
        return None
    # ccxt leaves Gate's points out of orders.
    points = float(row["info"].get("point_fee") or 0.0)
    return _sum_fees([*found, {"currency": "GATEPOINT", "cost": points}])


def _fees_of(row: Row) -> list[Row]:
    fees = list(row.get("fees") or ())
    if not fees and row.get("fee"):
        fees = [row["fee"]]
    return [fee for fee in fees if fee.get("cost") is not None and fee.get("currency")]


def _sum_fees(fees: Iterable[Row]) -> dict[str, float]:
    found: dict[str, float] = {}
    for fee in fees:
        cost = float(fee["cost"])
        if cost:
            found[str(fee["currency"])] = found.get(str(fee["currency"]), 0.0) + cost
    return {name: round(cost, 18) for name, cost in found.items()}


def _reason(row: Row) -> str:
    info = row.get("info") or {}
    parts = (info.get("finish_as") or info.get("status"), info.get("reason"), info.get("error"))
    return ": ".join(str(one) for one in parts if one)


def _type(row: Row, trigger_price: float, *, is_trigger: bool) -> Type:
    if not is_trigger and math.isnan(trigger_price):
        return Type.MARKET if row.get("type") == "market" else Type.LIMIT
    return Type.TARGET if _is_target(row) else Type.STOP


def _is_target(row: Row) -> bool:
    """Whether a trigger waits for a better price than now, by the way in which the price must cross it."""
    info = row.get("info") or {}
    rule = str((info.get("trigger") or {}).get("rule") or info.get("stop") or row.get("type") or "").lower()
    if "take_profit" in rule:
        return True
    is_up = rule in (">=", "1", "entry")
    is_known = rule in (">=", "1", "entry", "<=", "2", "loss")
    return is_known and is_up == (row.get("side") == "sell")


def _number(value: Any) -> float:
    return math.nan if value in (None, "") else float(value)
