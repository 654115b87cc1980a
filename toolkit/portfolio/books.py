"""What each instance of a portfolio made on each day, in the account's money: the account's books by instance."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toolkit.analysis.metrics import Account, Calendar, add_daily, make_calendar, new_scratch, pnl_of
from toolkit.bars.intervals import DAY_MS
from toolkit.compiled import borrowing, kernel
from toolkit.types import FloatArray, Records

if TYPE_CHECKING:
    from toolkit.portfolio.loading import LoadedMember
    from toolkit.portfolio.simulate import PortfolioRun


@dataclass(frozen=True)
class Books:
    """Daily profits of an account, marked at 00:00 UTC (open trades at the last close).

    Attributes
    ----------
    day0 : absolute number of the account's first UTC day.
    pnl : float64[n_members, n_days], money; summed over members it is the account's profit of the day.
    extra : float64[n_days], what the day's fills would cost more had each paid its fees and slippage twice, money.
    low : float64[n_days], <= 0: a bound on how far the account fell below the day's first mark, money, every trade of
        the day at its worst price at the same moment.
    """

    day0: int
    pnl: FloatArray
    extra: FloatArray
    low: FloatArray


def make_books(run: "PortfolioRun") -> Books:
    """The books of a portfolio's run."""
    day0, n_days = run.start_ms // DAY_MS, -(-run.end_ms // DAY_MS) - run.start_ms // DAY_MS
    books = Books(day0, np.zeros((len(run.members), n_days)), np.zeros(n_days), np.zeros(n_days))
    order = np.argsort(run.trade_member, kind="stable")
    trades = run.trades[order]
    edges = np.searchsorted(run.trade_member[order], np.arange(len(run.members) + 1))
    for k, loaded in enumerate(run.members):
        mine = trades[edges[k] : edges[k + 1]]
        if not len(mine):
            continue
        prepared, days = loaded.prepared, calendar_of(loaded, run.start_ms)
        account = Account(run.capital, True, prepared.rates, prepared.rules.target_fill)
        daily, extra, low = _instance_days(mine, prepared.market.open, prepared.market.t0, account, days)
        first, n = days.day0 - day0, min(len(daily), n_days - (days.day0 - day0))
        books.pnl[k, first : first + n] = daily[:n]
        books.extra[first : first + n] += extra[:n]
        books.low[first : first + n] += low[:n]
    return books


def calendar_of(loaded: "LoadedMember", start_ms: int) -> Calendar:
    """The days of a member's base bars from the account's start (or their own) on; shared by members of one series."""
    base = loaded.bars.base
    return make_calendar(base, max(loaded.prepared.start_t, -(-start_ms // base.interval_ms)))


@kernel
def _instance_days(
    trades: Records, opens: FloatArray, t0: int, account: Account, days: Calendar
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Profit, extra cost at twice the costs, and bound on the fall of each day, float64[n_days] each."""
    n = len(days.close)
    scratch = new_scratch(n)
    scratch.daily[:] = 0.0
    scratch.extra[:] = 0.0
    add_daily(trades, (opens, t0), account, days, scratch)
    low = np.zeros(n)
    _add_lowest(trades, days, low)
    return scratch.daily, scratch.extra, low


@borrowing
def _add_lowest(trades: Records, days: Calendar, low: FloatArray) -> None:
    """Add, for each day that a trade is open on, how far below the day's first mark its worst price lies.

    Funding that was received does not lift the worst price; what was paid counts whole on every day, so it is a bound.
    """
    for k in range(len(trades)):
        trade = trades[k]
        side_qty = trade["side"] * trade["qty"]
        first = trade["entry_t"] * days.base_ms // DAY_MS - days.day0
        last = trade["exit_t"] * days.base_ms // DAY_MS - days.day0
        at_worst = side_qty * (trade["worst"] - trade["entry_price"]) - trade["entry_fee"]
        worst = min(0.0, at_worst, pnl_of(trade) - trade["funding"]) + min(0.0, trade["funding"])
        marked = 0.0
        for d in range(first, last + 1):
            low[d] += min(0.0, worst - marked)
            marked = side_qty * (days.close[d] - trade["entry_price"]) - trade["entry_fee"]
