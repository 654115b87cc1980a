"""A group in a worker process: its members as they are loaded, and what is made of them once for several recipes."""

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.analysis.runs import data_fingerprint
from toolkit.errors import InputError
from toolkit.models.batches import Loading
from toolkit.models.dataset import Dataset
from toolkit.models.features import check_features, default_features
from toolkit.models.groups import Group
from toolkit.models.making import make_dataset
from toolkit.models.panel import Panel, make_panel
from toolkit.models.pool import Task
from toolkit.models.recipe import Recipe
from toolkit.portfolio.loading import LoadedMember
from toolkit.portfolio.members import Member


class Workbench:
    """One group's members.

    Attributes
    ----------
    members : loaded, with the history that the features need. span_ms : first moment traded, first that is left out.
    """

    def __init__(self, members: Sequence[LoadedMember], loading: Loading) -> None:
        self.members = tuple(members)
        self.span_ms = (loading.start_ms, loading.end_ms)
        self._data: dict[tuple[Any, ...], Dataset] = {}
        self._panels: dict[tuple[str, ...], Panel] = {}

    def features(self, recipe: Recipe) -> tuple[str, ...]:
        return features_of(recipe, [one.member for one in self.members])

    def data(self, recipe: Recipe) -> Dataset:
        """Every signal of the period with a known outcome, with the features and the label of the recipe."""
        features = self.features(recipe)
        key = (features, recipe.label)
        if key not in self._data:
            made = make_dataset(self.members, features, label=recipe.label, end_ms=self.span_ms[1], jobs=1)
            if not len(made):
                raise InputError(
                    f"no signal of the period has a known outcome ({self._why(made.left_out)}); choose a longer period"
                )
            self._data[key] = made
        return self._data[key]

    def panel(self, recipe: Recipe) -> Panel:
        """Every raw entry of the period with its features."""
        features = self.features(recipe)
        if features not in self._panels:
            self._panels[features] = make_panel(self.members, features, self.span_ms)
        return self._panels[features]

    def forget(self) -> None:
        """Let go of datasets and panels; they are made again where they are asked for."""
        self._data.clear()
        self._panels.clear()

    def stored(self) -> list[dict[str, Any]]:
        """The stored series that all of it rests on; see `runs.data_fingerprint`."""
        series = {id(one.bars.base): one.bars for one in self.members}
        return [row for bars in series.values() for row in data_fingerprint(bars)]

    def _why(self, left_out: Mapping[str, int]) -> str:
        said = [f"{count:,} {why}" for why, count in left_out.items() if count]
        return ", ".join(said) or "there are none"


def features_of(recipe: Recipe, members: Sequence[Member]) -> tuple[str, ...]:
    """The recipe's features, or the default ones of the members' intervals."""
    intervals = sorted({member.interval for member in members})
    return check_features(recipe.features or default_features(intervals), intervals)


def workbenches(loading: Loading, recipes: Sequence[Recipe], tasks: Sequence[Task[Group]]) -> dict[str, Workbench]:
    """By name the groups of a batch, loaded together with the history that every recipe's features need."""
    groups = list({task.item.name: task.item for task in tasks}.values())
    members = [member for group in groups for member in group.members]
    features = dict.fromkeys(name for recipe in recipes for name in features_of(recipe, members))
    loaded = loading.members(groups, tuple(features))
    return {name: Workbench(mine, loading) for name, mine in loaded.items()}
