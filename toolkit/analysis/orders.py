"""The orders behind a run's trades and unfilled entries, as a polars frame."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from toolkit.analysis.frames import TIME, Naming, trade_ids
from toolkit.engine.types import ACCEPTED, EXIT_ORDER, ExitReason, LegState, SignalEnd, TargetFill
from toolkit.types import BoolArray, FloatArray, IntArray, Records

ORDER_COLUMNS = (
    "order_id", "trade_id", "kind", "side", "type", "price", "qty", "status", "created_ts", "closed_ts",
)  # fmt: skip
_AT_MARKET = (ExitReason.SIGNAL, ExitReason.MAX_HOLD, ExitReason.RULE)
_AT_STOP = (ExitReason.STOP, ExitReason.TRAIL)


def order_frame(
    trades: Records,
    signals: Records,
    states: Mapping[int, LegState],
    naming: Naming,
    *,
    notional: float,
    target_fill: int,
) -> pl.DataFrame:
    """The `orders` table: entry, stop, target and exit order of each trade, and the entries that never filled.

    `side` is buy or sell; `status` NEW (pending at the end of the bars), CLOSED (filled) or CANCELLED. `price` is the
    level of a stop or target (of a trailing stop the first, and the last once it is hit) and the fill price of a market
    order, null before it fills. An unfilled entry has the id of the trade that it would have become.

    Parameters
    ----------
    trades, signals, states : of the run (`EngineRun`).
    notional : money a trade, which sizes the unfilled entries.
    target_fill : a `TargetFill`.
    """
    ms, reason = naming.base_ms, trades["exit_reason"]
    is_open, by_stop, by_target = reason == 0, np.isin(reason, _AT_STOP), reason == ExitReason.TARGET
    entry_ms, exit_ms = trades["entry_t"] * ms, np.where(is_open, -1, trades["exit_t"] * ms)
    ids = trade_ids(naming, trades["side"], (trades["signal_t"] + 1) * ms)
    rows = _Rows(ids, trades["side"], trades["qty"])
    everything = np.ones(len(trades), np.bool_)
    stops = np.where(by_stop, trades["expected_exit_price"], trades["stop_price"])
    targets = trades["target_price"]
    target_type = "take_profit_market" if target_fill == TargetFill.MARKET else "limit"
    leaving, left_ms = _exit_orders(trades, states, ms)
    exit_price = np.where(is_open, np.nan, trades["exit_price"])
    parts = [
        rows.part("entry", "market", everything, trades["entry_price"], (trades["signal_t"] + 1) * ms, entry_ms),
        rows.part("stop", "stop_market", ~np.isnan(stops), stops, entry_ms, exit_ms, ~by_stop),
        rows.part("target", target_type, ~np.isnan(targets), targets, entry_ms, exit_ms, ~by_target),
        rows.part("exit", "market", leaving, exit_price, left_ms, exit_ms),
        _unfilled(trades, signals, naming, notional),
    ]
    return pl.concat(parts).select(ORDER_COLUMNS).sort("created_ts", "order_id")


def _exit_orders(trades: Records, states: Mapping[int, LegState], ms: int) -> tuple[BoolArray, IntArray]:
    """Which trades have a market exit order, and when it was made; an open trade's may still wait for a bar."""
    leaving = np.isin(trades["exit_reason"], _AT_MARKET)
    made_t = np.where(leaving, trades["exit_order_t"], -1)
    for side, state in states.items():
        if state.trade.active and state.order.kind == EXIT_ORDER:
            waiting = (trades["side"] == side) & (trades["exit_reason"] == 0)
            leaving |= waiting
            made_t[waiting] = state.order.t
    return leaving, (made_t + 1) * ms


def _unfilled(trades: Records, signals: Records, naming: Naming, notional: float) -> pl.DataFrame:
    """Entry orders without a trade: cancelled, or still waiting at the end of the bars."""
    filled = np.zeros(len(signals), np.bool_)
    for side in np.unique(signals["side"]):
        of_side = signals["side"] == side
        filled[of_side] = np.isin(signals["t"][of_side], trades["signal_t"][trades["side"] == side])
    left = signals[(signals["decision"] == ACCEPTED) & ~filled]
    ms = naming.base_ms
    closed_t = left["closed_t"] + (left["end"] != SignalEnd.EXPIRED)
    closed_ms = np.where(left["closed_t"] < 0, -1, closed_t * ms)
    created_ms = (left["t"] + 1) * ms
    rows = _Rows(trade_ids(naming, left["side"], created_ms), left["side"], notional / left["price"])
    everything = np.ones(len(left), np.bool_)
    return rows.part("entry", "market", everything, np.full(len(left), np.nan), created_ms, closed_ms, everything)


class _Rows:
    """What every order of a trade shares."""

    def __init__(self, trade_id: pl.Series, side: IntArray, qty: FloatArray) -> None:
        self.trade_id = trade_id
        self.side = side
        self.qty = qty

    def part(
        self,
        kind: str,
        type_: str,
        chosen: BoolArray,
        price: FloatArray,
        created_ms: IntArray,
        closed_ms: IntArray,
        cancelled: BoolArray | None = None,
    ) -> pl.DataFrame:
        """Orders of one kind for the chosen trades; `closed_ms` -1 is still pending."""
        buys = (self.side > 0) == (kind == "entry")
        called_off = np.zeros(len(self.side), np.bool_) if cancelled is None else cancelled
        status = np.where(closed_ms < 0, 0, np.where(called_off, 2, 1))
        columns: dict[str, Any] = {
            "order_id": pl.select(pl.format(f"{{}}-{kind}", self.trade_id)).to_series(),
            "trade_id": self.trade_id,
            "kind": pl.repeat(kind, len(buys), dtype=pl.String, eager=True),
            "side": pl.Series(["sell", "buy"]).gather(buys.astype(np.int64)),
            "type": pl.repeat(type_, len(buys), dtype=pl.String, eager=True),
            "price": pl.Series(price, dtype=pl.Float64).fill_nan(None),
            "qty": self.qty,
            "status": pl.Series(["NEW", "CLOSED", "CANCELLED"]).gather(status),
            "created_ts": pl.Series(created_ms, dtype=pl.Int64).cast(TIME),
            "closed_ts": pl.Series(closed_ms, dtype=pl.Int64).replace(-1, None).cast(TIME),
        }
        return pl.DataFrame(columns).filter(pl.Series(chosen))
