"""Final size and compliance of one entry: `size_entry`, the same compiled function in a backtest and in the executor.

A size is asked for (`asked_qty`), then every limit says how much room it leaves. The smallest room decides the quantity
and gives its reason; a rule that forbids the entry gives none.
"""

import math
from enum import IntEnum
from typing import NamedTuple

from toolkit.compiled import inlined


class SizeMode(IntEnum):
    """What the asked quantity follows from; see `toolkit.portfolio.limits.Limits.sizing`."""

    WEIGHT = 0
    RISK = 1
    NOTIONAL = 2
    PREDICTION = 3


class Reason(IntEnum):
    """Why an entry got the quantity it got; `REASONS` has the texts."""

    FULL = 0
    VETOED = 1
    REFUSED = 2
    OFF = 3
    NO_EQUITY = 4
    DAILY_LOSS = 5
    DRAWDOWN = 6
    SHORT_ON_SPOT = 7
    OPPOSITE_LEG = 8
    NO_STOP = 9
    NO_PREDICTION = 10
    NO_BET = 11
    MAX_OPEN = 12
    MAX_OPEN_SYMBOL = 13
    MAX_OPEN_STRATEGY = 14
    MAX_TRADE = 15
    MAX_TRADE_NOTIONAL = 16
    MAX_SYMBOL = 17
    MAX_GROSS = 18
    MAX_NET = 19
    LEVERAGE = 20
    VOLUME = 21
    LOT = 22
    MIN_QTY = 23
    MIN_NOTIONAL = 24
    UNPAID = 25
    BY_HAND = 26
    STALE = 27
    UNANSWERED = 28
    VENUE = 29


REASONS: dict[Reason, str] = {
    Reason.FULL: "as asked",
    Reason.VETOED: "the model vetoed it",
    Reason.REFUSED: "refused by the caller's verdicts",
    Reason.OFF: "the instance has no weight",
    Reason.NO_EQUITY: "the account has no equity left",
    Reason.DAILY_LOSS: "halted: daily loss",
    Reason.DRAWDOWN: "halted: drawdown",
    Reason.SHORT_ON_SPOT: "a spot market has no shorts",
    Reason.OPPOSITE_LEG: "the other side is open on this symbol and there is no hedge mode",
    Reason.NO_STOP: "sizing by risk needs a stop",
    Reason.NO_PREDICTION: "sizing by prediction needs a prediction",
    Reason.NO_BET: "the prediction is not worth a bet",
    Reason.MAX_OPEN: "most open trades",
    Reason.MAX_OPEN_SYMBOL: "most open trades on the symbol",
    Reason.MAX_OPEN_STRATEGY: "most open trades of the strategy",
    Reason.MAX_TRADE: "largest share of equity in one trade",
    Reason.MAX_TRADE_NOTIONAL: "largest money in one trade",
    Reason.MAX_SYMBOL: "largest share of equity in one symbol",
    Reason.MAX_GROSS: "largest gross exposure",
    Reason.MAX_NET: "largest net exposure",
    Reason.LEVERAGE: "money that is free",
    Reason.VOLUME: "largest share of the bar's volume",
    Reason.LOT: "rounded down to the lot step",
    Reason.MIN_QTY: "below the venue's smallest quantity",
    Reason.MIN_NOTIONAL: "below the venue's smallest order",
    Reason.UNPAID: "the account could not pay at the fill",
    Reason.BY_HAND: "halted by hand",
    Reason.STALE: "the entry was older than the executor takes",
    Reason.UNANSWERED: "the model gave no answer",
    Reason.VENUE: "the venue did not take the order",
}

