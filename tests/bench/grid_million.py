"""A million combinations on one year: `tk.sweep` in a process of its own, its whole time and its peak memory."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tests.bench.channel_strategy  # noqa: F401  (registers the strategy)
from tests.bench.year import year
from toolkit.sweep.run import sweep

MOST_SECONDS, MOST_MEGABYTES = 180.0, 2_000.0
WINDOWS = [240, 360, 480, 720, 960, 1440, 2160, 2880]


def experiment(points: int) -> dict[str, Any]:
    """8 windows x `points` stops x `points` targets x `points` holds, as keys of an experiment."""
    steps = range(points)
    return {
        "strategies": [{"name": "bench_channel", "params": {"window": WINDOWS}}],
        "intervals": ["1m"],
        "rules": {
            "stop": [round(0.005 + 0.035 * k / points, 6) for k in steps],
            "target": [round(0.005 + 0.095 * k / points, 6) for k in steps],
            "max_hold": [f"{240 + 2640 * k // points}m" for k in steps],
            "side": "long",
        },
        "costs": {"taker_rate": 0.0005, "maker_rate": 0.0005, "slippage_bps": 1.0},
    }


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Two rows: time from the start of the process to its end, and the most memory that it held."""
    points = 10 if quick else 50
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.grid_million", str(points)], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - began
    said = json.loads(done.stdout.splitlines()[-1])
    what = f"{said['combinations']:,} combinations through tk.sweep, Parquet and report included"
    return [
        {
            "what": f"{what}: time",
            "value": f"{seconds:.0f} s, {seconds / said['combinations'] * 1e6:.0f} us a combination",
            "peer": "",
            "ratio": None,
            "bar": f"< {MOST_SECONDS:.0f} s on 4 cores",
        },
        {
            "what": f"{what}: peak memory",
            "value": f"{said['peak_mb']:,.0f} MB",
            "peer": "",
            "ratio": None,
            "bar": f"< {MOST_MEGABYTES:,.0f} MB",
        },
    ]


def main() -> None:
    """The process that is measured."""
    with tempfile.TemporaryDirectory() as folder:
        result = sweep(bars={"BTC/USDT": year()}, root=Path(folder), **experiment(int(sys.argv[1])))
        combinations = result.combinations_tried
    # Linux counts in kilobytes, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"combinations": combinations, "peak_mb": peak / 1e6}))


if __name__ == "__main__":
    main()
