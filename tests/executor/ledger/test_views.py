"""A small account by hand: two days, three open trades and one closed, every figure worked out on paper."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from executor.ledger import Ledger, views
from executor.ledger.lock import one_daemon
from executor.ledger.views import Only
from tests.executor.ledger.samples import bar, mark
from toolkit.engine.account import HALTED, SAID
from toolkit.engine.sizing import BY_HAND_HALT, DAILY_LOSS_HALT, REASONS, Reason
from toolkit.engine.types import ExitReason, SignalEnd
from toolkit.errors import UnknownNameError

DAY = 86_400_000
NOON = DAY + DAY // 2
BTC, ETH, SWAP = "BTC/USDT", "ETH/USDT", "BTC/USDT:USDT"


def instance(name: str, strategy: str, symbol: str, enabled: int = 1, note: str | None = None) -> dict[str, Any]:
    where = {"exchange": "binance", "base": "1m", "interval": "5m", "symbol": symbol}
    rest = {"document": "{}", "weight": 0.25, "enabled": enabled, "note": note}
    return {"id": name, "deployment": "d2", "strategy": strategy, **where, **rest}


def trade(name: str, of: str, strategy: str, symbol: str, **other: Any) -> dict[str, Any]:
    return {
        "trade_id": name, "leg": f"{of}-L", "instance": of, "strategy": strategy, "symbol": symbol, "side": "long",
        "status": "ACTIVE", "signal_ms": DAY, "entry_ms": DAY, "exit_ms": None, "entry_price": 100.0,
        "exit_price": math.nan, "qty": 2.0, "stop_price": 95.0, "stop_now": 97.0, "entry_fee": 0.5, "funding": -0.25,
        "exit_reason": 0, "exit_fee": None, "pnl": None, "deployment": "d2", "seq": 1,
    } | other  # fmt: skip


def order(name: str, of: str, symbol: str, **other: Any) -> dict[str, Any]:
    return {
        "order_id": name, "trade_id": name[:2], "instance": of, "symbol": symbol, "kind": "stop", "side": "sell",
        "type": "stop", "qty": 2.0, "price": 95.0, "status": "NEW", "created_ms": DAY, "closed_ms": None, "seq": 1,
    } | other  # fmt: skip


def signal(name: str, ts_ms: int, decision: str, reason: Reason, end: SignalEnd, **other: Any) -> dict[str, Any]:
    return {
        "signal_id": name, "leg": "i1-L", "instance": "i1", "strategy": "breakout", "symbol": BTC, "side": "long",
        "t": ts_ms // 60_000, "ts_ms": ts_ms, "price": 100.0, "decision": decision, "reason": reason, "end": end,
        "closed_ms": None, "expires_ms": None, "ignored": 2, "prediction": math.nan, "seq": 1,
    } | other  # fmt: skip


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "executor.sqlite", create=True, synchronous="OFF") as ledger:
        yield ledger


@pytest.fixture
def ledger(empty: Ledger) -> Ledger:
    with empty.transaction():
        _fill_account(empty)
        _fill_trades(empty)
    return empty


def _fill_account(ledger: Ledger) -> None:
    for key, value in {"account": "main", "mode": "dry", "currency": "USDT", "deployment": "d2"}.items():
        ledger.set_meta(key, value)
    for name, state in (("d1", "retired"), ("d2", "active")):
        times = {"loaded_ms": 1, "effective_from_ms": 2}
        ledger.put("deployments", [{"id": name, "checksum": "c", "document": "{}", "state": state, **times}])
    ledger.put("instances", [
        instance("i1", "breakout", BTC), instance("i2", "breakout", ETH), instance("i3", "reversal", SWAP),
        instance("i4", "reversal", ETH, 0, "it raised: division by zero"),
    ])  # fmt: skip
    shares = {"gross_share": math.inf, "net_share": 0.0, "symbol_share": 0.0, "halted": 0}
    ledger.put("days", [mark(DAY, 1_000.0) | shares])
    ledger.put("equity", [mark(DAY - 1, 999.0), mark(DAY, 1_000.0), mark(NOON, 1_180.0, cash=700.0, open_trades=3)])
    flow = {"note": "", "seq": None}
    ledger.put("cash_flows", [
        {"ts_ms": 0, "kind": "allocated", "amount": 900.0, **flow},
        {"ts_ms": DAY + 1, "kind": "deposit", "amount": 200.0, **flow},
        {"ts_ms": DAY + 2, "kind": "withdrawal", "amount": 50.0, **flow},
        {"ts_ms": NOON + 1, "kind": "deposit", "amount": 5.0, **flow},
    ])  # fmt: skip
    for how in ("killed", None):
        ledger.insert("sessions", {"started_ms": 5, "ended_ms": None, "pid": 77, "version": "1", "ended_how": how})
    clock = np.zeros(9, np.int64)
    clock[HALTED], clock[SAID] = DAILY_LOSS_HALT, BY_HAND_HALT
    ledger.put("account", [{"id": 1, "moment_ms": NOON, "money": b"", "clock": clock.tobytes(), "seq": 9}])
    for ts_ms in (DAY - 5, NOON - 5):
        ledger.insert("halts", {"ts_ms": ts_ms, "kind": DAILY_LOSS_HALT, "until_ms": 2 * DAY, "equity": 1.0})
    ledger.put("feed", [
        {"exchange": "binance", "symbol": BTC, "base": "1m", "last_ts": NOON, "last_seen_ms": NOON, "state": "live"},
        {"exchange": "binance", "symbol": ETH, "base": "1m", "last_ts": None, "last_seen_ms": None, "state": "warming"},
    ])  # fmt: skip
    ledger.insert("commands", {"ts_ms": 1, "verb": "halt", "status": "done"})
    ledger.insert("commands", {"ts_ms": 2, "verb": "disable", "target": "i1", "by": "me"})
    for sent in (None, 3):
        notice = {"ts_ms": 1, "level": "info", "kind": "restart", "text": "started", "sent_ms": sent}
        ledger.insert("notices", notice)


def _fill_trades(ledger: Ledger) -> None:
    ledger.put("bars", [bar(NOON - 60_000, 90.0), bar(NOON, 110.0), bar(NOON, 40.0, SWAP)])
    ledger.put("trades", [
        trade("t1", "i1", "breakout", BTC),
        trade("t2", "i2", "breakout", ETH, qty=1.0, entry_price=50.0, funding=math.nan),
        trade("t3", "i3", "reversal", SWAP, side="short", qty=3.0, entry_price=42.0, entry_ms=DAY + 5),
        trade("t4", "i1", "breakout", BTC, status="CLOSED", exit_ms=DAY + 9, exit_price=95.0, pnl=-11.0,
              exit_reason=ExitReason.STOP, exit_fee=0.5, entry_ms=DAY - 9),
    ])  # fmt: skip
    ledger.put("orders", [
        order("t1-stop", "i1", BTC),
        order("t2-stop", "i2", ETH, status="OPEN", created_ms=DAY + 1),
        order("t3-stop", "i3", SWAP, created_ms=DAY + 2),
        order("t4-stop", "i1", BTC, status="CLOSED", closed_ms=DAY + 9),
    ])  # fmt: skip
    ledger.put("signals", [
        signal("s0", DAY - 1, "rejected", Reason.MAX_OPEN, SignalEnd.REFUSED),
        signal("s1", DAY, "accepted", Reason.MAX_SYMBOL, SignalEnd.LIVE),
        signal("s2", DAY + 1, "vetoed", Reason.VETOED, SignalEnd.TIMED_OUT, prediction=0.4),
    ])  # fmt: skip
    audit = {"seq": 1, "instance": "i1", "strategy": "breakout", "symbol": BTC, "side": "long", "open_trades": 0}
    for ts_ms, asked, given, reason in (
        (DAY, 4.0, 2.0, Reason.MAX_SYMBOL), (DAY, 2.0, 0.0, Reason.UNPAID), (DAY + 1, 3.0, 0.0, Reason.VETOED),
    ):  # fmt: skip
        ledger.insert("audit", audit | {"ts_ms": ts_ms, "asked": asked, "given": given, "reason": reason})


def test_status_at_a_glance(ledger: Ledger) -> None:
    said = views.status(ledger, now_ms=NOON + 2_500)
    assert {k: said[k] for k in ("account", "mode", "currency", "moment_ms", "daemon")} == {
        "account": "main", "mode": "dry", "currency": "USDT", "moment_ms": NOON, "daemon": None,
    }  # fmt: skip
    assert said["deployment"]["id"] == "d2"
    assert (said["open_trades"], said["working_orders"], said["live_signals"]) == (3, 3, 1)
    assert (said["enabled_instances"], said["unsent_notices"]) == (3, 1)
    assert said["mark"] == mark(NOON, 1_180.0, cash=700.0, open_trades=3)
    # 1000 at midnight, 150 put in since: 30 made on 1150.
    assert said["today"] == {"since_ms": DAY, "pnl": 30.0, "share": 30.0 / 1_150.0}
    assert [(d["id"], d["note"]) for d in said["disabled"]] == [("i4", "it raised: division by zero")]
    assert [(f["symbol"], f["state"], f["age_secs"]) for f in said["feed"]] == [
        (BTC, "live", 2.5),
        (ETH, "warming", None),
    ]
    assert (said["session"]["id"], said["session_count"]) == (2, 2)
    assert [s["ended_how"] for s in said["sessions"]] == [None, "killed"]
    waiting = {"id": 2, "ts_ms": 2, "verb": "disable", "target": "i1", "value": None, "by": "me"}
    assert said["waiting_commands"] == [waiting]
    assert said["venue"] is None
    json.dumps(said, allow_nan=False)


def test_halts_in_force_are_those_of_the_account(ledger: Ledger) -> None:
    assert views.status(ledger)["halts"] == [
        {"kind": "daily_loss", "ts_ms": NOON - 5, "until_ms": 2 * DAY, "equity": 1.0},
        {"kind": "by_hand", "ts_ms": None, "until_ms": None, "equity": None},
    ]
    ledger.update("account", {"id": 1}, {"clock": np.zeros(9, np.int64).tobytes()})
    assert views.status(ledger)["halts"] == []


def test_status_of_a_replay_and_of_one_at_work(ledger: Ledger) -> None:
    ledger.set_meta("mode", "replay")
    with one_daemon(ledger.path):
        said = views.status(ledger)
    assert said["daemon"] is not None
    assert {f["age_secs"] for f in said["feed"]} == {None}


def test_the_first_day_starts_with_what_was_put_in(empty: Ledger) -> None:
    empty.insert("cash_flows", {"ts_ms": 0, "kind": "allocated", "amount": 900.0})
    assert views.status(empty)["today"] is None
    empty.put("equity", [mark(5, 909.0)])
    assert views.status(empty)["today"] == {"since_ms": 0, "pnl": 9.0, "share": 0.01}
    empty.put("equity", [mark(6, math.nan)])
    assert views.status(empty)["today"] is None


def test_an_empty_ledger_has_nothing_to_say(empty: Ledger) -> None:
    said = views.status(empty)
    assert (said["deployment"], said["mark"], said["session"], said["halts"]) == (None, None, None, [])
    assert views.positions(empty) == views.trades(empty) == views.orders(empty) == views.signals(empty) == []
    assert views.equity_curve(empty) == []
    json.dumps(said, allow_nan=False)


def test_open_trades_are_marked_at_their_last_close(ledger: Ledger) -> None:
    found = {t["trade_id"]: t for t in views.trades(ledger, status="ACTIVE")}
    assert list(found) == ["t3", "t1", "t2"]
    # 2 * (110 - 100) - 0.5 - 0.25; ETH has no bar yet: its entry; the short 3 * (42 - 40) - 0.75.
    assert [found[k]["pnl"] for k in ("t1", "t2", "t3")] == [19.25, -0.5, 5.25]
    assert [found[k]["mark"] for k in ("t1", "t2", "t3")] == [110.0, 50.0, 40.0]
    assert [found[k]["notional"] for k in ("t1", "t2", "t3")] == [220.0, 50.0, 120.0]
    assert {t["exit_reason"] for t in found.values()} == {"open"}
    assert found["t1"]["exit_price"] is None
    assert found["t1"]["interval"] == "5m"


def test_closed_trades_say_what_they_made_and_why(ledger: Ledger) -> None:
    (closed,) = views.trades(ledger, status="CLOSED")
    assert (closed["trade_id"], closed["pnl"], closed["exit_reason"], closed["notional"]) == (
        "t4",
        -11.0,
        "stop",
        190.0,
    )
    assert "mark" not in closed
    assert views.trades(ledger, status="CLOSED", since_ms=DAY + 10) == []
    assert len(views.trades(ledger)) == 4
    assert [t["trade_id"] for t in views.trades(ledger, limit=1)] == ["t3"]


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        (Only(strategy="breakout"), {"t1", "t2", "t4"}),
        (Only(symbol=BTC), {"t1", "t4"}),
        (Only(currency="BTC"), {"t1", "t3", "t4"}),
        (Only(currency="BT"), set()),
        (Only(instance="i3"), {"t3"}),
        (Only(strategy="breakout", currency="ETH"), {"t2"}),
        (Only(), {"t1", "t2", "t3", "t4"}),
    ],
)
def test_rows_by_strategy_symbol_currency_and_instance(ledger: Ledger, only: Only, wanted: set[str]) -> None:
    assert {t["trade_id"] for t in views.trades(ledger, only)} == wanted
    assert {o["trade_id"] for o in views.orders(ledger, only, working=False)} == wanted


def test_positions_add_up_by_group(ledger: Ledger) -> None:
    by_currency = views.positions(ledger, "currency")
    assert by_currency == [
        {"currency": "BTC", "trades": 2, "long": 220.0, "short": 120.0, "gross": 340.0, "net": 100.0, "pnl": 24.5},
        {"currency": "ETH", "trades": 1, "long": 50.0, "short": 0.0, "gross": 50.0, "net": 50.0, "pnl": -0.5},
    ]
    assert [(p["symbol"], p["net"]) for p in views.positions(ledger)] == [(BTC, 220.0), (SWAP, -120.0), (ETH, 50.0)]
    assert [(p["strategy"], p["trades"]) for p in views.positions(ledger, "strategy")] == [
        ("breakout", 2),
        ("reversal", 1),
    ]
    with pytest.raises(UnknownNameError, match="unknown grouping 'symbl': did you mean 'symbol'"):
        views.positions(ledger, "symbl")


def test_orders_that_work_come_newest_first(ledger: Ledger) -> None:
    assert [o["order_id"] for o in views.orders(ledger)] == ["t3-stop", "t2-stop", "t1-stop"]
    assert views.orders(ledger)[0]["strategy"] == "reversal"
    assert len(views.orders(ledger, working=False)) == 4
    assert len(views.orders(ledger, working=False, since_ms=DAY + 10)) == 3


def test_signals_say_why_they_were_taken_or_not(ledger: Ledger) -> None:
    found = views.signals(ledger)
    assert [s["signal_id"] for s in found] == ["s2", "s1", "s0"]
    assert [s["why"] for s in found] == [REASONS[r] for r in (Reason.VETOED, Reason.MAX_SYMBOL, Reason.MAX_OPEN)]
    assert [s["reason"] for s in found] == ["vetoed", "max_symbol", "max_open"]
    assert [s["end"] for s in found] == ["timed_out", "live", "refused"]
    assert [(s["asked"], s["given"]) for s in found] == [(3.0, 0.0), (4.0, 2.0), (None, None)]
    assert [s["prediction"] for s in found] == [0.4, None, None]
    assert [s["signal_id"] for s in views.signals(ledger, DAY)] == ["s2", "s1"]
    assert views.signals(ledger, only=Only(symbol=ETH)) == []


def test_the_equity_curve_is_the_marks_since(ledger: Ledger) -> None:
    assert [(m["ts_ms"], m["equity"]) for m in views.equity_curve(ledger)] == [
        (DAY - 1, 999.0), (DAY, 1_000.0), (NOON, 1_180.0),
    ]  # fmt: skip
    assert [m["ts_ms"] for m in views.equity_curve(ledger, DAY + 1)] == [NOON]


def test_a_reader_sees_the_same_things(ledger: Ledger) -> None:
    with Ledger.open(ledger.path, readonly=True) as reader:
        assert views.status(reader, NOON) == views.status(ledger, NOON)
        assert views.trades(reader) == views.trades(ledger)
