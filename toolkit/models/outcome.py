"""What members earned over a period with a model in the loop: every figure is of a path that was simulated with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.analysis.metrics import Account, make_calendar, summarise_one
from toolkit.bars.intervals import DAY_MS
from toolkit.engine.market import first_t
from toolkit.engine.run import EngineRun
from toolkit.engine.types import LONG, SHORT, TRADE, Judged
from toolkit.errors import InputError
from toolkit.models.judging import resimulate, scales_at
from toolkit.models.paths import begun, until
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.loading import LoadedMember
from toolkit.portfolio.schedule import WeightSchedule
from toolkit.portfolio.simulate import simulate
from toolkit.types import FloatArray, IntArray, Records

_NOTIONAL = 1.0
# On an account with slots money must never be what refuses an entry: so many times what the slots hold.
_DEEP = 10_000.0

Said = Mapping[str, Mapping[int, Judged]]


@dataclass(frozen=True, eq=False)
class Earned:
    """Profits of members over some UTC days, a full trade being entered with a notional of 1.

    Attributes
    ----------
    day0 : absolute number of the first day. daily : float64[n_members, n_days], 0 on days without a trade.
    returns : float64[n_trades], profit of each closed trade after costs, times the share of a size that it was given.
    member : int64[n_trades], whose it is.
    """

    day0: int
    daily: FloatArray
    returns: FloatArray
    member: IntArray

    @property
    def pooled(self) -> FloatArray:
        """float64[n_days]: all members together."""
        total: FloatArray = self.daily.sum(axis=0)
        return total

    @property
    def trades(self) -> int:
        return len(self.returns)

    def of(self, members: Iterable[int]) -> "Earned":
        """Some of the members, renumbered in this order."""
        chosen = list(members)
        place = {number: k for k, number in enumerate(chosen)}
        mine = np.isin(self.member, chosen)
        renumbered = np.array([place[number] for number in self.member[mine].tolist()], np.int64)
        return Earned(self.day0, self.daily[chosen], self.returns[mine], renumbered)


@dataclass(frozen=True, eq=False)
class Period:
    """Members and their ids, beginning flat at `span_ms[0]` and without any bar that closes after `span_ms[1]`."""

    members: tuple[LoadedMember, ...]
    ids: tuple[str, ...]
    span_ms: tuple[int, int]

    @property
    def day0(self) -> int:
        return self.span_ms[0] // DAY_MS

    @property
    def n_days(self) -> int:
        return (self.span_ms[1] - 1) // DAY_MS - self.day0 + 1


def period(loaded: Sequence[LoadedMember], start_ms: int, end_ms: int) -> Period:
    """The members over `[start_ms, end_ms)`; `InputError` where the period is empty."""
    if start_ms >= end_ms:
        raise InputError(f"a period must end after it begins, was {start_ms} to {end_ms} (epoch ms)")
    ids = tuple(one.instance.id for one in loaded)
    return Period(tuple(until(begun(one, start_ms), end_ms) for one in loaded), ids, (start_ms, end_ms))


def paths(over: Period, said: Said | None = None) -> list[EngineRun | None]:
    """Each member's run by itself with what is said of its raw entries; None where it has no bars in the period."""
    said = said or {}
    return [
        resimulate(one, said.get(name)) if _trades(one) else None
        for one, name in zip(over.members, over.ids, strict=True)
    ]


def earned(over: Period, said: Said | None = None, runs: Sequence[EngineRun | None] | None = None) -> Earned:
    """What the members earn, each by itself, at the shares of a size that are said; without models, at full size.

    runs : `paths(over, said)`, where they are there already.
    """
    said = said or {}
    trades = []
    made = paths(over, said) if runs is None else runs
    for one, name, run in zip(over.members, over.ids, made, strict=True):
        found = np.zeros(0, TRADE) if run is None else run.trades
        trades.append(_scaled(found, scales_at(one, said.get(name), found["signal_t"], found["side"])))
    return _earned(over, trades)


def earned_in_slots(over: Period, slots: int, said: Said | None = None, *, by_prediction: bool = True) -> Earned:
    """What the members earn on one account that holds at most `slots` trades at a time, each of the same notional.

    by_prediction : of the entries of one moment the likeliest first; otherwise by instance id, as equal weights do.
    """
    if isinstance(slots, bool) or slots < 1:
        raise InputError(f"`slots` must be at least 1, was {slots!r}")
    limits = Limits(
        sizing="notional", notional_per_trade=_NOTIONAL, max_open=slots,
        entry_order="prediction" if by_prediction else "weight",
    )  # fmt: skip
    there = [one for one in over.members if _trades(one)]
    by_id: dict[str, Records] = {}
    if there:
        ids = [one.instance.id for one in there]
        schedule = WeightSchedule.static(dict.fromkeys(ids, 1.0 / len(ids)), ids)
        start_ms, end_ms = over.span_ms
        run = simulate(
            there, schedule, limits, capital=_DEEP * slots * _NOTIONAL, start_ms=start_ms, end_ms=end_ms,
            judged={name: said[name] for name in ids if name in said} if said else None,
        )  # fmt: skip
        by_id = {one.instance.id: run.trades[run.trade_member == k] for k, one in enumerate(run.members)}
    return _earned(over, [by_id.get(name, np.zeros(0, TRADE)) for name in over.ids])


def _trades(one: LoadedMember) -> bool:
    market = one.prepared.market
    return one.prepared.start_t < market.t0 + len(market.open)


def _scaled(trades: Records, scales: FloatArray) -> Records:
    """The same trades at shares of their size: all their money is in proportion to it."""
    out = trades.copy()
    for name in ("qty", "entry_fee", "exit_fee", "funding"):
        out[name] *= scales
    return out


def _earned(over: Period, trades: Sequence[Records]) -> Earned:
    daily = np.zeros((len(over.members), over.n_days))
    returns, owner = [], []
    for number, (one, records) in enumerate(zip(over.members, trades, strict=True)):
        if not len(records):
            continue
        base = one.bars.base
        days = make_calendar(base, one.prepared.start_t)
        account = Account(_NOTIONAL, False, one.prepared.rates, one.prepared.rules.target_fill)
        long, short = (records[records["side"] == side] for side in (LONG, SHORT))
        _, profit, _ = summarise_one(long, short, base.open, first_t(base), account, days)
        first = days.day0 - over.day0
        # Days after the period have no trades: the members' bars end with it.
        daily[number, first:] = profit[: over.n_days - first]
        closed = records[records["exit_reason"] != 0]
        returns.append(profits(closed) / _NOTIONAL)
        owner.append(np.full(len(closed), number, np.int64))
    if not returns:
        return Earned(over.day0, daily, np.empty(0), np.empty(0, np.int64))
    return Earned(over.day0, daily, np.concatenate(returns), np.concatenate(owner))


def profits(trades: Records) -> FloatArray:
    """float64[n], of TRADE records: profit after fees and funding, money."""
    gross = trades["side"] * trades["qty"] * (trades["exit_price"] - trades["entry_price"])
    net: FloatArray = gross - trades["entry_fee"] - trades["exit_fee"] + trades["funding"]
    return net
