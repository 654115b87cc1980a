"""A run's trades as a `vectorbt.Portfolio`, for its statistics, plots and records."""

import math
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt
from vectorbt.portfolio.enums import OrderSide, log_dt, order_dt

from toolkit.bars.series import Bars, utc
from toolkit.engine.market import first_t
from toolkit.engine.types import LONG, SHORT, TRADE
from toolkit.errors import InputError
from toolkit.types import IntArray, Records

# vectorbt holds one position a column, and a long and a short leg may be open at the same time: a column a leg.
COLUMNS = {LONG: "long", SHORT: "short"}


def to_vectorbt(bars: Bars, trades: Records, init_cash: float) -> Any:
    """`vectorbt.Portfolio` of one series, built from order records at the exact prices, sizes and fees of the trades.

    Trades of one side give one column. Trades of both give columns "long" and "short" that share the cash of one group,
    "account"; vectorbt then plots orders and trades a column at a time (`trades.plot(column="long")`). Equity is marked
    at each base close; the index is UTC. Funding has no order of its own in vectorbt: it is part of the fees of the
    order that closes the trade, or that opened it where the trade is still open.

    Parameters
    ----------
    bars : the series that was traded, on any interval; the portfolio is on its base bars.
    trades : TRADE records (`EngineRun.trades`) in any order; one with exit_reason 0 stays open.
    init_cash : quote units, positive. Nothing is rejected for want of cash.

    Raises
    ------
    InputError : not TRADE records, a trade outside the bars, or cash that is not positive.
    """
    base = bars.base
    if trades.dtype != TRADE:
        raise InputError(f"`trades` must be TRADE records (EngineRun.trades), were of dtype {trades.dtype}")
    if not (math.isfinite(init_cash) and init_cash > 0):
        raise InputError(f"`init_cash` must be a positive amount, was {init_cash!r}")
    t0 = first_t(base)
    outside = (trades["entry_t"] < t0) | (trades["exit_t"] >= t0 + len(base))
    if outside.any():
        first = trades[outside][0]
        raise InputError(
            f"trades must lie within the bars; one runs from {utc(int(first['entry_t']) * base.interval_ms)} to "
            f"{utc(int(first['exit_t']) * base.interval_ms)} and the bars are {base!r}; pass the bars of that run"
        )
    # UTC without a time zone: vectorbt turns a zoned index into Python objects at each step (1.4 s a year of minutes).
    index = pd.to_datetime(base.ts, unit="ms")
    sides = [side for side in COLUMNS if (trades["side"] == side).any()] or [LONG]
    columns = pd.Index([COLUMNS[side] for side in sides], name="leg")
    freq = pd.Timedelta(milliseconds=base.interval_ms)
    shared = len(sides) > 1
    group = pd.Index(["account"] * len(sides)) if shared else None
    wrapper = vbt.ArrayWrapper(index, columns, 1 + shared, freq=freq, group_by=group)
    close: Any = pd.Series(base.close, index=index, name=columns[0])
    if shared:
        close = pd.DataFrame(dict.fromkeys(columns, close))
    column = (trades["side"] != sides[0]).astype(np.int64)
    orders = order_records(trades, column, trades["entry_t"] - t0, trades["exit_t"] - t0)
    cash = np.array([float(init_cash)])
    return vbt.Portfolio(wrapper, close, orders, np.empty(0, log_dt), cash, cash_sharing=shared)


def account_to_vectorbt(marks_ms: IntArray, close: pd.DataFrame, orders: Records, init_cash: float) -> Any:
    """`vectorbt.Portfolio` of an account on its daily marks: a column a leg, all of them sharing one cash.

    Parameters
    ----------
    marks_ms : int64[n_days], the moments of the marks. close : a row a mark, a column a leg: what it was marked at.
    orders : see `order_records`, positions being marks: an order stands at the first mark at or after it.
    init_cash : money at the start. Nothing is rejected for want of cash: that was decided when the account ran.
    """
    index = pd.to_datetime(marks_ms, unit="ms")
    group = pd.Index(["account"] * close.shape[1])
    wrapper = vbt.ArrayWrapper(index, close.columns, 2, freq=pd.Timedelta(days=1), group_by=group)
    cash = np.array([float(init_cash)])
    return vbt.Portfolio(wrapper, close.set_axis(index), orders, np.empty(0, log_dt), cash, cash_sharing=True)


def order_records(trades: Records, column: IntArray, entry_at: IntArray, exit_at: IntArray) -> Records:
    """vectorbt's order records of TRADE records, by column, then bar; an entry comes before its exit on the same bar.

    column : int64[n], the column of each trade. entry_at, exit_at : int64[n], positions of its fills.
    """
    is_closed = trades["exit_reason"] != 0
    closed = trades[is_closed]
    entries, exits = np.zeros(len(trades), order_dt), np.zeros(len(closed), order_dt)
    entries["idx"], entries["col"] = entry_at, column
    entries["price"] = trades["entry_price"]
    entries["fees"] = trades["entry_fee"] - np.where(is_closed, 0.0, trades["funding"])
    exits["idx"], exits["col"] = exit_at[is_closed], column[is_closed]
    exits["price"] = closed["exit_price"]
    exits["fees"] = closed["exit_fee"] - closed["funding"]
    for orders, of, opening in ((entries, trades, True), (exits, closed, False)):
        orders["size"] = of["qty"]
        orders["side"] = np.where((of["side"] == LONG) == opening, OrderSide.Buy, OrderSide.Sell)
    # A leg's trades follow each other, so the trade's entry bar puts each exit before the next trade's entry.
    both = np.concatenate([entries, exits])
    trade_entry = np.concatenate([trades["entry_t"], closed["entry_t"]])
    is_exit = np.arange(len(both)) >= len(entries)
    ordered: Records = both[np.lexsort((is_exit, trade_entry, both["col"]))]
    ordered["id"] = np.arange(len(ordered))
    return ordered
