"""Deployments: what an account is to trade, as one immutable file that the executor runs and a backtest reads.

`deployment.schema.json` beside this module is its schema (JSON Schema 2020-12). `checksum` is the sha256 over the
canonical JSON of all other fields, so an edit by hand is seen. A change is a new deployment, linked by `previous`.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import settings
from toolkit.durable import durable
from toolkit.engine.identity import canonical_json
from toolkit.errors import InputError, RunError, UnknownNameError
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.portfolio.schedule import check_weights

if TYPE_CHECKING:
    from toolkit.portfolio.members import Member

SCHEMA = "lockstep.deployment/1"
FILE = "deployment.json"
LATEST = "latest"


@dataclass(frozen=True)
class Source:
    """What a deployment's instances were chosen from: a run, its period (epoch ms), and how many it tried."""

    run: str | None
    start_ms: int
    end_ms: int
    combinations_tried: int


@dataclass(frozen=True)
class ModelUse:
    """A model of the registry that judges entries: its name and version there, the checksum of its bundle, and whose
    entries it judges (instance ids).
    """

    name: str
    version: str
    checksum: str
    instances: tuple[str, ...]


@dataclass(frozen=True)
class Deployment:
    """Instances with their weights and limits, and what was expected of them.

    Attributes
    ----------
    members : what it trades and may trade. weights : by instance id, from 0 (off), adding up to 1 at most.
    effective_from_ms : from this moment on the weights count for new entries, epoch ms.
    capital : money that `expected` is about. expected : figures by name, see `record_figures.expected_figures`.
    data : `runs.data_fingerprint` of every stored series that it was made from.
    policy : how it was chosen and weighed, as JSON can hold it.
    previous : id of the deployment that it follows. off : why every weight is 0; None where something is on.
    models : who is judged by which; who is not named there is always accepted.
    id, created : made anew unless given; `created` is an ISO time, UTC.
    """

    members: tuple["Member", ...]
    weights: Mapping[str, float]
    limits: Limits
    capital: float
    effective_from_ms: int
    selected_from: Source
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    data: tuple[Mapping[str, Any], ...] = ()
    expected: Mapping[str, float] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    previous: str | None = None
    off: str | None = None
    models: tuple[ModelUse, ...] = ()
    id: str = ""
    created: str = ""

    def __post_init__(self) -> None:
        ids = [member.instance.id for member in self.members]
        twice = next((name for k, name in enumerate(ids) if name in ids[:k]), None)
        if twice is not None:
            raise InputError(f"a deployment must name each instance once, {twice} is in it twice")
        if not ids:
            raise InputError("a deployment must name at least one instance")
        if not (math.isfinite(self.capital) and self.capital > 0):
            raise InputError(f"`capital` must be a finite amount above 0, was {self.capital!r}")
        object.__setattr__(self, "weights", _checked(self.weights, ids, self.off))
        _check_models(self.models, ids)
        now = datetime.now(UTC)
        if not self.created:
            object.__setattr__(self, "created", now.isoformat(timespec="milliseconds"))
        if not self.id:
            object.__setattr__(self, "id", f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}-{_seed(self)}")

    def table(self) -> dict[str, Any]:
        """What its file says, `checksum` included."""
        source = self.selected_from
        body = {
            "schema": SCHEMA,
            "id": self.id,
            "created": self.created,
            "effective_from": iso(self.effective_from_ms),
            "previous": self.previous,
            "instances": [_row(member, self.weights[member.instance.id]) for member in self.members],
            "limits": asdict(self.limits),
            "instruments": {symbol: asdict(rules) for symbol, rules in self.instruments.items()},
            "capital": float(self.capital),
            "data": [dict(series) for series in self.data],
            "expected": {name: value if math.isfinite(value) else None for name, value in self.expected.items()},
            "selected_from": {
                "run": source.run,
                "period": {"start": iso(source.start_ms), "end": iso(source.end_ms)},
                "combinations_tried": source.combinations_tried,
            },
            "policy": dict(self.policy),
            "off": self.off,
        }
        if self.models:
            body["models"] = [asdict(one) for one in self.models]
        # As the file will say it: no tuples, no other kinds of numbers.
        plain: dict[str, Any] = json.loads(json.dumps(body, allow_nan=False))
        return {**plain, "checksum": checksum(plain)}

    def followed_by(self, **changes: Any) -> "Deployment":
        """The next deployment: the same but for `changes`, a new id, and this one as its `previous`."""
        return replace(self, **{"previous": self.id, "id": "", "created": "", **changes})


