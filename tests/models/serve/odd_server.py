"""`python -m tests.models.serve.odd_server FOLDER`: the real application over models that hang or fail, and a job that
waits; the first feature says what the model does.
"""

import json
import sys
import threading
from pathlib import Path

import numpy as np

from toolkit.models.applying import Application
from toolkit.models.model_file import ModelInfo
from toolkit.models.serve.app import Server, make_app
from toolkit.models.serve.desk import Desk
from toolkit.models.serve.jobs import Jobs
from toolkit.models.serve.running import serve
from toolkit.models.serve.shelf import Served, Shelf
from toolkit.models.serve.token import make_token
from toolkit.models.trained import Trained
from toolkit.types import FloatArray

VERSION = "20220101T000000-000000000000"
HANG, FAIL, RUBBISH, NONE = 10.0, 11.0, 12.0, 13.0


class Odd:
    def clean(self, x: FloatArray) -> FloatArray:
        return x

    def predict(self, x: FloatArray) -> FloatArray:
        if HANG in x:
            threading.Event().wait()
        if FAIL in x:
            raise RuntimeError("no such leaf")
        return np.where(x[:, 0] == NONE, np.nan, np.where(x[:, 0] == RUBBISH, 7.0, x[:, 0]))


class OddShelf(Shelf):
    """Serves "one" and "two" without a registry."""

    def refresh(self) -> None:
        for name in () if self._newest else ("one", "two"):
            application, model = Application(), Odd()
            trained = Trained(("side",), np.zeros(1, np.int64), model, model, application)  # type: ignore[arg-type]
            facts = {"backend": "odd", "scores": None}
            info = ModelInfo(name, VERSION, Path(), 0, "", ("side",), (0,), application, 0, 0, {}, {}, facts)
            self._newest[name] = Served(info, trained, Desk(info.id, trained))


def main(folder: Path) -> None:
    token_file = folder / "models.token"
    shelf = OddShelf(folder)
    shelf.refresh()
    jobs = Jobs([sys.executable, "-c", "import signal, sys; print('waiting', file=sys.stderr); signal.pause()"])
    app = make_app(Server(shelf, make_token(token_file), jobs, deadline_secs=0.3))

    def said(url: str) -> None:
        print(json.dumps({"url": url, "token_file": str(token_file)}), flush=True)

    serve(app, "127.0.0.1", 0, started=said)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
