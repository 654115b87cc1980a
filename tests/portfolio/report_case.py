"""A seeded portfolio run made of numbers alone: every table of its folder, so that its page can be tested by itself."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from toolkit.analysis.frames import TIME, TRADE_COLUMNS
from toolkit.portfolio.figures import account_figures, hold_equally

HOUR, DAY, WARM_DAYS = 3_600_000, 86_400_000, 40
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
STRATEGIES = ("volatility_breakout", "trend_day", "reversal_breakout", "open_range_breakout")
CAPITAL = 100_000.0
REASONS = ("as asked", "largest gross exposure", "most open trades", "halted: daily loss", "below the smallest order")


@dataclass(frozen=True)
class Case:
    """What the run is made of; `names` replaces the strategies' names."""

    seed: int = 1
    days: int = 400
    synthetic: bool = False
    in_sample: bool = False
    names: tuple[str, ...] = STRATEGIES
    start: str = "2023-01-01"
    trades_each: int = 45


def portfolio_folder(root: Path, case: Case | None = None) -> Path:
    """Write the run's folder and return it; it has no page yet."""
    case = case or Case()
    rng = np.random.default_rng(case.seed)
    prices = _prices(rng, case)
    members = _members(case)
    trades = _trades(rng, case, prices, members)
    daily = _daily(trades, prices, case, members)
    equity = _equity(daily, trades, case)
    audit = _audit(rng, trades, equity)
    results = _results(case, members, trades, equity, daily, audit, prices)
    folder = root / results["run_id"]
    folder.mkdir(parents=True)
    tables = {
        "trades": trades.drop("day"),
        "equity": equity,
        "audit": audit,
        "variants": _variants(equity, prices, case),
        "instance_returns": _instance_returns(daily, equity, members, case),
        "weights": _weights(members, case),
        "metrics": pl.DataFrame([{k: v for k, v in row.items() if k != "sides"} for row in results["instances"]]),
        "trade_bars": _trade_bars(trades, prices, case),
        "closes": _closes(prices, case),
    }
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet")
    (folder / "results.json").write_text(json.dumps(results, indent=1))
    (folder / "run.json").write_text(json.dumps(_info(results, case)))
    return folder


def _start(case: Case) -> int:
    return int(datetime.fromisoformat(case.start).replace(tzinfo=UTC).timestamp() * 1000)


def _prices(rng: np.random.Generator, case: Case) -> np.ndarray[Any, Any]:
    """float64[symbols, hours]: hourly closes, `WARM_DAYS` before the start included."""
    n = (case.days + WARM_DAYS) * 24
    swing = 0.006 * (1.0 + 0.6 * np.sin(np.arange(n) / 700.0))
    moves = rng.normal(0.00002, 1.0, (len(SYMBOLS), n)) * swing
    return np.array([20_000.0, 1_500.0, 25.0])[:, None] * np.exp(np.cumsum(moves, axis=1))


def _members(case: Case) -> list[dict[str, Any]]:
    made = [(name, symbol) for name in case.names for symbol in SYMBOLS[:2]] + [(case.names[0], SYMBOLS[2])]
    return [
        {"strategy": name, "symbol": symbol, "interval": "15m", "side": "both", "weight": 1.0 / len(made),
         "instance": f"{name}-{symbol.replace('/', '')}-15m-{k:010x}"}
        for k, (name, symbol) in enumerate(made)
    ]  # fmt: skip


def _trades(
    rng: np.random.Generator, case: Case, prices: np.ndarray[Any, Any], members: list[dict[str, Any]]
) -> pl.DataFrame:
    first, rows = WARM_DAYS * 24, []
    last = first + case.days * 24 - 1
    for one in members:
        path = prices[SYMBOLS.index(one["symbol"])]
        starts = np.sort(rng.choice(np.arange(first, last - 100), case.trades_each, replace=False))
        for k, at in enumerate(starts.tolist()):
            still_open = k == case.trades_each - 1 and one is members[0]
            end = last if still_open else at + int(rng.integers(1, 90))
            rows.append(_trade(rng, one, path, (at, end), still_open, _start(case) - WARM_DAYS * DAY))
    frame = pl.DataFrame(rows, infer_schema_length=None)
    times = [pl.col(c).cast(TIME) for c in ("signal_ts", "entry_ts", "exit_ts")]
    return frame.with_columns(*times).select(*TRADE_COLUMNS, "day").sort("exit_ts", nulls_last=True)


