"""Loaded members are the prepared inputs of their backtests, whatever they share."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.portfolio import stored
from tests.portfolio.stored import END, START, make_store, members, series
from toolkit.analysis.backtest import backtest
from toolkit.analysis.result import BacktestResult
from toolkit.bars.series import Bars
from toolkit.engine.rules import TradeRules
from toolkit.engine.run import run
from toolkit.errors import InputError, StrategyError, UnknownNameError
from toolkit.portfolio import loading
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member
from toolkit.strategy import Signals, strategy

CALLS: list[tuple[int, str]] = []


class Params(NamedTuple):
    period: int = 5
    how: str = "well"


@strategy(intervals=("5m", "15m", "1h"), lookback=lambda p: p.period)
def counted(bars: Bars, p: Params) -> Signals:
    """Trades every few bars and counts how often it was asked; breaks the contract as its parameter says."""
    CALLS.append((p.period, bars.interval))
    if p.how == "raises":
        raise ZeroDivisionError("division by zero")
    at = bars.ts // bars.interval_ms % p.period
    none = np.full(len(bars), np.nan)
    signals = Signals(at == 0, at == 1, at == 2, at == 3, none, none)
    return signals._replace(enter_long=signals.enter_long[1:]) if p.how == "shape" else signals


@strategy(intervals=("5m",), lookback=lambda p: {"signal": 1, "1d": 2}, peers=("SOL/USDT",), native=("1d",))
def reads_others(bars: Bars, p: Params) -> Signals:
    """Follows another symbol, above the last native daily close."""
    other = bars.peer("SOL/USDT")
    day = bars.at("1d", source="native")
    up = other.close > other.open
    none = np.full(len(bars), np.nan)
    return Signals(up & (bars.close > day.close), ~up & (bars.close < day.close), ~up, up, none, none)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    CALLS.clear()
    yield


def alone(member: Member, db: Path, start: Any = START, end: Any = END) -> BacktestResult:
    return backtest(
        member.strategy, member.symbol, interval=member.interval, start=start, end=end, params=member.params,
        rules=member.rules, costs=member.costs, notional=1.0, exchange=member.exchange, base=member.base, db=db,
    )  # fmt: skip


def same_arrays(a: Any, b: Any) -> None:
    for name in a._fields:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def check(loaded: LoadedMember, expected: BacktestResult) -> None:
    """Events that can be traded, and the trades, are the backtest's bit for bit."""
    assert loaded.instance == expected.instance
    assert loaded.prepared.start_t == expected.prepared.start_t
    assert (loaded.bars.base.interval, loaded.bars.interval) == (expected.bars.base.interval, expected.bars.interval)
    records = run(loaded.prepared, 1.0)
    assert records.trades.tobytes() == expected.records.trades.tobytes()
    assert records.signals.tobytes() == expected.records.signals.tobytes()
    assert loaded.prepared.rates == expected.prepared.rates
    for side, leg in loaded.prepared.legs.items():
        theirs, since = expected.prepared.legs[side], loaded.prepared.start_t
        for name in ("entry_t", "exit_t"):
            mine, other = getattr(leg, name), getattr(theirs, name)
            np.testing.assert_array_equal(mine[mine >= since], other[other >= since])


@pytest.mark.parametrize(("start", "end"), [(START, END), (None, None), (None, END), ("2023-01-03T07:33", None)])
def test_members_are_their_backtests(start: str | None, end: str | None, db: Path) -> None:
    asked = members()
    loaded = load_members(asked, start=start, end=end, db=db)
    assert [one.member for one in loaded] == asked
    trades = 0
    for one in loaded:
        expected = alone(one.member, db, start, end)
        check(one, expected)
        trades += len(expected.trades)
    assert trades > 200


def test_one_thread_or_many(db: Path) -> None:
    few, many = (load_members(members(), start=START, end=END, db=db, jobs=jobs) for jobs in (1, 7))
    for a, b in zip(few, many, strict=True):
        assert a.instance == b.instance
        assert a.prepared.start_t == b.prepared.start_t
        for side in a.prepared.legs:
            same_arrays(a.prepared.legs[side], b.prepared.legs[side])


def test_factors_that_are_dropped_on_the_way_change_nothing(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "FACTOR_BYTES", 1)
    for one in load_members(members(), start=START, end=END, db=db):
        check(one, alone(one.member, db))
        assert one.bars.base.factor_bytes() == 0


def test_base_bars_are_shared(db: Path) -> None:
    loaded = load_members(members(), start=START, end=END, db=db)
    bases = {(one.member.symbol, one.member.base, one.member.exchange): one.bars.base for one in loaded}
    for one in loaded:
        assert one.bars.base is bases[one.member.symbol, one.member.base, one.member.exchange]
    assert {(b.symbol, b.interval) for b in bases.values()} == {
        ("BTC/USDT", "1m"), ("BTC/USDT", "5m"), ("ETH/USDT", "1m"), ("SOL/USDT", "5m"),
    }  # fmt: skip
    on_sol = [one for one in loaded if one.member.symbol == "SOL/USDT"]
    assert {one.bars.interval for one in on_sol} == {"5m", "15m"}
    assert len({id(one.bars.base) for one in on_sol}) == 1


def test_signals_are_made_once_for_members_that_differ_in_rules_alone(db: Path) -> None:
    rules = [TradeRules(side=side, max_hold=hold) for side in ("long", "short", "both") for hold in ("1h", "2h")]
    asked = [Member("counted", "BTC/USDT", i, {"period": k}, r) for i in ("5m", "15m") for k in (5, 8) for r in rules]
    loaded = load_members(asked, start=START, end=END, db=db)
    assert sorted(CALLS) == [(5, "15m"), (5, "5m"), (8, "15m"), (8, "5m")]
    long = [one.prepared.legs[1] for one in loaded[:6] if 1 in one.prepared.legs]
    assert len(long) == 4
    assert all(leg.entry_t is long[0].entry_t and leg.distances is long[0].distances for leg in long)
    for one in loaded:
        check(one, alone(one.member, db))


