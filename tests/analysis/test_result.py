import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.analysis.cases import RULES, bars, result
from toolkit.analysis import report
from toolkit.analysis.plots import drawn_bars
from toolkit.analysis.runs import list_runs, read_run
from toolkit.analysis.texts import DEFINITIONS, HEADLINE, figure
from toolkit.errors import RunError, UnknownNameError


def test_a_saved_run_holds_every_table_and_how_it_came_about(tmp_path: Path) -> None:
    r = result("stop and target")
    run = read_run(r.save(tmp_path))
    assert run.tables == ["equity", "factors", "metrics", "orders", "signals", "trades"]
    assert run.frame("trades").drop("run_id").equals(r.trades.drop("run_id"))
    assert run.frame("trades")["run_id"].unique().to_list() == [run.run_id]
    assert run.frame("equity").equals(r.equity) and run.frame("orders").equals(r.orders)
    row = run.frame("metrics").row(0, named=True)
    assert row["trades"] == r.metrics["trades"] and row["instance"] == r.instance.id
    info = run.info
    assert info["config"] == json.loads(json.dumps(r.config))
    assert info["data"][0]["bars"] > 0 and info["ambiguity"]["policy"] == "pessimistic"
    assert {f.name for f in run.folder.iterdir()} == {f"{t}.parquet" for t in run.tables} | {
        "trades.csv", "factors.csv", "report.html", "run.json",
    }  # fmt: skip
    assert len((run.folder / "trades.csv").read_text().splitlines()) == len(r.trades) + 1


def test_a_run_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_csv", full)
    with pytest.raises(RunError, match="No space left on device; make room"):
        result().save(tmp_path)
    assert list(tmp_path.iterdir()) == [] and list_runs(tmp_path) == []


def test_factors_are_those_of_the_bar_that_was_known_at_the_signal() -> None:
    r = result()
    table = r.factors(["atr(14)", "1d:range(3)", "weekday"])
    assert table.columns == ["signal_id", "instance", "ts", "side", "atr(14)", "1d:range(3)", "weekday"]
    assert len(table) == len(r.signals)
    closes = dict(zip(r.bars.close_ts.tolist(), r.bars.factor("atr", 14).tolist(), strict=True))
    for ts, value in table.select(pl.col("ts").dt.epoch("ms"), "atr(14)").iter_rows():
        assert value == closes[ts] or (value is None and np.isnan(closes[ts]))
    assert r.factors().width > 50
    with pytest.raises(UnknownNameError, match="factor"):
        r.factors(["atrr(14)"])


def test_the_figure_holds_every_trade_and_the_equity() -> None:
    r = result()
    traces = {t.name: t for t in r.plot().data}
    sides = r.trades.group_by("side").len()
    for side, n in sides.iter_rows():
        assert len(traces[f"{side} entry"].x) == n
    assert np.array_equal(traces["equity"].y, r.equity["equity"].to_numpy())
    # Eleven and a half days are more than 3,000 candles of 5m.
    assert np.array_equal(traces["SOL/USDT 15m"].close, r.bars.to("15m").close)


def test_long_histories_are_drawn_on_fewer_candles() -> None:
    assert drawn_bars(bars("1m"), int(bars("1m").ts[0])).interval == "15m"
    assert drawn_bars(bars("1m"), int(bars("1m").ts[-60])).interval == "1m"
    assert drawn_bars(bars("1h"), int(bars("1h").ts[0])).interval == "1h"


def test_vectorbt_gets_the_same_profit() -> None:
    r = result("stop and target")
    portfolio = r.to_vectorbt()
    total = float(np.asarray(portfolio.total_profit()).sum())
    assert total == pytest.approx(r.metrics["total_return"] * r.notional, rel=1e-9)


def test_a_notebook_shows_the_figures_and_says_synthetic() -> None:
    html = result()._repr_html_()
    assert "SYNTHETIC" in html and "sharpe" in html and "<table" in html


def test_every_figure_is_defined_shown_and_written_with_its_unit() -> None:
    assert set(result().metrics) == set(DEFINITIONS) == set(HEADLINE)
    assert len(HEADLINE) == len(set(HEADLINE))
    assert figure("total_return", 0.1234) == "12.34 %"
    assert figure("trades", 12_345.0) == "12,345"
    assert figure("sharpe", float("nan")) == figure("sharpe", None) == "-"
    assert figure("fees", 1234.5) == "1,234.50"


@pytest.mark.parametrize("name", RULES)
def test_a_report_can_be_made_of_every_kind_of_run(name: str, tmp_path: Path) -> None:
    page = (result(name).save(tmp_path, factors=False) / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and report.SYNTHETIC in page
