"""The exchange of a week at speed: the market waits at each step until the daemon has done what follows from it.

`python -m tests.soak.stepped SCENE PORT MINUTES`, with the daemon of `tests.soak.daemon` beside it. It leaves the
exchange's records in the scene's folder, with latencies and the daemon's memory after each day.
"""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

from executor.sandbox.book import Venue
from executor.sandbox.faults import Faults
from executor.sandbox.records import Event
from tests.soak.guard import Guard
from tests.soak.pace import Follower, SharedClock
from tests.soak.scene import Scene, read_scene, serve
from tests.soak.street import market, records
from toolkit.bars.intervals import DAY_MS, MINUTE_MS

_STEPS = 4


class Drive:
    """Moves the market through its minutes."""

    def __init__(self, scene: Scene, venue: Venue, clock: SharedClock) -> None:
        self._scene, self._venue, self._clock = scene, venue, clock
        self._follower = Follower(scene.ledger, venue)
        self._touched = False
        self.memory: list[float] = []
        venue.listeners.append(self._hear)

    def _hear(self, event: Event) -> None:
        self._touched = self._touched or event.kind in ("fill", "trigger", "order")

    async def through(self, minutes: int) -> None:
        first = self._scene.first_ms
        pid = await self._daemon()
        for minute in range(minutes):
            at = first + minute * MINUTE_MS
            for step in range(_STEPS):
                self._clock.set(max(self._clock(), at + step * MINUTE_MS // _STEPS))
                await self._venue.advance(self._clock())
                if step == 0 or self._touched:
                    self._touched = False
                    await self._follower.caught_up(
                        at if minute else -1, busy=True, most_secs=30.0 if minute < 2 else 3.0
                    )
            if (minute + 1) % (DAY_MS // MINUTE_MS) == 0:
                self.memory.append(_resident_mb(pid))
        print(f"{self._follower.late} steps were not waited for to the end", flush=True)

    async def _daemon(self) -> int:
        """Its pid, once it follows the market."""
        (self._scene.folder / "street.ready").touch()
        file = self._scene.folder / "daemon.pid"
        while not file.exists():
            await asyncio.sleep(0.05)
        while not any(entry.verb.endswith("candlesticks") or "candles" in entry.verb for entry in self._venue.log):
            await asyncio.sleep(0.05)
        await asyncio.sleep(5.0)
        return int(file.read_text())


def pushes(venue: Venue) -> dict[str, float]:
    """By client id of an order that was placed as a bar closed: when that bar was final, `time.perf_counter()`.

    Final is a bar once the first update of the next one is pushed.
    """
    found, pushed, minute = dict[str, float](), 0.0, -1
    for entry in venue.log:
        if entry.verb == "push candle" and entry.ts_ms // MINUTE_MS != minute:
            minute, pushed = entry.ts_ms // MINUTE_MS, entry.perf_secs
        elif entry.verb == "place" and entry.ts_ms % MINUTE_MS == 0 and entry.ts_ms // MINUTE_MS == minute:
            found[entry.client_id.removeprefix("t-")] = pushed
    return found


def _resident_mb(pid: int) -> float:
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def run(scene: Scene, port: int, minutes: int) -> None:
    # Late enough in the first minute for the daemon to have all bars before it at its start.
    clock = SharedClock(scene.folder / "clock", scene.first_ms + 12_000)
    venue = market(scene, clock)
    faults, guard, drive = Faults(clock), Guard(venue), Drive(scene, venue, clock)
    began = time.monotonic()
    async with serve(scene, venue, faults, port):
        await venue.advance(clock())
        await drive.through(minutes)
        os.kill(int((scene.folder / "daemon.pid").read_text()), signal.SIGTERM)
        await asyncio.sleep(3.0)
    found = records(venue, guard, None, faults)
    found |= {"pushes": pushes(venue), "memory_mb": drive.memory, "secs": time.monotonic() - began}
    scene.record.write_text(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(run(read_scene(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])))
