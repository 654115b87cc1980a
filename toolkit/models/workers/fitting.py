"""One fit in a process of its own, and the proof that the model which comes back is the one that was fitted."""

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.models.workers.environments import Environment
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.files import ModelFiles, read_model_files
from toolkit.models.workers.library import CONTRACT
from toolkit.models.workers.processes import WorkerProcess, last_words
from toolkit.models.workers.resident import Asked, Resident
from toolkit.models.workers.results import read_leaderboard, read_predictions, read_result
from toolkit.types import FloatArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.models.backends.base import TrainingSet

# A fit without a limit of its own ends after this.
LONGEST_FIT_SECS = 3600.0
# Rows that are predicted again in another process, whole, in pieces and one by one.
PROOF_ROWS = 256
PIECES = (2, 7, 64)
TOLERANCE = 1e-7


@dataclass(frozen=True)
class FitRequest:
    """What a worker is asked: settings of its library, a seed, how many trials, and the hard limit."""

    settings: Mapping[str, Any]
    seed: int
    trials: int
    max_secs: float | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model.

    Attributes
    ----------
    files : as the worker left them. facts : `chosen` (model, params), `code` that makes it again, `leaderboard`,
    `versions` and `batch_rows`, see `prove`; the same for equal seeds. timings : seconds and memory, which are not.
    """

    files: ModelFiles
    facts: dict[str, Any]
    timings: dict[str, Any]


def fit_in_worker(environment: Environment, data: "TrainingSet", asked: FitRequest, resident: Resident) -> Fitted:
    """Fit in a process of its own and check all that comes back.

    The second prediction is the resident worker's, another process, from the files alone: equal to 1e-7, or an error.
    """
    whose = f"the worker of {environment.library.title}"
    proof = np.ascontiguousarray(data.x[np.unique(np.linspace(0, len(data.x) - 1, PROOF_ROWS).astype(np.int64))])
    started = time.monotonic()
    with _scratch() as scratch:
        _write_request(scratch, environment, data, proof, asked)
        _run(environment, scratch, whose, asked.max_secs or LONGEST_FIT_SECS)
        result = read_result(scratch, whose)
        leaderboard = read_leaderboard(scratch, whose)
        first = read_predictions(scratch / "predictions.parquet", len(proof), whose)
        files = read_model_files(scratch / "model", f"the model of {whose}")
    batch_rows = prove(files, resident, proof, first)
    timings = {name: result.get(name) for name in ("import_secs", "fit_secs", "peak_mb")}
    timings |= {
        "secs": time.monotonic() - started,
        "models": {row["model"]: row.pop("fit_secs") for row in leaderboard},
    }
    facts = {name: result[name] for name in ("versions", "chosen", "code")} | {"batch_rows": batch_rows}
    return Fitted(files, {**facts, "leaderboard": leaderboard}, timings)


def make_again(
    environment: Environment, data: "TrainingSet", asked: FitRequest, code: str, rows: FloatArray
) -> FloatArray:
    """Probabilities of `rows` (float64[n, k]) by what a model's `code` makes of the data, in a process of its own."""
    whose = f"the code of a model of {environment.library.title}"
    with _scratch() as scratch:
        _write_request(scratch, environment, data, rows, asked)
        (scratch / "code.py").write_text(code)
        _run(environment, scratch, whose, asked.max_secs or LONGEST_FIT_SECS, mode="again")
        return read_predictions(scratch / "predictions.parquet", len(rows), whose)


def prove(files: ModelFiles, resident: Resident, rows: FloatArray, first: FloatArray) -> int:
    """How many rows may be predicted at once: the number for which a row's value was shown not to depend on the others,
    1 where it does.

    `WorkerError` where the model that was read back predicts something else than `first`.
    """
    alone = resident.predict(Asked(files, rows, batch_rows=1))
    whole = resident.predict(Asked(files, rows, batch_rows=len(rows)))
    worst = float(np.max(np.abs(whole - first), initial=0.0))
    if worst > TOLERANCE:
        raise WorkerError(
            f"{resident.whose} predicts otherwise once its model is read back in another process: the largest "
            f"difference is {worst:.3g}, at most {TOLERANCE:g} is allowed; the model is not used"
        )
    backwards = resident.predict(Asked(files, rows[::-1].copy(), batch_rows=len(rows)))[::-1]
    pieces = [resident.predict(Asked(files, rows, batch_rows=size)) for size in PIECES if size < len(rows)]
    same = all(np.array_equal(alone, other) for other in (whole, backwards, *pieces))
    return len(rows) if same else 1


def _run(environment: Environment, scratch: Path, whose: str, secs: float, mode: str = "fit") -> None:
    process = WorkerProcess(environment, [mode, str(scratch)], scratch, framed=False)
    try:
        code = process.wait(secs)
    finally:
        output = process.end()
    if code is None:
        raise WorkerError(
            f"{whose} did not finish within {secs:g} s and was ended; allow more time, fewer models or fewer trials",
            output,
        )
    if code != 0:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        raise WorkerError(f"{whose} {how}{last_words(output)}", output)


def _write_request(
    scratch: Path, environment: Environment, data: "TrainingSet", proof: FloatArray, asked: FitRequest
) -> None:
    """config.json, train.parquet and test.parquet; columns are called c0, c1, ...: libraries refuse `1d:natr(14)`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [f"c{k}" for k in range(data.x.shape[1])]
    config = {
        "contract": CONTRACT,
        "library": environment.library.name,
        "mode": "fit",
        "task": "binary",
        "columns": columns,
        "features": list(data.features),
        "target": "y",
        "positive": 1,
        "seed": asked.seed,
        "trials": asked.trials,
        "jobs": 1,
        "settings": dict(asked.settings),
        "packages": list(environment.library.packages),
    }
    (scratch / "config.json").write_text(json.dumps(config))
    labels = {"y": data.y.astype(np.int64), "weight": data.weight}
    table = {name: data.x[:, k] for k, name in enumerate(columns)}
    pq.write_table(pa.table({**table, **labels}), scratch / "train.parquet")
    pq.write_table(pa.table({name: proof[:, k] for k, name in enumerate(columns)}), scratch / "test.parquet")


@contextmanager
def _scratch() -> "Iterator[Path]":
    folder = Path(tempfile.mkdtemp(prefix="lockstep-fit-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
