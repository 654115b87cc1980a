"""A portfolio's run folder: every table, `results.json`, the report; whole or not at all."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from toolkit.analysis.metrics import make_calendar
from toolkit.analysis.runs import RunWriter, data_fingerprint, write_csv
from toolkit.engine.identity import canonical_json
from toolkit.engine.market import first_t
from toolkit.portfolio import frames, summary
from toolkit.portfolio.trade_bars import trade_bars

if TYPE_CHECKING:
    from toolkit.portfolio.result import PortfolioResult

RESULTS_FILE = "results.json"
_ALSO_CSV = ("audit", "predictions", "model_versions", "model_trades")


def save(result: "PortfolioResult", root: Path | None = None, *, factors: bool = True) -> Path:
    """Write the run; see `PortfolioResult.save`."""
    from toolkit.analysis.portfolio_report import write_portfolio_report

    with RunWriter("portfolio", result.config, root=root) as writer:
        _write_trades(result, writer)
        for name, frame in _tables(result).items():
            writer.write_frame(name, frame, csv=name in _ALSO_CSV)
        if factors:
            writer.write_frame("factors", result.factors(), csv=True)
        results = summary.results_of(result, writer.run_id)
        writer.write_text(RESULTS_FILE, json.dumps(results, indent=2, allow_nan=False) + "\n")
        data = [row for bars in result.bases() for row in data_fingerprint(bars)]
        writer.note(data=data, seeds=dict(result.origin.seeds), combinations=result.origin.combinations_tried)
        write_portfolio_report(writer.folder)
        return writer.finish()


def _write_trades(result: "PortfolioResult", writer: RunWriter) -> None:
    run_id = pl.lit(writer.run_id).alias("run_id")
    trades = result.trades.with_columns(run_id)
    writer.write_frame("trades", trades)
    write_csv(writer.folder / "portfolio_trades.csv", trades)
    for name, part in frames.by_strategy(trades).items():
        write_csv(writer.folder / "trades_by_strategy" / f"{name}.csv", part)
    writer.write_frame("all_trades", result.all_trades.with_columns(run_id), csv=True)
    writer.write_frame("trade_bars", trade_bars(result.run, trades))


def _tables(result: "PortfolioResult") -> dict[str, pl.DataFrame]:
    said = {
        "predictions": result.predictions, "model_versions": result.model_versions, "model_trades": result.model_trades,
    }  # fmt: skip
    return {name: table for name, table in said.items() if table is not None} | {
        "signals": result.signals,
        "orders": result.orders,
        "audit": result.audit,
        "equity": result.equity,
        "variants": result.variants_equity,
        "instance_returns": result.instance_returns,
        "weights": result.weights,
        "metrics": summary.instance_metrics(result),
        "members": members_table(result),
        "closes": closes_table(result),
    }


def closes_table(result: "PortfolioResult") -> pl.DataFrame:
    """date, symbol, close: the last close of each UTC day of every traded symbol, history before the start included."""
    parts = {}
    for bars in result.bases():
        base = bars.base
        days = make_calendar(base, first_t(base))
        dates = (days.day0 + np.arange(len(days.close))).astype("datetime64[D]")
        parts[base.symbol] = pl.DataFrame({"date": dates, "symbol": base.symbol, "close": days.close})
    return pl.concat(parts.values())


def members_table(result: "PortfolioResult") -> pl.DataFrame:
    """A row a candidate, complete: with it and the run's config the backtest can be made again."""
    rows: list[dict[str, Any]] = []
    for loaded in result.run.members:
        one, member, base = loaded.instance, loaded.member, loaded.bars.base
        rows.append(
            {
                "instance": one.id, "strategy": one.strategy, "family": member.family or one.strategy,
                "symbol": one.symbol, "interval": one.interval, "side": one.rules.side,
                "params": canonical_json(dict(one.params)), "rules": canonical_json(asdict(one.rules)),
                "costs": canonical_json(asdict(member.costs)), "exchange": base.exchange, "base": base.interval,
                "code": one.code,
            }
        )  # fmt: skip
    return pl.DataFrame(rows)
