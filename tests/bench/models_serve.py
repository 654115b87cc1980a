"""`POST /predict` of a LightGBM model on loopback: 200 requests a second, and everyone at once when a bar closes."""

import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tests.models.bundles import made, raw
from tests.models.serve.started import Running, run_server
from toolkit.models.applying import Application
from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.choices import backend
from toolkit.models.cleaning import fit_cleaning
from toolkit.models.client import Answer, ModelClient
from toolkit.models.features import default_features
from toolkit.models.serve import desk
from toolkit.models.store import read_model, save_model
from toolkit.models.trained import Trained

RATE = 200
_CONNECTIONS = 16
_ASKING_AT_ONCE = 50
_FEATURES = default_features(["1h"])


def fitted(rows: int) -> Trained:
    """A LightGBM model with its default settings, of the default features."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, len(_FEATURES)))
    y = (x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(size=rows) > 0).astype(np.float64)
    cleaning = fit_cleaning(x, clip=0.01, indicators=False)
    data = TrainingSet(_FEATURES, cleaning.clean(x), y, np.ones(rows))
    learner = backend("lightgbm")
    model = learner.fit(data, Budget(), learner.settings)
    facts = {"backend": "lightgbm", "window": {"from_ms": 0, "until_ms": 1_700_000_000_000}}
    return Trained(_FEATURES, np.arange(len(_FEATURES)), cleaning, model, Application(), facts)


def questions(count: int) -> list[dict[str, float]]:
    x = np.random.default_rng(1).normal(size=(count, len(_FEATURES)))
    return [dict(zip(_FEATURES, row, strict=True)) for row in x.tolist()]


def steady(server: Running, secs: float) -> list[float]:
    """Milliseconds from the moment at which each request was due to its answer, so that waiting in line counts."""
    rows, local = questions(1_000), threading.local()
    count = int(RATE * secs)
    began = time.perf_counter() + 0.5

    def ask(k: int) -> float:
        if not hasattr(local, "client"):
            local.client = server.client()
        due = began + k / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
        _asked(local.client, rows[k % len(rows)])
        return (time.perf_counter() - due) * 1e3

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return list(pool.map(ask, range(count)))


def at_once(server: Running, times: int) -> list[float]:
    """Milliseconds until the last of many that ask at the same moment has its answer."""
    rows, gate = questions(_ASKING_AT_ONCE), threading.Barrier(_ASKING_AT_ONCE + 1)

    def ask(k: int) -> None:
        with server.client() as client:
            _asked(client, rows[k])
            for _ in range(times):
                gate.wait()
                _asked(client, rows[k])
                gate.wait()

    took = []
    with ThreadPoolExecutor(_ASKING_AT_ONCE) as pool:
        asking = [pool.submit(ask, k) for k in range(_ASKING_AT_ONCE)]
        for _ in range(times):
            gate.wait()
            began = time.perf_counter()
            gate.wait()
            took.append((time.perf_counter() - began) * 1e3)
        for one in asking:
            one.result()
    return took


def queued(largest_batch: int, times: int) -> list[float]:
    """Milliseconds until a random forest has answered many that ask at the same moment, without the HTTP."""
    asked, x = desk.Desk("forest", made("random_forest")), raw(_ASKING_AT_ONCE)

    async def together() -> list[float]:
        took = []
        for _ in range(times):
            began = time.perf_counter()
            await asyncio.gather(*(asked.ask(x[k : k + 1], 60.0) for k in range(len(x))))
            took.append((time.perf_counter() - began) * 1e3)
        return took

    before, desk.MAX_BATCH_ROWS = desk.MAX_BATCH_ROWS, largest_batch
    try:
        return asyncio.run(together())
    finally:
        desk.MAX_BATCH_ROWS = before
        asked.close()


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Latency at a steady rate, of a burst, of many rows in one request, and of the model alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = save_model(fitted(500 if quick else 5_000), "trend", folder / "models")
        trained = read_model(kept)
        x = np.array([list(row.values()) for row in questions(1_000)])
        alone = _each(lambda k: trained.predict(x[k : k + 1]), 1_000)
        with run_server(folder) as server, server.client() as client:
            answer = client.predict("trend", questions(1_000))
            assert isinstance(answer, Answer), answer
            assert [o.prediction for o in answer.opinions] == trained.predict(x).tolist()
            steady(server, 0.5)
            single = steady(server, 2 if quick else 30)
            burst = at_once(server, 3 if quick else 30)
            thousand = _each(lambda _: client.predict("trend", questions(1_000)), 3 if quick else 20)
    row_by_row, batched = (queued(rows, 3 if quick else 10) for rows in (1, desk.MAX_BATCH_ROWS))
    what = f"model server, LightGBM, {len(_FEATURES)} features, on loopback"
    return [
        _row(f"{what}: one row a request, {RATE} requests a second, {len(single):,} of them", single, "p99 < 15 ms"),
        _row(f"{what}: {_ASKING_AT_ONCE} requests at one moment, until the last is answered", burst, "reported"),
        _row(f"{what}: 1,000 rows in a request", thousand, "reported"),
        _row("the same model in process, one row", alone, "reported"),
        _row(f"random forest, {_ASKING_AT_ONCE} who ask at one moment, row by row", row_by_row, "reported"),
        _row("the same, what waits as one batch", batched, "reported"),
    ]


def _asked(client: ModelClient, row: dict[str, float]) -> None:
    answer = client.predict("trend", [row])
    if isinstance(answer, str):
        raise RuntimeError(answer)


def _each(work: Callable[[int], object], times: int) -> list[float]:
    took = []
    for k in range(times):
        began = time.perf_counter()
        work(k)
        took.append((time.perf_counter() - began) * 1e3)
    return took


def _row(what: str, took: list[float], bar: str) -> dict[str, Any]:
    p99 = statistics.quantiles(took, n=100)[98] if len(took) >= 100 else max(took)
    value = f"p50 {statistics.median(took):.1f} ms, p99 {p99:.1f} ms, worst {max(took):.1f} ms"
    return {"what": what, "value": value, "peer": "", "ratio": None, "bar": bar}
