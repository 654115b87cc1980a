"""`toolkit model run`: predictions over HTTP."""

import json
import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from toolkit.errors import InputError


def run(
    model: Annotated[str, typer.Argument(help="A model's name, name@version, or all.")] = "all",
    host: Annotated[str, typer.Option(help="Address to listen on; loopback unless named.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8788,
    token_file: Annotated[
        Path | None, typer.Option(help="File of the token, made where there is none [default: models.token in data].")
    ] = None,
    deadline: Annotated[float, typer.Option(help="Seconds that an answer may take.")] = 1.0,
    root: Annotated[
        Path | None, typer.Option(help="Folder of the models [default: models in the data folder].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say where it listens, as one line of JSON.")] = False,
) -> None:
    """Serve models over HTTP until told to end; a newer version is taken up without a restart.

    POST /predict answers rows of features, GET /models and /health say what is served, POST /automl?num_strategies=5
    starts an experiment, GET /jobs/ID says how it stands. All but /health need the token, in the header
    `Authorization: Bearer TOKEN`.

    Example: toolkit model run all --port 8788
    """
    if not math.isfinite(deadline) or deadline <= 0:
        raise InputError(f"`--deadline` must be above 0 seconds, was {deadline:g}")
    from toolkit.models.serve.app import Server, make_app
    from toolkit.models.serve.running import is_loopback, serve
    from toolkit.models.serve.shelf import Shelf
    from toolkit.models.serve.token import default_token_file, make_token
    from toolkit.models.store import find_model, models_dir

    place = root or models_dir()
    if model != "all":
        if "/" in model:
            raise InputError(f"a model is served by its name, was {model!r}; name one of `toolkit model ls`")
        find_model(model, place)
    path = token_file or default_token_file()
    token = make_token(path)
    shelf = Shelf(place, None if model == "all" else model)
    shelf.refresh()
    for problem in shelf.problems.values():
        print(f"not served: {problem}", file=sys.stderr)
    if not is_loopback(host):
        print(f"listening on {host} in plain HTTP; put a proxy with TLS before it", file=sys.stderr)

    def started(url: str) -> None:
        if as_json:
            said = {"url": url, "models": len(shelf), "problems": len(shelf.problems), "token_file": str(path)}
            print(json.dumps(said), flush=True)
        else:
            print(f"{len(shelf)} models at {url}, token in {path}; end with Ctrl-C", flush=True)

    serve(make_app(Server(shelf, token, deadline_secs=deadline)), host, port, started=started)
