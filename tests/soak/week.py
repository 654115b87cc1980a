"""A simulated week at speed: `python -m tests.soak.week --days 7 --venue gate --market swap`.

A live daemon with ccxt, REST and websockets at a local exchange whose market waits for it. Prints what the exchange's
records and the ledger say, latencies, memory, and `toolkit parity`.
"""

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.soak import account
from tests.soak.checks import Found, check
from tests.soak.live import free_port, options, until
from tests.soak.scene import Scene
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.synthetic import synthetic_columns
from toolkit.portfolio.members import Member

_HISTORY_DAYS = 14
_START = "2023-03-01"
_START_MS = 1_677_628_800_000


class Played(NamedTuple):
    """record : what the exchange left. found : what it says beside the ledger. code : of the daemon."""

    record: dict[str, Any]
    found: Found
    code: int


def play(scene: Scene, minutes: int, chosen: list[Member]) -> Played:
    """A live session of so many minutes of the market, from synthetic bars with two weeks of history."""
    (scene.folder / "data").mkdir(parents=True, exist_ok=True)
    days = _HISTORY_DAYS + minutes // 1440 + 2
    columns = synthetic_columns(scene.symbols, _START, days, scene.seed)
    account.make(scene, columns, chosen, scene.first_ms, is_now=False)
    file, port = scene.folder / "scene.json", free_port()
    scene.put(file)
    config = account.configure(scene, options(scene, port), free_port())
    street = _start(scene, "street", "tests.soak.stepped", str(file), str(port), str(minutes))
    daemon: subprocess.Popen[bytes] | None = None
    try:
        until((scene.folder / "street.ready").exists, 60.0)
        daemon = _start(scene, "daemon", "tests.soak.daemon", str(file), str(config))
        while street.poll() is None and daemon.poll() is None:
            time.sleep(0.2)
        daemon.wait(60)
        street.wait(60)
    finally:
        for one in (daemon, street):
            if one is not None and one.poll() is None:
                one.kill()
    return Played(json.loads(scene.record.read_text()), check(scene, flat=False), daemon.returncode)


_DECIDED = "SELECT client_id, created_ms FROM venue_orders WHERE kind IN ('entry', 'exit')"


def latency(scene: Scene, played: Played) -> str:
    """Of all entries and exits that a close decided: from its first candle's sight, and from the exchange's push."""
    wire, pushed = json.loads(scene.wire.read_text()), played.record["pushes"]
    with sqlite3.connect(f"file:{scene.ledger}?mode=ro", uri=True) as book:
        decided = {name: wire["final"][str(ms)] for name, ms in book.execute(_DECIDED) if str(ms) in wire["final"]}
    every = [(1000 * (wire["sent"][name] - decided[name]), name) for name in decided if name in wire["sent"]]
    first = {decided[name]: took for took, name in sorted(every, reverse=True)}
    whole = [1000 * (wire["sent"][name] - pushed[name]) for _, name in every if name in pushed]
    return "; ".join(f"{what} {_quantiles(sorted(found))}" for what, found in (
        ("all orders", [took for took, _ in every]), ("the first of a bar", list(first.values())),
        ("all, from the exchange's push", whole),
    ))  # fmt: skip


def _quantiles(found: list[float]) -> str:
    if not found:
        return "none"
    n = len(found)
    return f"{n:,}: p50 {found[n // 2]:.1f}, p99 {found[int(0.99 * (n - 1))]:.1f}, worst {found[-1]:.1f} ms"


def parity(scene: Scene) -> tuple[int, str]:
    """Exit code and words of `toolkit parity` of the session."""
    done = subprocess.run(
        account.command("toolkit", "parity", str(scene.ledger)), cwd=account.ROOT, env=account.environment(scene),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr[-2000:]


def scene_of(folder: Path, venue: str, market: str, seed: int) -> Scene:
    """The market's first moment is always the same."""
    first = _START_MS + _HISTORY_DAYS * DAY_MS
    return Scene(folder, venue, market, ("BTC/USDT", "ETH/USDT"), first, seed)


def main() -> None:
    asked = _asked()
    scene = scene_of(Path(asked.folder or tempfile.mkdtemp(prefix="week-")), asked.venue, asked.market, asked.seed)
    print(f"{asked.days} days of {asked.venue} {asked.market} in {scene.folder}", flush=True)
    began = time.monotonic()
    played = play(scene, asked.days * 1440, account.usual(scene, asked.instances))
    print(f"took {time.monotonic() - began:.0f} s; daemon ended with {played.code}")
    print(f"from a bar being final to an order on the wire: {latency(scene, played)}")
    print(f"memory of the daemon, MB, after each day: {[round(one) for one in played.record['memory_mb']]}")
    print("\n".join(played.found.lines))
    code, said = parity(scene)
    print(said, f"toolkit parity ended with {code}", sep="\n")


def _start(scene: Scene, name: str, module: str, *words: str) -> "subprocess.Popen[bytes]":
    with (scene.folder / f"{name}.out").open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", module, *words], cwd=account.ROOT, env=account.environment(scene), stdout=out,
            stderr=subprocess.STDOUT,
        )  # fmt: skip


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--venue", choices=("gate", "kucoin"), default="gate")
    parser.add_argument("--market", choices=("spot", "swap"), default="swap")
    parser.add_argument("--instances", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", default="")
    return parser.parse_args()


if __name__ == "__main__":
    main()
