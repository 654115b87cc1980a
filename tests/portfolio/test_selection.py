"""Selection: the rule language, figures against those of single backtests, and the greedy choice against an oracle."""

import math
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.portfolio.random_records import FIRST_MS, random_record, record
from toolkit.analysis.backtest import backtest
from toolkit.analysis.metrics import METRICS
from toolkit.bars.intervals import DAY_MS, HOUR_MS
from toolkit.bars.synthetic import synthetic_bars
from toolkit.engine.rules import TradeRules
from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.conditions import parse_conditions
from toolkit.portfolio.loading import load_members
from toolkit.portfolio.members import Member
from toolkit.portfolio.record_figures import FIGURES, MONEY_FIGURES, day_figures, expected_figures, record_figures
from toolkit.portfolio.selection import SelectionRule, choose, correlations
from toolkit.portfolio.standalone import track_of
from toolkit.portfolio.track import TrackRecord

TAKE_ALL = SelectionRule(min_trades=0, by="total_return")


def test_figures_are_those_of_a_backtest() -> None:
    bars = synthetic_bars(("BTC/USDT", "ETH/USDT"), days=45)
    members = [
        Member("volatility_breakout", symbol, "15m", {"window": window}, TradeRules(stop=stop, side=side))
        for symbol in bars
        for window, stop, side in ((24, 0.01, "both"), (48, None, "long"), (96, 0.02, "short"))
    ]
    loaded = load_members(members, bars=bars)
    found = record_figures(track_of(loaded))
    assert found["instance"].to_list() == [one.instance.id for one in loaded]
    for one, row in zip(members, found.to_dicts(), strict=True):
        alone = backtest(
            one.strategy, bars[one.symbol], interval="15m", params=dict(one.params), rules=one.rules, notional=1.0
        ).metrics
        assert alone["trades"] > 3
        for name in FIGURES:
            assert name in METRICS
            assert row[name] == pytest.approx(alone[name], rel=1e-9, abs=1e-12, nan_ok=True), name


def naive(returns: list[float], first_day: int) -> dict[str, float]:
    """Figures of one column of daily returns, by the definitions, in a plain loop."""
    n, equity, peak, worst, longest, peak_day = len(returns), 1.0, 1.0, 0.0, 0, -1
    for d, r in enumerate(returns):
        equity += r
        if equity >= peak:
            if peak_day < d - 1:
                longest = max(longest, d - peak_day)
            peak_day = d
        else:
            longest = max(longest, d - peak_day)
        peak = max(peak, equity)
        worst = max(worst, (peak - equity) / peak)
    dates = [date(1970, 1, 1) + timedelta(days=first_day + d) for d in range(n)]
    weeks: dict[object, float] = {}
    months: dict[object, float] = {}
    for day, r in zip(dates, returns, strict=True):
        weeks[day - timedelta(days=day.weekday())] = weeks.get(day - timedelta(days=day.weekday()), 0.0) + r
        months[(day.year, day.month)] = months.get((day.year, day.month), 0.0) + r
    return {
        "total_return": sum(returns), "max_drawdown": worst, "max_drawdown_days": float(longest),
        "weeks_profitable": sum(w > 0 for w in weeks.values()) / len(weeks),
        "months_profitable": sum(m > 0 for m in months.values()) / len(months),
        "sharpe": np.mean(returns) / np.std(returns, ddof=1) * math.sqrt(365),
        "sortino": np.mean(returns) / math.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)) * math.sqrt(365),
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 90), st.integers(0, 30), st.integers(0, 30), st.integers(18_000, 20_000))
def test_day_figures_equal_a_plain_loop(seed: int, n: int, before: int, after: int, day0: int) -> None:
    """Quarters add up without rounding, so that a recovery is the same day for both."""
    drawn = np.random.default_rng(seed)
    own = drawn.integers(-8, 9, n) / 64.0
    own[:3] = (-0.25, 0.125, 0.25)
    gap = np.full(1, np.nan)
    column = np.concatenate([np.repeat(gap, before), own, np.repeat(gap, after)])
    other = drawn.normal(0, 0.01, len(column))
    days = day0 + np.arange(len(column))
    found = day_figures(np.column_stack([other, column]), days)
    assert found["days"].tolist() == [len(column), n]
    for name, value in naive(own.tolist(), day0 + before).items():
        if name in ("max_drawdown",) and (np.cumsum(own) <= -1).any():
            continue
        assert found[name][1] == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_figures_that_are_not_defined_are_nan() -> None:
    track = record(np.array([[0.0, np.nan], [0.0, np.nan], [0.0, np.nan]]), names=("still", "absent"))
    table = record_figures(track)
    assert table["days"].to_list() == [3, 0]
    assert table["trades"].to_list() == [0.0, 0.0]
    for name in ("sharpe", "sortino", "calmar", "win_rate", "expectancy", "profit_factor"):
        assert all(math.isnan(value) for value in table[name]), name
    assert record_figures(record(np.empty((0, 0)))).columns == ["instance", "days", *FIGURES]


