"""Performance figures of one instance from its trade records, at a cost that follows trades and days, not bars.

Returns are on a fixed notional (the capital): a day's return is its profit divided by the capital, whatever came
before. With `compound` each day's return is earned on the equity of its beginning instead.
"""

import math
from typing import NamedTuple

import numpy as np

from toolkit.bars.intervals import DAY_MS, WEEK_MS, floor_ts
from toolkit.bars.series import Bars
from toolkit.compiled import borrowing, inlined, kernel
from toolkit.engine.market import first_t
from toolkit.engine.types import CostRates, ExitReason, TargetFill
from toolkit.types import FloatArray, IntArray, Records

DAYS_PER_YEAR = 365

METRICS: dict[str, str] = {
    "total_return": "profit over capital, open trades at their mark",
    "annual_return": "total return scaled to 365 days",
    "sharpe": "mean daily return over its standard deviation (ddof 1), times sqrt(365)",
    "sortino": "mean daily return over the root mean square of the negative ones, times sqrt(365)",
    "calmar": "annual return over max drawdown",
    "max_drawdown": "largest fall from a peak of daily equity, a fraction of the peak",
    "max_drawdown_days": "longest time from a peak of daily equity to its recovery (or the end), days",
    "max_drawdown_intraday": "bound on the drawdown inside days, every trade at its worst price; NaN when compounding",
    "trades": "closed trades",
    "win_rate": "share of closed trades with a profit after costs",
    "expectancy": "mean profit of a closed trade, money",
    "expectancy_r": "mean profit of a closed trade in multiples of its stop distance; NaN without stops",
    "avg_win": "mean profit of the winners, money",
    "avg_loss": "mean loss of the losers, money, negative",
    "profit_factor": "sum of wins over sum of losses",
    "weeks_profitable": "share of all weeks (from Monday) with a profit",
    "months_profitable": "share of all calendar months with a profit",
    "exposure": "time in open trades over the time of the run; both sides of an instance add up, on an account "
    "trades that overlap count once",
    "fees": "fees paid, money",
    "funding": "funding received (negative: paid), money",
    "worst_trade": "largest loss of a closed trade, money",
    "turnover": "notional traded a year, multiples of the capital",
    "return_at_twice_costs": "total return of the same trades, had each paid its fees and slippage twice",
    "ambiguous_trades": "closed trades whose one bar reached stop and target and does not tell which came first",
    "ambiguous_pnl": "profit that hangs on that order, money: the sum over them of best less worst case",
    "open_trades": "trades still open at the end (in equity, not in the trade figures)",
}
"""Every figure by name with its definition; a row of `summarise` has them in this order."""

N_METRICS = len(METRICS)
_TARGET, _MARKET = int(ExitReason.TARGET), int(TargetFill.MARKET)


class Calendar(NamedTuple):
    """Days of a run: `day0` is the absolute number of the first, `close` the last close of each day.

    week, month : int64[n_days], running number of the week and month that a day belongs to.
    """

    base_ms: int
    start_t: int
    end_t: int
    day0: int
    close: FloatArray
    week: IntArray
    month: IntArray


class Account(NamedTuple):
    """What turns trades into figures: capital (money), compounding, cost rates and how targets fill."""

    capital: float
    compound: bool
    rates: CostRates
    target_fill: int


class Scratch(NamedTuple):
    """Arrays that `summarise` overwrites: per day the profit, the extra cost at twice the costs, the equity at its end,
    float64[n_days], and the equity peaks until each day begins, float64[n_days + 1]; then sums over trades."""

    daily: FloatArray
    extra: FloatArray
    equity: FloatArray
    peaks: FloatArray
    sums: FloatArray


def make_calendar(bars: Bars, start_t: int) -> Calendar:
    """The days of base series `bars` from bar `start_t` on; memoised."""
    return bars.memo(("calendar", start_t), lambda: _build_calendar(bars, start_t))


