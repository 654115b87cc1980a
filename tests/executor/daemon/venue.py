"""A ledger that is due for two hours of bars, and a venue on this machine that has them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from executor.deployments.loading import load_document
from executor.ledger import Ledger
from tests.exchange.market import Market
from tests.exchange.server import GateServer
from tests.portfolio.stored import COSTS
from toolkit.bars.columns import Columns
from toolkit.engine.rules import TradeRules
from toolkit.portfolio.deployment import Deployment, Source, write_deployment
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.members import Member

MINUTE, HOUR = 60_000, 3_600_000
PAIRS = ("BTC_USDT", "ETH_USDT")


def minutes(now_ms: int, hours: int, seed: int) -> Columns:
    """A random walk up to a day after now."""
    dice = np.random.default_rng(seed)
    first = now_ms // MINUTE * MINUTE - hours * HOUR
    n = (hours + 24) * 60
    close = 100.0 * np.exp(np.cumsum(dice.normal(0.0, 0.002, n)))
    opened = np.concatenate([[100.0], close[:-1]])
    return {
        "ts": first + MINUTE * np.arange(n, dtype=np.int64),
        "open": opened,
        "high": np.maximum(opened, close) * 1.001,
        "low": np.minimum(opened, close) * 0.999,
        "close": close,
        "volume": dice.uniform(1.0, 9.0, n),
    }


def load(folder: Path, start_ms: int) -> Path:
    """A new dry ledger of four instances on two symbols of `gate`."""
    rules = TradeRules(stop=0.01, max_hold="30m")
    members = tuple(
        Member("volatility_breakout", symbol, interval, {"window": 30, "expansion": 1.0}, rules, COSTS, "gate", "1m")
        for symbol in ("BTC/USDT", "ETH/USDT")
        for interval in ("1m", "5m")
    )
    deployment = Deployment(
        members=members,
        weights=dict.fromkeys((m.instance.id for m in members), 0.25),
        limits=Limits(max_gross=0.9),
        capital=10_000.0,
        effective_from_ms=start_ms,
        selected_from=Source(None, start_ms - 2 * HOUR, start_ms - HOUR, 4),
    )
    write_deployment(folder / "deployment.json", deployment)
    path = folder / "executor.sqlite"
    with Ledger.open(path, create=True) as ledger:
        load_document(ledger, folder / "deployment.json", start_ms, mode="dry")
    return path


def toml(table: dict[str, Any], path: str = "") -> Iterator[str]:
    """Lines of a TOML file; values as JSON writes them are TOML too."""
    yield from (f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict))
    for key, value in table.items():
        if isinstance(value, dict):
            yield f"[{path}{key}]"
            yield from toml(value, f"{path}{key}.")


@contextmanager
def venue(folder: Path, **settings: Any) -> Iterator[tuple[Path, Path]]:
    """The ledger and the configuration of a daemon on a venue that answers until the block ends."""
    now = time.time_ns() // 1_000_000
    market = Market({pair: minutes(now, 12, k) for k, pair in enumerate(PAIRS)}, now)
    with GateServer(market) as server:
        ledger = load(folder, now // MINUTE * MINUTE - 2 * HOUR)
        config = folder / "executor.toml"
        table = {
            "ledger": str(ledger), "feed": "poll", **settings, "exchange_options": server.ccxt_options(),
        }  # fmt: skip
        config.write_text("\n".join(toml(table)) + "\n")
        yield ledger, config
