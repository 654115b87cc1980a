"""Trades made elsewhere: what they tell is computed a second time, what they do not tell is said."""

import datetime as dt
import json
from collections import defaultdict
from pathlib import Path

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

from toolkit.analysis.portfolio_report.blocks import Table
from toolkit.analysis.portfolio_report.costs import costs
from toolkit.analysis.portfolio_report.foreign import trades_report, trades_source
from toolkit.errors import InputError
from toolkit.portfolio.trades_file import read_trades

CAPITAL = 10_000.0
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
HOURS = st.integers(0, 400)
TRADE = st.tuples(
    st.sampled_from(["trend", "range"]), st.sampled_from(["BTC/USDT", "ETH/USDT"]), st.sampled_from(["long", "short"]),
    HOURS, HOURS, st.floats(-50, 50).map(lambda x: round(x, 2)),
)  # fmt: skip


def written(rows: list[tuple[str, str, str, int, int, float]], file: Path) -> Path:
    lines = ["strategy,symbol,side,entry_ts,exit_ts,pnl"]
    for strategy, symbol, side, entered, held, pnl in rows:
        begin = START + dt.timedelta(hours=entered)
        lines.append(f"{strategy},{symbol},{side},{begin:%Y-%m-%dT%H:%M},"
                     f"{begin + dt.timedelta(hours=held):%Y-%m-%dT%H:%M},{pnl}")  # fmt: skip
    file.write_text("\n".join(lines))
    return file


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(TRADE, min_size=1, max_size=20))
def test_days_and_figures_are_those_of_a_plain_loop(
    rows: list[tuple[str, str, str, int, int, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = written(rows, tmp_path_factory.mktemp("foreign") / "t.csv")
    source = trades_source(read_trades([file]).trades, "t", CAPITAL, {})
    made: dict[dt.date, float] = defaultdict(float)
    for *_, entered, held, pnl in rows:
        made[(START + dt.timedelta(hours=entered + held)).date()] += pnl
    day = (START + dt.timedelta(hours=min(row[3] for row in rows))).date()
    money, peak, deepest, expected = CAPITAL, CAPITAL, 0.0, []
    while day <= max(made):
        money += made.get(day, 0.0)
        peak = max(peak, money)
        deepest = max(deepest, 1 - money / peak)
        expected.append((day, money))
        day += dt.timedelta(days=1)
    assert source.days["date"].to_list() == [d for d, _ in expected]
    assert source.days["equity"].to_list() == pytest.approx([m for _, m in expected])
    figures = source.results["figures"]
    assert figures["total_return"] == pytest.approx(money / CAPITAL - 1, abs=1e-12)
    assert figures["max_drawdown"] == pytest.approx(deepest, abs=1e-12)
    assert figures["win_rate"] == pytest.approx(sum(row[5] > 0 for row in rows) / len(rows))
    assert source.results["period"] == {"start": str(expected[0][0]), "end": str(day)}
    # What instances made adds up to the account's day.
    by_day = source.tables["instance_returns"].group_by("date").agg(pl.col("pnl", "return").sum()).sort("date")
    equity = source.tables["equity"]
    assert by_day["pnl"].to_list() == pytest.approx(equity["pnl"].to_list(), abs=1e-9)
    assert by_day["return"].to_list() == pytest.approx(equity["return"].to_list(), abs=1e-9)
    assert sum(row["pnl"] for row in source.results["strategies"]) == pytest.approx(money - CAPITAL, abs=1e-9)


def test_the_page_says_what_it_rests_on_and_holds_strict_json(tmp_path: Path) -> None:
    file = written(
        [("trend", "BTC/USDT", "long", 0, 5, 10.0), ("range", "<b>X", "short", 30, 5, -4.0)], tmp_path / "t.csv"
    )
    results = trades_report(read_trades([file]).trades, "Mine & <yours>", tmp_path / "out.html", capital=CAPITAL)
    json.dumps(results, allow_nan=False)
    page = (tmp_path / "out.html").read_text()
    assert "a trades file does not hold it" in page
    assert "Mine &amp; &lt;yours&gt;" in page and "<b>X" not in page
    assert results["combinations_tried"] is None and results["figures"]["fees"] is None


@pytest.mark.parametrize(
    ("given", "closed", "still_open", "known"),
    [
        # pnl alone; prices without fees; with fees. An open trade needs no profit, nor anything but its entry.
        ("pnl", "12", "", {"fees": None, "turnover": None, "expectancy_r": None}),
        ("entry_price,exit_price,qty", "10,13,4", "10,,4", {"fees": None, "expectancy": 12.0}),
        ("entry_price,exit_price,qty,fees", "10,13.5,4,2", "10,,4,1", {"fees": 3.0, "expectancy": 12.0}),
        ("pnl,exit_reason,r_multiple", "12,stop,1.5", ",,", {"fees": None, "expectancy_r": 1.5}),
    ],
)
def test_columns_that_may_be_left_out(
    given: str, closed: str, still_open: str, known: dict[str, float | None], tmp_path: Path
) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        f"symbol,side,entry_ts,exit_ts,{given}\nBTC/USDT,long,2024-01-01,2024-01-02,{closed}\n"
        f"BTC/USDT,long,2024-01-03,,{still_open}\n"
    )
    results = trades_report(read_trades([file]).trades, "t", tmp_path / "out.html", capital=CAPITAL)
    figures = results["figures"]
    assert {name: figures[name] for name in known} == known
    assert figures["total_return"] == pytest.approx(12 / CAPITAL)
    assert (figures["trades"], figures["open_trades"], figures["funding"]) == (1, 1, None)
    assert [(row["strategy"], row["pnl"]) for row in results["strategies"]] == [("mine", 12.0)]
    page = (tmp_path / "out.html").read_text()
    assert ("why each trade ended" in page) == ("exit_reason" not in given)
    assert ("costs need fees" in page) == ("fees" not in given)


def test_what_one_file_tells_and_another_does_not(tmp_path: Path) -> None:
    told, silent = tmp_path / "told.csv", tmp_path / "silent.csv"
    head = "symbol,side,entry_ts,exit_ts"
    told.write_text(f"{head},pnl,fees,entry_price,qty,exit_price\nA,long,2024-01-01,2024-01-02,5,1,10,2,13\n"
                    "A,long,2024-01-03,,9,1,10,2,\n")  # fmt: skip
    silent.write_text(f"{head},pnl\nB,short,2024-01-01,2024-01-02,-3\n")
    source = trades_source(read_trades([told, silent]).trades, "t", CAPITAL, {})
    (table,) = (block for block in costs(source).blocks if isinstance(block, Table))
    assert [column.label for column in table.columns[1:]] == [
        "before fees", "fees", "funding", "profit", "fees in bp of money traded",
    ]  # fmt: skip
    shown = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in table.rows}
    # 1 of 2 * (10 + 13) is 217.39 bp; an open trade has made nothing yet, whatever the file says.
    assert shown == {
        "told": ["6.00", "-1.00", "-", "5.00", "217.39"],
        "silent": ["-", "-", "-", "-3.00", "-"],
        "all": ["3.00", "-1.00", "-", "2.00", "217.39"],
    }


@pytest.mark.parametrize("capital", [0.0, -1.0, float("nan"), float("inf")])
def test_returns_need_a_capital(capital: float, tmp_path: Path) -> None:
    file = written([("trend", "BTC/USDT", "long", 0, 5, 10.0)], tmp_path / "t.csv")
    with pytest.raises(InputError, match="`capital` must be a positive amount of money"):
        trades_report(read_trades([file]).trades, "t", tmp_path / "out.html", capital=capital)
    assert not (tmp_path / "out.html").exists()