def test_open_trades_are_no_trades() -> None:
    trades = [("i0", FIRST_MS, FIRST_MS + HOUR_MS, 0.5), ("i0", FIRST_MS + DAY_MS, None, -9.0)]
    row = record_figures(record(np.full((3, 1), 0.1), trades)).row(0, named=True)
    assert (row["trades"], row["expectancy"], row["worst_trade"], row["expectancy_r"]) == (1.0, 0.5, 0.5, 25.0)
    assert math.isnan(row["profit_factor"])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["sharpe", "sortino", "win_rate"]), min_size=1, max_size=4), st.integers(0, 2**31))
def test_rules_read_as_python_does(names: list[str], seed: int) -> None:
    drawn = np.random.default_rng(seed)
    ops, joins = drawn.choice(["<", "<=", ">", ">="], len(names)), drawn.choice(["and", "or"], len(names))
    words = [f"{name} {op} {drawn.integers(-2, 3)} {join}" for name, op, join in zip(names, ops, joins, strict=True)]
    text = " ".join(words).rsplit(" ", 1)[0]
    columns = {name: drawn.integers(-2, 3, 12).astype(float) for name in ("sharpe", "sortino", "win_rate")}
    columns["sharpe"][:3] = np.nan
    held = np.ones(12, bool)
    for condition in parse_conditions(text, columns):
        held &= condition.holds(columns)
    wanted = [eval(text, {}, {name: values[k] for name, values in columns.items()}) for k in range(12)]
    assert held.tolist() == wanted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sharpe >", "cannot be read"),
        ("sharpe", "'sharpe' in the selection rule is no comparison"),
        ("not sharpe > 1", "no comparison"),
        ("sharpe == 1", "no comparison"),
        ("sharpe > 1 and __import__('os')", "no comparison"),
        ("sharpe > abs(1)", "neither a figure nor a number"),
        ("sharpe > '1'", "neither a figure nor a number"),
        ("sharpe > True", "neither a figure nor a number"),
        ("sharpe * 2 > 1", "neither a figure nor a number"),
        ("1 < 2", "compares no figure"),
        ("sharp > 1", "did you mean 'sharpe'"),
        ("exposure > 1", "unknown figure of a selection rule 'exposure'"),
        ("sharpe > 1; sortino > 1", "cannot be read"),
        ("(" * 300 + "sharpe > 1", "cannot be read"),
        ("sharpe\x00 > 1", "cannot be read"),
    ],
)
def test_bad_rules(text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        SelectionRule(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rules_over_lines_chains_and_signs() -> None:
    rule = SelectionRule("  sharpe > -1\n and 0.4 < win_rate <= +0.6 ")
    assert [c.text for c in rule.parsed] == ["sharpe > -1", "0.4 < win_rate <= +0.6"]
    assert rule.figures == ("sharpe", "win_rate", "trades")
    columns = {"sharpe": np.array([0.0, 0.0, -1.0]), "win_rate": np.array([0.5, 0.7, 0.5]), "trades": np.full(3, 9.0)}
    assert rule.holds(columns).tolist() == [True, False, False]


@pytest.mark.parametrize(
    "settings_",
    [{"min_trades": -1}, {"min_trades": 1.5}, {"top": 0}, {"top": True}, {"max_correlation": 1.5},
     {"max_correlation": math.nan}, {"by": "exposure"}, {"conditions": 3}],
)  # fmt: skip
def test_bad_settings(settings_: dict[str, object]) -> None:
    with pytest.raises(InputError):
        SelectionRule(**settings_)  # type: ignore[arg-type]
    if "by" in settings_:
        with pytest.raises(UnknownNameError):
            SelectionRule(by="exposure")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(-0.5, 0.95), st.integers(1, 8))
def test_greedy_choice_equals_an_oracle(seed: int, most: float, top: int) -> None:
    track = random_record(seed, n_days=40, n=8)
    rule = SelectionRule("trades > 20", max_correlation=most, top=top, by="sharpe")
    frame = track.returns.drop("date").to_pandas()
    ranked = sorted(frame.columns, key=lambda c: -frame[c].mean() / frame[c].std())
    table, wanted = frame.corr(), []
    for name in ranked:
        if len(track.trades.filter(pl.col("instance") == name)) <= 20 or len(wanted) == top:
            continue
        if all(table.loc[name, other] <= most for other in wanted):
            wanted.append(name)
    found = choose(track, rule)
    assert list(found.instances) == wanted
    assert set(found.left_out) == set(frame.columns) - set(wanted)


def test_why_each_one_is_left_out() -> None:
    days = np.random.default_rng(1).normal(0.01, 0.01, (30, 1))
    returns = np.hstack([days, days * 2 + 1e-4, -days, np.full((30, 1), np.nan), days[::-1], np.zeros((30, 1))])
    names = ("few", "best", "loser", "absent", "second", "still")
    trades = [
        (name, FIRST_MS + k * DAY_MS, FIRST_MS + k * DAY_MS + 1, 1.0)
        for name, n in (("few", 2), ("best", 5), ("loser", 5), ("absent", 5), ("second", 5), ("still", 5))
        for k in range(n)
    ]
    track = record(returns, trades, names)
    left = choose(
        track, SelectionRule("total_return >= 0 and expectancy > 0", min_trades=5, top=1, by="sharpe")
    ).left_out
    assert list(left) == ["few", "loser", "absent", "second", "still"]
    assert left["few"] == "2 closed trades, fewer than 5"
    assert left["loser"].startswith("total_return >= 0 does not hold (total_return -0.")
    assert left["absent"] == "has no day of record"
    assert left["second"] == "ranks behind the 1 best by sharpe"
    assert left["still"] == "its sharpe is not defined"
    alike = choose(track, SelectionRule("total_return > 0", max_correlation=0.9, by="total_return"))
    assert alike.instances == ("best", "second")
    assert alike.left_out["few"] == "correlates 1 with best, above 0.9"


def test_less_is_better_where_it_is() -> None:
    track = random_record(3)
    falls = record_figures(track).sort("max_drawdown")["instance"].to_list()
    assert list(choose(track, SelectionRule(by="max_drawdown")).instances) == falls


@given(st.permutations(["c", "a", "d", "b"]))
def test_ties_go_by_id_whatever_the_order(names: list[str]) -> None:
    days = np.random.default_rng(2).normal(0.01, 0.01, (20, 1))
    found = choose(record(np.hstack([days] * 4), names=names), SelectionRule(min_trades=0, top=2))
    assert found.instances == ("a", "b")


def test_nothing_chosen_is_said() -> None:
    found = choose(random_record(4), SelectionRule("sharpe > 1000"))
    assert found.instances == ()
    assert len(found.left_out) == 6
    empty = choose(record(np.empty((0, 2))), TAKE_ALL)
    assert (empty.instances, set(empty.left_out.values())) == ((), {"has no day of record"})


def test_correlation_where_there_is_none() -> None:
    drawn = np.random.default_rng(5).normal(0, 1, 20)
    half = np.where(np.arange(20) < 10, drawn, np.nan)
    other_half = np.where(np.arange(20) >= 10, drawn, np.nan)
    constant = np.full(20, 0.1)
    assert correlations(half, np.stack([other_half, constant, half, drawn, -drawn])) == pytest.approx([0, 0, 1, 1, -1])
    assert correlations(constant, np.stack([constant, drawn])).tolist() == [0.0, 0.0]
    tiny = correlations(drawn * 1e-150, np.stack([drawn * 1e150]))
    assert tiny == pytest.approx([1.0])


def test_expected_figures_are_the_weighed_sum() -> None:
    track = random_record(6)
    weights = {"i0": 0.5, "i3": 0.25, "i4": 0.0}
    found = expected_figures(track, weights)
    daily = (track.returns["i0"] * 0.5 + track.returns["i3"] * 0.25).to_numpy()
    assert found["total_return"] == pytest.approx(daily.sum())
    assert found["sharpe"] == pytest.approx(daily.mean() / daily.std(ddof=1) * math.sqrt(365))
    trades = track.trades.filter(pl.col("instance").is_in(["i0", "i3"]))
    assert found["trades"] == len(trades)
    shares = trades["instance"].replace_strict(weights, return_dtype=pl.Float64)
    assert found["expectancy"] == pytest.approx((trades["pnl"] * shares).mean())
    nothing = expected_figures(track, {})
    assert (nothing["total_return"], nothing["trades"]) == (0.0, 0.0)
    assert math.isnan(nothing["sharpe"])


def test_money_is_in_units_of_the_notional() -> None:
    track: TrackRecord = random_record(7)
    row = record_figures(track).row(0, named=True)
    profits = track.trades.filter(pl.col("instance") == "i0")["pnl"].to_numpy()
    wanted = (profits.mean(), profits[profits > 0].mean(), profits[profits <= 0].mean(), profits.min())
    assert [row[name] for name in MONEY_FIGURES] == pytest.approx(wanted)
