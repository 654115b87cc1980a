"""The backtest of a session: what the compiled account does on the bars, weights and acts that the session recorded."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from executor.deployments.judges import judges
from executor.engine import state
from executor.engine.engine import sum_of_capital
from executor.engine.export import acts_of
from executor.engine.plan import load_plan
from executor.engine.signals import Traded, seeing
from executor.engine.state import LoadPlan
from executor.feed.base import Series
from executor.ledger import Ledger, number
from toolkit.bars.series import Bars, from_arrays
from toolkit.engine.account import ACT, CLOSE_ACT
from toolkit.engine.identity import leg_id
from toolkit.engine.sizing import Reason
from toolkit.engine.types import ACCEPTED, LONG, SHORT, UNANSWERED, Judged
from toolkit.errors import LedgerError
from toolkit.types import BoolArray, IntArray, Records

if TYPE_CHECKING:
    from toolkit.models.said import Said
    from toolkit.portfolio.simulate import PortfolioRun

_BARS = """
SELECT ts, open, high, low, close, volume, filled FROM bars WHERE exchange = ? AND symbol = ? AND base = ? ORDER BY ts
"""
_LATE = """
SELECT count(*) FROM bars b JOIN events e ON e.seq = b.event WHERE e.moment_ms > b.ts + ? AND b.base = ?
"""
_EVERYONE = "SELECT id FROM instances"
_WEIGHTS = "SELECT effective_ms, instance, weight FROM weights WHERE effective_ms <= ? ORDER BY effective_ms, instance"
_UNANSWERED = "SELECT instance, side, t FROM signals WHERE reason = ?"
_ACTS = "SELECT moment_ms, detail FROM events WHERE detail IS NOT NULL ORDER BY seq"


@dataclass(frozen=True)
class _Loaded:
    """A member as `toolkit.portfolio.simulate` takes it."""

    member: Any
    instance: Any
    bars: Bars
    prepared: Any


def recheck(path: Path, out: Path | None = None) -> Path:
    """Write the run folder of a session's backtest; returns it.

    Raises
    ------
    LedgerError : the session stepped on bars that came late, in events of their own; it says what to do instead.
    """
    from toolkit.analysis.runs import RunWriter
    from toolkit.models import tables as model_tables
    from toolkit.portfolio import frames

    with Ledger.open(path, readonly=True) as ledger, ledger.snapshot():
        run, said = backtest_of(ledger)
        config = {"mode": "recheck", "ledger": path.name, "start_ms": run.start_ms, "end_ms": run.end_ms}
        with RunWriter("recheck", config, root=out) as writer:
            trades, signals = frames.trades_table(run), frames.signals_table(run, np.full(len(run.signals), np.nan))
            if said.versions:
                trades = model_tables.with_trades_said(trades, run, said)
                signals = model_tables.with_signals_said(signals, run, said)
            for name, frame in {
                "trades": trades,
                "signals": signals,
                "orders": frames.orders_table(run),
                "audit": frames.audit_table(run),
                "equity": frames.equity_table(run),
            }.items():
                writer.write_frame(name, frame)
            writer.note(acts=acts_of(ledger))
            return writer.finish()


def backtest_of(ledger: Ledger, load: LoadPlan = load_plan) -> "tuple[PortfolioRun, Said]":
    """The compiled account over what a ledger recorded, from its first moment to its last event; and what the models
    said, each from the moment that it was taken up. That one gave no answer is taken from the record.

    A live ledger may have decided on bars late; here they are on time, as a backtest has them.
    """
    from toolkit.engine.run import prepare
    from toolkit.portfolio.schedule import WeightSchedule
    from toolkit.portfolio.simulate import simulate

    kept = state.read(ledger)
    if kept.moment_ms < 0:
        raise LedgerError(f"{ledger.path} holds no event yet; there is nothing to check")
    plan = load(ledger, {row["id"] for row in ledger.rows(_EVERYONE)})
    seen = _seen(ledger)
    members = sorted(
        (seeing(one, seen.get(one.instance_id, ())) for one in plan.members), key=lambda one: one.instance_id
    )
    start_ms = int(ledger.meta("start_ms") or 0)
    series = {s for one in members for s in (one.series, *one.peers, *one.native)}
    if ledger.meta("mode") != "live":
        for base in {s.base: s for s in series}.values():
            _refuse_late(ledger, base)
    stored = {s: _stored(ledger, s) for s in series}
    clocks = {s: bars for s, bars in stored.items() if len(bars)}
    loaded = []
    for one in members:
        if one.series not in clocks:
            continue
        bars = _whole(one, clocks).to(one.interval)
        if not len(bars):
            continue
        signals = one.strategy.signals(bars, one.params)
        prepared = prepare(bars, signals, one.rules, one.costs, start_ms=start_ms)
        loaded.append(_Loaded(one, _instance(one), bars, prepared))
    rows = _schedule(ledger, kept.moment_ms)
    names = tuple(one.instance.id for one in loaded)
    schedule = WeightSchedule(
        names,
        np.array([effective for effective, _ in rows], np.int64),
        np.array([[weights.get(name, 0.0) for name in names] for _, weights in rows]).reshape(len(rows), len(names)),
    )
    given: Any = loaded
    said = _said(ledger, loaded)
    run = simulate(
        given, schedule, plan.limits, capital=sum_of_capital(ledger), start_ms=start_ms, end_ms=kept.moment_ms,
        instruments=plan.instruments, acts=_acts(ledger, members), judged=said.judged,
    )  # fmt: skip
    return run, said


def _seen(ledger: Ledger) -> dict[str, tuple[str, ...]]:
    """By instance, the features of every model that judged it."""
    from toolkit.models.store import read_info

    found: dict[str, tuple[str, ...]] = {}
    for row in judges(ledger):
        names = read_info(row.folder).features if row.name and row.effective_ms is not None else ()
        for instance in row.instances:
            found[instance] = tuple(dict.fromkeys((*found.get(instance, ()), *names)))
    return found


def _said(ledger: Ledger, loaded: "Sequence[_Loaded]") -> "Said":
    """What models say of the raw entries, by the versions that judged them as the ledger has it."""
    from toolkit.models.judging import NO_VERSION, Version, judge
    from toolkit.models.said import Said
    from toolkit.models.store import read_model

    rows = [row for row in judges(ledger) if row.effective_ms is not None]
    trained = {row.model: read_model(row.folder) for row in rows if row.name}
    number = {name: k for k, name in enumerate(trained)}
    judged: dict[str, dict[int, Judged]] = {}
    for one in loaded:
        mine = [row for row in rows if one.instance.id in row.instances]
        named = [Version(row.model, row.effective_ms or 0, trained[row.model]) for row in mine if row.name]
        if not named:
            continue
        given: Any = one
        numbers = np.array([number[version.id] for version in named] + [NO_VERSION])
        nobody = _periods([(row.effective_ms or 0, not row.name) for row in mine])
        judged[one.instance.id] = {
            side: _released(says._replace(versions=numbers[says.versions]), nobody(_moments(one, side)))
            for side, says in judge(given, named).items()
        }
    for row in ledger.rows(_UNANSWERED, (int(Reason.UNANSWERED),)):
        side = LONG if row["side"] == "long" else SHORT
        says = judged[row["instance"]][side]
        leg = next(one for one in loaded if one.instance.id == row["instance"]).prepared.legs[side]
        at = int(np.searchsorted(leg.entry_t, row["t"]))
        says.verdicts[at], says.predictions[at], says.scales[at] = UNANSWERED, np.nan, 0.0
    return Said(judged, tuple(trained))


def _moments(one: "_Loaded", side: int) -> IntArray:
    """When a leg's raw entries are decided, epoch ms."""
    moments: IntArray = (one.prepared.legs[side].entry_t + 1) * one.bars.base.interval_ms
    return moments


