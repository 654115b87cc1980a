"""`executor run --live` by a market's clock instead of the machine's: `python -m tests.soak.daemon SCENE CONFIG`.

It leaves in the scene's folder when each bar was seen to be final, and when each order left the process.
"""

import json
import os
import re
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from ccxt.async_support.base.exchange import BaseExchange

from executor.config import load_config
from executor.daemon import run_daemon
from executor.feed.assembler import Assembler
from executor.feed.base import Series
from executor.going_live import go_live
from executor.parts import Parts, open_feed
from tests.soak.pace import SharedClock
from tests.soak.scene import read_scene

_OURS = re.compile(r"ls-[0-9a-z-]+")


def watch_wire() -> dict[str, float]:
    """`time.perf_counter()` of each order's request, by client id, from now on."""
    sent: dict[str, float] = {}
    plain = BaseExchange.fetch

    async def fetch(self: Any, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        found = _OURS.search(str(body)) if method == "POST" else None
        if found:
            sent.setdefault(found[0], time.perf_counter())
        return await plain(self, url, method, headers, body)

    BaseExchange.fetch = fetch
    return sent


def watch_bars() -> dict[int, float]:
    """`time.perf_counter()` at the first sight of a candle, of whatever series, by its open time in ms."""
    seen: dict[int, float] = {}
    plain = Assembler.saw

    def saw(self: Assembler, series: Series, ts: int) -> None:
        seen.setdefault(ts, time.perf_counter())
        plain(self, series, ts)

    Assembler.saw = saw  # type: ignore[method-assign]
    return seen


def main() -> None:
    scene = read_scene(Path(sys.argv[1]))
    clock = SharedClock(scene.folder / "clock")
    (scene.folder / "daemon.pid").write_text(str(os.getpid()))
    sent, seen = watch_wire(), watch_bars()
    live = partial(go_live, clock=clock, sleep=clock.sleep)
    try:
        run_daemon(
            load_config(Path(sys.argv[2]), mode="live"),
            Parts(partial(open_feed, clock=clock), make_live=live, clock=clock),
        )
    finally:
        scene.wire.write_text(json.dumps({"sent": sent, "final": seen}))


if __name__ == "__main__":
    main()
