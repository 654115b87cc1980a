"""What a backtest gives: tables, figures, plots, and a run folder when it is saved."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from toolkit.analysis.entry_factors import entry_factors, signal_bar
from toolkit.analysis.frames import Naming, equity_frame, pnl, signal_frame, trade_frame
from toolkit.analysis.metrics import METRICS, Account, make_calendar, summarise_one
from toolkit.analysis.orders import order_frame
from toolkit.analysis.reference import buy_and_hold
from toolkit.analysis.runs import RunWriter, data_fingerprint
from toolkit.bars.series import Bars, utc
from toolkit.engine.identity import Instance
from toolkit.engine.rules import Costs
from toolkit.engine.run import EngineRun, Prepared, run
from toolkit.engine.shadow import shadow_trades
from toolkit.engine.types import FINER_OPTIMISTIC, LONG, SHORT, Policy
from toolkit.factors.table import FactorSpec
from toolkit.strategy import Signals
from toolkit.types import FloatArray, IntArray, Records


@dataclass(frozen=True)
class BacktestResult:
    """One instance over one series.

    Figures follow daily marks: equity at 00:00 UTC, an open trade at its last close. An open trade counts in equity and
    not in the trade figures.

    Attributes
    ----------
    instance : what ran. bars, signals_in : the series, and the strategy's arrays on it.
    records : raw TRADE and SIGNAL records (`EngineRun`). prepared : what the engine read.
    notional : money of every trade; also the capital. compound : days earn on the equity of their beginning.
    predictions : float64, one a signal bar, or None. finer : the series that decided undecided bars, or None.
    """

    instance: Instance
    bars: Bars = field(repr=False)
    signals_in: Signals = field(repr=False)
    prepared: Prepared = field(repr=False)
    records: EngineRun = field(repr=False)
    costs: Costs
    notional: float
    compound: bool
    predictions: FloatArray | None = field(default=None, repr=False)
    finer: Bars | None = field(default=None, repr=False)

    @cached_property
    def trades(self) -> pl.DataFrame:
        """A row a trade; see `frames.trade_frame`."""
        return self._trades("")

    @cached_property
    def orders(self) -> pl.DataFrame:
        """A row an order; see `orders.order_frame`."""
        r = self.records
        return order_frame(
            r.trades, r.signals, r.states, self.naming(),
            notional=self.notional, target_fill=self.prepared.rules.target_fill,
        )  # fmt: skip

    @cached_property
    def signals(self) -> pl.DataFrame:
        """A row an entry signal, refused ones with their shadow's profit; see `frames.signal_frame`."""
        prepared, signals = self.prepared, self.records.signals
        shadows = shadow_trades(
            signals, prepared.legs, prepared.market, prepared.rules, prepared.rates, self.notional
        )  # fmt: skip
        shadow_pnl = np.where(shadows["qty"] > 0.0, pnl(shadows), np.nan)
        return signal_frame(signals, self.naming(), shadow_pnl, self._prediction_at(signals["t"]))

    @cached_property
    def equity(self) -> pl.DataFrame:
        """A row a day; see `frames.equity_frame`."""
        market = self.prepared.market
        return equity_frame(*self._by_side, (market.open, market.t0), self._account, self._calendar)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Figures by name (`metrics.METRICS`, `reference.REFERENCE`), NaN where one is not defined."""
        market = self.prepared.market
        values, _, _ = summarise_one(*self._by_side, market.open, market.t0, self._account, self._calendar)
        figures = dict(zip(METRICS, values.tolist(), strict=True))
        first = float(market.open[self.prepared.start_t - market.t0])
        return figures | buy_and_hold(first, self._calendar.close) | {"combinations_tried": 1.0}

    @cached_property
    def ambiguity(self) -> dict[str, Any]:
        """How much hangs on the order of stop and target inside one bar.

        `trades` of the run are undecided, and `pnl_at_stake` (money) is what the other order would have made of them.
        `pnl` is the run's total; the instance was run again with every such bar for it and against it, and `best_pnl`
        and `worst_pnl` are the extremes (a trade that ends sooner changes later ones). What finer bars have decided
        under `policy="finer"` stays decided, and that policy takes what they leave open against the trade.
        """
        own = int(self.prepared.rules.policy)
        cases = (FINER_OPTIMISTIC,) if own == Policy.FINER else (Policy.OPTIMISTIC, Policy.PESSIMISTIC)
        totals = {own: float(pnl(self.records.trades).sum())}
        for policy in cases:
            if policy not in totals:
                again = replace(self.prepared, rules=self.prepared.rules._replace(policy=int(policy)))
                totals[int(policy)] = float(pnl(run(again, self.notional).trades).sum())
        return {
            "policy": self.policy,
            "trades": int(self.metrics["ambiguous_trades"]),
            "pnl_at_stake": self.metrics["ambiguous_pnl"],
            "pnl": totals[own],
            "best_pnl": max(totals.values()),
            "worst_pnl": min(totals.values()),
        }

    @property
    def policy(self) -> str:
        """Which of stop and target comes first where one bar reaches both."""
        return self.instance.rules.policy

    @cached_property
    def config(self) -> dict[str, Any]:
        """Everything that decided the result, as JSON can hold it."""
        one, base = self.instance, self.bars.base
        days = self._calendar
        return {
            "strategy": one.strategy,
            "instance": one.id,
            "params": dict(one.params),
            "rules": asdict(one.rules),
            "costs": asdict(self.costs),
            "exchange": base.exchange,
            "symbol": one.symbol,
            "interval": one.interval,
            "base": base.interval,
            "finer": self.finer.interval if self.finer is not None else None,
            "start": utc(days.start_t * days.base_ms),
            "end": utc(days.end_t * days.base_ms),
            "notional": self.notional,
            "compound": self.compound,
            "code": one.code,
        }

    def factors(self, specs: Iterable[FactorSpec | str] | None = None) -> pl.DataFrame:
        """A row an entry signal, a column a factor, as known when the signal was decided.

        `specs` are factors such as "atr(14)" or "1d:range(10)"; `default_specs` of the interval unless given.
        """
        return entry_factors(self.bars, [(self.records.signals, self.naming())], specs)

    def plot(self) -> Any:
        """A plotly figure: price with the trades, equity, drawdown."""
        from toolkit.analysis.plots import backtest_figure

        return backtest_figure(self)

    def to_vectorbt(self) -> Any:
        """A `vectorbt.Portfolio` of the same trades; see `vectorbt_bridge.to_vectorbt`."""
        from toolkit.analysis.vectorbt_bridge import to_vectorbt

        return to_vectorbt(self.bars, self.records.trades, self.notional)

    def save(self, root: Path | None = None, *, factors: bool = True) -> Path:
        """Write the run folder and return it; `factors=False` leaves out the table of factor values.

        Raises
        ------
        RunError : it cannot be written; nothing of it is kept.
        """
        from toolkit.analysis.report import write_report

        with RunWriter("backtest", self.config, root=root) as writer:
            writer.write_frame("trades", self._trades(writer.run_id), csv=True)
            writer.write_frame("orders", self.orders)
            writer.write_frame("signals", self.signals)
            writer.write_frame("equity", self.equity)
            writer.write_frame("metrics", self.metrics_frame())
            if factors:
                writer.write_frame("factors", self.factors(), csv=True)
            finer = [] if self.finer is None else data_fingerprint(self.finer)
            writer.note(data=data_fingerprint(self.bars) + finer, seeds={}, ambiguity=self.ambiguity)
            write_report(writer.folder)
            return writer.finish()

    def metrics_frame(self) -> pl.DataFrame:
        """The `metrics` table: one row, the instance and its figures."""
        one = self.instance
        row = {"instance": one.id, "strategy": one.strategy, "symbol": one.symbol, "interval": one.interval}
        return pl.DataFrame([{**row, "side": one.rules.side, **self.metrics}]).fill_nan(None)

    def _repr_html_(self) -> str:
        from toolkit.analysis.report import result_html

        return result_html(self)

    def _trades(self, run_id: str) -> pl.DataFrame:
        records = self.records.trades
        return trade_frame(records, self.naming(run_id), self._prediction_at(records["signal_t"]))

    def naming(self, run_id: str = "") -> Naming:
        """How the rows of this run's tables are named."""
        return Naming(self.instance, self.bars.base.interval_ms, run_id)

    @cached_property
    def _by_side(self) -> tuple[Records, Records]:
        trades = self.records.trades
        return trades[trades["side"] == LONG], trades[trades["side"] == SHORT]

    @property
    def _account(self) -> Account:
        return Account(self.notional, self.compound, self.prepared.rates, self.prepared.rules.target_fill)

    @property
    def _calendar(self) -> Any:
        return make_calendar(self.bars.base, self.prepared.start_t)

    def _prediction_at(self, t: IntArray) -> FloatArray | None:
        return None if self.predictions is None else self.predictions[signal_bar(self.bars, t)]
