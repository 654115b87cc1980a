"""Libraries of other environments as backends: a fit is a process of its own, predictions are a warm worker's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import InputError, UnknownNameError
from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.workers.environments import check_versions, environment, ready_environment
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.files import ModelFiles, read_model_files
from toolkit.models.workers.fitting import FitRequest, fit_in_worker
from toolkit.models.workers.libraries import LIBRARIES, find_library
from toolkit.models.workers.library import Library
from toolkit.models.workers.resident import Asked, WorkerState, resident
from toolkit.types import FloatArray

FACTS = "worker.json"
FILES = "model"


@dataclass(frozen=True, eq=False)
class RemoteModel:
    """A model that another library's worker fitted and predicts with.

    `facts` has the settings, the leaderboard, the chosen model with its parameters, the versions it was pickled under,
    and `batch_rows`: how many rows the worker may see at once without a row's value depending on the others. `timings`
    are of the fit that was made here; they are not kept, so that equal models are equal files.
    """

    library: Library
    files: ModelFiles
    facts: Mapping[str, Any]
    timings: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, x: FloatArray) -> FloatArray:
        """float64[n]; `WorkerError` where the worker does not answer."""
        return self.predict_within(x, None)

    def predict_within(self, x: FloatArray, secs: float | None) -> FloatArray:
        """The same with a deadline (None = the worker's own). A worker that is only late goes on, so that the next
        question finds it started; see `warm`.
        """
        asked = Asked(self.files, x, self.facts["batch_rows"], self.facts["versions"])
        return resident(self.library).predict(asked, secs)

    def warm(self, secs: float | None = None) -> None:
        """Start the worker and let it load the model, seconds before the first question that has a deadline."""
        self.predict_within(np.zeros((1, len(self.facts["features"]))), secs)

    def worker(self) -> WorkerState:
        """Of the worker that all models of the library share; `WorkerError` where its environment is gone."""
        return resident(self.library).state()

    def save(self, folder: Path) -> None:
        """worker.json and, below model/, the worker's own files."""
        (folder / FILES).mkdir()
        self.files.write(folder / FILES)
        saved = {"library": self.library.name, "checksums": self.files.checksums, "facts": dict(self.facts)}
        (folder / FACTS).write_text(json.dumps(saved, indent=1))

    def describe(self) -> Mapping[str, Any]:
        """Library, settings, chosen model and its parameters, leaderboard, versions, checksums."""
        return {"kind": self.library.name, **self.facts, "checksums": self.files.checksums}


class RemoteBackend:
    """A library behind the contract of every way of learning."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.name = library.name
        self.settings = library.settings

    def fit(self, data: TrainingSet, budget: Budget, settings: Mapping[str, Any]) -> RemoteModel:
        """A model of the data. `budget.max_secs` is a hard limit (an hour without one), `max_trials` caps the setting
        `trials`; one thread is used whatever `jobs` is, so that equal seeds give equal models.
        """
        used = {**self.library.settings, **settings}
        check_settings(self.library, used)
        place = ready_environment(self.library)
        trials = int(used.get("trials", 0))
        if budget.max_trials is not None:
            trials = min(trials, budget.max_trials)
        # Libraries keep their seeds in 31 bits.
        asked = FitRequest(used, budget.seed % 2**31, trials, budget.max_secs)
        fitted = fit_in_worker(place, data, asked, resident(self.library))
        facts = {"settings": used, "seed": budget.seed, "trials": trials, "features": list(data.features)}
        return RemoteModel(self.library, fitted.files, {**facts, **fitted.facts}, fitted.timings)

    def load(self, folder: Path) -> RemoteModel:
        """A model from its folder: only with every checksum right, and for an environment of the same versions."""
        whose = f"the saved {self.library.title} model in {folder}"
        try:
            saved = json.loads((folder / FACTS).read_text())
            facts, checksums, library = saved["facts"], saved["checksums"], saved["library"]
            batch_rows, _ = facts["batch_rows"], dict(facts["versions"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WorkerError(f"{whose} has no readable {FACTS} ({error}); train it again") from None
        if library != self.name or not isinstance(batch_rows, int) or batch_rows < 1:
            raise WorkerError(f"{whose} is one of {library!r} or has no `batch_rows` of 1 or more; train it again")
        try:
            files = read_model_files(folder / FILES, whose)
        except WorkerError as error:
            raise WorkerError(f"{error}; train it again") from None
        if files.checksums != checksums:
            raise WorkerError(f"{whose} has files whose checksums are not those of its {FACTS}; train it again")
        place = ready_environment(self.library)
        check_versions(place, facts["versions"], place.versions)
        return RemoteModel(self.library, files, facts)


def installed_backends() -> dict[str, RemoteBackend]:
    """Backends of the libraries whose environment can be used, by name."""
    ready = (library for library in LIBRARIES.values() if environment(library).state == "ready")
    return {library.name: RemoteBackend(library) for library in ready}


def remote_backend(name: str) -> RemoteBackend:
    """The backend of a library; without its environment one sentence with the command that makes it."""
    library = find_library(name)
    ready_environment(library)
    return RemoteBackend(library)


def check_settings(library: Library, settings: Mapping[str, Any]) -> None:
    """`InputError` for a setting that the library does not have or that is out of its range."""
    for name, value in settings.items():
        if name not in library.settings:
            raise UnknownNameError(f"setting of {library.name}", name, library.settings)
        if name in library.choices:
            many = isinstance(library.settings[name], list)
            if many and (not isinstance(value, list | tuple) or not value):
                raise InputError(f"`{name}` of {library.name} must be a list of at least one name, was {value!r}")
            for one in value if many else [value]:
                if one not in library.choices[name]:
                    raise UnknownNameError(f"value of `{name}`", one, library.choices[name])
        elif name in library.least and (
            isinstance(value, bool) or not isinstance(value, int) or value < library.least[name]
        ):
            raise InputError(
                f"`{name}` of {library.name} must be a whole number from {library.least[name]} up, was {value!r}"
            )
