"""One moment of an account, bar by bar: what `portfolio.advance` does where something happens, for the executor.

The executor knows one closed bar at a time, so it cannot hop: it steps every leg on every bar. It calls `settle_moment`
(time passes, then the broker's half of every leg that is due), looks at what filled, then `manage_moment` (the
strategy's half, the day's mark, the decisions). Both are the functions that `advance` calls.
Where a venue fills the orders, `observe_moment` takes the place of the first, and fills come by `reported`.
"""

import numpy as np

from toolkit.bars.intervals import DAY_MS
from toolkit.compiled import borrowing, kernel
from toolkit.engine.account import NEXT_MIDNIGHT, Book, Exposure, Ledger, Tape, forget_ahead
from toolkit.engine.account_leg import manage_leg, settle
from toolkit.engine.exposure import measure
from toolkit.engine.portfolio import change, conclude, mark_day, next_change
from toolkit.engine.reported import observe
from toolkit.types import IntArray


@borrowing
def pass_time(book: Book, ledger: Ledger, tape: Tape, moment: int, exposure: Exposure) -> None:
    """Midnights that passed since the last moment, and changes that hold by now."""
    while True:
        next_moment = min(moment, next_change(book, ledger))
        while ledger.clock[NEXT_MIDNIGHT] < next_moment:
            mark_day(book, ledger, tape, ledger.clock[NEXT_MIDNIGHT], exposure)
            ledger.clock[NEXT_MIDNIGHT] += DAY_MS
        if next_change(book, ledger) > moment:
            break
        change(book, ledger, tape, next_moment)
        if next_moment < moment and next_moment == ledger.clock[NEXT_MIDNIGHT]:
            mark_day(book, ledger, tape, next_moment, exposure)
            ledger.clock[NEXT_MIDNIGHT] += DAY_MS


@kernel
def settle_moment(
    book: Book, ledger: Ledger, tape: Tape, due: tuple[IntArray, IntArray], moment: int, exposure: Exposure
) -> None:  # fmt: skip
    """Up to the fills of a moment: midnights that passed since the last one, changes that hold by now, fills.

    Parameters
    ----------
    due : int64[k] legs, ascending, and int64[k] the base bar of each; its market's arrays end with it.
    """
    pass_time(book, ledger, tape, moment, exposure)
    legs, bars = due
    for k in range(len(legs)):
        # Nothing was hopped over: what a look ahead folded in is not counted twice.
        forget_ahead(ledger.legs[legs[k]])
        settle(book, ledger, tape, legs[k], bars[k], exposure)


@kernel
def observe_moment(
    book: Book, ledger: Ledger, tape: Tape, due: tuple[IntArray, IntArray], moment: int, exposure: Exposure
) -> None:  # fmt: skip
    """As `settle_moment`, where a venue fills the orders: time passes and bars are seen, nothing is matched."""
    pass_time(book, ledger, tape, moment, exposure)
    legs, bars = due
    for k in range(len(legs)):
        forget_ahead(ledger.legs[legs[k]])
        observe(book, ledger, legs[k], bars[k])


@kernel
def manage_moment(
    book: Book, ledger: Ledger, tape: Tape, due: IntArray, moment: int, exposure: Exposure
) -> None:  # fmt: skip
    """After the fills of a moment: exits, trails and proposals of the legs that are due, the mark, decisions."""
    proposed = np.empty(len(due), np.int64)
    n = 0
    for leg in due:
        if manage_leg(book, ledger, tape, leg):
            proposed[n] = leg
            n += 1
    conclude(book, ledger, tape, proposed[:n], moment, exposure)


@kernel
def measure_moment(book: Book, ledger: Ledger, moment: int, exposure: Exposure) -> None:
    """The account as it is now, at the last closes known at `moment`, into `exposure`."""
    measure(book, ledger, moment, exposure)
