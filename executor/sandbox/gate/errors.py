"""Gate's words for what it refuses. Source: https://www.gate.com/docs/developers/apiv4/en/#label-list"""

from typing import NamedTuple


class Word(NamedTuple):
    """HTTP status, the venue's label and its text."""

    status: int
    label: str
    text: str


class GateError(Exception):
    """A request that is answered with one of the venue's errors."""

    def __init__(self, word: Word) -> None:
        super().__init__(word.text)
        self.word = word


NO_HEADER = Word(401, "MISSING_REQUIRED_HEADER", "Missing required header: KEY, SIGN or Timestamp")
EXPIRED = Word(403, "REQUEST_EXPIRED", "gap between request Timestamp and server time exceeds 60")
INVALID_KEY = Word(401, "INVALID_KEY", "Invalid key provided")
INVALID_SIGNATURE = Word(401, "INVALID_SIGNATURE", "Signature mismatch")
FORBIDDEN = Word(403, "FORBIDDEN", "Request API key does not have the permission")
NO_ROUTE = Word(404, "NOT_FOUND", "NOT FOUND")
NOT_JSON = Word(400, "INVALID_REQUEST_BODY", "Invalid request body")
TOO_MANY = Word(429, "TOO_MANY_REQUESTS", "Request Rate limit Exceeded")
MISSING = Word(404, "ORDER_NOT_FOUND", "Order not found")
CLOSED = Word(400, "ORDER_CLOSED", "Order closed")
CANCELLED = Word(400, "ORDER_CANCELLED", "Order cancelled")
FINISHED = Word(400, "ORDER_FINISHED", "Order has been finished")
UNKNOWN_PAIR = Word(400, "INVALID_CURRENCY_PAIR", "Invalid currency pair")
UNKNOWN_CONTRACT = Word(400, "CONTRACT_NOT_FOUND", "Contract not found")
BELOW_LAST = Word(400, "AUTO_TRIGGER_PRICE_LESS_LAST", "invalid argument: Trigger.Price must < last_price")
ABOVE_LAST = Word(400, "AUTO_TRIGGER_PRICE_GREATE_LAST", "invalid argument: Trigger.Price must > last_price")
NO_CHANGE = Word(400, "NO_CHANGE", "No change is made")
HOLDING = Word(400, "POSITION_HOLDING", "Position is being held")

# By the core's code of a refusal.
_BOTH = {
    "missing": MISSING,
    "lot": Word(400, "INVALID_PRECISION", "Invalid precision of amount"),
    "tick": Word(400, "INVALID_PRECISION", "Invalid precision of price"),
    "qty": Word(400, "INVALID_PARAM_VALUE", "Invalid amount"),
    "mode": HOLDING,
}
SPOT_REFUSALS = _BOTH | {
    "funds": Word(400, "BALANCE_NOT_ENOUGH", "Not enough balance"),
    "min_qty": Word(400, "INVALID_PARAM_VALUE", "Your order size is too small"),
    "min_notional": Word(400, "INVALID_PARAM_VALUE", "Your order size is too small. The minimum is 3 USDT"),
    "halted": Word(403, "TRADE_RESTRICTED", "Trading of the currency pair is suspended"),
    "delisted": UNKNOWN_PAIR,
    "symbol": UNKNOWN_PAIR,
    "poc": Word(400, "POC_FILL_IMMEDIATELY", "Order would match and take immediately so its cancelled"),
    "finished": CLOSED,
}
SWAP_REFUSALS = _BOTH | {
    "funds": Word(400, "INSUFFICIENT_AVAILABLE", "Insufficient available balance"),
    "min_qty": Word(400, "SIZE_TOO_SMALL", "Size too small"),
    "min_notional": Word(400, "SIZE_TOO_SMALL", "Size too small"),
    "halted": Word(400, "CONTRACT_IN_DELISTING", "Contract is being delisted"),
    "delisted": UNKNOWN_CONTRACT,
    "symbol": UNKNOWN_CONTRACT,
    "poc": Word(400, "ORDER_POC_IMMEDIATE", "Order would match and take immediately"),
    "reduce_only": Word(400, "INCREASE_POSITION", "Reduce-only order would increase the position"),
    "position_side": Word(400, "INVALID_PARAM_VALUE", "Invalid position mode"),
    "finished": FINISHED,
}
BAD_VALUE = Word(400, "INVALID_PARAM_VALUE", "Invalid parameter value")


def bad(what: str) -> GateError:
    """An argument that is missing or makes no sense."""
    return GateError(Word(400, "INVALID_PARAM_VALUE", f"invalid argument: {what}"))
