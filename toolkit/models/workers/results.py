"""What a fit left in its scratch folder: nothing of it is believed before it is checked."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.library import CONTRACT
from toolkit.types import FloatArray


def read_result(scratch: Path, whose: str) -> dict[str, Any]:
    """result.json of this contract with status ok; an error that the worker reports is told in its words."""
    result = _json(scratch / "result.json", whose)
    if not isinstance(result, dict):
        raise WorkerError(f"{whose} left a result.json that is a {type(result).__name__} and no table")
    if result.get("contract") != CONTRACT:
        raise WorkerError(
            f"{whose} speaks contract {result.get('contract')!r} and this is {CONTRACT}; "
            f"its environment and Lockstep do not belong together, make the environment anew"
        )
    if result.get("status") == "error":
        error = result.get("error")
        told = error if isinstance(error, dict) else {}
        raise WorkerError(f"{whose} could not fit: {told.get('type', 'error')}: {told.get('message', 'no message')}")
    whole = all(isinstance(result.get(name), dict) for name in ("chosen", "versions"))
    if result.get("status") != "ok" or not whole or not isinstance(result.get("code"), str):
        raise WorkerError(f"{whose} left a result.json without a status that is ok, a chosen model, code and versions")
    return result


def read_leaderboard(scratch: Path, whose: str) -> list[dict[str, Any]]:
    """Rows of rank, model, metric, score (higher is better, None = none), fit_secs and params, the chosen one first."""
    rows = _json(scratch / "leaderboard.json", whose)
    fine = isinstance(rows, list) and all(isinstance(row, dict) and isinstance(row.get("model"), str) for row in rows)
    if not fine or not rows:
        raise WorkerError(f"{whose} left a leaderboard.json that is no list of models")
    kept = ("model", "metric", "score", "fit_secs", "params")
    return [{"rank": rank, **{name: row.get(name) for name in kept}} for rank, row in enumerate(rows, 1)]


def read_predictions(path: Path, rows: int, whose: str) -> FloatArray:
    """float64[rows], probabilities in the order of the rows that were asked."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        count = pq.ParquetFile(path).metadata.num_rows
        if count != rows:
            raise WorkerError(f"{whose} left {count} predictions for {rows} rows")
        table = pq.read_table(path, columns=["row", "proba_1"])
        order = table.column("row").to_numpy()
        predictions = np.asarray(table.column("proba_1").to_numpy(), np.float64)
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise WorkerError(f"{whose} left predictions that cannot be read ({_short(error)})") from None
    if not np.array_equal(order, np.arange(rows)):
        raise WorkerError(f"{whose} left predictions of other rows than 0 to {rows - 1} in their order")
    return checked_predictions(predictions, rows, whose)


def checked_predictions(predictions: FloatArray, rows: int, whose: str) -> FloatArray:
    """The same array, if it is `rows` probabilities."""
    if predictions.shape != (rows,):
        raise WorkerError(f"{whose} gave {len(predictions)} predictions for {rows} rows")
    bad = np.flatnonzero(~((predictions >= 0.0) & (predictions <= 1.0)))
    if len(bad):
        value = float(predictions[bad[0]])
        what = "no number" if math.isnan(value) else f"{value!r}"
        raise WorkerError(f"{whose} predicted {what} for row {bad[0]}; a probability is between 0 and 1")
    return predictions


def _json(path: Path, whose: str) -> Any:
    try:
        return json.loads(path.read_text(), parse_constant=lambda _: None)
    except FileNotFoundError:
        raise WorkerError(f"{whose} ended without leaving a {path.name}") from None
    except (OSError, ValueError) as error:
        raise WorkerError(f"{whose} left a {path.name} that cannot be read ({_short(error)})") from None


def _short(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
