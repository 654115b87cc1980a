"""A portfolio's backtest from members to its run folder, its figures computed again by separate code."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from toolkit.analysis.metrics import METRICS
from toolkit.analysis.reference import REFERENCE
from toolkit.analysis.runs import read_run
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars
from toolkit.bars.synthetic import synthetic_bars
from toolkit.engine.rules import Costs, TradeRules
from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.backtest import portfolio_backtest
from toolkit.portfolio.deployment import Deployment, Source, write_deployment
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.portfolio.members import Member
from toolkit.portfolio.rebalance import RebalancePolicy
from toolkit.portfolio.result import PortfolioResult
from toolkit.portfolio.selection import SelectionRule
from toolkit.portfolio.summary import drift, never_traded

TABLES = {
    "all_trades", "audit", "equity", "factors", "instance_returns", "members", "metrics", "orders", "signals",
    "closes", "trade_bars", "trades", "variants", "weights",
}  # fmt: skip
COSTS = Costs(taker_rate=0.0005, slippage_bps=3.0, funding_rate=0.0001)
LIMITS = Limits(max_open=5, max_symbol=0.4, max_gross=0.9, max_net=0.6, daily_loss_halt=0.004)
DAYS = 26


@pytest.fixture(scope="module")
def bars() -> Mapping[str, Bars]:
    """BTC on 1m, ETH on 5m and listed late, SOL on 1m and ended early."""
    minutes = synthetic_bars(["BTC/USDT", "ETH/USDT", "SOL/USDT"], days=DAYS, seed=11)
    eth, sol = minutes["ETH/USDT"].to("5m"), minutes["SOL/USDT"]
    begin, end = int(eth.ts[0]), int(eth.close_ts[-1])
    own = {name: getattr(eth, name) for name in ("ts", "open", "high", "low", "close", "volume", "filled")}
    stored = Bars("ETH/USDT", "synthetic", "5m", **{name: np.array(column) for name, column in own.items()})
    return {
        "BTC/USDT": minutes["BTC/USDT"],
        "ETH/USDT": stored.window(begin + 4 * DAY_MS, end),
        "SOL/USDT": sol.window(begin, end - 3 * DAY_MS - 7 * 3_600_000),
    }


def members() -> list[Member]:
    found = []
    for symbol in ("BTC/USDT", "ETH/USDT", "SOL/USDT"):
        for window in (12, 30):
            rules = TradeRules(side="both", stop=0.006, target=0.009, max_hold="3h")
            found.append(Member("volatility_breakout", symbol, "5m", {"window": window}, rules, COSTS))
        rules = TradeRules(side="long", stop="1atr(10)", target="2R", signal_timeout="1h")
        found.append(Member("reversal_breakout", symbol, "15m", {}, rules, COSTS, family="reversal"))
    never = Member("volatility_breakout", "BTC/USDT", "5m", {"expansion": 500.0}, TradeRules(stop=0.01), COSTS)
    return [*found, never]


def start_of(bars: Mapping[str, Bars], day: int = 10) -> int:
    return int(bars["BTC/USDT"].ts[0]) + day * DAY_MS


@pytest.fixture(scope="module")
def result(bars: Mapping[str, Bars]) -> PortfolioResult:
    return portfolio_backtest(members(), bars=bars, start=start_of(bars), limits=LIMITS)


@pytest.fixture(scope="module")
def folder(result: PortfolioResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return result.save(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    def refuse(text: str) -> Any:
        raise AssertionError(f"{text} is not strict JSON")

    found: dict[str, Any] = json.loads((folder / "results.json").read_text(), parse_constant=refuse)
    return found


def test_the_folder_has_every_table_and_twin(folder: Path, result: PortfolioResult) -> None:
    run = read_run(folder)
    assert set(run.tables) == TABLES
    strategies = {f"trades_by_strategy/{name}.csv" for name in ("reversal_breakout", "volatility_breakout")}
    named = {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}
    twins = {"portfolio_trades.csv", "all_trades.csv", "factors.csv", "audit.csv", *strategies}
    assert named == {f"{t}.parquet" for t in TABLES} | twins | {"run.json", "results.json", "report.html"}
    assert run.info["kind"] == "portfolio"
    assert {row["symbol"] for row in run.info["data"]} == {"BTC/USDT", "ETH/USDT", "SOL/USDT"}
    assert run.info["config"] == json.loads(json.dumps(result.config, default=str))
    trades = run.frame("trades")
    assert trades["run_id"].unique().to_list() == [folder.name]
    assert pl.read_csv(folder / "portfolio_trades.csv").height == trades.height
    split = [pl.read_csv(folder / name).height for name in strategies]
    assert sum(split) == trades.height > 100
    assert run.frame("factors").height == run.frame("signals").height
    assert (folder / "report.html").stat().st_size > 10_000


def test_results_are_those_of_the_tables(folder: Path, results: dict[str, Any]) -> None:
    """Figures from trades.parquet and equity.parquet with plain numpy."""
    run, figures = read_run(folder), results["figures"]
    trades, equity = run.frame("trades"), run.frame("equity")
    assert list(figures) == [*METRICS, *REFERENCE]
    capital, marks = results["capital"], equity["equity"].to_numpy()
    closed = trades.filter(pl.col("exit_reason") != "open")
    pnl = closed["pnl"].to_numpy()
    path = np.concatenate([[capital], marks])
    returns = path[1:] / path[:-1] - 1.0
    years = len(marks) / 365
    fall = (np.maximum.accumulate(path) - path) / np.maximum.accumulate(path)
    expected = {
        "total_return": trades["pnl"].sum() / capital,
        "annual_return": (marks[-1] / capital) ** (1 / years) - 1.0,
        "sharpe": returns.mean() / returns.std(ddof=1) * math.sqrt(365),
        "sortino": returns.mean() / math.sqrt((np.minimum(returns, 0.0) ** 2).mean()) * math.sqrt(365),
        "max_drawdown": fall.max(),
        "trades": len(pnl),
        "open_trades": len(trades) - len(closed),
        "win_rate": (pnl > 0).mean(),
        "expectancy": pnl.mean(),
        "expectancy_r": closed["r_multiple"].mean(),
        "avg_win": pnl[pnl > 0].mean(),
        "avg_loss": pnl[pnl <= 0].mean(),
        "profit_factor": pnl[pnl > 0].sum() / -pnl[pnl <= 0].sum(),
        "fees": trades["fees"].sum(),
        "funding": trades["funding"].sum(),
        "worst_trade": pnl.min(),
        "turnover": (
            (trades["qty"] * trades["entry_price"]).sum() + (closed["qty"] * closed["exit_price"]).sum()
        ) / capital / years,
    }  # fmt: skip
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, rel=1e-9), name
    assert figures["funding"] != 0.0
    assert figures["calmar"] == pytest.approx(figures["annual_return"] / figures["max_drawdown"])
    assert figures["max_drawdown_intraday"] >= figures["max_drawdown"]
    assert results["period"] == {"start": "2023-01-11 00:00", "end": f"{equity['ts'][-1]:%Y-%m-%d %H:%M}"}


def test_twice_the_costs_takes_fees_and_slippage_once_more(folder: Path, results: dict[str, Any]) -> None:
    trades = read_run(folder).frame("trades")
    buys = trades["side"] == "long"
    extra = trades["fees"].sum()
    slip = COSTS.slippage_bps / 1e4
    for row, long in zip(trades.iter_rows(named=True), buys, strict=True):
        side = 1 if long else -1
        extra += abs(row["entry_price"] - row["entry_price"] / (1 + side * slip)) * row["qty"]
        if row["exit_reason"] not in ("open", "target"):
            extra += abs(row["exit_price"] - row["exit_price"] / (1 - side * slip)) * row["qty"]
    expected = (trades["pnl"].sum() - extra) / results["capital"]
    assert results["figures"]["return_at_twice_costs"] == pytest.approx(expected, rel=1e-9)


def test_groups_and_instances_add_up(folder: Path, results: dict[str, Any]) -> None:
    run = read_run(folder)
    trades, returns, equity = run.frame("trades"), run.frame("instance_returns"), run.frame("equity")
    whole = results["figures"]["total_return"] * results["capital"]
    for rows in (results["strategies"], results["instances"]):
        assert sum(row["pnl"] for row in rows) == pytest.approx(whole)
        assert sum(row["trades"] for row in rows) == results["figures"]["trades"]
        assert sum(row["fees"] for row in rows) == pytest.approx(results["figures"]["fees"])
    assert [row["instances"] for row in results["strategies"]] and sum(
        r["instances"] for r in results["strategies"]
    ) == 10
    for row in results["instances"]:
        mine = trades.filter(instance=row["instance"])
        daily = returns.filter(instance=row["instance"])
        assert row["pnl"] == pytest.approx(mine["pnl"].sum(), abs=1e-6)
        if mine.height:
            deviation = daily["return"].std()
            assert row["sharpe"] == pytest.approx(daily["return"].mean() / deviation * math.sqrt(365))
    daily = returns.group_by("date").agg(pl.col("return").sum()).sort("date")
    assert daily["return"].to_list() == pytest.approx(equity["return"].to_list(), abs=1e-12)


def test_what_needs_a_look_is_said(folder: Path, results: dict[str, Any]) -> None:
    audit = read_run(folder).frame("audit")
    counts = results["audit"]
    assert sum(counts[word] for word in ("accepted", "clipped", "rejected", "vetoed")) == audit.height
    assert counts["rejected"] > 0 and counts["by_reason"]["most open trades"] > 0
    assert sum(counts["by_reason"].values()) == audit.height - counts["accepted"]
    assert results["synthetic"] is True and results["in_sample"] is None
    assert {row["symbol"] for row in results["ended_early"]} == {"SOL/USDT"}
    assert [row["why"] for row in results["never_traded"]] == ["it gave no entry signal"]
    assert results["halts"] and all(halt["kind"] == "daily loss" for halt in results["halts"])
    # Of the sizes alone nothing exceeds a limit; what drifts is reported.
    assert 0.0 < results["drift"]["max_gross_share"] < 1.1
    assert results["combinations_tried"] == 10


def test_variants_stand_beside_it_on_the_same_candidates(result: PortfolioResult, results: dict[str, Any]) -> None:
    assert list(results["variants"]) == ["portfolio", "equal", "winners"]
    assert results["variants"]["equal"] == results["variants"]["portfolio"]
    winners = result.others["winners"].weights[0]
    known = result.track.known_at(result.run.start_ms) if result.track else None
    assert known is not None
    total = {name: known.returns[name].fill_null(0.0).sum() for name in known.instances}
    on = {name for name, weight in zip(result.others["winners"].instances, winners, strict=True) if weight > 0}
    assert on == {name for name, profit in total.items() if profit > 0}
    assert set(result.variants_equity["variant"]) == set(results["variants"])


def test_all_trades_are_the_stand_alone_ones_since_the_start(folder: Path, result: PortfolioResult) -> None:
    trades = read_run(folder).frame("all_trades")
    assert (trades["entry_ts"].cast(pl.Int64) >= result.run.start_ms).all()
    np.testing.assert_allclose(trades["qty"] * trades["entry_price"], 1.0, rtol=0.2)
    assert trades["weight"].unique().to_list() == pytest.approx([0.1])


def test_bars_around_a_trade_hold_it(folder: Path) -> None:
    run = read_run(folder)
    shown, trades = run.frame("trade_bars"), run.frame("trades")
    counts = shown.group_by("trade_id").len()
    assert counts["len"].max() <= 120 and len(counts) <= 300
    ends = shown.group_by("trade_id").agg(pl.col("ts").min().alias("first"), pl.col("ts").max().alias("last"))
    joined = ends.join(trades.filter(pl.col("exit_ts").is_not_null()), on="trade_id")
    assert (joined["first"] <= joined["entry_ts"]).all()
    assert joined.filter(pl.col("last").dt.offset_by("1h") < pl.col("exit_ts")).is_empty()
    assert trades.sort("pnl")["trade_id"][0] in shown["trade_id"]


def test_a_rebalance_has_its_static_case_beside_it(bars: Mapping[str, Bars]) -> None:
    policy = RebalancePolicy(every="3d", lookback="6d", rule=SelectionRule("win_rate >= 0"), latency="10m")
    found = portfolio_backtest(members(), bars=bars, start=start_of(bars, 12), policy=policy)
    assert {"portfolio", "equal", "static"} <= set(found.variants)
    moments = found.weights["effective_from"].unique().sort()
    assert moments[0].minute == 10 and len(moments) == 5
    first = found.weights.filter(effective_from=moments[0])
    static = dict(zip(found.others["static"].instances, found.others["static"].weights[0], strict=True))
    assert dict(first.select("instance", "weight").iter_rows()) == static
    assert found.trades["weight"].max() > 0.1 and (found.trades["weight"] > 0.0).all()


def test_a_deployment_brings_its_weights_limits_and_capital(bars: Mapping[str, Bars], tmp_path: Path) -> None:
    few = members()[:3]
    weights = {m.instance.id: w for m, w in zip(few, (0.5, 0.2, 0.0), strict=True)}
    start = start_of(bars)
    origin = Source("a-sweep", start - 5 * DAY_MS, start + DAY_MS, 77)
    deployment = Deployment(
        tuple(few), weights, Limits(max_open=1), 5_000.0, start, origin,
        instruments={"BTC/USDT": Instrument(lot_step=0.001)},
    )  # fmt: skip
    path = tmp_path / "deployment.json"
    write_deployment(path, deployment)
    found = portfolio_backtest(path, bars=bars, start=start)
    assert dict(found.weights.select("instance", "weight").iter_rows()) == weights
    assert (found.limits.max_open, found.run.capital) == (1, 5_000.0)
    assert found.metrics["combinations_tried"] == 77
    assert any(note.startswith("IN SAMPLE") for note in found.notes)
    assert not any("counts from" in note for note in found.notes)
    early = portfolio_backtest(path, bars=bars, start=start - DAY_MS, beside=False)
    assert any("counts from" in note for note in early.notes)
    assert portfolio_backtest(path, bars=bars, beside=False).run.start_ms == max(start, origin.end_ms)
    off = {row["instance"]: row["why"] for row in never_traded(found)}
    assert off[few[2].instance.id] == "it had no weight"


def test_toml_rows_with_weights_and_limits(bars: Mapping[str, Bars], tmp_path: Path) -> None:
    path = tmp_path / "members.toml"
    path.write_text(
        'capital = 2000\n[limits]\nmax_open = 2\n[[instance]]\nstrategy = "volatility_breakout"\nsymbol = "BTC/USDT"\n'
        'interval = "5m"\nweight = 0.25\nrules = {stop = 0.01}\n'
    )
    found = portfolio_backtest(path, bars=bars, beside=False)
    assert found.weights["weight"].to_list() == [0.25] and found.limits.max_open == 2
    assert found.run.capital == 2000 and list(found.variants) == ["portfolio"]
    path.write_text("nothing = 1\n")
    with pytest.raises(UnknownNameError, match=r"unknown key of members\.toml 'nothing'"):
        portfolio_backtest(path, bars=bars)


def test_input_that_cannot_be_run_is_one_sentence(bars: Mapping[str, Bars], tmp_path: Path) -> None:
    one = members()[:2]
    name = one[0].instance.id
    start = start_of(bars)
    for weights, said in (
        ({name: 0.0}, "sum to nothing"), ({name: -0.1}, "must not be negative"), ({name: math.nan}, "finite number"),
        ({name: 1.2}, "at most 1"), ({"x": 1.0}, "unknown instance 'x'"), ("hpr", "unknown weights method 'hpr'"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            portfolio_backtest(one, bars=bars, start=start, weights=weights)
    with pytest.raises(InputError, match="days before the start; name a `start`"):
        portfolio_backtest(one, bars=bars, weights="winners")
    with pytest.raises(InputError, match="`learn_from` must be before the start"):
        portfolio_backtest(one, bars=bars, start=start, learn_from=start)
    with pytest.raises(InputError, match="rebalance looks at days before the `start`"):
        portfolio_backtest(one, bars=bars, policy=RebalancePolicy())
    with pytest.raises(InputError, match="start must be before end"):
        portfolio_backtest(one, bars=bars, start=start, end=start)
    with pytest.raises(InputError, match="has no bars from the start"):
        portfolio_backtest(members()[6:7], bars=bars, start=start + 15 * DAY_MS - 3_600_000)
    for source, said in (([], "candidates must be"), ([1], "candidates must be"), ("no.json", "no.json is not there")):
        with pytest.raises(InputError, match=said):
            portfolio_backtest(source, bars=bars)
    with pytest.raises(InputError, match="`top` chooses rows of a sweep"):
        portfolio_backtest(one, bars=bars, top=3)
    (tmp_path / "x.csv").write_text("a\n")
    with pytest.raises(InputError, match="no source of candidates"):
        portfolio_backtest(tmp_path / "x.csv", bars=bars)


def test_where_there_is_no_history_the_missing_variant_is_said(bars: Mapping[str, Bars]) -> None:
    found = portfolio_backtest(members()[:2], bars=bars)
    assert list(found.variants) == ["portfolio", "equal"]
    assert any("no variant of winners only" in note for note in found.notes)


def test_notebook_form_and_plot(result: PortfolioResult) -> None:
    html = result._repr_html_()
    assert "SYNTHETIC" in html and "winners" in html
    figure = result.plot()
    assert {trace.name for trace in figure.data} >= {"portfolio", "equal", "winners", "drawdown", "gross exposure"}
    assert f"{len(result.run.members)} candidates" in repr(result)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"policy": "7d"}, "`policy` must be a RebalancePolicy or a table of its fields, was '7d'"),
        ({"policy": {"evry": "7d"}}, "unknown field of `policy` 'evry'"),
        ({"caps": {"symbl": 0.5}}, "unknown field of `caps` 'symbl'"),
        ({"limits": "limits.toml"}, "`limits` must be a table of names and values"),
        ({"instruments": {"BTC/USDT": {"lot": 1}}}, "unknown instrument rule 'lot'"),
        ({"weights": [0.5]}, "weights"),
    ],
)
def test_arguments_of_the_wrong_form_are_said(bars: Mapping[str, Bars], given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        portfolio_backtest(members()[:2], bars=bars, **given)


def test_tables_stand_for_their_configs(bars: Mapping[str, Bars]) -> None:
    start = int(bars["BTC/USDT"].ts[0]) + 12 * DAY_MS
    found = portfolio_backtest(
        members()[:2], bars=bars, start=start, policy={"every": "2d", "lookback": "5d"}, limits={"max_open": 1},
        instruments={"BTC/USDT": {"lot_step": 0.001}}, beside=False,
    )  # fmt: skip
    assert found.limits == Limits(max_open=1)
    assert found.instruments == {"BTC/USDT": Instrument(lot_step=0.001)}
    assert found.asked["policy"]["every"] == "2d"


def test_drift_beyond_the_leverage_is_reported(bars: Mapping[str, Bars]) -> None:
    full = portfolio_backtest(members(), bars=bars, limits=Limits(exposure=20.0, price_buffer=0.0), beside=False)
    shares = full.run.days["gross_share"]
    assert drift(full)["days_over_limit"] == int((shares > 1.0).sum()) > 0


def test_the_account_in_vectorbt_has_its_equity(bars: Mapping[str, Bars]) -> None:
    costs = Costs(taker_rate=0.0005, slippage_bps=3.0)
    mine = [Member(m.strategy, m.symbol, m.interval, m.params, m.rules, costs) for m in members()]
    found = portfolio_backtest(mine, bars=bars, limits=LIMITS, beside=False)
    theirs = found.to_vectorbt()
    np.testing.assert_allclose(theirs.value().to_numpy(), found.equity["equity"].to_numpy(), rtol=1e-9)
    assert len(theirs.orders.records) == 2 * found.metrics["trades"] + found.metrics["open_trades"]
