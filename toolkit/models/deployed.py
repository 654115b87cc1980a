"""Models that a deployment names: where their bundles are, what they see, and what they say."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import InputError
from toolkit.models.said import Said
from toolkit.models.store import ModelInfo, check_model, find_model, read_info, read_model

if TYPE_CHECKING:
    from toolkit.portfolio.deployment import Deployment, ModelUse
    from toolkit.portfolio.loading import LoadedMember

FOLDER = "models"
"""Of a deployment's bundle: holds the bundles of its models, `<name>/<version>/`."""


def use_models(deployment: "Deployment", models: Iterable[str | Path], root: Path | None = None) -> "Deployment":
    """The next deployment: the same, with these models.

    A model judges the instances that it was learned from; where it names none of the deployment's, those of the
    strategy that bears its name, and a model of everything pooled ("pooled") all that no other judges.

    Parameters
    ----------
    models : each "name" (its newest version), "name@version" or a bundle's folder. root : of the registry.

    Raises
    ------
    InputError and its kinds : no such model, one that judges nobody here, or two that judge the same instance.
    """
    from toolkit.portfolio.deployment import ModelUse

    strategies = {member.instance.id: member.strategy for member in deployment.members}
    uses, judged = [], set[str]()
    infos = [check_model(find_model(one, root)) for one in models]
    for info in sorted(infos, key=lambda one: one.name == "pooled"):
        learned = set(info.facts.get("members") or ())
        mine = [name for name in strategies if name in learned and name not in judged]
        mine = mine or [name for name, strategy in strategies.items() if info.name == strategy and name not in judged]
        if info.name == "pooled" and not mine:
            mine = [name for name in strategies if name not in judged]
        fits = {name for name, strategy in strategies.items() if name in learned or info.name in (strategy, "pooled")}
        if not mine and fits & judged:
            raise InputError(
                f"model {info.id} would judge what another of the named models judges already; name one of them"
            )
        if not mine:
            raise InputError(
                f"model {info.id} judges no instance of deployment {deployment.id}: it was learned from others; name a "
                f"model of these strategies ({', '.join(sorted(set(strategies.values())))})"
            )
        judged |= set(mine)
        uses.append(ModelUse(info.name, info.version, info.checksum, tuple(mine)))
        # Who trades the deployment finds a model by its name and version, also where a folder was named here.
        bundle_of(uses[-1], root)
    order = "prediction" if any(info.application.method == "rank" for info in infos) else deployment.limits.entry_order
    return deployment.followed_by(models=tuple(uses), limits=replace(deployment.limits, entry_order=order))


def bundle_of(use: "ModelUse", root: Path | None = None) -> Path:
    """The bundle that a deployment means.

    root : folder that holds `<name>/<version>/`, the registry unless given.

    Raises
    ------
    InputError and its kinds : it is not there, or is another than the deployment was made with.
    """
    folder = find_model(f"{use.name}@{use.version}", root)
    found = read_info(folder)
    if found.checksum != use.checksum:
        raise InputError(
            f"model {found.id} in {folder} is not the one that was deployed (checksum {found.checksum[:12]}, "
            f"{use.checksum[:12]} then); copy that one back, or deploy anew"
        )
    return folder


def features_of(deployment: "Deployment", root: Path | None = None) -> tuple[str, ...]:
    """What its models see, each feature once."""
    infos: list[ModelInfo] = [read_info(bundle_of(use, root)) for use in deployment.models]
    return tuple(dict.fromkeys(name for info in infos for name in info.features))


def judged_of(deployment: "Deployment", loaded: Sequence["LoadedMember"], root: Path | None = None) -> Said:
    """What its models say of the raw entries of its members, from the first bar on."""
    from toolkit.models.judging import Version, judge

    of: Mapping[str, int] = {name: k for k, use in enumerate(deployment.models) for name in use.instances}
    versions = [Version(f"{use.name}@{use.version}", 0, read_model(bundle_of(use, root))) for use in deployment.models]
    judged = {}
    for one in loaded:
        number = of.get(one.instance.id)
        if number is not None:
            said = judge(one, [versions[number]])
            judged[one.instance.id] = {
                side: says._replace(versions=says.versions * 0 + number) for side, says in said.items()
            }
    return Said(judged, tuple(version.id for version in versions))


def copy_bundles(models: Iterable["ModelUse"], folder: Path, root: Path | None = None) -> None:
    """Copy the models' bundles into `folder`, `<name>/<version>/` each; checked before and after."""
    for use in models:
        place = folder / use.name / use.version
        source = bundle_of(use, root)
        check_model(source)
        shutil.copytree(source, place)
        check_model(place)
