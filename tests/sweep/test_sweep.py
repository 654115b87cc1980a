"""Sweeps end to end: every row is that combination's backtest, bit for bit, and what is written beside."""

import csv
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from tests.sweep.series import SYMBOLS, five_minutes, table
from toolkit.analysis.backtest import backtest
from toolkit.analysis.metrics import METRICS
from toolkit.analysis.reference import REFERENCE
from toolkit.analysis.runs import list_runs, partial_runs
from toolkit.bars.series import Bars, from_arrays
from toolkit.errors import InputError, RunError, StrategyError, UnknownNameError
from toolkit.strategy import Signals, strategy
from toolkit.sweep import room as room_module
from toolkit.sweep.experiment import Experiment
from toolkit.sweep.ranking import LESS_IS_BETTER
from toolkit.sweep.result import SweepResult
from toolkit.sweep.run import SweepInterrupted, sweep
from toolkit.sweep.tables import Output

BARS = five_minutes()
PLAIN = Output(csv="none", factors=False)
PLANNED: dict[str, Any] = {"at": None, "raises": None, "calls": 0}


class Params(NamedTuple):
    window: int = 5


@strategy(intervals=("5m", "15m"), lookback=lambda p: p.window + 1)
def planned_trouble(bars: Bars, p: Params) -> Signals:
    """Trades every few bars; may be told to interrupt the process or to raise at some window."""
    PLANNED["calls"] += 1
    if PLANNED["at"] == p.window:
        PLANNED["at"] = None
        if PLANNED["raises"]:
            raise ValueError("planned")
        os.kill(os.getpid(), signal.SIGINT)
    on = bars.ts // bars.interval_ms % p.window == 0
    off = bars.ts // bars.interval_ms % p.window == 2
    none = np.full(len(bars), np.nan)
    return Signals(on, on, off, off, none, none)


@pytest.fixture(autouse=True)
def _no_trouble() -> Iterator[None]:
    yield
    PLANNED.update(at=None, raises=None, calls=0)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    return sweep(Experiment.from_table(table(top=5, min_trades=3)), bars=BARS, root=tmp_path_factory.mktemp("runs"))


def again(result: SweepResult, number: int) -> dict[str, Any]:
    """The same combination by `backtest`: its metrics as the table has them."""
    one = result.combination(number)
    found = backtest(**{**one, "bars": BARS[one["bars"]]})
    expected = {name: None if np.isnan(x) else x for name, x in found.metrics.items()}
    return {**expected, "combinations_tried": float(result.combinations_tried), "instance": found.instance.id}


def check_rows(result: SweepResult, count: int, seed: int = 0) -> None:
    numbers = np.random.default_rng(seed).permutation(result.combinations_tried)[:count]
    for number in numbers.tolist():
        row = result.metrics.row(number, named=True)
        assert row["combination"] == number
        expected = again(result, number)
        assert {name: row[name] for name in expected} == expected
    assert result.metrics["trades"].sum() > 100


def test_rows_equal_backtests_bit_for_bit(small: SweepResult) -> None:
    assert small.combinations_tried == len(small.metrics) == 1728
    assert small.metrics["combination"].to_list() == list(range(1728))
    assert small.metrics["instance"].n_unique() == 1728
    check_rows(small, 40)


HARD_RULES: list[dict[str, Any]] = [
    {"one_entry_per": ["1d", "none"], "one_entry_scope": ["instance", "leg"], "side": ["long", "short", "both"]},
    {"trail": ["2atr(10)", 0.01], "trail_on": ["close", "extreme"], "policy": ["optimistic", "ohlc", "adaptive"]},
    {"exits": [[{"on": "time", "after": "2h", "max_profit": 0.0, "when": "rsi(14) < 60"}], []], "max_hold": ["6h"]},
    {"target": ["1R", "2atr(20)"], "target_fill": ["touch", "through", "market"], "signal_timeout": ["1h", "none"]},
]


@pytest.mark.parametrize("rules", HARD_RULES, ids=lambda r: next(iter(r)))
def test_rows_equal_backtests_under_every_kind_of_rule(rules: dict[str, Any], tmp_path: Path) -> None:
    start = str(np.datetime64(int(BARS[SYMBOLS[0]].ts[700]), "ms"))
    costs = {"funding_rate": 0.0001, "slippage_bps": 5.0, "tick": 0.01}
    one = table(rules=rules, start=start, compound=True, costs=costs, notional=2500)
    result = sweep(Experiment.from_table(one), bars=BARS, output=PLAIN, root=tmp_path)
    check_rows(result, 12)


