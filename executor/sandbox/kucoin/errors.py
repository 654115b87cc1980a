"""KuCoin's words for what it refuses. Source: https://www.kucoin.com/docs/basic-info/errors-code/spot-errors-code

Business errors come with HTTP 200 and a code that is not 200000.
"""

from typing import NamedTuple


class Word(NamedTuple):
    """HTTP status, the venue's code and its text."""

    status: int
    code: str
    text: str


class KucoinError(Exception):
    """A request that is answered with one of the venue's errors."""

    def __init__(self, word: Word) -> None:
        super().__init__(word.text)
        self.word = word


MISSING = Word(200, "400100", "The order does not exist.")
NOT_CANCELLABLE = Word(200, "400100", "order_not_exist_or_not_allow_to_cancel")
UNKNOWN_SYMBOL = Word(200, "400100", "Unsupported trading pair.")
# Only while an order with that id is open: https://github.com/Kucoin/kucoin-api-docs/issues/468
USED_CLIENT_ID = Word(200, "400100", "validation.createOrder.clientOidDuplicated")
NO_CLIENT_ID = Word(200, "400100", "validation.createOrder.clientOidIsRequired")
NO_ROUTE = Word(404, "404000", "Url Not Found")
NOT_JSON = Word(415, "415000", "Unsupported Media Type")
DENIED = Word(403, "400007", "Access denied, require more permission.")
TOO_MANY = Word(429, "429000", "Too Many Requests")
# By the core's code of a refusal.
REFUSALS = {
    "funds": Word(200, "200004", "Balance insufficient!"),
    "min_qty": Word(200, "400100", "Order size below the minimum requirement."),
    "min_notional": Word(200, "600101", "The order funds should more then 0.1 USDT."),
    "lot": Word(200, "600100", "Order size increment invalid."),
    "tick": Word(200, "300000", "Order price increment invalid."),
    "halted": Word(200, "400600", "validation.createOrder.symbolNotAvailable"),
    "delisted": Word(200, "400600", "validation.createOrder.symbolNotAvailable"),
    "symbol": UNKNOWN_SYMBOL,
    "missing": MISSING,
    "finished": NOT_CANCELLABLE,
}
BAD_PARAMETER = Word(200, "400100", "Parameter Error")
