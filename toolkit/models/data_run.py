"""`model data`: the dataset of a question, and its profile as files."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.models.dataset import Dataset
from toolkit.models.making import make_dataset
from toolkit.models.profile import QUANTILES, Classes, FeatureProfile, Profile, profile
from toolkit.models.question import Question
from toolkit.models.workbench import features_of
from toolkit.portfolio.loading import load_members

CLASSES = ".classes.csv"
# The share of the whole has the name already.
_MISSING = {"missing_before": "missing_first", "missing": "missing_last"}


def model_data(
    question: Question, *, last: float = 0.5, jobs: int | None = None, progress: bool = False
) -> tuple[Dataset, Profile]:
    """Every signal of the question's members and period with a known outcome, and what they are made of.

    last : see `profile.profile`. jobs : threads. Errors are those of `load_members` and `make_dataset`.
    """
    members, loading = question.grouped.members, question.loading
    features = features_of(question.recipe, members)
    loaded = load_members(
        members, start=loading.start_ms, end=loading.end_ms, db=loading.db, strategies=loading.modules,
        features=features, jobs=jobs, progress=progress,
    )  # fmt: skip
    data = make_dataset(
        loaded, features, label=question.recipe.label, end_ms=loading.end_ms, jobs=jobs, progress=progress
    )
    return data, profile(data, last=last)


def write_profile(found: Profile, path: Path) -> list[Path]:
    """Write a profile as two CSV files, features to `path` and classes beside it; returns both.

    Raises
    ------
    RunError : one cannot be written.
    """
    import polars as pl

    from toolkit.models.rows_file import write_frame

    classes = path.with_suffix(CLASSES)
    for file, rows in ((path, _features(found.features)), (classes, _classes(found.classes))):
        write_frame(pl.DataFrame(rows, infer_schema_length=None), file)
    return [path, classes]


def _features(features: Sequence[FeatureProfile]) -> list[dict[str, Any]]:
    return [
        {
            "feature": one.feature, "missing": one.missing, "distinct": one.distinct, "mean": one.mean, "std": one.std,
            **{_column(level): value for level, value in zip(QUANTILES, one.quantiles, strict=True)},
            "correlation": one.correlation,
            **{_MISSING.get(name, name): value for name, value in one.shift._asdict().items()},
        }
        for one in features
    ]  # fmt: skip


def _classes(classes: Sequence[Classes]) -> list[dict[str, Any]]:
    return [vars(one).copy() for one in classes]


def _column(level: float) -> str:
    """`q05` of 0.05."""
    return "q" + re.sub(r"^0\.", "", f"{level:.2f}")
