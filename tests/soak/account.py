"""Bars, a backtested deployment and a live ledger for a scene, made by the commands that a user types."""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from executor.deployments.loading import load_document
from executor.ledger import Ledger
from tests.soak.scene import KEY, PASSWORD, SECRET, TAKER, Scene
from toolkit.bars.columns import Columns, fingerprint
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.store import Source, Store, series_key
from toolkit.engine.rules import Costs, TradeRules
from toolkit.portfolio.deployment import Deployment, write_deployment
from toolkit.portfolio.deployment import Source as Origin
from toolkit.portfolio.limits import Limits, instruments_from
from toolkit.portfolio.members import Member

ROOT = Path(__file__).parents[2]
EXCHANGE = "synthetic"
# Many trades an hour, most with stop and target.
STRATEGIES: tuple[tuple[str, dict[str, float]], ...] = (
    ("volatility_breakout", {"window": 20, "exit_window": 10, "expansion": 1.2, "stop_atr": 1.5, "target_r": 1.5}),
    ("reversal_breakout", {"window": 30, "stretch": 4.0, "trigger": 2, "exit_window": 10}),
    ("support_resistance_breakout", {"pivot": 3, "window": 60, "volume": 0.0, "target_r": 2.0}),
    ("support_resistance_breakout", {"pivot": 2, "window": 40, "volume": 0.0, "stop_atr": 1.5}),
    ("trend_day", {"after_minute": 30, "until_minute": 1400, "move": 0.2, "body": 0.3}),
)


def usual(scene: Scene, count: int) -> list[Member]:
    """Instances of all five strategies with their defaults, on several intervals, no two alike."""
    intervals, found = ("1m", "5m", "15m", "15m", "30m", "1h", "1h", "1h", "5m", "15m"), list[Member]()
    names = [*dict.fromkeys(name for name, _ in STRATEGIES), "open_range_breakout"]
    for k in range(count):
        hold = f"{4 + k // (len(names) * len(scene.symbols))}h"
        rules = TradeRules(side="both" if scene.market == "swap" else "long", max_hold=hold, signal_timeout="2h")
        costs = Costs(taker_rate=TAKER, maker_rate=TAKER, slippage_bps=1.0)
        symbol, interval = scene.symbols[k % len(scene.symbols)], intervals[k % len(intervals)]
        found.append(
            Member(names[k % len(names)], symbol, interval, rules=rules, costs=costs, exchange=EXCHANGE, base="1m")
        )
    return found


def members(scene: Scene, count: int, intervals: tuple[str, ...]) -> list[Member]:
    """Instances that trade often, no two alike; short ones too where the market has them."""
    found = []
    for k in range(count):
        n, symbol = k // len(STRATEGIES), scene.symbols[k % len(scene.symbols)]
        side = "both" if scene.market == "swap" else "long"
        rules = TradeRules(side=side, max_hold=f"{20 + 5 * n}m", signal_timeout="10m")
        name, params = STRATEGIES[k % len(STRATEGIES)]
        costs = Costs(taker_rate=TAKER, maker_rate=TAKER, slippage_bps=1.0)
        found.append(Member(
            name, symbol, intervals[n % len(intervals)], params, rules=rules, costs=costs, exchange=EXCHANGE, base="1m",
        ))  # fmt: skip
    return found


def make(
    scene: Scene, columns: Mapping[str, Columns], chosen: list[Member], effective_ms: int, *, is_now: bool = True
) -> None:
    """Everything that a daemon needs, in the scene's folder.

    Bars before the scene's first moment are stored and backtested; the deployment holds from `effective_ms` on.
    is_now : the account begins by the machine's clock, otherwise with the scene.
    """
    np.savez(scene.bars, **{f"{symbol} {name}": c for symbol, cs in columns.items() for name, c in cs.items()})
    store = Store(scene.folder / "data" / "bars.duckdb")
    with store.batch() as batch:
        for symbol, cs in columns.items():
            known = cs["ts"] < scene.first_ms
            past = {name: column[known] for name, column in cs.items()}
            batch.write(series_key(EXCHANGE, symbol, "1m"), past, Source("request", "soak", fingerprint(past)))
    start = int(next(iter(columns.values()))["ts"][0]) + 2 * DAY_MS
    share = 1.0 / len(chosen)
    deployment = Deployment(
        members=tuple(chosen), weights={one.instance.id: share for one in chosen},
        limits=Limits(exposure=3.0, max_gross=0.9, max_open=24), capital=scene.money, effective_from_ms=effective_ms,
        selected_from=Origin(None, start, scene.first_ms, len(chosen)),
        instruments=instruments_from({symbol: scene.instrument(symbol) for symbol in scene.symbols}),
    )  # fmt: skip
    file = scene.folder / "deployment.json"
    write_deployment(file, deployment)
    day = datetime.fromtimestamp(start / 1000, UTC).date().isoformat()
    call(scene, "toolkit", "deploy", str(file), "--backtest", "--start", day, "--no-load")
    if is_now:
        call(scene, "executor", "load", deployment.id, "--ledger", str(scene.ledger), "--live")
        return
    with Ledger.open(scene.ledger, create=True) as book:
        load_document(book, file, scene.first_ms, mode="live")


def configure(scene: Scene, options: Mapping[str, object], port: int) -> Path:
    """`executor.toml` and the keys. options : ccxt's, that point it at the local exchange."""
    keys = scene.folder / "keys.toml"
    keys.write_text(f'key = "{KEY}"\nsecret = "{SECRET}"\npassword = "{PASSWORD}"\n')
    keys.chmod(0o600)
    file = scene.folder / "executor.toml"
    lines = [
        f'venue = "{scene.venue}"', f'market = "{scene.market}"', f"api_port = {port}",
        f'ledger = "{scene.ledger.name}"', "", "[live]", 'keys_file = "keys.toml"', "reconcile_secs = 60.0",
        "max_orders_a_day = 100000", "max_turnover_a_day = 100000.0", "",
    ]  # fmt: skip
    file.write_text("\n".join(lines) + _tables("exchange_options", options))
    return file


def environment(scene: Scene) -> dict[str, str]:
    """Of the commands: the scene's own data."""
    return {**os.environ, "LOCKSTEP_DATA": str(scene.folder / "data")}


def command(program: str, *words: str) -> list[str]:
    if program == "toolkit":
        return [sys.executable, "-c", "from toolkit.cli.main import main; main()", *words]
    return [sys.executable, "-m", "executor", *words]


def call(scene: Scene, program: str, *words: str) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run(
        command(program, *words), cwd=ROOT, env=environment(scene), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{program} {' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _tables(name: str, table: Mapping[str, object]) -> str:
    """TOML of a nested table."""
    lines, below = [f"\n[{name}]"], ""
    for key, value in table.items():
        if isinstance(value, Mapping):
            below += _tables(f"{name}.{_key(key)}", value)
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    return "\n".join(lines) + "\n" + below


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() else f'"{name}"'


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
