"""A member's own path with models in the loop, taken further and further as versions come."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from toolkit.engine.run import EngineRun, Prepared
from toolkit.engine.shadow import shadow_trades
from toolkit.engine.types import ACCEPTED, SHORT, SIGNAL, TRADE, Judged
from toolkit.models.judging import NO_VERSION, Predicted, Version, apply, resimulate
from toolkit.models.panel import Seen
from toolkit.portfolio.loading import LoadedMember
from toolkit.types import IntArray, Records

NEVER = np.iinfo(np.int64).max
_NOTIONAL = 1.0


@dataclass(frozen=True, eq=False)
class Outcomes:
    """A path's entry signals and what became of each.

    signals : SIGNAL[n]. trades : TRADE[n], the trade of an accepted signal, the shadow of a refused one; qty is 0 where
    the entry never filled. known : int64[n], the moment (epoch ms) at which it had closed, `NEVER` where it has not.
    """

    signals: Records
    trades: Records
    known: IntArray


def begun(one: LoadedMember, start_ms: int) -> LoadedMember:
    """The member as an account that begins at `start_ms` sees it: no bar that opens before is stepped."""
    start_t = max(one.prepared.start_t, -(-start_ms // one.bars.base.interval_ms))
    return replace(one, prepared=replace(one.prepared, start_t=start_t))


def until(one: LoadedMember, end_ms: int) -> LoadedMember:
    """The member with only the base bars that have closed by `end_ms`; its signals after them are out of reach."""
    market = one.prepared.market
    n = max(0, min(len(market.open), end_ms // one.bars.base.interval_ms - market.t0))
    cut = market._replace(
        open=market.open[:n], high=market.high[:n], low=market.low[:n], close=market.close[:n],
        can_trade=market.can_trade[:n], fine=market.fine[: n * market.fine_ratio],
    )  # fmt: skip
    return replace(one, prepared=replace(one.prepared, market=cut))


def outcomes(one: LoadedMember, run: EngineRun, shadows: Records | None = None) -> Outcomes:
    """What became of each signal of a member's run; `shadows` are followed here unless they are given."""
    signals, trades = run.signals, np.zeros(len(run.signals), TRADE)
    refused = signals["decision"] != ACCEPTED
    p = one.prepared
    followed = shadow_trades(signals, p.legs, p.market, p.rules, p.rates, _NOTIONAL) if shadows is None else shadows
    trades[refused] = followed[refused]
    rows = np.searchsorted(_keys(signals["t"], signals["side"]), _keys(run.trades["signal_t"], run.trades["side"]))
    trades[rows] = run.trades
    closed = (trades["qty"] > 0.0) & (trades["exit_reason"] != 0)
    known = np.where(closed, (trades["exit_t"] + 1) * one.bars.base.interval_ms, NEVER)
    return Outcomes(signals, trades, known)


def _keys(t: IntArray, side: IntArray) -> IntArray:
    """Ascending over a run's signals, which are by bar, long before short."""
    keys: IntArray = 2 * t + (side == SHORT)
    return keys


class MemberPath:
    """One member from the start of the period on, each raw entry predicted once by the version that holds there."""

    def __init__(self, one: LoadedMember, seen: Iterable[Seen]) -> None:
        """`one` has begun (`begun`); `seen` are its legs, with the features of the period's raw entries."""
        self.one = one
        self._seen = {leg.side: leg for leg in seen}
        legs = one.prepared.legs
        self._predictions = {side: np.full(len(leg.entry_t), np.nan) for side, leg in legs.items()}
        self._versions = {side: np.full(len(leg.entry_t), NO_VERSION, np.int64) for side, leg in legs.items()}
        # What would have become of an entry does not depend on the path: it is followed once.
        self._shadows = {side: np.zeros(len(leg.entry_t), TRADE) for side, leg in legs.items()}
        self._followed = {side: np.zeros(len(leg.entry_t), np.bool_) for side, leg in legs.items()}

    def predict(self, versions: Sequence[Version], end_ms: int) -> None:
        """Predict the raw entries up to `end_ms` that are not predicted by the version that holds there."""
        starts = [version.from_ms for version in versions]
        for side, leg in self._seen.items():
            entries = np.arange(leg.first, leg.first + len(leg.ts))
            holds = np.searchsorted(starts, leg.ts, side="right") - 1
            new = (leg.ts <= end_ms) & (holds != self._versions[side][entries])
            for number in np.unique(holds[new]).tolist():
                mine = np.flatnonzero(new & (holds == number))
                self._predictions[side][entries[mine]] = versions[number].trained.predict(leg.x[mine])
                self._versions[side][entries[mine]] = number

    def judged(self, versions: Sequence[Version]) -> dict[int, Judged]:
        """What the versions say; entries that are not predicted yet are taken."""
        predicted = {side: Predicted(self._predictions[side], said) for side, said in self._versions.items()}
        return apply(predicted, [version.trained.application for version in versions])

    def outcomes(self, judged: Mapping[int, Judged], end_ms: int) -> Outcomes:
        """The path up to `end_ms`; outcomes that came later are those of shadows alone."""
        cut = until(self.one, end_ms)
        if not len(cut.prepared.market.open) or cut.prepared.start_t >= _end_t(cut.prepared):
            return Outcomes(np.zeros(0, SIGNAL), np.zeros(0, TRADE), np.zeros(0, np.int64))
        run = resimulate(cut, judged, _NOTIONAL)
        return outcomes(self.one, run, self._shadows_of(run.signals))

    def _shadows_of(self, signals: Records) -> Records:
        p, found = self.one.prepared, np.zeros(len(signals), TRADE)
        for side, leg in p.legs.items():
            rows = np.flatnonzero((signals["side"] == side) & (signals["decision"] != ACCEPTED))
            entries = np.searchsorted(leg.entry_t, signals["t"][rows])
            new = ~self._followed[side][entries]
            if new.any():
                followed = shadow_trades(signals[rows[new]], p.legs, p.market, p.rules, p.rates, _NOTIONAL)
                self._shadows[side][entries[new]] = followed
                self._followed[side][entries[new]] = True
            found[rows] = self._shadows[side][entries]
        return found


def _end_t(prepared: Prepared) -> int:
    return prepared.market.t0 + len(prepared.market.open)
