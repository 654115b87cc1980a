"""`model.json`: what a model is, apart from the files of its backend."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from toolkit.errors import InputError
from toolkit.models.applying import Application
from toolkit.models.sealing import read_json
from toolkit.models.trained import Trained

SCHEMA = "lockstep.model/1"
FILE = "model.json"
# What every model says of where it is from; what else it says is kept beside these.
NAMED = ("backend", "settings", "window", "dataset", "rows", "scores", "controls", "reference")
# Not of the contents: two who train the same model save the same one.
_NOT_CONTENT = ("version", "checksum", "saved_ms")
_NOTED = ("numpy", "scikit-learn", "lightgbm", "joblib")
_CUT_OFF = "%Y%m%dT%H%M%S"
_DIGITS = 12


@dataclass(frozen=True)
class ModelInfo:
    """What a bundle says of its model, without the model.

    Attributes
    ----------
    folder : the bundle's. saved_ms : when it was written. checksum : sha256 (hex) of all its contents but that moment.
    features : raw features that it must be given, in order. chosen : positions of those that it reads.
    from_ms, until_ms : the training part; nothing that was known only after `until_ms`, the cut-off, is in the model.
    libraries : versions that it was trained with. description : the model's own, see `Model.describe`.
    facts : all else that was said when it was saved, and the above of it (backend, settings, scores, controls...).
    """

    name: str
    version: str
    folder: Path
    saved_ms: int
    checksum: str
    features: tuple[str, ...]
    chosen: tuple[int, ...]
    application: Application
    from_ms: int
    until_ms: int
    libraries: Mapping[str, str]
    description: Mapping[str, Any]
    facts: Mapping[str, Any]

    @property
    def id(self) -> str:
        """`name@version`, as commands and requests take it."""
        return f"{self.name}@{self.version}"

    @property
    def backend(self) -> str:
        return str(self.facts["backend"])


def model_table(trained: Trained, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What `model.json` says of a model, all but its version, checksum and moment.

    Raises
    ------
    InputError : facts lack the backend or the training window, or JSON cannot hold them.
    """
    said = {**trained.facts, **facts}
    for own in ("name", "version", "checksum", "feature_packages"):
        said.pop(own, None)
    if not isinstance(said.get("backend"), str):
        raise InputError(f"the facts of model {name!r} must name its `backend`, had {said.get('backend')!r}")
    _check_window(name, said.get("window"))
    chosen = [int(k) for k in trained.chosen]
    if not trained.features or not all(0 <= k < len(trained.features) for k in chosen):
        raise InputError(
            f"model {name!r} must choose among its {len(trained.features)} features by position, chose {chosen}"
        )
    from toolkit.models.features import feature_packages

    packages = feature_packages(trained.features)
    cleaning: Any = trained.cleaning
    try:
        table = {
            "schema": SCHEMA,
            "name": name,
            "features": list(trained.features),
            "chosen": chosen,
            "application": asdict(trained.application),
            "cleaning": json.loads(json.dumps(cleaning.table(), allow_nan=False)),
        }
    except (TypeError, ValueError) as error:
        raise InputError(f"the cleaning of model {name!r} cannot be kept as JSON ({error}); fit it again") from None
    return {
        **table,
        **{key: plain(said.get(key), f"{key} of model {name!r}") for key in NAMED},
        "libraries": libraries(packages),
        # Told, so that who reads the model need not know what factors there are.
        **({"feature_packages": list(packages)} if packages else {}),
        "description": plain(trained.model.describe(), f"description of model {name!r}"),
        "facts": plain({k: v for k, v in said.items() if k not in NAMED}, f"facts of model {name!r}"),
    }


def content_sum(table: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """sha256 (hex) of what a model is; `files` are the checksums of its backend's files."""
    said = [{k: v for k, v in table.items() if k not in _NOT_CONTENT}, {k: v for k, v in files.items() if k != FILE}]
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def version_of(table: Mapping[str, Any], checksum: str) -> str:
    """`20230630T000000-1a2b3c4d5e6f`: the training cut-off (UTC), by which versions sort, and the contents' hash."""
    moment = datetime.fromtimestamp(table["window"]["until_ms"] // 1000, UTC)
    return f"{moment.strftime(_CUT_OFF)}-{checksum[:_DIGITS]}"


def cut_off_of(version: str) -> str:
    """The part of a version by which versions sort."""
    return version.partition("-")[0]


def read_info(folder: Path) -> ModelInfo:
    """What a bundle says of its model; its checksums are not looked at.

    Raises
    ------
    InputError : there is no `model.json`, or it is not one of this schema.
    """
    return info_of(read_json(folder / FILE), folder)


def info_of(table: Mapping[str, Any], folder: Path) -> ModelInfo:
    """What `read_info` gives, of a table that was read."""
    if table.get("schema") != SCHEMA:
        raise InputError(
            f"{folder / FILE} has schema {table.get('schema')!r}, and this version of Lockstep reads {SCHEMA!r}; "
            f"train the model again"
        )
    try:
        told = [key for key in (*NAMED, "feature_packages") if key in table or key in NAMED]
        facts = {**table["facts"], **{key: table[key] for key in told}}
        return ModelInfo(
            str(table["name"]),
            str(table["version"]),
            folder,
            int(table["saved_ms"]),
            str(table["checksum"]),
            tuple(str(name) for name in table["features"]),
            tuple(int(k) for k in table["chosen"]),
            Application(**table["application"]),
            int(table["window"]["from_ms"]),
            int(table["window"]["until_ms"]),
            dict(table["libraries"]),
            dict(table["description"]),
            {**facts, "name": str(table["name"]), "version": str(table["version"])},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / FILE} is not as it is written ({type(error).__name__}: {error}); train the model again"
        ) from None


def libraries(more: Iterable[str] = ()) -> dict[str, str]:
    """Versions of what models are made with, and of `more`, as installed here."""
    found = {}
    for package in (*_NOTED, *more):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def plain(value: Any, what: str) -> Any:
    """A value as JSON holds it: NaN and infinity become null, numpy's numbers Python's.

    Raises
    ------
    InputError : it holds what JSON cannot.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one, f"{key} in {what}") for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, what) for one in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), what)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    raise InputError(f"{what} must be what JSON can hold, was a {type(value).__name__}")


def _check_window(name: str, window: Any) -> None:
    first, last = (window.get("from_ms"), window.get("until_ms")) if isinstance(window, Mapping) else (None, None)
    if type(first) is not int or type(last) is not int:
        raise InputError(
            f"the facts of model {name!r} must name its training `window` as from_ms and until_ms, had {window!r}"
        )
    if not 0 <= first <= last:
        raise InputError(f"the training window of model {name!r} must not end before it begins, was {window!r}")
