"""What a backtest is told of models: a recipe that is learned again and again (`ModelPlan`), or versions that are
there; where nothing is given, a deployment names its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from toolkit.errors import InputError
from toolkit.models.features import check_features, default_features
from toolkit.models.groups import STRATEGY, grouped
from toolkit.models.judging import Version
from toolkit.models.retraining import RetrainPolicy
from toolkit.models.store import read_info
from toolkit.models.walkforward import Reader, Walk, judged_by, walk_forward
from toolkit.models.walking import Learn, Training
from toolkit.portfolio.loading import LoadedMember
from toolkit.sweep.local import default_jobs

if TYPE_CHECKING:
    from toolkit.models.recipe import Recipe
    from toolkit.portfolio.deployment import Deployment
    from toolkit.portfolio.members import Member

RANK = "rank"


@dataclass(frozen=True)
class ModelPlan:
    """How an account's models are learned while it runs.

    Attributes
    ----------
    recipe : what is learned and how it is applied. retrain : when. per : what shares a model, see `groups.grouped`.
    """

    recipe: "Recipe"
    retrain: RetrainPolicy = field(default_factory=RetrainPolicy)
    per: str = STRATEGY

    @property
    def ranks(self) -> bool:
        """Whether the account decides the likeliest entries first."""
        return self.recipe.method == RANK

    def features(self, intervals: Iterable[str]) -> tuple[str, ...]:
        """What its models see; `InputError` for a name that an interval does not have."""
        known = sorted(set(intervals))
        return check_features(self.recipe.features or default_features(known), known)

    def learner(self, intervals: Iterable[str], jobs: int) -> Learn:
        """How its versions are learned, with so many threads each."""
        from toolkit.models.backends.choices import backend
        from toolkit.models.relearning import RecipeLearner

        backend(self.recipe.backend)  # where its environment is missing, that is said before anything runs
        return RecipeLearner(self.recipe, self.features(intervals), jobs)

    def table(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"recipe": self.recipe.table(), "retrain": asdict(self.retrain), "per": self.per}


# Versions by the name of a strategy or an instance, ascending by the moment that they hold from.
Versions: TypeAlias = Mapping[str, Sequence[Version]]
Models: TypeAlias = "ModelPlan | Versions"
Asked: TypeAlias = "ModelPlan | Versions | Deployment"


def models_asked(models: Any, deployment: "Deployment | None") -> "Asked | None":
    """What judges the entries: what is given, else the deployment's own where it names some, else nothing.

    Raises
    ------
    InputError : neither a plan nor versions.
    """
    if models is None:
        return deployment if deployment is not None and deployment.models else None
    if isinstance(models, ModelPlan):
        return models
    if not isinstance(models, Mapping):
        kind = type(models).__name__
        raise InputError(f"`models` must be a ModelPlan, or Versions by the name of a strategy or instance, was {kind}")
    for name, mine in models.items():
        if not isinstance(mine, list | tuple) or not mine or not all(isinstance(one, Version) for one in mine):
            raise InputError(f"models of {name!r} must be a list of at least one Version, were {mine!r}")
    return models


def models_table(asked: "Asked") -> dict[str, Any]:
    """What judged, as JSON can hold it."""
    if isinstance(asked, ModelPlan):
        return asked.table()
    if isinstance(asked, Mapping):
        return {"versions": {name: [one.id for one in mine] for name, mine in asked.items()}}
    return {"deployment": asked.id}


def ranks(asked: "Asked | None") -> bool:
    """Whether the account is to decide the likeliest of the entries of one moment first."""
    if isinstance(asked, ModelPlan):
        return asked.ranks
    if isinstance(asked, Mapping):
        return any(one.trained.application.method == RANK for mine in asked.values() for one in mine)
    return False  # a deployment's limits say it themselves


def seen_by(asked: "Asked | None", members: Iterable["Member"]) -> tuple[str, ...]:
    """Features that loaded history must reach back for."""
    if asked is None:
        return ()
    if isinstance(asked, ModelPlan):
        return asked.features(member.interval for member in members)
    if isinstance(asked, Mapping):
        return tuple(dict.fromkeys(name for mine in asked.values() for one in mine for name in one.trained.features))
    from toolkit.models.deployed import features_of

    return features_of(asked)


def walk_of(
    asked: "Asked", loaded: Sequence[LoadedMember], span_ms: tuple[int, int], reader: Reader, *, jobs: int | None,
    progress: bool,
) -> Walk:  # fmt: skip
    """What the models say over a period (first moment, last close)."""
    if isinstance(asked, Mapping):
        return judged_by(loaded, asked, span_ms[0])
    if not isinstance(asked, ModelPlan):
        return _deployed(asked, loaded)
    workers = default_jobs() if jobs is None else jobs
    # Worker processes have a core each; a single group has them all.
    threads = workers if len(grouped([one.member for one in loaded], asked.per)) == 1 else 1
    return walk_forward(
        loaded, asked.retrain, asked.learner([one.instance.interval for one in loaded], threads), span_ms,
        per=asked.per, reader=reader, jobs=workers, progress=progress,
    )  # fmt: skip


def _deployed(deployment: "Deployment", loaded: Sequence[LoadedMember]) -> Walk:
    """What a deployment's own models say; they hold throughout."""
    from toolkit.models.deployed import bundle_of, judged_of

    trainings: list[Training] = []
    group_of: dict[str, str] = {}
    for use in deployment.models:
        info = read_info(bundle_of(use))
        rows = int(info.facts.get("rows") or 0)
        trainings.append(Training(use.name, info.id, 0, info.from_ms, info.until_ms, rows, dict(info.facts)))
        group_of |= dict.fromkeys(use.instances, use.name)
    return Walk(judged_of(deployment, loaded), tuple(trainings), group_of)
