"""An account's figures against plain loops over the same tables."""

import datetime as dt
import math
import statistics
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.analysis.frames import TIME
from toolkit.analysis.metrics import METRICS
from toolkit.portfolio.figures import account_figures, day_figures, day_returns, hold_equally, trade_figures

DAY = 86_400_000
START = 19_000 * DAY
CAPITAL = 10_000.0


def equity_of(values: list[float], start_ms: int = START) -> pl.DataFrame:
    ends = [(start_ms // DAY + 1 + k) * DAY for k in range(len(values))]
    return pl.DataFrame(
        {"ts": pl.Series(ends, dtype=pl.Int64).cast(TIME), "equity": pl.Series(values, dtype=pl.Float64)}
    )


def trades_of(rows: list[dict[str, float | int | None]]) -> pl.DataFrame:
    schema = {
        "entry_ts": pl.Int64, "exit_ts": pl.Int64, "entry_price": pl.Float64, "exit_price": pl.Float64,
        "qty": pl.Float64, "pnl": pl.Float64, "fees": pl.Float64, "funding": pl.Float64, "r_multiple": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema).with_columns(pl.col("entry_ts", "exit_ts").cast(TIME))


def trade(hours: int, pnl: float, *, held: int | None = 3, r: float | None = None) -> dict[str, float | int | None]:
    entry = START + hours * 3_600_000
    return {
        "entry_ts": entry, "exit_ts": None if held is None else entry + held * 3_600_000, "entry_price": 100.0,
        "exit_price": None if held is None else 101.0, "qty": 2.0, "pnl": pnl, "fees": 0.5, "funding": -0.1,
        "r_multiple": r,
    }  # fmt: skip


def longest_drawdown(values: list[float]) -> int:
    """Days from each peak to the first mark at or above it, or to the end."""
    marks = [CAPITAL, *values]
    longest = 0
    for k in range(len(marks)):
        if marks[k] < max(marks[: k + 1]):
            continue
        later = next((j for j in range(k + 1, len(marks)) if marks[j] >= marks[k]), None)
        days = (len(marks) - 1 if later is None else later) - k
        longest = max(longest, days if later is None or later > k + 1 else 0)
    return longest


PATHS = st.lists(st.floats(500.0, 30_000.0), min_size=2, max_size=90)


@settings(deadline=None)
@given(PATHS)
def test_figures_of_days_follow_their_definitions(values: list[float]) -> None:
    found = account_figures(equity_of(values), trades_of([]), capital=CAPITAL)
    marks = [CAPITAL, *values]
    returns = [b / a - 1.0 for a, b in pairwise(marks)]
    assert found["total_return"] == pytest.approx(values[-1] / CAPITAL - 1.0)
    assert found["annual_return"] == pytest.approx((values[-1] / CAPITAL) ** (365 / len(values)) - 1.0)
    spread = statistics.stdev(returns)
    if spread > 1e-12:
        assert found["sharpe"] == pytest.approx(statistics.fmean(returns) / spread * math.sqrt(365), rel=1e-6, abs=1e-9)
    negative = [min(r, 0.0) ** 2 for r in returns]
    if sum(negative) > 1e-20:
        below = math.sqrt(statistics.fmean(negative))
        assert found["sortino"] == pytest.approx(statistics.fmean(returns) / below * math.sqrt(365), rel=1e-6, abs=1e-9)
    falls = [1.0 - mark / max(marks[: k + 1]) for k, mark in enumerate(marks)]
    assert found["max_drawdown"] == pytest.approx(max(falls), abs=1e-12)
    assert found["max_drawdown_days"] == longest_drawdown(values)
    if max(falls) > 1e-9:
        assert found["calmar"] == pytest.approx(found["annual_return"] / max(falls))


@settings(deadline=None)
@given(PATHS)
def test_weeks_and_months_are_those_of_the_calendar(values: list[float]) -> None:
    found = account_figures(equity_of(values), trades_of([]), capital=CAPITAL)
    marks = [CAPITAL, *values]
    for name, key in (
        ("weeks_profitable", lambda d: d.isocalendar()[:2]),
        ("months_profitable", lambda d: (d.year, d.month)),
    ):
        made: dict[tuple[int, ...], float] = {}
        for k in range(len(values)):
            day = dt.date(1970, 1, 1) + dt.timedelta(days=START // DAY + k)
            made[key(day)] = made.get(key(day), 0.0) + (marks[k + 1] - marks[k])
        if all(abs(p) > 1e-6 or p == 0.0 for p in made.values()):
            assert found[name] == pytest.approx(sum(p > 0 for p in made.values()) / len(made))


def test_figures_of_trades_count_closed_ones_only() -> None:
    rows = [trade(1, 10.0, r=1.0), trade(5, -4.0, r=-0.5), trade(6, -2.0), trade(20, 7.0, held=None)]
    found = account_figures(equity_of([10_005.0, 10_011.0]), trades_of(rows), capital=CAPITAL)
    assert (found["trades"], found["open_trades"]) == (3.0, 1.0)
    assert found["win_rate"] == pytest.approx(1 / 3)
    assert found["expectancy"] == pytest.approx(4.0 / 3)
    assert found["expectancy_r"] == pytest.approx(0.25)
    assert (found["avg_win"], found["avg_loss"], found["worst_trade"]) == (10.0, -3.0, -4.0)
    assert found["profit_factor"] == pytest.approx(10.0 / 6.0)
    assert (found["fees"], found["funding"]) == pytest.approx((2.0, -0.4))
    # Hours 1 to 4 and 5 to 9 (two overlap); the open one from hour 20 to the end of the second day.
    assert found["exposure"] == pytest.approx((7 + 28) / 48)
    assert found["turnover"] == pytest.approx((4 * 200.0 + 3 * 202.0) / CAPITAL / (2 / 365))


def test_what_tables_do_not_tell_is_nan_unless_it_is_given() -> None:
    found = account_figures(equity_of([1.0e4]), trades_of([]), capital=CAPITAL, known={"ambiguous_trades": 3.0})
    assert list(found) == list(METRICS)
    assert found["ambiguous_trades"] == 3.0
    assert math.isnan(found["return_at_twice_costs"]) and math.isnan(found["max_drawdown_intraday"])
    assert found["trades"] == 0.0
    assert all(math.isnan(found[n]) for n in ("win_rate", "expectancy", "profit_factor", "worst_trade", "sharpe"))


def test_no_days_at_all_has_no_figures_of_days() -> None:
    found = account_figures(equity_of([]), trades_of([]), capital=CAPITAL)
    assert found["total_return"] == 0.0
    assert all(math.isnan(found[n]) for n in ("annual_return", "sharpe", "weeks_profitable", "exposure", "turnover"))


def test_an_account_that_lost_everything_earns_nothing_afterwards() -> None:
    values = np.array([5_000.0, -100.0, -50.0])
    profit = np.diff(values, prepend=CAPITAL)
    returns = day_returns(profit, values - profit)
    assert returns.tolist() == pytest.approx([-0.5, -1.02, 0.0])
    found = day_figures(values, returns, START // DAY, CAPITAL)
    assert math.isnan(found["annual_return"]) and math.isnan(found["calmar"])
    assert found["max_drawdown"] == pytest.approx(1.01)


def test_groups_have_the_figures_of_their_own_trades() -> None:
    rows = [trade(k, float(p)) for k, p in enumerate((3, -1, 4, -1, 5, -9))]
    table = trades_of(rows).with_columns(pl.Series("strategy", ["a", "b"] * 3))
    span = {"capital": CAPITAL, "begin_ms": START, "span_ms": DAY}
    grouped = trade_figures(table, by=["strategy"], **span)
    for name in ("a", "b"):
        alone = trade_figures(table.filter(strategy=name), **span).row(0, named=True)
        assert {k: v for k, v in grouped.filter(strategy=name).row(0, named=True).items() if k != "strategy"} == alone


def test_equal_money_waits_for_late_listings_and_stays_after_the_end() -> None:
    day0 = 100
    whole = (10.0, day0, np.array([11.0, 12.0, 13.0, 20.0]))
    late = (50.0, day0 + 2, np.array([25.0, 100.0]))
    ended = (1.0, day0, np.array([3.0]))
    found = hold_equally([whole, late, ended], day0, 4)
    worth = [(1.1 + 1 + 3) / 3, (1.2 + 1 + 3) / 3, (1.3 + 0.5 + 3) / 3, (2.0 + 2.0 + 3) / 3]
    assert found["buy_and_hold_return"] == pytest.approx(worth[-1] - 1.0)
    assert found["buy_and_hold_max_drawdown"] == pytest.approx(1 - worth[2] / worth[1])
    steps = [b / a - 1.0 for a, b in zip([1.0, *worth], worth, strict=False)]
    assert found["buy_and_hold_sharpe"] == pytest.approx(
        statistics.fmean(steps) / statistics.stdev(steps) * math.sqrt(365)
    )
    assert all(math.isnan(v) for v in hold_equally([], day0, 4).values())
