"""Trades whose fills a venue reports: what a live executor does in place of matching.

The strategy's half is the backtest's (`account_leg.manage_leg`); these functions bring a leg and the account's money to
what was filled. Fees are money here: a fee in the base currency is less quantity and the same money (the account paid
for what it did not get).
"""

from toolkit.compiled import borrowing, kernel
from toolkit.engine.account import (
    CASH,
    N_OPEN,
    Book,
    Ledger,
    Tape,
    add_leg,
    drop_leg,
    load_leg,
    save_leg,
)  # fmt: skip
from toolkit.engine.account_leg import leave_queue_of_entries
from toolkit.engine.hop import END_TRADE, bar_at, end_signal
from toolkit.engine.lifecycle import cancel_entry, close_signal, further, opened, seen
from toolkit.engine.types import ENTRY_ORDER, EXIT_ORDER, NO_ORDER, LegState, Order
from toolkit.engine.views import costs_of, market_at


@borrowing
def observe(book: Book, ledger: Ledger, leg: int, t: int) -> None:
    """The leg has seen base bar `t`: an open trade pays funding and keeps its extremes."""
    row, seat = ledger.legs[leg], book.seats[leg]
    state, side = load_leg(row), seat["side"]
    row["last_t"] = t
    if not state.trade.active:
        return
    bar, trade = bar_at(market_at(book.markets, seat["market"]), t), state.trade
    costs = costs_of(book.seats, leg)
    funding, best, worst = trade.funding, trade.best, trade.worst
    if costs.funding_bars > 0 and bar.t % costs.funding_bars == 0 and bar.t > trade.entry_t:
        funding -= side * trade.qty * bar.open * costs.funding_rate
        ledger.money[CASH] += funding - trade.funding
    if bar.can_trade and bar.t >= trade.entry_t:
        adverse, favourable = (bar.low, bar.high) if side > 0 else (bar.high, bar.low)
        best, worst = further(side, best, favourable), further(-side, worst, adverse)
    trade = seen(trade, best, worst, True, funding)
    save_leg(row, LegState(side, state.order, trade, state.signal, state.period))
    row["last_t"] = t


@kernel
def enter(book: Book, ledger: Ledger, leg: int, t: int, fill: tuple[float, float, float]) -> None:
    """A fill of the leg's entry in base bar `t`: price, quantity that is held by it, fee (money).

    The first one opens the trade, with its levels; another adds to it at the mean price, and leaves them. A fee that is
    said later comes as a fill of no quantity (or, paid in base units, of a negative one).
    """
    row, seat = ledger.legs[leg], book.seats[leg]
    price, qty, fee = fill
    state, side = load_leg(row), seat["side"]
    if state.trade.active:
        whole = row["qty"] + qty
        if qty > 0.0:
            row["entry_price"] = (row["qty"] * row["entry_price"] + qty * price) / whole
        row["qty"] = whole
        row["entry_fee"] += fee
    else:
        trade = opened(state, t, price, qty, fee, costs_of(book.seats, leg).tick)
        ordered = state.order.kind == ENTRY_ORDER
        order = Order(NO_ORDER, state.order.t, 0) if ordered else state.order
        save_leg(row, LegState(side, order, trade, state.signal, state.period))
        ledger.clock[N_OPEN] = add_leg(ledger.open_legs, ledger.clock[N_OPEN], leg)
        if ordered:
            leave_queue_of_entries(ledger, leg)
    ledger.money[CASH] -= side * qty * price + fee


@kernel
def leave(book: Book, ledger: Ledger, leg: int, fill: tuple[float, float, float]) -> None:
    """A fill of an order that leaves the leg's trade: price, quantity that is held no longer, fee (money)."""
    row = ledger.legs[leg]
    price, qty, fee = fill
    row["qty"] = max(0.0, row["qty"] - qty)
    ledger.money[CASH] += book.seats[leg]["side"] * qty * price - fee


@kernel
def close(book: Book, ledger: Ledger, tape: Tape, leg: int, t: int) -> None:
    """The leg's trade is over in base bar `t`: nothing of it is held that could be sold."""
    row = ledger.legs[leg]
    state = load_leg(row)
    end_signal(state, t, END_TRADE, tape.signals, row["signal_row"])
    trade = seen(state.trade, row["best"], row["worst"], False, row["funding"])
    order = Order(NO_ORDER, state.order.t, 0)
    save_leg(row, LegState(book.seats[leg]["side"], order, trade, close_signal(state.signal), state.period))
    row["halt_t"] = -1
    ledger.clock[N_OPEN] = drop_leg(ledger.open_legs, ledger.clock[N_OPEN], leg)


@kernel
def give_up(book: Book, ledger: Ledger, tape: Tape, leg: int, t: int, end: int, reason: int) -> None:
    """The leg's waiting entry will not fill: its signal ends with `end` (SignalEnd). reason : a Reason, or -1."""
    row = ledger.legs[leg]
    state = load_leg(row)
    if row["signal_row"] >= 0 and reason >= 0:
        tape.signal_reason[row["signal_row"]] = reason
    end_signal(state, t, end, tape.signals, row["signal_row"])
    save_leg(row, cancel_entry(state))
    leave_queue_of_entries(ledger, leg)


@kernel
def order_exit(ledger: Ledger, leg: int, t: int, reason: int, price: float) -> None:
    """An exit of the leg's trade is wanted from the close of base bar `t` on; `price` is expected."""
    row = ledger.legs[leg]
    row["order_kind"] = EXIT_ORDER
    row["order_t"] = t
    row["order_reason"] = reason
    row["order_price"] = price