def test_columns(small: SweepResult) -> None:
    columns = small.metrics.columns
    assert columns[:6] == ["combination", "strategy", "symbol", "interval", "side", "instance"]
    assert columns[-len(METRICS) - len(REFERENCE) :] == [*METRICS, *REFERENCE]
    row = small.metrics.row(0, named=True)
    assert (row["param_window"], row["param_stretch"], row["rule_stop"]) == (10, None, "signal")
    assert small.metrics.schema["param_window"] == pl.Int64
    last = small.metrics.row(-1, named=True)
    assert (last["param_stretch"], last["rule_target"], last["rule_max_hold"], last["side"]) == (
        5.0,
        None,
        None,
        "both",
    )


@pytest.mark.parametrize("by", ["sharpe", "max_drawdown", "expectancy"])
def test_top_is_the_best_of_those_with_enough_trades(small: SweepResult, by: str) -> None:
    top = small.top(7, by, 4)
    rows = [r for r in small.metrics.iter_rows(named=True) if r["trades"] >= 4 and r[by] is not None]
    sign = 1 if by in LESS_IS_BETTER else -1
    expected = sorted(rows, key=lambda r: (sign * r[by], r["combination"]))[:7]
    assert top["combination"].to_list() == [r["combination"] for r in expected]
    assert top["rank"].to_list() == list(range(1, 8))


def test_tables_of_the_best(small: SweepResult) -> None:
    top = small.run.frame("top")
    assert top["combination"].to_list() == small.top()["combination"].to_list()
    closed = small.trades.filter(pl.col("exit_reason") != "open").group_by("instance").len()
    counted = dict(closed.iter_rows())
    assert counted == {r["instance"]: r["trades"] for r in top.iter_rows(named=True)}
    assert set(small.trades["run_id"]) == {small.run.run_id}
    assert len(small.factors) == len(small.signals) >= len(small.trades)
    assert "atr(14)" in small.factors.columns or "natr(14)" in small.factors.columns or len(small.factors.columns) > 50
    final = small.run.frame("top_equity").group_by("instance", maintain_order=True).last()
    returns = {r["instance"]: r["total_return"] for r in top.iter_rows(named=True)}
    for row in final.iter_rows(named=True):
        assert row["equity"] / 10_000 - 1 == pytest.approx(returns[row["instance"]], abs=1e-12)
    with (small.folder / "trades.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(small.trades)
    assert (small.folder / "factors.csv").exists()
    assert (small.folder / "report.html").stat().st_size > 1000
    assert not (small.folder / "parts").exists()
    info = small.run.info
    assert info["combinations"] == 1728
    assert [d["symbol"] for d in info["data"]] == ["ETH/USDT", "BTC/USDT"]


@pytest.mark.parametrize("mode", ["combined", "separate", "both", "none"])
def test_csv_modes(mode: str, tmp_path: Path) -> None:
    small = table(symbols=SYMBOLS[:1], intervals=["15m"], top=3, rules={"side": ["long", "both"]})
    result = sweep(**small, bars=BARS, root=tmp_path, output=Output(csv=mode, factors=False))
    assert (result.folder / "trades.csv").exists() is (mode in ("combined", "both"))
    files = sorted((result.folder / "trades").glob("*.csv"))
    assert [f.name[:4] for f in files] == (["001-", "002-", "003-"] if mode in ("separate", "both") else [])
    rows = [row for file in files for row in csv.DictReader(file.read_text().splitlines())]
    if files:
        assert sorted(r["trade_id"] for r in rows) == sorted(result.trades["trade_id"])
    assert "factors" not in result.run.tables


def test_trades_of_all_combinations(tmp_path: Path) -> None:
    small = table(symbols=SYMBOLS[:1], intervals=["15m"], top=2, rules={"side": ["long", "short"]})
    result = sweep(**small, bars=BARS, root=tmp_path, output=Output(csv="both", trades="all"))
    open_and_closed = result.metrics["trades"].sum() + result.metrics["open_trades"].sum()
    assert len(result.trades) == open_and_closed > 0
    assert len(list((result.folder / "trades").glob("*.csv"))) == 16
    assert result.factors["instance"].n_unique() == 2
    many = table(rules={"stop": {"from": 0.01, "to": 0.1, "num": 5000}})
    with pytest.raises(InputError, match="up to 20,000"):
        sweep(**many, bars=BARS, root=tmp_path, output=Output(trades="all"))


def test_nothing_worth_recording_gives_empty_tables(tmp_path: Path) -> None:
    result = sweep(**table(min_trades=10_000), bars=BARS, root=tmp_path)
    assert len(result.run.frame("top")) == len(result.trades) == len(result.factors) == 0
    assert "trade_id" in result.trades.columns


def test_heatmap_and_html(small: SweepResult) -> None:
    figure = small.heatmap("window", "stop", "sharpe", agg="max")
    (heat,) = figure.data
    expected = small.metrics.filter(pl.col("param_window") == 10, pl.col("rule_stop") == "signal")["sharpe"].max()
    row, column = list(heat.y).index("signal"), list(heat.x).index("10")
    assert heat.z[row][column] == expected
    assert "1,728 combinations" in small._repr_html_()
    with pytest.raises(UnknownNameError, match="did you mean 'window'"):
        small.heatmap("windw", "stop")
    with pytest.raises(UnknownNameError, match="did you mean 'sharpe'"):
        small.heatmap("window", "stop", "sharp")
    assert SweepResult.read(small.folder).combinations_tried == 1728


def test_memory_is_bounded_by_parts_and_factors_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "FACTOR_BYTES", 200_000)
    bars = {"BTC/USDT": five_minutes()["BTC/USDT"].window(0, 2**60)}
    spec = {"name": "volatility_breakout", "params": {"window": {"from": 2, "to": 201, "step": 1}}}
    one = table(symbols=["BTC/USDT"], intervals=["5m"], strategies=[spec], rules={}, top=0)
    written: list[int] = []
    from toolkit.sweep import local

    real = local.write_part
    monkeypatch.setattr(local, "write_part", lambda frame, file: (written.append(len(frame)), real(frame, file)))
    result = sweep(**one, bars=bars, root=tmp_path, jobs=2, output=PLAIN)
    assert sum(written) == len(result.metrics) == 200
    assert max(written) <= 8
    assert bars["BTC/USDT"].factor_bytes() < 600_000


