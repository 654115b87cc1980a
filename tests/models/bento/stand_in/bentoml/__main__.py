"""`python -m bentoml build ...` and `serve ...` in the way and the places in which BentoML 1.4 does it."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path


def build(context: Path, version: str) -> None:
    if "LOCKSTEP_STAND_IN_FAILS" in os.environ:
        sys.exit("Error: there is no such thing")
    said = json.loads((context / "bentofile.yaml").read_text())
    sys.path.insert(0, str(context))
    importlib.import_module(said["service"].partition(":")[0])
    folder = Path(os.environ["BENTOML_HOME"]) / "bentos" / said["name"] / version
    for name in said["include"]:
        shutil.copytree(context / name, folder / "src" / name)
    (folder / "bento.yaml").write_text(f"service: {said['service']}\ncreation_time: '{datetime.now()}'\n")
    print(f"__tag__:{said['name']}:{version}")


def serve(folder: Path, host: str, port: int) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    sys.path.insert(0, str(folder / "src"))
    module, _, name = (folder / "bento.yaml").read_text().split("\n")[0].removeprefix("service: ").partition(":")
    service = getattr(importlib.import_module(module), name)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service.inner()
        mounted = service.inner.app
        async with mounted.router.lifespan_context(mounted):
            yield

    probes = [Route(path, lambda request: PlainTextResponse("\n")) for path in ("/livez", "/readyz", "/schema.json")]
    app = Starlette(routes=probes, middleware=[Middleware(one) for one in service.middlewares], lifespan=lifespan)
    uvicorn.run(app, host=host, port=port, log_level="warning")


parser = argparse.ArgumentParser()
parser.add_argument("command")
parser.add_argument("folder", type=Path)
parser.add_argument("--version")
parser.add_argument("--output")
parser.add_argument("--host", default="0.0.0.0")
parser.add_argument("--port", type=int, default=3000)
asked = parser.parse_args()
if asked.command == "build":
    build(asked.folder, asked.version)
else:
    serve(asked.folder, asked.host, asked.port)
