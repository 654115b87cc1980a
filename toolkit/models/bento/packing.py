"""Making a bento: sources and bundle side by side, `bentoml build` over them, and the proof that it says the same."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from toolkit.errors import InputError, RunError
from toolkit.models.bento.sources import ROOT, sources_of
from toolkit.models.model_file import ModelInfo, read_info
from toolkit.models.store import find_model, models_dir, read_model
from toolkit.models.workers.environments import Environment, environments_root, ready_environment
from toolkit.models.workers.library import COMMON, Tool
from toolkit.models.workers.processes import last_words
from toolkit.models.workers.tools import BENTOML
from toolkit.settings import data_dir
from toolkit.types import FloatArray

BUILD_SECS = 300.0
PROOF_ROWS = 64
SERVICE = "toolkit.models.bento.service:Lockstep"
FILE = "bento.yaml"
_LONGEST_TAG = 63
_MADE = re.compile(r"^creation_time: .*$", re.MULTILINE)


@dataclass(frozen=True)
class Bento:
    """A bento that was made.

    Attributes
    ----------
    folder : BentoML serves it. tag : what BentoML calls it. variables : of the process that serves it, without the
    token's. command : that serves it, its address left out.
    """

    info: ModelInfo
    folder: Path
    tag: str
    variables: Mapping[str, str]
    command: tuple[str, ...]


def bentos_dir() -> Path:
    """`bentos/` under the data folder."""
    return data_dir() / "bentos"


def pack(model: str, out: Path | None = None, root: Path | None = None) -> Bento:
    """Make the bento of a model of the registry; nothing is downloaded, and the same model makes the same files.

    Parameters
    ----------
    model : `name` (its newest version) or `name@version`. out : folder that is made, default
    `data/bentos/NAME/VERSION`. root : of the registry.

    Raises
    ------
    UnknownNameError, InputError : no such model, one that cannot be used here, or `out` is there already.
    WorkerError : an environment is not installed; says how to make it. RunError : it could not be made.
    """
    if "/" in model:
        raise InputError(f"a model is packed by its name, was {model!r}; name one of `toolkit model ls`")
    bundle = find_model(model, root or models_dir())
    info, trained = read_info(bundle), read_model(bundle)
    place = ready_environment(BENTOML)
    folder = (out or bentos_dir() / info.name / info.version).absolute()
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} is there already; delete it, or name another folder with --out")
    rows = proof_rows(len(info.features))
    try:
        # BentoML takes nothing from folders whose name begins with a dot, so that it works elsewhere.
        with tempfile.TemporaryDirectory(prefix="lockstep-bento-") as scratch:
            built = _build(place, info, bundle, Path(scratch))
            _prove(place, built, rows, trained.predict(rows), Path(scratch))
            _install(built, folder)
    except OSError as error:
        raise RunError(
            f"the bento of {info.id} cannot be written to {folder}: {error.strerror or error}; make room, or name "
            f"another folder"
        ) from error
    variables = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str((data_dir() / "bentoml").absolute())}
    if (bundle / "model" / "worker.json").exists():
        variables["LOCKSTEP_ENVS"] = str(environments_root().absolute())
    command = (str(place.python.absolute()), "-m", "bentoml", "serve", str(folder))
    return Bento(info, folder, tag_of(info), variables, command)


def tag_of(info: ModelInfo) -> str:
    """What BentoML calls a model: its name and version in lower case, no longer than it takes."""
    name = info.name.lower()[:_LONGEST_TAG].rstrip("._-")
    return f"{name}:{info.version.lower()}"


def proof_rows(columns: int) -> FloatArray:
    """float64[n, columns] of raw features, some of them missing."""
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(PROOF_ROWS, columns)) * 10.0 ** draw.integers(-3, 3, columns)
    rows[draw.random(rows.shape) < 0.05] = np.nan
    return rows


def _build(place: Environment, info: ModelInfo, bundle: Path, scratch: Path) -> Path:
    """What `bentoml build` makes of the sources and the bundle, as a folder inside `scratch`."""
    project, home = scratch / "project", scratch / "bentoml"
    for file in sources_of(info.backend):
        place_of = project / file.relative_to(ROOT)
        place_of.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place_of)
    shutil.copytree(bundle, project / "models" / info.name / info.version)
    # JSON is YAML.
    (project / "bentofile.yaml").write_text(json.dumps(_bentofile(place.library, info), indent=1))
    version = tag_of(info).partition(":")[2]
    _run(place, ["-m", "bentoml", "build", "--version", version, "--output", "tag", str(project)], scratch, project)
    name, _, _ = tag_of(info).partition(":")
    built = home / "bentos" / name / version
    if not (built / FILE).is_file():
        raise RunError(f"bentoml build ended without a word and without {built}; report this")
    # When the model was saved: what a bento holds does not hang on when it was packed.
    moment = datetime.fromtimestamp(info.saved_ms / 1000, UTC).isoformat()
    text, count = _MADE.subn(f"creation_time: '{moment}'", (built / FILE).read_text())
    if count != 1:
        raise RunError(f"bentoml build left a {FILE} without a moment of its making; report this")
    (built / FILE).write_text(text)
    return built


def _bentofile(tool: Tool, info: ModelInfo) -> dict[str, object]:
    pins = [line.rstrip("\\ ") for line in tool.lock.read_text().splitlines() if re.match(r"[A-Za-z0-9]", line)]
    return {
        "service": SERVICE,
        "name": tag_of(info).partition(":")[0],
        "description": f"# {info.id}\n\nA model of Lockstep (checksum {info.checksum}); `POST /predict` asks it.\n",
        "labels": {"model": info.name, "version": info.version, "checksum": info.checksum[:12]},
        "include": ["toolkit/", "models/"],
        # Complete as it is, and nothing is looked up while it is packed.
        "python": {"packages": [pin for pin in pins if not pin.startswith("bentoml==")], "lock_packages": False},
        "docker": {"python_version": tool.pythons[0], "system_packages": ["libgomp1"]},
    }


def _prove(place: Environment, built: Path, rows: FloatArray, here: FloatArray, scratch: Path) -> None:
    """`RunError` where the model in the bento, in BentoML's environment, says anything else than it does here."""
    asked, answers = scratch / "rows.npy", scratch / "answers.npy"
    np.save(asked, rows)
    _run(place, ["-m", "toolkit.models.bento.proof", str(asked), str(answers)], scratch, built / "src")
    there = np.load(answers)
    if there.tobytes() != here.tobytes():
        differ = int(np.sum(~((there == here) | (np.isnan(there) & np.isnan(here))))) if len(there) == len(here) else -1
        raise RunError(
            f"the model in the bento says something else than it does here ({differ} of {len(rows)} rows differ); it "
            f"is not kept. Make its environment anew with: toolkit model backends install {place.library.name}"
        )


