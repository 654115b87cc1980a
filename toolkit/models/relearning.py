"""A recipe learned on a path that its own versions have made: the same steps in a backtest and from cron."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from toolkit.engine.types import Judged
from toolkit.models.backends.base import Budget
from toolkit.models.drift import reference_of
from toolkit.models.learning import out_of_fold_scores
from toolkit.models.making import make_dataset
from toolkit.models.panel import Panel
from toolkit.models.recipe import Recipe
from toolkit.models.trained import Trained
from toolkit.models.training import fit_application, learnable, train
from toolkit.models.walking import Known
from toolkit.portfolio.loading import LoadedMember

# Rows come with what costs nothing; what models see of them is in the panel already.
_FREE = ("side",)


@dataclass(frozen=True)
class RecipeLearner:
    """Learns versions by a recipe.

    Attributes
    ----------
    features : what models see, as `features.check_features` returns them. threads : of a fit.
    reference : also keep in the facts what `toolkit model drift` compares with, for a bundle.
    """

    recipe: Recipe
    features: tuple[str, ...]
    threads: int = 1
    reference: bool = False

    def __call__(
        self,
        loaded: Sequence[LoadedMember],
        judged: Mapping[str, Mapping[int, Judged]],
        known: Known,
        panel: Panel,
    ) -> Trained:
        """The model with its application, both from rows of the window alone; see `walking.Learn`."""
        window = (known.from_ms, known.until_ms)
        # The clock has counted the rows, against a number of its own.
        recipe = replace(self.recipe, min_trades=1)
        rows = make_dataset(loaded, _FREE, label=recipe.label, judged=judged, end_ms=known.until_ms, jobs=1)
        part = learnable(rows, *window)
        part = replace(part, features=panel.features, x=panel.at_rows(part))
        made = train(
            loaded, part, recipe, from_ms=window[0], until_ms=window[1], panel=panel,
            budget=Budget(seed=recipe.seed, jobs=self.threads),
        )  # fmt: skip
        application = fit_application(loaded, made.oof, recipe.method, recipe, window)
        facts = {
            **made.trained.facts, "rows": len(part), "dataset": part.fingerprint, "recipe": self.recipe.table(),
            "window": {"from_ms": window[0], "until_ms": window[1]},
            "scores": out_of_fold_scores(loaded, part, made.oof),
        }  # fmt: skip
        if self.reference:
            facts["reference"] = reference_of(part)
        return replace(made.trained, application=application, facts=facts)
