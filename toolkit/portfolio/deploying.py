"""From a sweep to a deployment, and from a deployment to the next one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from toolkit.bars.intervals import DAY_MS
from toolkit.bars.load import stored_until
from toolkit.bars.series import utc
from toolkit.errors import InputError
from toolkit.portfolio.deployment import Deployment, Source, fingerprints
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member, members_from_sweep
from toolkit.portfolio.rebalance import Decision, RebalancePolicy, decide
from toolkit.portfolio.record_figures import MONEY_FIGURES, expected_figures
from toolkit.portfolio.selection import Selection, SelectionRule, choose
from toolkit.portfolio.standalone import track_of
from toolkit.portfolio.weights import weighing
from toolkit.portfolio.weights_caps import Caps
from toolkit.sweep.ranking import LESS_IS_BETTER
from toolkit.sweep.result import SweepResult

if TYPE_CHECKING:
    from toolkit.portfolio.track import TrackRecord

# Of a sweep whose days compound these are not what a record on a fixed notional says.
_COMPOUNDED = frozenset({"total_return", "annual_return", "calmar", "max_drawdown", "max_drawdown_days"})
# A symbol that lags the newest one this far has ended, or its pull is broken: it must not hold the others back.
_ENDED_MS = 2 * DAY_MS


@dataclass(frozen=True)
class Choice:
    """How a sweep becomes a deployment.

    Attributes
    ----------
    rule : which combinations. method, caps : how they are weighed.
    limits, instruments, capital : of the account.
    candidates : so many of the best combinations that keep to the rule are simulated again, for their daily returns.
    effective_from_ms : from when the deployment counts; None: from the end of the sweep.
    """

    rule: SelectionRule = field(default_factory=SelectionRule)
    method: str = "equal"
    caps: Caps = field(default_factory=Caps)
    limits: Limits = field(default_factory=Limits)
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    capital: float = 100_000.0
    candidates: int = 300
    effective_from_ms: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.candidates, bool) or not isinstance(self.candidates, int) or self.candidates < 1:
            raise InputError(f"`candidates` must be a whole number of at least 1, was {self.candidates!r}")


@dataclass(frozen=True)
class Chosen:
    """A deployment that was chosen from a sweep.

    Attributes
    ----------
    tried : combinations of the sweep. kept : how many of them keep to the rule by the sweep's metrics.
    loaded : how many were simulated again. selection : what was chosen of those, and why not the others.
    """

    deployment: Deployment
    tried: int
    kept: int
    loaded: int
    selection: Selection = field(repr=False)


def deployment_from_sweep(
    run: SweepResult | str | Path,
    choice: Choice,
    *,
    db: Path | str | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> Chosen:
    """Choose combinations of a sweep on the sweep's own period, weigh them, and describe them as a deployment.

    The period is in-sample: its figures (`expected` among them) are what was looked for.

    Raises
    ------
    InputError : nothing keeps to the rule, or what does cannot be weighed; StoreError : the bars cannot be read.
    """
    result = run if isinstance(run, SweepResult) else SweepResult.read(run)
    kept = narrowed(result, choice.rule)
    if not kept:
        raise InputError(
            f"none of {result.combinations_tried:,} combinations of sweep {result.run.run_id} keeps to the rule "
            f"{_said(choice.rule)}; loosen it, or sweep more"
        )
    members = members_from_sweep(result, kept[: choice.candidates])
    one = result.experiment
    loaded = load_members(members, start=one.start, end=one.end, db=db, jobs=jobs, progress=progress)
    start_ms, end_ms = period(loaded)
    effective_ms = end_ms if choice.effective_from_ms is None else choice.effective_from_ms
    if effective_ms < end_ms:
        raise InputError(
            f"`effective_from` {utc(effective_ms)} is before {utc(end_ms)}, the end of the days that sweep "
            f"{result.run.run_id} chooses on; choose one at or after it"
        )
    track = track_of(loaded, jobs=jobs)
    selection = choose(track, choice.rule)
    if not selection.instances:
        name, why = next(iter(selection.left_out.items()))
        raise InputError(
            f"none of {len(members)} candidates of sweep {result.run.run_id} keeps to the rule "
            f"{_said(choice.rule)}: {name} {why}; loosen it, or raise `candidates`"
        )
    weights = weighing(track.only(selection.instances), choice.method, choice.caps).weights
    by_id = {lm.instance.id: lm for lm in loaded}
    taken = [by_id[name] for name in selection.instances]
    deployment = Deployment(
        members=tuple(_explicit(lm) for lm in taken),
        weights=weights,
        limits=choice.limits,
        capital=choice.capital,
        effective_from_ms=effective_ms,
        selected_from=Source(result.run.run_id, start_ms, end_ms, result.combinations_tried),
        instruments=choice.instruments,
        data=fingerprints(lm.bars for lm in taken),
        expected=expected_figures(track, weights),
        policy={
            "made_by": "select",
            "rule": asdict(choice.rule),
            "method": choice.method,
            "caps": asdict(choice.caps),
            "candidates": choice.candidates,
        },
    )
    return Chosen(deployment, result.combinations_tried, len(kept), len(members), selection)


def narrowed(result: SweepResult, rule: SelectionRule) -> list[int]:
    """Numbers of the combinations whose row of metrics keeps to the rule, best first; correlation is not looked at."""
    one = result.experiment
    if one.compound:
        told = [c.text for c in rule.parsed if not _COMPOUNDED & set(c.figures)]
        rule = replace(rule, conditions=" and ".join(f"({text})" for text in told))
    table = result.lazy.select("combination", *rule.figures).collect()
    money = dict.fromkeys(MONEY_FIGURES, one.notional)
    columns = {
        name: table[name].cast(pl.Float64).fill_null(np.nan).to_numpy() / money.get(name, 1.0) for name in rule.figures
    }
    numbers = table["combination"].to_numpy()
    kept = np.flatnonzero(rule.holds(columns))
    better = 1.0 if rule.by in LESS_IS_BETTER else -1.0
    order = np.lexsort((numbers[kept], better * columns[rule.by][kept]))
    found: list[int] = numbers[kept][order].tolist()
    return found


@dataclass(frozen=True)
class Rebalanced:
    """A rebalance of a deployment.

    Attributes
    ----------
    decision : what was decided, see `rebalance.decide`.
    deployment : the next one, which holds every instance of the last, those that are off at weight 0.
    notes : what a reader must know, one sentence each.
    """

    decision: Decision
    deployment: Deployment
    notes: tuple[str, ...]


def rebalance_deployment(
    last: Deployment,
    policy: RebalancePolicy,
    *,
    moment_ms: int | None = None,
    effective_from_ms: int | None = None,
    db: Path | str | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> Rebalanced:
    """Decide anew which of a deployment's instances are on and with what weight, by the function of the backtest.

    Records begin one lookback before the lookback itself, so that trades which were open at its beginning are in their
    places, as they are in a backtest that began earlier.

    Parameters
    ----------
    moment_ms : nothing after it is looked at; None: the last 00:00 UTC that the stored bars of all symbols reach, but
        for symbols that lag two days behind the newest: those have ended, and are off.
    effective_from_ms : None: the moment plus the policy's latency.

    Raises
    ------
    InputError : the stored bars do not cover the lookback, or the deployment would count before the moment it looks
    back from, or before the one that it follows.
    """
    until = _until(last.members, db)
    notes: list[str] = []
    if moment_ms is None:
        moment_ms, notes = _newest_moment(until)
    effective = _effective(last, moment_ms, moment_ms + policy.latency_ms, effective_from_ms)
    notes += [
        f"bars of {symbol} end {utc(ms)}, before the moment {utc(moment_ms)}"
        for symbol, ms in sorted(until.items())
        if ms < moment_ms
    ]
    # Nothing in the lookback is known of the others, and there are no bars to load.
    followed = [member for member in last.members if until[member.symbol] > moment_ms - policy.lookback_ms]
    if not followed:
        raise InputError(
            f"a rebalance at {utc(moment_ms)} looks back {policy.lookback}, and the records end "
            f"{utc(max(until.values()))}; pull newer bars, or choose an earlier moment"
        )
    loaded = load_members(
        followed, start=moment_ms - 2 * policy.lookback_ms, end=moment_ms, db=db, jobs=jobs, progress=progress
    )
    track = track_of(loaded, jobs=jobs)
    decision = _with_gone(decide(track, moment_ms, policy), last.members, until)
    following = last.followed_by(
        weights=decision.weights,
        off=decision.note or None,
        effective_from_ms=effective,
        selected_from=Source(
            last.selected_from.run,
            # The days that its instances were found on stay in-sample.
            min(last.selected_from.start_ms, moment_ms - policy.lookback_ms),
            max(last.selected_from.end_ms, moment_ms),
            last.selected_from.combinations_tried,
        ),
        data=fingerprints(lm.bars for lm in loaded),
        expected=_expected(track, decision, policy),
        policy={"made_by": "rebalance", **asdict(policy)},
    )
    return Rebalanced(decision, following, tuple(notes))


def _newest_moment(until: Mapping[str, int]) -> tuple[int, list[str]]:
    """The last 00:00 UTC that every symbol reaches which has not ended, and a note where one holds the others back."""
    newest_ms = max(until.values())
    living = {symbol: ms for symbol, ms in until.items() if ms > newest_ms - _ENDED_MS}
    first = min(living, key=lambda symbol: (living[symbol], symbol))
    moment_ms = living[first] // DAY_MS * DAY_MS
    if newest_ms // DAY_MS * DAY_MS == moment_ms:
        return moment_ms, []
    return moment_ms, [f"the moment is {utc(moment_ms)} as the bars of {first} end {utc(living[first])}"]


def _effective(last: Deployment, moment_ms: int, due_ms: int, asked_ms: int | None) -> int:
    """From when the next deployment counts, epoch ms; checked against what it looks at and what it follows."""
    effective = due_ms if asked_ms is None else asked_ms
    if effective < moment_ms:
        raise InputError(
            f"`effective_from` {utc(effective)} is before the moment {utc(moment_ms)} that the rebalance looks back "
            f"from; choose one at or after it"
        )
    if effective < last.effective_from_ms:
        raise InputError(
            f"`effective_from` {utc(effective)} is before {utc(last.effective_from_ms)}, from when the deployment that "
            f"it follows ({last.id}) counts; choose one at or after it, or pull newer bars"
        )
    return effective


def _with_gone(decision: Decision, members: Sequence[Member], until: Mapping[str, int]) -> Decision:
    """The decision with a reason for every member that was not looked at."""
    left_out = decision.selection.left_out
    looked_at = {*left_out, *decision.selection.instances}
    gone = {
        member.instance.id: f"has no bars since {utc(until[member.symbol])}"
        for member in members
        if member.instance.id not in looked_at
    }
    return replace(decision, selection=replace(decision.selection, left_out={**left_out, **gone}))


def _expected(track: "TrackRecord", decision: Decision, policy: RebalancePolicy) -> dict[str, float]:
    return expected_figures(track.known_at(decision.moment_ms, policy.lookback_ms), decision.weights)


def period(loaded: Sequence[LoadedMember]) -> tuple[int, int]:
    """Epoch ms of the first bar that any member trades, and of the close of the last."""
    starts = [lm.prepared.start_t * lm.bars.base.interval_ms for lm in loaded]
    ends = [int(lm.bars.base.ts[-1]) + lm.bars.base.interval_ms for lm in loaded]
    return min(starts), max(ends)


def _explicit(loaded: LoadedMember) -> Member:
    """The member with the exchange and base that it was tested on: another one stored later changes nothing."""
    base = loaded.bars.base
    return replace(loaded.member, exchange=base.exchange or loaded.member.exchange, base=base.interval)


def _until(members: Sequence[Member], db: Path | str | None) -> dict[str, int]:
    """Close (epoch ms) of the newest stored bar by symbol; of several series of one symbol, of the oldest of them."""
    found: dict[str, int] = {}
    for symbol, interval, exchange, base in {(m.symbol, m.interval, m.exchange, m.base) for m in members}:
        ms = stored_until(symbol, interval, exchange=exchange, base=base, db=db)
        found[symbol] = min(ms, found.get(symbol, ms))
    return found


def _said(rule: SelectionRule) -> str:
    return repr(f"{rule.conditions or 'any'}, at least {rule.min_trades} trades, a defined {rule.by}")
