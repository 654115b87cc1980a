"""TRADE and SIGNAL records as polars frames, with the columns of a run's tables.

Times are UTC. A decision has the time of its bar's close, the moment it is made; a fill has the open time of its bar:
exact for fills at the open, and for a stop or target inside the bar the bar that it happened in.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from toolkit.analysis.metrics import Account, Calendar, summarise_one
from toolkit.bars.intervals import DAY_MS
from toolkit.engine.identity import Instance, canonical_json
from toolkit.engine.types import ACCEPTED, LONG, VETOED, ExitReason, SignalEnd
from toolkit.types import FloatArray, IntArray, Records

TIME = pl.Datetime("ms", "UTC")
TRADE_COLUMNS = (
    "trade_id", "strategy", "instance", "params", "symbol", "interval", "side", "signal_ts", "entry_ts", "exit_ts",
    "entry_price", "exit_price", "expected_entry_price", "expected_exit_price", "qty", "stop_price", "target_price",
    "exit_reason", "fees", "funding", "gross_pnl", "pnl", "return", "r_multiple", "mae", "mfe", "bars_held",
    "prediction", "model_version", "weight", "deployment", "run_id",
)  # fmt: skip
SIGNAL_COLUMNS = (
    "signal_id", "instance", "ts", "side", "prediction", "decision", "reason", "expires_ts", "closed_ts",
    "ignored_entries", "shadow_pnl",
)  # fmt: skip
# A trade closes, and an entry expires or cannot be paid, on a bar's open or inside it; all else is decided at a close.
ENDS_AT_OPEN = (SignalEnd.TRADE_CLOSED, SignalEnd.EXPIRED, SignalEnd.UNPAID)
_DECISIONS = {ACCEPTED: "accepted", VETOED: "vetoed"}


@dataclass(frozen=True)
class Naming:
    """What the frames say of every row: the instance, its base interval (ms) and the run ("" = not saved)."""

    instance: Instance
    base_ms: int
    run_id: str = ""

    def text(self, of: Callable[[Instance], str], n: int) -> pl.Series:
        """What `of` says of the instance, in each of `n` rows."""
        return _same(of(self.instance), n)

    def take(self, rows: Any) -> "Naming":
        """The naming of some of the rows: the same."""
        return self


@dataclass(frozen=True)
class RowNaming:
    """As `Naming`, where the rows of one frame are of several instances.

    Attributes
    ----------
    instances : those that have rows.
    member : int64[n], which of them each row is of. base_ms : int64[n], the base interval that its bars are counted in.
    """

    instances: tuple[Instance, ...]
    member: IntArray
    base_ms: IntArray
    run_id: str = ""

    def text(self, of: Callable[[Instance], str], n: int) -> pl.Series:
        """What `of` says of each row's instance."""
        return pl.Series([of(one) for one in self.instances], dtype=pl.String).gather(self.member)

    def take(self, rows: Any) -> "RowNaming":
        """The naming of some of the rows, by index or mask."""
        return replace(self, member=self.member[rows], base_ms=self.base_ms[rows])


AnyNaming: TypeAlias = Naming | RowNaming


def pnl(trades: Records) -> FloatArray:
    """float64[n]: profit after fees and funding, money, added up in the order of `metrics.pnl_of`."""
    profit: FloatArray = gross_pnl(trades) - trades["entry_fee"] - trades["exit_fee"] + trades["funding"]
    return profit


def gross_pnl(trades: Records) -> FloatArray:
    """float64[n]: profit before fees and funding, money."""
    profit: FloatArray = trades["side"] * trades["qty"] * (trades["exit_price"] - trades["entry_price"])
    return profit


def bars_held(trades: Records) -> IntArray:
    """int64[n]: base bars from the entry bar to the exit bar (0: closed inside its entry bar), as exposure counts."""
    held: IntArray = trades["exit_t"] - trades["entry_t"] + (trades["exit_reason"] == 0)
    return held


