"""Drift of models that are in use: what they have seen since their training, made of stored bars, beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import InputError
from toolkit.models.dataset import ROW, Dataset
from toolkit.models.deployed import bundle_of
from toolkit.models.drift import DRIFTED, Drift, drift
from toolkit.models.groups import POOLED
from toolkit.models.judging import Version, judge
from toolkit.models.labels import LabelRule, label_from
from toolkit.models.making import make_dataset
from toolkit.models.paths import begun
from toolkit.models.store import ModelInfo, check_model, find_model, read_model
from toolkit.models.stored import stored_span
from toolkit.models.trained import Trained
from toolkit.portfolio.candidates import Candidates
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member
from toolkit.sweep.progress import Progress


@dataclass(frozen=True)
class Watched:
    """A model and the members whose entries it judges."""

    info: ModelInfo
    members: tuple[Member, ...]


@dataclass(frozen=True)
class ModelDrift:
    """What became of a watched model; a bundle's `name@version`, and the instances it judges."""

    name: str
    version: str
    instances: tuple[str, ...]
    drift: Drift

    def table(self) -> dict[str, Any]:
        """As JSON can hold it, NaN aside."""
        found = self.drift
        return {
            "name": self.name, "version": self.version, "instances": list(self.instances), "verdict": found.verdict,
            "text": found.text, **asdict(found),
            "outcomes": {**asdict(found.outcomes), "verdict": found.outcomes.verdict},
        }  # fmt: skip


@dataclass(frozen=True)
class DriftReport:
    """Drift of several models, of stored bars up to `end_ms`. deployment : whose they are, None for no deployment's."""

    deployment: str | None
    end_ms: int
    models: tuple[ModelDrift, ...]

    @property
    def drifted(self) -> bool:
        return any(one.drift.verdict == DRIFTED for one in self.models)

    def table(self) -> dict[str, Any]:
        """As JSON can hold it, NaN aside."""
        return {
            "created": datetime.now(UTC).isoformat(timespec="milliseconds"), "deployment": self.deployment,
            "end_ms": self.end_ms, "models": [one.table() for one in self.models],
        }  # fmt: skip


def watched(
    found: Candidates, models: Sequence[str | Path] = (), root: Path | None = None, *, newest: bool = False
) -> list[Watched]:
    """Models and whom they judge: those that a deployment names, or `models` on the members that they learned from.

    Parameters
    ----------
    found : a deployment, or other members. models : each "name" (its newest version), "name@version" or a bundle's
        folder. root : of the registry. newest : the newest versions of the models that a deployment names, instead of
        those that it was made with.

    Raises
    ------
    InputError and its kinds : no models, one that is not there or damaged, or one that judges nobody here.
    """
    by_id = {member.instance.id: member for member in found.members}
    if models:
        infos = [check_model(find_model(one, root)) for one in models]
        return [Watched(info, _judged(info, by_id)) for info in infos]
    uses = found.deployment.models if found.deployment is not None else ()
    if not uses:
        what = "these members have none" if found.deployment is None else f"deployment {found.deployment.id} names none"
        raise InputError(f"drift is of models, and {what}; name one with --model")
    folders = [find_model(use.name, root) if newest else bundle_of(use, root) for use in uses]
    return [
        Watched(check_model(folder), tuple(by_id[name] for name in use.instances))
        for folder, use in zip(folders, uses, strict=True)
    ]