def _install(built: Path, folder: Path) -> None:
    """Give it its place, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        shutil.copytree(built, half, dirs_exist_ok=True)
        half.chmod(0o755)
        half.rename(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _run(place: Environment, arguments: list[str], scratch: Path, folder: Path) -> None:
    """A Python command of the environment in `folder`; what it makes besides is in `scratch`."""
    for name in ("tmp", "bin"):
        (scratch / name).mkdir(exist_ok=True)
    # BentoML looks for uv, and installs it where there is none, even to lock nothing.
    (scratch / "bin" / "uv").write_text("#!/bin/sh\nexit 1\n")
    (scratch / "bin" / "uv").chmod(0o755)
    variables = {
        "PATH": os.pathsep.join([str(scratch / "bin"), str(place.python.parent), os.defpath]),
        "HOME": str(scratch / "tmp"),
        "TMPDIR": str(scratch / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(COMMON),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
        "BENTOML_HOME": str(scratch / "bentoml"),
        "LOCKSTEP_ENVS": str(environments_root().absolute()),
        **place.library.variables,
    }
    try:
        done = subprocess.run(
            [str(place.python.absolute()), "-s", *arguments],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"the bento could not be made: {error}") from None
    if done.returncode != 0:
        output = done.stdout + done.stderr
        # BentoML's errors end in advice.
        telling = [line for line in output.splitlines() if re.search("error|failed", line, re.IGNORECASE)]
        raise RunError(f"the bento could not be made{last_words(chr(10).join(telling) or output)}")
