"""`python -m tests.bench [NAME...]`: run the benchmarks of this folder and print one table.

Every module here with a `run() -> list[dict]` is a benchmark; a row has what, value, peer, ratio and bar.
"""

import argparse
import inspect
import json
import os
import platform
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from tests.bench.year import described
from toolkit.sweep.local import default_jobs

COLUMNS = ("what", "value", "peer", "ratio", "bar")
SHOWN_VERSIONS = ("numpy", "numba", "polars", "duckdb", "pandas", "vectorbt", "vectorbt-rust")


def benchmark_names() -> list[str]:
    """Modules of this folder that can be run, by name."""
    folder = str(Path(__file__).parent)
    names = [m.name for m in iter_modules([folder]) if not m.name.startswith("_")]
    modules = {name: import_module(f"tests.bench.{name}") for name in names}
    return [name for name, m in modules.items() if hasattr(m, "run") and m.run.__module__ == m.__name__]


def measure(name: str, quick: bool) -> list[dict[str, Any]]:
    """A benchmark's rows; a small version where it has one."""
    work = import_module(f"tests.bench.{name}").run
    given = {"quick": True} if quick and "quick" in inspect.signature(work).parameters else {}
    return [dict(row) for row in work(**given)]


def machine() -> dict[str, Any]:
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = models[0] if models else processor
    return {
        "processor": processor,
        "cores": default_jobs(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in SHOWN_VERSIONS},
        "bars": described(),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for row in rows:
        cells = {**row, "ratio": _ratio(row["ratio"])}
        lines.append("| " + " | ".join(str(cells[c]) for c in COLUMNS) + " |")
    return "\n".join(lines)


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:,.0f}x" if ratio >= 20 else f"{ratio:.2f}x"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="benchmarks to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="small versions, to see that they run")
    parser.add_argument("--json", metavar="FILE", help="write machine and rows there too")
    given = parser.parse_args()
    known = benchmark_names()
    unknown = sorted(set(given.names) - set(known))
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    where = machine()
    rows: list[dict[str, Any]] = []
    for name in given.names or known:
        began = time.perf_counter()
        rows += [{"benchmark": name, **row} for row in measure(name, given.quick)]
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(f"{where['processor']}, {where['cores']} cores, load {where['load']:.1f}; {where['bars']}")
    print(", ".join([f"python {where['python']}", *(f"{k} {v}" for k, v in where["versions"].items())]) + "\n")
    print(table(rows))
    if given.json:
        Path(given.json).write_text(json.dumps({"machine": where, "rows": rows}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
