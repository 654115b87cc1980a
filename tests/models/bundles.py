"""Small models of every kind, fitted here and now, and their bundles."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.models.applying import Application
from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.choices import backend
from toolkit.models.cleaning import fit_cleaning
from toolkit.models.store import save_model
from toolkit.models.trained import Trained
from toolkit.types import FloatArray

FEATURES = ("rsi(14)", "natr(14)", "1d:slope_pct(20)", "weekday", "side")
CHOSEN = (0, 2, 4)
DAY_MS = 86_400_000
UNTIL_MS = 19_000 * DAY_MS


def raw(n: int, seed: int = 0) -> FloatArray:
    """float64[n, 5] of features, some of them missing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(FEATURES)))
    x[rng.random(x.shape) < 0.05] = np.nan
    return x


def made(
    kind: str = "lightgbm",
    *,
    seed: int = 0,
    until_ms: int = UNTIL_MS,
    settings: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Trained:
    """A model of some kind that has learned that the first feature counts; `settings` over the defaults."""
    x = raw(400, seed)
    y = (np.nan_to_num(x[:, 0]) + np.random.default_rng(seed).normal(size=len(x)) > 0).astype(np.float64)
    cleaning = fit_cleaning(x[:, CHOSEN], clip=0.01, indicators=True)
    names = cleaning.names(tuple(FEATURES[k] for k in CHOSEN))
    data = TrainingSet(names, cleaning.clean(x[:, CHOSEN]), y, np.ones(len(y)))
    model = backend(kind).fit(data, Budget(seed=seed), {**backend(kind).settings, **(settings or {})})
    said = {"backend": kind, "settings": {}, "window": {"from_ms": until_ms - 90 * DAY_MS, "until_ms": until_ms}}
    return Trained(FEATURES, np.array(CHOSEN, np.int64), cleaning, model, Application(threshold=0.5), {**said, **facts})


def kept(root: Path, name: str = "trend", kind: str = "lightgbm", **chosen: Any) -> Path:
    """The bundle of a model that was just made."""
    return save_model(made(kind, **chosen), name, root)


def applied(trained: Trained, **application: Any) -> Trained:
    """The same model, applied in another way."""
    return replace(trained, application=Application(**application))
