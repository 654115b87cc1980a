"""Datasets without bars: rows made up for tests of what is told of them."""

from collections.abc import Sequence

import numpy as np

from toolkit.engine.types import ACCEPTED, LONG
from toolkit.models.dataset import ROW, Dataset
from toolkit.types import FloatArray

HOUR_MS = 3_600_000
FIRST_MS = 1_672_531_200_000


def rows_of(
    x: FloatArray, y: Sequence[float], strategies: Sequence[str] = ("one",), first_ms: int = FIRST_MS
) -> Dataset:
    """A row an hour, known after half of one, of the strategies in turn; each is on a symbol of its own."""
    n = len(x)
    rows = np.zeros(n, ROW)
    rows["member"] = np.arange(n) % len(strategies)
    rows["side"], rows["decision"] = LONG, ACCEPTED
    rows["ts"] = first_ms + HOUR_MS * np.arange(n, dtype=np.int64)
    rows["known"] = rows["ts"] + HOUR_MS // 2
    label = np.array(y, np.float64)
    rows["ret"], rows["r"] = np.where(label > 0, 0.02, -0.01), np.where(label > 0, 2.0, -1.0)
    names = tuple(f"f{k}" for k in range(x.shape[1]))
    members = tuple(f"{name}-id" for name in strategies)
    symbols = tuple(f"{name.upper()}/USDT" for name in strategies)
    return Dataset(names, x, rows, members, tuple(strategies), "win", label, np.ones(n), {"never filled": 2}, symbols)


def random_rows(n: int, seed: int, features: int = 4, wins: float = 0.4, first_ms: int = FIRST_MS) -> Dataset:
    """Features and labels that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    return rows_of(rng.normal(size=(n, features)), (rng.random(n) < wins).astype(float).tolist(), first_ms=first_ms)
