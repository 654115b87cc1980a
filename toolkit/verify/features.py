"""What a model learns from must have been known: features recomputed from bars that end with each signal.

At each tested row of a dataset the member's bars are cut off at the close at which its signal was decided, and begin
where the declared lookbacks do. From those bars alone the strategy must give the same signal, and the same features to
the last bit. A feature that differs and is right again with all of the bars before it has a lookback longer than it
says; one that is still another one knows what came after.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.bars.moments import Moment
from toolkit.bars.series import Bars, utc
from toolkit.engine.lookback import history_start
from toolkit.engine.run import prepare
from toolkit.errors import InputError
from toolkit.models.dataset import Dataset
from toolkit.models.features import Entries, check_features, entries_of, feature_values, features_start
from toolkit.models.groups import groups_of
from toolkit.models.making import make_dataset
from toolkit.models.store import find_model, read_model
from toolkit.models.trained import Trained
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.strategy import Strategy, get_strategy
from toolkit.types import FloatArray, IntArray, Row
from toolkit.verify.bits import differing

_WHY = {
    "future": "is not what the bars up to the signal give, so it knows what came after",
    "lookback": "is another one on the declared lookback alone",
    "signal": "is of a bar at which the bars up to it give no entry signal",
    "batch": "is predicted otherwise alone than among other rows",
}


@dataclass(frozen=True)
class FeatureFinding:
    """A feature (or prediction) of an instance that does not hold; `check` is a key of the texts above.

    given, found : the value in the dataset, and the recomputed one, at the first of `times` tested signals.
    """

    check: str
    instance: str
    feature: str
    ts_ms: int
    given: float
    found: float
    times: int = 1

    def __str__(self) -> str:
        return (
            f"{self.feature} of {self.instance} at {utc(self.ts_ms)} UTC {_WHY[self.check]}: {self.given!r} was given, "
            f"{self.found!r} is found; at {self.times} of the tested signals"
        )


@dataclass(frozen=True)
class FeatureReport:
    """What was tested and found.

    Attributes
    ----------
    source : whose signals. rows, tested : of the dataset, and of them those that were recomputed.
    features : names that were held against their recomputed values.
    """

    source: str
    rows: int
    tested: int
    instances: int
    features: tuple[str, ...]
    first_ms: int
    last_ms: int
    findings: list[FeatureFinding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings


def verify_model(
    source: Any,
    *,
    model: str | Path | None = None,
    features: Sequence[str] | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    points: int = 200,
    seed: int = 7,
    db: Path | None = None,
    modules: Iterable[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> FeatureReport:
    """Make the dataset of a source's members, as training does, and hold it against bars cut off at each signal.

    Parameters
    ----------
    source : see `models.groups.groups_of`. model : a model of the registry (name, name@version or folder), whose
        features and predictions are tested; features : otherwise these, by default `features.default_features`.
    points : most signals that are recomputed, shared among the members. seed : of their choice.

    Raises
    ------
    InputError and its kinds : no such source or model, features that a member's interval does not have, no signals.
    """
    if model is not None and features is not None:
        raise InputError("`features` are the model's own; leave them out, or leave out the model")
    trained = None if model is None else read_model(find_model(model))
    named = tuple(modules) if modules is not None else None
    members = groups_of(source, modules=named).members
    names = trained.features if trained is not None else features
    intervals = {member.interval for member in members}
    needed = () if names is None else check_features(names, intervals)
    if progress is not None:
        progress("loading bars")
    loaded = load_members(members, start=start, end=end, db=db, strategies=named, features=needed)
    if progress is not None:
        progress("making the dataset")
    data = make_dataset(loaded, names)
    if not len(data):
        raise InputError("there is no signal with a known outcome to test; choose a longer period")
    return verify_features(
        loaded, data, points=points, seed=seed, modules=named, trained=trained, source=str(source), progress=progress
    )


def verify_features(
    loaded: Sequence[LoadedMember],
    data: Dataset,
    *,
    points: int = 200,
    seed: int = 7,
    modules: Iterable[str] | None = None,
    trained: Trained | None = None,
    source: str = "the dataset given",
    progress: Callable[[str], None] | None = None,
) -> FeatureReport:
    """Hold a dataset against bars cut off at each of some signals; see this module's text.

    Parameters
    ----------
    loaded : the members that `data.members` names, with their history. trained : a model of these features, of which a
        row alone must be predicted as among the others.
    """
    if points < 1:
        raise InputError(f"`points` must be at least 1, was {points}")
    by_id = {one.instance.id: one for one in loaded}
    missing = [name for name in data.members if name not in by_id]
    if missing:
        raise InputError(f"the dataset has signals of {missing[0]}, which is not among the members given")
    chosen = _chosen(data, points, seed)
    found = _Found()
    strategies: dict[str, Strategy] = {}
    for done, number in enumerate(chosen.tolist()):
        row = data.rows[number]
        one = by_id[data.members[row["member"]]]
        name = one.member.strategy
        strategies.setdefault(name, get_strategy(name, modules))
        _Signal(one, strategies[name], row, data.features).check(data.x[number], found)
        if progress is not None:
            progress(f"features: {done + 1} of {len(chosen)} signals")
    if trained is not None:
        _check_alone(trained, data, chosen, found)
    ts = data.rows["ts"]
    return FeatureReport(
        source, len(data), len(chosen), len(np.unique(data.rows["member"][chosen])), data.features,
        int(ts.min()) if len(ts) else 0, int(ts.max()) if len(ts) else 0, list(found.all.values()),
    )  # fmt: skip


class _Found:
    """Findings, the first of each kind with how often it came."""

    def __init__(self) -> None:
        self.all: dict[tuple[str, str, str], FeatureFinding] = {}

    def add(self, check: str, instance: str, feature: str, ts_ms: int, values: tuple[float, float]) -> None:
        first = self.all.get((check, instance, feature)) or FeatureFinding(check, instance, feature, ts_ms, *values, 0)
        self.all[check, instance, feature] = replace(first, times=first.times + 1)


class _Signal:
    """One row of a dataset, recomputed."""

    def __init__(self, one: LoadedMember, strategy: Strategy, row: Row, names: Sequence[str]) -> None:
        self.one, self.strategy, self.row, self.names = one, strategy, row, names
        self.known_ms = int(row["ts"])
        opens_ms = self.known_ms - one.bars.interval_ms
        params, rules = strategy.params(one.member.params), one.member.rules
        first = history_start(strategy, params, rules, one.instance.interval, opens_ms)
        self.start_ms = min(first, features_start(names, one.instance.interval, opens_ms))
        self.params = params

    def check(self, given: FloatArray, found: _Found) -> None:
        instance = self.one.instance.id
        values = self._values(self.start_ms)
        if values is None:
            found.add("signal", instance, "the row", self.known_ms, (float(self.row["side"]), float("nan")))
            return
        wrong = np.flatnonzero(differing(given, values))
        if not len(wrong):
            return
        whole = self._values(int(self.one.bars.base.ts[0]))
        late = np.ones(len(given), np.bool_) if whole is None else differing(given, whole)
        for k in wrong.tolist():
            right = values if whole is None or not late[k] else whole
            check = "future" if late[k] else "lookback"
            found.add(check, instance, self.names[k], self.known_ms, (float(given[k]), float(right[k])))

    def _values(self, start_ms: int) -> FloatArray | None:
        """The features from bars of `[start_ms, known_ms)` alone; None where they give no such signal."""
        cut = self.one.bars.window(start_ms, self.known_ms)
        entry = self._entry(cut)
        return None if entry is None else feature_values(cut, entry, self.names)[0]

    def _entry(self, cut: Bars) -> Entries | None:
        # Which of stop and target comes first inside a bar is of no matter to a signal, and would need finer bars.
        rules = replace(self.one.member.rules, policy="pessimistic")
        prepared = prepare(cut, self.strategy.signals(cut, self.params), rules, self.one.member.costs)
        side = int(self.row["side"])
        leg = prepared.legs.get(side)
        if leg is None or not len(leg.entry_t) or leg.entry_t[-1] != self.row["t"]:
            return None
        every = entries_of(cut, leg, prepared.rules, side)
        return Entries(every.bar[-1:], side, every.stop[-1:], every.target[-1:])


def _chosen(data: Dataset, points: int, seed: int) -> IntArray:
    """Ascending positions of the rows that are tested: of every member some."""
    rng = np.random.default_rng(seed)
    owners = np.unique(data.rows["member"])
    share = max(1, points // max(1, len(owners)))
    rows = [np.flatnonzero(data.rows["member"] == owner) for owner in owners.tolist()]
    some = [one if len(one) <= share else rng.choice(one, share, replace=False) for one in rows]
    return np.sort(np.concatenate(some)).astype(np.int64) if some else np.empty(0, np.int64)


def _check_alone(trained: Trained, data: Dataset, chosen: IntArray, found: _Found) -> None:
    together = trained.predict(data.x)
    for number in chosen.tolist():
        alone = trained.predict(data.x[number : number + 1])
        if differing(alone, together[number : number + 1]).any():
            row = data.rows[number]
            values = (float(together[number]), float(alone[0]))
            found.add("batch", data.members[row["member"]], "the prediction", int(row["ts"]), values)


def as_table(report: FeatureReport) -> Mapping[str, Any]:
    """The report as JSON can hold it."""
    return {"ok": report.ok, **{name: value for name, value in vars(report).items() if name != "findings"},
            "findings": [vars(one) for one in report.findings]}  # fmt: skip