def checksum(table: Mapping[str, Any]) -> str:
    """sha256 (hex) over the canonical JSON of a deployment's fields without `checksum`."""
    body = {name: value for name, value in table.items() if name != "checksum"}
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()


def iso(ms: int) -> str:
    """ISO time of epoch ms, UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def write_deployment(path: Path, deployment: Deployment) -> None:
    """Write its file whole or not at all; a file that is there is replaced. `RunError` where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with durable(path) as file:
            file.write((json.dumps(deployment.table(), indent=2, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}; make room, or choose another folder") from error


def read_deployment(path: Path, *, accept_code: bool = False, strategies: Iterable[str] | None = None) -> Deployment:
    """A deployment from its file; see `deployment_file.read` for what is checked."""
    from toolkit.portfolio.deployment_file import read

    return read(path, accept_code=accept_code, strategies=strategies)


def deployments_dir() -> Path:
    """`deployments/` in the data folder."""
    return settings.data_dir() / "deployments"


def store_deployment(deployment: Deployment, root: Path | None = None) -> Path:
    """Keep a deployment as `<root>/<id>/deployment.json`; returns the file. What is kept is never changed.

    Raises
    ------
    RunError : there is one of this id, or it cannot be written.
    """
    folder = (root or deployments_dir()) / deployment.id
    half = folder.with_name(f".{folder.name}.partial")
    if folder.exists():
        raise RunError(f"deployment {deployment.id} exists in {folder.parent}, and deployments are never changed")
    try:
        write_deployment(half / FILE, deployment)
        half.rename(folder)
        _sync(folder.parent)
    except OSError as error:
        raise RunError(f"deployment {folder} cannot be kept: {error.strerror}; make room") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return folder / FILE


def list_deployments(root: Path | None = None) -> list[Path]:
    """Files of the kept deployments, oldest first."""
    return sorted(
        (root or deployments_dir()).glob(f"[!.]*/{FILE}"),
        key=lambda file: file.parent.name,
    )


def find_deployment(name: str | Path, root: Path | None = None) -> Path:
    """The file that is meant by a path, by the id of a kept deployment, or by "latest" (the newest kept)."""
    path = Path(name)
    if path.is_file():
        return path
    if (path / FILE).is_file():
        return path / FILE
    kept = {file.parent.name: file for file in list_deployments(root)}
    if name == LATEST and kept:
        return kept[max(kept)]
    if str(name) not in kept:
        raise UnknownNameError("deployment", str(name), kept, "or name the path of a deployment.json")
    return kept[str(name)]


def fingerprints(bars: Iterable[Any]) -> tuple[dict[str, Any], ...]:
    """`runs.data_fingerprint` of several bars, each stored series once."""
    from toolkit.analysis.runs import data_fingerprint

    found = {canonical_json(series): series for one in bars for series in data_fingerprint(one)}
    return tuple(found[key] for key in sorted(found))


def _checked(weights: Mapping[str, float], ids: Sequence[str], off: str | None) -> dict[str, float]:
    """Every instance's weight; what `check_weights` refuses, and only a deployment that says `off` has none."""
    whole = {name: float(weights.get(name, 0.0)) for name in ids} | {
        name: value for name, value in weights.items() if name not in ids
    }
    if off is None:
        check_weights(whole, ids)
    elif any(value != 0 for value in whole.values()):
        raise InputError(f"a deployment that is off ({off}) must have weights of 0 only; leave `off` out")
    return whole


def _check_models(models: Sequence[ModelUse], ids: Sequence[str]) -> None:
    """`InputError` where an instance is judged twice, or is not there, or a model is named in two versions."""
    judged: dict[str, str] = {}
    for k, one in enumerate(models):
        if one.name in (other.name for other in models[:k]):
            raise InputError(f"a deployment must name each model once, {one.name} is there twice")
        for name in one.instances:
            if name not in ids:
                raise UnknownNameError(f"instance that model {one.name} judges", name, ids)
            if name in judged:
                raise InputError(f"{name} must be judged by one model, was by {judged[name]} and {one.name}")
            judged[name] = one.name


def _row(member: "Member", weight: float) -> dict[str, Any]:
    instance = member.instance
    return {
        "id": instance.id,
        "strategy": instance.strategy,
        "params": dict(instance.params),
        "rules": asdict(instance.rules),
        "symbol": instance.symbol,
        "interval": instance.interval,
        "exchange": member.exchange,
        "base": member.base,
        "family": member.family,
        "code": instance.code,
        "costs": asdict(member.costs),
        "weight": weight,
    }


def _seed(deployment: Deployment) -> str:
    text = canonical_json([deployment.weights, deployment.created, deployment.previous, os.getpid()])
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
