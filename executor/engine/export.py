"""A ledger as a run folder, with the tables of a portfolio's backtest: for reports, and for `toolkit parity`."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from executor.engine.account import as_record
from executor.engine.engine import sum_of_capital
from executor.ledger import Ledger, number
from executor.ledger.ledger import Row
from toolkit.engine.account import AUDIT, DAY, HALT, HALTED
from toolkit.engine.types import ACCEPTED, LONG, REJECTED, SHORT, SIGNAL, TRADE, VETOED, SignalEnd
from toolkit.types import FloatArray, IntArray, Records

if TYPE_CHECKING:
    import polars as pl

_AT_OPEN = (SignalEnd.TRADE_CLOSED, SignalEnd.EXPIRED, SignalEnd.UNPAID)
_DECISIONS = {"accepted": ACCEPTED, "vetoed": VETOED, "rejected": REJECTED}
_ACTS = """
SELECT e.moment_ms AS ts_ms, c.verb, c.target, c.value FROM commands c JOIN events e ON e.seq = c.seq
WHERE c.status = 'done' ORDER BY c.id
"""
_TRADES = "SELECT * FROM trades ORDER BY status = 'ACTIVE', exit_ms, instance, side, trade_id"
_SAID = "SELECT instance, side, ts_ms, prediction, model_version, scale FROM signals"
_ORDERS = "SELECT order_id, trade_id, kind, side, type, price, qty, status, created_ms, closed_ms FROM orders"
_BARS = """
SELECT exchange, symbol, base, ts, open, high, low, close, volume, filled, source FROM bars WHERE event IS NOT NULL
ORDER BY exchange, symbol, base, ts
"""
# What a venue made of the orders of a live session.
_FILLS = """
SELECT f.trade_id, o.kind, f.ts_ms, f.price, f.qty, f.fee_money, o.created_ms
FROM fills f JOIN orders o USING (order_id) ORDER BY f.ts_ms, f.fill_id
"""
_ENDS = "SELECT order_id, trade_id, kind, status, reason FROM orders WHERE reason != '' ORDER BY order_id"
_VERSIONS = "SELECT id, deployment FROM instances ORDER BY id"
_LAST_CLOSES = """
SELECT i.id, max(b.ts) AS ts, b.close FROM instances i JOIN bars b USING (exchange, symbol, base)
WHERE b.event IS NOT NULL GROUP BY i.id
"""


@dataclass(frozen=True)
class _Base:
    interval_ms: int


@dataclass(frozen=True)
class _Bars:
    base: _Base


@dataclass(frozen=True)
class _Instance:
    id: str
    strategy: str
    params: dict[str, Any]
    symbol: str
    interval: str

    @property
    def digest(self) -> str:
        return self.id.rpartition("-")[2]


@dataclass(frozen=True)
class _Member:
    instance: _Instance
    bars: _Bars


@dataclass(frozen=True)
class Session:
    """Records of a ledger, with the attributes of a `toolkit.portfolio.simulate.PortfolioRun` that frames read."""

    members: tuple[_Member, ...]
    capital: float
    trades: Records
    trade_member: IntArray
    trade_weight: FloatArray
    signals: Records
    signal_member: IntArray
    signal_reason: IntArray
    audit: Records
    days: Records
    halts: Records


def export(path: Path, out: Path | None = None) -> Path:
    """Write the run folder of a ledger; returns it.

    Parameters
    ----------
    out : folder that the run is written into, default the runs of the data folder.

    Raises
    ------
    LedgerError : the ledger cannot be read, or holds no event yet. RunError : the folder cannot be written.
    """
    from toolkit.analysis.runs import RunWriter

    with Ledger.open(path, readonly=True) as ledger, ledger.snapshot():
        run, config = session(ledger), _config(ledger)
        with RunWriter(str(config["mode"]), config, root=out) as writer:
            for name, frame in _tables(ledger, run).items():
                writer.write_frame(name, frame)
            versions = {row["id"]: row["deployment"] for row in ledger.rows(_VERSIONS)}
            writer.note(acts=acts_of(ledger), deployment=config["deployment"], versions=versions)
            return writer.finish()


def acts_of(ledger: Ledger) -> list[dict[str, Any]]:
    """What people did in a session: ts_ms, verb, target, value."""
    return [dict(row) for row in ledger.rows(_ACTS)]


def session(ledger: Ledger) -> Session:
    """What the ledger holds, as records."""
    from toolkit.bars.intervals import interval_ms

    rows = ledger.rows("SELECT id, strategy, symbol, base, interval, document FROM instances ORDER BY id")
    members = tuple(
        _Member(
            _Instance(r["id"], r["strategy"], json.loads(r["document"]).get("params", {}), r["symbol"], r["interval"]),
            _Bars(_Base(interval_ms(r["base"]))),
        )
        for r in rows
    )
    number_of = {one.instance.id: k for k, one in enumerate(members)}
    base_of = {one.instance.id: one.bars.base.interval_ms for one in members}
    legs = {row["leg"]: as_record(row["state"]) for row in ledger.rows("SELECT leg, state FROM legs")}
    trades = ledger.rows(_TRADES)
    signals = ledger.rows("SELECT * FROM signals ORDER BY rowid")
    audit = ledger.rows("SELECT * FROM audit ORDER BY id")
    marks = _marks(ledger)
    return Session(
        members,
        sum_of_capital(ledger),
        np.array([_trade(r, base_of[r["instance"]], legs, marks) for r in trades], TRADE),
        _members(number_of, trades),
        np.array([number(r["weight"]) for r in trades]),
        np.array([_signal(r, base_of[r["instance"]], legs) for r in signals], SIGNAL),
        _members(number_of, signals),
        np.array([r["reason"] for r in signals], np.int64),
        np.array([_decision(r, number_of) for r in audit], AUDIT),
        _days(ledger),
        np.array([tuple(r) for r in ledger.rows("SELECT ts_ms, kind, until_ms, equity FROM halts ORDER BY id")], HALT),
    )


def _members(numbers: dict[str, int], rows: Sequence[Row]) -> IntArray:
    return np.array([numbers[row["instance"]] for row in rows], np.int64)


def _trade(r: Row, base_ms: int, legs: Mapping[str, Any], marks: dict[str, tuple[int, float]]) -> tuple[object, ...]:
    """A TRADE record; an open trade is marked at its symbol's last close."""
    head = (r["signal_ms"] // base_ms - 1, r["entry_ms"] // base_ms)
    side = LONG if r["side"] == "long" else SHORT
    levels = (r["qty"], number(r["stop_price"]), number(r["target_price"]))
    if r["status"] == "ACTIVE":
        ts, close = marks[r["instance"]]
        state: Any = legs[r["leg"]]
        return (
            *head, ts // base_ms, side, r["entry_price"], close, r["expected_entry_price"], math.nan, *levels, 0,
            r["entry_fee"], 0.0, float(state["funding"]), float(state["best"]), float(state["worst"]), math.nan,
            int(state["order_t"]),
        )  # fmt: skip
    ordered = r["exit_order_ms"]
    return (
        *head, r["exit_ms"] // base_ms, side, r["entry_price"], r["exit_price"], r["expected_entry_price"],
        number(r["expected_exit_price"]), *levels, r["exit_reason"], r["entry_fee"], r["exit_fee"], r["funding"],
        r["best"], r["worst"], number(r["other_price"]), ordered // base_ms - 1 if ordered is not None else -1,
    )  # fmt: skip


def _marks(ledger: Ledger) -> dict[str, tuple[int, float]]:
    """Open time and close of the last bar that each instance's series was stepped on."""
    return {row["id"]: (row["ts"], row["close"]) for row in ledger.rows(_LAST_CLOSES)}


def _signal(r: Row, base_ms: int, legs: dict[str, Any]) -> tuple[object, ...]:
    """A SIGNAL record; one that could not be paid was accepted, and is said otherwise in the tables alone."""
    end = r["end"]
    decision = ACCEPTED if end == SignalEnd.UNPAID else _DECISIONS[r["decision"]]
    closed = -1 if r["closed_ms"] is None else r["closed_ms"] // base_ms - (0 if end in _AT_OPEN else 1)
    expires = -1 if r["expires_ms"] is None else r["expires_ms"] // base_ms - 1
    # A live signal's count is still the leg's own.
    ignored = int(legs[r["leg"]]["ignored"]) if end == SignalEnd.LIVE else r["ignored"]
    return r["t"], LONG if r["side"] == "long" else SHORT, decision, end, closed, expires, ignored, r["price"]


def _decision(r: Row, numbers: dict[str, int]) -> tuple[object, ...]:
    return (
        r["ts_ms"], numbers[r["instance"]], r["open_trades"], LONG if r["side"] == "long" else SHORT, r["reason"],
        number(r["asked"]), *(r[name] for name in ("given", "price", "weight", "equity", "gross", "net")),
    )  # fmt: skip


def _days(ledger: Ledger) -> Records:
    """Marks at 00:00 UTC, and the one at the last event where that is none."""
    names = DAY.names or ()
    columns = ", ".join("ts_ms" if name == "ts" else name for name in names)
    rows = [tuple(r) for r in ledger.rows(f"SELECT {columns} FROM days ORDER BY ts_ms")]
    last = ledger.rows("SELECT moment_ms, clock FROM account")
    if last and (not rows or rows[-1][0] < last[0]["moment_ms"]):
        mark = ledger.rows("SELECT * FROM equity WHERE ts_ms = ?", (last[0]["moment_ms"],))
        halted = int(np.frombuffer(last[0]["clock"], np.int64)[HALTED] != 0)
        for r in mark:
            values = {**dict(r), "ts": r["ts_ms"], "halted": halted}
            rows.append(tuple(values.get(name, math.nan) for name in names))
    return np.array(rows, DAY)


def _tables(ledger: Ledger, run: Session) -> "dict[str, pl.DataFrame]":
    import polars as pl

    from toolkit.portfolio import frames

    known: Any = run
    said = _said(ledger)
    venue = {"fills": _fills(ledger), "ends": _ends(ledger)} if ledger.meta("mode") == "live" else {}
    return {
        **venue,
        "trades": _with(frames.trades_table(known), said, "signal_ts").drop("scale", strict=False),
        "signals": _with(frames.signals_table(known, np.full(len(run.signals), np.nan)), said, "ts"),
        "orders": _orders(ledger),
        "audit": frames.audit_table(known),
        "equity": frames.equity_table(known),
        "halts": pl.DataFrame({name: run.halts[name] for name in HALT.names or ()}),
        "bars": _bars(ledger),
    }


def _said(ledger: Ledger) -> "pl.DataFrame | None":
    """What models said of each signal; None where no instance is judged by one."""
    import polars as pl

    if not ledger.value("SELECT count(*) FROM model_versions WHERE name != ''"):
        return None
    kinds = {
        "instance": pl.String, "side": pl.String, "at": pl.Int64, "prediction": pl.Float64,
        "model_version": pl.String, "scale": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame([tuple(r) for r in ledger.rows(_SAID)], schema=kinds, orient="row")


def _with(frame: "pl.DataFrame", said: "pl.DataFrame | None", at: str) -> "pl.DataFrame":
    """The frame with what models said, as a backtest's has it."""
    from toolkit.analysis.frames import TIME

    if said is None:
        return frame
    keyed = said.with_columns(said["at"].cast(TIME)).rename({"at": at})
    names = frame.columns
    joined = frame.drop("prediction", "model_version", strict=False).join(
        keyed, on=["instance", "side", at], how="left", maintain_order="left"
    )
    return joined.select(*names, *(n for n in ("model_version", "scale") if n not in names))


def _orders(ledger: Ledger) -> "pl.DataFrame":
    import polars as pl

    from toolkit.analysis.frames import TIME
    from toolkit.analysis.orders import ORDER_COLUMNS

    rows = [tuple(r) for r in ledger.rows(_ORDERS)]
    names = ("order_id", "trade_id", "kind", "side", "type", "price", "qty", "status", "created_ts", "closed_ts")
    kinds = {"price": pl.Float64, "qty": pl.Float64, "created_ts": pl.Int64, "closed_ts": pl.Int64}
    frame = pl.DataFrame(rows, schema={n: kinds.get(n, pl.String) for n in names}, orient="row")
    # A venue's word that it has the order is no difference to a backtest.
    waiting = pl.col("status").replace("OPEN", "NEW")
    times = (pl.col("created_ts").cast(TIME), pl.col("closed_ts").cast(TIME))
    return frame.with_columns(waiting, *times).select(ORDER_COLUMNS).sort("created_ts", "order_id")


def _fills(ledger: Ledger) -> "pl.DataFrame":
    """What was filled at a venue: when, and when its order was made; quantity in base units, fee in money."""
    import polars as pl

    kinds = {
        "trade_id": pl.String, "kind": pl.String, "ts_ms": pl.Int64, "price": pl.Float64, "qty": pl.Float64,
        "fee": pl.Float64, "ordered_ms": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame([tuple(r) for r in ledger.rows(_FILLS)], schema=kinds, orient="row")


def _ends(ledger: Ledger) -> "pl.DataFrame":
    """Orders that did not simply fill, and why."""
    import polars as pl

    names = ("order_id", "trade_id", "kind", "status", "reason")
    return pl.DataFrame([tuple(r) for r in ledger.rows(_ENDS)], schema=dict.fromkeys(names, pl.String), orient="row")


def _bars(ledger: Ledger) -> "pl.DataFrame":
    import polars as pl

    names = ("exchange", "symbol", "base", "ts", "open", "high", "low", "close", "volume", "filled", "source")
    words = ("exchange", "symbol", "base", "source")
    kinds = {n: pl.String if n in words else pl.Int64 if n in ("ts", "filled") else pl.Float64 for n in names}
    frame = pl.DataFrame([tuple(r) for r in ledger.rows(_BARS)], schema=kinds, orient="row")
    return frame.with_columns(pl.col("filled").cast(pl.Boolean))


def _config(ledger: Ledger) -> dict[str, Any]:
    names = ("mode", "account", "currency", "start_ms")
    last = ledger.value("SELECT moment_ms FROM account")
    active = ledger.value("SELECT id FROM deployments WHERE state = 'active' ORDER BY loaded_ms DESC")
    return {
        **{name: ledger.meta(name) for name in names}, "ledger": ledger.path.name, "deployment": active,
        "end_ms": last, "capital": sum_of_capital(ledger),
    }  # fmt: skip
