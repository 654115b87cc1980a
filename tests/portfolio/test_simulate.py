"""`simulate`: members with their bars on one account."""

from collections.abc import Sequence

import numpy as np
import pytest

from toolkit.analysis.backtest import backtest
from toolkit.bars.series import Bars
from toolkit.bars.synthetic import synthetic_bars
from toolkit.engine.types import LONG, Judged
from toolkit.errors import InputError
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member, members_from_table
from toolkit.portfolio.schedule import WeightSchedule
from toolkit.portfolio.simulate import PortfolioRun, simulate

pytestmark = pytest.mark.xdist_group("account")

LARGE = 1e9
FIXED = Limits(sizing="notional", notional_per_trade=1_000.0)
ROWS = [
    {"strategy": "volatility_breakout", "symbol": "BTC/USDT", "interval": "5m", "params": {"window": 50}},
    {"strategy": "reversal_breakout", "symbol": "ETH/USDT", "interval": "15m", "rules": {"max_hold": "4h"}},
    {"strategy": "open_range_breakout", "symbol": "SOL/USDT", "interval": "1h"},
]


@pytest.fixture(scope="module")
def bars() -> dict[str, Bars]:
    return synthetic_bars(days=20, seed=5)


@pytest.fixture(scope="module")
def members() -> tuple[Member, ...]:
    return tuple(members_from_table(ROWS))


@pytest.fixture(scope="module")
def loaded(members: Sequence[Member], bars: dict[str, Bars]) -> list[LoadedMember]:
    return load_members(members, start="2023-01-06", end="2023-01-19", bars=bars)


def equal(loaded: Sequence[LoadedMember]) -> WeightSchedule:
    ids = [one.instance.id for one in loaded]
    return WeightSchedule.static(dict.fromkeys(ids, 1 / len(ids)), ids)


def same_run(a: PortfolioRun, b: PortfolioRun) -> bool:
    tables = ("trades", "trade_member", "signals", "audit", "days", "halts")
    return all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in tables)


def test_without_limits_every_member_trades_as_it_does_alone(
    loaded: list[LoadedMember], members: Sequence[Member], bars: dict[str, Bars]
) -> None:
    run = simulate(loaded, equal(loaded), FIXED, capital=LARGE)
    compared = 0
    for member in members:
        alone = backtest(
            member.strategy, bars[member.symbol].to(member.interval), params=member.params, rules=member.rules,
            costs=member.costs, start="2023-01-06", end="2023-01-19", notional=1_000.0,
        ).records.trades  # fmt: skip
        number = [one.instance.id for one in run.members].index(member.instance.id)
        mine = run.trades[run.trade_member == number]
        mine = mine[np.lexsort((-mine["side"], mine["entry_t"]))]
        assert mine.tobytes() == alone.tobytes()
        compared += len(alone)
    assert compared > 20


def test_history_before_the_start_changes_nothing(members: Sequence[Member], bars: dict[str, Bars]) -> None:
    short = load_members(members, start="2023-01-06", end="2023-01-19", bars=bars)
    long = load_members(members, start="2023-01-03", end="2023-01-19", bars=bars)
    start_ms = int(np.datetime64("2023-01-06", "ms").astype(np.int64))
    limits = Limits(max_open=2)
    a = simulate(short, equal(short), limits, capital=10_000.0, start_ms=start_ms)
    b = simulate(long, equal(long), limits, capital=10_000.0, start_ms=start_ms)
    assert len(a.trades) > 10
    assert same_run(a, b)


def test_the_order_of_members_does_not_matter(loaded: list[LoadedMember]) -> None:
    limits = Limits(max_open=1)
    a = simulate(loaded, equal(loaded), limits, capital=10_000.0)
    b = simulate(loaded[::-1], equal(loaded), limits, capital=10_000.0)
    assert len(a.trades) > 5
    assert same_run(a, b)


def test_predictions_size_entries_by_the_bar_that_they_were_made_on(loaded: list[LoadedMember]) -> None:
    one = loaded[0]
    values = np.linspace(0.5, 1.0, len(one.bars))
    closes = (one.prepared.legs[LONG].entry_t + 1) * one.bars.base.interval_ms
    n = len(closes)
    said = Judged(
        np.ones(n, np.uint8), values[np.searchsorted(one.bars.close_ts, closes)], np.ones(n), np.full(n, -1)
    )  # fmt: skip
    run = simulate(
        [one], equal([one]), Limits(sizing="prediction", exposure=0.5), capital=10_000.0,
        judged={one.instance.id: {LONG: said}},
    )  # fmt: skip
    longs = run.audit[run.audit["side"] == LONG]
    assert len(longs) > 3
    at = np.searchsorted(one.bars.close_ts, longs["ts"])
    expected = 0.5 * longs["equity"] * (2 * values[at] - 1) / longs["price"]
    np.testing.assert_allclose(longs["asked"], expected, rtol=1e-12)
    # The short side has none: it is refused, never sized by a guess.
    assert (run.audit["given"][run.audit["side"] != LONG] == 0).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"capital": 0}, "`capital` must be a positive amount of money, was 0"),
        ({"capital": float("nan")}, "`capital` must be a positive amount of money"),
        ({"start_ms": 2**60}, "must end after it begins"),
    ],
)
def test_what_cannot_be_run_is_said(loaded: list[LoadedMember], change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        simulate(loaded, equal(loaded), Limits(), **({"capital": 1_000.0} | change))  # type: ignore[arg-type]


def test_members_must_be_there_and_once(loaded: list[LoadedMember]) -> None:
    with pytest.raises(InputError, match="at least one instance"):
        simulate([], WeightSchedule.static({}, []), Limits(), capital=1.0)
    with pytest.raises(InputError, match="is there twice"):
        simulate([loaded[0], loaded[0]], equal(loaded[:1]), Limits(), capital=1.0)
    with pytest.raises(InputError, match="is not among"):
        simulate(loaded[:1], equal(loaded), Limits(), capital=1.0)
