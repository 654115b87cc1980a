"""Memory of the whole daemon, dry, on a live feed: ccxt's websockets from a local venue, on the wall's clock."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from executor.deployments.loading import load_document
from executor.ledger import Ledger
from tests.bench.executor_worker import INTERVALS, STRATEGIES, WARM_DAYS
from tests.exchange.market_data import MarketData
from toolkit.engine.rules import TradeRules
from toolkit.portfolio.deployment import Deployment, Source, write_deployment
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.members import Member

MINUTE = 60_000
PAIRS = {"BTC_USDT": 30_000.0, "ETH_USDT": 2_000.0, "SOL_USDT": 80.0}
EVENTS = 2
PATIENCE_SECS = 900


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def venue() -> Iterator[dict[str, Any]]:
    """A local Gate with two weeks of minutes behind it and an hour ahead; gives the settings that point ccxt there."""
    ready, stop, found = threading.Event(), threading.Event(), dict[str, Any]()

    async def serve() -> None:
        async with MarketData(PAIRS, now_ms) as market:
            first = now_ms() // MINUTE * MINUTE - (WARM_DAYS + 3) * 86_400_000
            rng = np.random.default_rng(7)
            for pair, price in PAIRS.items():
                closes = price * np.exp(np.cumsum(rng.normal(0.0, 5e-4, (WARM_DAYS + 3) * 1440 + 60)))
                for k, close in enumerate(closes.tolist()):
                    market.trade(pair, first + k * MINUTE, round(close, 2))
            found.update(market.options())
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(1.0)
                for pair in PAIRS:
                    await market.push(pair, now_ms() // MINUTE * MINUTE)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def deployment(count: int) -> Deployment:
    """Instances of all five strategies on three pairs, no two alike."""
    members = []
    for k in range(count):
        hold = f"{4 + k // (len(STRATEGIES) * len(PAIRS))}h"
        symbol = list(PAIRS)[k % len(PAIRS)].replace("_", "/")
        members.append(Member(
            STRATEGIES[k % len(STRATEGIES)], symbol, INTERVALS[k % len(INTERVALS)],
            rules=TradeRules(max_hold=hold, signal_timeout="2h"), exchange="gate", base="1m",
        ))  # fmt: skip
    weights = {one.instance.id: 1.0 / count for one in members}
    return Deployment(tuple(members), weights, Limits(max_gross=0.9), 1e5, 0, Source(None, 0, MINUTE, count))


def measured(count: int) -> dict[str, float]:
    """The daemon's resident memory once it has decided on a few bars."""
    with tempfile.TemporaryDirectory() as name, venue() as options:
        folder = Path(name)
        file, ledger, config = folder / "deployment.json", folder / "executor.sqlite", folder / "executor.toml"
        write_deployment(file, deployment(count))
        with Ledger.open(ledger, create=True) as book:
            load_document(book, file)
        config.write_text(f"exchange_options = {_toml(options)}\napi_port = 0\n")
        command = [sys.executable, "-m", "executor", "run", "--dry", "--foreground", "--ledger", str(ledger)]
        daemon = subprocess.Popen([*command, "--config", str(config)], stdout=subprocess.DEVNULL)
        try:
            began, events = time.monotonic(), 0
            while events < EVENTS:
                assert daemon.poll() is None, "the daemon ended"
                assert time.monotonic() - began < PATIENCE_SECS, "no bars"
                time.sleep(1.0)
                with Ledger.open(ledger, readonly=True) as book:
                    events = int(book.value("SELECT count(*) FROM events"))
            pages = int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1])
            return {"mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6, "secs": time.monotonic() - began}
        finally:
            daemon.terminate()
            daemon.wait()


def _toml(value: Any) -> str:
    """A value as TOML's inline form, for settings made of tables, text and numbers."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)


def run(quick: bool = False) -> list[dict[str, Any]]:
    """A row for fifty instances and one for a thousand; the first daemon compiles what the others load."""
    measured(5 if quick else 50)
    rows = []
    for count, most in ((50, 250), (1_000, 600)):
        if quick and count > 50:
            break
        found = measured(count)
        rows.append({
            "what": f"executor run --dry with {count:,} instances on a live feed: resident memory",
            "value": f"{found['mb']:.0f} MB after {EVENTS} bars", "peer": "", "ratio": None, "bar": f"< {most} MB",
        })  # fmt: skip
    return rows
