"""Final size: every mode by hand, every reason by a case, and no limit broken by any quantity that is given."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.engine.sizing import (
    DAILY_LOSS_HALT,
    DRAWDOWN_HALT,
    NO_HALT,
    REASONS,
    AccountAt,
    LegAt,
    LimitRates,
    Reason,
    size_entry,
)
from toolkit.portfolio.limits import Limits

ACCOUNT = AccountAt(10_000.0, 10_000.0, 0.0, 0.0, 0.0, 0, 0, 0, False, 4, NO_HALT)
LEG = LegAt(1, 0.001, 50.0, 0.0, 0.0, 0.0, False, True)


def size(
    limits: Limits = Limits(),  # noqa: B008
    *,
    account: AccountAt = ACCOUNT,
    leg: LegAt = LEG,
    stop: float = math.nan,
    weight: float = 0.25,
    prediction: float = math.nan,
    scale: float = 1.0,
) -> tuple[float, Reason, float]:
    qty, reason, asked = size_entry(account, leg, 100.0, stop, weight, (prediction, scale), limits.rates())
    return qty, Reason(reason), asked


def test_each_mode_asks_for_what_its_words_say() -> None:
    assert size(Limits(sizing="weight")) == (25.0, Reason.FULL, 25.0)
    assert size(Limits(sizing="weight", exposure=0.5)) == (12.5, Reason.FULL, 12.5)
    # 1 % of 10,000 is lost over 5 of distance: 20 units; twice the average weight doubles it.
    assert size(Limits(sizing="risk", risk_per_trade=0.01), stop=95.0) == (20.0, Reason.FULL, 20.0)
    assert size(Limits(sizing="risk", risk_per_trade=0.01), stop=95.0, weight=0.5)[0] == 40.0
    assert size(Limits(sizing="notional", notional_per_trade=500.0)) == (5.0, Reason.FULL, 5.0)
    assert size(Limits(sizing="prediction"), prediction=0.75) == (12.5, Reason.FULL, 12.5)
    assert size(Limits(sizing="prediction"), prediction=1.0)[0] == 25.0


@pytest.mark.parametrize(
    ("limits", "given", "reason"),
    [
        (Limits(max_trade=0.1), 10.0, Reason.MAX_TRADE),
        (Limits(max_trade_notional=700.0), 7.0, Reason.MAX_TRADE_NOTIONAL),
        (Limits(max_symbol=0.2), 10.0, Reason.MAX_SYMBOL),
        (Limits(max_gross=0.4), 10.0, Reason.MAX_GROSS),
        (Limits(max_net=0.25), 15.0, Reason.MAX_NET),
        (Limits(max_volume_share=0.2), 10.0, Reason.VOLUME),
        (Limits(max_open=3), 0.0, Reason.MAX_OPEN),
        (Limits(max_open_symbol=2), 0.0, Reason.MAX_OPEN_SYMBOL),
        (Limits(max_open_strategy=1), 0.0, Reason.MAX_OPEN_STRATEGY),
    ],
)
def test_each_limit_clips_or_rejects_with_its_reason(limits: Limits, given: float, reason: Reason) -> None:
    account = AccountAt(10_000.0, 7_000.0, 3_000.0, 1_000.0, 1_000.0, 3, 2, 1, False, 4, NO_HALT)
    qty, why, asked = size(limits, account=account)
    assert (qty, why, asked) == (pytest.approx(given), reason, 25.0)


@pytest.mark.parametrize(
    ("account", "leg", "weight", "reason"),
    [
        (ACCOUNT, LEG, 0.0, Reason.OFF),
        (ACCOUNT._replace(equity=0.0), LEG, 0.25, Reason.NO_EQUITY),
        (ACCOUNT._replace(equity=-5.0), LEG, 0.25, Reason.NO_EQUITY),
        (ACCOUNT._replace(halt=DAILY_LOSS_HALT), LEG, 0.25, Reason.DAILY_LOSS),
        (ACCOUNT._replace(halt=DRAWDOWN_HALT), LEG, 0.25, Reason.DRAWDOWN),
        (ACCOUNT, LEG._replace(side=-1, spot=True), 0.25, Reason.SHORT_ON_SPOT),
        (ACCOUNT._replace(opposite=True), LEG._replace(hedge=False), 0.25, Reason.OPPOSITE_LEG),
        (ACCOUNT._replace(free=0.0), LEG, 0.25, Reason.LEVERAGE),
        (ACCOUNT, LEG._replace(min_qty=30.0), 0.25, Reason.MIN_QTY),
        (ACCOUNT, LEG._replace(min_notional=3_000.0), 0.25, Reason.MIN_NOTIONAL),
    ],
)
def test_each_rule_that_forbids_gives_nothing(account: AccountAt, leg: LegAt, weight: float, reason: Reason) -> None:
    qty, why, _ = size(account=account, leg=leg, weight=weight)
    assert (qty, why) == (0.0, reason)


def test_what_a_mode_sizes_by_must_be_there() -> None:
    assert size(Limits(sizing="risk"))[:2] == (0.0, Reason.NO_STOP)
    assert size(Limits(sizing="risk"), stop=100.0)[:2] == (0.0, Reason.NO_STOP)
    assert size(Limits(sizing="prediction"))[:2] == (0.0, Reason.NO_PREDICTION)
    assert size(Limits(sizing="prediction"), prediction=0.5)[:2] == (0.0, Reason.NO_BET)


def test_a_clip_that_falls_below_the_venue_minimum_keeps_the_limit_as_reason() -> None:
    qty, why, _ = size(Limits(max_trade=0.01), leg=LEG._replace(min_qty=5.0))
    assert (qty, why) == (0.0, Reason.MAX_TRADE)


def test_lots_round_down_and_a_multiple_stays() -> None:
    assert size(leg=LEG._replace(lot_step=0.4)) == (pytest.approx(24.8), Reason.LOT, 25.0)
    assert size(leg=LEG._replace(lot_step=0.1))[0] == pytest.approx(25.0)
    assert size(leg=LEG._replace(lot_step=30.0))[0] == 0.0


def test_unknown_volume_does_not_limit_and_no_volume_does() -> None:
    assert size(Limits(max_volume_share=0.1), leg=LEG._replace(volume=math.nan))[0] == 25.0
    assert size(Limits(max_volume_share=0.1), leg=LEG._replace(volume=0.0))[:2] == (0.0, Reason.VOLUME)


def test_every_reason_has_its_text() -> None:
    assert set(REASONS) == set(Reason)
    assert len(set(REASONS.values())) == len(REASONS)


def _maybe(values: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    return st.one_of(st.just(math.inf), values)


SHARES = st.floats(0.01, 2.0)
MONEY = st.floats(0.0, 20_000.0)


@given(data=st.data())
def test_no_quantity_breaks_a_limit_at_the_decision(data: Any) -> None:
    draw = data.draw
    limits = LimitRates(
        draw(st.integers(0, 3)), draw(st.floats(0.1, 3.0)), draw(st.floats(0.001, 0.2)), draw(st.floats(10.0, 20_000)),
        draw(st.floats(0.0, 0.05)), draw(_maybe(SHARES)), draw(_maybe(st.floats(10.0, 20_000.0))), draw(_maybe(SHARES)),
        draw(_maybe(SHARES)), draw(_maybe(SHARES)), draw(st.floats(0.1, 1.0)), draw(st.integers(1, 6)),
        draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(_maybe(st.floats(0.01, 1.0))), math.inf, math.inf, False,
        False,
    )  # fmt: skip
    equity, gross = draw(st.floats(-100.0, 20_000.0)), draw(MONEY)
    account = AccountAt(
        equity, limits.leverage * equity - gross, gross, draw(st.floats(-1.0, 1.0)) * gross,
        draw(st.floats(0.0, 1.0)) * gross, draw(st.integers(0, 6)), draw(st.integers(0, 6)), draw(st.integers(0, 6)),
        draw(st.booleans()), draw(st.integers(1, 9)), draw(st.sampled_from([0, 0, 0, 1, 2])),
    )  # fmt: skip
    leg = LegAt(
        draw(st.sampled_from([1, -1])), draw(st.floats(0.0, 0.01)), draw(st.one_of(st.just(math.nan), MONEY)),
        draw(st.sampled_from([0.0, 0.001, 0.1, 5.0])), draw(st.sampled_from([0.0, 0.5])),
        draw(st.sampled_from([0.0, 10.0])), draw(st.booleans()), draw(st.booleans()),
    )  # fmt: skip
    price = draw(st.floats(0.01, 60_000.0))
    stop = draw(st.one_of(st.just(math.nan), st.floats(0.5, 0.999).map(lambda x: x * price)))
    prediction = draw(st.one_of(st.just(math.nan), st.floats(0.0, 1.0)))
    scale = draw(st.one_of(st.just(1.0), st.floats(0.0, 1.0)))
    qty, code, asked = size_entry(account, leg, price, stop, draw(st.floats(0.0, 1.0)), (prediction, scale), limits)
    reason = Reason(code)
    assert qty >= 0.0
    assert math.isnan(asked) or qty <= asked * (1 + 1e-9) or qty == 0.0
    if qty == 0.0:
        assert reason != Reason.FULL
        return
    value, slack = qty * price, 1 + 1e-9
    assert account.equity > 0.0 and account.halt == NO_HALT
    assert not (leg.spot and leg.side < 0) and not (account.opposite and not leg.hedge)
    assert account.open_trades < limits.max_open
    assert account.open_symbol < limits.max_open_symbol
    assert account.open_strategy < limits.max_open_strategy
    assert value <= limits.max_trade * equity * slack and value <= limits.max_trade_notional * slack
    room = abs(equity) * 1e-9 + gross * 1e-9
    assert account.symbol_gross + value <= limits.max_symbol * equity * slack + room
    assert account.gross + value <= limits.max_gross * equity * slack + room
    assert leg.side * account.net + value <= limits.max_net * equity * slack + room
    assert value * (1 + limits.price_buffer) * (1 + leg.taker) <= account.free * slack + room
    if not math.isnan(leg.volume):
        assert qty <= limits.max_volume_share * leg.volume * slack
    assert qty >= leg.min_qty and value >= leg.min_notional
    assert (qty == asked) == (reason == Reason.FULL)
