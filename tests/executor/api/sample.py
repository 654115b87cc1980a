"""A hand-made ledger such as a dry run of some weeks leaves."""

import json
import math
import random
from pathlib import Path
from typing import Any

from executor.ledger import Ledger
from toolkit.engine.account import HALTED, N_CLOCK
from toolkit.engine.sizing import Reason
from toolkit.engine.types import ExitReason, SignalEnd

HOUR, DAY = 3_600_000, 86_400_000
CAPITAL = 100_000.0
STRATEGIES = ("volatility_breakout", "channel_trend", "reversal_breakout", "support_resistance", "momentum_rank")
PRICES = {"BTC/USDT": 67_400.0, "ETH/USDT": 3_180.0, "SOL/USDT": 148.2}
INTERVALS = ("5m", "15m", "1h", "4h")
DAYS_LIVE, DAYS_BAND = 24, 90


def make(path: Path, now_ms: int, *, heard_secs: float = 2.0, halted: bool = False) -> None:
    """Write the ledger; its daemon gave a sign `heard_secs` before `now_ms`."""
    dice = random.Random(7)
    start = now_ms // DAY * DAY - DAYS_LIVE * DAY
    heard = now_ms - round(heard_secs * 1000)
    with Ledger.open(path, create=True, synchronous="OFF") as ledger, ledger.transaction():
        _account(ledger, start, heard, halted)
        _deployment(ledger, start)
        instances = _instances(ledger)
        _models(ledger, instances, start)
        _series(ledger, heard)
        _equity(ledger, dice, start, heard)
        _signals(ledger, dice, instances, start, heard)
        _trades(ledger, dice, instances, heard)
        _sessions(ledger, start, heard)


def band() -> dict[str, list[float]]:
    """Three lines of a drifting random walk's quantiles, a point a day."""
    days = list(range(DAYS_BAND + 1))
    lines = {"p05": -1.645, "p50": 0.0, "p95": 1.645}
    return {"ts": [float(d) for d in days]} | {
        name: [math.exp(0.0011 * d + z * 0.0062 * math.sqrt(d)) for d in days] for name, z in lines.items()
    }


def _account(ledger: Ledger, start: int, heard: int, halted: bool) -> None:
    facts = {"account": "canary", "mode": "dry", "currency": "USDT", "deployment": "d-20261030-7c1f"}
    for key, value in {**facts, "created_ms": start - HOUR, "start_ms": start}.items():
        ledger.set_meta(key, value)
    clock = [0] * N_CLOCK
    clock[HALTED] = int(halted)
    packed = b"".join(v.to_bytes(8, "little", signed=True) for v in clock)
    ledger.put("account", [{"id": 1, "moment_ms": heard, "money": b"", "clock": packed, "seq": 34_560}])
    ledger.insert("events", {"seq": 34_560, "moment_ms": heard, "wall_ms": heard, "kind": "bars"})
    ledger.insert("cash_flows", {"ts_ms": start, "kind": "allocated", "amount": CAPITAL})
    ledger.insert(
        "cash_flows", {"ts_ms": start + 9 * DAY, "kind": "deposit", "amount": 20_000.0, "note": "second half"}
    )
    ledger.insert(
        "halts", {"ts_ms": start + 15 * DAY + 13 * HOUR, "kind": 1, "until_ms": start + 16 * DAY, "equity": 118_204.5}
    )


def _deployment(ledger: Ledger, start: int) -> None:
    row = {"id": "d-20261030-7c1f", "checksum": "7c1f" * 16, "document": "{}", "loaded_ms": start - HOUR}
    more = {"effective_from_ms": start, "backtest": "20261029-221407-portfolio-91ab3c", "state": "active"}
    ledger.put("deployments", [{**row, **more, "band": json.dumps(band())}])


