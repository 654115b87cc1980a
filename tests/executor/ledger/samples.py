"""Rows of a small ledger, and a process of its own for what a test cannot do to itself."""

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def event(seq: int) -> dict[str, Any]:
    return {"seq": seq, "moment_ms": seq * 60_000, "wall_ms": seq * 60_000 + 5, "kind": "bars", "detail": None}


def mark(ts_ms: int, equity: float, **other: Any) -> dict[str, Any]:
    return {"ts_ms": ts_ms, "equity": equity, "cash": equity, "gross": 0.0, "net": 0.0, "open_trades": 0} | other


def bar(ts: int, close: float, symbol: str = "BTC/USDT") -> dict[str, Any]:
    prices = {"open": close, "high": close, "low": close, "close": close, "volume": 1.0}
    where = {"exchange": "binance", "symbol": symbol, "base": "1m", "ts": ts}
    return {**where, **prices, "source": "stream", "event": 1, "recorded_ms": ts + 60_000}


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A process that runs the code; `sys.argv[1:]` are the arguments."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def damage(path: Path) -> None:
    """Overwrite a page in the middle of a database."""
    with path.open("r+b") as file:
        file.seek(4096 * (path.stat().st_size // 4096 // 2))
        file.write(b"\xa5" * 4096)
