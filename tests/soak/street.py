"""The local exchange in a process of its own, in real time and with faults: `python -m tests.soak.street SCENE PORT`.

It trades until SIGTERM, then leaves its records in the scene's folder. SIGUSR1 ends the faults.
"""

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from executor.sandbox.book import Venue
from executor.sandbox.faults import KINDS, Faults
from tests.soak.guard import Guard
from tests.soak.scene import Scene, read_scene, serve
from tests.soak.storm import Storm

_STEP_SECS = 0.05


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def market(scene: Scene, clock: "Clock") -> Venue:
    """The venue with its history; what is to come is scripted."""
    money = {"USDT": scene.money}
    venue = Venue([scene.listing(one) for one in scene.symbols], money, clock=clock, hedge=scene.hedge)
    for symbol in scene.symbols:
        candles, size = scene.candles(symbol), venue.listings[scene.name(symbol)].contract_size
        candles = [one._replace(volume=one.volume / size) for one in candles]
        past = [one for one in candles if one.ts_ms < scene.first_ms]
        venue.remember(scene.name(symbol), past)
        venue.script(scene.name(symbol), candles[len(past) :])
    return venue


class Clock:
    """The market's time."""

    def __call__(self) -> int:
        return wall_ms()


async def run(scene: Scene, port: int) -> None:
    clock = Clock()
    venue = market(scene, clock)
    faults = Faults(clock)
    guard = Guard(venue)
    storm, ended, calm = Storm(venue, faults, scene.seed, wall_ms()), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, calm.set)
    async with serve(scene, venue, faults, port):
        await venue.advance(wall_ms())
        (scene.folder / "street.ready").touch()
        while not ended.is_set():
            await venue.advance(wall_ms())
            if calm.is_set():
                faults.clear()
                venue.set_matching(depth={})
            else:
                storm.blow(wall_ms())
            await asyncio.sleep(_STEP_SECS)
    scene.record.write_text(json.dumps(records(venue, guard, storm, faults)))


def records(venue: Venue, guard: Guard, storm: Storm | None, faults: Faults) -> dict[str, object]:
    """What the exchange knows in the end."""
    return {
        "now_ms": venue.now(),
        "orders": [asdict(one) for one in [*venue.finished(), *venue.open_orders()]],
        "triggers": [asdict(one) for waiting in (False, True) for one in venue.triggers(waiting=waiting)],
        "fills": [one._asdict() for one in venue.fills()],
        "positions": [asdict(one) for one in venue.positions()],
        "balances": {name: one.total for name, one in venue.balances().items()},
        "bare": [asdict(one) for one in guard.found],
        "struck": [] if storm is None else storm.struck,
        "befell": [[entry.ts_ms, entry.verb] for entry in faults.log if entry.verb in KINDS],
        "requests": Counter(_route(entry.verb) for entry in venue.log if entry.verb.startswith("request")),
    }


def _route(verb: str) -> str:
    """Without numbers of orders."""
    return "/".join(part for part in verb.removeprefix("request ").split("/") if not part.isdigit())


if __name__ == "__main__":
    asyncio.run(run(read_scene(Path(sys.argv[1])), int(sys.argv[2])))
