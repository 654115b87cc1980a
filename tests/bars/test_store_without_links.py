"""A new store on a disk without hard links."""

import errno
import os
from pathlib import Path

import pytest

from tests.bars.minutes import SOURCE, assert_same, minutes
from toolkit.bars.store import Store
from toolkit.errors import StoreError


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def refuse(source: object, target: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    return tmp_path / "bars.duckdb"


def test_it_is_made_and_leaves_nothing_beside_it(path: Path) -> None:
    Store(path).write("binance", "BTC/USDT", "1m", minutes(20), SOURCE)
    assert_same(Store(path).read("binance", "BTC/USDT", "1m"), minutes(20))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_one_made_meanwhile_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = path.with_name("other.duckdb")
    Store(other).write("binance", "ETH/USDT", "1m", minutes(20), SOURCE)

    def another_is_first(source: object, target: object) -> None:
        other.rename(path)
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", another_is_first)
    made = Store(path)
    made.write("binance", "BTC/USDT", "1m", minutes(20), SOURCE)
    assert [info.key.symbol for info in made.series()] == ["BTC/USDT", "ETH/USDT"]


def test_a_claim_left_by_a_crash_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DB_WAIT_SECS", "0.05")
    claim = path.with_name(".bars.duckdb.claim")
    claim.touch()
    with pytest.raises(StoreError, match=r"being created by another process.*remove .*\.bars\.duckdb\.claim"):
        Store(path).write("binance", "BTC/USDT", "1m", minutes(20), SOURCE)
    assert [p.name for p in path.parent.iterdir()] == [claim.name]