_WEIGHT, _RISK, _NOTIONAL = int(SizeMode.WEIGHT), int(SizeMode.RISK), int(SizeMode.NOTIONAL)
_FULL, _OFF, _NO_EQUITY = int(Reason.FULL), int(Reason.OFF), int(Reason.NO_EQUITY)
_DAILY_LOSS, _DRAWDOWN = int(Reason.DAILY_LOSS), int(Reason.DRAWDOWN)
_BY_HAND, _STALE = int(Reason.BY_HAND), int(Reason.STALE)
_SHORT_ON_SPOT, _OPPOSITE_LEG = int(Reason.SHORT_ON_SPOT), int(Reason.OPPOSITE_LEG)
_NO_STOP, _NO_PREDICTION, _NO_BET = int(Reason.NO_STOP), int(Reason.NO_PREDICTION), int(Reason.NO_BET)
_MAX_OPEN, _MAX_OPEN_SYMBOL = int(Reason.MAX_OPEN), int(Reason.MAX_OPEN_SYMBOL)
_MAX_OPEN_STRATEGY, _MAX_TRADE = int(Reason.MAX_OPEN_STRATEGY), int(Reason.MAX_TRADE)
_MAX_TRADE_NOTIONAL, _MAX_SYMBOL = int(Reason.MAX_TRADE_NOTIONAL), int(Reason.MAX_SYMBOL)
_MAX_GROSS, _MAX_NET, _LEVERAGE = int(Reason.MAX_GROSS), int(Reason.MAX_NET), int(Reason.LEVERAGE)
_VOLUME, _LOT = int(Reason.VOLUME), int(Reason.LOT)
_MIN_QTY, _MIN_NOTIONAL = int(Reason.MIN_QTY), int(Reason.MIN_NOTIONAL)

# Halts, as `AccountAt.halt`.
NO_HALT, DAILY_LOSS_HALT, DRAWDOWN_HALT, BY_HAND_HALT, STALE_HALT = 0, 1, 2, 3, 4


class LimitRates(NamedTuple):
    """`Limits` in numbers; shares are of equity, infinity = no limit. `halt_*` are falls that stop new entries."""

    mode: int
    exposure: float
    risk_per_trade: float
    notional_per_trade: float
    price_buffer: float
    max_trade: float
    max_trade_notional: float
    max_symbol: float
    max_gross: float
    max_net: float
    leverage: float
    max_open: int
    max_open_symbol: int
    max_open_strategy: int
    max_volume_share: float
    halt_daily_loss: float
    halt_drawdown: float
    halt_closes: bool
    by_prediction: bool


class AccountAt(NamedTuple):
    """The account at a decision, money at decision prices; accepted entries that wait for their fill are counted in.

    free : leverage times equity, less what is in use and reserved. symbol_gross, open_symbol, open_strategy : of the
    leg's own symbol and strategy. opposite : the other side is open or pending on the symbol. n_on : instances with a
    weight. halt : NO_HALT, DAILY_LOSS_HALT, DRAWDOWN_HALT, BY_HAND_HALT or STALE_HALT.
    """

    equity: float
    free: float
    gross: float
    net: float
    symbol_gross: float
    open_trades: int
    open_symbol: int
    open_strategy: int
    opposite: bool
    n_on: int
    halt: int


class LegAt(NamedTuple):
    """What the leg's market allows: `volume` of the decision's bar (NaN = unknown), lot step and minima (0 = none)."""

    side: int
    taker: float
    volume: float
    lot_step: float
    min_qty: float
    min_notional: float
    spot: bool
    hedge: bool


@inlined
def asked_qty(
    account: AccountAt, price: float, stop: float, weight: float, prediction: float, limits: LimitRates
) -> float:
    """The quantity before any limit, NaN where the mode lacks what it sizes by.

    weight : a share `weight` (times `exposure`) of equity. risk : what loses `risk_per_trade` of equity at the stop,
    before costs. notional : fixed money. Of these two an instance gets its weight relative to an equal one.
    prediction : as weight, times how far a probability is above a half (2p - 1, the Kelly fraction at even odds).
    """
    if limits.mode == _WEIGHT:
        return weight * limits.exposure * account.equity / price
    if limits.mode == _RISK:
        distance = abs(price - stop)
        return (
            limits.risk_per_trade * account.equity * (weight * account.n_on) / distance if distance > 0.0 else math.nan
        )
    if limits.mode == _NOTIONAL:
        return limits.notional_per_trade * (weight * account.n_on) / price
    edge = min(1.0, max(0.0, 2.0 * prediction - 1.0)) if not math.isnan(prediction) else prediction
    return weight * limits.exposure * account.equity * edge / price


