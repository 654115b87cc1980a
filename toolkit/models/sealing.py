"""Folders that never change: a manifest names every file with its sha256, and is written last."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolkit.durable import durable
from toolkit.errors import InputError

MANIFEST = "manifest.json"


def is_sealed(folder: Path) -> bool:
    """Whether a folder is whole; its files are not looked at."""
    return (folder / MANIFEST).is_file()


def seal(folder: Path, schema: str) -> None:
    """Name every file of a folder in its manifest and put all of it on disk; `OSError` where that cannot be written."""
    for path in sorted(folder.rglob("*")):
        _sync(path)
    write_json(folder / MANIFEST, {"schema": schema, "files": file_sums(folder)})
    _sync(folder)


def check_seal(folder: Path, schema: str) -> dict[str, str]:
    """sha256 (hex) of every file, see `file_sums`, of a folder that is as it was sealed.

    Raises
    ------
    InputError : it is not; one sentence that names the file.
    """
    manifest = read_json(folder / MANIFEST)
    if manifest.get("schema") != schema:
        raise InputError(
            f"{folder} is a bundle of schema {manifest.get('schema')!r}, and this version of Lockstep reads "
            f"{schema!r}; train the model again"
        )
    listed = manifest.get("files")
    if not isinstance(listed, dict):
        raise InputError(f"{MANIFEST} of {folder} names no files; copy the bundle again, or train the model again")
    there = file_sums(folder)
    for name in sorted({*listed, *there}):
        if name not in there:
            raise InputError(
                f"bundle {folder} is not whole: {name} is missing; copy it again, or train the model again"
            )
        if name not in listed:
            raise InputError(f"bundle {folder} was changed: {name} is not of it; take it out, or train the model again")
        if there[name] != listed[name]:
            raise InputError(
                f"bundle {folder} was changed: the checksum of {name} is not the one that was written; copy it again, "
                f"or train the model again"
            )
    return there


def file_sums(folder: Path) -> dict[str, str]:
    """sha256 (hex) of every file but the manifest, by its path within the folder; `InputError` for one that cannot be
    read.
    """
    sums = {}
    for file in _files(folder):
        try:
            with file.open("rb") as stream:
                sums[file.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}") from None
    return sums


def write_json(path: Path, said: Mapping[str, Any]) -> None:
    """A JSON file, whole or not at all; floats come back to the bit."""
    with durable(path) as file:
        file.write((json.dumps(said, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; `InputError` where there is none."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or "it is not valid JSON"
        raise InputError(f"{path} cannot be read: {why}; copy the bundle again, or train the model again") from None
    if not isinstance(said, dict):
        raise InputError(f"{path} is no JSON object; copy the bundle again, or train the model again")
    return said


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if not file.is_dir() and file != folder / MANIFEST:
            yield file


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
