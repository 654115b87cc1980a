"""The executor's engine on bars of a file, in a process of its own: prints what it took as one JSON line.

`python -m tests.bench.executor_worker BARS.npz INSTANCES DAYS`; the first days of the file are warm-up.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from executor.broker.paper import PaperBroker
from executor.engine.engine import Engine
from executor.engine.signals import Traded
from executor.engine.state import Plan
from executor.feed.base import BarEvent, ClosedBar, Series
from executor.ledger import Ledger
from toolkit.engine.rules import Costs, TradeRules
from toolkit.portfolio.limits import Limits
from toolkit.strategy import get_strategy

STRATEGIES = (
    "volatility_breakout", "reversal_breakout", "support_resistance_breakout", "trend_day", "open_range_breakout",
)  # fmt: skip
# Most of a book is on slow intervals; a fifth of it decides every minute or five.
INTERVALS = ("1m", "5m", "15m", "15m", "30m", "1h", "1h", "1h", "5m", "15m")
WARM_DAYS = 14
DAY_MS = 86_400_000


def members(count: int, series: list[Series]) -> list[Traded]:
    """Instances of all five strategies on several intervals and symbols, long and short, no two alike."""
    out = []
    for k in range(count):
        strategy = get_strategy(STRATEGIES[k % len(STRATEGIES)])
        on = series[k % len(series)]
        interval = INTERVALS[k % len(INTERVALS)]
        if on.base == "5m" and interval == "1m":
            interval = "5m"
        hold = f"{4 + k // (len(STRATEGIES) * len(series))}h"
        rules = TradeRules(max_hold=hold, signal_timeout="2h")
        out.append(Traded(
            f"{strategy.name}-{k:010d}", "bench", strategy, strategy.params(), rules, Costs(), on, interval
        ))  # fmt: skip
    return out


def ledger_of(path: Path, plan: Plan, start_ms: int) -> Ledger:
    ledger = Ledger.open(path, create=True, synchronous="FULL")
    ledger.set_meta("start_ms", str(start_ms))
    share = 1.0 / len(plan.members)
    ledger.put("instances", [
        {
            "id": one.instance_id, "deployment": "bench", "strategy": one.strategy.name, "symbol": one.series.symbol,
            "exchange": one.series.exchange, "base": one.series.base, "interval": one.interval, "document": "{}",
            "weight": share,
        }
        for one in plan.members
    ])  # fmt: skip
    ledger.put("weights", [
        {"effective_ms": start_ms, "instance": one.instance_id, "weight": share, "cause": "bench"}
        for one in plan.members
    ])  # fmt: skip
    ledger.insert("cash_flows", {"ts_ms": start_ms, "kind": "allocated", "amount": 1e6, "note": ""})
    return ledger


def bars_of(columns: Any, series: Series) -> Iterator[ClosedBar]:
    names = ("ts", "open", "high", "low", "close", "volume")
    rows = zip(*(columns[f"{series.symbol} {name}"] for name in names), strict=True)
    for ts, *rest in rows:
        yield ClosedBar(int(ts), *(float(value) for value in rest))


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(file: str, instances: int, days: int) -> dict[str, Any]:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    columns = np.load(file)
    series = [Series("bench", name.partition(" ")[0], str(columns[name])) for name in columns if name.endswith(" base")]
    first = int(columns[f"{series[0].symbol} ts"][0])
    start = first + WARM_DAYS * DAY_MS
    plan = Plan(members(instances, series), Limits(max_open=instances // 2, max_gross=0.9), {})
    commits: list[float] = []
    began = [0.0]

    def tell(said: str) -> None:
        if said.startswith("before"):
            began[0] = time.perf_counter()
        else:
            commits.append(time.perf_counter() - began[0])

    with tempfile.TemporaryDirectory() as folder:
        ledger = ledger_of(Path(folder) / "bench.sqlite", plan, start)
        ledger.on_commit = tell
        engine = Engine(ledger, PaperBroker(), load=lambda _, __: plan, clock=lambda: 0)
        streams = {one: bars_of(columns, one) for one in series}
        for one, stream in streams.items():
            warm = []
            for bar in stream:
                warm.append(bar)
                if bar.ts + one.base_ms >= start:
                    break
            engine.warm(one, warm[-engine.series()[one] :])
        taken, kept, memory, intents = [], [], [], 0
        total = time.perf_counter()
        for moment in range(start + 60_000, start + days * DAY_MS + 1, 60_000):
            bars = tuple((one, next(streams[one])) for one in series if moment % one.base_ms == 0)
            commits.clear()
            at = time.perf_counter()
            intents += len(engine.on_event(BarEvent(moment, bars)))
            spent, committing = time.perf_counter() - at, sum(commits)
            taken.append(spent - committing)
            kept.append(committing)
            if moment % DAY_MS == 0:
                memory.append(resident_mb())
        seconds = time.perf_counter() - total
        trades = int(ledger.value("SELECT count(*) FROM trades"))
        ledger.close()
    # The first hour calls every strategy once, which loads its compiled code.
    ms, commit_ms = 1e3 * np.array(taken[60:]), 1e3 * np.array(kept[60:])
    return {
        "events": len(taken), "seconds": seconds, "p50": float(np.median(ms)), "p99": float(np.quantile(ms, 0.99)),
        "worst": float(ms.max()), "commit_p50": float(np.median(commit_ms)),
        "commit_p99": float(np.quantile(commit_ms, 0.99)), "memory": memory, "trades": trades, "intents": intents,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