@inlined
def forbidden(account: AccountAt, leg: LegAt, weight: float, limits: LimitRates) -> int:
    """The first rule that forbids the entry whatever its size, FULL where none does."""
    if not weight > 0.0:
        return _OFF
    if not account.equity > 0.0:
        return _NO_EQUITY
    if account.halt != NO_HALT:
        if account.halt == DAILY_LOSS_HALT:
            return _DAILY_LOSS
        if account.halt == DRAWDOWN_HALT:
            return _DRAWDOWN
        return _BY_HAND if account.halt == BY_HAND_HALT else _STALE
    if leg.spot and leg.side < 0:
        return _SHORT_ON_SPOT
    if account.opposite and not leg.hedge:
        return _OPPOSITE_LEG
    if account.open_trades >= limits.max_open:
        return _MAX_OPEN
    if account.open_symbol >= limits.max_open_symbol:
        return _MAX_OPEN_SYMBOL
    if account.open_strategy >= limits.max_open_strategy:
        return _MAX_OPEN_STRATEGY
    return _FULL


@inlined
def room(account: AccountAt, leg: LegAt, limits: LimitRates) -> tuple[float, int]:
    """The smallest money that a limit leaves for this entry (its notional at the decision's price), and which.

    The fill may be worse than the decision by `price_buffer` and pays a fee: both are kept free beside the notional.
    """
    equity, least, reason = account.equity, limits.max_trade * account.equity, _MAX_TRADE
    if limits.max_trade_notional < least:
        least, reason = limits.max_trade_notional, _MAX_TRADE_NOTIONAL
    left = limits.max_symbol * equity - account.symbol_gross
    if left < least:
        least, reason = left, _MAX_SYMBOL
    left = limits.max_gross * equity - account.gross
    if left < least:
        least, reason = left, _MAX_GROSS
    left = limits.max_net * equity - leg.side * account.net
    if left < least:
        least, reason = left, _MAX_NET
    left = account.free / ((1.0 + limits.price_buffer) * (1.0 + leg.taker))
    if left < least:
        least, reason = left, _LEVERAGE
    # What rounding leaves at a limit that was filled to the brim is no room.
    return least if least > 1e-9 * equity else 0.0, reason


@inlined
def size_entry(
    account: AccountAt,
    leg: LegAt,
    price: float,
    stop: float,
    weight: float,
    said: tuple[float, float],
    limits: LimitRates,
) -> tuple[float, int, float]:
    """The quantity that an entry gets, the `Reason` for it, and the quantity that was asked.

    Parameters
    ----------
    price : close of the decision's bar. stop : level of the stop, were the entry filled at `price`; NaN = none.
    weight : the instance's share of equity. said : the model's probability (NaN = none), and its share of the size.

    Returns
    -------
    qty : as asked (FULL), less (the limit that left least), or 0 (what forbade it, or left too little).
    """
    prediction, scale = said
    asked = scale * asked_qty(account, price, stop, weight, prediction, limits)
    no = forbidden(account, leg, weight, limits)
    if no != _FULL:
        return 0.0, no, asked
    if not asked > 0.0:
        if not scale > 0.0:
            return 0.0, _NO_BET, asked
        if limits.mode == _RISK:
            return 0.0, _NO_STOP, asked
        return 0.0, _NO_PREDICTION if math.isnan(prediction) else _NO_BET, asked
    qty, reason = asked, _FULL
    money, limit = room(account, leg, limits)
    if money < asked * price:
        qty, reason = money / price, limit
    if limits.max_volume_share < math.inf and limits.max_volume_share * leg.volume < qty:
        qty, reason = limits.max_volume_share * leg.volume, _VOLUME
    if leg.lot_step > 0.0:
        lots = math.floor(qty / leg.lot_step + 1e-9) * leg.lot_step
        if lots < qty:
            qty, reason = lots, _LOT if reason == _FULL else reason
    if qty > 0.0 and qty < leg.min_qty:
        return 0.0, _MIN_QTY if reason in (_FULL, _LOT) else reason, asked
    if qty > 0.0 and qty * price < leg.min_notional:
        return 0.0, _MIN_NOTIONAL if reason in (_FULL, _LOT) else reason, asked
    return qty, reason, asked
