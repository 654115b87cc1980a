"""Daemons for a supervisor to keep: small scripts that live, crash, freeze or refuse."""

import sys
from pathlib import Path

HEAD = """
import json, os, signal, sys, time
from pathlib import Path
folder = Path({folder!r})
starts = folder / "starts"
number = len(starts.read_text().split()) if starts.exists() else 0
with starts.open("a") as file:
    file.write(f"{{os.getpid()}} ")
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))

def beat(state="running", moment_ms=-1):
    draft = folder / f"draft-{{os.getpid()}}"
    draft.write_text(json.dumps(
        dict(pid=os.getpid(), at_ms=time.time_ns() // 1_000_000, state=state, moment_ms=moment_ms)))
    draft.replace(folder / "beat")

def live(finishing=0.0):
    n = 0
    while not stopped:
        beat("running", n)
        n += 1
        time.sleep(0.02)
    time.sleep(finishing)
    (folder / "finished").write_text("yes")
    sys.exit(0)
"""


def child(folder: Path, body: str) -> list[str]:
    """The command of a child that does this; `number` is how many there were before it."""
    file = folder / "child.py"
    file.write_text(HEAD.format(folder=str(folder)) + body)
    return [sys.executable, str(file)]


def starts(folder: Path) -> list[int]:
    """Pids of those that were started."""
    file = folder / "starts"
    return [int(word) for word in file.read_text().split()] if file.exists() else []
