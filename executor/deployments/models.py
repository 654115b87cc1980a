"""Models into a ledger: those that a deployment names, and newer versions of them."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from executor.deployments.judges import Judge, assigned, judges
from executor.ledger import Ledger
from toolkit.errors import InputError
from toolkit.models.deployed import FOLDER, bundle_of
from toolkit.models.store import ModelInfo, check_model, find_model, read_info
from toolkit.portfolio.deployment import ModelUse


def load_models(
    ledger: Ledger, table: Mapping[str, Any], folder: str, effective_ms: int, *, first: bool = False
) -> None:
    """Write the models of a deployment's table, inside its transaction.

    Parameters
    ----------
    folder : of its bundle, "" without one. effective_ms : when its weights count.
    first : the account is new: its models judge from the beginning, also what is signalled before any weight counts,
        as in a backtest.
    """
    before = assigned(judges(ledger))
    named: set[str] = set()
    for row in table.get("models", ()):
        use = ModelUse(row["name"], row["version"], row["checksum"], tuple(row["instances"]))
        place = bundle_of(use, Path(folder) / FOLDER if folder else None)
        check_model(place)
        named |= set(use.instances)
        now = {name: before[name].model if name in before else None for name in use.instances}
        if set(now.values()) != {f"{use.name}@{use.version}"}:
            _insert(ledger, use, place, (effective_ms, 0 if first else None), str(table["id"]))
    released = tuple(row["id"] for row in table["instances"] if row["id"] in before and row["id"] not in named)
    if released:
        _insert(ledger, ModelUse("", "", "", released), None, (effective_ms, None), str(table["id"]))


def load_version(ledger: Ledger, model: str | Path, root: Path | None = None, *, after_ms: int = 0) -> str:
    """Let a newer version of a model judge from a running daemon's next event on; returns its id.

    Parameters
    ----------
    model : "name" (its newest version), "name@version" or a bundle's folder. root : of the registry.
    after_ms : not before this moment.

    Raises
    ------
    InputError and its kinds : there is no such model, no instance of the ledger is judged by one of its name, or it
        sees other features than the version before it (windows are kept for those): deploy it anew then.
    """
    info = check_model(find_model(model, root))
    now = assigned(judges(ledger))
    mine = [name for name, judge in now.items() if judge.name == info.name]
    if not mine:
        names = ", ".join(sorted({judge.name for judge in now.values()})) or "none"
        raise InputError(
            f"{ledger.path} has no instance that model {info.name} judges (its models: {names}); name it in a "
            f"deployment: toolkit model use DEPLOYMENT {info.name}"
        )
    others = [now[name] for name in mine if now[name].version != info.version]
    if not others:
        return info.id
    _check_features(info, others)
    use = ModelUse(info.name, info.version, info.checksum, tuple(sorted(mine)))
    with ledger.transaction("model"):
        _insert(ledger, use, info.folder, (after_ms, None), "load")
    return info.id


def _check_features(info: ModelInfo, others: Sequence[Judge]) -> None:
    for folder in {judge.folder: judge for judge in others}:
        before = read_info(folder)
        more = sorted(set(info.features) - set(before.features))
        if more:
            raise InputError(
                f"model {info.id} sees {more[0]!r}, which version {before.version} did not, and the running windows "
                f"may be too short for it; deploy it anew: toolkit model use DEPLOYMENT {info.name}"
            )


def _insert(ledger: Ledger, use: ModelUse, place: Path | None, when: tuple[int, int | None], cause: str) -> None:
    after_ms, effective_ms = when
    ledger.insert("model_versions", {
        "name": use.name, "version": use.version, "checksum": use.checksum,
        "folder": "" if place is None else str(place.resolve()), "instances": json.dumps(list(use.instances)),
        "loaded_ms": time.time_ns() // 1_000_000, "after_ms": after_ms, "effective_ms": effective_ms, "cause": cause,
    })  # fmt: skip
