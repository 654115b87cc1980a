"""The registry: `models/<name>/<version>/`, one bundle a model, written whole or not at all and never changed.

A bundle holds `model.json` (what it is and where it is from), `model/` (its backend's files) and `manifest.json` (the
sha256 of each file, written last). A version sorts by its training cut-off and ends in a hash of the contents. Reading
one imports what its backend needs, and nothing else that is heavy.
"""

import contextlib
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import InputError, RunError, UnknownNameError
from toolkit.models.model_file import (
    FILE,
    SCHEMA,
    ModelInfo,
    content_sum,
    cut_off_of,
    info_of,
    model_table,
    read_info,
    version_of,
)
from toolkit.models.sealing import check_seal, file_sums, is_sealed, read_json, seal, write_json
from toolkit.models.trained import Trained
from toolkit.settings import data_dir

__all__ = [
    "ModelInfo",
    "check_model",
    "check_name",
    "find_model",
    "list_models",
    "model_names",
    "models_dir",
    "read_info",
    "read_model",
    "save_model",
    "versions_of",
]

MODEL = "model"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"\d{8}T\d{6}-[0-9a-f]{12}")
# How much of a library's version must be equal where a backend's files are read: all of it for pickles, the major one
# for LightGBM's text, whose trees are compared as they are written.
_EXACT, _MAJOR = 3, 1
_BOUND = {
    "random_forest": {"scikit-learn": _EXACT},
    "gradient_boosting": {"scikit-learn": _EXACT},
    "lightgbm": {"lightgbm": _MAJOR},
}


def models_dir() -> Path:
    """`models/` under the data folder."""
    return data_dir() / "models"


