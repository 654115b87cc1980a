"""Runs one library's worker module inside the library's own environment: `host.py fit|again|serve MODULE.py SCRATCH`.

A worker module has two functions:

fit(config, x, y, weight, folder) -> dict
    Learns from float64[n, k], int64[n] and float64[n], writes the model's files into `folder`, and returns
    `leaderboard` (rows of model, metric, score with higher better, fit_secs, params), `chosen` (model, params, ...) and
    `code`: Python that, run in this environment with float64[n, k] `x`, int64[n] `y` and float64[n] `weight`, leaves a
    function `predict` from float64[m, k] to the probabilities that `load` would give.
load(folder) -> predict
    A function from float64[n, k] to float64[n], the probability of a 1, by the files of `folder`.

`fit` reads config.json, train.parquet and test.parquet of the scratch folder and leaves model/ (with manifest.json),
predictions.parquet, leaderboard.json and, last, result.json. `again` runs code.py on the same rows and leaves the
predictions. `serve` answers on its standard output: a line of JSON,
and after it as many bytes as the line says. What a library prints goes to the standard error. Python 3.9 runs this.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import runpy
import select
import shutil
import signal
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

CONTRACT = 2
# Models that one process keeps loaded; one that is asked again later is loaded again.
KEPT_MODELS = 32
# How long an answer may go on once nobody is left to read it.
GRACE_SECS = 2.0


def main(arguments: list[str]) -> None:
    mode, script = arguments[0], Path(arguments[1])
    # This folder's modules are no packages of the environment.
    sys.path.pop(0)
    asked = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    if mode == "serve":
        threading.Thread(target=end_without_parent, args=(asked, arguments[2]), daemon=True).start()
        serve(script, asked, replies)
        # Nobody may be left to remove it.
        shutil.rmtree(arguments[2], ignore_errors=True)
        return
    threading.Thread(target=end_with_parent, args=(asked,), daemon=True).start()
    if mode == "again":
        again(Path(arguments[2]))
    else:
        fit(script, Path(arguments[2]))


def end_with_parent(asked: BinaryIO) -> None:
    """Nobody writes to a fit: an end of its input means that the parent is gone, and the work is for nothing."""
    asked.read()
    os.killpg(os.getpgid(0), signal.SIGKILL)


def end_without_parent(asked: BinaryIO, scratch: str) -> None:
    """The input is read between two answers alone: one that hangs must not outlive whoever asked."""
    poll = select.poll()
    # Whatever is asked for, the other side's end is told.
    poll.register(asked.fileno(), 0)
    poll.poll()
    time.sleep(GRACE_SECS)
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(os.getpgid(0), signal.SIGKILL)


def worker(script: Path) -> Any:
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)
    return module


def fit(script: Path, scratch: Path) -> None:
    started = time.monotonic()
    result: dict[str, Any] = {"contract": CONTRACT, "status": "ok", "error": None}
    try:
        config = json.loads((scratch / "config.json").read_text())
        result.update({"library": config["library"], "seed": config["seed"], "versions": versions(config["packages"])})
        module = worker(script)
        result["import_secs"] = time.monotonic() - started
        x, y, weight, test = rows(config, scratch)
        folder = scratch / "model"
        folder.mkdir()
        found = module.fit(config, x, y, weight, folder)
        result["fit_secs"] = time.monotonic() - started
        result["chosen"], result["code"] = found["chosen"], found["code"]
        write_manifest(folder, config)
        write_predictions(scratch / "predictions.parquet", module.load(folder)(test))
        write_json(scratch / "leaderboard.json", found["leaderboard"])
    except Exception as error:
        result.update({"status": "error", "error": {"type": type(error).__name__, "message": str(error)[:2000]}})
    result["secs"] = time.monotonic() - started
    result["peak_mb"] = peak_mb()
    write_json(scratch / "result.json", result)


def peak_mb() -> float:
    """Most memory of this process, or of the largest that it waited for."""
    try:
        # What getrusage says of itself is no less than what the process held that started this one.
        own = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError, ValueError):
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def again(scratch: Path) -> None:
    """Run the code that came with a model, on the rows that the model was made of."""
    x, y, weight, test = rows(json.loads((scratch / "config.json").read_text()), scratch)
    made = runpy.run_path(str(scratch / "code.py"), {"x": x, "y": y, "weight": weight})
    write_predictions(scratch / "predictions.parquet", made["predict"](test))


def rows(config: dict[str, Any], scratch: Path) -> tuple[Any, Any, Any, Any]:
    """x, y and weight of the rows to learn from, and x of those to predict."""
    columns, k = config["columns"], len(config["columns"])
    train = read_columns(scratch / "train.parquet", [*columns, "y", "weight"])
    test = read_columns(scratch / "test.parquet", columns)
    return train[:, :k].copy(), train[:, k].astype("int64"), train[:, k + 1].copy(), test


def versions(packages: list[str]) -> dict[str, str]:
    """The version of each package that is installed, and of Python."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found


