"""A thousand instances on three symbols and one account: from stored bars to figures, in a process of its own."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tests.bench.channel_strategy  # noqa: F401  (registers the strategy)
from tests.bars.minutes import SOURCE
from tests.bench.year import START_MS, YEAR_MS
from toolkit.bars.store import Store
from toolkit.bars.synthetic import synthetic_columns
from toolkit.engine.rules import Costs, TradeRules
from toolkit.portfolio.backtest import portfolio_backtest
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.loading import load_members
from toolkit.portfolio.members import Member
from toolkit.portfolio.schedule import WeightSchedule
from toolkit.portfolio.simulate import simulate

MOST_SECONDS, MOST_MEGABYTES = 10.0, 1_500.0
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
LIMITS = Limits(
    exposure=3.0, max_trade=0.05, max_symbol=0.5, max_gross=0.95, max_net=0.9, max_open=200, max_open_symbol=100,
    max_open_strategy=180, daily_loss_halt=0.05, price_buffer=0.005,
)  # fmt: skip
_COLUMNS = ("ts", "open", "high", "low", "close", "volume")


def members(count: int) -> list[Member]:
    """Channel breakouts on three symbols, each with a window of its own, and stops, targets and holds that vary."""
    out = []
    for k in range(count):
        step = k // len(SYMBOLS)
        rules = TradeRules(
            stop=round(0.006 + 0.001 * (step % 7), 4), target=round(0.01 + 0.004 * (step % 13), 4),
            max_hold=f"{360 + 60 * (step % 11)}m", signal_timeout="4h", exits=(), side="long",
        )  # fmt: skip
        window = 240 + 8 * (k // len(SYMBOLS))
        costs = Costs(taker_rate=0.0005, maker_rate=0.0002)
        out.append(Member("bench_channel", SYMBOLS[k % len(SYMBOLS)], "1m", {"window": window}, rules, costs))
    return out


def store_year(db: Path) -> str:
    """Store a year of 1m bars of each symbol; says which bars they are."""
    folder = os.environ.get("LOCKSTEP_REAL_DATA")
    files = [Path(folder) / f"binance_{s.replace('/', '')}_1m.parquet" for s in SYMBOLS] if folder else []
    real = bool(files) and all(file.is_file() for file in files)
    made = {} if real else synthetic_columns(SYMBOLS, "2022-01-01", 365)
    for k, symbol in enumerate(SYMBOLS):
        columns = _read(files[k]) if real else made[symbol]
        Store(db).write("binance", symbol, "1m", columns, SOURCE)
    return "real 1m bars of 2022" if real else "synthetic 1m bars, a year"


def _read(file: Path) -> Any:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    ts = pc.field("ts")
    table = pq.read_table(file, filters=(ts >= START_MS) & (ts < START_MS + YEAR_MS))
    return {name: table[name].to_numpy() for name in _COLUMNS}


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Three rows: the whole in seconds, the most memory it held, and the account's pass alone."""
    count = 100 if quick else 1_000
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "bars.duckdb"
        which = store_year(db)
        # Kernels are compiled once a version of the sources, not once a run.
        _measured(3, db)
        said = _measured(count, db)
    what = f"{count:,} instances on 3 symbols, a year of 1m bars, one account with limits"
    return [
        {
            "what": f"{what}: stored bars to figures",
            "value": f"{said['seconds']:.1f} s; {said['trades']:,} trades, {said['signals']:,} decisions",
            "peer": which,
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
        {
            "what": f"{what}: the account's pass alone",
            "value": f"{said['pass']:.2f} s, {said['pass'] / said['trades'] * 1e6:.2f} us a trade, "
            f"{said['pass'] / said['signals'] * 1e6:.2f} us a decision",
            "peer": "",
            "ratio": None,
            "bar": "reported",
        },
    ]


def _measured(count: int, db: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.portfolio_thousand", str(count), str(db)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def main() -> None:
    """The process that is measured; what follows the peak times the pass once more on the same members."""
    count, db = int(sys.argv[1]), Path(sys.argv[2])
    began = time.perf_counter()
    result = portfolio_backtest(members(count), limits=LIMITS, db=db, beside=False)
    figures = result.metrics
    assert figures
    seconds = time.perf_counter() - began
    # Linux counts in kilobytes, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    run = result.run
    loaded = load_members(members(count), db=db)
    schedule = WeightSchedule.static({m.instance.id: 1.0 / count for m in loaded}, [m.instance.id for m in loaded])
    began = time.perf_counter()
    simulate(loaded, schedule, LIMITS, capital=run.capital)
    print(json.dumps({
        "seconds": seconds, "peak_mb": peak / 1e6, "trades": len(run.trades), "signals": len(run.signals),
        "pass": time.perf_counter() - began,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