def drift_of(
    models: Sequence[Watched],
    *,
    deployment: str | None = None,
    last_ms: int | None = None,
    end_ms: int | None = None,
    db: Path | None = None,
    modules: Sequence[str] | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> DriftReport:
    """What the models have seen since their training, from stored bars.

    Each model's members go their own path from then on, the model in the loop; a signal that it refuses is labelled by
    its shadow. Nothing of the training part is in it.

    Parameters
    ----------
    last_ms : only so long before the end; None = everything since the training. end_ms : None = all that is stored.
    db : the bars database. modules : Python modules that hold strategies. jobs : threads.

    Raises
    ------
    InputError : a model keeps no reference of its training set. StoreError : the database cannot be used.
    """
    every = {member.instance.id: member for one in models for member in one.members}
    alike = {(one.symbol, one.exchange, one.base, one.interval): one for one in every.values()}
    ends = {key: stored_span([one], db)[1] for key, one in alike.items()}
    reach_ms = {name: ends[one.symbol, one.exchange, one.base, one.interval] for name, one in every.items()}
    until_ms = max(reach_ms.values()) if end_ms is None else min(end_ms, max(reach_ms.values()))
    # A model whose training reaches to the end of the bars has nothing to be held against yet.
    starts = [max(one.info.until_ms, until_ms - last_ms if last_ms is not None else 0) for one in models]
    _check_references(models)
    since = _since(models, starts)
    wanted = [name for name in every if since[name] < min(until_ms, reach_ms[name])]
    loaded: dict[str, LoadedMember] = {}
    if wanted:
        features = dict.fromkeys(name for one in models for name in one.info.features)
        found = load_members(
            [every[name] for name in wanted], start=min(starts), end=until_ms, db=db, strategies=modules,
            features=features, jobs=jobs,
        )  # fmt: skip
        loaded = {one.instance.id: one for one in found}
    shown = Progress(len(models), shown=progress, unit="models")
    drifts = []
    for one, start_ms in zip(models, starts, strict=True):
        mine = [loaded[m.instance.id] for m in one.members if m.instance.id in loaded and start_ms < until_ms]
        ids = tuple(member.instance.id for member in one.members)
        drifts.append(
            ModelDrift(one.info.name, one.info.version, ids, _drift(one.info, mine, start_ms, until_ms, jobs))
        )
        shown.add(1)
    shown.close()
    return DriftReport(deployment, until_ms, tuple(drifts))


def _check_references(models: Sequence[Watched]) -> None:
    for one in models:
        if not one.info.facts.get("reference"):
            raise InputError(
                f"model {one.info.id} keeps no reference of its training set, so drift cannot be told; train it again "
                f"with `toolkit model train`"
            )


def _since(models: Sequence[Watched], starts: Sequence[int]) -> dict[str, int]:
    """By instance id, from when on any model that judges it wants to see it."""
    since: dict[str, int] = {}
    for one, start_ms in zip(models, starts, strict=True):
        for member in one.members:
            name = member.instance.id
            since[name] = min(start_ms, since.get(name, start_ms))
    return since


def _judged(info: ModelInfo, by_id: Mapping[str, Member]) -> tuple[Member, ...]:
    learned = set(info.facts.get("members") or ())
    mine = [member for name, member in by_id.items() if name in learned]
    mine = mine or [member for member in by_id.values() if info.name in (POOLED, member.strategy)]
    if not mine:
        raise InputError(
            f"model {info.id} judges none of these members: it was learned from others; name a model of these "
            f"strategies ({', '.join(sorted({member.strategy for member in by_id.values()}))})"
        )
    return tuple(mine)


def _drift(info: ModelInfo, loaded: Sequence[LoadedMember], start_ms: int, end_ms: int, jobs: int | None) -> Drift:
    trained = read_model(info.folder)
    recipe = info.facts.get("recipe") or {}
    rule = label_from(recipe["label"]) if "label" in recipe else LabelRule()
    recent, predictions = _nothing(info, rule), np.empty(0)
    if loaded:
        version = Version(info.id, 0, trained)
        members = [begun(one, start_ms) for one in loaded]
        judged = {one.instance.id: judge(one, [version]) for one in members}
        recent = make_dataset(members, info.features, label=rule, judged=judged, end_ms=end_ms, jobs=jobs)
        predictions = trained.predict(recent.x) if len(recent) else predictions
    return drift(info.facts["reference"], recent, read=_read(trained), predictions=predictions)


def _read(trained: Trained) -> tuple[str, ...]:
    return tuple(trained.features[k] for k in trained.chosen.tolist())


def _nothing(info: ModelInfo, rule: LabelRule) -> Dataset:
    empty = np.empty(0)
    return Dataset(
        info.features, np.empty((0, len(info.features))), np.zeros(0, ROW), (), (), rule.text, empty, empty, {}
    )
