"""The history that a backtest loads before its range, and what is said where there is none."""

from pathlib import Path
from typing import Any

import pytest

from tests.bars.minutes import SOURCE, START_MS, minutes
from toolkit.analysis.backtest import backtest
from toolkit.analysis.history import Span, require_traded
from toolkit.bars.intervals import MINUTE_MS
from toolkit.bars.load import load_bars
from toolkit.bars.series import Bars
from toolkit.bars.store import Store
from toolkit.errors import InputError

HUGE = 10**12


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of one symbol on 1m."""
    store = Store(tmp_path_factory.mktemp("history") / "bars.duckdb")
    store.write("binance", "BTC/USDT", "1m", minutes(2880), SOURCE)
    return store.path


def half_an_hour(db: Path) -> Bars:
    return load_bars("BTC/USDT", "1m", START_MS, START_MS + 30 * MINUTE_MS, db=db)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"params": {"window": HUGE}},
         r"the lookback of strategy volatility_breakout on 5m must not reach back from 2022-01-04 00:00 beyond the "
         r"year 1, was .*1000000000.*; choose a shorter window"),
        ({"rules": {"stop": f"2atr({HUGE})"}},
         r"the lookback of a rule's factor must not reach back from .* beyond the year 1, was atr\(10{12}\); choose"),
    ],
)  # fmt: skip
def test_a_lookback_beyond_the_calendar_is_named(given: dict[str, Any], match: str, db: Path) -> None:
    with pytest.raises(InputError, match=match):
        backtest("volatility_breakout", "BTC/USDT", interval="5m", start="2022-01-04", db=db, **given)


def test_a_range_that_ends_before_it_begins(db: Path) -> None:
    match = "start must be before end, was 2022-01-04 00:00 and end 2022-01-03 00:00"
    for bars in ("BTC/USDT", half_an_hour(db)):
        with pytest.raises(InputError, match=match):
            backtest("volatility_breakout", bars, interval="5m", start="2022-01-04", end="2022-01-03", db=db)
    with pytest.raises(InputError, match=match):
        Span("2022-01-04", "2022-01-03")


def test_no_complete_bar_of_the_interval(db: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"^binance BTC/USDT 1m holds no complete bar of 1h between 2022-01-03 00:00 and 2022-01-03 00:30; widen",
    ):
        backtest("volatility_breakout", half_an_hour(db), interval="1h")
    require_traded(half_an_hour(db), START_MS)
    with pytest.raises(InputError, match=r"no bars of .* from 2022-01-03 00:30 on: the last bar is 2022-01-03 00:29"):
        require_traded(half_an_hour(db), START_MS + 30 * MINUTE_MS)
