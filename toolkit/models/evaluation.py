"""Before and after, out of sample: what members earn without a model, and with each way of applying one.

Time is cut into blocks. Each block is judged by a model of what was known before it, and what all blocks say together
goes through the members' own simulation once: a veto changes what comes after. Nothing that a block shows is used to
choose anything for it.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from toolkit.errors import InputError, UnknownNameError
from toolkit.models.applying import METHODS, Application
from toolkit.models.backends.base import Budget
from toolkit.models.controls import FUTURE, NOISE, PAST, PERMUTED, noise_panel, shifted_panel
from toolkit.models.dataset import Dataset
from toolkit.models.fitness import Scored, fitness
from toolkit.models.folds import FoldPredictions, block_edges, fold_applications, predict_folds
from toolkit.models.outcome import Earned, Period, earned, earned_in_slots, period
from toolkit.models.panel import Panel, Predictions, make_panel
from toolkit.models.recipe import Recipe
from toolkit.models.scoring import judged_signals
from toolkit.models.training import said_of
from toolkit.portfolio.loading import LoadedMember
from toolkit.sweep.local import default_jobs
from toolkit.types import FloatArray, IntArray

RANK = "rank"
# Random features are drawn so many times: one draw alone may be lucky.
_NOISES = 3


@dataclass(frozen=True)
class Proof:
    """How a recipe is put to the proof.

    Attributes
    ----------
    methods : ways of applying predictions, see `applying.METHODS`; "rank" needs at least two members.
    folds : judged blocks of equal length. test_from_ms : where the first one begins; None = after one block's length.
    permutations : how many models on permuted labels; 0 = none. first_permutation : number of the first of them, where
        several evaluations share the work. controls : whether the negative controls are run.
    shift_bars : signal bars that the controls of the past and the future shift features by.
    slots : most trades at a time for "rank"; None = the recipe's, or one for every three members.
    seed : of permutations and noise. jobs : threads, None = the cores that this process may use; any number of them
        gives the same result.
    fit_secs, fit_trials : most that one fit of a library may take, and search; None = an hour, and its own setting.
    """

    methods: tuple[str, ...] = METHODS
    folds: int = 4
    test_from_ms: int | None = None
    permutations: int = 99
    controls: bool = True
    shift_bars: int = 10
    slots: int | None = None
    seed: int = 0
    jobs: int | None = None
    first_permutation: int = 0
    fit_secs: float | None = None
    fit_trials: int | None = None

    def __post_init__(self) -> None:
        for method in self.methods:
            if method not in METHODS:
                raise UnknownNameError("application", method, METHODS)
        if not self.methods:
            raise InputError("`methods` must name at least one way of applying a model, named none")
        for name, least in (
            ("folds", 1),
            ("permutations", 0),
            ("shift_bars", 1),
            ("seed", 0),
            ("first_permutation", 0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"`{name}` must be a whole number of at least {least}, was {value!r}")
        for name in ("slots", "jobs"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"`{name}` must be a whole number of at least 1, was {value!r}; leave it out")

        if self.fit_secs is not None and not self.fit_secs > 0:
            raise InputError(f"`fit_secs` must be a number of seconds above 0, was {self.fit_secs!r}")
        if self.fit_trials is not None and (isinstance(self.fit_trials, bool) or self.fit_trials < 0):
            raise InputError(f"`fit_trials` must be a whole number from 0 up, was {self.fit_trials!r}")

    def budget(self, recipe: Recipe) -> Budget:
        """What each fit of a recipe may use."""
        return Budget(recipe.seed, self.fit_secs, self.fit_trials)

    def slots_of(self, members: int, recipe: Recipe | None = None) -> int:
        """The slots of so many members; those of a recipe that ranks come before one for every three of them."""
        if self.slots is not None:
            return self.slots
        return int((recipe.options if recipe else {}).get("slots", max(1, -(-members // 3))))


@dataclass(frozen=True, eq=False)
class FoldNote:
    """A judged block `[from_ms, to_ms)`: rows its model was learned from, what was chosen, and why there is none."""

    from_ms: int
    to_ms: int
    rows: int
    applications: Mapping[str, Application]
    note: str


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Members over the judged blocks, before and after; plain data.

    Attributes
    ----------
    members, strategies : instance ids and their strategies, the rows of every `daily`.
    before : without a model, each member by itself. before_slots : on an account with `slots`, by weight; None unless
        "rank" was judged.
    after : by method; "rank" on the account with slots.
    permuted : by method, float64[permutations, n_days], pooled days by models on permuted labels.
    controls : by name of `controls.CONTROLS`, then by method, float64[k, n_days], pooled days of each time it was run.
    folds : the judged blocks. predicted : what was said of every raw entry, versions are numbers of folds.
    signals : by method, predictions and outcomes (1 or 0) of the signals on the path that it makes, float64[n] each,
        for those with both.
    """

    members: tuple[str, ...]
    strategies: tuple[str, ...]
    before: Earned
    before_slots: Earned | None
    slots: int
    after: Mapping[str, Earned]
    permuted: Mapping[str, FloatArray]
    controls: Mapping[str, Mapping[str, FloatArray]]
    folds: tuple[FoldNote, ...]
    predicted: Predictions
    signals: Mapping[str, tuple[FloatArray, FloatArray]]

    def before_of(self, method: str) -> Earned:
        """What a method is compared with."""
        if method != RANK:
            return self.before
        if self.before_slots is None:
            raise InputError("nothing was ranked; evaluate with the method 'rank' and at least two members")
        return self.before_slots

    def fitness(self, name: str, method: str) -> float:
        """A fitness by name (`fitness.FITNESS`) of what a method made out of sample."""
        made = self.after[method]
        return fitness(name, Scored(made.pooled, made.returns, *self.signals[method]))

    def of_strategy(self, name: str) -> "Evaluation":
        """The members of one strategy; what permuted labels and controls made is known of all together alone."""
        mine = [k for k, strategy in enumerate(self.strategies) if strategy == name]
        return replace(
            self,
            members=tuple(self.members[k] for k in mine),
            strategies=tuple(self.strategies[k] for k in mine),
            before=self.before.of(mine),
            before_slots=None if self.before_slots is None else self.before_slots.of(mine),
            after={method: made.of(mine) for method, made in self.after.items()},
            permuted={},
            controls={},
            signals={},
        )


