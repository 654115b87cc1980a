"""The table of faults: `python -m tests.executor.live.table` plays each scenario and prints how it ended."""

import tempfile
from pathlib import Path

from tests.executor.live.loop import play
from tests.executor.live.scenarios import SCENARIOS, Scenario
from tests.executor.live.session import session


async def ending(one: Scenario, kind: str, folder: Path) -> tuple[str, float]:
    """How it ended, and the longest time without a stop by the venue's records, seconds."""
    async with session(folder, kind) as found:
        ended = await one.play(found)
        return ended, found.bare_secs()


def main() -> None:
    print("| fault | at | outcome | longest without a stop |\n| --- | --- | --- | --- |")
    for one in SCENARIOS:
        for kind in one.kinds:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    ended, bare = play(ending(one, kind, Path(folder)))
                except (AssertionError, TimeoutError) as error:
                    ended, bare = f"WRONG: {type(error).__name__} {error}", -1.0
            print(f"| {one.name} | {kind} | {ended} | {bare:.2f} s |", flush=True)


if __name__ == "__main__":
    main()
