"""The executor: closed bar to order intents, replay of a month, and memory, on one core."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.executor_worker import DAY_MS, WARM_DAYS
from toolkit.bars.series import from_arrays
from toolkit.bars.synthetic import synthetic_columns

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
_NAMES = ("ts", "open", "high", "low", "close", "volume")


def write_bars(file: Path, days: int) -> None:
    """Synthetic minutes of three symbols, the third resampled to 5m, without gaps."""
    made = synthetic_columns(SYMBOLS, "2022-01-01", days + WARM_DAYS + 1)
    out: dict[str, Any] = {}
    for symbol in SYMBOLS:
        columns = made[symbol]
        bars = from_arrays(*(columns[name] for name in _NAMES), interval="1m", symbol=symbol)
        bars = bars.to("5m") if symbol == SYMBOLS[-1] else bars
        out[f"{symbol} base"] = np.array(bars.interval)
        out |= {f"{symbol} {name}": getattr(bars, name) for name in _NAMES}
    np.savez(file, **out)


def measured(file: Path, instances: int, days: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.executor_worker", str(file), str(instances), str(days)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Latency and commits, replay, memory over a week, and a thousand instances."""
    days = 2 if quick else 30
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bars.npz"
        write_bars(file, days)
        measured(file, 50, 1)
        fifty = measured(file, 50, days)
        many = measured(file, 100 if quick else 1_000, 1)
    memory = fifty["memory"]
    week = memory[: min(7, len(memory))]
    count = 100 if quick else 1_000
    what = "executor, 50 instances of five strategies, 1m to 1h, on one core"
    assert DAY_MS and fifty["trades"] > 0
    return [
        _row(f"{what}: closed bar to intents, commits apart",
             f"p50 {fifty['p50']:.2f} ms, p99 {fifty['p99']:.2f} ms, worst {fifty['worst']:.0f} ms", "< 20 ms p99"),
        _row(f"{what}: commits of an event (synchronous FULL)",
             f"p50 {fifty['commit_p50']:.2f} ms, p99 {fifty['commit_p99']:.2f} ms", "reported"),
        _row(f"{what}: {days} days of 1m bars, {fifty['trades']:,} trades",
             f"{fifty['seconds']:.0f} s", "< 180 s a month"),
        _row(f"{what}: memory after each day of a week",
             ", ".join(f"{mb:.0f}" for mb in week) + " MB", "flat after the first day"),
        _row(f"executor, {count:,} instances, on one core: closed bar to intents",
             f"p50 {many['p50']:.1f} ms, p99 {many['p99']:.0f} ms, worst {many['worst']:.0f} ms; "
             f"{many['memory'][-1]:.0f} MB", "< 2,000 ms, < 600 MB"),
    ]  # fmt: skip


def _row(what: str, value: str, bar: str) -> dict[str, Any]:
    return {"what": what, "value": value, "peer": "", "ratio": None, "bar": bar}
