"""A simulated week at speed: `python -m tests.soak.week --days 7 --venue gate --market swap`.

A live daemon with ccxt, REST and websockets at a local exchange whose market waits for it. Prints what the exchange's
records and the ledger say, latencies, memory, and `toolkit parity`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.soak import account
from tests.soak.checks import check
from tests.soak.live import free_port, options, until
from tests.soak.scene import Scene
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.synthetic import synthetic_columns

_HISTORY_DAYS = 14
_START = "2023-03-01"
_START_MS = 1_677_628_800_000


def main() -> None:
    asked = _asked()
    folder = Path(asked.folder or tempfile.mkdtemp(prefix="week-"))
    (folder / "data").mkdir(parents=True, exist_ok=True)
    first = _START_MS + _HISTORY_DAYS * DAY_MS
    scene = Scene(folder, asked.venue, asked.market, ("BTC/USDT", "ETH/USDT"), first, asked.seed)
    columns = synthetic_columns(scene.symbols, _START, _HISTORY_DAYS + asked.days + 1, asked.seed)
    account.make(scene, columns, account.usual(scene, asked.instances), first, is_now=False)
    file, port = folder / "scene.json", free_port()
    scene.put(file)
    config = account.configure(scene, options(scene, port), free_port())
    print(f"a week in {folder}", flush=True)
    began = time.monotonic()
    words = [sys.executable, "-m", "tests.soak.stepped", str(file), str(port), str(asked.days)]
    street = subprocess.Popen(words, cwd=account.ROOT, env=account.environment(scene))
    daemon: subprocess.Popen[bytes] | None = None
    try:
        until(lambda: (folder / "street.ready").exists(), 60.0)
        words = [sys.executable, "-m", "tests.soak.daemon", str(file), str(config)]
        with (folder / "daemon.out").open("wb") as out:
            daemon = subprocess.Popen(
                words, cwd=account.ROOT, env=account.environment(scene), stdout=out, stderr=subprocess.STDOUT
            )
        while street.poll() is None and daemon.poll() is None:
            time.sleep(0.5)
        daemon.wait(60)
        street.wait(60)
    finally:
        for one in (daemon, street):
            if one is not None and one.poll() is None:
                one.kill()
    record = json.loads(scene.record.read_text())
    print(f"{asked.days} days in {time.monotonic() - began:.0f} s; daemon ended with {daemon.returncode}")
    print(f"bar final to order on the wire: {record['latencies']}")
    print(f"memory of the daemon, MB, after each day: {[round(one) for one in record['memory_mb']]}")
    print("\n".join(check(scene, flat=False).lines))
    done = subprocess.run(
        account.command("toolkit", "parity", str(scene.ledger)), cwd=account.ROOT, env=account.environment(scene),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(done.stdout, done.stderr[-2000:], f"toolkit parity ended with {done.returncode}", sep="\n")


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