def _build_calendar(bars: Bars, start_t: int) -> Calendar:
    step = bars.interval_ms
    t0 = first_t(bars)
    end_t = t0 + len(bars)
    n = end_t - start_t
    if n <= 0:
        empty = np.empty(0, np.int64)
        return Calendar(step, start_t, end_t, 0, np.empty(0), empty, empty)
    first_ts = int(bars.ts[start_t - t0])
    day0 = first_ts // DAY_MS
    n_days = int(bars.ts[-1]) // DAY_MS - day0 + 1
    # The last bar that opens before each day's end; a day inside a longer bar has the bar before it.
    ends = (day0 + 1 + np.arange(n_days)) * DAY_MS
    last_of_day = np.minimum(-((first_ts - ends) // step), n) - 1
    close = bars.close[start_t - t0 :][last_of_day]
    days = (day0 + np.arange(n_days)) * DAY_MS
    week = (days - floor_ts(int(days[0]), WEEK_MS)) // WEEK_MS
    months = days.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    return Calendar(step, start_t, end_t, day0, np.ascontiguousarray(close), week, months - months[0])


@inlined
def pnl_of(trade: Records) -> float:
    """Profit of a trade after fees and funding, money."""
    gross = trade["side"] * trade["qty"] * (trade["exit_price"] - trade["entry_price"])
    return float(gross - trade["entry_fee"] - trade["exit_fee"] + trade["funding"])


@inlined
def entry_cost(trade: Records, slippage: float) -> float:
    """What the entry paid in slippage and fee, money; a rebate is no cost."""
    price = trade["entry_price"]
    slipped = abs(price - price / (1.0 + trade["side"] * slippage)) * trade["qty"]
    fee = float(trade["entry_fee"])
    return float(slipped + max(fee, 0.0))


@inlined
def exit_cost(trade: Records, slippage: float, target_fill: int) -> float:
    """What the exit paid in slippage and fee, money; resting targets do not slip, a mark at the end costs nothing."""
    reason, price = trade["exit_reason"], trade["exit_price"]
    slipped = 0.0
    if reason != 0 and (reason != _TARGET or target_fill == _MARKET):
        slipped = abs(price - price / (1.0 - trade["side"] * slippage)) * trade["qty"]
    fee = float(trade["exit_fee"])
    return float(slipped + max(fee, 0.0))


@borrowing
def add_daily(
    trades: Records, prices: tuple[FloatArray, int], account: Account, days: Calendar, scratch: Scratch
) -> None:
    """Add each trade's profit to the days it was made on, and what it would cost more at twice the costs.

    At 00:00 UTC an open trade is marked at the last close. `prices` are the base series' opens and the absolute number
    of its first bar (funding is charged at opens).
    """
    opens, t0 = prices
    rates, daily, extra = account.rates, scratch.daily, scratch.extra
    for k in range(len(trades)):
        trade = trades[k]
        side_qty = trade["side"] * trade["qty"]
        first = trade["entry_t"] * days.base_ms // DAY_MS - days.day0
        last = trade["exit_t"] * days.base_ms // DAY_MS - days.day0
        mark = trade["entry_price"]
        daily[first] -= trade["entry_fee"]
        for d in range(first, last):
            daily[d] += side_qty * (days.close[d] - mark)
            mark = days.close[d]
        daily[last] += side_qty * (trade["exit_price"] - mark) - trade["exit_fee"]
        extra[first] += entry_cost(trade, rates.slippage)
        extra[last] += exit_cost(trade, rates.slippage, account.target_fill)
        if rates.funding_bars > 0:
            stamp = (trade["entry_t"] // rates.funding_bars + 1) * rates.funding_bars
            while stamp <= trade["exit_t"]:
                day = stamp * days.base_ms // DAY_MS - days.day0
                daily[day] -= side_qty * opens[stamp - t0] * rates.funding_rate
                stamp += rates.funding_bars


@borrowing
def grow(daily: FloatArray, extra: FloatArray, times: float, account: Account, equity: FloatArray) -> None:
    """Equity at the end of each day from daily profits less `times` the extra costs, money on the fixed notional.

    Compounding, a day's profit is scaled to the equity it began with, and an account that is used up stays at zero.
    """
    now = account.capital
    for d in range(len(daily)):
        profit = daily[d] - times * extra[d]
        now = max(0.0, now * (1.0 + profit / account.capital)) if account.compound else now + profit
        equity[d] = now


@borrowing
def trade_figures(trades: Records, account: Account, days: Calendar, out: FloatArray) -> None:
    """Sums over trades into `out` (float64[14]): closed, wins, sum of wins, sum of losses, R and its count, fees,
    funding, worst, notional, bars held, ambiguous count, ambiguous money, open."""
    for k in range(len(trades)):
        trade = trades[k]
        fees = trade["entry_fee"] + trade["exit_fee"]
        entry_notional = trade["qty"] * trade["entry_price"]
        out[6] += fees
        out[7] += trade["funding"]
        out[9] += entry_notional
        out[10] += trade["exit_t"] - trade["entry_t"] + (1 if trade["exit_reason"] == 0 else 0)
        if trade["exit_reason"] == 0:
            out[13] += 1.0
            continue
        pnl = pnl_of(trade)
        out[9] += trade["qty"] * trade["exit_price"]
        out[0] += 1.0
        if pnl > 0.0:
            out[1] += 1.0
            out[2] += pnl
        else:
            out[3] += pnl
        out[8] = min(out[8], pnl)
        risk = abs(trade["entry_price"] - trade["stop_price"]) * trade["qty"]
        if risk > 0.0:
            out[4] += pnl / risk
            out[5] += 1.0
        if not math.isnan(trade["other_price"]):
            out[11] += 1.0
            out[12] += trade["qty"] * abs(trade["other_price"] - trade["exit_price"])


@borrowing
def intraday_drawdown(trades: Records, others: Records, days: Calendar, peaks: FloatArray, capital: float) -> float:
    """Largest fall, as a fraction of the peak, from the highest equity before a trade to the trade at its worst price.

    A trade of the other side that is open meanwhile is taken at its own worst price: a bound, not a path.
    peaks : float64[n_days + 1], highest daily equity until each day begins.
    """
    worst, own, other, peak = 0.0, capital, 0.0, capital
    j = 0
    for k in range(len(trades)):
        trade = trades[k]
        while j < len(others) and others[j]["exit_t"] <= trade["entry_t"] and others[j]["exit_reason"] != 0:
            other += pnl_of(others[j])
            j += 1
        day = trade["entry_t"] * days.base_ms // DAY_MS - days.day0
        peak = max(peak, own + other, peaks[day])
        low = lowest_pnl(trade)
        if j < len(others) and others[j]["entry_t"] < trade["exit_t"]:
            low += lowest_pnl(others[j])
        worst = max(worst, (peak - (own + other + low)) / peak)
        own += pnl_of(trade)
    return worst


@inlined
def lowest_pnl(trade: Records) -> float:
    """The trade's profit at its worst price or at its end, whichever is lower, and never above zero."""
    at_worst = trade["side"] * trade["qty"] * (trade["worst"] - trade["entry_price"]) - trade["entry_fee"]
    return float(min(0.0, at_worst, pnl_of(trade)))


@borrowing
def share_positive(daily: FloatArray, group: IntArray) -> float:
    """Share of groups of consecutive days whose profit is above zero; NaN without days."""
    if len(group) == 0:
        return math.nan
    positive, total = 0, 0.0
    for d in range(len(group)):
        total += daily[d]
        if d + 1 == len(group) or group[d + 1] != group[d]:
            positive += 1 if total > 0.0 else 0
            total = 0.0
    return positive / float(group[-1] + 1)


@borrowing
def daily_figures(account: Account, scratch: Scratch, out: FloatArray) -> None:
    """The first seven figures of `METRICS` from the days' profits and equity; fills `peaks`."""
    daily, equity, peaks = scratch.daily, scratch.equity, scratch.peaks
    n, capital = len(daily), account.capital
    total = squares = downside = worst = 0.0
    longest, last_peak = 0, -1
    peaks[0] = capital
    for d in range(n):
        r = daily[d] / capital
        total += r
        downside += min(r, 0.0) ** 2
        recovered = equity[d] >= peaks[d]
        # From the peak's mark to the mark that is back at it; a day that follows a peak and is one too was no drawdown.
        if not recovered or last_peak < d - 1:
            longest = max(longest, d - last_peak)
        if recovered:
            last_peak = d
        peaks[d + 1] = max(peaks[d], equity[d])
        worst = max(worst, (peaks[d + 1] - equity[d]) / peaks[d + 1])
    mean = total / n if n else math.nan
    for d in range(n):
        squares += (daily[d] / capital - mean) ** 2
    end = equity[n - 1] if n else capital
    years = n / DAYS_PER_YEAR
    out[0] = end / capital - 1.0
    out[1] = math.nan
    if n:
        out[1] = (end / capital) ** (1.0 / years) - 1.0 if account.compound else out[0] / years
    deviation = math.sqrt(squares / (n - 1)) if n > 1 else 0.0
    out[2] = mean / deviation * math.sqrt(DAYS_PER_YEAR) if deviation > 0.0 else math.nan
    out[3] = mean / math.sqrt(downside / n) * math.sqrt(DAYS_PER_YEAR) if downside > 0.0 else math.nan
    out[4] = out[1] / worst if worst > 0.0 else math.nan
    out[5] = worst
    out[6] = longest


@borrowing
def summarise(
    long: Records,
    short: Records,
    prices: tuple[FloatArray, int],
    account: Account,
    days: Calendar,
    scratch: Scratch,
    out: FloatArray,
) -> None:
    """All figures of one instance into `out`.

    Parameters
    ----------
    long, short : TRADE records of each side in time order (empty for a side that was not run).
    prices : the base series' opens, float64[n], and the absolute number of its first bar.
    scratch : see `new_scratch`; holds the days' profits and equity afterwards.
    out : float64[N_METRICS], in the order of `METRICS`. NaN where a figure is not defined (no trades, no losses).
    """
    sums = scratch.sums
    scratch.daily[:] = 0.0
    scratch.extra[:] = 0.0
    sums[:] = 0.0
    add_daily(long, prices, account, days, scratch)
    add_daily(short, prices, account, days, scratch)
    trade_figures(long, account, days, sums)
    trade_figures(short, account, days, sums)
    grow(scratch.daily, scratch.extra, 1.0, account, scratch.equity)
    out[22] = (scratch.equity[-1] if len(scratch.equity) else account.capital) / account.capital - 1.0
    grow(scratch.daily, scratch.extra, 0.0, account, scratch.equity)
    daily_figures(account, scratch, out)
    out[7] = math.nan
    if not account.compound:
        out[7] = max(
            out[5],
            intraday_drawdown(long, short, days, scratch.peaks, account.capital),
            intraday_drawdown(short, long, days, scratch.peaks, account.capital),
        )
    closed, wins, won, lost = sums[0], sums[1], sums[2], sums[3]
    losses = closed - wins
    out[8] = closed
    out[9] = wins / closed if closed else math.nan
    out[10] = (won + lost) / closed if closed else math.nan
    out[11] = sums[4] / sums[5] if sums[5] else math.nan
    out[12] = won / wins if wins else math.nan
    out[13] = lost / losses if losses else math.nan
    out[14] = won / -lost if lost < 0.0 else math.nan
    out[15] = share_positive(scratch.daily, days.week)
    out[16] = share_positive(scratch.daily, days.month)
    span = days.end_t - days.start_t
    out[17] = sums[10] / span if span else math.nan
    out[18] = sums[6]
    out[19] = sums[7]
    out[20] = sums[8] if closed else math.nan
    years = len(scratch.daily) / DAYS_PER_YEAR
    out[21] = sums[9] / account.capital / years if years else math.nan
    out[23] = sums[11]
    out[24] = sums[12]
    out[25] = sums[13]


@kernel
def new_scratch(n_days: int) -> Scratch:
    """Working arrays for a calendar of `n_days`."""
    return Scratch(np.empty(n_days), np.empty(n_days), np.empty(n_days), np.empty(n_days + 1), np.empty(14))


@kernel
def summarise_one(
    long: Records, short: Records, opens: FloatArray, t0: int, account: Account, days: Calendar
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """`summarise` with its own arrays: float64[N_METRICS], and the days' profit and equity, float64[n_days]."""
    scratch = new_scratch(len(days.close))
    out = np.empty(N_METRICS)
    summarise(long, short, (opens, t0), account, days, scratch, out)
    return out, scratch.daily, scratch.equity
