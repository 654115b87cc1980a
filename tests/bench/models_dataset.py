"""The dataset of a thousand instances over a year of 1m bars on three symbols: from stored bars to rows."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tests.bench.channel_strategy  # noqa: F401  (registers the strategy)
from tests.bench.portfolio_thousand import members, store_year
from toolkit.models.features import default_features
from toolkit.models.making import make_dataset
from toolkit.portfolio.loading import load_members

MOST_SECONDS, MOST_MEGABYTES = 60.0, 3_000.0


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Two rows: the whole in seconds (and what of it is loading bars and signals), and the most memory it held."""
    count = 100 if quick else 1_000
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "bars.duckdb"
        which = store_year(db)
        # Kernels are compiled once a version of the sources, not once a run.
        _measured(3, db)
        said = _measured(count, db)
    what = f"dataset of {count:,} instances on 3 symbols, a year of 1m bars, {said['features']} default features"
    return [
        {
            "what": f"{what}: stored bars to rows",
            "value": f"{said['seconds']:.1f} s, {said['loading']:.1f} s of it bars and signals; "
            f"{said['rows']:,} rows, {said['seconds'] / said['rows'] * 1e6:.0f} us a row",
            "peer": which,
            "ratio": None,
            "bar": f"< {MOST_SECONDS:.0f} s on 4 cores",
        },
        {
            "what": f"{what}: peak memory",
            "value": f"{said['peak_mb']:,.0f} MB, {said['rows_mb']:,.0f} MB of it rows",
            "peer": "",
            "ratio": None,
            "bar": f"< {MOST_MEGABYTES:,.0f} MB",
        },
    ]


def _measured(count: int, db: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.models_dataset", str(count), str(db)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def main() -> None:
    """The process that is measured."""
    count, db = int(sys.argv[1]), Path(sys.argv[2])
    began = time.perf_counter()
    features = default_features(["1m"])
    loaded = load_members(members(count), db=db, features=features)
    loading = time.perf_counter() - began
    data = make_dataset(loaded, features)
    seconds = time.perf_counter() - began
    # Linux counts in kilobytes, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({
        "seconds": seconds, "loading": loading, "rows": len(data), "features": len(data.features),
        "peak_mb": peak / 1e6, "rows_mb": (data.x.nbytes + data.rows.nbytes) / 1e6,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
