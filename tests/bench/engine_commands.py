"""How long a user waits for the command line: `toolkit --help`, and a warm `toolkit backtest` of a year of minutes."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.bench.year import year

_TOOLKIT = str(Path(sys.executable).with_name("toolkit"))
FILE_NAME = "bench_BTCUSDT_1m.parquet"


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Median wall time of whole processes, the disk and kernel caches warm."""
    rounds = 3 if quick else 9
    with tempfile.TemporaryDirectory() as folder:
        _call(folder, "data", "import", _write_year(folder))
        backtest = ["backtest", "volatility_breakout", "--symbol", "BTC/USDT", "--interval"]
        rows = [_row("toolkit --help", folder, ["--help"], rounds, "< 0.4 s")]
        for interval in ("5m", "1m"):
            what = f"toolkit backtest volatility_breakout on {interval} over a year of 1m bars, run folder written"
            rows.append(_row(what, folder, [*backtest, interval], rounds, "< 2.5 s"))
        what = "toolkit backtest volatility_breakout on 5m over a year of 1m bars, --no-save"
        rows.append(_row(what, folder, [*backtest, "5m", "--no-save"], rounds, "reported"))
    return rows


def _write_year(folder: str) -> str:
    bars = year()
    columns = {name: getattr(bars, name) for name in ("ts", "open", "high", "low", "close")}
    columns["volume"] = bars.close * 0.0 + 1.0
    path = Path(folder) / FILE_NAME
    pq.write_table(pa.table(columns), path)
    return str(path)


def _row(what: str, folder: str, arguments: list[str], rounds: int, bar: str) -> dict[str, Any]:
    _call(folder, *arguments)
    seconds = [_call(folder, *arguments) for _ in range(rounds)]
    value = f"{median(seconds):.2f} s (median of {rounds})"
    return {"what": what, "value": value, "peer": "", "ratio": None, "bar": bar}


def _call(folder: str, *arguments: str) -> float:
    """Seconds of one process."""
    began = time.perf_counter()
    subprocess.run([_TOOLKIT, *arguments], env={**os.environ, "LOCKSTEP_DATA": folder}, capture_output=True, check=True)
    return time.perf_counter() - began