TROUBLE = {"name": "planned_trouble", "params": {"window": {"from": 3, "to": 150, "step": 1}}}
LONG_RUN = {"symbols": list(SYMBOLS), "intervals": ["5m"], "strategies": [TROUBLE], "rules": {"max_hold": [3, "2h"]}}


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    whole = sweep(**LONG_RUN, bars=BARS, root=tmp_path / "whole", jobs=2)
    PLANNED.update(at=120, calls=0)
    with pytest.raises(SweepInterrupted, match="--resume") as stopped:
        sweep(**LONG_RUN, bars=BARS, root=tmp_path / "cut", jobs=2)
    assert partial_runs(tmp_path / "cut") == [stopped.value.run_id]
    assert list_runs(tmp_path / "cut") == []
    before = PLANNED["calls"]
    resumed = sweep(resume=stopped.value.run_id, bars=BARS, root=tmp_path / "cut", jobs=1)
    assert before > 60
    # Finished parts are not run again (the best 20 are, with their records).
    assert PLANNED["calls"] - before <= 296 - 48 + 20
    assert resumed.run.run_id == stopped.value.run_id
    assert resumed.metrics.equals(whole.metrics, null_equal=True)
    for name in ("top", "signals", "factors", "top_equity"):
        assert resumed.run.frame(name).equals(whole.run.frame(name)), name
    assert resumed.trades.drop("run_id").equals(whole.trades.drop("run_id"))
    assert partial_runs(tmp_path / "cut") == []


def interrupted(root: Path) -> str:
    PLANNED.update(at=120)
    with pytest.raises(SweepInterrupted) as stopped:
        sweep(**LONG_RUN, bars=BARS, root=root, jobs=1)
    return stopped.value.run_id