def _periods(rows: list[tuple[int, bool]]) -> Callable[[IntArray], BoolArray]:
    """Whether what was said last, at or before a moment, was yes."""
    starts, said = np.array([start for start, _ in rows]), np.array([*(yes for _, yes in rows), False])
    return lambda moments: said[np.searchsorted(starts, moments, side="right") - 1]


def _released(says: Judged, free: BoolArray) -> Judged:
    """Where nobody judges, everything is taken whole."""
    from toolkit.models.judging import NO_VERSION

    says.verdicts[free], says.predictions[free], says.scales[free] = ACCEPTED, np.nan, 1.0
    says.versions[free] = NO_VERSION
    return says


def _schedule(ledger: Ledger, moment_ms: int) -> list[tuple[int, dict[str, float]]]:
    """Weights as they were applied."""
    rows: dict[int, dict[str, float]] = {}
    for row in ledger.rows(_WEIGHTS, (moment_ms,)):
        rows.setdefault(row["effective_ms"], {})[row["instance"]] = number(row["weight"])
    return list(rows.items())


def _refuse_late(ledger: Ledger, series: Series) -> None:
    late = ledger.value(_LATE, (series.base_ms, series.base))
    if late:
        raise LedgerError(
            f"{ledger.path} decided on {late} bars of {series.base} after their moment, which a backtest does not do; "
            f"compare it with a replay of its own events instead"
        )


