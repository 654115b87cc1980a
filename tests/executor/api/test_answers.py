"""Every endpoint against the ledger, read by SQL of these tests alone."""

import json
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from executor.api import answers, routes
from executor.ledger import Ledger
from executor.ledger.lock import one_daemon
from tests.executor.api import sample
from tests.executor.api.served import Served, serving, wall_ms
from toolkit.engine.sizing import REASONS, Reason
from toolkit.engine.types import SignalEnd

DAY = 86_400_000


def sql(api: Served, text: str, *values: Any) -> list[dict[str, Any]]:
    """Rows by SQLite alone."""
    db = sqlite3.connect(api.ledger)
    db.row_factory = sqlite3.Row
    found = [dict(row) for row in db.execute(text, values)]
    db.close()
    return found


def change(api: Served, text: str, *values: Any) -> None:
    db = sqlite3.connect(api.ledger)
    with db:
        db.execute(text, values)
    db.close()


def get(api: Served, path: str) -> Any:
    reply = api.ask(path)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    return json.loads(reply.body)


def test_every_address_answers_and_is_documented(api: Served) -> None:
    page = (Path(__file__).parents[3] / "docs" / "dashboard.md").read_text()
    for path in [*routes.ANSWERS, "/health", "/metrics", "/commands"]:
        assert f"`{path}" in page or f" {path}" in page, path
    assert all(get(api, path) is not None for path in routes.ANSWERS)


def test_status(api: Served) -> None:
    found = get(api, "/api/status")
    meta = {row["key"]: row["value"] for row in sql(api, "SELECT * FROM meta")}
    (mark,) = sql(api, "SELECT * FROM equity ORDER BY ts_ms DESC LIMIT 1")
    (before,) = sql(api, "SELECT * FROM days ORDER BY ts_ms DESC LIMIT 1")
    assert {k: found[k] for k in ("account", "mode", "currency")} == {
        k: meta[k] for k in ("account", "mode", "currency")
    }
    assert found["deployment"]["id"] == meta["deployment"]
    assert found["mark"] == mark
    assert found["today"]["pnl"] == pytest.approx(mark["equity"] - before["equity"], abs=1e-6)
    assert found["open_trades"] == len(sql(api, "SELECT * FROM trades WHERE exit_ms IS NULL"))
    assert found["working_orders"] == len(sql(api, "SELECT * FROM orders WHERE closed_ms IS NULL"))
    assert found["enabled_instances"] == 49
    assert [row["id"] for row in found["disabled"]] == ["channel_trend-eth-4h-31"]
    assert found["heard_ms"] == sql(api, "SELECT max(last_seen_ms) AS at FROM feed")[0]["at"]
    assert 0 <= wall_ms() - found["now_ms"] < 60_000
    assert found["health"] == "ok"


@pytest.mark.parametrize(("by", "of"), [
    ("strategy", "strategy"), ("symbol", "symbol"), ("currency", "substr(symbol, 1, 3)"),
])  # fmt: skip
def test_positions(api: Served, by: str, of: str) -> None:
    expected: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(("trades", "long", "short", "pnl"), 0.0))
    last = {row["symbol"]: row["close"] for row in sql(api, "SELECT symbol, close FROM bars")}
    for trade in sql(api, f"SELECT *, {of} AS name FROM trades WHERE status = 'ACTIVE'"):
        group, price = expected[trade["name"]], last[trade["symbol"]]
        group["trades"] += 1
        group[trade["side"]] += trade["qty"] * price
        won = price - trade["entry_price"] if trade["side"] == "long" else trade["entry_price"] - price
        group["pnl"] += trade["qty"] * won - trade["entry_fee"]
    found = get(api, f"/api/positions?by={by}")
    assert [row[by] for row in found] == sorted(expected)
    for row in found:
        group = expected[row[by]]
        assert {k: row[k] for k in group} == pytest.approx(group)
        assert (row["gross"], row["net"]) == pytest.approx(
            (group["long"] + group["short"], group["long"] - group["short"])
        )


def test_orders(api: Served) -> None:
    change(api, "UPDATE orders SET status = 'CANCELLED', closed_ms = 7 WHERE order_id = 't0001-stop'")
    every = [row["order_id"] for row in sql(api, "SELECT * FROM orders ORDER BY created_ms DESC, order_id")]
    assert [row["order_id"] for row in get(api, "/api/orders?working=0")] == every
    assert {*every} - {row["order_id"] for row in get(api, "/api/orders")} == {"t0001-stop"}
    (first,) = get(api, "/api/orders?limit=1")
    (row,) = sql(api, "SELECT * FROM orders WHERE order_id = ?", first["order_id"])
    assert {name: first[name] for name in row} == row
    bitcoin = {
        row["order_id"] for row in sql(api, "SELECT * FROM orders WHERE symbol = 'BTC/USDT' AND closed_ms IS NULL")
    }
    assert {row["order_id"] for row in get(api, "/api/orders?currency=BTC")} == bitcoin != set()
    assert {row["order_id"] for row in get(api, "/api/orders?symbol=BTC%2FUSDT")} == bitcoin


