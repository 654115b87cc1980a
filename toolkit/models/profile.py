"""What a dataset is made of, before anything is fitted: classes, distributions, what is missing, what moves."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.engine.types import ACCEPTED
from toolkit.models.dataset import Dataset
from toolkit.models.shift import Shift, ks_chance, ks_distance, shift, sketch
from toolkit.models.uniqueness import uniqueness
from toolkit.types import BoolArray, FloatArray

POOLED = "all together"
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_FEW = 50


@dataclass(frozen=True)
class Classes:
    """The rows of a strategy, or of all.

    Attributes
    ----------
    instances : of it that have rows. rows, refused : signals with a known outcome, and how many of them were refused.
    distinct : what the rows come to when those that overlap in time share what they tell (sum of their uniqueness).
    wins : share of rows worth taking. wins_first, wins_last : in the first and the last part.
    mean_return, mean_r : of the trades after costs; NaN without rows, or without a stop.
    from_ms, until_ms : first decision, last known outcome; None without rows.
    """

    strategy: str
    instances: int
    rows: int
    refused: int
    distinct: float
    wins: float
    wins_first: float
    wins_last: float
    mean_return: float
    mean_r: float
    from_ms: int | None
    until_ms: int | None


@dataclass(frozen=True)
class FeatureProfile:
    """One feature over all rows.

    Attributes
    ----------
    missing : share. mean, std, quantiles (at `QUANTILES`) : of its finite values, NaN without any.
    correlation : Spearman's, with the label, over the rows that have it; NaN where either is constant.
    shift : from the first part of the rows to the last one; its KS is exact.
    """

    feature: str
    missing: float
    distinct: int
    mean: float
    std: float
    quantiles: tuple[float, ...]
    correlation: float
    shift: Shift


@dataclass(frozen=True)
class Profile:
    """A dataset as it is.

    Attributes
    ----------
    label : how rows were made ones and zeros. split_ms : the last part are the rows decided from then on; None where
        there are fewer than two moments. left_out : signals without a row, by why.
    classes : by strategy, and of all together as the last one. features : in the dataset's order.
    """

    label: str
    split_ms: int | None
    left_out: Mapping[str, int]
    classes: tuple[Classes, ...]
    features: tuple[FeatureProfile, ...]

    @property
    def pooled(self) -> Classes:
        return self.classes[-1]

    @property
    def warnings(self) -> list[str]:
        """What stands in the way of learning, a sentence each."""
        said = []
        for one in self.classes:
            if not one.rows:
                said.append(f"{one.strategy} has no signal with a known outcome")
            elif one.wins in (0.0, 1.0):
                said.append(f"{one.strategy}: all {one.rows:,} rows are of one class, nothing can be told apart")
            elif one.rows < _FEW:
                said.append(f"{one.strategy}: {one.rows} rows are too few to learn from")
        if not self.pooled.rows:
            return said
        missing = [one.feature for one in self.features if one.missing == 1.0]
        constant = [one.feature for one in self.features if one.missing < 1.0 and one.distinct == 1]
        moved = [one.feature for one in self.features if one.shift.psi > max(0.25, one.shift.psi_chance)]
        for names, what in (
            (missing, "have no value at all"),
            (constant, "never change"),
            (moved, "are distributed otherwise in the last part (PSI above 0.25 and above chance)"),
        ):
            if names:
                said.append(f"{len(names)} of {len(self.features)} features {what}: {', '.join(names)}")
        return said


def profile(data: Dataset, *, last: float = 0.5) -> Profile:
    """What a dataset is made of.

    Parameters
    ----------
    last : share of the rows, by time of decision, that the first ones are held against; from above 0 to below 1.
    """
    split_ms = _split(data, last)
    late = np.zeros(len(data), np.bool_) if split_ms is None else data.rows["ts"] >= split_ms
    strategies = dict.fromkeys(data.strategies)
    parts = [data.of_strategy(name) for name in strategies]
    classes = [_classes(name, part, split_ms) for name, part in zip(strategies, parts, strict=True)]
    classes.append(_classes(POOLED, data, split_ms))
    features = []
    for k, name in enumerate(data.features):
        x = data.x[:, k]
        moved = shift(sketch(x[~late]), x[late], len(data.features))
        ks, n, m = ks_distance(x[~late], x[late]), *(int(np.isfinite(part).sum()) for part in (x[~late], x[late]))
        features.append(_feature(name, x, data.y, moved._replace(ks=ks, ks_p=ks_chance(ks, n, m))))
    return Profile(data.label, split_ms, data.left_out, tuple(classes), tuple(features))


def _split(data: Dataset, last: float) -> int | None:
    """The moment from which on rows belong to the last part; all rows of one moment are in the same one."""
    moments = data.rows["ts"]
    if not len(moments) or moments[0] == moments[-1]:
        return None
    at = int(moments[min(len(moments) - 1, round(len(moments) * (1.0 - last)))])
    return at if at > moments[0] else int(moments[moments > moments[0]][0])


def _classes(name: str, data: Dataset, split_ms: int | None) -> Classes:
    rows, late = data.rows, data.rows["ts"] >= (np.iinfo(np.int64).max if split_ms is None else split_ms)
    r = rows["r"][np.isfinite(rows["r"])]
    return Classes(
        name, len(np.unique(rows["member"])), len(data), int((rows["decision"] != ACCEPTED).sum()),
        float(uniqueness(rows["ts"], rows["known"], data.symbol).sum()),
        _mean(data.y), _mean(data.y[~late]), _mean(data.y[late]), _mean(rows["ret"]), _mean(r),
        int(rows["ts"].min()) if len(data) else None, int(rows["known"].max()) if len(data) else None,
    )  # fmt: skip


def _feature(name: str, x: FloatArray, y: FloatArray, moved: Shift) -> FeatureProfile:
    there = np.isfinite(x)
    seen = x[there]
    if not len(seen):
        nothing = (np.nan,) * len(QUANTILES)
        return FeatureProfile(name, _mean(~there), 0, np.nan, np.nan, nothing, np.nan, moved)
    return FeatureProfile(
        name, _mean(~there), len(np.unique(seen)), float(seen.mean()), float(seen.std()),
        tuple(np.quantile(seen, QUANTILES).tolist()), rank_correlation(seen, y[there]), moved,
    )  # fmt: skip


def rank_correlation(x: FloatArray, y: FloatArray) -> float:
    """Spearman's, ties at their mean rank; NaN where either has one value only."""
    from scipy.stats import rankdata

    a, b = (rankdata(values) - (len(values) + 1) / 2 for values in (x, y))
    size = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / size) if size > 0 else np.nan


def _mean(values: FloatArray | BoolArray) -> float:
    return float(values.mean()) if len(values) else np.nan
