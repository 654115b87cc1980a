"""What the report's tables say, added up a second time by plain loops."""

import itertools
import math
import statistics
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.portfolio.report_case import CAPITAL, Case, portfolio_folder
from toolkit.analysis.portfolio_report.blocks import Chart, Note, Table
from toolkit.analysis.portfolio_report.conditions import TRENDS, VOLATILITIES, WINDOW_DAYS, conditions, regimes
from toolkit.analysis.portfolio_report.equity import equity
from toolkit.analysis.portfolio_report.periods import period_returns, periods
from toolkit.analysis.portfolio_report.source import Source, read_source
from toolkit.analysis.portfolio_report.trades import exits


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return read_source(portfolio_folder(tmp_path_factory.mktemp("report")))


def day_ends(source: Source) -> list[tuple[date, float]]:
    """Each day with the equity it ended with."""
    rows = source.tables["equity"].sort("ts").select("ts", "equity").iter_rows()
    return [((ts - timedelta(milliseconds=1)).date(), value) for ts, value in rows]


@pytest.mark.parametrize("every", ["1w", "1mo", "1y"])
def test_returns_by_period_are_those_of_a_plain_loop(every: str, source: Source) -> None:
    def start(day: date) -> date:
        if every == "1w":
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if every == "1mo" else day.replace(month=1, day=1)

    last: dict[date, float] = {}
    for day, value in day_ends(source):
        last[start(day)] = value
    began, wanted = CAPITAL, []
    for when, value in sorted(last.items()):
        wanted.append((when, value - began, (value - began) / began))
        began = value
    found = list(period_returns(source, every).iter_rows())
    assert [row[0] for row in found] == [row[0] for row in wanted]
    np.testing.assert_allclose([row[1:] for row in found], [row[1:] for row in wanted], rtol=1e-12)


def test_the_monthly_table_compounds_to_the_run(source: Source) -> None:
    section = periods(source)
    months = next(block for block in section.blocks if isinstance(block, Table) and block.id == "months")
    shown = sum(cell.sort is not None for row in months.rows for cell in row.cells[1:13])
    assert shown == len(period_returns(source, "1mo"))
    growth = math.prod(1.0 + r for r in period_returns(source, "1mo")["return"])
    assert growth == pytest.approx(day_ends(source)[-1][1] / CAPITAL)


def test_exits_by_reason_count_every_closed_trade(source: Source) -> None:
    table = exits(source)
    assert table is not None
    wanted: dict[str, list[float]] = defaultdict(list)
    for reason, pnl in source.closed.select("exit_reason", "pnl").iter_rows():
        wanted[reason].append(pnl)
    assert len(table.rows) == len(wanted)
    assert sorted(row.cells[1].sort for row in table.rows) == sorted(len(v) for v in wanted.values())
    counted = [row.cells[1].sort for row in table.rows]
    assert counted == sorted(counted, reverse=True)


def _naive_regimes(closes: pl.DataFrame, first: date) -> dict[tuple[str, date], tuple[int | None, int | None]]:
    found = {}
    for symbol in closes["symbol"].unique():
        rows = sorted((d, c) for d, s, c in closes.select("date", "symbol", "close").iter_rows() if s == symbol)
        days, prices = [d for d, _ in rows], [c for _, c in rows]
        moves = [math.log(b / a) for a, b in itertools.pairwise(prices)]
        measured: list[tuple[date, float | None, float | None]] = []
        for k, day in enumerate(days):
            full = k >= WINDOW_DAYS
            trend = prices[k] / prices[k - WINDOW_DAYS] - 1.0 if full else None
            wild = statistics.stdev(moves[k - WINDOW_DAYS : k]) if full else None
            if day >= first:
                measured.append((day, trend, wild))
        cuts = []
        for column in (1, 2):
            known = np.array([row[column] for row in measured if row[column] is not None], np.float64)
            cuts.append(np.quantile(known, [1 / 3, 2 / 3]))
        for day, *values in measured:
            found[(symbol, day)] = tuple(
                None if value is None else int(value > cut[0]) + int(value > cut[1])
                for value, cut in zip(values, cuts, strict=True)
            )
    return found  # type: ignore[return-value]


def test_regimes_are_terciles_of_what_was_known_the_day_before(source: Source) -> None:
    closes = source.tables["closes"]
    first = source.days["date"][0] - timedelta(days=1)
    naive = _naive_regimes(closes, first)
    for symbol, day, trend, volatility in regimes(closes, first).iter_rows():
        assert (trend, volatility) == naive[(symbol, day)], (symbol, day)
    wanted: dict[tuple[Any, Any], float] = defaultdict(float)
    for symbol, entered, pnl in source.closed.select("symbol", "entry_ts", "pnl").iter_rows():
        wanted[naive.get((symbol, entered.date() - timedelta(days=1)), (None, None))] += pnl
    table = next(b for b in conditions(source).blocks if isinstance(b, Table) and b.id == "regimes")
    for row in table.rows:
        trend = TRENDS.index(str(row.cells[0].text))
        for volatility in range(len(VOLATILITIES)):
            cell = row.cells[1 + volatility]
            assert (cell.sort or 0.0) == pytest.approx(wanted.get((trend, volatility), 0.0), abs=1e-6)


def test_rolling_sharpe_looks_at_the_days_behind_it(source: Source) -> None:
    charts = [b for b in equity(source).blocks if isinstance(b, Chart) and b.id == "rolling-sharpe-chart"]
    returns = source.days["return"].to_list()
    for line in charts[0].data["series"]:
        window = int(line["name"].split()[0])
        for k, value in enumerate(line["y"]):
            if k + 1 < window:
                assert value is None
            else:
                part = returns[k + 1 - window : k + 1]
                assert value == pytest.approx(
                    statistics.fmean(part) / statistics.stdev(part) * math.sqrt(365), rel=1e-6
                )


def test_a_run_of_a_day_without_trades_says_what_is_missing(tmp_path: Path) -> None:
    whole = read_source(portfolio_folder(tmp_path, Case(days=70)))
    tables = {name: frame for name, frame in whole.tables.items() if name != "equity"}
    one = Source(whole.title, whole.results, whole.trades.clear(), {**tables, "equity": whole.tables["equity"].head(1)})
    assert exits(one) is None
    for section in (conditions(one), equity(one)):
        assert any(isinstance(block, Note) for block in section.blocks)
    assert len(period_returns(one, "1mo")) == 1
