"""Figures against a second telling: equity walked bar by bar, days and weeks by the calendar, sums in plain Python."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tests.analysis.cases import COSTS, RULES, minutes, result, signals_at
from toolkit.analysis.backtest import backtest_signals
from toolkit.analysis.metrics import METRICS, Account, daily_figures, grow, new_scratch
from toolkit.analysis.reference import buy_and_hold
from toolkit.analysis.result import BacktestResult
from toolkit.bars.series import from_arrays
from toolkit.engine.rules import Costs, TradeRules
from toolkit.strategy import Signals

FREE = Costs(taker_rate=0.0, maker_rate=0.0, slippage_bps=0.0)


def moment(r: BacktestResult, t: int) -> datetime:
    return datetime.fromtimestamp(t * r.bars.base.interval_ms / 1000, UTC)


def stamps(r: BacktestResult, trade: Any) -> Iterable[int]:
    """Bars after the entry, up to the exit, that open on 00:00, 08:00 or 16:00."""
    return (t for t in range(trade["entry_t"] + 1, trade["exit_t"] + 1) if moment(r, t).strftime("%H%M") in
            ("0000", "0800", "1600"))  # fmt: skip


def profit_until(r: BacktestResult, trade: Any, t: int) -> float:
    """Profit of a trade as of the close of bar `t`, money."""
    base, first = r.bars.base, r.prepared.market.t0
    if t < trade["entry_t"]:
        return 0.0
    closed = trade["exit_reason"] != 0 and t >= trade["exit_t"]
    price = trade["exit_price"] if closed else base.close[t - first]
    paid = trade["entry_fee"] + (trade["exit_fee"] if closed else 0.0)
    rate = r.costs.funding_rate
    paid += sum(trade["side"] * trade["qty"] * base.open[s - first] * rate for s in stamps(r, trade) if s <= t)
    return float(trade["side"] * trade["qty"] * (price - trade["entry_price"]) - paid)


def daily_profit(r: BacktestResult) -> dict[datetime, float]:
    """Profit of each UTC day from marks at its last bar."""
    base, t0, start = r.bars.base, r.prepared.market.t0, r.prepared.start_t
    last_bar: dict[datetime, int] = {}
    for t in range(start, t0 + len(base)):
        last_bar[moment(r, t).replace(hour=0, minute=0)] = t
    totals = [sum(profit_until(r, trade, t) for trade in r.records.trades) for t in last_bar.values()]
    return {day: now - before for day, now, before in zip(last_bar, totals, [0.0, *totals], strict=False)}


def oracle(r: BacktestResult) -> dict[str, float]:
    days = daily_profit(r)
    returns = [p / r.notional for p in days.values()]
    years = len(returns) / 365
    equity = [1.0]
    for x in returns:
        equity.append(equity[-1] * (1 + x) if r.compound else equity[-1] + x)
    peaks = [max(equity[: k + 1]) for k in range(len(equity))]
    falls = [(p - e) / p for p, e in zip(peaks, equity, strict=True)]
    # A mark that lies below the peak before it: how long since that peak, up to the mark that is back there.
    longest = 0
    for k in range(1, len(equity)):
        if equity[k] < peaks[k] or equity[k - 1] < peaks[k - 1]:
            longest = max(longest, k - max(j for j in range(k) if equity[j] == peaks[j]))
    mean, total = statistics.fmean(returns), equity[-1] - 1.0
    annual = equity[-1] ** (1 / years) - 1 if r.compound else total / years
    downside = math.sqrt(statistics.fmean(min(x, 0.0) ** 2 for x in returns))
    return {
        "total_return": total,
        "annual_return": annual,
        "sharpe": mean / statistics.stdev(returns) * math.sqrt(365),
        "sortino": mean / downside * math.sqrt(365),
        "calmar": annual / max(falls),
        "max_drawdown": max(falls),
        "max_drawdown_days": longest,
        "weeks_profitable": share(days, lambda d: d - timedelta(days=d.weekday())),
        "months_profitable": share(days, lambda d: (d.year, d.month)),
        "return_at_twice_costs": at_twice_costs(r, days),
        **trade_oracle(r, years),
    }


def at_twice_costs(r: BacktestResult, days: dict[datetime, float]) -> float:
    """Each day's profit less what was paid in fees and slippage that day, once more."""
    left = dict(days)
    for trade in r.records.trades:
        entry, leave = slippage(r, trade)
        left[moment(r, trade["entry_t"]).replace(hour=0, minute=0)] -= entry + max(trade["entry_fee"], 0.0)
        left[moment(r, trade["exit_t"]).replace(hour=0, minute=0)] -= leave + max(trade["exit_fee"], 0.0)
    now = 1.0
    for profit in left.values():
        now = now * (1 + profit / r.notional) if r.compound else now + profit / r.notional
    return now - 1.0


