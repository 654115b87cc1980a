"""`tk.portfolio_backtest`: candidates, weights and limits on one account, with what stands beside it."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from toolkit.bars.moments import Moment
from toolkit.bars.series import Bars, utc
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.plan import models_asked, models_table, ranks, seen_by, walk_of
from toolkit.models.walkforward import Reader
from toolkit.portfolio.candidates import candidates_of
from toolkit.portfolio.limits import Instrument, Limits, instruments_over, limits_over
from toolkit.portfolio.origin import UNKNOWN, Origin
from toolkit.portfolio.planning import Wish, make_plan
from toolkit.portfolio.rebalance import RebalancePolicy
from toolkit.portfolio.result import PortfolioResult
from toolkit.portfolio.schedule import check_weights
from toolkit.portfolio.simulate import PortfolioRun, period_of, simulate
from toolkit.portfolio.weights_caps import Caps
from toolkit.portfolio.weights_file import WeightsFile

if TYPE_CHECKING:
    from toolkit.models.plan import Models

CAPITAL = 100_000.0
_T = TypeVar("_T")


def portfolio_backtest(
    source: Any,
    *,
    start: Moment | None = None,
    end: Moment | None = None,
    weights: Mapping[str, float] | WeightsFile | str | None = None,
    policy: RebalancePolicy | Mapping[str, Any] | None = None,
    caps: Caps | Mapping[str, float] | None = None,
    learn_from: Moment | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    instruments: Mapping[str, Instrument | Mapping[str, Any]] | None = None,
    capital: float | None = None,
    top: int | None = None,
    by: str | None = None,
    min_trades: int | None = None,
    models: "Models | None" = None,
    beside: bool = True,
    bars: Mapping[str, Bars] | None = None,
    db: Path | None = None,
    root: Path | None = None,
    strategies: Iterable[str] | None = None,
    accept_code: bool = False,
    jobs: int | None = None,
    progress: bool = False,
) -> PortfolioResult:
    """Run many instances on one account, with equal weight and 1/0 (winners share, losers are off) beside it.

    Parameters
    ----------
    source : a sweep (run id, folder, "latest", `Run`, `SweepResult`), a `deployment.json`, a TOML file with
        [[instance]] rows, or `Member`s. top, by, min_trades : which of a sweep's rows, its own choice unless given.
    start, end : first moment that is traded, and the first that is left out (UTC). Start unless given: the end of the
        period that a sweep names, so that nothing is tested on what it was selected on; else the first bar.
    weights : shares of equity by instance id, what `weights_file.read_weights` read (it tells the days that they were
        learned on), or one of `weights.METHODS`, learned from days before `start` alone. Unless given: those of the
        deployment, else equal.
    policy : weights that change over time (`rebalance.walk_forward`); what it decides at the start (or `weights`, where
        they are given), kept to the end, stands beside it as "static".
    caps : largest shares of the sum of weights, for a method. learn_from : where the history that weights are learned
        from begins; unless given as the policy's lookback says, else with the sweep's period or a year before `start`.
    limits, instruments, capital : of the account; unless given the source's own, else `Limits()`, none and 100,000. A
        table is laid over the source's, name by name; `Limits` and an `Instrument` stand alone.
    models : entries are judged by models: a `models.plan.ModelPlan` (they are learned again and again while the account
        runs, from what was known then, beginning with nothing), or `Version`s by the name of a strategy or instance.
        Unless given, those that a deployment names. The same account without them stands beside it as "no model".
    beside : also make the variants that stand beside it.
    bars : series in memory by symbol, instead of the store's. db, root : the bars database and the folder of the runs.
    strategies : modules that hold strategies, default as in pyproject.toml. accept_code : also take a deployment whose
        strategies' code has changed since. jobs : threads, all cores unless given.
    progress : say on stderr what is being done.

    Raises
    ------
    InputError and its kinds : a name, value, weight, limit or range that cannot be run, before anything is run.
    """
    found = candidates_of(
        source, root=root, strategies=strategies, accept_code=accept_code, top=top, by=by, min_trades=min_trades
    )
    learned = weights.learned if isinstance(weights, WeightsFile) else None
    given = weights.weights if isinstance(weights, WeightsFile) else found.weights if weights is None else weights
    if given is not None and not isinstance(given, str):
        given = check_weights(given, [one.instance.id for one in found.members])
    chosen_caps = _made("caps", caps, Caps) or Caps()
    chosen_policy = _made("policy", policy, RebalancePolicy)
    plan = make_plan(found.origin, Wish(start, end, given, chosen_policy, chosen_caps, learn_from, beside))
    kept = limits if isinstance(limits, Limits) else limits_over(found.limits, {} if limits is None else limits)
    venues = instruments_over(found.instruments, instruments or {})
    money = capital if capital is not None else found.capital or CAPITAL
    named = tuple(strategies) if strategies is not None else None
    asked = models_asked(models, found.deployment)
    reader = Reader(plan.load_ms, plan.end_ms, seen_by(asked, found.members), db, named, bars)
    loaded = reader.load(found.members, jobs=jobs, progress=progress)
    schedules = plan.schedules(loaded, jobs=jobs, progress=progress)
    span = period_of(loaded, plan.start_ms, plan.end_ms)
    walk = None if asked is None else walk_of(asked, loaded, span, reader, jobs=jobs, progress=progress)
    if ranks(asked) and kept.entry_order != "prediction":
        kept = replace(kept, entry_order="prediction")
    if progress:
        print(f"{len(loaded):,} instances on one account", file=sys.stderr)
    run = simulate(
        loaded, schedules.own, kept, capital=money, start_ms=plan.start_ms, end_ms=plan.end_ms, instruments=venues,
        judged=None if walk is None else walk.said.judged,
    )  # fmt: skip
    origin = found.origin
    if weights is not None and not isinstance(weights, str):
        origin = origin.with_weights_of(learned)
    notes = [
        *_seen_before(origin, run.start_ms, run.end_ms),
        *_too_early(origin, run.start_ms),
        *_not_traded(venues, run),
        *_ends_before(plan.end_ms, run.end_ms),
        *schedules.notes,
        *([] if walk is None else walk.notes(run.start_ms)),
    ]
    table = plan.table() | ({} if asked is None else {"models": models_table(asked)})
    return PortfolioResult(
        run, schedules.own, kept, venues, schedules.others, origin, schedules.track, table, tuple(notes), walk
    )


def _too_early(origin: Origin, start_ms: int) -> list[str]:
    """A sentence where a deployment is tested on days before it counts."""
    if origin.counts_from_ms is None or start_ms >= origin.counts_from_ms:
        return []
    return [f"deployment {origin.name} counts from {utc(origin.counts_from_ms)} on, and is tested from {utc(start_ms)}"]


def _not_traded(instruments: Mapping[str, Instrument], run: PortfolioRun) -> list[str]:
    """A sentence for venue rules that no candidate trades under: one file may serve many portfolios, or be mistyped."""
    idle = sorted(set(instruments) - {one.instance.symbol for one in run.members})
    return [f"venue rules of {', '.join(idle)} are not used: no candidate trades there"] if idle else []


def _made(name: str, given: Any, wanted: type[_T]) -> _T | None:
    """A config as it is, or made from a table of its fields."""
    if given is None or isinstance(given, wanted):
        return given
    known = [field.name for field in fields(wanted)]  # type: ignore[arg-type]
    if not isinstance(given, Mapping):
        raise InputError(f"`{name}` must be a {wanted.__name__} or a table of its fields, was {given!r}")
    for key in given:
        if key not in known:
            raise UnknownNameError(f"field of `{name}`", str(key), known)
    return wanted(**given)


def _seen_before(origin: Origin, start_ms: int, end_ms: int) -> list[str]:
    """The loud sentence about a test on days that the candidates or their weights were chosen on."""
    notes = []
    for what, days in (("candidates were selected", origin.selected), ("weights were learned", origin.learned)):
        if days is UNKNOWN:
            notes.append(
                f"it is not known on which days the {what}: if on those that are tested here, expect less from others"
            )
        elif days is not None and days.overlaps(start_ms, end_ms):
            period = " to ".join("the first bar" if ms is None else utc(ms) for ms in (days.start_ms, days.end_ms))
            notes.append(
                f"IN SAMPLE: the {what} on {period}, days that they are tested on here; they look good there because "
                f"they were chosen for it"
            )
    return notes


def _ends_before(asked_ms: int | None, end_ms: int) -> list[str]:
    """A sentence where the bars end before the period that was asked for."""
    if asked_ms is None or asked_ms <= end_ms:
        return []
    return [f"the bars end {utc(end_ms)}, before the end that was asked for, {utc(asked_ms)}"]