def _instances(ledger: Ledger) -> list[dict[str, Any]]:
    rows = []
    for k in range(50):
        strategy, symbol = STRATEGIES[k % 5], list(PRICES)[k % 3]
        interval = INTERVALS[k % 4]
        where = {"symbol": symbol, "exchange": "binance", "base": "5m" if symbol == "SOL/USDT" else "1m"}
        rows.append(
            {
                "id": f"{strategy}-{symbol[:3].lower()}-{interval}-{k:02d}",
                "strategy": strategy,
                **where,
                "interval": interval,
                "deployment": "d-20261030-7c1f",
                "document": "{}",
                "weight": 0.02,
                "enabled": int(k != 31),
                "note": "raised at 09:15: division by zero" if k == 31 else None,
            }
        )
    ledger.put("instances", rows)
    return rows


MODEL = "support_resistance"
VERSIONS = ("20261020T000000-aaaabbbbcccc", "20261101T000000-ddddeeeeffff")


def _models(ledger: Ledger, instances: list[dict[str, Any]], start: int) -> None:
    """One model judges one strategy; a newer version took over, a third one waits."""
    mine = json.dumps([row["id"] for row in instances if row["strategy"] == MODEL])
    versions = ((VERSIONS[0], 0, 0), (VERSIONS[1], start + 9 * DAY, start + 9 * DAY), ("20261120T000000-1", 0, None))
    for version, after, effective in versions:
        ledger.insert(
            "model_versions",
            {
                "name": MODEL,
                "version": version,
                "checksum": "7c" * 32,
                "folder": "",
                "instances": mine,
                "loaded_ms": start,
                "after_ms": after,
                "effective_ms": effective,
                "cause": "load",
            },
        )


def _series(ledger: Ledger, heard: int) -> None:
    for symbol, price in PRICES.items():
        base = "5m" if symbol == "SOL/USDT" else "1m"
        ms = 300_000 if base == "5m" else 60_000
        ts = heard // ms * ms - ms
        where = {"exchange": "binance", "symbol": symbol, "base": base}
        prices = dict.fromkeys(("open", "high", "low", "close"), price)
        ledger.put(
            "bars", [{**where, "ts": ts, **prices, "volume": 12.5, "source": "stream", "recorded_ms": ts + ms + 400}]
        )
        ledger.put("feed", [{**where, "last_ts": ts, "last_seen_ms": heard, "state": "live"}])


def _equity(ledger: Ledger, dice: random.Random, start: int, heard: int) -> None:
    equity, marks = CAPITAL, []
    for ts in range(start, heard + 1, HOUR):
        if ts > start:
            equity *= math.exp(dice.gauss(0.00007, 0.0016))
        if ts == start + 9 * DAY:
            equity += 20_000.0
        gross, net = equity * dice.uniform(0.3, 0.7), equity * dice.uniform(-0.1, 0.3)
        marks.append(
            {"ts_ms": ts, "equity": equity, "cash": equity * 0.6, "gross": gross, "net": net, "open_trades": 9}
        )
    ledger.put("equity", marks)
    shares = dict.fromkeys(("gross_share", "net_share", "symbol_share"), 0.5)
    ledger.put("days", [{**mark, **shares, "halted": 0} for mark in marks if mark["ts_ms"] % DAY == 0])


REFUSALS = (
    Reason.VETOED,
    Reason.MAX_OPEN,
    Reason.MAX_SYMBOL,
    Reason.MAX_GROSS,
    Reason.MIN_NOTIONAL,
    Reason.OPPOSITE_LEG,
)


