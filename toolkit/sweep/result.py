"""What a sweep gives: one table of metrics, the best combinations with their trades, a heat map."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from toolkit.analysis.metrics import METRICS
from toolkit.analysis.runs import Run, read_run
from toolkit.errors import InputError, UnknownNameError
from toolkit.sweep.experiment import Experiment
from toolkit.sweep.plan import Plan, make_plan
from toolkit.sweep.ranking import best
from toolkit.sweep.rows import PARAM, RULE

_SHOWN = ("total_return", "sharpe", "sortino", "max_drawdown", "trades", "win_rate", "expectancy", "profit_factor")


class SweepResult:
    """A finished sweep, read from its run folder as it is asked for.

    Attributes
    ----------
    run : the run (`folder`, `run_id`, `info`, `query(sql)`).
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    @classmethod
    def read(cls, run: str | Path, root: Path | None = None) -> "SweepResult":
        """A sweep by run id, by folder, or the newest sweep (`"latest"`)."""
        found = read_run(run, root, latest_of="sweep")
        if found.info["kind"] != "sweep":
            raise InputError(f"run {found.run_id} is a {found.info['kind']}, not a sweep")
        return cls(found)

    @property
    def folder(self) -> Path:
        return self.run.folder

    @cached_property
    def experiment(self) -> Experiment:
        return Experiment.from_table({k: v for k, v in self.run.info["config"].items() if k != "output"})

    @property
    def lazy(self) -> pl.LazyFrame:
        """The metrics table, unread; see `rows.RowMaker` for its columns."""
        return pl.scan_parquet(self.folder / "metrics.parquet")

    @cached_property
    def metrics(self) -> pl.DataFrame:
        """The metrics table, a row a combination."""
        return self.lazy.collect()

    @property
    def combinations_tried(self) -> int:
        return int(self.run.info["combinations"])

    @cached_property
    def trades(self) -> pl.DataFrame:
        """Trades of the best combinations (or of all, where the sweep was asked for them)."""
        return self.run.frame("trades")

    @cached_property
    def signals(self) -> pl.DataFrame:
        """Entry signals of the same combinations."""
        return self.run.frame("signals")

    @cached_property
    def factors(self) -> pl.DataFrame:
        """Factor values at the entries of the best combinations."""
        return self.run.frame("factors")

    def top(self, k: int | None = None, by: str | None = None, min_trades: int | None = None) -> pl.DataFrame:
        """The `k` best rows by a metric; what is left out is the experiment's own."""
        one = self.experiment
        least = one.min_trades if min_trades is None else min_trades
        return best(self.lazy, one.top if k is None else k, by or one.by, least)

    def combination(self, number: int) -> dict[str, Any]:
        """One combination in full, as keywords of `tk.backtest`."""
        study = self._plan.study_of(number)
        param, rule, side = study.locate(number)
        one, what = self.experiment, study.what
        params: Mapping[str, Any] = what.strategy.params(what.params.point(param))._asdict()
        return {
            "strategy": what.strategy.name, "bars": study.symbol, "interval": study.interval, "params": dict(params),
            "rules": {**what.rules.point(rule), "side": side}, "costs": one.costs, "start": one.start, "end": one.end,
            "notional": one.notional, "compound": one.compound, "exchange": one.exchange, "base": one.base,
        }  # fmt: skip

    def heatmap(self, x: str, y: str, value: str = "sharpe", agg: str = "mean") -> Any:
        """A plotly heat map of a metric over two columns, named in full or as a parameter or rule ("window", "stop").

        Cells that hold several combinations show their mean (or `agg`: "max", "min", "median").
        """
        import plotly.graph_objects as go

        if value not in METRICS:
            raise UnknownNameError("metric", value, METRICS)
        if agg not in ("mean", "max", "min", "median"):
            raise UnknownNameError("aggregate", agg, ("mean", "max", "min", "median"))
        across, down = self._column(x), self._column(y)
        cells = (
            self.lazy.group_by(across, down)
            .agg(getattr(pl.col(value), agg)())
            .collect()
            .pivot(on=across, index=down, values=value, on_columns=self._values(across))
            .sort(down)
        )
        columns = [c for c in cells.columns if c != down]
        figure = go.Figure(
            go.Heatmap(x=columns, y=[str(v) for v in cells[down]], z=cells.select(columns).to_numpy(), name=value)
        )
        return figure.update_layout(
            title=f"{agg} {value}", xaxis={"title": x, "type": "category"}, yaxis={"title": y, "type": "category"}
        )

    def _column(self, name: str) -> str:
        columns = self.lazy.collect_schema().names()
        for candidate in (name, PARAM + name, RULE + name):
            if candidate in columns:
                return candidate
        known = [c.removeprefix(PARAM).removeprefix(RULE) for c in columns if c not in METRICS]
        raise UnknownNameError("column of the sweep", name, known)

    def _values(self, column: str) -> list[Any]:
        return self.lazy.select(pl.col(column).unique().sort()).collect()[column].to_list()

    @cached_property
    def _plan(self) -> Plan:
        return make_plan(self.experiment)

    def _repr_html_(self) -> str:
        one = self.experiment
        shown = self.top(min(one.top, 10))
        varying = [c for c in shown.columns if c.startswith((PARAM, RULE)) and shown[c].n_unique() > 1]
        table = shown.select("rank", "strategy", "symbol", "interval", "side", *varying, *_SHOWN)
        return (
            f"<p><b>Sweep {one.name}</b> ({self.run.run_id}): {self.combinations_tried:,} combinations were tried; "
            f"the best by {one.by} with at least {one.min_trades} trades. The best of many is luck in part.</p>"
            + table._repr_html_()
        )

    def __repr__(self) -> str:
        return f"SweepResult({self.run.run_id}, {self.combinations_tried:,} combinations, {self.folder})"