def test_signals(api: Served) -> None:
    since = sql(api, "SELECT moment_ms FROM account")[0]["moment_ms"] // DAY * DAY - DAY
    expected = sql(api, "SELECT * FROM signals WHERE ts_ms >= ? ORDER BY ts_ms DESC, signal_id", since)
    found = get(api, f"/api/signals?since={since}")
    assert 18 < len(found) < 47
    assert [row["signal_id"] for row in found] == [row["signal_id"] for row in expected]
    for row, stored in zip(found, expected, strict=True):
        (audit,) = sql(api, "SELECT * FROM audit WHERE seq = ?", stored["seq"])
        assert (row["asked"], row["given"]) == (audit["asked"], audit["given"])
        assert row["why"] == REASONS[Reason(stored["reason"])]
        assert row["end"] == SignalEnd(stored["end"]).name.lower()
        same = ("decision", "price", "prediction", "ignored", "side", "strategy")
        assert {name: row[name] for name in same} == {name: stored[name] for name in same}
    assert {row["decision"] for row in found} == {"accepted", "vetoed", "rejected"}
    one = found[0]["strategy"]
    assert {row["strategy"] for row in get(api, f"/api/signals?strategy={one}")} == {one}


def test_trades(api: Served) -> None:
    expected = sql(api, "SELECT * FROM trades ORDER BY entry_ms DESC, trade_id")
    found = get(api, "/api/trades")
    assert [row["trade_id"] for row in found] == [row["trade_id"] for row in expected]
    for row, stored in zip(found, expected, strict=True):
        if stored["status"] == "CLOSED":
            assert row["pnl"] == stored["pnl"]
        assert row["qty"] == stored["qty"]
    closed = get(api, "/api/trades?status=CLOSED")
    since = closed[4]["exit_ms"]
    assert len(closed) == 14
    late = {row["trade_id"] for row in get(api, f"/api/trades?status=CLOSED&since={since}")}
    assert late == {row["trade_id"] for row in sql(api, "SELECT * FROM trades WHERE exit_ms >= ?", since)}
    assert 0 < len(late) < 14


def test_feed_sessions_and_halts(api: Served) -> None:
    feed = get(api, "/api/feed")
    stored = sql(api, "SELECT * FROM feed ORDER BY exchange, symbol, base")
    assert [{k: v for k, v in row.items() if k != "age_secs"} for row in feed] == stored
    assert all(2 <= row["age_secs"] < 60 for row in feed)
    assert get(api, "/api/sessions") == sql(api, "SELECT * FROM sessions ORDER BY id DESC")
    assert [row["id"] for row in get(api, "/api/sessions?limit=1")] == [3]
    (halt,) = get(api, "/api/halts")
    (row,) = sql(api, "SELECT * FROM halts")
    assert halt == {**row, "kind": "daily_loss"}


DRIFT = {
    "created": "2026-11-22T03:00:00.000+00:00", "deployment": "d-20261030-7c1f", "end_ms": 1, "models": [{
        "name": sample.MODEL, "version": sample.VERSIONS[1], "instances": [], "verdict": "drifted",
        "text": "1 of 2 features have drifted: rsi(14)", "rows": 321, "rows_before": 2_000, "from_ms": 1, "until_ms": 2,
        "features": [
            {"feature": "natr(14)", "psi": 0.04, "ks": 0.1, "verdict": "stable", "read": True},
            {"feature": "rsi(14)", "psi": 0.61, "ks": 0.4, "verdict": "drifted", "read": True},
            {"feature": "left_out", "psi": 9.0, "ks": 0.9, "verdict": "drifted", "read": False},
            {"feature": "empty", "psi": float("nan"), "ks": None, "verdict": "stable", "read": True},
        ],
        "outcomes": {"before": 0.5, "now": 0.41, "predicted": 0.52, "auc": float("nan"), "verdict": "stable"},
    }],
}  # fmt: skip


