"""Small seeded bars for the tests of this folder."""

from pathlib import Path
from typing import Any

import numpy as np

from toolkit.bars.columns import Columns
from toolkit.bars.store import Source

START_MS = 1_641_168_000_000  # Monday 2022-01-03 00:00 UTC
SOURCE = Source("file", "given.csv", "0" * 64)


def minutes(n: int, *, start_ms: int = START_MS, step_ms: int = 60_000, seed: int = 0) -> Columns:
    """A random walk of `n` bars with two decimals and a few bars without volume."""
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.001, n))), 2)
    open_ = np.concatenate([close[:1], close[:-1]])
    high = np.round(np.maximum(open_, close) + rng.uniform(0, 0.1, n), 2)
    low = np.round(np.minimum(open_, close) - rng.uniform(0, 0.1, n), 2)
    volume = np.where(rng.random(n) < 0.02, 0.0, np.round(rng.lognormal(2, 1, n), 3))
    ts = start_ms + step_ms * np.arange(n, dtype=np.int64)
    return {"ts": ts, "open": open_, "high": high, "low": low, "close": close, "volume": volume}


def rows(columns: Columns, which: Any) -> Columns:
    """The chosen rows, copied."""
    return {name: np.array(values[which]) for name, values in columns.items()}


def assert_same(a: Columns, b: Columns) -> None:
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        assert a[name].dtype == b[name].dtype, name


def contents(path: Path) -> list[list[tuple[Any, ...]]]:
    """Every row of every table of a store."""
    import duckdb

    with duckdb.connect(str(path), read_only=True) as connection:
        tables = ("series", "imports", "bars", "replaced_bars", "instruments")
        return [connection.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall() for name in tables]
