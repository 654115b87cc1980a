"""Whether a library's environment does what it is there for: a small fit, read back in another process."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.remote import RemoteBackend
from toolkit.models.workers.environments import ready_environment
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.library import Library
from toolkit.models.workers.resident import resident

ROWS, COLUMNS = 400, 4
LONGEST_SECS = 300.0


@dataclass(frozen=True)
class RemoteCheck:
    """What a check found: `problem` is a sentence, None where all is well."""

    library: str
    problem: str | None
    versions: dict[str, str] = field(default_factory=dict)
    start_secs: float | None = None
    fit_secs: float | None = None
    auc: float | None = None


def check_library(library: Library) -> RemoteCheck:
    """Start the library, compare its versions with those it was made with, fit a plain pattern and find it again."""
    try:
        return _checked(library)
    except WorkerError as error:
        return RemoteCheck(library.name, str(error))


def _checked(library: Library) -> RemoteCheck:
    place = ready_environment(library)
    started = time.monotonic()
    versions: dict[str, Any] = dict(resident(library).greet()["versions"])
    start_secs = time.monotonic() - started
    if versions != place.versions:
        changed = ", ".join(
            f"{k} {v} was {place.versions.get(k)}" for k, v in versions.items() if v != place.versions.get(k)
        )
        problem = (
            f"the environment of {library.title} was changed after it was made ({changed}); make it anew with: "
            f"toolkit model backends install {library.name}"
        )
        return RemoteCheck(library.name, problem, versions, start_secs)
    data = _pattern()
    started = time.monotonic()
    model = RemoteBackend(library).fit(data, Budget(max_secs=LONGEST_SECS, max_trials=0), library.quick)
    fit_secs = time.monotonic() - started
    predictions = model.predict(data.x)
    wins, losses = predictions[data.y == 1], predictions[data.y == 0]
    auc = float(np.mean(wins[:, None] > losses[None, :]))
    missed = f"{library.title} does not find a plain pattern (AUC {auc:.2f} on the rows that it was given)"
    return RemoteCheck(library.name, None if auc > 0.9 else missed, versions, start_secs, fit_secs, auc)


def _pattern() -> TrainingSet:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(ROWS, COLUMNS))
    y = (x[:, 0] + 0.1 * draw.normal(size=ROWS) > 0).astype(np.float64)
    return TrainingSet(tuple(f"x{k}" for k in range(COLUMNS)), x, y, np.ones(ROWS))