def read_columns(path: Path, columns: list[str]) -> Any:
    """float64[n, len(columns)] of a Parquet file."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=columns)
    return np.column_stack([table.column(name).to_numpy().astype("float64") for name in columns])


def write_predictions(path: Path, predictions: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(range(len(predictions)))
    table = pa.table({"row": pa.array(rows, pa.int64()), "proba_1": pa.array(predictions, pa.float64())})
    pq.write_table(table, path)


def write_manifest(folder: Path, config: dict[str, Any]) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): digest(path) for path in files}
    write_json(folder / "manifest.json", {"contract": CONTRACT, "library": config["library"], "files": names})


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Whole or not at all."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(value))
    beside.replace(path)


def serve(script: Path, asked: BinaryIO, replies: BinaryIO) -> None:
    """Answer until the input ends: first a greeting, then one answer a request."""
    import numpy as np

    hello = json.loads(asked.readline())
    try:
        module = worker(script)
        greeting = {"ok": True, "contract": CONTRACT, "versions": versions(hello["packages"])}
    except Exception as error:
        greeting = failed(error)
    answer(replies, greeting, b"")
    models: OrderedDict[str, Any] = OrderedDict()
    while line := asked.readline():
        request = json.loads(line)
        body = asked.read(request["bytes"])
        try:
            x = np.frombuffer(body, "<f8").reshape(request["rows"], request["columns"])
            predict, size = loaded(models, module, request), request["batch_rows"]
            out = np.concatenate([predict(x[k : k + size]) for k in range(0, len(x), size)])
            content, said = np.ascontiguousarray(out, "<f8").tobytes(), {"ok": True, "rows": len(out)}
        except Exception as error:
            content, said = b"", failed(error)
        answer(replies, {"id": request["id"], **said}, content)


def loaded(models: OrderedDict[str, Any], module: Any, request: dict[str, Any]) -> Any:
    """The model that a request names; its files are what their manifest says before any of them is unpickled."""
    name, folder = request["model"], Path(request["folder"])
    if name not in models:
        manifest = json.loads((folder / "manifest.json").read_text())
        for file, expected in manifest["files"].items():
            if digest(folder / file) != expected:
                raise ValueError("the model's file " + file + " is not what its manifest says")
        models[name] = module.load(folder)
        while len(models) > KEPT_MODELS:
            models.popitem(last=False)
    models.move_to_end(name)
    return models[name]


def failed(error: Exception) -> dict[str, Any]:
    return {"ok": False, "error": {"type": type(error).__name__, "message": str(error)[:2000]}}


def answer(replies: BinaryIO, said: dict[str, Any], content: bytes) -> None:
    replies.write(json.dumps({**said, "bytes": len(content)}).encode() + b"\n" + content)
    replies.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
