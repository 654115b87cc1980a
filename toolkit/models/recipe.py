"""`Recipe`: how a model is made of a dataset, in one frozen config that a TOML file can hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from toolkit.engine.durations import time_ms
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.applying import METHODS
from toolkit.models.balance import BALANCES
from toolkit.models.fitness import FITNESS
from toolkit.models.labels import LabelRule, label_from
from toolkit.models.selecting import SELECTIONS

_OPTIONS = {
    "veto": ("threshold",),
    "quantile": ("quantile", "threshold"),
    "kelly": ("fraction", "cap"),
    "rank": ("slots",),
}


@dataclass(frozen=True)
class Recipe:
    """How a model is made, and what is done with its predictions.

    Attributes
    ----------
    backend, settings : the way of learning (`backends.choices.BACKENDS`), and settings over its defaults.
    features : names of the columns; None = `features.default_features` of the members' intervals.
    label : what a row is learned to be, see `labels.LabelRule`.
    selection, keep : how features are chosen (`selecting.SELECTIONS`), and how many are kept; None = a third.
    balance : what is done about unequal classes (`balance.BALANCES`).
    clip : values beyond this quantile of the training part, at either end, are brought to it; 0 = none.
    indicators : a column more for each feature that is missing in the training part, saying where.
    method, options : what is done with a prediction (`applying.METHODS`), with numbers that are fixed instead of
        chosen: threshold (veto), quantile (share left out), fraction and cap (kelly), slots (rank).
    fitness : by what thresholds are chosen (`fitness.FITNESS`).
    folds, embargo : blocks of the training part for out-of-fold predictions, and the time kept free around each.
    min_trades : fewest rows to learn from. seed : equal seeds give equal models.
    """

    backend: str = "lightgbm"
    settings: Mapping[str, Any] = field(default_factory=dict)
    features: tuple[str, ...] | None = None
    label: LabelRule = LabelRule()  # noqa: RUF009
    selection: str = "none"
    keep: int | None = None
    balance: str = "none"
    clip: float = 0.005
    indicators: bool = False
    method: str = "veto"
    options: Mapping[str, float] = field(default_factory=dict)
    fitness: str = "sortino"
    folds: int = 4
    embargo: str = "1d"
    min_trades: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        from toolkit.models.backends.choices import checked_settings

        for name, known in (
            ("selection", SELECTIONS), ("balance", BALANCES), ("method", METHODS), ("fitness", FITNESS),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise UnknownNameError(f"`{name}` of a recipe", getattr(self, name), known)
        checked_settings(self.backend, self.settings)
        for name, least in (("folds", 2), ("min_trades", 1), ("seed", 0), ("keep", 1)):
            value = getattr(self, name)
            if value is None and name == "keep":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"`{name}` of a recipe must be a whole number of at least {least}, was {value!r}")
        clip = self.clip
        if isinstance(clip, bool) or not isinstance(clip, int | float) or not 0 <= clip < 0.5:
            raise InputError(f"`clip` of a recipe must be a quantile from 0 to below 0.5, was {clip!r}")
        if not isinstance(self.indicators, bool):
            raise InputError(f"`indicators` of a recipe must be true or false, was {self.indicators!r}")
        if self.embargo_ms < 0:
            raise InputError(f"`embargo` must be a time from 0 up such as '1d', was {self.embargo!r}")
        self._check_options()

    def _check_options(self) -> None:
        for name, value in self.options.items():
            if name not in _OPTIONS[self.method]:
                raise UnknownNameError(f"option of {self.method}", name, _OPTIONS[self.method])
            highest = 10_000 if name == "slots" else 1
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
                raise InputError(f"`{name}` of {self.method} must be a number from 0 to {highest:,}, was {value!r}")
        if "slots" in self.options and (
            self.options["slots"] != int(self.options["slots"]) or not self.options["slots"]
        ):
            raise InputError(f"`slots` must be a whole number of at least 1, was {self.options['slots']!r}")

    @property
    def embargo_ms(self) -> int:
        return time_ms("embargo", self.embargo)

    def table(self) -> dict[str, Any]:
        """As TOML or JSON can hold it; what is None is left out."""
        out: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None:
                out[one.name] = value
        out["settings"], out["options"], out["label"] = dict(self.settings), dict(self.options), self.label.table()
        if self.features is not None:
            out["features"] = list(self.features)
        return out

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Recipe":
        """A recipe from a table; `UnknownNameError` for a key that it does not have, `InputError` for a wrong value."""
        known = {one.name for one in fields(cls)}
        for name in table:
            if name not in known:
                raise UnknownNameError("key of a recipe", str(name), known)
        given = dict(table)
        for name in ("settings", "options"):
            if name in given and not isinstance(given[name], Mapping):
                raise InputError(f"`{name}` of a recipe must be a table, was {given[name]!r}")
        if "label" in given:
            given["label"] = label_from(given["label"])
        features = given.get("features")
        if features is not None:
            if isinstance(features, str) or not all(isinstance(name, str) for name in features):
                raise InputError(f"`features` of a recipe must be a list of names, was {features!r}")
            given["features"] = tuple(features)
        for name in ("backend", "selection", "balance", "method", "fitness", "embargo"):
            if name in given and not isinstance(given[name], str):
                raise InputError(f"`{name}` of a recipe must be a text, was {given[name]!r}")
        return cls(**given)
