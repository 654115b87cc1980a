"""Equal runs are certified, and nothing else is."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.executor.engine.account_replay import playable
from tests.verify.parity_cases import backtest, session
from toolkit.bars.intervals import DAY_MS
from toolkit.errors import RunError
from toolkit.verify.parity import compare
from toolkit.verify.parity_report import NEEDED
from toolkit.verify.parity_tables import ASIDE, KEYS, RunTables

SEEDS = range(7_000_000, 7_000_004)


@cache
def one() -> RunTables:
    """A backtest that has rows of every kind."""
    return backtest(playable(SEEDS[0]))


@cache
def cells() -> list[tuple[str, str, int]]:
    """Every cell of it that counts: table, column, row."""
    return [
        (table, column, row)
        for table, frame in one().tables.items()
        for column in frame.columns
        if column not in ASIDE
        for row in range(len(frame))
    ]


def counted(a: RunTables, b: RunTables) -> dict[str, tuple[int, int, int]]:
    return {of.kind: (of.a, of.b, of.equal) for of in compare(a, b).counts}


def with_table(run: RunTables, name: str, frame: pl.DataFrame) -> RunTables:
    tables: Mapping[str, pl.DataFrame] = {**run.tables, name: frame}
    return replace(run, tables=tables)


def changed(value: Any, dtype: pl.DataType, least: bool) -> Any:
    """Another value of a cell: the nearest one, or none at all."""
    if value is not None and not least:
        return None
    if dtype.is_float():
        return 1.5 if value is None else math.nextafter(value, math.inf)
    if dtype == pl.Boolean:
        return not value
    if dtype.is_integer():
        return (value or 0) + 1
    if dtype.is_temporal():
        return one().tables["equity"]["ts"][0] if value is None else value + timedelta(milliseconds=1)
    return f"{value}x"


@pytest.mark.xdist_group("engine")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_backtest_and_its_bar_by_bar_replay_are_certified(seed: int, tmp_path: Path) -> None:
    case = playable(seed)
    a, b = backtest(case), session(case, tmp_path / "l.sqlite")
    report = compare(a, b)
    assert report.certified, report
    assert report.causes == ()
    for kind, (ours, theirs, equal) in counted(a, b).items():
        assert ours == theirs == equal, kind
        assert equal > 0 or kind not in NEEDED


@settings(max_examples=150, deadline=None)
@given(cell=st.deferred(lambda: st.sampled_from(cells())), least=st.booleans())
def test_one_cell_that_is_another_is_no_certificate(cell: tuple[str, str, int], least: bool) -> None:
    table, column, row = cell
    frame = one().tables[table]
    value = changed(frame[column][row], frame.schema[column], least)
    column_cells = [value if k == row else old for k, old in enumerate(frame[column])]
    mutated = frame.with_columns(pl.Series(column, column_cells, dtype=frame.schema[column]))
    for a, b in ((one(), with_table(one(), table, mutated)), (with_table(one(), table, mutated), one())):
        report = compare(a, b)
        assert not report.certified
        assert report.causes
        assert report.why_not
        assert {of.kind for of in report.counts if of.different} >= {table}


@pytest.mark.parametrize("table", sorted(KEYS))
def test_a_row_that_only_one_has_is_no_certificate(table: str) -> None:
    frame = one().tables[table]
    less = with_table(one(), table, frame.slice(1))
    twice = with_table(one(), table, pl.concat([frame, frame.slice(0, 1)]))
    assert not compare(one(), less).certified
    assert not compare(less, one()).certified
    assert not compare(one(), twice).certified


@pytest.mark.parametrize("table", sorted(KEYS))
def test_two_runs_without_rows_of_a_kind_prove_nothing(table: str) -> None:
    less = with_table(one(), table, one().tables[table].clear())
    report = compare(less, less)
    assert report.equal and not report.certified
    assert report.why_not == f"no {table} were compared"


def test_what_a_ledger_cannot_keep_is_no_difference() -> None:
    trades = one().tables["trades"].with_columns(pl.lit(0.0).alias("funding"))
    zero = with_table(one(), "trades", trades)
    minus = with_table(one(), "trades", trades.with_columns(pl.lit(-0.0).alias("funding")))
    assert compare(zero, minus).certified
    known = pl.col("stop_price").fill_null(math.nan)
    assert compare(one(), with_table(one(), "trades", one().tables["trades"].with_columns(known))).certified


def test_bars_that_nothing_follows_from_are_told_and_decide_nothing() -> None:
    bars = one().bars
    assert bars is not None
    volume = pl.col("volume") + pl.when(pl.int_range(pl.len()) == 7).then(1.0).otherwise(0.0)
    report = compare(one(), replace(one(), bars=bars.with_columns(volume)))
    assert report.certified
    assert [str(cause.kind) for cause in report.causes] == ["bar"]
    assert any("1 bars differ, and nothing that the runs did follows" in text for text in report.warnings)


def test_order_of_rows_and_what_only_says_where_they_are_kept_do_not_count() -> None:
    other = {name: frame.reverse() for name, frame in one().tables.items() if name != "audit"}
    other["trades"] = other["trades"].with_columns(pl.lit("elsewhere").alias("run_id"))
    assert compare(one(), replace(one(), tables={**one().tables, **other})).certified


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_that_ends_earlier_is_compared_up_to_there(seed: int) -> None:
    case = playable(seed)
    start, end = case.period_ms
    middle = (start + end) // 2 // DAY_MS * DAY_MS + DAY_MS
    if not start < middle < end:
        middle = end - (end - start) // 4 // 3_600_000 * 3_600_000
    whole, part = backtest(case), backtest(case, end_ms=middle)
    report = compare(whole, part)
    assert report.rows == (), report
    assert report.period.cut and report.period.end_ms <= middle


def test_runs_without_a_common_period_are_not_certified() -> None:
    later = replace(one(), start_ms=one().end_ms, end_ms=one().end_ms + DAY_MS)
    assert "no period in common" in compare(one(), later).why_not


def test_tables_of_other_columns_are_refused() -> None:
    odd = with_table(one(), "trades", one().tables["trades"].rename({"qty": "size"}))
    with pytest.raises(RunError, match="only one of the runs has qty, size in trades"):
        compare(one(), odd)