def test_resume_of_something_else_is_refused(tmp_path: Path) -> None:
    run_id = interrupted(tmp_path)
    with pytest.raises(RunError, match="another experiment"):
        sweep(**{**LONG_RUN, "rules": {}}, resume=run_id, bars=BARS, root=tmp_path)
    shorter = {name: bars.window(0, int(bars.ts[-5])) for name, bars in BARS.items()}
    with pytest.raises(RunError, match="other bars"):
        sweep(resume=run_id, bars=shorter, root=tmp_path)
    with pytest.raises(UnknownNameError, match="unfinished run"):
        sweep(resume=run_id[:-1], bars=BARS, root=tmp_path)
    file = tmp_path / f".{run_id}.partial" / "run.json"
    info = json.loads(file.read_text())
    file.write_text(json.dumps({**info, "code": {**info["code"], "sources": "older"}}))
    with pytest.raises(RunError, match="other code"):
        sweep(resume=run_id, bars=BARS, root=tmp_path)
    assert partial_runs(tmp_path) == [run_id]


def test_a_strategy_that_raises_late_keeps_what_is_done_and_early_keeps_nothing(tmp_path: Path) -> None:
    for window, kept in ((3, 0), (120, 1)):
        PLANNED.update(at=window, raises=True)
        with pytest.raises(StrategyError, match="planned_trouble raised ValueError: planned"):
            sweep(**LONG_RUN, bars=BARS, root=tmp_path / str(window), jobs=1)
        assert len(partial_runs(tmp_path / str(window))) == kept


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(RunError, match="No space left on device; make room"):
        sweep(**LONG_RUN, bars=BARS, root=tmp_path, jobs=1)
    assert partial_runs(tmp_path) == list_runs(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"symbols": ["SOL/USDT"]}, "unknown symbol 'SOL/USDT'"),
        ({"start": "2031-01-01"}, "no bars"),
        ({"rules": {"max_hold": "0.5m"}}, "whole number of base bars"),
        ({"rules": {"policy": ["finer"]}}, "needs a finer stored series"),
        ({"rules": {"exits": [[{"on": "time", "when": "nothing(3) < 2"}]]}}, "unknown factor 'nothing'"),
    ],
)
def test_what_cannot_run_is_told_before_anything_is_written(changes: dict[str, Any], part: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        sweep(**table(**changes), bars=BARS, root=tmp_path)
    assert part in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_interval_below_the_base_is_refused(tmp_path: Path) -> None:
    b = BARS["BTC/USDT"]
    coarse = from_arrays(b.ts, b.open, b.high, b.low, b.close, b.volume, interval="5m", symbol="BTC/USDT")
    with pytest.raises(InputError, match="interval '3m' is below the base interval '5m'"):
        sweep(**table(symbols=["BTC/USDT"], intervals=["15m", "3m"]), bars={"BTC/USDT": coarse}, root=tmp_path)


def test_an_experiment_is_given_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs an experiment"):
        sweep(root=tmp_path)
    with pytest.raises(InputError, match="not both"):
        sweep(Experiment.from_table(table()), top=3, root=tmp_path)
    with pytest.raises(UnknownNameError, match="csv mode"):
        Output(csv="all")
    with pytest.raises(UnknownNameError, match="did you mean 'factors'"):
        sweep(**table(), output={"factor": False}, bars=BARS, root=tmp_path)


def test_series_in_memory_are_found_under_any_spelling_of_their_symbol(tmp_path: Path) -> None:
    small = table(intervals=["15m"], rules={}, top=0)
    del small["symbols"]
    one = sweep(**small, bars={"btc/usdt": BARS["BTC/USDT"]}, root=tmp_path, output=PLAIN)
    assert set(one.metrics["symbol"]) == {"BTC/USDT"}
    with pytest.raises(InputError, match="`bars` must have each symbol once, had BTC/USDT, btcusdt"):
        sweep(**small, bars={"BTC/USDT": BARS["BTC/USDT"], "btcusdt": BARS["BTC/USDT"]}, root=tmp_path)
    with pytest.raises(InputError, match="`bars` must be a mapping from symbols to Bars, was Bars"):
        sweep(**small, bars=BARS["BTC/USDT"], root=tmp_path)  # type: ignore[arg-type]


def test_rules_and_strategies_that_cannot_be_meant_leave_nothing(tmp_path: Path) -> None:
    for wrong, part in (
        ({"rules": {"stop": ["none", "1%"], "target": ["1%", "2R"]}}, "combine stop=none with target=2R"),
        ({"strategies": ["trend_day", {"name": "trend_day"}]}, "is there twice"),
    ):
        with pytest.raises(InputError, match=part):
            sweep(**table(**wrong), bars=BARS, root=tmp_path)
    assert list(tmp_path.iterdir()) == []
