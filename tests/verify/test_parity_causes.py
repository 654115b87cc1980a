"""Each cause planted in the inputs of a portfolio, which is made again: the report names it, and what follows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.verify import parity_planted as planted
from toolkit.engine.account import CASH_ACT, CLOSE_ACT, HALT_ACT
from toolkit.engine.sizing import BY_HAND_HALT, NO_HALT
from toolkit.engine.types import ACCEPTED, SHORT, VETOED
from toolkit.portfolio.loading import LoadedMember
from toolkit.portfolio.result import PortfolioResult
from toolkit.portfolio.schedule import WeightSchedule
from toolkit.verify.parity import compare
from toolkit.verify.parity_evidence import Kind
from toolkit.verify.parity_report import ParityReport
from toolkit.verify.parity_tables import KEYS, RunTables

pytestmark = pytest.mark.xdist_group("engine")
HOUR_MS = 3_600_000
Acts = Sequence[Mapping[str, Any]]


class Chosen:
    """An accepted entry amid the run, its member, and moments after it."""

    def __init__(self) -> None:
        run = planted.plain().run
        row = int(np.flatnonzero(run.signals["decision"] == ACCEPTED)[60])
        self.t, self.side = int(run.signals["t"][row]), int(run.signals["side"][row])
        self.member = run.members[run.signal_member[row]]
        self.leg = int(2 * run.signal_member[row] + (self.side == SHORT))
        self.decided_ms = (self.t + 1) * 60_000
        self.later_ms = self.decided_ms + 20 * 60_000

    def altered(self, change: Callable[[LoadedMember], LoadedMember]) -> PortfolioResult:
        return planted.altered(change, self.member.instance.id)


@pytest.fixture(scope="module")
def chosen() -> Chosen:
    return Chosen()


def rules_of(one: LoadedMember, **values: Any) -> LoadedMember:
    return replace(one, prepared=replace(one.prepared, rules=one.prepared.rules._replace(**values)))


def rates_of(one: LoadedMember, **values: Any) -> LoadedMember:
    return replace(one, prepared=replace(one.prepared, rates=one.prepared.rates._replace(**values)))


def held(other: PortfolioResult, acts: Acts = ()) -> ParityReport:
    """The comparison with the plain run, both ways round; every differing row is counted under a cause, once."""
    a, b = planted.tables_of(planted.plain()), planted.tables_of(other, "B", acts)
    report, turned = compare(a, b), compare(b, a)
    for one in (report, turned):
        assert not one.certified
        assert sum(cause.total for cause in one.causes) == differing(a, b)
    assert [c.kind for c in report.causes] == [c.kind for c in turned.causes]
    assert [c.total for c in report.causes] == [c.total for c in turned.causes]
    return report


def differing(a: RunTables, b: RunTables) -> int:
    """Rows that differ, by plain dictionaries."""
    aside = ("run_id", "deployment", "shadow_pnl", "model_version")
    keys = {**KEYS, "bars": ("exchange", "symbol", "base", "ts")}
    n = 0
    for table, key in keys.items():
        rows: list[dict[tuple[Any, ...], str]] = []
        for run in (a, b):
            frame = run.bars if table == "bars" else run.tables[table]
            assert frame is not None
            named = frame.drop(name for name in aside if name in frame.columns).iter_rows(named=True)
            rows.append({tuple(row[name] for name in key): repr(row) for row in named})
        n += sum(rows[0].get(name) != rows[1].get(name) for name in rows[0].keys() | rows[1].keys())
    return n


def the_cause(report: ParityReport, kind: Kind, ts_ms: int | None = None) -> str:
    """The one cause of all that differs, checked for kind and moment; returns what it says."""
    assert [cause.kind for cause in report.causes] == [kind], str(report)
    if ts_ms is not None:
        assert report.causes[0].ts_ms == ts_ms
    assert report.causes[0].total > 1
    return report.causes[0].text


def test_a_bar_that_is_missing(chosen: Chosen) -> None:
    symbol = chosen.member.instance.symbol

    def without(columns: dict[str, Any]) -> dict[str, Any]:
        kept = columns["ts"] != chosen.decided_ms
        return {name: values[kept] for name, values in columns.items()}

    report = held(planted.made(planted.with_bars(symbol, without)))
    assert "filled: False | True" in the_cause(report, Kind.BAR, chosen.decided_ms + 60_000)
    assert report.causes[0].symbol == symbol
    assert report.causes[0].rows["bars"] == 1


def test_a_close_that_is_one_ulp_off(chosen: Chosen) -> None:
    def nudged(columns: dict[str, Any]) -> dict[str, Any]:
        at = int(np.searchsorted(columns["ts"], chosen.decided_ms - 60_000))
        columns["close"][at] = np.nextafter(columns["close"][at], 0.0)
        columns["low"][at] = min(columns["low"][at], columns["close"][at])
        return columns

    report = held(planted.made(planted.with_bars(chosen.member.instance.symbol, nudged)))
    assert "close: " in the_cause(report, Kind.BAR, chosen.decided_ms)
    assert report.causes[0].rows["audit"] >= 1


def test_a_signal_that_is_not_there(chosen: Chosen) -> None:
    report = held(chosen.altered(lambda one: planted.without_entry(one, chosen.side, chosen.t)))
    assert the_cause(report, Kind.SIGNAL, chosen.decided_ms) == "A has an entry signal"
    assert report.causes[0].instance == chosen.member.instance.id


def test_another_signal_timeout(chosen: Chosen) -> None:
    report = held(chosen.altered(lambda one: rules_of(one, signal_timeout=240)))
    assert {cause.kind for cause in report.causes} == {Kind.TIMEOUT}
    assert {(cause.instance, cause.column) for cause in report.causes} == {(chosen.member.instance.id, "expires_ts")}
    assert {cause.side for cause in report.causes} == {"long", "short"}


def test_an_entry_that_the_model_vetoes(chosen: Chosen) -> None:
    report = held(chosen.altered(lambda one: planted.with_verdict(one, chosen.side, chosen.t, VETOED)))
    assert the_cause(report, Kind.VETO, chosen.decided_ms) == "reason: as asked | the model vetoed it"


def test_another_limit_on_exposure() -> None:
    report = held(planted.again(limits=replace(planted.LIMITS, max_gross=0.6)))
    text = the_cause(report, Kind.SIZE)
    assert "reason: as asked | largest gross exposure" in text
    assert "equity" not in text
    assert report.causes[0].legs == 8


def test_another_number_of_open_trades() -> None:
    report = held(planted.again(limits=replace(planted.LIMITS, max_open=2)))
    assert "reason: as asked | most open trades" in the_cause(report, Kind.SIZE)


def test_another_capital() -> None:
    report = held(planted.again(capital=100_001.0))
    assert the_cause(report, Kind.ACCOUNT) == "capital: 100000.0 | 100001.0"


def test_sizes_that_differ_with_equity_before_anything_else_did() -> None:
    a = planted.tables_of(planted.plain())
    b = replace(planted.tables_of(planted.again(capital=100_001.0), "B"), capital=None)
    report = compare(a, b)
    assert [cause.kind for cause in report.causes] == [Kind.SIZE]
    assert "equity: 100000.0 | 100001.0" in report.causes[0].text


def test_another_weight(chosen: Chosen) -> None:
    schedule = planted.plain().schedule
    weights = {name: float(w) for name, w in zip(schedule.instances, schedule.weights[0], strict=True)}
    weights[chosen.member.instance.id] *= 0.5
    report = held(planted.again(schedule=WeightSchedule.static(weights, schedule.instances)))
    assert report.causes[0].kind is Kind.SIZE
    assert report.causes[0].text == "weight: 0.25 | 0.125"


def test_another_slippage(chosen: Chosen) -> None:
    report = held(chosen.altered(lambda one: rates_of(one, slippage=0.0003)))
    assert "entry_price: " in the_cause(report, Kind.FILL)
    assert report.causes[0].instance == chosen.member.instance.id


def test_another_taker_fee(chosen: Chosen) -> None:
    report = held(chosen.altered(lambda one: rates_of(one, taker=0.0006)))
    assert "fees: " in the_cause(report, Kind.FEE)
    assert report.causes[0].instance == chosen.member.instance.id


def test_a_trade_closed_by_hand(chosen: Chosen) -> None:
    act = {"ts_ms": chosen.later_ms, "verb": "close", "target": chosen.member.instance.symbol, "value": None}
    other = planted.again(acts=[(chosen.later_ms, CLOSE_ACT, chosen.leg, 0.0)])
    assert the_cause(held(other, [act]), Kind.MANUAL, chosen.later_ms) == "close ETH/USDT (only in B)"
    assert "no act is recorded" in held(other).causes[0].text


def test_a_halt_by_hand(chosen: Chosen) -> None:
    until = chosen.later_ms + 6 * HOUR_MS
    acts = [(chosen.later_ms, HALT_ACT, BY_HAND_HALT, 0.0), (until, HALT_ACT, NO_HALT, 0.0)]
    said = [
        {"ts_ms": chosen.later_ms, "verb": "halt", "target": "", "value": None},
        {"ts_ms": until, "verb": "resume", "target": "", "value": None},
    ]
    assert the_cause(held(planted.again(acts=acts), said), Kind.MANUAL, chosen.later_ms) == "halt (only in B)"


def test_a_deposit(chosen: Chosen) -> None:
    act = {"ts_ms": chosen.later_ms, "verb": "deposit", "target": "savings", "value": 500.0}
    report = held(planted.again(acts=[(chosen.later_ms, CASH_ACT, 0, 500.0)]), [act])
    assert the_cause(report, Kind.MANUAL, chosen.later_ms) == "deposit savings 500.00 (only in B)"


def test_an_instance_that_was_disabled(chosen: Chosen) -> None:
    schedule = planted.plain().schedule
    off = schedule.weights[0].copy()
    off[list(schedule.instances).index(chosen.member.instance.id)] = 0.0
    moments = np.array([planted.plain().run.start_ms, chosen.later_ms], np.int64)
    other = planted.again(schedule=WeightSchedule(schedule.instances, moments, np.array([schedule.weights[0], off])))
    act = {"ts_ms": chosen.later_ms, "verb": "disable", "target": chosen.member.instance.id, "value": None}
    report = held(other, [act])
    assert the_cause(report, Kind.MANUAL, chosen.later_ms).startswith("disable volatility_breakout-")


def test_a_cause_that_moves_nothing_else_leaves_the_next_one_its_own(chosen: Chosen) -> None:
    """The veto's rows and a bar's in the other symbol, on the last day, beside each other."""

    def nudged(columns: dict[str, Any]) -> dict[str, Any]:
        columns["volume"][-5] = np.nextafter(columns["volume"][-5], np.inf)
        return columns

    vetoed = chosen.altered(lambda one: planted.with_verdict(one, chosen.side, chosen.t, VETOED))
    a, b = planted.tables_of(planted.plain()), planted.tables_of(vetoed, "B")
    bars = planted.bars_of(planted.made(planted.with_bars("BTC/USDT", nudged)))
    report = compare(a, replace(b, bars=bars))
    assert [cause.kind for cause in report.causes] == [Kind.VETO, Kind.BAR]
    assert report.causes[1].rows == {"bars": 1}


def other_value(column: pl.Series, row: int) -> Any:
    if column.dtype == pl.String:
        return "x"
    if column.dtype.is_temporal():
        return column.max()
    return 1.5 if column[row] is None else column[row] + 1


@pytest.mark.parametrize(
    ("table", "column", "kind"),
    [
        ("signals", "expires_ts", Kind.TIMEOUT), ("signals", "ignored_entries", Kind.TIMEOUT),
        ("signals", "prediction", Kind.VETO), ("audit", "given", Kind.SIZE), ("audit", "weight", Kind.SIZE),
        ("audit", "price", Kind.OTHER), ("orders", "price", Kind.FILL), ("orders", "qty", Kind.SIZE),
        ("trades", "entry_price", Kind.FILL), ("trades", "exit_price", Kind.FILL), ("trades", "fees", Kind.FEE),
        ("trades", "funding", Kind.FEE), ("trades", "stop_price", Kind.SIGNAL), ("trades", "params", Kind.OTHER),
        ("equity", "cash", Kind.ACCOUNT),
    ],
)  # fmt: skip
def test_one_cell_says_what_it_is(table: str, column: str, kind: Kind) -> None:
    a = planted.tables_of(planted.plain())
    frame = a.tables[table]
    row = int(frame.select(pl.arg_where(pl.col("decision") == "rejected"))[0, 0]) if table == "signals" else 3
    new = other_value(frame[column], row)
    cells = [new if k == row else one for k, one in enumerate(frame[column])]
    changed = frame.with_columns(pl.Series(column, cells, dtype=frame.schema[column]))
    report = compare(a, replace(a, tables={**a.tables, table: changed}))
    assert [(c.kind, c.total) for c in report.causes] == [(kind, 1)]
    assert report.frame()["kind"].to_list() == [str(kind)]


def test_a_price_that_differs_without_known_bars_is_a_bar() -> None:
    a = replace(planted.tables_of(planted.plain()), bars=None)
    audit = a.tables["audit"].with_columns(
        pl.col("price") + pl.when(pl.int_range(pl.len()) == 3).then(1.0).otherwise(0.0)
    )
    report = compare(a, replace(a, tables={**a.tables, "audit": audit}))
    assert [cause.kind for cause in report.causes] == [Kind.BAR]
    assert any("bars were not compared" in text for text in report.warnings)
