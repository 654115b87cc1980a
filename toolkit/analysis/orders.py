"""The orders behind a run's trades and unfilled entries, as a polars frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from toolkit.analysis.frames import ENDS_AT_OPEN, TIME, AnyNaming, Naming, trade_ids
from toolkit.engine.types import ACCEPTED, EXIT_ORDER, ExitReason, LegState, TargetFill
from toolkit.types import BoolArray, FloatArray, IntArray, Records

ORDER_COLUMNS = (
    "order_id", "trade_id", "kind", "side", "type", "price", "qty", "status", "created_ts", "closed_ts",
)  # fmt: skip
_AT_MARKET = (ExitReason.SIGNAL, ExitReason.MAX_HOLD, ExitReason.RULE, ExitReason.HALT, ExitReason.MANUAL)
_AT_STOP = (ExitReason.STOP, ExitReason.TRAIL)


@dataclass(frozen=True)
class OrderSource:
    """What orders are made of, for the rows of any number of instances.

    Attributes
    ----------
    trades, signals : TRADE and SIGNAL records. of_trades, of_signals : how the rows of each are named.
    trade_leg, signal_leg : int64, a number of the leg that each row is of.
    exit_order_t : int64, a trade: the bar at whose close its market exit order was made, -1 = none.
    qty : float64, a signal: the quantity of its entry order.
    target_market : bool, a trade: its target is a market order, not a resting limit.
    """

    trades: Records
    signals: Records
    of_trades: AnyNaming
    of_signals: AnyNaming
    trade_leg: IntArray
    signal_leg: IntArray
    exit_order_t: IntArray
    qty: FloatArray
    target_market: BoolArray


def order_frame(
    trades: Records,
    signals: Records,
    states: Mapping[int, LegState],
    naming: Naming,
    *,
    notional: float,
    target_fill: int,
) -> pl.DataFrame:
    """The `orders` table of one instance; see `orders_of`.

    Parameters
    ----------
    trades, signals, states : of the run (`EngineRun`).
    notional : money a trade, which sizes the unfilled entries.
    target_fill : a `TargetFill`.
    """
    made_t = exit_orders(trades)
    for side, state in states.items():
        if state.trade.active and state.order.kind == EXIT_ORDER:
            made_t[(trades["side"] == side) & (trades["exit_reason"] == 0)] = state.order.t
    at_market = np.full(len(trades), target_fill == TargetFill.MARKET)
    return orders_of(
        OrderSource(
            trades, signals, naming, naming, trades["side"], signals["side"], made_t, notional / signals["price"],
            at_market,
        )
    )  # fmt: skip


def exit_orders(trades: Records) -> IntArray:
    """int64[n]: the bar at whose close each closed trade's market exit order was made, -1 = it had none."""
    made_t: IntArray = np.where(np.isin(trades["exit_reason"], _AT_MARKET), trades["exit_order_t"], -1)
    return made_t


def orders_of(source: OrderSource) -> pl.DataFrame:
    """The `orders` table: entry, stop, target and exit order of each trade, and the entries that never filled.

    `side` is buy or sell; `status` NEW (pending at the end of the bars), CLOSED (filled) or CANCELLED. `price` is the
    level of a stop or target (of a trailing stop the first, and the last once it is hit) and the fill price of a market
    order, null before it fills. An unfilled entry has the id of the trade that it would have become.
    """
    trades = source.trades
    ms: Any = source.of_trades.base_ms
    reason = trades["exit_reason"]
    is_open, by_stop, by_target = reason == 0, np.isin(reason, _AT_STOP), reason == ExitReason.TARGET
    signal_ms = (trades["signal_t"] + 1) * ms
    entry_ms, exit_ms = trades["entry_t"] * ms, np.where(is_open, -1, trades["exit_t"] * ms)
    rows = _Rows(trade_ids(source.of_trades, trades["side"], signal_ms), trades["side"], trades["qty"])
    everything, resting = np.ones(len(trades), np.bool_), ~source.target_market
    stops = np.where(by_stop, trades["expected_exit_price"], trades["stop_price"])
    targets = trades["target_price"]
    has_target = ~np.isnan(targets)
    leaving, left_ms = source.exit_order_t >= 0, (source.exit_order_t + 1) * ms
    exit_price = np.where(is_open, np.nan, trades["exit_price"])
    limits = rows.part("target", "limit", has_target & resting, targets, entry_ms, exit_ms, ~by_target)
    triggers = rows.part("target", "take_profit_market", has_target & ~resting, targets, entry_ms, exit_ms, ~by_target)
    parts = [
        rows.part("entry", "market", everything, trades["entry_price"], signal_ms, entry_ms),
        rows.part("stop", "stop_market", ~np.isnan(stops), stops, entry_ms, exit_ms, ~by_stop),
        limits,
        triggers,
        rows.part("exit", "market", leaving, exit_price, left_ms, exit_ms),
        _unfilled(source),
    ]
    return pl.concat(parts).select(ORDER_COLUMNS).sort("created_ts", "order_id")


def _unfilled(source: OrderSource) -> pl.DataFrame:
    """Entry orders without a trade: cancelled, or still waiting at the end of the bars."""
    trades, signals = source.trades, source.signals
    of_signal = pl.DataFrame({"leg": source.signal_leg, "t": signals["t"]}).with_row_index()
    of_trade = pl.DataFrame({"leg": source.trade_leg, "t": trades["signal_t"]})
    accepted = of_signal.filter(pl.Series(signals["decision"] == ACCEPTED))
    at = accepted.join(of_trade, on=["leg", "t"], how="anti")["index"].sort().to_numpy().astype(np.int64)
    left, naming = signals[at], source.of_signals.take(at)
    ms: Any = naming.base_ms
    closed_t = left["closed_t"] + ~np.isin(left["end"], ENDS_AT_OPEN)
    closed_ms = np.where(left["closed_t"] < 0, -1, closed_t * ms)
    created_ms = (left["t"] + 1) * ms
    rows = _Rows(trade_ids(naming, left["side"], created_ms), left["side"], source.qty[at])
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
