"""What trading cost and what the account refused, beside plain loops; and accounts that hold little or nothing."""

import json
import math
from collections import Counter, defaultdict
from dataclasses import replace

import polars as pl
import pytest

from tests.analysis.portfolio_report.section_tables import START, account, blocks, chart, notes, table, with_tables
from toolkit.analysis.portfolio_report.blocks import Facts, Table
from toolkit.analysis.portfolio_report.compliance import compliance
from toolkit.analysis.portfolio_report.conditions import conditions
from toolkit.analysis.portfolio_report.costs import costs
from toolkit.analysis.portfolio_report.equity import equity, exposure
from toolkit.analysis.portfolio_report.page import render
from toolkit.analysis.portfolio_report.periods import distribution, periods
from toolkit.analysis.portfolio_report.source import Source
from toolkit.analysis.portfolio_report.trades import excursions, trade_list


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return account(tmp_path_factory.mktemp("runs"))


def test_costs_go_from_decision_prices_to_profit(source: Source) -> None:
    expected: dict[str, list[float]] = defaultdict(lambda: [0.0] * 5)
    for row in source.trades.iter_rows(named=True):
        sign = 1 if row["side"] == "long" else -1
        left = row["exit_ts"] is not None
        slipped = row["qty"] * sign * (row["entry_price"] - row["expected_entry_price"])
        slipped += row["qty"] * sign * (row["expected_exit_price"] - row["exit_price"]) if left else 0.0
        traded = row["qty"] * (row["entry_price"] + (row["exit_price"] if left else 0.0))
        for name in (row["strategy"], "all"):
            for k, value in enumerate((row["gross_pnl"] + slipped, slipped, row["fees"], row["pnl"], traded)):
                expected[name][k] += value
    section = costs(source)
    shown = table(section, "costs-table")
    assert list(shown)[-1] == "all" and set(shown) == set(expected)
    for name, (decided, slipped, fees, pnl, traded) in expected.items():
        assert shown[name] == pytest.approx([decided, -slipped, -fees, 0.0, pnl, 1e4 * fees / traded], rel=1e-9)
        assert slipped > 0 and decided - slipped - fees == pytest.approx(pnl)
    assert "At twice the fees and slippage the same trades return 1.23 %" in notes(section)


def test_costs_that_nobody_told_are_no_zeros(source: Source) -> None:
    one = source.trades["strategy"][0]
    untold = [pl.when(pl.col("strategy") != one).then(c).alias(c) for c in ("fees", "expected_entry_price")]
    trades = source.trades.with_columns(*untold, pl.lit(None, pl.Float64).alias("funding"))
    shown = table(costs(replace(source, trades=trades)), "costs-table")
    pnl = trades.filter(strategy=one)["pnl"].sum()
    assert shown[one] == [None, None, None, None, pytest.approx(pnl), None]
    others = [cells for name, cells in shown.items() if name not in (one, "all")]
    assert all(cells[3] is None and None not in cells[:3] for cells in others) and others
    assert list(shown)[-2:] == [one, "all"]
    # What was traded without word of its fees does not make the others' look smaller.
    paid, traded = 0.0, 0.0
    for row in trades.filter(pl.col("strategy") != one).iter_rows(named=True):
        paid += row["fees"]
        traded += row["qty"] * (row["entry_price"] + (row["exit_price"] or 0.0))
    assert shown["all"][-1] == pytest.approx(1e4 * paid / traded)


def test_costs_of_nothing_read_as_zero(source: Source) -> None:
    free = costs(replace(source, trades=source.trades.with_columns(fees=pl.lit(0.0))))
    (found,) = (b for b in blocks(free) if isinstance(b, Table) and b.id == "costs-table")
    assert {(row.cells[3].text, row.cells[4].text) for row in found.rows} == {("0.00", "0.00")}


@pytest.mark.parametrize(("found", "stakes"), [({"pnl": 10.0, "best_pnl": 25.5, "worst_pnl": -3.0}, 3), ({}, 0)])
def test_ambiguity_is_what_the_results_say(source: Source, found: dict[str, float], stakes: int) -> None:
    said = {"trades": 4, "pnl_at_stake": 321.5, **found}
    section = costs(replace(source, results={**source.results, "ambiguity": said}))
    assert "4 trades met a bar" in notes(section) and "321.50 of profit hangs on that order." in notes(section)
    if stakes:
        assert [cell for (cell,) in table(section, "ambiguity").values()] == list(found.values())
    assert sum(isinstance(b, Table) for b in blocks(section)) == 1 + bool(stakes)
    unknown = {**source.results, "ambiguity": None, "figures": {**source.results["figures"], "ambiguous_trades": None}}
    assert "cannot be told apart" in notes(costs(replace(source, results=unknown)))


