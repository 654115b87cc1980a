"""Records of a portfolio's run as polars frames, the rows of all instances at once."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from toolkit.analysis.frames import TIME, RowNaming, pnl, side_names, signal_frame, trade_frame
from toolkit.analysis.orders import OrderSource, exit_orders, orders_of
from toolkit.bars.intervals import DAY_MS
from toolkit.engine.shadow import shadow_trades
from toolkit.engine.sizing import REASONS, Reason
from toolkit.engine.types import ACCEPTED, EXIT_ORDER, SHORT, TargetFill
from toolkit.portfolio.books import Books
from toolkit.portfolio.figures import day_returns
from toolkit.types import FloatArray, IntArray, Records

if TYPE_CHECKING:
    from toolkit.portfolio.schedule import WeightSchedule
    from toolkit.portfolio.simulate import PortfolioRun

_FOLLOWED = 1.0


def naming(run: "PortfolioRun", member: IntArray, run_id: str = "") -> RowNaming:
    """How rows that belong to these members (int64, a row) are named."""
    base_ms = np.array([m.bars.base.interval_ms for m in run.members], np.int64)
    return RowNaming(tuple(m.instance for m in run.members), member, base_ms[member], run_id)


def trades_table(run: "PortfolioRun", run_id: str = "") -> pl.DataFrame:
    """The `trades` table, in order of closing, those still open last; `weight` is the one they were entered with."""
    frame = trade_frame(run.trades, naming(run, run.trade_member, run_id))
    return frame.with_columns(pl.Series("weight", run.trade_weight))


def signals_table(run: "PortfolioRun", shadow_pnl: FloatArray | None = None) -> pl.DataFrame:
    """The `signals` table, in order of decision.

    `reason` is how an accepted signal closed (see `analysis.frames.signal_frame`), and for one that got nothing, at
    the decision or because the account could not pay at the fill, the rule that refused it. `shadow_pnl` is what the
    trade of a signal that was refused at the decision would have made at the size it asked for; it is followed here
    unless it is given.
    """
    signals, reasons = run.signals, run.signal_reason
    followed = _shadow_pnl(run) if shadow_pnl is None else shadow_pnl
    frame = signal_frame(signals, naming(run, run.signal_member), followed)
    unpaid = pl.Series(reasons == Reason.UNPAID)
    refused = pl.Series(signals["decision"] != ACCEPTED) | unpaid
    return frame.with_columns(
        pl.when(unpaid).then(pl.lit("rejected")).otherwise(pl.col("decision")).alias("decision"),
        pl.when(refused).then(reason_texts(reasons)).otherwise(pl.col("reason")).alias("reason"),
    )


def reason_texts(codes: IntArray) -> pl.Series:
    """The text of each `Reason`."""
    return pl.Series([REASONS[r] for r in Reason], dtype=pl.String).gather(codes)


def _shadow_pnl(run: "PortfolioRun") -> FloatArray:
    """float64, a signal: profit of a refused signal's trade at the notional it asked for; NaN for all others."""
    out = np.full(len(run.signals), np.nan)
    order = np.argsort(run.signal_member, kind="stable")
    edges = np.searchsorted(run.signal_member[order], np.arange(len(run.members) + 1))
    for k, loaded in enumerate(run.members):
        mine = order[edges[k] : edges[k + 1]]
        signals = run.signals[mine]
        if (signals["decision"] == ACCEPTED).all():
            continue
        p = loaded.prepared
        shadows = shadow_trades(signals, p.legs, p.market, p.rules, p.rates, _FOLLOWED)
        filled = shadows["qty"] > 0.0
        out[mine[filled]] = pnl(shadows)[filled]
    qty, price = _asked(run)
    return out * qty * price


def _asked(run: "PortfolioRun") -> tuple[FloatArray, FloatArray]:
    """float64, a signal: the quantity that it asked for, and the price it was decided at."""
    found = _decisions(run, "asked", "price")
    return found[0], found[1]


