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
import pytest

from executor.deployments.loading import load_document
from executor.ledger import Ledger
from tests.bench.executor_worker import INTERVALS, STRATEGIES, WARM_DAYS
from tests.exchange.market_data import MarketData
from toolkit.engine.rules import TradeRules
from toolkit.models.applying import Application
from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.choices import backend
from toolkit.models.cleaning import fit_cleaning
from toolkit.models.features import default_features
from toolkit.models.store import read_info, save_model
from toolkit.models.trained import Trained
from toolkit.portfolio.deployment import Deployment, ModelUse, Source, write_deployment
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.members import Member

MINUTE = 60_000
PAIRS = {"BTC_USDT": 30_000.0, "ETH_USDT": 2_000.0, "SOL_USDT": 80.0}
EVENTS = 2
MOST_EVENTS = 12
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


def judged(found: Deployment, root: Path) -> Deployment:
    """The same, every entry judged by a LightGBM model that sees the default features and vetoes about half."""
    features = default_features(INTERVALS)
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2_000, len(features)))
    y = (x[:, 0] + rng.normal(size=len(x)) > 0).astype(np.float64)
    cleaning = fit_cleaning(x, clip=0.01, impute=False, scale=False, indicators=False)
    ways = backend("lightgbm")
    data = TrainingSet(cleaning.names(features), cleaning.clean(x), y, np.ones(len(y)))
    model = ways.fit(data, Budget(seed=1), ways.settings)
    facts = {"backend": "lightgbm", "settings": dict(ways.settings), "window": {"from_ms": 0, "until_ms": 1}}
    trained = Trained(features, np.arange(len(features)), cleaning, model, Application(threshold=0.5), facts)
    info = read_info(save_model(trained, "pooled", root))
    ids = tuple(member.instance.id for member in found.members)
    return found.followed_by(models=(ModelUse(info.name, info.version, info.checksum, ids),))


def measured(count: int, *, with_model: bool = False) -> dict[str, float]:
    """The daemon's resident memory once it has decided on a few bars."""
    with tempfile.TemporaryDirectory() as name, venue() as options, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setenv("LOCKSTEP_DATA", name)
        file, ledger, config = folder / "deployment.json", folder / "executor.sqlite", folder / "executor.toml"
        found = deployment(count)
        write_deployment(file, judged(found, folder / "models") if with_model else found)
        with Ledger.open(ledger, create=True) as book:
            load_document(book, file)
        config.write_text(f"exchange_options = {_toml(options)}\napi_port = 0\n")
        command = [sys.executable, "-m", "executor", "run", "--dry", "--foreground", "--ledger", str(ledger)]
        daemon = subprocess.Popen([*command, "--config", str(config)], stdout=subprocess.DEVNULL)
        try:
            began, events, asked = time.monotonic(), 0, 0
            # A model's features are computed at an entry, which a bar may not have.
            while events < EVENTS or (with_model and not asked and events < MOST_EVENTS):
                assert daemon.poll() is None, "the daemon ended"
                assert time.monotonic() - began < PATIENCE_SECS, "no bars"
                time.sleep(1.0)
                with Ledger.open(ledger, readonly=True) as book:
                    events = int(book.value("SELECT count(*) FROM events"))
                    asked = int(book.value("SELECT count(*) FROM signals WHERE model_version IS NOT NULL"))
            pages = int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1])
            mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            return {"mb": mb, "secs": time.monotonic() - began, "asked": asked, "events": events}
        finally:
            daemon.terminate()
            daemon.wait()


def _toml(value: Any) -> str:
    """A value as TOML's inline form, for settings made of tables, text and numbers."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Fifty instances, fifty judged by a model, a thousand; the first daemon compiles what the others load."""
    measured(5 if quick else 50, with_model=True)
    rows = []
    for count, with_model, most in ((50, False, 250), (50, True, 350), (1_000, False, 600)):
        if quick and count > 50:
            break
        found = measured(count, with_model=with_model)
        said = f", judged by a LightGBM model ({found['asked']:.0f} signals)" if with_model else ""
        rows.append({
            "what": f"executor run --dry with {count:,} instances on a live feed{said}: resident memory",
            "value": f"{found['mb']:.0f} MB after {found['events']:.0f} bars", "peer": "", "ratio": None,
            "bar": f"< {most} MB",
        })  # fmt: skip
    return rows
