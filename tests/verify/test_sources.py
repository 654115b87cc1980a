"""Which stored bars a proof runs on, and what it says of those it leaves out."""

from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.bars.store import Source, Store
from toolkit.bars.synthetic import synthetic_columns
from toolkit.errors import InputError
from toolkit.strategy import get_strategy
from toolkit.verify.lookahead import LookaheadConfig, verify_lookahead
from toolkit.verify.sources import find_series


@pytest.fixture(autouse=True)
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BTC and ETH for ten days, SOL for the first two of them."""
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    store = Store(tmp_path / "bars.duckdb")
    for symbol, columns in synthetic_columns(("BTC/USDT", "ETH/USDT", "SOL/USDT"), days=10).items():
        few = {name: c[: 2 * 1440] if symbol == "SOL/USDT" else c for name, c in columns.items()}
        store.write("synthetic", symbol, "1m", few, Source("file", symbol, "0" * 64))


def _third_day() -> int:
    first = find_series([], "BTC/USDT").bars[0].ts[0]
    return int(first) + 3 * 86_400_000


def test_a_symbol_without_bars_in_the_range_is_said() -> None:
    found = find_series([], None, _third_day())
    assert [b.symbol for b in found.bars] == ["BTC/USDT", "ETH/USDT"]
    assert found.skipped == ("synthetic SOL/USDT 1m: no bars in the range",)
    config = LookaheadConfig(points=1, variations=0, factors=False, intervals=("1m",), start=_third_day())
    assert found.skipped[0] in verify_lookahead(["reversal_breakout"], config).skipped


def test_a_range_empty_for_all_is_an_error() -> None:
    with pytest.raises(InputError, match="no bars of synthetic BTC/USDT or"):
        find_series([], None, "2090-01-01")
    with pytest.raises(InputError, match="start must be before end"):
        find_series([], None, "2030-01-02", "2030-01-01")


def test_a_peer_without_bars_costs_no_symbol() -> None:
    reader = replace(get_strategy("reversal_breakout"), peers=("SOL/USDT", "NO/USDT"), native=("1d",))
    found = find_series([reader], None, _third_day())
    assert [b.symbol for b in found.bars] == ["BTC/USDT", "ETH/USDT"]
    assert all(not b.native and "SOL/USDT" not in b.peers for b in found.bars)
    assert set(find_series([reader], "BTC/USDT").bars[0].peers) == {"SOL/USDT"}


def test_a_peer_that_cannot_be_read_is_an_error() -> None:
    reader = replace(get_strategy("reversal_breakout"), peers=("???",))
    with pytest.raises(InputError):
        find_series([reader])
