"""Errors of the venues, raised by ccxt from their own bodies: refusals are listed, the rest is unknown."""

import json

import pytest

from executor.broker.exchange.known import quirks_of
from executor.broker.exchange.outcomes import is_missing, is_skew, order_error, said
from executor.broker.venue import RefusedError, UnknownOutcomeError
from executor.feed.venues import errors
from tests.executor.broker.exchange.rows import exchange


def raised(venue: str, status: int, body: str) -> Exception:
    """What ccxt makes of an answer."""
    one = exchange(venue)
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    with pytest.raises(errors().BaseError) as caught:
        one.handle_errors(status, "", "u", "POST", {}, body, found, {}, "")
        one.handle_http_status_code(status, "", "u", "POST", body)
    return caught.value


def outcome(venue: str, error: Exception) -> Exception:
    return order_error("an order", error, quirks_of(venue, "BTC/USDT"), errors(), 2.5)


def gate(label: str) -> str:
    return json.dumps({"label": label, "message": "said so"})


def kucoin(code: str, text: str) -> str:
    return json.dumps({"code": code, "msg": text})


REFUSALS = [
    ("gate", 400, gate("BALANCE_NOT_ENOUGH"), "funds"),
    ("gate", 400, gate("INVALID_PARAM_VALUE"), ""),
    ("gate", 400, gate("INVALID_CURRENCY_PAIR"), "halted"),
    ("gate", 400, gate("TRADE_RESTRICTED"), "halted"),
    ("gate", 400, gate("CONTRACT_IN_DELISTING"), "halted"),
    ("gate", 400, gate("RISK_LIMIT_EXCEEDED"), ""),
    ("gate", 400, gate("AUTO_TRIGGER_PRICE_LESS_LAST"), ""),
    ("gate", 401, gate("INVALID_SIGNATURE"), ""),
    ("gate", 403, gate("READ_ONLY"), ""),
    ("kucoin", 200, kucoin("200004", "Balance insufficient!"), "funds"),
    ("kucoin", 200, kucoin("400600", "validation.createOrder.symbolNotAvailable"), "halted"),
    ("kucoin", 200, kucoin("600101", "The order funds should more then 0.1 USDT."), ""),
    ("kucoin", 200, kucoin("400005", "Invalid KC-API-SIGN"), ""),
    ("kucoin", 200, kucoin("126009", "Trading pair is suspended"), "halted"),
]
UNKNOWN = [
    ("gate", 502, "<html>Bad Gateway</html>"),
    ("gate", 504, ""),
    ("gate", 500, gate("INTERNAL")),
    ("gate", 503, gate("TOO_BUSY")),
    ("gate", 400, gate("SOMETHING_NEW")),
    ("kucoin", 200, kucoin("500000", "Internal Server Error")),
    ("kucoin", 200, kucoin("408000", "Network timeout, please try again later")),
    ("kucoin", 200, kucoin("400100", "Duplicate clientOid")),
    ("kucoin", 200, kucoin("126044", "clientOid duplicate")),
    ("kucoin", 200, kucoin("999999", "something new")),
]


@pytest.mark.parametrize(("venue", "status", "body", "kind"), REFUSALS)
def test_what_a_venue_surely_did_not_do(venue, status, body, kind):
    found = outcome(venue, raised(venue, status, body))
    assert isinstance(found, RefusedError)
    assert (found.is_funds, found.is_halted, found.pause_secs) == (kind == "funds", kind == "halted", 0.0)
    assert found.code == said(Exception(body)).code


@pytest.mark.parametrize(("venue", "status", "body"), UNKNOWN)
def test_what_nobody_knows(venue, status, body):
    assert isinstance(outcome(venue, raised(venue, status, body)), UnknownOutcomeError)


@pytest.mark.parametrize("name", ["RequestTimeout", "ExchangeNotAvailable", "NetworkError", "BadResponse"])
def test_answers_that_did_not_come_are_unknown(name):
    assert isinstance(outcome("gate", getattr(errors(), name)("gate POST u")), UnknownOutcomeError)


@pytest.mark.parametrize("error", [OSError("reset"), TypeError("'str' object"), KeyError("id")])
def test_answers_of_no_known_shape_are_unknown(error):
    assert isinstance(outcome("gate", error), UnknownOutcomeError)


def test_every_error_of_ccxt_is_refused_or_unknown():
    for one in vars(errors()).values():
        if isinstance(one, type) and issubclass(one, errors().BaseError):
            assert isinstance(outcome("gate", one("x")), RefusedError | UnknownOutcomeError)


@pytest.mark.parametrize(
    ("venue", "status", "body"),
    [("gate", 429, gate("TOO_MANY_REQUESTS")), ("kucoin", 429, kucoin("429000", "Too many requests"))],
)
def test_too_fast_is_refused_for_now(venue, status, body):
    found = outcome(venue, raised(venue, status, body))
    assert isinstance(found, RefusedError) and (found.code, found.pause_secs) == ("rate", 2.5)


@pytest.mark.parametrize(
    ("venue", "status", "body"),
    [("gate", 403, gate("REQUEST_EXPIRED")), ("kucoin", 200, kucoin("400002", "KC-API-TIMESTAMP Invalid"))],
)
def test_a_clock_that_is_off_is_known_by_the_venues_word(venue, status, body):
    error = raised(venue, status, body)
    assert is_skew(error, quirks_of(venue, "BTC/USDT")) and not is_skew(OSError(), quirks_of(venue, "BTC/USDT"))


@pytest.mark.parametrize(
    ("venue", "body"),
    [
        ("gate", gate("ORDER_NOT_FOUND")),
        ("kucoin", kucoin("400100", "order_not_exist_or_not_allow_to_cancel")),
        ("kucoin", kucoin("100001", "error.getOrder.orderNotExist")),
        ("kucoin", kucoin("400100", "The stop order does not exist")),
    ],
)
def test_no_such_order(venue, body):
    assert is_missing(raised(venue, 400, body), errors())
    assert not is_missing(raised(venue, 500, "down"), errors())