def share(days: dict[datetime, float], key: Any) -> float:
    groups: dict[Any, float] = defaultdict(float)
    for day, profit in days.items():
        groups[key(day)] += profit
    return sum(p > 0 for p in groups.values()) / len(groups)


def trade_oracle(r: BacktestResult, years: float) -> dict[str, float]:
    rows = r.trades.to_dicts()
    closed = [t for t in rows if t["exit_reason"] != "open"]
    won, lost = [t["pnl"] for t in closed if t["pnl"] > 0], [t["pnl"] for t in closed if t["pnl"] <= 0]
    in_r = [t["r_multiple"] for t in closed if t["r_multiple"] is not None]
    span = r.prepared.market.t0 + len(r.bars.base) - r.prepared.start_t
    notional = sum(t["qty"] * t["entry_price"] for t in rows) + sum(t["qty"] * t["exit_price"] for t in closed)
    return {
        "trades": len(closed),
        "open_trades": len(rows) - len(closed),
        "win_rate": len(won) / len(closed),
        "expectancy": statistics.fmean(won + lost),
        "expectancy_r": statistics.fmean(in_r) if in_r else math.nan,
        "avg_win": statistics.fmean(won),
        "avg_loss": statistics.fmean(lost),
        "profit_factor": sum(won) / -sum(lost),
        "worst_trade": min(won + lost),
        "fees": sum(t["fees"] for t in rows),
        "funding": sum(t["funding"] for t in rows),
        "exposure": sum(t["bars_held"] for t in rows) / span,
        "turnover": notional / r.notional / years,
    }


def slippage(r: BacktestResult, trade: Any) -> tuple[float, float]:
    """What the entry and the exit paid over the open, or the level, that they would have had; money."""
    base, first = r.bars.base, r.prepared.market.t0
    entry = abs(trade["entry_price"] - base.open[trade["entry_t"] - first])
    reason, leave = trade["exit_reason"], 0.0
    opened, level = base.open[trade["exit_t"] - first], trade["expected_exit_price"]
    if reason in (3, 4, 5):
        leave = abs(trade["exit_price"] - opened)
    elif reason in (1, 6):
        leave = abs(trade["exit_price"] - (min(opened, level) if trade["side"] > 0 else max(opened, level)))
    elif reason == 2 and r.instance.rules.target_fill == "market":
        leave = abs(trade["exit_price"] - (max(opened, level) if trade["side"] > 0 else min(opened, level)))
    return float(entry * trade["qty"]), float(leave * trade["qty"])


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("side", ["both", "short"])
def test_figures_are_those_of_a_second_telling(name: str, side: str) -> None:
    r = result(name, seed=2)
    if side == "short":
        rules = TradeRules(**{**vars(RULES[name]), "side": side})
        r = backtest_signals(r.bars, r.signals_in, rules, COSTS, compound=True)
    expected = oracle(r)
    for figure, value in expected.items():
        assert r.metrics[figure] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), figure
    assert set(METRICS) - set(expected) == {"max_drawdown_intraday", "ambiguous_trades", "ambiguous_pnl"}
    if r.compound:
        assert math.isnan(r.metrics["max_drawdown_intraday"])
    else:
        assert r.metrics["max_drawdown_intraday"] >= r.metrics["max_drawdown"]


def days_of(profits: list[float], *, compound: bool) -> dict[str, float]:
    """Figures of a capital of 100 with these daily profits."""
    scratch = new_scratch(len(profits))
    scratch.daily[:], scratch.extra[:] = profits, 0.0
    account = Account(100.0, compound, FREE.rates(60_000), 0)
    grow(scratch.daily, scratch.extra, 0.0, account, scratch.equity)
    out = np.zeros(len(METRICS))
    daily_figures(account, scratch, out)
    return dict(zip(METRICS, out, strict=True)) | {"equity": scratch.equity[-1]}


def test_a_compounding_account_that_is_used_up_stays_at_zero() -> None:
    assert days_of([-160.0, -160.0, 50.0], compound=True)["equity"] == 0.0
    assert days_of([-160.0, -160.0, 50.0], compound=True)["annual_return"] == -1.0
    assert days_of([-160.0, -160.0, 50.0], compound=False)["equity"] == -170.0