def save_model(
    trained: Trained, name: str, root: Path | None = None, *, facts: Mapping[str, Any] | None = None
) -> Path:
    """Write a model's bundle; the same model saved twice is one bundle.

    Parameters
    ----------
    name : letters, digits, `.`, `_` and `-`, up to 100; its group's.
    root : folder of the registry, default `models_dir()`.
    facts : over `trained.facts`. `backend` and `window` (`from_ms`, `until_ms`) there must be; `settings`, `dataset`
        (fingerprint), `rows`, `scores`, `controls` and `reference` (of the training set, for drift) have a place of
        their own. NaN becomes null.

    Returns
    -------
    The bundle's folder, `root/name/version`.

    Raises
    ------
    InputError : the name or the facts break the above. RunError : it cannot be written, or the same model is there
        already and damaged.
    """
    place = (root or models_dir()) / checked_name(name)
    table = model_table(trained, name, facts or {})
    half = None
    try:
        place.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=".", suffix=".partial", dir=place))
        half.chmod(0o755)
        (half / MODEL).mkdir()
        trained.model.save(half / MODEL)
        checksum = content_sum(table, file_sums(half))
        folder = place / version_of(table, checksum)
        if not is_sealed(folder):
            said = {**table, "version": folder.name, "checksum": checksum, "saved_ms": time.time_ns() // 1_000_000}
            write_json(half / FILE, said)
            seal(half, SCHEMA)
            _install(half, folder)
    except OSError as error:
        raise RunError(
            f"model {name} cannot be written to {place}: {error.strerror or error}; make room, or name another folder"
        ) from error
    finally:
        if half is not None:
            shutil.rmtree(half, ignore_errors=True)
    try:
        check_model(folder)
    except InputError as error:
        raise RunError(
            f"version {folder.name} of model {name} is kept, but damaged; delete {folder}: {error}"
        ) from None
    return folder


def read_model(folder: Path, *, features: Sequence[str] | None = None) -> Trained:
    """A model, every file of its bundle checked; it predicts as the saved one did, to the bit.

    Parameters
    ----------
    features : what it will be given, in order; None = whatever it names.

    Raises
    ------
    InputError : the bundle is not as it was written, is of another schema, was made for other features or with
        another version of a library that its files need; one sentence that names it.
    """
    info = check_model(folder)
    table = read_json(folder / FILE)
    if features is not None and tuple(features) != info.features:
        raise InputError(f"model {info.id} was made for other features: {_difference(features, info.features)}")
    check_libraries(info)
    # Only the backend in question is imported by these.
    from toolkit.models.backends.choices import backend
    from toolkit.models.cleaning import cleaning_from

    return Trained(
        info.features,
        np.array(info.chosen, np.int64),
        cleaning_from(table["cleaning"]),
        backend(info.backend).load(folder / MODEL),
        info.application,
        {**info.facts, "checksum": info.checksum},
    )


def check_model(folder: Path) -> ModelInfo:
    """What a bundle says, once every file of it was found to be as it was written; `InputError` where one is not."""
    if not is_sealed(folder):
        raise InputError(
            f"{folder} is no model bundle: it has no manifest.json; name a model of `toolkit model ls`, or train one"
        )
    sums = check_seal(folder, SCHEMA)
    table = read_json(folder / FILE)
    info = info_of(table, folder)
    checksum = content_sum(table, sums)
    if checksum != info.checksum or version_of(table, checksum) != info.version:
        raise InputError(
            f"bundle {folder} was changed: its contents are not those of version {info.version}; copy it again, or "
            f"train the model again"
        )
    if _VERSION.fullmatch(folder.name) and folder.name != info.version:
        raise InputError(
            f"bundle {folder} is version {info.version} under the name of another; give its folder that name"
        )
    return info


def check_name(info: ModelInfo, name: str) -> None:
    """`InputError` where a bundle that the registry has under a name is another model's."""
    if info.name != name:
        raise InputError(
            f"bundle {info.folder} is of model {info.name}, and not of {name}; move it below {info.name}/, or take it "
            f"out"
        )


def find_model(model: str | Path, root: Path | None = None) -> Path:
    """The bundle of `name` (its newest version), of `name@version`, or of a folder.

    The newest version is that of the latest training cut-off; of equal ones, what was saved last.

    Raises
    ------
    UnknownNameError : there is no such model or version. InputError : the folder is no bundle.
    """
    if isinstance(model, Path) or "/" in model:
        folder = Path(model)
        if not is_sealed(folder):
            raise InputError(
                f"{folder} is no model bundle: it has no manifest.json; name a model, or a bundle's folder"
            )
        return folder
    name, _, wanted = model.partition("@")
    found = versions_of(name, root)
    if not found:
        raise UnknownNameError("model", name, model_names(root), "`toolkit model train` makes models")
    if not wanted:
        return found[-1]
    for folder in found:
        if folder.name == wanted:
            return folder
    raise UnknownNameError(f"version of model {name}", wanted, [folder.name for folder in found])


def list_models(root: Path | None = None, name: str | None = None) -> list[ModelInfo]:
    """What is kept, or what is kept of one name: by name, oldest version first. Checksums are not looked at, and a
    bundle that does not say what it is is left out.
    """
    infos = []
    for one in model_names(root) if name is None else [name]:
        for folder in versions_of(one, root):
            with contextlib.suppress(InputError):
                infos.append(read_info(folder))
    return infos


def model_names(root: Path | None = None) -> list[str]:
    """Names that have a version, in their order."""
    place = root or models_dir()
    if not place.is_dir():
        return []
    folders = [folder for folder in place.iterdir() if _NAME.fullmatch(folder.name) and folder.is_dir()]
    return sorted(folder.name for folder in folders if any(is_sealed(one) for one in folder.iterdir()))


def versions_of(name: str, root: Path | None = None) -> list[Path]:
    """Bundles of a name, oldest first; see `find_model`."""
    place = (root or models_dir()) / name
    if not _NAME.fullmatch(name) or not place.is_dir():
        return []
    found = [folder for folder in place.iterdir() if not folder.name.startswith(".") and is_sealed(folder)]
    ties = Counter(cut_off_of(folder.name) for folder in found)
    return sorted(
        found, key=lambda f: (cut_off_of(f.name), _saved_ms(f) if ties[cut_off_of(f.name)] > 1 else 0, f.name)
    )


def checked_name(name: str) -> str:
    """A name that a model can be kept under; `InputError` for any other."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"a model's name must be 1 to 100 letters, digits, '.', '_' or '-' and begin with a letter or digit, "
            f"was {name!r}"
        )
    return name


def check_libraries(info: ModelInfo) -> None:
    """`InputError` where a library that the bundle's files need is of another version here, or is not installed; or
    those that compute its features are all there (who only predicts need not have them), one in another version.
    """
    bound = dict(_BOUND.get(info.backend, {}))
    for package in bound:
        if _installed(package) is None:
            raise InputError(
                f"model {info.id} needs {package} {info.libraries.get(package)}, which is not installed; install the "
                f"extra lockstep[models]"
            )
    computing = info.facts.get("feature_packages", ())
    if all(_installed(package) for package in computing):
        bound |= dict.fromkeys(computing, _EXACT)
    for package, digits in bound.items():
        made, here = info.libraries.get(package), str(_installed(package))
        if made is None or made.split(".")[:digits] != here.split(".")[:digits]:
            raise InputError(
                f"model {info.id} was made with {package} {made}, and {here} is installed; its predictions could be "
                f"others: train it again, or install that version"
            )


def _installed(package: str) -> str | None:
    """Its version; None where it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _install(half: Path, folder: Path) -> None:
    """Give a bundle its place in one rename; who was faster with the same contents has written the same."""
    try:
        half.rename(folder)
    except OSError:
        if not is_sealed(folder):
            raise


def _saved_ms(folder: Path) -> int:
    try:
        return read_info(folder).saved_ms
    except InputError:
        return 0


def _difference(given: Sequence[str], needed: Sequence[str]) -> str:
    missing = [name for name in needed if name not in given]
    extra = [name for name in given if name not in needed]
    if missing:
        return f"it needs {missing[0]!r}, which is not among the {len(given)} given"
    if extra:
        return f"it does not know {extra[0]!r}"
    return f"the same names in another order; give them as {', '.join(needed[:3])}, ..."
