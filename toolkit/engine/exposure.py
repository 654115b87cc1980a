"""What an account holds at a moment: equity, exposures, and what is reserved for entries that wait."""

import math

import numpy as np

from toolkit.compiled import borrowing, inlined, kernel
from toolkit.engine.account import (
    CASH,
    EQUITY,
    GROSS,
    GROSS_SHARE,
    HELD,
    HELD_NET,
    N_OPEN,
    N_PENDING,
    NET,
    NET_SHARE,
    RESERVED,
    SLOTS,
    SYMBOL_SHARE,
    Book,
    Exposure,
    Ledger,
    worst_share,
)  # fmt: skip
from toolkit.engine.views import floats


@kernel
def new_exposure(book: Book) -> Exposure:
    """Working arrays for `measure`."""
    return Exposure(
        np.zeros(6), np.zeros(len(book.markets)), np.zeros(book.n_symbols), np.zeros(1, np.int64),
        np.zeros(2 * book.n_symbols, np.int64), np.zeros(book.n_strategies, np.int64),
    )  # fmt: skip


@borrowing
def measure(book: Book, ledger: Ledger, moment: int, exposure: Exposure) -> None:
    """The account at a moment: open trades at the last close that their market knew then, summed in the legs' order,
    and waiting entries at the price of their decision."""
    money, marks = exposure.money, exposure.marks
    for m in range(len(book.markets)):
        row = book.markets[m]
        index = min(moment // row["base_ms"] - row["t0"], row["n"]) - 1
        marks[m] = floats(row["close"], row["n"])[index] if index >= 0 else math.nan
    equity, gross, net, held, held_net, reserved = ledger.money[CASH], 0.0, 0.0, 0.0, 0.0, 0.0
    exposure.symbol_gross[:] = 0.0
    exposure.by_side[:] = 0
    exposure.by_strategy[:] = 0
    n_open, n_pending = ledger.clock[N_OPEN], ledger.clock[N_PENDING]
    for k in range(n_open + n_pending):
        leg = ledger.open_legs[k] if k < n_open else ledger.pending_legs[k - n_open]
        seat, state = book.seats[leg], ledger.legs[leg]
        side, symbol = seat["side"], seat["symbol"]
        if k < n_open:
            # Its market may have begun after this moment, inside a longer bar of another: then at what it paid.
            mark = marks[seat["market"]]
            value = state["qty"] * (state["entry_price"] if math.isnan(mark) else mark)
            equity += side * value
            held += value
            held_net += side * value
        else:
            value = state["pending"]
            reserved += state["reserved"]
        gross += value
        net += side * value
        exposure.symbol_gross[symbol] += value
        exposure.by_side[2 * symbol + (0 if side > 0 else 1)] += 1
        exposure.by_strategy[seat["strategy"]] += 1
    money[EQUITY], money[GROSS], money[NET] = equity, gross, net
    money[HELD], money[HELD_NET], money[RESERVED] = held, held_net, reserved
    exposure.slots[SLOTS] = n_open + n_pending


@inlined
def note_shares(ledger: Ledger, exposure: Exposure) -> None:
    """Keep the largest exposures since the last mark."""
    equity = exposure.money[EQUITY]
    worst_share(ledger.money, GROSS_SHARE, exposure.money[GROSS], equity)
    worst_share(ledger.money, NET_SHARE, abs(exposure.money[NET]), equity)
    for value in exposure.symbol_gross:
        worst_share(ledger.money, SYMBOL_SHARE, value, equity)