def evaluate(
    loaded: Sequence[LoadedMember],
    data: Dataset,
    recipe: Recipe,
    span_ms: tuple[int, int],
    proof: Proof | None = None,
    budget: Budget | None = None,
) -> Evaluation:
    """Judge a recipe on members that share a model, walking forward.

    Parameters
    ----------
    loaded : the members, with the history that the features need before the period.
    data : their signals with known outcomes, all of the period; rows teach only the blocks after they were known.
    span_ms : the period; what comes before the first judged block teaches alone.

    Raises
    ------
    InputError and its kinds : no block has enough before it to learn from; says why.
    """
    proof = proof or Proof()
    budget = budget or proof.budget(recipe)
    return _Job(tuple(loaded), data, recipe, span_ms, proof, budget).run()


def control_panels(loaded: Sequence[LoadedMember], panel: Panel, proof: Proof, noises: int) -> dict[str, list[Panel]]:
    """By control, the panels that stand in place of the true one, each of them a run."""
    shift = proof.shift_bars
    panels = {NOISE: [noise_panel(panel, proof.seed, k) for k in range(noises)]}
    return panels | {name: [shifted_panel(loaded, panel, k)] for name, k in ((PAST, -shift), (FUTURE, shift))}


class _Job:
    """One evaluation: the same procedure on the truth, on permuted labels and on what the controls put in its place."""

    def __init__(
        self,
        loaded: Sequence[LoadedMember],
        data: Dataset,
        recipe: Recipe,
        span_ms: tuple[int, int],
        proof: Proof,
        budget: Budget,
    ) -> None:
        self.span_ms = span_ms
        self.loaded, self.data, self.recipe, self.proof, self.budget = loaded, data, recipe, proof, budget
        self.slots = proof.slots_of(len(loaded), recipe)
        self.methods = tuple(m for m in proof.methods if m != RANK or len(loaded) > 1)

    def run(self) -> Evaluation:
        proof, edges = self.proof, block_edges(self.span_ms, self.proof.folds, self.proof.test_from_ms)
        panel = make_panel(self.loaded, self.data.features, self.span_ms)
        over = period(self.loaded, int(edges[0]), int(edges[-1]))
        found = self._predict(edges, panel, self.data)
        if all(model.trained is None for model in found.models):
            raise InputError(f"no model could be learned for any judged block: {found.models[-1].note}")
        chosen = {method: fold_applications(self.loaded, found, method, self.recipe) for method in self.methods}
        after = {method: self._after(over, found, method, chosen[method]) for method in self.methods}
        permuted = self._permuted(over, edges, panel)
        notes = tuple(
            FoldNote(
                int(edges[k]), int(edges[k + 1]), model.rows,
                {method: every[k] for method, every in chosen.items()}, model.note,
            )
            for k, model in enumerate(found.models)
        )  # fmt: skip
        strategies = tuple(one.instance.strategy for one in self.loaded)
        return Evaluation(
            tuple(one.instance.id for one in self.loaded), strategies, earned(over),
            earned_in_slots(over, self.slots, by_prediction=False) if RANK in self.methods else None,
            self.slots, after,
            permuted if proof.permutations else {},
            self._controls(over, edges, panel, permuted) if proof.controls else {},
            notes, found.predicted,
            {m: judged_signals(over, said_of(found.predicted, chosen[m]), self.recipe.label) for m in self.methods},
        )  # fmt: skip

    def _procedure(
        self, over: Period, edges: IntArray, panel: Panel, data: Dataset, shuffle: tuple[int, ...] | None = None
    ) -> dict[str, FloatArray]:
        """Pooled days of each method, when this is learned from and asked."""
        found = self._predict(edges, panel, data, shuffle)
        chosen = {m: fold_applications(self.loaded, found, m, self.recipe) for m in self.methods}
        return {method: self._after(over, found, method, every).pooled for method, every in chosen.items()}

    def _predict(
        self, edges: IntArray, panel: Panel, data: Dataset, shuffle: tuple[int, ...] | None = None
    ) -> FoldPredictions:
        return predict_folds(
            self.loaded, data, self.recipe, self.span_ms, edges, panel=panel, budget=self.budget, shuffle=shuffle
        )

    def _after(self, over: Period, found: FoldPredictions, method: str, chosen: Sequence[Application]) -> Earned:
        said = said_of(found.predicted, chosen)
        return earned_in_slots(over, self.slots, said) if method == RANK else earned(over, said)

    def _permuted(self, over: Period, edges: IntArray, panel: Panel) -> dict[str, FloatArray]:
        """float64[N, n_days] by method; at least one where the controls are run."""
        proof = self.proof
        first, count = proof.first_permutation, max(proof.permutations, int(proof.controls))
        seeds = [(proof.seed, k) for k in range(first, first + count)]
        made = self._each([partial(self._procedure, over, edges, panel, self.data, seed) for seed in seeds])
        return {m: np.array([one[m] for one in made]).reshape(-1, over.n_days) for m in self.methods}

    def _controls(
        self, over: Period, edges: IntArray, panel: Panel, permuted: Mapping[str, FloatArray]
    ) -> dict[str, dict[str, FloatArray]]:
        panels = control_panels(self.loaded, panel, self.proof, _NOISES)
        asked = [(other, replace(self.data, x=other.at_rows(self.data))) for each in panels.values() for other in each]
        made = iter(self._each([partial(self._procedure, over, edges, other, data) for other, data in asked]))
        found = {name: [next(made) for _ in each] for name, each in panels.items()}
        return {
            PERMUTED: dict(permuted),
            **{name: {m: np.array([one[m] for one in runs]) for m in self.methods} for name, runs in found.items()},
        }

    def _each(self, work: Sequence[Callable[[], dict[str, FloatArray]]]) -> list[dict[str, FloatArray]]:
        """In threads, in the order given: each has its seed, so it does not matter which is done first."""
        jobs = default_jobs() if self.proof.jobs is None else self.proof.jobs
        if jobs == 1:
            return [one() for one in work]
        with ThreadPoolExecutor(jobs, thread_name_prefix="proof") as pool:
            return list(pool.map(lambda one: one(), work))
