"""Random accounts as the tables of a run, from the compiled backtest and from the executor's ledger."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from executor.engine import export
from tests.executor.engine.account_replay import replay, series_of
from tests.portfolio.account_cases import AccountCase, compiled_run
from toolkit.portfolio import frames
from toolkit.portfolio.simulate import PortfolioRun
from toolkit.verify.parity_tables import KEYS, RunTables


def tables_of(run: PortfolioRun) -> dict[str, pl.DataFrame]:
    """What a saved backtest has in its folder."""
    return {
        "signals": frames.signals_table(run, np.full(len(run.signals), np.nan)),
        "audit": frames.audit_table(run),
        "orders": frames.orders_table(run),
        "trades": frames.trades_table(run, "run"),
        "equity": frames.equity_table(run),
    }


def bars_of(case: AccountCase) -> pl.DataFrame:
    """Every series of a case, as a session exports them."""
    named = series_of(case)
    parts = []
    for series, base in {named[e.id]: e.bars.base for e in case.entrants}.items():
        columns = {name: getattr(base, name) for name in ("ts", "open", "high", "low", "close", "volume", "filled")}
        keys = (pl.lit(series.exchange).alias("exchange"), pl.lit(series.symbol).alias("symbol"))
        parts.append(pl.DataFrame(columns).select(*keys, pl.lit(series.base).alias("base"), pl.all()))
    return pl.concat(parts)


def backtest(case: AccountCase, name: str = "backtest", **changed: Any) -> RunTables:
    """The case through the compiled account; `changed` as `simulate` takes it."""
    run = compiled_run(case, **changed)
    named = {name: (one.exchange, one.symbol, one.base) for name, one in series_of(case).items()}
    return RunTables(
        name, "portfolio", tables_of(run), run.start_ms, run.end_ms, bars_of(case), named, capital=run.capital
    )  # fmt: skip


def session(case: AccountCase, path: Path) -> RunTables:
    """The case through the executor's engine, as it exports it."""
    with replay(case, path) as ledger:
        with ledger.transaction("documents"):
            for number, e in enumerate(case.entrants):
                ledger.update("instances", {"id": e.id}, {"document": json.dumps({"params": {"number": number}})})
        tables = export._tables(ledger, export.session(ledger))
        end = int(ledger.value("SELECT moment_ms FROM account"))
    return RunTables("session", "replay", {n: tables[n] for n in KEYS}, case.period_ms[0], end, tables["bars"])
