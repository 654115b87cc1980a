"""The table of faults: `python -m tests.executor.live.table` plays each scenario and prints how it ended, and the
longest time without a stop at each venue, by the venue's own records."""

import tempfile
from pathlib import Path

from tests.executor.live.loop import play
from tests.executor.live.scenarios import SCENARIOS, Scenario
from tests.executor.live.session import KINDS, session


async def ending(one: Scenario, kind: str, folder: Path) -> tuple[str, float]:
    """How it ended, and the longest time without a stop by the venue's records, seconds."""
    async with session(folder, kind) as found:
        ended = await one.play(found)
        return ended, found.bare_secs()


def main() -> None:
    print(f"| fault | outcome | {' | '.join(KINDS)} |\n| --- | --- |{' ---: |' * len(KINDS)}")
    for one in SCENARIOS:
        said, bare = set(), dict[str, str]()
        for kind in one.kinds:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    ended, secs = play(ending(one, kind, Path(folder)))
                except (AssertionError, TimeoutError) as error:
                    ended, secs = f"WRONG: {type(error).__name__} {error}", float("nan")
            said.add(ended)
            bare[kind] = f"{secs:.2f} s"
        times = " | ".join(bare.get(kind, "-") for kind in KINDS)
        print(f"| {one.name} | {'; '.join(sorted(said))} | {times} |", flush=True)


if __name__ == "__main__":
    main()