@pytest.mark.parametrize("with_accepted", [True, False])
def test_refusals_by_reason_are_those_of_the_audit(source: Source, with_accepted: bool) -> None:
    rows = [r for r in source.tables["audit"].iter_rows(named=True) if with_accepted or r["decision"] != "accepted"]
    counts = Counter(row["reason"] for row in rows)
    asked: dict[str, float] = defaultdict(float)
    given: dict[str, float] = defaultdict(float)
    for row in rows:
        asked[row["reason"]] += row["asked"] * row["price"]
        given[row["reason"]] += row["given"] * row["price"]
    said = {**source.results["audit"], "by_reason": dict(counts)}
    section = compliance(replace(source, results={**source.results, "audit": said}))
    shown = table(section, "reasons")
    assert [cells[0] for cells in shown.values()] == sorted(counts.values(), reverse=True)
    for reason, n in counts.items():
        assert shown[reason] == pytest.approx([n, n / len(rows), asked[reason], given[reason]])
    assert given["most open trades"] == 0 < given["largest gross exposure"] < asked["largest gross exposure"]
    (facts,) = (b for b in blocks(section) if isinstance(b, Facts))
    decisions = Counter(row["decision"] for row in source.tables["audit"].iter_rows(named=True))
    words = ("accepted", "clipped", "rejected", "vetoed")
    assert {f.label: f.value for f in facts.facts} == {word: decisions[word] for word in words}


def test_refusals_without_the_audit_table_have_no_money(source: Source) -> None:
    tables = {name: frame for name, frame in source.tables.items() if name != "audit"}
    shown = table(compliance(replace(source, tables=tables)), "reasons")
    assert shown and all(cells[0] > 0 and cells[2:] == [None, None] for cells in shown.values())
    nothing = compliance(replace(source, results={**source.results, "audit": None}))
    assert "this run's folder does not hold it" in notes(nothing)


@pytest.mark.parametrize(
    ("limits", "most"),
    [({"max_gross": 0.9, "leverage": 1.0}, 0.9), ({"max_gross": None, "leverage": 0.8}, 0.8),
     ({"max_gross": 1.5, "leverage": 1.0}, 1.0), ({}, None)],
)  # fmt: skip
def test_gross_exposure_is_limited_by_leverage_too(
    source: Source, limits: dict[str, float | None], most: float | None
) -> None:
    limited = replace(source, results={**source.results, "config": {"limits": limits}})
    assert table(compliance(limited), "drift")["largest gross exposure"] == [0.93, most]
    marks = chart(exposure(limited), "exposure-chart")["marks"]
    assert [mark["y"] for mark in marks] == ([] if most is None else [most])


def test_an_account_that_never_traded(source: Source) -> None:
    idle = with_tables(replace(source, trades=source.trades.clear()), trade_bars=source.tables["trade_bars"].clear())
    assert notes(conditions(idle)) == notes(excursions(idle)) == "No trade has closed."
    assert notes(trade_list(idle)) == "There is no trade."
    assert "no trade" in notes(costs(idle)) and "does not hold" not in notes(costs(idle))
    assert {tuple(cells[2:]) for cells in table(periods(idle), "weeks").values()} == {(0.0, None)}
    assert "There is no trade." in render(idle)


def test_an_account_whose_trades_are_all_open(source: Source) -> None:
    still = replace(source, trades=source.trades.filter(pl.col("exit_ts").is_null()))
    assert still.trades.height == 1
    assert notes(conditions(still)) == notes(excursions(still)) == "No trade has closed."
    one = still.trades.row(0, named=True)
    slipped = one["qty"] * abs(one["entry_price"] - one["expected_entry_price"])
    shown = table(costs(still), "costs-table")["all"]
    assert shown[:3] == pytest.approx([one["pnl"] + one["fees"] + slipped, -slipped, -one["fees"]])
    assert "open" in render(still)


def test_a_single_day(source: Source) -> None:
    first = source.tables["equity"].head(1)
    day = with_tables(source, equity=first, instance_returns=source.tables["instance_returns"].filter(date=START))
    made = first["equity"][0] / source.capital - 1
    months = table(periods(day), "months")
    assert months == {"2022": [None] * 9 + [pytest.approx(made)] + [None] * 2 + [pytest.approx(made)]}
    weeks = table(periods(day), "weeks")
    assert list(weeks) == ["2022-10-17"] and weeks["2022-10-17"][0] == pytest.approx(made)
    assert "a line needs two days" in notes(equity(day)) and "daily equity" in notes(distribution(day))
    assert render(day)


def test_no_equity_table(source: Source) -> None:
    bare = replace(source, tables={})
    assert "daily equity" in notes(periods(bare)) and "daily closes" in notes(conditions(bare))
    assert render(bare)


def test_nan_is_a_dash_and_null(source: Source) -> None:
    nan = pl.lit(math.nan)
    trades = source.trades.with_columns(nan.alias("r_multiple"), nan.alias("mae"), nan.alias("return"))
    days = source.tables["equity"].with_columns(
        equity=pl.when(pl.col("ts").dt.date() == START.replace(month=11, day=1)).then(nan).otherwise("equity")
    )
    lost = with_tables(replace(source, trades=trades), equity=days)
    # The mark of 31 October is missing: neither that month nor the next has a return, and no other is touched.
    before, after = table(periods(source), "months")["2022"], table(periods(lost), "months")["2022"]
    assert after[9:11] == [None, None] and after[11:] == before[11:]
    (shown,) = (b for b in blocks(trade_list(lost)) if isinstance(b, Table))
    assert {cell.text for row in shown.rows for cell in row.cells[5:7]} == {"-"}
    page = render(lost)
    data = page.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert json.loads(data, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))["charts"]