def _decisions(run: "PortfolioRun", *names: str) -> list[FloatArray]:
    """Columns of the audit at each signal's decision, NaN where there is none."""
    base_ms = np.array([m.bars.base.interval_ms for m in run.members], np.int64)[run.signal_member]
    signals: Any = run.signals
    key = {"member": run.signal_member, "side": signals["side"], "ts": (signals["t"] + 1) * base_ms}
    decided = run.audit[run.audit["reason"] != Reason.UNPAID]
    on = {"member": np.int64, "side": np.int64, "ts": np.int64}
    audit = pl.DataFrame({name: decided[name].astype(on.get(name, np.float64)) for name in (*on, *names)})
    joined = pl.DataFrame(key).join(audit, on=list(on), how="left", maintain_order="left")
    return [joined[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in names]


def orders_table(run: "PortfolioRun") -> pl.DataFrame:
    """The `orders` table; see `analysis.orders.orders_of`."""
    trades, signals = run.trades, run.signals
    made_t = exit_orders(trades)
    is_open = trades["exit_reason"] == 0
    for (member, side), state in run.states.items():
        if state.trade.active and state.order.kind == EXIT_ORDER:
            made_t[is_open & (run.trade_member == member) & (trades["side"] == side)] = state.order.t
    at_market = np.array([m.prepared.rules.target_fill == TargetFill.MARKET for m in run.members], np.bool_)
    (qty,) = _decisions(run, "given")
    return orders_of(
        OrderSource(
            trades, signals, naming(run, run.trade_member), naming(run, run.signal_member),
            _legs(run.trade_member, trades), _legs(run.signal_member, signals), made_t, qty,
            at_market[run.trade_member],
        )
    )  # fmt: skip


def _legs(member: IntArray, records: Records) -> IntArray:
    legs: IntArray = 2 * member + (records["side"] == SHORT)
    return legs


def audit_table(run: "PortfolioRun") -> pl.DataFrame:
    """A row a decision on an entry: what was asked, what was given and why, and the account at that moment.

    asked, given are quantities; asked_notional, given_notional money at the decision's `price`; weight the instance's
    share of equity; gross_exposure, net_exposure money. `decision` is accepted (as asked), clipped (less), rejected
    (nothing) or vetoed (nothing, by the model).
    """
    audit, names = run.audit, naming(run, run.audit["member"])
    asked, given, price = audit["asked"], audit["given"], audit["price"]
    vetoed = np.isin(audit["reason"], (Reason.VETOED, Reason.UNANSWERED))
    word = np.select([vetoed, given <= 0.0, given < asked], [3, 2, 1], 0)
    n = len(audit)
    return pl.DataFrame(
        {
            "ts": times(audit["ts"]),
            "instance": names.text(lambda one: one.id, n),
            "strategy": names.text(lambda one: one.strategy, n),
            "symbol": names.text(lambda one: one.symbol, n),
            "side": side_names(audit["side"]),
            "decision": pl.Series(["accepted", "clipped", "rejected", "vetoed"]).gather(word.astype(np.int64)),
            "reason": reason_texts(audit["reason"].astype(np.int64)),
            "asked": pl.Series(asked).fill_nan(None),
            "given": given,
            "price": price,
            "asked_notional": pl.Series(asked * price).fill_nan(None),
            "given_notional": given * price,
            "weight": audit["weight"],
            "equity": audit["equity"],
            "gross_exposure": audit["gross"],
            "net_exposure": audit["net"],
            "open_trades": audit["open_trades"],
        }
    )


def equity_table(run: "PortfolioRun") -> pl.DataFrame:
    """A row a day, marked at 00:00 UTC at its end, the last one at the end of the run.

    Columns: ts, equity, pnl (of the day), return (of the equity it began with), drawdown (<= 0, from the peak of the
    marks), cash, gross_exposure, net_exposure (money), margin_used (gross over equity), open_trades, halted.
    """
    days = run.days
    equity = days["equity"]
    profit = np.diff(equity, prepend=run.capital)
    began = equity - profit
    peak = np.maximum.accumulate(np.concatenate([[run.capital], equity]))[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        used = days["gross"] / equity
    return pl.DataFrame(
        {
            "ts": times(days["ts"]),
            "equity": equity,
            "pnl": profit,
            "return": day_returns(profit, began),
            "drawdown": equity / peak - 1.0,
            "cash": days["cash"],
            "gross_exposure": days["gross"],
            "net_exposure": days["net"],
            "margin_used": used,
            "open_trades": days["open_trades"],
            "halted": days["halted"].astype(np.bool_),
        }
    )


def instance_returns(run: "PortfolioRun", books: Books, equity: pl.DataFrame) -> pl.DataFrame:
    """What each instance made on each day: date, instance, pnl (money), return (over the account's equity at its
    beginning, 0 where nothing was left); sums over instances are the account's. Instances without a trade have no rows.
    """
    traded = np.flatnonzero(np.isin(np.arange(len(run.members)), run.trade_member))
    n_days = books.pnl.shape[1]
    began = (equity["equity"] - equity["pnl"]).to_numpy()
    returns = day_returns(books.pnl[traded], began)
    ids = pl.Series([run.members[k].instance.id for k in traded], dtype=pl.String)
    dates = times((books.day0 + np.arange(n_days)) * DAY_MS).cast(pl.Date)
    return pl.DataFrame(
        {
            "date": dates.gather(np.tile(np.arange(n_days), len(traded))),
            "instance": ids.gather(np.repeat(np.arange(len(traded)), n_days)),
            "pnl": books.pnl[traded].ravel(),
            "return": returns.ravel(),
        }
    )


def weights_table(schedule: "WeightSchedule", start_ms: int) -> pl.DataFrame:
    """effective_from, instance, weight: a row an instance and moment; what holds at the start is effective from it."""
    first = max(0, int(np.searchsorted(schedule.effective_ms, start_ms, side="right")) - 1)
    moments, weights = np.maximum(schedule.effective_ms[first:], start_ms), schedule.weights[first:]
    k, n = weights.shape
    return pl.DataFrame(
        {
            "effective_from": times(np.repeat(moments, n)),
            "instance": pl.Series(schedule.instances, dtype=pl.String).gather(np.tile(np.arange(n), k)),
            "weight": weights.ravel(),
        }
    )


def weighted(trades: pl.DataFrame, schedule: "WeightSchedule", run_id: str = "") -> pl.DataFrame:
    """Stand-alone trades with the weight that the schedule gave their instance at the signal, 0 = it was off."""
    moments = pl.Series(schedule.effective_ms, dtype=pl.Int64)
    column = pl.DataFrame({"instance": list(schedule.instances), "column": np.arange(len(schedule.instances))})
    signal_ms = trades["signal_ts"].cast(pl.Int64).to_numpy()
    row = np.searchsorted(moments.to_numpy(), signal_ms, side="right") - 1
    at = trades.select("instance").join(column, on="instance", how="left", maintain_order="left")["column"].to_numpy()
    weight = np.where(row >= 0, schedule.weights[row, at], 0.0) if len(trades) else np.empty(0)
    return trades.with_columns(
        pl.Series("weight", weight, dtype=pl.Float64), pl.lit(run_id or None, dtype=pl.String).alias("run_id")
    )


def by_strategy(trades: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """The trades of each strategy, by its name."""
    return {str(name): part for (name,), part in trades.partition_by("strategy", as_dict=True).items()}


def times(ms: Any) -> pl.Series:
    """Epoch milliseconds as a column of times."""
    return pl.Series(ms, dtype=pl.Int64).cast(TIME)