def _trade(
    rng: np.random.Generator,
    one: dict[str, Any],
    path: np.ndarray[Any, Any],
    span: tuple[int, int],
    still_open: bool,
    t0: int,
) -> dict[str, Any]:
    at, end = span
    side = 1 if rng.random() < 0.6 else -1
    expected, seen = float(path[at]), path[at : end + 1]
    entry = expected * (1 + side * 0.0002)
    out = float(path[end]) * (1 - side * 0.0002)
    qty = CAPITAL * one["weight"] / entry
    fees = 0.0005 * qty * (entry + (0.0 if still_open else out))
    gross = side * qty * (out - entry)
    stop = entry * (1 - side * 0.02)
    low, high = float(np.min(side * seen)) * side, float(np.max(side * seen)) * side
    reason = "open" if still_open else str(rng.choice(["stop", "target", "signal", "max_hold", "trail"]))
    return {
        "trade_id": f"{one['instance'][-10:]}-{'L' if side > 0 else 'S'}-{t0 + at * HOUR}",
        "strategy": one["strategy"], "instance": one["instance"], "params": "{}", "symbol": one["symbol"],
        "interval": one["interval"], "side": "long" if side > 0 else "short", "signal_ts": t0 + at * HOUR,
        "entry_ts": t0 + at * HOUR, "exit_ts": None if still_open else t0 + end * HOUR, "entry_price": entry,
        "exit_price": None if still_open else out, "expected_entry_price": expected,
        "expected_exit_price": None if still_open else float(path[end]), "qty": qty, "stop_price": stop,
        "target_price": entry * (1 + side * 0.04) if rng.random() < 0.7 else None, "exit_reason": reason,
        "fees": fees, "funding": 0.0, "gross_pnl": gross, "pnl": gross - fees, "return": (gross - fees) / qty / entry,
        "r_multiple": (gross - fees) / (qty * 0.02 * entry), "mae": min(0.0, side * (low - entry) / entry),
        "mfe": max(0.0, side * (high - entry) / entry), "bars_held": (end - at) * 60, "prediction": None,
        "model_version": None, "weight": one["weight"], "deployment": None, "run_id": "synthetic", "day": at // 24,
    }  # fmt: skip


def _daily(
    trades: pl.DataFrame, prices: np.ndarray[Any, Any], case: Case, members: list[dict[str, Any]]
) -> dict[str, np.ndarray[Any, Any]]:
    """Profit by instance and day (marked daily), and gross and net notional and open trades at each day's end."""
    names = [m["instance"] for m in members]
    t0 = _start(case)
    pnl, gross = np.zeros((len(names), case.days)), np.zeros(case.days)
    net, count = np.zeros(case.days), np.zeros(case.days, np.int64)
    closes = prices.reshape(len(SYMBOLS), -1, 24)[:, WARM_DAYS:, -1]
    for row in trades.iter_rows(named=True):
        side = 1 if row["side"] == "long" else -1
        close = closes[SYMBOLS.index(row["symbol"])]
        first = (int(row["entry_ts"].timestamp() * 1000) - t0) // DAY
        last = case.days - 1 if row["exit_ts"] is None else (int(row["exit_ts"].timestamp() * 1000) - t0) // DAY
        own, mark = pnl[names.index(row["instance"])], row["entry_price"]
        for day in range(first, last):
            own[day] += side * row["qty"] * (close[day] - mark)
            mark = close[day]
            gross[day] += row["qty"] * mark
            net[day] += side * row["qty"] * mark
            count[day] += 1
        total = row["pnl"] + row["fees"]
        own[last] += total - side * row["qty"] * (mark - row["entry_price"]) - row["fees"]
    return {"pnl": pnl, "gross": gross, "net": net, "open": count}


def _ends(case: Case) -> np.ndarray[Any, Any]:
    ends: np.ndarray[Any, Any] = _start(case) + (1 + np.arange(case.days)) * DAY
    return ends


def _equity(daily: dict[str, np.ndarray[Any, Any]], trades: pl.DataFrame, case: Case) -> pl.DataFrame:
    profit = daily["pnl"].sum(axis=0)
    value = CAPITAL + np.cumsum(profit)
    peak = np.maximum.accumulate(np.concatenate([[CAPITAL], value]))[1:]
    halted = np.zeros(case.days, np.bool_)
    halted[40:41] = True
    return pl.DataFrame(
        {
            "ts": pl.Series(_ends(case)).cast(TIME), "equity": value, "pnl": profit,
            "return": profit / (value - profit), "drawdown": value / peak - 1, "cash": value - daily["net"],
            "gross_exposure": daily["gross"], "net_exposure": daily["net"], "margin_used": daily["gross"] / value,
            "open_trades": daily["open"], "halted": halted,
        }
    )  # fmt: skip


