"""Results by month, week, regime, exit and hour as the page's sections show them, beside plain loops."""

import datetime as dt
import math
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.analysis.portfolio_report.section_tables import (
    DAYS,
    START,
    account,
    blocks,
    chart,
    closed,
    notes,
    table,
    with_tables,
    won,
)  # fmt: skip
from tests.portfolio.report_case import CAPITAL
from toolkit.analysis.portfolio_report.blocks import Table
from toolkit.analysis.portfolio_report.conditions import conditions, regimes
from toolkit.analysis.portfolio_report.equity import equity
from toolkit.analysis.portfolio_report.periods import periods
from toolkit.analysis.portfolio_report.source import Source
from toolkit.analysis.portfolio_report.trades import excursions

DAY = dt.timedelta(days=1)
Money = dict[str, list[float]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return account(tmp_path_factory.mktemp("runs"))


def ended_days(source: Source) -> list[tuple[dt.date, float]]:
    """Each day with the equity at its end."""
    ends = source.tables["equity"].select("ts", "equity").iter_rows()
    return [(ts.date() - DAY, value) for ts, value in ends]


def returns_of(days: list[tuple[dt.date, float]], key: Any) -> dict[Any, tuple[float, float]]:
    """Profit and return of each period, over the equity at its beginning."""
    money = CAPITAL
    began: dict[Any, float] = {}
    last: dict[Any, float] = {}
    for day, value in days:
        began.setdefault(key(day), money)
        last[key(day)] = money = value
    return {k: (last[k] - b, last[k] / b - 1) for k, b in began.items()}


def monday(day: dt.date) -> dt.date:
    return day - dt.timedelta(days=day.weekday())


def test_months_are_the_equity_at_their_ends(source: Source) -> None:
    months = returns_of(ended_days(source), lambda day: (day.year, day.month))
    years = returns_of(ended_days(source), lambda day: day.year)
    shown = table(periods(source), "months")
    assert list(shown) == ["2022", "2023"] and len(months) == 5
    for year, cells in shown.items():
        expected = [months.get((int(year), m), (0.0, None))[1] for m in range(1, 13)] + [years[int(year)][1]]
        assert cells == [None if e is None else pytest.approx(e, abs=1e-12) for e in expected]
    assert math.prod(1 + r for _, r in months.values()) == pytest.approx(ended_days(source)[-1][1] / CAPITAL)
    (found,) = (b for b in blocks(periods(source)) if isinstance(b, Table) and b.id == "months")
    tints = [abs(c.tint) for row in found.rows for c in row.cells if c.tint is not None]
    assert len(tints) == 5 and max(tints) == 1.0


def test_weeks_begin_on_monday_and_hold_the_trades_that_closed_in_them(source: Source) -> None:
    weeks = returns_of(ended_days(source), monday)
    ended: dict[dt.date, list[float]] = defaultdict(list)
    for row in closed(source):
        ended[monday(row["exit_ts"].date())].append(row["pnl"])
    shown = table(periods(source), "weeks")
    assert list(shown) == [day.isoformat() for day in sorted(weeks, reverse=True)]
    for start, (pnl, made) in weeks.items():
        trades = ended.get(start, [])
        expected = [made, pnl, len(trades), won(trades) if trades else None]
        assert shown[start.isoformat()] == [None if e is None else pytest.approx(e, abs=1e-9) for e in expected]
    assert sum(cells[2] for cells in shown.values()) == len(closed(source))


@pytest.mark.parametrize("quiet", [slice(0, 0), slice(20, 75)])
def test_rolling_sharpe_is_that_of_the_days_behind_each_point(source: Source, quiet: slice) -> None:
    returns = np.random.default_rng(2).normal(0.0005, 0.01, DAYS)
    returns[quiet], returns[100] = 0.0, np.nan
    days = source.tables["equity"].with_columns(pl.Series("return", returns))
    lines = chart(equity(with_tables(source, equity=days)), "rolling-sharpe-chart")["series"]
    assert [line["name"] for line in lines] == ["30 days"]  # 90 need 180
    expected: list[float | None] = []
    for k in range(DAYS):
        window = returns[k - 29 : k + 1] if k >= 29 else np.zeros(0)
        deviation = float(window.std(ddof=1)) if len(window) else 0.0
        expected.append(float(window.mean()) / deviation * math.sqrt(365) if deviation > 0 else None)
    assert lines[0]["y"] == [None if e is None else pytest.approx(e, rel=1e-6) for e in expected]
    # Before the first window is full, while the day without a return is in it, and while nothing moves in it.
    assert sum(e is None for e in expected) == 29 + 30 + (26 if quiet.stop else 0)


def test_exits_by_reason(source: Source) -> None:
    named = {"stop": "stop", "target": "target", "signal": "exit signal", "max_hold": "held long enough",
             "trail": "trailing stop"}  # fmt: skip
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in closed(source):
        groups[named[row["exit_reason"]]].append(row)
    shown = table(excursions(source), "exits")
    assert [cells[0] for cells in shown.values()] == sorted((len(g) for g in groups.values()), reverse=True)
    for name, rows in groups.items():
        pnl = [row["pnl"] for row in rows]
        held = float(np.median([(row["exit_ts"] - row["entry_ts"]).total_seconds() for row in rows]))
        assert shown[name] == pytest.approx([len(rows), won(pnl), sum(pnl), sum(pnl) / len(pnl), held])
    assert len(shown) == 5


def plain_regimes(closes: dict[dt.date, float], first: dt.date) -> dict[dt.date, tuple[int, int]]:
    """Terciles of trend and volatility on each day from `first` on, days without one left out."""
    dates, values = list(closes), np.array(list(closes.values()))
    found: dict[dt.date, tuple[float, float]] = {}
    for k in range(30, len(values)):
        moves = np.diff(np.log(values[k - 30 : k + 1]))
        if dates[k] >= first and not np.isnan(moves).any():
            found[dates[k]] = (values[k] / values[k - 30] - 1, float(moves.std(ddof=1)))
    cuts = np.quantile(np.array(list(found.values())), [1 / 3, 2 / 3], axis=0)
    return {d: (int((t > cuts[:, 0]).sum()), int((v > cuts[:, 1]).sum())) for d, (t, v) in found.items()}


@pytest.mark.parametrize("begin", [START - 40 * DAY, START - 10 * DAY])
def test_a_trade_has_the_regime_of_the_day_before_it(source: Source, begin: dt.date) -> None:
    closes = source.tables["closes"].filter(pl.col("date") >= begin)
    known = {
        symbol: plain_regimes(dict(closes.filter(symbol=symbol).select("date", "close").iter_rows()), START - DAY)
        for symbol in closes["symbol"].unique()
    }
    groups: dict[tuple[int, int] | None, list[float]] = defaultdict(list)
    # One begins on the first day, and has the regime of the day before the run.
    first = pl.lit(dt.datetime(START.year, START.month, START.day, 5, tzinfo=dt.UTC)).cast(
        source.trades["entry_ts"].dtype
    )
    begun = pl.when(pl.int_range(pl.len()) == 0).then(first).otherwise("entry_ts")
    source = replace(source, trades=source.trades.with_columns(entry_ts=begun))
    for row in closed(source):
        groups[known[row["symbol"]].get(row["entry_ts"].date() - DAY)].append(row["pnl"])
    section = conditions(with_tables(source, closes=closes))
    shown, unknown = table(section, "regimes"), groups.pop(None, [])
    assert list(shown) == ["rising", "sideways", "falling"]
    for k, name in enumerate(("falling", "sideways", "rising")):
        expected = [sum(groups[k, v]) if (k, v) in groups else None for v in range(3)]
        assert shown[name] == [None if e is None else pytest.approx(e, abs=1e-9) for e in expected]
    assert bool(unknown) == (begin > START - 31 * DAY)
    said = f"{len(unknown):,} trades ({sum(unknown):,.2f}) have no regime"
    assert (said in notes(section)) == bool(unknown)
    cells = [c for b in blocks(section) if isinstance(b, Table) and b.id == "regimes" for r in b.rows for c in r.cells]
    counts = [len(pnl) for pnl in groups.values()]
    assert sorted(int(c.small.split()[0]) for c in cells if "won" in c.small) == sorted(counts)


@pytest.mark.parametrize("lacking", [math.nan, None])
def test_a_day_without_a_close_has_no_regime_and_no_extreme_one(source: Source, lacking: float | None) -> None:
    hole = START + 20 * DAY
    closes = source.tables["closes"].with_columns(
        close=pl.when(pl.col("date") == hole).then(pl.lit(lacking, pl.Float64)).otherwise("close")
    )
    found = regimes(closes, START)
    own = found.filter(symbol="BTC/USDT")
    prices = dict(closes.filter(symbol="BTC/USDT").select("date", "close").iter_rows())
    expected = plain_regimes({d: math.nan if c is None else c for d, c in prices.items()}, START)
    volatility = {row["date"]: row["volatility"] for row in own.iter_rows(named=True)}
    assert {d: v for d, v in volatility.items() if v is not None} == {d: v for d, (_, v) in expected.items()}
    lost = {row["date"] for row in own.filter(pl.col("trend").is_null()).iter_rows(named=True)}
    assert lost == {hole, hole + 30 * DAY}


def test_hours_and_weekdays_of_entry(source: Source) -> None:
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    hours: Money = {f"{h:02d}": [] for h in range(24)}
    weekdays: Money = {name: [] for name in names}
    early = replace(source, trades=source.trades.filter(pl.col("entry_ts").dt.hour() != 7))
    for row in closed(early):
        hours[f"{row['entry_ts'].hour:02d}"].append(row["pnl"])
        weekdays[names[row["entry_ts"].weekday()]].append(row["pnl"])
    section = conditions(early)
    for what, groups in (("hours", hours), ("weekdays", weekdays)):
        shown = table(section, what)
        assert list(shown) == list(groups)
        for name, pnl in groups.items():
            expected = [len(pnl), won(pnl), sum(pnl), sum(pnl) / len(pnl)] if pnl else [0, None, 0, None]
            assert shown[name] == [None if e is None else pytest.approx(e, abs=1e-9) for e in expected]
        bars = chart(section, f"{what}-chart")
        assert bars["x"] == list(groups)
        assert bars["y"] == pytest.approx([sum(pnl) for pnl in groups.values()], abs=1e-9)
    assert shown and hours["07"] == [] and sum(map(len, weekdays.values())) == len(closed(early))
