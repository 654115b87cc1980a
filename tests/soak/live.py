"""A soak: `executor run --live` as a user runs it, in real time, at a local exchange with faults and kills at random.

`python -m tests.soak.live --minutes 60 --venue gate --market swap`: what the exchange's own records say in the end is
held against the ledger; exit code 1 where they differ.
"""

import argparse
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.soak import account
from tests.soak.checks import check
from tests.soak.scene import Scene, serve
from toolkit.bars.intervals import MINUTE_MS
from toolkit.bars.synthetic import synthetic_columns

_HISTORY_DAYS = 14
_CALM_SECS = 100.0


def main() -> None:
    asked = _asked()
    folder = Path(asked.folder or tempfile.mkdtemp(prefix="soak-"))
    (folder / "data").mkdir(parents=True, exist_ok=True)
    now = time.time_ns() // 1_000_000
    scene = Scene(
        folder, asked.venue, asked.market, ("BTC/USDT", "ETH/USDT"), (now // MINUTE_MS + 1) * MINUTE_MS, asked.seed
    )
    start = (datetime.now(UTC) - timedelta(days=_HISTORY_DAYS)).date().isoformat()
    days = _HISTORY_DAYS + 2 + asked.minutes // 1440
    columns = synthetic_columns(scene.symbols, start, days, asked.seed)
    account.make(scene, columns, account.members(scene, asked.instances, ("1m", "1m", "3m")), now)
    file = folder / "scene.json"
    scene.put(file)
    port, api = free_port(), free_port()
    config = account.configure(scene, options(scene, port), api)
    print(f"soak in {folder}, API on port {api}", flush=True)
    street = subprocess.Popen([sys.executable, "-m", "tests.soak.street", str(file), str(port)], cwd=account.ROOT)
    daemon: subprocess.Popen[bytes] | None = None
    try:
        until(lambda: (folder / "street.ready").exists(), 60.0)
        words = account.command("executor", "run", "--live", "--confirmed", "--config", str(config))
        with (folder / "daemon.out").open("wb") as out:
            daemon = subprocess.Popen(
                words, cwd=account.ROOT, env=account.environment(scene), stdout=out, stderr=subprocess.STDOUT
            )
        kills = _trade(scene, daemon, asked)
        street.send_signal(signal.SIGUSR1)
        time.sleep(_CALM_SECS)
        _command(scene, "halt", "--flatten", "--wait")
        time.sleep(20.0)
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(120)
    finally:
        if daemon is not None and daemon.poll() is None:
            daemon.kill()
        street.send_signal(signal.SIGTERM)
        street.wait(60)
    found = check(scene)
    print(f"{kills} kills; daemon ended with {daemon.returncode}", flush=True)
    print("\n".join(found.lines), flush=True)
    sys.exit(1 if found.wrong else 0)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--venue", choices=("gate", "kucoin"), default="gate")
    parser.add_argument("--market", choices=("spot", "swap"), default="swap")
    parser.add_argument("--instances", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kill-minutes", type=float, default=5.0, help="on average; 0 = never")
    parser.add_argument("--folder", default="")
    return parser.parse_args()


def _trade(scene: Scene, daemon: "subprocess.Popen[bytes]", asked: argparse.Namespace) -> int:
    """Let it trade, and kill the daemon under its supervisor at random; returns how often."""
    draw, kills = random.Random(asked.seed), 0
    until = time.monotonic() + 60.0 * asked.minutes
    often = 60.0 * asked.kill_minutes
    due = time.monotonic() + (120.0 + draw.expovariate(1 / often) if often else float("inf"))
    while time.monotonic() < until:
        if daemon.poll() is not None:
            print(f"the supervisor ended with {daemon.returncode}", flush=True)
            break
        if time.monotonic() >= due:
            pid = _pid(scene)
            if pid is not None and pid != daemon.pid:
                os.kill(pid, signal.SIGKILL)
                kills += 1
            due = time.monotonic() + draw.expovariate(1 / often)
        time.sleep(0.2)
    return kills


def _pid(scene: Scene) -> int | None:
    """Of the daemon that works on the ledger."""
    with sqlite3.connect(f"file:{scene.ledger}?mode=ro", uri=True) as book:
        row = book.execute("SELECT pid FROM sessions WHERE ended_ms IS NULL ORDER BY id DESC LIMIT 1").fetchone()
    if row is None:
        return None
    words = Path(f"/proc/{row[0]}/cmdline")
    return int(row[0]) if words.exists() and b"--foreground" in words.read_bytes() else None


def _command(scene: Scene, *words: str) -> None:
    done = subprocess.run(
        account.command("executor", *words, "--ledger", str(scene.ledger)), cwd=account.ROOT,
        env=account.environment(scene), capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(" ".join(words), "->", done.stdout.strip() or done.stderr.strip(), flush=True)


def options(scene: Scene, port: int) -> dict[str, object]:
    """What points ccxt at the local exchange; keys are not in it."""
    from executor.sandbox.book import Venue
    from executor.sandbox.faults import Faults

    venue = Venue([scene.listing(one) for one in scene.symbols], {}, clock=lambda: 0)
    options = serve(scene, venue, Faults(lambda: 0), port).ccxt_options(scene.venue)
    return {name: value for name, value in options.items() if name not in ("apiKey", "secret", "password")}


def free_port() -> int:
    """One that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(is_so: Callable[[], bool], secs: float) -> None:
    """Wait for it."""
    until = time.monotonic() + secs
    while not is_so():
        if time.monotonic() > until:
            raise SystemExit("the local exchange did not start")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
