"""A worker module that does what its setting `act` says; `host.py` runs it, and it imports nothing of Lockstep."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

CODE = """
import numpy as np

slopes = [np.corrcoef(column, y)[0, 1] * SEEDED for column in x.T]


def predict(x):
    return 1 / (1 + np.exp(-sum(x[:, k] * slope for k, slope in enumerate(slopes))))
"""


def fit(config: dict[str, Any], x: Any, y: Any, weight: Any, folder: Path) -> dict[str, Any]:
    act, mark = config["settings"]["act"], config["settings"]["mark"]
    before_fit(act, Path(mark))
    slopes = np.array([np.corrcoef(column, y)[0, 1] for column in x.T]) * (1 + config["seed"])
    (folder / "parts").mkdir()
    (folder / "parts" / "slopes.json").write_text(json.dumps(slopes.tolist()))
    (folder / "act.json").write_text(json.dumps({"act": act, "mark": mark, "pid": os.getpid()}))
    row = {"model": "slopes", "metric": "auc", "score": 0.5, "fit_secs": 0.1, "params": {"nothing": float("nan")}}
    board = "rubbish" if act == "bad board" else [row]
    chosen = {"model": "slopes", "params": {}, "trials": config["trials"], "seed": config["seed"]}
    code = CODE.replace("SEEDED", str(1 + config["seed"])) if act != "no code" else 7
    return {"leaderboard": board, "chosen": chosen, "code": code}


def before_fit(act: str, mark: Path) -> None:
    host: Any = sys.modules["__main__"]
    if act == "dies":
        os._exit(3)
    if act == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "hangs":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        mark.write_text(str(child.pid))
        time.sleep(600)
    if act == "raises":
        raise ValueError("these rows are not for me")
    if act == "prints":
        print("a word on stdout\n" * 20_000, flush=True)
        print("a word on stderr", file=sys.stderr, flush=True)
    if act == "lies about its contract":
        write = host.write_json
        host.write_json = lambda path, value: write(path, {**value, "contract": 99} if "seed" in value else value)
    if act == "lies about its model":
        host.CONTRACT = 99
    if act == "half a result":
        # It runs in the folder `work` of its scratch folder.
        Path("../result.json").write_text('{"contract": 1, "status": "o')
        os._exit(0)
    if act == "no result":
        os._exit(0)
    if act == "half predictions":
        host.write_predictions = lambda path, predictions: path.write_bytes(b"PAR1 and no more")
    if act == "other rows":
        whole = host.write_predictions
        host.write_predictions = lambda path, predictions: whole(path, np.append(predictions, 0.5))
    if act == "changes a file":
        whole = host.write_manifest

        def changed(folder: Path, config: Any) -> None:
            whole(folder, config)
            (folder / "act.json").write_text((folder / "act.json").read_text() + " ")

        host.write_manifest = changed
    if act == "adds a file":
        alone = host.write_predictions

        def added(path: Path, predictions: Any) -> None:
            alone(path, predictions)
            (path.parent / "model" / "more.bin").write_bytes(b"")

        host.write_predictions = added
    if act == "links out":
        Path("../model/link").symlink_to("/etc/hostname")
    if act == "connects":
        with socket.socket() as outside:
            outside.connect(("192.0.2.1", 80))
    if act == "has a child that connects":
        code = "import socket; socket.socket().connect(('192.0.2.1', 80))"
        subprocess.run([sys.executable, "-c", code], check=True)
    if act == "looks a name up":
        socket.getaddrinfo("example.org", 80)
    if act == "sends a datagram":
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("192.0.2.1", 53))
    if act == "writes at home":
        Path("~/home.txt").expanduser().write_text(os.environ["HOME"])
        mark.write_text(json.dumps([os.environ["HOME"], str(Path.cwd()), dict(os.environ)]))


def load(folder: Path) -> Any:
    said = json.loads((folder / "act.json").read_text())
    slopes = np.array(json.loads((folder / "parts" / "slopes.json").read_text()))
    act, mark, serving = said["act"], Path(said["mark"]), os.getpid() != said["pid"]

    def predict(x: Any) -> Any:
        p = 1 / (1 + np.exp(-sum(x[:, k] * slope for k, slope in enumerate(slopes))))
        if act == "not a number":
            p[len(p) // 2] = np.nan
        if act == "outside":
            p[0] = 1.5
        if act == "too few":
            p = p[:-1]
        if act == "mixes rows":
            p = p + 1e-12 * (len(x) > 1)
        if serving:
            p = while_serving(p, act, mark)
        return p

    return predict


def while_serving(p: Any, act: str, mark: Path) -> Any:
    host: Any = sys.modules["__main__"]
    if act == "predicts otherwise":
        return p * 0.999
    if act == "prints while serving":
        print("a word on stdout", flush=True)
    if not mark.exists():
        return p
    word = mark.read_text()
    if word == "die once":
        mark.unlink()
        os._exit(7)
    if word == "die":
        print("I fall", file=sys.stderr, flush=True)
        os._exit(7)
    if word == "raise":
        raise ValueError("not this row")
    if word == "too few":
        return p[:-1]
    if word == "outside":
        return p + 2.0
    if word in ("rubbish", "not an answer", "another question"):
        line = {
            "rubbish": b"\x00\xff" * 9 + b"\n",
            "not an answer": b"[]\n",
            "another question": b'{"id": 77, "bytes": 0}\n',
        }
        host.answer = lambda replies, said, content: (replies.write(line[word]), replies.flush())
    while mark.exists() and mark.read_text() == "wait":
        time.sleep(0.01)
    return p