def test_models_with_what_they_said_and_their_drift(
    api: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    change(api, "UPDATE signals SET reason = 28 WHERE signal_id = (SELECT signal_id FROM signals WHERE decision = "
                "'vetoed' AND model_version IS NOT NULL LIMIT 1)")  # fmt: skip
    found = get(api, "/api/models")
    assert found["drift"] is None
    waits, second, first = found["models"]
    assert (waits["effective_ms"], first["effective_ms"]) == (None, 0)
    (counted,) = sql(
        api, "SELECT count(*) AS n, avg(prediction) AS mean, sum(decision = 'accepted') AS taken FROM signals "
        "WHERE model_version LIKE '%' || ?", sample.VERSIONS[1],
    )  # fmt: skip
    assert (second["signals"], second["taken"], second["instances"]) == (counted["n"], counted["taken"], 10)
    assert second["prediction"] == pytest.approx(counted["mean"], rel=1e-12)
    assert (first["signals"], first["prediction"]) == (0, None)
    place = tmp_path / "drift" / "d-20261030-7c1f.json"
    place.parent.mkdir()
    for broken in ("", "{", "[]", '{"created": 1, "models": [{}]}', '{"created": 1, "models": 3}'):
        place.write_text(broken)
        assert get(api, "/api/models")["drift"] is None
    place.write_text(json.dumps(DRIFT))
    drift = get(api, "/api/models?limit=1")["drift"]
    assert drift["created"] == DRIFT["created"]
    (model,) = drift["models"]
    assert [f["feature"] for f in model["features"]] == ["rsi(14)", "natr(14)", "empty"]
    assert model["features"][2]["psi"] is None and model["outcomes"]["auc"] is None
    assert (model["verdict"], model["outcomes"]["now"]) == ("drifted", 0.41)


def test_what_cannot_be_known_is_null(api: Served) -> None:
    change(api, "UPDATE trades SET stop_now = NULL, entry_price = NULL, target_price = 9e999 WHERE trade_id = 't0000'")
    row = next(row for row in get(api, "/api/trades?status=ACTIVE") if row["trade_id"] == "t0000")
    assert (row["stop_now"], row["entry_price"], row["target_price"], row["pnl"]) == (None, None, None, None)


def test_metrics_are_the_callers_bytes(ledger: Path) -> None:
    with serving(ledger, metrics=lambda: b"lockstep_equity 1.0\n") as api:
        reply = api.ask("/metrics")
        assert (reply.status, reply.body) == (200, b"lockstep_equity 1.0\n")
        assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    with serving(ledger) as api:
        assert api.ask("/metrics").status == 404


def test_health_says_one_word(api: Served, tmp_path: Path) -> None:
    assert api.ask("/health").body == b'{"status": "ok"}'
    change(api, "UPDATE feed SET state = 'stale' WHERE symbol = 'ETH/USDT'")
    reply = api.ask("/health", Authorization="")
    assert (reply.status, reply.body) == (503, b'{"status": "stale"}')


@pytest.mark.parametrize(("mode", "heard_secs", "held", "said"), [
    ("dry", 5, True, "ok"),
    ("dry", 170, True, "ok"),
    ("dry", 200, True, "stale"),
    ("dry", 5, False, "stale"),
    ("replay", 9000, True, "ok"),
    ("replay", 5, False, "stale"),
])  # fmt: skip
def test_health_by_age_and_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, heard_secs: int, held: bool, said: str
) -> None:
    path, now = tmp_path / "a.sqlite", 1_790_000_000_000
    monkeypatch.setattr(answers, "now_ms", lambda: now)
    sample.make(path, now, heard_secs=heard_secs)
    with Ledger.open(path) as ledger:
        ledger.set_meta("mode", mode)
    holding = path if held else tmp_path / "another.sqlite"
    with one_daemon(holding), Ledger.open(path, readonly=True) as ledger:
        assert answers.health(ledger) == said


def test_a_series_of_long_bars_is_given_more_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, now = tmp_path / "a.sqlite", 1_790_000_000_000
    monkeypatch.setattr(answers, "now_ms", lambda: now)
    sample.make(path, now, heard_secs=800)
    with one_daemon(path), Ledger.open(path) as ledger:
        said = []
        for base in ("1m", "5m"):
            for row in ledger.rows("SELECT * FROM feed"):
                ledger.update("feed", {"symbol": row["symbol"]}, {"base": base})
            said.append(answers.health(ledger))
    assert said == ["stale", "ok"]


def test_a_ledger_with_nothing_in_it_answers(tmp_path: Path) -> None:
    path = tmp_path / "empty.sqlite"
    Ledger.open(path, create=True).close()
    with serving(path) as api:
        found = {name: get(api, name) for name in routes.ANSWERS}
    assert found["/api/equity"]["marks"] == [] and found["/api/equity"]["band"] is None
    assert found["/api/status"]["heard_ms"] is None and found["/api/status"]["health"] == "stale"
    assert all(
        found[name] == [] for name in routes.ANSWERS if name not in ("/api/equity", "/api/status", "/api/models")
    )
    assert found["/api/models"] == {"models": [], "drift": None}