def _instance_returns(
    daily: dict[str, np.ndarray[Any, Any]], equity: pl.DataFrame, members: list[dict[str, Any]], case: Case
) -> pl.DataFrame:
    began = (equity["equity"] - equity["pnl"]).to_numpy()
    dates = pl.Series("date", (_ends(case) - DAY)).cast(TIME).cast(pl.Date)
    parts = [
        pl.DataFrame({"date": dates, "pnl": daily["pnl"][k], "return": daily["pnl"][k] / began}).with_columns(
            pl.lit(one["instance"]).alias("instance")
        )
        for k, one in enumerate(members)
    ]
    return pl.concat(parts).select("date", "instance", "pnl", "return")


def _variants(equity: pl.DataFrame, prices: np.ndarray[Any, Any], case: Case) -> pl.DataFrame:
    closes = prices.reshape(len(SYMBOLS), -1, 24)[:, WARM_DAYS:, -1]
    own = equity["equity"].to_numpy()
    paths = {
        "portfolio": own,
        "equal": CAPITAL + (own - CAPITAL) * 0.7,
        "winners": CAPITAL + (own - CAPITAL) * 1.2 + 500 * np.sin(np.arange(case.days) / 20),
        "twice_costs": own - np.linspace(0, 4_000, case.days),
        "buy_and_hold": CAPITAL * (closes / closes[:, :1]).mean(axis=0),
    }
    parts = [pl.DataFrame({"ts": equity["ts"], "equity": v}).with_columns(variant=pl.lit(k)) for k, v in paths.items()]
    return pl.concat(parts).select("ts", "variant", "equity")


def _weights(members: list[dict[str, Any]], case: Case) -> pl.DataFrame:
    at = pl.Series([_start(case)]).cast(TIME)
    rows = [pl.DataFrame({"effective_from": at, "instance": m["instance"], "weight": m["weight"]}) for m in members]
    return pl.concat(rows)


def _closes(prices: np.ndarray[Any, Any], case: Case) -> pl.DataFrame:
    closes = prices.reshape(len(SYMBOLS), -1, 24)[:, :, -1]
    dates = _start(case) + (np.arange(case.days + WARM_DAYS) - WARM_DAYS) * DAY
    parts = [
        pl.DataFrame({"date": pl.Series(dates).cast(TIME).cast(pl.Date), "close": closes[k]}).with_columns(
            symbol=pl.lit(symbol)
        )
        for k, symbol in enumerate(SYMBOLS)
    ]
    return pl.concat(parts).select("date", "symbol", "close")


def _trade_bars(trades: pl.DataFrame, prices: np.ndarray[Any, Any], case: Case) -> pl.DataFrame:
    t0, parts = _start(case) - WARM_DAYS * DAY, []
    for row in trades.tail(60).iter_rows(named=True):
        path = prices[SYMBOLS.index(row["symbol"])]
        at = (int(row["entry_ts"].timestamp() * 1000) - t0) // HOUR
        hours = np.arange(max(1, at - 15), min(at + 100, len(path)))
        opens, closes = path[hours - 1], path[hours]
        parts.append(
            pl.DataFrame(
                {
                    "trade_id": [row["trade_id"]] * len(hours), "ts": pl.Series(t0 + hours * HOUR).cast(TIME),
                    "open": opens, "high": np.maximum(opens, closes) * 1.001, "low": np.minimum(opens, closes) * 0.999,
                    "close": closes,
                }
            )
        )  # fmt: skip
    return pl.concat(parts)


def _audit(rng: np.random.Generator, trades: pl.DataFrame, equity: pl.DataFrame) -> pl.DataFrame:
    refused = trades.sample(80, seed=int(rng.integers(1000)))
    rows = []
    for frame, given in ((trades, 1.0), (refused.head(30), 0.5), (refused.tail(50), 0.0)):
        for k, row in enumerate(frame.iter_rows(named=True)):
            asked = row["qty"] / (given or 1.0)
            decision = "accepted" if given == 1.0 else "clipped" if given else "rejected"
            reason = REASONS[0] if given == 1.0 else REASONS[1] if given else REASONS[2 + k % 3]
            rows.append(
                {
                    "ts": row["signal_ts"], "instance": row["instance"], "strategy": row["strategy"],
                    "symbol": row["symbol"], "side": row["side"], "decision": decision, "reason": reason,
                    "asked": asked, "given": asked * given, "price": row["entry_price"],
                    "asked_notional": asked * row["entry_price"], "given_notional": asked * given * row["entry_price"],
                    "weight": row["weight"], "equity": CAPITAL, "gross_exposure": 0.0, "net_exposure": 0.0,
                    "open_trades": 1,
                }
            )  # fmt: skip
    return pl.DataFrame(rows).with_columns(pl.col("ts").cast(TIME)).sort("ts")


