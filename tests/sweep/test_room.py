"""The bars that a sweep loads from a store: with gaps, and with too little or too much history asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bars.minutes import SOURCE, START_MS, minutes, rows
from toolkit.analysis.backtest import backtest
from toolkit.bars.intervals import MINUTE_MS
from toolkit.bars.load import load_bars
from toolkit.bars.store import Store
from toolkit.errors import InputError
from toolkit.sweep.run import sweep
from toolkit.sweep.tables import Output

MINUTES = 3 * 1440
HALT = (1200, 1280)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of one symbol on 1m, with a halt of eighty minutes."""
    store = Store(tmp_path_factory.mktemp("room") / "bars.duckdb")
    columns = rows(minutes(MINUTES), [*range(HALT[0]), *range(HALT[1], MINUTES)])
    store.write("binance", "BTC/USDT", "1m", columns, SOURCE)
    return store.path


def experiment(**changes: Any) -> dict[str, Any]:
    params = {"window": [20, 60], "stretch": [1.0, 2.0]}
    strategies = [{"name": "reversal_breakout", "params": params}]
    rules = {"stop": 0.01, "target": "2R", "max_hold": "1h"}
    return {"symbols": ["BTC/USDT"], "intervals": ["5m"], "strategies": strategies, "rules": rules, **changes}


def test_rows_are_their_backtests_where_the_warmup_begins_in_a_halt(db: Path, tmp_path: Path) -> None:
    """A sweep loads the longest lookback, a backtest its own: both must see the fill that all history has."""
    begun_in_the_halt = 0
    for minute in range(HALT[1] + 20, HALT[1] + 320, 25):
        start = np.datetime_as_string(np.datetime64(START_MS + minute * MINUTE_MS, "ms"), unit="m")
        result = sweep(
            **experiment(start=str(start)), db=db, output=Output(csv="none", factors=False), root=tmp_path / str(minute)
        )
        for number in range(result.combinations_tried):
            row = result.metrics.row(number, named=True)
            one = result.combination(number)
            loaded = backtest(**{**one, "db": db})
            begun_in_the_halt += bool(loaded.bars.base.filled[0])
            whole = backtest(**{**one, "bars": load_bars("BTC/USDT", "5m", db=db)})
            assert loaded.trades.equals(whole.trades)
            for name, value in loaded.metrics.items():
                if name in row and name != "combinations_tried":
                    assert row[name] == (None if np.isnan(value) else value), name
        assert result.metrics["trades"].sum() > 0
    assert begun_in_the_halt > 5


def test_no_complete_bar_of_the_interval(db: Path, tmp_path: Path) -> None:
    bars = load_bars("BTC/USDT", "1m", START_MS, START_MS + 30 * MINUTE_MS, db=db)
    with pytest.raises(InputError, match="BTC/USDT 1m holds no complete bar of 1h between 2022-01-03 00:00 and 2022"):
        sweep(**experiment(intervals=["1h"]), bars={"BTC/USDT": bars}, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"strategies": [{"name": "volatility_breakout", "params": {"window": [10, 10**13]}}]},
         "lookback of strategy volatility_breakout on 5m must not reach back"),
        ({"rules": {"stop": f"2atr({10**20})"}}, "lookback of a rule's factor must not reach back .* was atr"),
    ],
)  # fmt: skip
def test_a_lookback_beyond_the_calendar_is_named(changes: dict[str, Any], match: str, db: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        sweep(**experiment(start="2022-01-04", **changes), db=db, root=tmp_path)
    assert list(tmp_path.iterdir()) == []
