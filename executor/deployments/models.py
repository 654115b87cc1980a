"""Models into a ledger: those that a deployment names, and newer versions of them."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from executor.ledger import Ledger
from toolkit.errors import InputError
from toolkit.models.deployed import FOLDER, bundle_of
from toolkit.models.store import check_model, find_model, read_info
from toolkit.portfolio.deployment import ModelUse

_NEWEST = """
SELECT version, folder FROM model_versions WHERE name = ? ORDER BY effective_ms IS NULL, effective_ms, id
"""
_JUDGES = "SELECT DISTINCT model FROM instances WHERE model IS NOT NULL ORDER BY model"


def load_models(ledger: Ledger, table: Mapping[str, Any], folder: str, effective_ms: int) -> None:
    """Write the models of a deployment's table, inside its transaction; `folder` of its bundle, "" without one.

    The first version of a model holds from the beginning, so that what is signalled before any weight counts is judged
    as in a backtest; a later one from when the deployment counts.
    """
    for row in table.get("models", ()):
        use = ModelUse(row["name"], row["version"], row["checksum"], tuple(row["instances"]))
        place = bundle_of(use, Path(folder) / FOLDER if folder else None)
        known = ledger.rows(_NEWEST, (use.name,))
        if known and known[-1]["version"] == use.version:
            continue
        _insert(ledger, use, place, effective_ms if known else 0, str(table["id"]))


def load_version(ledger: Ledger, model: str | Path, root: Path | None = None) -> str:
    """Let a newer version of a model hold from a running daemon's next event on; returns its id.

    Parameters
    ----------
    model : "name" (its newest version), "name@version" or a bundle's folder. root : of the registry.

    Raises
    ------
    InputError and its kinds : there is no such model, no instance of the ledger is judged by one of its name, or it
        sees other features than the version before it (windows are kept for those): deploy it anew then.
    """
    info = check_model(find_model(model, root))
    known = ledger.rows(_NEWEST, (info.name,))
    if not known:
        names = ", ".join(row["model"] for row in ledger.rows(_JUDGES)) or "none"
        raise InputError(
            f"{ledger.path} has no instance that model {info.name} judges (it has models: {names}); name it in a "
            f"deployment: toolkit model use DEPLOYMENT {info.name}"
        )
    if known[-1]["version"] == info.version:
        return info.id
    before = read_info(Path(known[-1]["folder"]))
    more = sorted(set(info.features) - set(before.features))
    if more:
        raise InputError(
            f"model {info.id} sees {more[0]!r}, which the version before it ({before.version}) did not, and the "
            f"running windows may be too short for it; deploy it anew: toolkit model use DEPLOYMENT {info.name}"
        )
    with ledger.transaction("model"):
        _insert(ledger, ModelUse(info.name, info.version, info.checksum, ()), info.folder, None, "load")
    return info.id


def _insert(ledger: Ledger, use: ModelUse, place: Path, effective_ms: int | None, cause: str) -> None:
    ledger.insert("model_versions", {
        "name": use.name, "version": use.version, "checksum": use.checksum, "folder": str(place.resolve()),
        "loaded_ms": time.time_ns() // 1_000_000, "effective_ms": effective_ms, "cause": cause,
    })  # fmt: skip