def _signals(ledger: Ledger, dice: random.Random, instances: list[dict[str, Any]], start: int, heard: int) -> None:
    midnight = heard // DAY * DAY
    moments = [midnight - k * 7 * HOUR for k in range(1, 30)]
    moments += [midnight + (heard - midnight) * k // 19 // 60_000 * 60_000 for k in range(1, 19)]
    for k, ts in enumerate(moments):
        instance, side = dice.choice(instances), dice.choice(("long", "short"))
        taken = k % 3 != 0
        reason = dice.choice((Reason.FULL, Reason.FULL, Reason.LOT)) if taken else REFUSALS[k // 3 % len(REFUSALS)]
        decision = "accepted" if taken else "vetoed" if reason == Reason.VETOED else "rejected"
        price = PRICES[instance["symbol"]] * dice.uniform(0.98, 1.02)
        asked = 2_400.0 / price
        end = SignalEnd.REFUSED if not taken else SignalEnd.LIVE if k % 5 == 0 else SignalEnd.TRADE_CLOSED
        where = {
            "instance": instance["id"],
            "strategy": instance["strategy"],
            "symbol": instance["symbol"],
            "side": side,
        }
        ledger.put(
            "signals",
            [
                {
                    "signal_id": f"s{k:04d}",
                    "leg": f"leg-{k}",
                    **where,
                    "t": ts // 60_000,
                    "ts_ms": ts,
                    "price": price,
                    "decision": decision,
                    "reason": int(reason),
                    "end": int(end),
                    "ignored": dice.randrange(5),
                    "prediction": dice.uniform(0.38, 0.74),
                    "scale": 1.0 if taken else 0.0,
                    "model_version": f"{MODEL}@{VERSIONS[1]}" if instance["strategy"] == MODEL else None,
                    "seq": k,
                }
            ],
        )
        ledger.insert(
            "audit",
            {
                "seq": k,
                "ts_ms": ts,
                **where,
                "reason": int(reason),
                "asked": asked,
                "given": asked * 0.998 if taken else 0.0,
                "price": price,
                "weight": 0.02,
                "equity": 120_000.0,
                "gross": 52_000.0,
                "net": 11_000.0,
                "open_trades": 9,
            },
        )


def _trades(ledger: Ledger, dice: random.Random, instances: list[dict[str, Any]], heard: int) -> None:
    for k in range(23):
        instance, side, is_open = instances[(k * 7) % 50], "long" if k % 3 else "short", k < 9
        price = PRICES[instance["symbol"]] * dice.uniform(0.985, 1.01)
        direction = 1 if side == "long" else -1
        stop, target = price * (1 - 0.02 * direction), price * (1 + 0.04 * direction)
        entry = heard // 60_000 * 60_000 - (k + 1) * 2_760_000
        qty = round(2_400.0 * dice.uniform(0.7, 1.6) / price, 5)
        row = {
            "trade_id": f"t{k:04d}",
            "leg": f"leg-{k}",
            "instance": instance["id"],
            "side": side,
            "seq": k,
            "strategy": instance["strategy"],
            "symbol": instance["symbol"],
            "signal_ms": entry,
            "entry_ms": entry,
            "entry_price": price,
            "qty": qty,
            "stop_price": stop,
            "target_price": target,
            "stop_now": stop,
            "entry_fee": qty * price * 0.0005,
            "exit_fee": 0.0,
            "funding": 0.0,
            "status": "ACTIVE",
            "deployment": "d-20261030-7c1f",
            "weight": 0.02,
        }
        if not is_open:
            gain = qty * price * dice.gauss(0.002, 0.02)
            row |= {
                "status": "CLOSED",
                "exit_ms": entry + 2 * HOUR,
                "exit_price": price + direction * gain / qty,
                "exit_reason": int(dice.choice((ExitReason.STOP, ExitReason.TARGET, ExitReason.SIGNAL))),
                "pnl": gain,
            }
        ledger.put("trades", [row])
        if is_open:
            closes = "sell" if side == "long" else "buy"
            for kind, level in (("stop", stop), ("target", target)):
                ledger.put(
                    "orders",
                    [
                        {
                            "order_id": f"t{k:04d}-{kind}",
                            "trade_id": f"t{k:04d}",
                            "instance": instance["id"],
                            "symbol": instance["symbol"],
                            "kind": kind,
                            "side": closes,
                            "type": kind,
                            "qty": qty,
                            "price": level,
                            "status": "OPEN",
                            "created_ms": entry,
                            "seq": k,
                        }
                    ],
                )


def _sessions(ledger: Ledger, start: int, heard: int) -> None:
    ends = ((start - HOUR, start + 6 * DAY, "stopped"), (start + 6 * DAY, start + 17 * DAY, "killed"))
    for began, ended, how in ends:
        ledger.insert(
            "sessions", {"started_ms": began, "ended_ms": ended, "pid": 4211, "version": "0.1.0", "ended_how": how}
        )
    ledger.insert("sessions", {"started_ms": start + 17 * DAY + 4000, "pid": 5120, "version": "0.1.0"})