def test_peers_and_native_series(db: Path) -> None:
    """The peer is stored at 5m alone, which is fine beside a member on 1m that does not read it."""
    asked = [Member("reversal_breakout", "BTC/USDT", "1m"), Member("reads_others", "BTC/USDT", "5m")]
    loaded = load_members(asked, start="2023-01-05", end="2023-01-07", db=db)
    assert loaded[0].bars.base is loaded[1].bars.base
    for one in loaded:
        check(one, alone(one.member, db, "2023-01-05", "2023-01-07"))
        assert (list(one.bars.native), list(one.bars.peers)) == (["1d"], ["SOL/USDT"])
    assert len(run(loaded[1].prepared, 1.0).trades) > 20


def test_bars_in_memory() -> None:
    given = {symbol: series(symbol) for symbol in stored.SYMBOLS}
    asked = [replace(m, base=None, exchange=None) for m in members() if m.rules.policy != "finer"]
    loaded = load_members(asked, start=START, end=END, bars={**given, "btcusdt": given["BTC/USDT"]})
    for one in loaded:
        m = one.member
        expected = backtest(
            m.strategy, given[m.symbol].to(m.interval), start=START, end=END, params=m.params, rules=m.rules,
            costs=m.costs, notional=1.0,
        )  # fmt: skip
        check(one, expected)
    finer = Member("counted", "BTC/USDT", "5m", {}, TradeRules(policy="finer"))
    with pytest.raises(
        InputError, match=r"^counted-BTCUSDT-5m-\w+: policy 'finer' needs a finer stored series than 1m"
    ):
        load_members([finer], bars=given)
    with pytest.raises(UnknownNameError, match=r"^counted-SOLUSDT-5m-\w+: unknown symbol 'SOL/USDT': .*BTC/USDT"):
        load_members([Member("counted", "SOL/USDT", "5m")], bars={"BTC/USDT": given["BTC/USDT"]})


PERIOD = {"start": START, "end": END}
SOL_LATE = {"start": "2023-01-10", "end": END}
ETH_EARLY = {"start": "2023-01-02", "end": "2023-01-05"}


@pytest.mark.parametrize(
    ("changes", "period", "kind", "match"),
    [
        ({"symbol": "SOL/USDT"}, SOL_LATE, InputError, r": no bars of synthetic[: ]SOL/USDT"),
        ({"symbol": "ETH/USDT"}, ETH_EARLY, InputError, r": no bars of synthetic[: ]ETH/USDT"),
        ({"symbol": "DOGE/USDT"}, PERIOD, UnknownNameError, r": unknown symbol 'DOGE/USDT'"),
        ({"exchange": "kraken"}, PERIOD, UnknownNameError, r": unknown exchange 'kraken'"),
        ({"base": "3m"}, PERIOD, UnknownNameError, r": unknown stored interval of synthetic BTC/USDT '3m'"),
        (
            {"params": {"how": "raises"}},
            PERIOD,
            StrategyError,
            r": strategy counted raised ZeroDivisionError: division",
        ),
        ({"params": {"how": "shape"}}, PERIOD, StrategyError, r": strategy counted: enter_long must have shape"),
        ({"params": {"period": -1}}, PERIOD, StrategyError, r": strategy counted: lookback of 'signal' must be"),
        ({"interval": "30m"}, PERIOD, InputError, r": strategy counted is not meant for interval '30m'"),
        ({"rules": TradeRules(stop="atr(0)")}, PERIOD, InputError, r": .*atr"),
        ({"rules": TradeRules(policy="finer")}, PERIOD, InputError, r": policy 'finer' needs a finer stored series"),
    ],
)
def test_what_is_refused_names_the_instance(
    changes: dict[str, Any], period: dict[str, Any], kind: type[Exception], match: str, db: Path
) -> None:
    bad = Member(**{"strategy": "counted", "symbol": "BTC/USDT", "interval": "5m", **changes})
    asked = [Member("counted", "BTC/USDT", "5m", {"period": 9}), bad]
    with pytest.raises(kind, match=f"^{bad.instance.id}{match}"):
        load_members(asked, **period, db=db)


def test_lists_that_are_refused(db: Path) -> None:
    one = Member("counted", "BTC/USDT", "5m")
    with pytest.raises(InputError, match="a portfolio needs at least one instance, was given none"):
        load_members([], db=db)
    with pytest.raises(InputError, match=r"instance counted-BTCUSDT-5m-\w+ is there twice \(numbers 1 and 3\)"):
        load_members([one, replace(one, interval="15m"), replace(one, params={"period": 5})], db=db)
    with pytest.raises(UnknownNameError, match="unknown strategy 'nobody_has_it'"):
        load_members([replace(one, strategy="nobody_has_it")], db=db)
    with pytest.raises(UnknownNameError, match="unknown parameter of counted 'perod': did you mean 'period'"):
        load_members([replace(one, params={"perod": 5})], db=db)
    with pytest.raises(InputError, match="`jobs` must be at least 1, was 0"):
        load_members([one], db=db, jobs=0)
    with pytest.raises(InputError, match="start must be before end"):
        load_members([one], db=db, start=END, end=START)


def test_progress_is_said_on_stderr(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_members(members()[:3], start=START, end=END, db=db, progress=True)
    said = capsys.readouterr()
    assert "3 of 3 instances (100 %)" in said.err
    assert said.out == ""