def trade_frame(trades: Records, naming: AnyNaming, prediction: FloatArray | None = None) -> pl.DataFrame:
    """The `trades` table; `prediction` is the model's for each trade's signal.

    An open trade has exit_reason "open" and no exit; its profit is that of its mark, so the column adds up to equity.
    `return` is profit over entry notional, `r_multiple` profit over what the first stop put at risk (null without a
    stop), `mae` <= 0 <= `mfe` the worst and best price seen as fractions of the entry price.
    """
    is_open = trades["exit_reason"] == 0
    entry, qty, side = trades["entry_price"], trades["qty"], trades["side"]
    risk = qty * np.abs(entry - trades["stop_price"])
    profit = pnl(trades)
    with np.errstate(divide="ignore", invalid="ignore"):
        in_r = np.where(risk > 0.0, profit / risk, np.nan)
    n, base_ms = len(trades), _clock(naming)
    signal_ms = (trades["signal_t"] + 1) * base_ms
    columns: dict[str, Any] = {
        "trade_id": trade_ids(naming, side, signal_ms),
        "strategy": naming.text(lambda one: one.strategy, n),
        "instance": naming.text(lambda one: one.id, n),
        "params": naming.text(lambda one: canonical_json(dict(one.params)), n),
        "symbol": naming.text(lambda one: one.symbol, n),
        "interval": naming.text(lambda one: one.interval, n),
        "side": side_names(side),
        "signal_ts": _times(signal_ms),
        "entry_ts": _times(trades["entry_t"] * base_ms),
        "exit_ts": _times(trades["exit_t"] * base_ms, is_open),
        "entry_price": entry,
        "exit_price": _known(np.where(is_open, np.nan, trades["exit_price"])),
        "expected_entry_price": trades["expected_entry_price"],
        "expected_exit_price": _known(trades["expected_exit_price"]),
        "qty": qty,
        "stop_price": _known(trades["stop_price"]),
        "target_price": _known(trades["target_price"]),
        "exit_reason": _words([r.name.lower() for r in ExitReason], trades["exit_reason"]),
        "fees": trades["entry_fee"] + trades["exit_fee"],
        "funding": trades["funding"],
        "gross_pnl": gross_pnl(trades),
        "pnl": profit,
        "return": profit / (qty * entry),
        "r_multiple": _known(in_r),
        "mae": side * (trades["worst"] - entry) / entry,
        "mfe": side * (trades["best"] - entry) / entry,
        "bars_held": bars_held(trades),
        "prediction": _nothing(n, pl.Float64) if prediction is None else _known(prediction),
        "model_version": _nothing(n, pl.String),
        "weight": _nothing(n, pl.Float64),
        "deployment": _nothing(n, pl.String),
        "run_id": _same(naming.run_id or None, n),
    }
    return pl.DataFrame(columns).select(TRADE_COLUMNS)


def signal_frame(
    signals: Records, naming: AnyNaming, shadow_pnl: FloatArray | None = None, prediction: FloatArray | None = None
) -> pl.DataFrame:
    """The `signals` table: a row an entry signal; `prediction` is the model's for each.

    `reason` says how it closed: trade_closed, timed_out, refused, expired, exit_signal, on an account also unpaid and
    halt; null while live. `shadow_pnl` is what the trade of a refused signal would have made, null for accepted ones.
    """
    n, base_ms = len(signals), _clock(naming)
    ts = (signals["t"] + 1) * base_ms
    at_open = np.isin(signals["end"], ENDS_AT_OPEN)
    closed_ms = (signals["closed_t"] + np.where(at_open, 0, 1)) * base_ms
    ends = [None if e == SignalEnd.LIVE else e.name.lower() for e in SignalEnd]
    columns = {
        "signal_id": trade_ids(naming, signals["side"], ts, "-signal"),
        "instance": naming.text(lambda one: one.id, n),
        "ts": _times(ts),
        "side": side_names(signals["side"]),
        "prediction": _nothing(n, pl.Float64) if prediction is None else _known(prediction),
        "decision": pl.Series([_DECISIONS.get(d, "rejected") for d in signals["decision"].tolist()], dtype=pl.String),
        "reason": _words(ends, signals["end"]),
        "expires_ts": _times((signals["expires_t"] + 1) * base_ms, signals["expires_t"] < 0),
        "closed_ts": _times(closed_ms, signals["closed_t"] < 0),
        "ignored_entries": signals["ignored"],
        "shadow_pnl": _nothing(n, pl.Float64) if shadow_pnl is None else _known(shadow_pnl),
    }
    return pl.DataFrame(columns).select(SIGNAL_COLUMNS)


