"""`ModelFiles`: what a worker left of a model, in memory, so that it goes between processes and into a bundle."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.library import CONTRACT

MANIFEST = "manifest.json"


@dataclass(frozen=True, eq=False)
class ModelFiles:
    """Contents by name relative to the model's folder, the manifest among them."""

    contents: dict[str, bytes]

    @cached_property
    def digest(self) -> str:
        """sha256 (hex) over names and contents."""
        whole = hashlib.sha256()
        for name, content in sorted(self.contents.items()):
            whole.update(f"{name}\0{len(content)}\0".encode() + content)
        return whole.hexdigest()

    @property
    def checksums(self) -> dict[str, str]:
        """sha256 (hex) of each file."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.contents.items())}

    def write(self, folder: Path) -> None:
        """Write them below a folder that is there."""
        for name, content in self.contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def read_model_files(folder: Path, what: str) -> ModelFiles:
    """The files of a model's folder, each as its manifest says, no more and no less."""
    manifest = _manifest(folder, what)
    if manifest.get("contract") != CONTRACT:
        raise WorkerError(f"{what} is of contract {manifest.get('contract')!r} and this is {CONTRACT}")
    names = manifest["files"]
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }  # fmt: skip
    if there != {*names, MANIFEST}:
        odd = sorted(there ^ {*names, MANIFEST})
        raise WorkerError(f"{what} has other files than its manifest says: {', '.join(odd[:5])}")
    contents = {}
    for name in sorted(there):
        path = folder / name
        if path.is_symlink() or ".." in PurePosixPath(name).parts:
            raise WorkerError(f"{what} has a file {name!r} that leads out of its folder")
        contents[name] = path.read_bytes()
        if name != MANIFEST and hashlib.sha256(contents[name]).hexdigest() != names[name]:
            raise WorkerError(f"{what} has a file {name!r} that is not the one of its manifest's checksum")
    return ModelFiles(contents)


def _manifest(folder: Path, what: str) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        if not isinstance(manifest["files"], dict) or not manifest["files"]:
            raise ValueError("it names no files")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkerError(f"{what} has no readable manifest ({error})") from None
    return dict(manifest)
