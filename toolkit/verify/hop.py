"""`hop == step`: random instances simulated by hops and by stepping every bar, compared to the last bit."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolkit.engine.run import EngineRun, prepare, run
from toolkit.engine.types import ExitReason, Policy, SignalEnd
from toolkit.errors import InputError
from toolkit.verify.bits import differing
from toolkit.verify.random_cases import Case, random_case

Progress = Callable[[int, int], None]
# Only an account, or who looks after it, ends trades and signals for these reasons.
_ACCOUNTS = ("HALT", "MANUAL", "UNPAID")
_DECISIONS = {1: "accepted", 2: "vetoed", 3: "rejected"}
_MOST_FAILURES = 10


@dataclass(frozen=True)
class HopReport:
    """What `verify_hop` found.

    Attributes
    ----------
    differences : one sentence for each case in which hop and step differ (at most ten are described).
    reached : how often each exit reason, signal end, decision, policy and other corner was reached.
    bars, steps : base bars simulated, and on how many of them hopping called the lifecycle.
    """

    cases: int
    seed: int
    differences: list[str]
    reached: dict[str, int]
    bars: int
    steps: int
    missing: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.differences and not self.missing


def verify_hop(cases: int = 2000, seed: int = 7, progress: Progress | None = None) -> HopReport:
    """Compare hopping with stepping on random instances: trades, entry signals and final states, bit for bit.

    Parameters
    ----------
    cases : how many random instances, at least 1.
    seed : of the first case; the others follow from it.
    progress : called with (done, all).
    """
    if cases < 1:
        raise InputError(f"`cases` must be at least 1, was {cases}")
    reached: Counter[str] = Counter(dict.fromkeys(_corners(), 0))
    differences: list[str] = []
    bars = steps = 0
    for number in range(cases):
        case = random_case(seed * 1_000_003 + number)
        hopped, stepped = simulate(case)
        difference = first_difference(hopped, stepped)
        if difference and len(differences) < _MOST_FAILURES:
            differences.append(f"{case}: {difference}")
        _count(case, stepped, reached)
        bars += stepped.steps
        steps += hopped.steps
        if progress is not None:
            progress(number + 1, cases)
    missing = [name for name, times in reached.items() if not times]
    return HopReport(cases, seed, differences, dict(reached), bars, steps, missing)


def simulate(case: Case, notional: float = 1000.0) -> tuple[EngineRun, EngineRun]:
    """The case by hops, and by stepping every bar."""
    prepared = prepare(
        case.bars,
        case.signals,
        case.rules,
        case.costs,
        verdicts=case.verdicts,
        finer=case.finer,
        start_ms=case.start_ms,
    )
    return run(prepared, notional), run(prepared, notional, every_bar=True)


def first_difference(a: EngineRun, b: EngineRun) -> str:
    """Where two runs differ, in words; empty where every record and state is the same to the bit."""
    for name, left, right in (("trades", a.trades, b.trades), ("signals", a.signals, b.signals)):
        if len(left) != len(right):
            return f"{len(left)} {name} by hops, {len(right)} by steps"
        for column in left.dtype.names or ():
            bad = np.flatnonzero(differing(left[column], right[column]))
            if len(bad):
                row = int(bad[0])
                return f"{name} row {row}, {column}: {left[column][row]!r} by hops, {right[column][row]!r} by steps"
    for side, state in a.states.items():
        steps = _leaves("state", b.states[side])
        for path, value in _leaves("state", state).items():
            if differing(np.float64(value), np.float64(steps[path])).any():
                return f"final {path} of side {side}: {value!r} by hops, {steps[path]!r} by steps"
    return ""


def _leaves(path: str, value: Any) -> dict[str, float]:
    if not isinstance(value, tuple):
        return {path: value}
    fields = value._fields  # type: ignore[attr-defined]
    return {k: v for f in fields for k, v in _leaves(f"{path}.{f}", getattr(value, f)).items()}


def _corners() -> list[str]:
    # Halts and money that runs out belong to an account, whose own tests reach them.
    return [
        *(f"exit {r.name.lower()}" for r in ExitReason if r.name not in _ACCOUNTS),
        *(f"signal {e.name.lower()}" for e in SignalEnd if e.name not in _ACCOUNTS),
        *(f"decision {d}" for d in _DECISIONS.values()),
        *(f"policy {p.name.lower()}" for p in Policy),
        "ambiguous bar", "funding charged", "ignored entries", "trail close", "trail extreme", "shared period",
        "tick", "signal interval above base", "one side only", "weekly signals", "later start",
    ]  # fmt: skip


def _count(case: Case, stepped: EngineRun, reached: Counter[str]) -> None:
    trades, signals, rules = stepped.trades, stepped.signals, case.rules
    reached.update(f"exit {ExitReason(int(r)).name.lower()}" for r in trades["exit_reason"])
    reached.update(f"signal {SignalEnd(int(e)).name.lower()}" for e in signals["end"])
    reached.update(f"decision {_DECISIONS[int(d)]}" for d in signals["decision"])
    n = len(trades)
    reached[f"policy {rules.policy}"] += n
    reached["ambiguous bar"] += int(np.isfinite(trades["other_price"]).sum())
    reached["funding charged"] += int((trades["funding"] != 0.0).sum())
    reached["ignored entries"] += int(signals["ignored"].sum())
    if rules.trail is not None:
        reached[f"trail {rules.trail_on}"] += n
    reached["shared period"] += n * (rules.one_entry_per is not None and rules.one_entry_scope == "instance")
    reached["tick"] += n * (case.costs.tick > 0)
    reached["signal interval above base"] += n * (case.bars.interval != case.bars.base.interval)
    reached["weekly signals"] += n * (case.bars.interval == "1w")
    reached["later start"] += n * (case.start_ms is not None)
    reached["one side only"] += n * (rules.side != "both")