@pytest.mark.parametrize(
    ("profits", "days"),
    [([1.0, 2.0], 0), ([1.0, -1.0, 1.0], 2), ([-1.0, 1.0], 2), ([1.0, -1.0, -1.0], 2), ([0.0, 0.0], 0), ([-1.0], 1)],
)
def test_a_drawdown_lasts_from_its_peak_to_the_mark_that_is_back_at_it(profits: list[float], days: int) -> None:
    assert days_of(profits, compound=False)["max_drawdown_days"] == days


def test_a_rebate_is_not_a_cost_that_can_be_doubled() -> None:
    paid = backtest_signals(*rebate_case(), costs=Costs(taker_rate=0.0, maker_rate=-0.001, slippage_bps=0.0))
    assert paid.metrics["trades"] == 1 and paid.metrics["fees"] < 0
    assert paid.metrics["return_at_twice_costs"] == paid.metrics["total_return"]


def rebate_case() -> tuple[Any, Signals, TradeRules]:
    """Entered at 100 on bar 1, out at the target of 103 on bar 2."""
    n = 4
    ts = 60_000 * np.arange(n)
    flat = np.full(n, 100.0)
    high = np.array([100.0, 100.0, 104.0, 100.0])
    bars = from_arrays(ts, flat, high, flat, flat, np.ones(n), interval="1m")
    no = np.zeros(n, np.bool_)
    enter = no.copy()
    enter[0] = True
    nan = np.full(n, np.nan)
    return bars, Signals(enter, no, no, no, nan, np.full(n, 3.0)), TradeRules()


def test_an_ambiguous_bar_is_counted_with_what_hangs_on_it() -> None:
    # Entered at 100 on bar 1; bar 2 reaches the stop (98) and the target (103).
    rows = [(100.0, 100.5, 99.5, 100.0)] * 2 + [(100.0, 104.0, 97.0, 100.0)] + [(100.0, 100.5, 99.5, 100.0)]
    rules = TradeRules(stop=0.02, target=0.03)
    r = backtest_signals(minutes(rows), signals_at(4, enter_long=[0]), rules, FREE)
    assert r.trades["exit_reason"].to_list() == ["stop"]
    assert r.metrics["ambiguous_trades"] == 1
    assert r.metrics["ambiguous_pnl"] == pytest.approx(500.0)
    assert r.ambiguity["policy"] == "pessimistic" and r.ambiguity["trades"] == 1
    for key, value in {"pnl": -200.0, "best_pnl": 300.0, "worst_pnl": -200.0, "pnl_at_stake": 500.0}.items():
        assert r.ambiguity[key] == pytest.approx(value), key
    optimistic = TradeRules(stop=0.02, target=0.03, policy="optimistic")
    hopeful = backtest_signals(minutes(rows), signals_at(4, enter_long=[0]), optimistic, FREE)
    assert hopeful.ambiguity["pnl"] == pytest.approx(300.0)
    assert hopeful.ambiguity["worst_pnl"] == pytest.approx(-200.0)


def test_the_intraday_drawdown_sees_what_daily_marks_do_not() -> None:
    # Down a tenth inside the day and back: no daily drawdown.
    rows = [(100.0, 100.0, 100.0, 100.0)] * 2 + [(100.0, 100.0, 90.0, 100.0)] + [(100.0, 101.0, 100.0, 101.0)]
    r = backtest_signals(minutes(rows), signals_at(4, enter_long=[0]), TradeRules(stop=None, target=None), FREE)
    assert r.metrics["max_drawdown"] == 0.0
    assert r.metrics["max_drawdown_intraday"] == pytest.approx(0.1)


def test_figures_without_trades_are_undefined_and_never_wrong() -> None:
    rows = [(100.0, 101.0, 99.0, 100.0)] * 3
    m = backtest_signals(minutes(rows), signals_at(3), TradeRules(), FREE).metrics
    assert m["trades"] == m["total_return"] == m["max_drawdown"] == m["fees"] == 0.0
    for name in ("win_rate", "expectancy", "profit_factor", "sharpe", "sortino", "calmar", "worst_trade", "avg_loss"):
        assert math.isnan(m[name]), name


def test_buy_and_hold_is_the_market() -> None:
    found = buy_and_hold(100.0, np.array([110.0, 99.0, 120.0]))
    assert found["buy_and_hold_return"] == pytest.approx(0.2)
    assert found["buy_and_hold_max_drawdown"] == pytest.approx(0.1)
    daily = [0.1, -0.1, 120 / 99 - 1]
    assert found["buy_and_hold_sharpe"] == pytest.approx(
        statistics.fmean(daily) / statistics.stdev(daily) * math.sqrt(365)
    )
    assert all(math.isnan(v) for v in buy_and_hold(1.0, np.empty(0)).values())
