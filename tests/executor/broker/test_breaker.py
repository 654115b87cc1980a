"""The last look at an entry: limits again, halts, and a day that runs wild."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from executor.broker.base import Kind
from executor.broker.breaker import DayBreaker
from executor.broker.venue import Ticket, Type
from executor.ledger import Ledger

DAY = 86_400_000
NOW = 20_000 * DAY + 3_600_000


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    book = Ledger.open(tmp_path / "live.sqlite", create=True)
    limits = {
        "max_symbol": 0.5,
        "max_gross": 0.8,
        "max_net": 0.6,
        "max_trade": 0.4,
        "max_open": 3,
        "max_open_symbol": 2,
    }
    document = {"limits": limits, "instruments": {}, "capital": 10_000.0}
    book.put("deployments", [{
        "id": "dep", "checksum": "", "document": json.dumps(document), "loaded_ms": 0, "effective_from_ms": 0,
        "state": "active",
    }])  # fmt: skip
    book.insert("cash_flows", {"ts_ms": 0, "kind": "allocated", "amount": 10_000.0, "note": ""})
    book.put("instances", [
        {"id": symbol, "deployment": "dep", "strategy": "s", "symbol": symbol, "exchange": "x", "base": "1m",
         "interval": "1m", "document": "{}"} for symbol in ("BTC/USDT", "ETH/USDT")
    ])  # fmt: skip
    book.put("bars", [
        {"exchange": "x", "symbol": symbol, "base": "1m", "ts": NOW, "close": close, "source": "rest",
         "recorded_ms": NOW} for symbol, close in (("BTC/USDT", 100.0), ("ETH/USDT", 10.0))
    ])  # fmt: skip
    return book


def entry(qty: float, symbol: str = "BTC/USDT", position: str = "long", trade: str = "new") -> Ticket:
    side = "buy" if position == "long" else "sell"
    return Ticket(
        f"ls-{trade}", f"{trade}-entry", trade, Kind.ENTRY, symbol, side, position, Type.MARKET, qty, math.nan,
        math.nan, False, NOW,
    )  # fmt: skip


def hold(book: Ledger, name: str, symbol: str, qty: float, side: str = "long") -> None:
    book.put("trades", [{
        "trade_id": name, "leg": name, "instance": name, "strategy": "s", "symbol": symbol, "side": side,
        "status": "ACTIVE", "signal_ms": 0, "entry_ms": 0, "qty": qty, "seq": 1,
    }])  # fmt: skip


def wait(book: Ledger, name: str, symbol: str, qty: float) -> None:
    book.put("orders", [{
        "order_id": f"{name}-entry", "trade_id": name, "instance": name, "symbol": symbol, "kind": "entry",
        "side": "buy", "type": "market", "qty": qty, "status": "NEW", "created_ms": 0, "seq": 1,
    }])  # fmt: skip


def sent(book: Ledger, k: int, ts_ms: int, **more: Any) -> None:
    book.put("venue_orders", [{
        "client_id": f"ls-{k}", "order_id": f"{k}-entry", "trade_id": str(k), "kind": "entry", "symbol": "BTC/USDT",
        "side": "buy", "position": "long", "type": "market", "qty": 10.0, "reduce_only": 0, "seen": "FILLED",
        "created_ms": ts_ms, **more,
    }])  # fmt: skip


def breaker(book: Ledger, orders: int = 100, turnover: float = 10.0) -> DayBreaker:
    return DayBreaker(book, orders, turnover)


def test_what_keeps_to_the_limits_may_go(ledger: Ledger) -> None:
    assert breaker(ledger).refuses(entry(40.0), 100.0, NOW) == ""
    assert breaker(ledger).refuses(entry(40.0), math.nan, NOW) == ""


@pytest.mark.parametrize(
    ("qty", "price", "said"),
    [
        (41.0, 100.0, "it would make 0.410 of equity, `max_trade` is 0.4"),
        # The price has moved since it was sized.
        (39.0, 110.0, "it would make 0.429 of equity, `max_trade` is 0.4"),
    ],
)
def test_one_that_has_become_too_large_is_refused(ledger: Ledger, qty: float, price: float, said: str) -> None:
    assert breaker(ledger).refuses(entry(qty), price, NOW) == said


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ([("BTC/USDT", 30.0, "short")], "it would make 0.600 of equity, `max_symbol` is 0.5"),
        ([("ETH/USDT", 600.0, "short")], "it would make 0.900 of equity, `max_gross` is 0.8"),
        ([("ETH/USDT", 400.0, "long")], "it would make 0.700 of equity, `max_net` is 0.6"),
        ([("ETH/USDT", 1.0, "long")] * 3, "it would be open trade 4, `max_open` is 3"),
        ([("BTC/USDT", 1.0, "short")] * 2, "it would be open trade 3, `max_open_symbol` is 2"),
    ],
)
def test_what_is_open_counts(ledger: Ledger, held: list[tuple[str, float, str]], said: str) -> None:
    for k, (symbol, qty, side) in enumerate(held):
        hold(ledger, f"t{k}", symbol, qty, side)
    assert breaker(ledger).refuses(entry(30.0), 100.0, NOW) == said


def test_entries_that_wait_count_once_and_not_against_themselves(ledger: Ledger) -> None:
    wait(ledger, "new", "BTC/USDT", 30.0)
    assert breaker(ledger).refuses(entry(30.0), 100.0, NOW) == ""
    wait(ledger, "other", "ETH/USDT", 400.0)
    assert "`max_net`" in breaker(ledger).refuses(entry(30.0), 100.0, NOW)
    # Partly filled, it is a trade already.
    hold(ledger, "other", "ETH/USDT", 100.0)
    assert breaker(ledger).refuses(entry(30.0), 100.0, NOW) == ""


def test_a_halt_that_came_since_holds(ledger: Ledger) -> None:
    ledger.set_meta("halted", "by hand")
    assert breaker(ledger).refuses(entry(1.0), 100.0, NOW) == "the account is halted by hand"


def test_a_day_with_too_many_orders_takes_no_entry_more_and_the_next_does(ledger: Ledger) -> None:
    for k in range(5):
        sent(ledger, k, NOW - 1_000)
    said = "5 orders were sent today, `max_orders_a_day` is 5"
    one = breaker(ledger, orders=5)
    assert one.refuses(entry(1.0), 100.0, NOW) == said
    assert one.refuses(entry(1.0), 100.0, NOW + DAY) == ""


def test_turnover_counts_what_was_filled_before_a_restart_and_what_was_let_go_since(ledger: Ledger) -> None:
    sent(ledger, 1, NOW - 1_000, filled=100.0, fill_price=100.0)
    sent(ledger, 2, NOW - DAY, filled=100.0, fill_price=100.0)
    one = breaker(ledger, turnover=1.5)
    assert one.refuses(entry(40.0), 100.0, NOW) == ""
    assert (
        one.refuses(entry(40.0), 100.0, NOW) == "today's entries would be 1.8 times equity, `max_turnover_a_day` is 1.5"
    )
    assert one.refuses(entry(40.0), 100.0, NOW + DAY) == ""


def test_without_any_price_nothing_can_be_checked(ledger: Ledger) -> None:
    assert "no price" in breaker(ledger).refuses(entry(1.0, "DOGE/USDT"), math.nan, NOW)
