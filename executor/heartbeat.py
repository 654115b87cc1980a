"""The heartbeat: a small file that the daemon rewrites while it is well, and that its supervisor looks at."""

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

EVERY_SECS = 5.0
"""How often a daemon that is well writes it."""

STARTING, RUNNING, STOPPING = "starting", "running", "stopping"


@dataclass(frozen=True)
class Heartbeat:
    """A sign of life. state : starting (warming up), running or stopping. moment_ms : of the last event, -1 = none."""

    pid: int
    at_ms: int
    state: str
    moment_ms: int

    def age_secs(self, now_ms: int) -> float:
        """Seconds since it was given; 0 where the clock was set back."""
        return max(0.0, (now_ms - self.at_ms) / 1000)


def write(path: Path, state: str, moment_ms: int = -1) -> None:
    """Write it, whole or not at all. Not synced: after a power cut there is no daemon to be told of."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    beat = Heartbeat(os.getpid(), time.time_ns() // 1_000_000, state, moment_ms)
    try:
        draft.write_text(json.dumps(asdict(beat)), encoding="utf-8")
        draft.replace(path)
    except OSError:
        # A full disk is the ledger's to report; a missing heartbeat says the same.
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def read(path: Path) -> Heartbeat | None:
    """The newest one; None where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Heartbeat(int(found["pid"]), int(found["at_ms"]), str(found["state"]), int(found["moment_ms"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Beat:
    """Writes it every `EVERY_SECS` however often it is asked to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: tuple[str, float] = ("", 0.0)

    def __call__(self, state: str, moment_ms: int = -1) -> None:
        known, at = self._last
        now = time.monotonic()
        if state != known or now - at >= EVERY_SECS:
            self._last = (state, now)
            write(self._path, state, moment_ms)
