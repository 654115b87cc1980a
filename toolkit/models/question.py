"""What the model commands are asked alike: whose entries, when, with which recipe; and how a run keeps the question."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.bars.moments import Moment, check_range, to_ms
from toolkit.bars.series import utc
from toolkit.errors import InputError
from toolkit.models.backends.choices import backend
from toolkit.models.batches import Loading
from toolkit.models.groups import ALL, STRATEGY, Group, Grouped, grouped, groups_of
from toolkit.models.members_file import member_rows
from toolkit.models.recipe import Recipe
from toolkit.models.recipe_file import RecipeFile, read_recipe_file
from toolkit.models.stored import stored_span
from toolkit.portfolio.members import members_from_table
from toolkit.portfolio.origin import UNKNOWN, Days, Origin

LATEST = "latest"
SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Question:
    """Groups of members, their period, and a recipe.

    Attributes
    ----------
    tried : how many recipes were tried before this one was chosen. experiment : the run that chose it.
    """

    grouped: Grouped
    loading: Loading
    recipe: Recipe
    tried: int = 1
    experiment: str | None = None

    @property
    def groups(self) -> tuple[Group, ...]:
        return self.grouped.groups

    def config(self) -> dict[str, Any]:
        """As a run keeps it."""
        loading = self.loading
        return {
            "per": self.grouped.per,
            "start": utc(loading.start_ms),
            "end": utc(loading.end_ms),
            "span_ms": [loading.start_ms, loading.end_ms],
            "db": None if loading.db is None else str(loading.db),
            "strategies": None if loading.modules is None else list(loading.modules),
            "recipe": dict(self.recipe.table()),
            "tried": self.tried,
            "experiment": self.experiment,
            "origin": asdict(self.grouped.origin),
            "instance": member_rows(self.grouped.members),
        }

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Question":
        """The question that a run was asked."""
        modules = config["strategies"]
        members = members_from_table(config["instance"], strategies=modules)
        db = config["db"]
        start_ms, end_ms = config["span_ms"]
        loading = Loading(
            start_ms, end_ms, None if db is None else Path(db), None if modules is None else tuple(modules)
        )
        found = Grouped(grouped(members, config["per"]), _origin(config["origin"]), config["per"])
        return cls(found, loading, Recipe.from_table(config["recipe"]), config["tried"], config["experiment"])

    @property
    def recipe_file(self) -> RecipeFile:
        return RecipeFile(self.recipe, self.tried, self.experiment)

    def with_recipe(self, found: RecipeFile) -> "Question":
        return replace(self, recipe=found.recipe, tried=found.tried, experiment=found.run)

    def only(self, groups: Sequence[Group]) -> "Question":
        """The same of some of the groups."""
        return replace(self, grouped=replace(self.grouped, groups=tuple(groups)))


def ask(
    source: Any = LATEST,
    recipe: Recipe | RecipeFile | Path | str | None = None,
    *,
    strategies: str = ALL,
    per: str = STRATEGY,
    start: Moment | None = None,
    end: Moment | None = None,
    changes: Mapping[str, Any] | None = None,
    db: Path | None = None,
    root: Path | None = None,
    modules: Iterable[str] | None = None,
    accept_code: bool = False,
    **chosen: Any,
) -> Question:
    """Read and check everything before anything is run.

    Parameters
    ----------
    source, strategies, per, accept_code, chosen : see `groups.groups_of`; "latest" is the newest sweep.
    recipe : a `Recipe`, or what `recipe_file.read_recipe_file` reads; the default recipe unless given.
    start, end : first moment traded, first that is left out (UTC), within what is stored of any member; None = all.
    changes : fields of the recipe that are laid over it.
    """
    check_range(*(None if m is None else to_ms(m, name) for m, name in ((start, "start"), (end, "end"))))
    given = _file_of(recipe, root)
    wanted = Recipe.from_table({**given.recipe.table(), **(changes or {})})
    # A library whose environment is not there is told before anything is run.
    backend(wanted.backend)
    named = None if modules is None else tuple(modules)
    found = groups_of(
        source, strategies=strategies, per=per, root=root, modules=named, accept_code=accept_code, **chosen
    )  # fmt: skip
    first_ms, last_ms = stored_span(found.members, db)
    start_ms = first_ms if start is None else max(first_ms, to_ms(start, "start"))
    end_ms = last_ms if end is None else min(last_ms, to_ms(end, "end"))
    if start_ms >= end_ms:
        raise InputError(
            f"the bars of these members reach from {utc(first_ms)} to {utc(last_ms)}, and the period that was asked "
            f"for lies outside of them; choose another, or pull more bars"
        )
    loading = Loading(start_ms, end_ms, None if db is None else db.resolve(), named)
    return Question(found, loading, wanted, given.tried, given.run)


def _file_of(recipe: Recipe | RecipeFile | Path | str | None, root: Path | None) -> RecipeFile:
    if recipe is None:
        return RecipeFile(Recipe())
    if isinstance(recipe, Recipe):
        return RecipeFile(recipe)
    return recipe if isinstance(recipe, RecipeFile) else read_recipe_file(recipe, root)


def _origin(table: Mapping[str, Any]) -> Origin:
    return Origin(**{**table, "selected": _days(table["selected"]), "learned": _days(table["learned"])})


def _days(table: Mapping[str, Any] | None) -> Days | None:
    days = None if table is None else Days(**table)
    return UNKNOWN if days == UNKNOWN else days
