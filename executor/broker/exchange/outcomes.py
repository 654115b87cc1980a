"""What an error of ccxt says about an order: that it surely does not exist, or that nobody knows.

Only what is on the list of refusals is one. A class alone is not enough where the venue's own word says otherwise, and
whatever is not on the list (a timeout, a reset, a 5xx, a body that was cut, a plain `ExchangeError`) is unknown.
"""

import json
from types import ModuleType
from typing import Any, NamedTuple

from executor.broker.exchange.quirks import Quirks
from executor.broker.venue import RefusedError, UnknownOutcomeError
from executor.feed.polling import brief

# ccxt's classes for an answer in which a venue refused an order; subclasses with them.
_REFUSALS = (
    "InsufficientFunds",
    "InvalidOrder",
    "BadRequest",
    "AuthenticationError",
    "OperationRejected",
    "ArgumentsRequired",
    "NotSupported",
)
# Of these, the ones that speak of an order which may exist.
_UNSURE = ("DuplicateOrderId", "OrderNotFound", "OrderNotCached")
_HALTS = ("BadSymbol", "MarketClosed", "RestrictedLocation", "ContractUnavailable")
_LEAST_PAUSE_SECS = 1.0


class Said(NamedTuple):
    """The venue's own word of an error: its code or label, and its text."""

    code: str
    text: str


def said(error: BaseException) -> Said:
    """From the answer that ccxt puts into its messages; empty where there is none."""
    text = str(error)
    start = text.find("{")
    if start < 0:
        return Said("", "")
    try:
        found, _ = json.JSONDecoder().raw_decode(text[start:])
    except ValueError:
        return Said("", "")
    code = next((str(found[key]) for key in ("label", "code") if found.get(key) is not None), "")
    words = next((str(found[key]) for key in ("message", "msg", "detail") if found.get(key)), "")
    return Said(code, words)


def is_skew(error: BaseException, quirks: Quirks) -> bool:
    """The request was refused because this machine's clock is off."""
    return said(error).code in quirks.skews


def is_missing(error: BaseException, errors: ModuleType) -> bool:
    """The venue answered that there is no such order."""
    if isinstance(error, errors.OrderNotFound):
        return True
    words = said(error).text.lower().replace("_", " ")
    return isinstance(error, errors.ExchangeError) and ("not exist" in words or "not found" in words)


def order_error(what: str, error: BaseException, quirks: Quirks, errors: ModuleType, pause_secs: float) -> Exception:
    """`RefusedError` or `UnknownOutcomeError` for a request that changes something at the venue.

    what : of the request, for people. pause_secs : that the venue asked for in its answer.
    """
    word = said(error)
    told = f"{quirks.venue} {word.code or type(error).__name__}: {word.text or brief(error)}"
    if isinstance(error, errors.RateLimitExceeded):
        # It counts before it trades: an order that came too fast was never looked at.
        pause = max(pause_secs, _LEAST_PAUSE_SECS)
        return RefusedError(f"{what} came too fast ({told})", code="rate", pause_secs=pause)
    if not _is_refusal(word, error, quirks, errors):
        return UnknownOutcomeError(f"what became of {what} is not known ({told})", pause_secs=pause_secs)
    is_halted = word.code in quirks.halts or isinstance(error, _classes(errors, _HALTS))
    is_funds = isinstance(error, errors.InsufficientFunds) and not is_halted
    code = word.code or type(error).__name__
    return RefusedError(f"{what} was refused ({told})", code=code, is_funds=is_funds, is_halted=is_halted)


def _is_refusal(word: Said, error: BaseException, quirks: Quirks, errors: ModuleType) -> bool:
    if word.code in quirks.unsure or isinstance(error, _classes(errors, _UNSURE)) or "uplicate" in word.text:
        return False
    return word.code in quirks.refusals or isinstance(error, _classes(errors, _REFUSALS))


def _classes(errors: ModuleType, names: Any) -> tuple[type[BaseException], ...]:
    return tuple(getattr(errors, name) for name in names)
