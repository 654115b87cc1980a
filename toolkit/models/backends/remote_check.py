"""Whether a library's environment does what it is there for: a small fit, read back in another process, made again."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.remote import RemoteBackend
from toolkit.models.workers.environments import ready_environment
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.fitting import FitRequest, make_again
from toolkit.models.workers.library import Library
from toolkit.models.workers.resident import resident

ROWS, COLUMNS = 400, 4
LONGEST_SECS = 600.0
ASKED = 20
LEAST_AUC = 0.9
SAME = 1e-6


@dataclass(frozen=True)
class RemoteCheck:
    """What a check found.

    Attributes
    ----------
    problem : a sentence, None where all is well. again : what the model's code makes: "makes the same model", or one
        that is only like it, where the library does not repeat itself. row_ms : of a question for one row.
    peak_mb : most memory of the fit. megabytes : of the environment.
    """

    library: str
    problem: str | None
    versions: dict[str, str] = field(default_factory=dict)
    start_secs: float | None = None
    fit_secs: float | None = None
    auc: float | None = None
    again: str = ""
    row_ms: float | None = None
    peak_mb: float | None = None
    megabytes: int | None = None


def check_library(library: Library) -> RemoteCheck:
    """Start the library, compare its versions with those it was made with, fit a plain pattern, find it again, and make
    the model once more from its code.
    """
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
    data, started = _pattern(), time.monotonic()
    model = RemoteBackend(library).fit(data, Budget(max_secs=LONGEST_SECS, max_trials=0), library.quick)
    fit_secs = time.monotonic() - started
    predictions = model.predict(data.x)
    wins, losses = predictions[data.y == 1], predictions[data.y == 0]
    auc = float(np.mean(wins[:, None] > losses[None, :]))
    started = time.monotonic()
    for row in range(ASKED):
        model.predict(data.x[row : row + 1])
    row_ms = 1000.0 * (time.monotonic() - started) / ASKED
    asked = FitRequest(model.facts["settings"], 0, 0, LONGEST_SECS)
    made = make_again(place, data, asked, str(model.facts["code"]), data.x)
    furthest = float(np.max(np.abs(made - predictions)))
    missed: str | None = None
    if auc <= LEAST_AUC:
        missed = f"{library.title} does not find a plain pattern (AUC {auc:.2f} on the rows that it was given)"
    elif furthest > SAME and library.repeats:
        missed = f"the code of the model of {library.title} makes another one: predictions differ by {furthest:.3g}"
    again = "makes the same model" if furthest <= SAME else f"makes a like one, within {furthest:.2g}"
    return RemoteCheck(
        library.name, missed, versions, start_secs, fit_secs, auc, again, row_ms, model.timings.get("peak_mb"),
        place.facts.get("megabytes"),
    )  # fmt: skip


def _pattern() -> TrainingSet:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(ROWS, COLUMNS))
    y = (x[:, 0] + 0.1 * draw.normal(size=ROWS) > 0).astype(np.float64)
    return TrainingSet(tuple(f"x{k}" for k in range(COLUMNS)), x, y, np.ones(ROWS))