def equity_frame(
    long: Records, short: Records, opens: tuple[FloatArray, int], account: Account, days: Calendar
) -> pl.DataFrame:
    """The `equity` table: a row a day, marked at 00:00 UTC at its end (the last one at the end of the bars).

    Parameters
    ----------
    long, short : TRADE records of each side.
    opens : the base series' opens and the absolute number of its first bar.

    Columns: ts (the moment of the mark), equity, pnl (of the day, money), return (over the capital, or compounding over
    the day's first equity), drawdown (<= 0, from the peak), gross_exposure and net_exposure (money), open_trades.
    """
    _, daily, equity = summarise_one(long, short, *opens, account, days)
    peak = np.maximum.accumulate(np.concatenate([[account.capital], equity]))[1:]
    gross, net, count = _exposures(np.concatenate([long, short]), days)
    ends = np.minimum((days.day0 + 1 + np.arange(len(daily))) * DAY_MS, days.end_t * days.base_ms)
    return pl.DataFrame(
        {
            "ts": _times(ends),
            "equity": equity,
            "pnl": np.diff(equity, prepend=account.capital) if account.compound else daily,
            "return": daily / account.capital,
            "drawdown": equity / peak - 1.0,
            "gross_exposure": gross,
            "net_exposure": net,
            "open_trades": count,
        }
    )


def _exposures(trades: Records, days: Calendar) -> tuple[FloatArray, FloatArray, IntArray]:
    """Gross and net notional at each day's last close, and how many trades are open then."""
    first = trades["entry_t"] * days.base_ms // DAY_MS - days.day0
    last = trades["exit_t"] * days.base_ms // DAY_MS - days.day0 + (trades["exit_reason"] == 0)
    nights = last - first
    which = np.repeat(np.arange(len(trades)), nights)
    day = first[which] + np.arange(len(which)) - np.repeat(np.cumsum(nights) - nights, nights)
    value = trades["qty"][which] * days.close[day]
    n = len(days.close)
    gross = np.bincount(day, value, n).astype(np.float64)
    net = np.bincount(day, value * trades["side"][which], n).astype(np.float64)
    return gross, net, np.bincount(day, minlength=n).astype(np.int64)


def _clock(naming: AnyNaming) -> Any:
    """Milliseconds of a base bar: one number, or one a row."""
    return naming.base_ms


def side_names(side: IntArray) -> pl.Series:
    return _words(["short", "long"], (side == LONG).astype(np.int64))


def trade_ids(naming: AnyNaming, side: IntArray, ts_ms: IntArray, suffix: str = "") -> pl.Series:
    """`identity.trade_id` of each row, with what a signal's or an order's id has behind it."""
    digest = naming.text(lambda one: one.digest, len(side))
    text = {"digest": digest, "side": _words(["S", "L"], (side == LONG).astype(np.int64)), "ts": ts_ms}
    return pl.DataFrame(text).select(pl.format(f"{{}}-{{}}-{{}}{suffix}", "digest", "side", "ts").alias("id"))["id"]


def _words(words: list[Any], index: IntArray) -> pl.Series:
    return pl.Series(words, dtype=pl.String).gather(index)


def _same(value: str | None, n: int) -> pl.Series:
    return pl.repeat(value, n, dtype=pl.String, eager=True)


def _nothing(n: int, dtype: Any) -> pl.Series:
    return pl.repeat(None, n, dtype=dtype, eager=True)


def _times(ms: IntArray, missing: Any = None) -> pl.Series:
    times = pl.Series(ms, dtype=pl.Int64).cast(TIME)
    return times if missing is None else times.set(pl.Series(missing, dtype=pl.Boolean), None)


def _known(values: FloatArray) -> pl.Series:
    return pl.Series(values, dtype=pl.Float64).fill_nan(None)