def _results(
    case: Case,
    members: list[dict[str, Any]],
    trades: pl.DataFrame,
    equity: pl.DataFrame,
    daily: dict[str, np.ndarray[Any, Any]],
    audit: pl.DataFrame,
    prices: np.ndarray[Any, Any],
) -> dict[str, Any]:
    closes = prices.reshape(len(SYMBOLS), -1, 24)[:, WARM_DAYS:, -1]
    day0, ends = _start(case) // DAY, _ends(case)
    known = {"return_at_twice_costs": 0.0123, "ambiguous_trades": 4.0, "ambiguous_pnl": 321.5}
    figures = account_figures(equity, trades, capital=CAPITAL, start_ms=_start(case), known=known)
    figures |= hold_equally([(float(c[0]), day0, c) for c in closes], day0, case.days)
    figures["combinations_tried"] = 12_960.0
    clean = {k: None if np.isnan(v) else v for k, v in figures.items()}
    counts = audit.group_by("reason").len().sort("len", descending=True)
    words = dict(audit.group_by("decision").len().iter_rows())
    return {
        "schema": "lockstep.results/1", "run_id": f"20260101-000000-portfolio-{case.seed:06x}",
        "synthetic": case.synthetic, "period": {"start": case.start, "end": _iso(int(ends[-1]))}, "capital": CAPITAL,
        "figures": clean, "variants": {"portfolio": clean, "equal": {**clean, "sharpe": 0.5}, "winners": clean},
        "strategies": _rows(trades, daily, members, "strategy"), "instances": _rows(trades, daily, members, "instance"),
        "audit": {k: words.get(k, 0) for k in ("accepted", "clipped", "rejected", "vetoed")}
        | {"by_reason": dict(counts.iter_rows())},
        "halts": [{"ts": f"{case.start}T00:00:00Z", "kind": "daily loss", "equity": 98_000.0, "until": None}],
        "drift": {"max_gross_share": 0.93, "max_net_share": 0.41, "max_symbol_share": 0.38, "days_over_limit": 2},
        "ambiguity": {"policy": "pessimistic", "trades": 4, "pnl_at_stake": 321.5}, "ended_early": [],
        "never_traded": [], "combinations_tried": 12_960, "in_sample": case.in_sample,
        "config": {"limits": {"sizing": "weight", "max_gross": 0.9, "max_symbol": 0.4}, "method": "equal"},
    }  # fmt: skip


def _rows(
    trades: pl.DataFrame, daily: dict[str, np.ndarray[Any, Any]], members: list[dict[str, Any]], by: str
) -> list[dict[str, Any]]:
    rows = []
    for name in dict.fromkeys(m[by] for m in members):
        own = trades.filter((pl.col(by) == name) & pl.col("exit_ts").is_not_null())["pnl"]
        picked = [k for k, m in enumerate(members) if m[by] == name]
        profit = daily["pnl"][picked].sum(axis=0)
        curve = CAPITAL + np.cumsum(profit)
        lost = -float(own.filter(own <= 0).sum())
        row = {"trades": len(own), "pnl": float(profit.sum()), "win_rate": float((own > 0).mean() or 0.0),
               "profit_factor": float(own.filter(own > 0).sum()) / lost if lost else None,
               "sharpe": float(profit.mean() / profit.std(ddof=1) * 365**0.5),
               "max_drawdown": float((1 - curve / np.maximum.accumulate(curve)).max()),
               "fees": float(trades.filter(pl.col(by) == name)["fees"].sum())}  # fmt: skip
        first = members[picked[0]]
        what = {"instances": len(picked)} if by == "strategy" else {k: first[k] for k in first if k != "instance"}
        rows.append({by: name, **what, **row})
    return rows


def _info(results: dict[str, Any], case: Case) -> dict[str, Any]:
    exchange = "synthetic" if case.synthetic else "venue"
    return {
        "run_id": results["run_id"], "kind": "portfolio", "config": results["config"],
        "code": {"version": "0.1.0", "sources": "ab" * 32}, "versions": {"python": "3"}, "started": f"{case.start}T00",
        "finished": f"{case.start}T01", "data": [{"exchange": exchange, "symbol": s} for s in SYMBOLS],
    }  # fmt: skip


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()
