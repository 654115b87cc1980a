"""Bundles: a deployment with all that it needs to be run, in one folder that never changes.

`deployments/<id>/` holds `deployment.json`, `sources/` (the files of its strategies, under their module paths),
`backtest.json`, `seed/` (bars to warm up with) and `manifest.json`, which names every file with its sha256 and is
written last: a folder without it is no bundle.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.durable import durable
from toolkit.errors import InputError, RunError
from toolkit.portfolio.deployment import FILE, deployments_dir, find_deployment
from toolkit.portfolio.deployment_file import checked_table

SCHEMA = "lockstep.bundle/1"
MANIFEST = "manifest.json"
BACKTEST = "backtest.json"
SOURCES = "sources"
SEED = "seed"
# Python leaves compiled modules beside sources that somebody imports by hand; they are never read from here.
_LEFT_BY_PYTHON = "__pycache__"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are what its manifest says.

    Attributes
    ----------
    table : what `deployment.json` says. backtest : what `backtest.json` says: `run`, `period`, `figures`, `band`.
    """

    folder: Path
    table: Mapping[str, Any]
    backtest: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.table["id"])

    @property
    def seeds(self) -> list[Path]:
        """Its files of bars; see `bundle_seed.read_seed`."""
        return sorted((self.folder / SEED).glob("*.npz"))


def is_bundle(folder: Path) -> bool:
    """Whether a folder is a whole bundle; its files are not looked at."""
    return (folder / MANIFEST).is_file()


def find_bundle(name: str | Path, root: Path | None = None) -> Path:
    """The bundle of a deployment that is named by folder, file, id, or as "latest" (the newest kept).

    Raises
    ------
    UnknownNameError : there is no such deployment. InputError : it was not deployed: nothing but its file is kept.
    """
    file = find_deployment(name, root)
    if is_bundle(file.parent):
        return file.parent
    table = checked_table(file)
    folder = (root or deployments_dir()) / str(table["id"])
    if not is_bundle(folder):
        raise InputError(
            f"deployment {table['id']} was not deployed: {folder} has no {MANIFEST}; test and deploy it first: "
            f"toolkit deploy {name}"
        )
    return folder


def read_bundle(folder: Path) -> Bundle:
    """A bundle, every file of it checked.

    Raises
    ------
    InputError : one sentence that names the file: it is missing, changed or not of the bundle, or the deployment is not
        as it was written.
    """
    manifest = _json(folder / MANIFEST, folder)
    if manifest.get("schema") != SCHEMA:
        raise InputError(
            f"bundle {folder} has schema {manifest.get('schema')!r}, and this version of Lockstep reads {SCHEMA!r}; "
            f"deploy it anew"
        )
    listed, there = manifest.get("files", {}), {name: folder / name for name in _names(folder)}
    for name in sorted({*listed, *there, FILE, BACKTEST}):
        if name not in there:
            raise InputError(f"bundle {folder} is not whole: {name} is missing; copy it again, or deploy it anew")
        if name not in listed:
            raise InputError(f"bundle {folder} was changed: {name} is not of it; take it out, or deploy it anew")
        if sha256(there[name]) != listed[name]:
            raise InputError(
                f"bundle {folder} was changed: {name} is not the file that was deployed; copy it again, or "
                f"deploy it anew"
            )
    return Bundle(folder, checked_table(folder / FILE), _json(folder / BACKTEST, folder))


def write_manifest(folder: Path, deployment: str) -> None:
    """Name every file of the folder with its sha256; `RunError` where that cannot be written."""
    said = {
        "schema": SCHEMA,
        "deployment": deployment,
        "files": {name: sha256(folder / name) for name in sorted(_names(folder))},
    }
    write_json(folder / MANIFEST, said)


def write_json(path: Path, said: Mapping[str, Any]) -> None:
    """A JSON file, whole or not at all; `RunError` where it cannot be written."""
    try:
        with durable(path) as file:
            file.write((json.dumps(said, indent=2, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}; make room") from error


def sha256(path: Path) -> str:
    """Hex digest of a file; `InputError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _names(folder: Path) -> Iterable[str]:
    """Every file but the manifest, by its path within the folder."""
    for file in folder.rglob("*"):
        name = file.relative_to(folder)
        if not file.is_dir() and _LEFT_BY_PYTHON not in name.parts and str(name) != MANIFEST:
            yield name.as_posix()


def _json(path: Path, folder: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or "it is not valid JSON"
        raise InputError(
            f"{path.name} of bundle {folder} cannot be read: {why}; deploy it with `toolkit deploy`"
        ) from None
    if not isinstance(said, dict):
        raise InputError(f"{path.name} of bundle {folder} is no JSON object; deploy it anew")
    return said
