"""`executor run --live` by a market's clock instead of the machine's: `python -m tests.soak.daemon SCENE CONFIG`."""

import os
import sys
from functools import partial
from pathlib import Path

from executor.config import load_config
from executor.daemon import run_daemon
from executor.going_live import go_live
from executor.parts import Parts, open_feed
from tests.soak.pace import SharedClock
from tests.soak.scene import read_scene

if __name__ == "__main__":
    scene = read_scene(Path(sys.argv[1]))
    clock = SharedClock(scene.folder / "clock")
    (scene.folder / "daemon.pid").write_text(str(os.getpid()))
    run_daemon(
        load_config(Path(sys.argv[2]), mode="live"),
        Parts(partial(open_feed, clock=clock), make_live=partial(go_live, clock=clock, sleep=clock.sleep), clock=clock),
    )
