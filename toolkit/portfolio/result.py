"""What a portfolio's backtest gives: tables, figures, what stands beside it, and a run folder when it is saved."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from toolkit.analysis.frames import TRADE_COLUMNS, pnl
from toolkit.analysis.metrics import METRICS
from toolkit.bars.series import Bars, utc
from toolkit.engine.market import first_t
from toolkit.engine.types import FINER_OPTIMISTIC, Policy
from toolkit.models import tables as model_tables
from toolkit.portfolio import frames
from toolkit.portfolio.account import run_figures
from toolkit.portfolio.books import Books, calendar_of, make_books
from toolkit.portfolio.figures import hold_equally
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.portfolio.loading import LoadedMember
from toolkit.portfolio.origin import Origin
from toolkit.portfolio.schedule import WeightSchedule
from toolkit.portfolio.simulate import PortfolioRun, simulate

if TYPE_CHECKING:
    from toolkit.models.walkforward import Walk
    from toolkit.portfolio.track import TrackRecord

PORTFOLIO, NO_MODEL = "portfolio", "no model"


@dataclass(frozen=True)
class PortfolioResult:
    """Many instances on one account.

    Figures follow daily marks: equity at 00:00 UTC, open trades at their last close. Equity compounds, and a day's
    return is its profit over the equity that it began with.

    Attributes
    ----------
    run : raw records (`simulate.PortfolioRun`). schedule : the weights that it ran with.
    others : schedules of the variants that stand beside it ("equal", "winners", "static"), on the same candidates and
        limits. They are run when they are first asked for.
    origin : where the candidates came from, and whether they were chosen on the days that they are tested on.
    track : the candidates' stand-alone record, None where it has not been made.
    asked : how the weights and models were made, as JSON can hold it. notes : what a reader must know, one sentence
        each.
    models : what models said of the entries, None where none judged them. "no model" is then among the variants, which
        all run without.
    """

    run: PortfolioRun = field(repr=False)
    schedule: WeightSchedule = field(repr=False)
    limits: Limits
    instruments: Mapping[str, Instrument]
    others: Mapping[str, WeightSchedule] = field(repr=False)
    origin: Origin
    track: "TrackRecord | None" = field(default=None, repr=False)
    asked: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    models: "Walk | None" = field(default=None, repr=False)

    @cached_property
    def trades(self) -> pl.DataFrame:
        """A row a trade; see `frames.trades_table`."""
        table = frames.trades_table(self.run)
        return table if self.models is None else model_tables.with_trades_said(table, self.run, self.models.said)

    @cached_property
    def signals(self) -> pl.DataFrame:
        """A row an entry signal; see `frames.signals_table`, and `models.tables.with_signals_said` for two more columns
        where models judged."""
        table = frames.signals_table(self.run)
        return table if self.models is None else model_tables.with_signals_said(table, self.run, self.models.said)

    @cached_property
    def orders(self) -> pl.DataFrame:
        """A row an order; see `analysis.orders.orders_of`."""
        return frames.orders_table(self.run)

    @cached_property
    def audit(self) -> pl.DataFrame:
        """A row a decision on an entry; see `frames.audit_table`."""
        return frames.audit_table(self.run)

    @cached_property
    def predictions(self) -> pl.DataFrame | None:
        """A row a prediction; see `models.tables.predictions_table`. None where no model judged."""
        return None if self.models is None else model_tables.predictions_table(self.run, self.models)

    @cached_property
    def model_versions(self) -> pl.DataFrame | None:
        """A row a training; see `models.tables.versions_table`."""
        return None if self.models is None else model_tables.versions_table(self.models)

    @cached_property
    def model_trades(self) -> pl.DataFrame | None:
        """A row a trade that models let through; see `models.tables.model_trades_table`."""
        if self.models is None:
            return None
        return model_tables.model_trades_table(self.run, self.models, self.schedule)

    @cached_property
    def equity(self) -> pl.DataFrame:
        """A row a day; see `frames.equity_table`."""
        return frames.equity_table(self.run)

    @cached_property
    def weights(self) -> pl.DataFrame:
        """effective_from, instance, weight; see `frames.weights_table`."""
        return frames.weights_table(self.schedule, self.run.start_ms)

    @cached_property
    def instance_returns(self) -> pl.DataFrame:
        """date, instance, pnl, return; see `frames.instance_returns`."""
        return frames.instance_returns(self.run, self.books, self.equity)

    @cached_property
    def books(self) -> Books:
        """Daily profits by instance; see `books.Books`."""
        return make_books(self.run)

    @cached_property
    def all_trades(self) -> pl.DataFrame:
        """Every candidate's stand-alone trades (notional 1) since the start, with the weight it had at the signal."""
        from toolkit.portfolio.standalone import track_of

        track = self.track or track_of(self.run.members)
        began = pl.col("entry_ts").cast(pl.Int64) >= self.run.start_ms
        return frames.weighted(track.trades.filter(began).select(TRADE_COLUMNS), self.schedule)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Figures by name (`metrics.METRICS`, `reference.REFERENCE`), NaN where one is not defined."""
        own = run_figures(self.run, self.books, self.equity, self.trades)
        return own | self.reference | {"combinations_tried": float(self.origin.combinations_tried)}

    @property
    def figures(self) -> dict[str, float]:
        """`metrics`."""
        return self.metrics

    @cached_property
    def reference(self) -> dict[str, float]:
        """Buy and hold of equal money in each symbol of the candidates; see `figures.hold_equally`."""
        symbols: dict[tuple[str, str], LoadedMember] = {}
        for loaded in self.run.members:
            base = loaded.bars.base
            symbols.setdefault((base.exchange, base.symbol), loaded)
        series = []
        for loaded in symbols.values():
            base, days = loaded.bars.base, calendar_of(loaded, self.run.start_ms)
            if len(days.close):
                series.append((float(base.open[days.start_t - first_t(base)]), days.day0, days.close))
        return hold_equally(series, self.books.day0, self.books.pnl.shape[1])

    @cached_property
    def variants(self) -> dict[str, "Variant"]:
        """The portfolio and what stands beside it, by name; the others are simulated here."""
        own = {name: self.metrics[name] for name in METRICS}
        found = {PORTFOLIO: Variant(own, self.equity)}
        plain = self.others if self.models is None else {NO_MODEL: self.schedule, **self.others}
        for name, schedule in plain.items():
            same = PORTFOLIO if self.models is None else NO_MODEL
            if same in found and _same(schedule, self.schedule):
                found[name] = found[same]
                continue
            run = self._simulated(schedule)
            equity = frames.equity_table(run)
            found[name] = Variant(run_figures(run, make_books(run), equity, frames.trades_table(run)), equity)
        return found

    @cached_property
    def variants_equity(self) -> pl.DataFrame:
        """ts, variant, equity: a row a day and variant."""
        parts = [
            v.equity.select("ts", pl.lit(name).alias("variant"), "equity") for name, v in self.variants.items()
        ]  # fmt: skip
        return pl.concat(parts)

    @cached_property
    def ambiguity(self) -> dict[str, Any]:
        """How much hangs on the order of stop and target inside one bar.

        `trades` of the run are undecided, and `pnl_at_stake` (money) is what the other order would have made of them.
        `pnl` is the run's total; the whole account was run again with every such bar for it and against it, and
        `best_pnl` and `worst_pnl` are the extremes. What finer bars have decided stays decided.
        """
        totals = [float(pnl(self.run.trades).sum())]
        if (~np.isnan(self.run.trades["other_price"])).any():
            totals += [float(pnl(self._with_policy(best).trades).sum()) for best in (True, False)]
        return {
            "trades": int(self.metrics["ambiguous_trades"]),
            "pnl_at_stake": self.metrics["ambiguous_pnl"],
            "pnl": totals[0],
            "best_pnl": max(totals),
            "worst_pnl": min(totals),
        }

    @cached_property
    def config(self) -> dict[str, Any]:
        """Everything that decided the result, as JSON can hold it; the candidates are the `members` table."""
        run = self.run
        return {
            "start": utc(run.start_ms),
            "end": utc(run.end_ms),
            "capital": run.capital,
            "candidates": len(run.members),
            **self.asked,
            "limits": asdict(self.limits),
            "instruments": {symbol: asdict(rules) for symbol, rules in self.instruments.items()},
            "selected_from": self.origin.table(),
        }

    def bases(self) -> list[Bars]:
        """One of the candidates' bars for each base series that was read."""
        return list({id(m.bars.base): m.bars for m in self.run.members}.values())

    def factors(self) -> pl.DataFrame:
        """A row an entry signal, a column a factor, as known when the signal was decided; null where there is none."""
        from toolkit.analysis.entry_factors import entry_factors

        run = self.run
        bars_of = [id(m.bars) for m in run.members]
        which = np.array(bars_of, np.int64)[run.signal_member]
        parts = []
        for bars in {id(m.bars): m.bars for m in run.members}.values():
            rows = np.flatnonzero(which == id(bars))
            parts.append(entry_factors(bars, [(run.signals[rows], frames.naming(run, run.signal_member[rows]))]))
        return pl.concat(parts, how="diagonal")

    def plot(self) -> Any:
        """A plotly figure: equity of the portfolio and its variants, drawdown, exposure."""
        from toolkit.portfolio.plots import portfolio_figure

        return portfolio_figure(self)

    def to_vectorbt(self) -> Any:
        """`vectorbt.Portfolio` of the account on its daily marks, a column a leg; see `account_to_vectorbt`.

        Its value is the account's equity at each mark; funding is part of the fees of the order that closes a trade.
        """
        from toolkit.portfolio.vectorbt_account import vectorbt_account

        return vectorbt_account(self.run)

    def save(self, root: Path | None = None, *, factors: bool = True) -> Path:
        """Write the run folder with every table, `results.json` and the report; returns it.

        Raises
        ------
        RunError : it cannot be written; nothing of it is kept.
        """
        from toolkit.portfolio.saving import save

        return save(self, root, factors=factors)

    def __repr__(self) -> str:
        run = self.run
        return (
            f"PortfolioResult({len(run.members)} candidates, {utc(run.start_ms)} to {utc(run.end_ms)}, "
            f"{len(run.trades):,} trades, total return {self.metrics['total_return']:.2%})"
        )

    def _repr_html_(self) -> str:
        from toolkit.portfolio.summary import result_html

        return result_html(self)

    def _with_policy(self, best: bool) -> PortfolioRun:
        members = []
        for loaded in self.run.members:
            rules = loaded.prepared.rules
            if rules.policy == Policy.FINER:
                policy = FINER_OPTIMISTIC if best else int(Policy.FINER)
            else:
                policy = int(Policy.OPTIMISTIC if best else Policy.PESSIMISTIC)
            prepared = replace(loaded.prepared, rules=rules._replace(policy=policy))
            members.append(replace(loaded, prepared=prepared))
        return self._simulated(self.schedule, members, None if self.models is None else self.models.said.judged)

    def _simulated(self, schedule: WeightSchedule, members: Any = None, judged: Any = None) -> PortfolioRun:
        """The same account with other weights, other members or with models: none judge unless they are given."""
        run = self.run
        return simulate(
            members or run.members, schedule, self.limits,
            capital=run.capital, start_ms=run.start_ms, end_ms=run.end_ms, instruments=self.instruments,
            judged=judged,
        )  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """Figures and daily equity of one way to weight the same candidates."""

    figures: Mapping[str, float]
    equity: pl.DataFrame = field(repr=False)


def _same(one: WeightSchedule, other: WeightSchedule) -> bool:
    return (
        one.instances == other.instances
        and np.array_equal(one.effective_ms, other.effective_ms)
        and np.array_equal(one.weights, other.weights)
    )
