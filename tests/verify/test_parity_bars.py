"""A backtest's bars are the stored ones of the series that a session recorded; saved runs read back as they were."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.verify import parity_planted as planted
from toolkit.bars.columns import COLUMNS
from toolkit.bars.store import Source, Store
from toolkit.verify.parity import compare, parity
from toolkit.verify.parity_bars import with_stored_bars

pytestmark = pytest.mark.xdist_group("engine")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    store = Store(tmp_path / "bars.duckdb")
    for symbol, bars in planted.minutes().items():
        columns = {name: getattr(bars, name)[~bars.filled] for name in COLUMNS}
        store.write(bars.exchange, symbol, "1m", columns, Source("request", "test", "0"))
    return store.path


def test_stored_bars_stand_for_a_backtests(db: Path) -> None:
    session = planted.tables_of(planted.plain(), "session")
    backtest = replace(session, bars=None, name="backtest")
    report = compare(with_stored_bars(backtest, session, db), session)
    assert report.certified
    bars = {one.kind: one for one in report.counts}["bars"]
    assert bars.a == bars.b == bars.equal == 2 * 10 * 1440


def test_bars_that_are_not_stored_are_not_compared(db: Path) -> None:
    session = planted.tables_of(planted.plain(), "session")
    assert session.bars is not None
    backtest = replace(session, bars=None)
    elsewhere = replace(session, bars=session.bars.with_columns(exchange=session.bars["exchange"] + "x"))
    assert with_stored_bars(backtest, elsewhere, db) is backtest
    assert with_stored_bars(session, backtest, db) is session
    report = compare(backtest, session)
    assert report.certified
    assert any("bars were not compared" in text for text in report.warnings)


def test_a_backtest_saved_twice_is_certified(tmp_path: Path) -> None:
    one, other = (planted.again().save(tmp_path / name, factors=False) for name in ("a", "b"))
    report = parity(one, other)
    assert report.certified
    counts = {count.kind: (count.a, count.b, count.equal) for count in report.counts}
    tables = planted.tables_of(planted.plain()).tables
    assert {kind: counts[kind] for kind in tables} == {kind: (len(t),) * 3 for kind, t in tables.items()}
    assert all(len(table) for table in tables.values())
    assert report.warnings[-1].startswith("bars were not compared")