def _stored(ledger: Ledger, series: Series) -> Bars:
    """The recorded bars without holes before their last piece: what lies before a hole was of no use to anybody."""
    rows = ledger.rows(_BARS, (*series,))
    ts = np.array([row["ts"] for row in rows], np.int64)
    holes = np.flatnonzero(np.diff(ts) != series.base_ms)
    first = int(holes[-1]) + 1 if len(holes) else 0
    columns = [
        np.array([number(row[name]) for row in rows[first:]]) for name in ("open", "high", "low", "close", "volume")
    ]
    kept = from_arrays(ts[first:], *columns, interval=series.base, symbol=series.symbol, exchange=series.exchange)
    filled = np.array([bool(row["filled"]) for row in rows[first:]], np.bool_)
    return Bars(
        kept.symbol, kept.exchange, kept.interval, kept.ts, kept.open, kept.high, kept.low, kept.close, kept.volume,
        filled,
    )  # fmt: skip


def _whole(one: Traded, clocks: dict[Series, Bars]) -> Bars:
    """The instance's base series; instances that read nothing else share one object, as the account's markets do."""
    bars = clocks[one.series]
    if not one.native and not one.peers:
        return bars
    return Bars(
        bars.symbol, bars.exchange, bars.interval, bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume,
        bars.filled, native={s.base: clocks[s] for s in one.native}, peers={s.symbol: clocks[s] for s in one.peers},
    )  # fmt: skip


@dataclass(frozen=True)
class _Instance:
    id: str
    strategy: str
    params: Mapping[str, Any]
    symbol: str
    interval: str
    rules: Any

    @property
    def digest(self) -> str:
        return self.id.rpartition("-")[2]


def _instance(one: Traded) -> _Instance:
    return _Instance(
        one.instance_id, one.strategy.name, one.params._asdict(), one.series.symbol, one.interval, one.rules
    )  # fmt: skip


def _acts(ledger: Ledger, members: list[Traded]) -> Records:
    """What was done by hand, as the account takes it; enabling and disabling is in the weights already."""
    legs = {leg_id(one.instance_id, side): k for k, (one, side) in enumerate((m, s) for m in members for s in m.sides)}
    return np.array([
        (row["moment_ms"], kind, legs[whom] if kind == CLOSE_ACT else whom, amount)
        for row in ledger.rows(_ACTS)
        for kind, whom, amount in json.loads(row["detail"])
    ], ACT)  # fmt: skip
