"""The service of a bento: the application of `toolkit model run` over the one model that lies beside it.

BentoML imports this in the process that supervises and in the one that answers; only the second makes a `Lockstep`.
`LOCKSTEP_TOKEN_FILE` names the file of the token that whoever asks must have; without it only this machine may ask.
`LOCKSTEP_DEADLINE_SECS` is how long an answer may take.
"""

import math
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

# From here on this process makes no connections.
import toolkit.models.workers.scripts.common.sitecustomize  # noqa: F401
from toolkit.errors import InputError
from toolkit.models.serve.app import DEADLINE_SECS, Server, make_app
from toolkit.models.serve.shelf import Shelf
from toolkit.models.serve.token import read_token

# BentoML asks for it when a server starts, which is after this.
os.environ["BENTOML_DO_NOT_TRACK"] = "True"

MODELS = Path(__file__).parents[3] / "models"
PROBES = ("/livez", "/readyz", "/healthz")


def server() -> Server:
    """What the environment's variables ask for; its model is not loaded yet."""
    named, deadline = os.environ.get("LOCKSTEP_TOKEN_FILE"), os.environ.get("LOCKSTEP_DEADLINE_SECS")
    try:
        secs = DEADLINE_SECS if deadline is None else float(deadline)
    except ValueError:
        secs = math.nan
    if not math.isfinite(secs) or secs <= 0:
        raise InputError(f"LOCKSTEP_DEADLINE_SECS must be above 0 seconds, was {deadline!r}; leave it out for 1")
    return Server(Shelf(MODELS), read_token(Path(named)) if named else None, jobs=None, deadline_secs=secs)


try:
    SERVER = server()
except InputError as error:
    sys.exit(f"error: {error}")
APP = make_app(SERVER)


def end_with_supervisor(pid: int) -> None:
    """One that was killed leaves nobody who could end this process and free its address."""
    while os.getppid() == pid:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


class Door:
    """Leads past BentoML's own pages: whatever is no probe of its own is answered, or refused, by the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._probes = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        inside = scope["type"] == "http" and scope["path"] not in PROBES
        await (APP if inside else self._probes)(scope, receive, send)


@bentoml.service(name="lockstep", workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
# Mounted so that BentoML starts and ends it; what it is asked comes through the door.
@bentoml.asgi_app(APP)
class Lockstep:
    """Says of entry signals whether to take them."""

    def __init__(self) -> None:
        threading.Thread(target=end_with_supervisor, args=(os.getppid(),), daemon=True).start()
        SERVER.shelf.refresh()
        for problem in SERVER.shelf.problems.values():
            print(f"not served: {problem}", file=sys.stderr, flush=True)


# BentoML has made a service of the class.
service: Any = Lockstep
service.add_asgi_middleware(Door)
