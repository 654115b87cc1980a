"""A deployment into a ledger: `load_document`, one transaction."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from executor.deployments.members import Versions
from executor.deployments.models import load_models
from executor.ledger import Ledger
from toolkit.bars.moments import to_ms
from toolkit.errors import InputError
from toolkit.portfolio.deployment import read_deployment
from toolkit.portfolio.deployment_file import checked_table

_HOLDS = "SELECT id FROM deployments WHERE id = ? AND state != 'retired'"
_ENABLED = "SELECT id, enabled, note FROM instances"
_CURRENT = "SELECT id FROM deployments WHERE state = 'active'"


def load_document(
    ledger: Ledger,
    file: Path,
    start_ms: int | None = None,
    *,
    mode: str = "dry",
    capital: float | None = None,
    accept_code: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> str:
    """Make a deployment known to a ledger; returns its id. A new ledger becomes an account with its capital.

    Its weights hold from `effective_from` on, or from now where that has passed. A running daemon takes it over at its
    next event. Loading the one that holds, or that is going to, changes nothing; an older one takes over again.

    Parameters
    ----------
    start_ms : first moment of a new account, default now; a replay's weights hold from it on.
    mode : of a new account: dry, replay or live.
    accept_code : take it with today's code where that has changed; its instances then have other ids.
    facts : `folder` of its bundle, `band` and `backtest` for the ledger.

    Raises
    ------
    InputError : its file is not as it was written, or needs what a ledger does not have (which it names).
    StrategyError : its strategies' code is not the one that it was made with.
    """
    said = dict(facts or {})
    folder = str(said.get("folder", ""))
    table = read_deployment(file, accept_code=True).table() if accept_code else checked_table(file)
    check_document(table, folder)
    now = time.time_ns() // 1_000_000
    if ledger.rows(_HOLDS, (table["id"],)):
        return str(table["id"])
    with ledger.transaction("load"):
        first = ledger.meta("start_ms") is None
        begin = start_ms if start_ms is not None else now
        if first:
            _open_account(ledger, table, mode, begin, capital)
        effective = to_ms(table["effective_from"], "effective_from")
        effective = begin if mode == "replay" and first else max(effective, begin if first else now)
        holds = first or effective <= now
        if holds:
            for row in ledger.rows(_CURRENT):
                ledger.update("deployments", {"id": row["id"]}, {"state": "retired"})
            ledger.set_meta("deployment", table["id"])
        ledger.put("deployments", [{
            "id": table["id"], "checksum": table["checksum"], "folder": folder, "document": json.dumps(table),
            "loaded_ms": now, "effective_from_ms": effective, "previous": table["previous"],
            "expected": json.dumps(table["expected"]), "band": said.get("band"), "backtest": said.get("backtest"),
            "state": "active" if holds else "loaded",
        }])  # fmt: skip
        _instances(ledger, table, effective)
        load_models(ledger, table, folder, effective, first=first)
        if not first:
            ledger.insert("commands", {
                "ts_ms": now, "verb": "reload", "target": table["id"], "value": None, "by": "load", "status": "waiting",
            })  # fmt: skip
    return str(table["id"])


def check_document(table: Mapping[str, Any], folder: str) -> None:
    """Whether the executor can trade a deployment's table, by the sources of its bundle's folder ("": the project's).

    Raises
    ------
    InputError : it lacks what the executor must know, or has a policy that it cannot follow. StrategyError : a strategy
    is not there, or its code is not the one that it was made with.
    """
    versions = Versions()
    for row in table["instances"]:
        versions.strategy(row, folder)
        for name in ("exchange", "base"):
            if not row[name]:
                raise InputError(
                    f"deployment {table['id']} does not say the {name} of {row['id']}, and the executor must know "
                    f"where its bars come from; make it anew with `toolkit portfolio select`"
                )
        if row["rules"]["policy"] == "finer":
            raise InputError(
                f"{row['id']} has policy 'finer', which looks inside a bar with bars that the executor does not get; "
                f"test and deploy it with 'pessimistic' or 'adaptive'"
            )


def _open_account(ledger: Ledger, table: Mapping[str, Any], mode: str, start_ms: int, capital: float | None) -> None:
    amount = float(table["capital"]) if capital is None else capital
    if not amount > 0:
        raise InputError(f"`capital` must be above 0, was {amount!r}")
    currency = table["instances"][0]["symbol"].partition("/")[2].partition(":")[0]
    facts = {"mode": mode, "account": ledger.path.stem, "currency": currency, "start_ms": str(start_ms)}
    facts["created_ms"] = str(time.time_ns() // 1_000_000)
    for key, value in facts.items():
        ledger.set_meta(key, value)
    ledger.insert("cash_flows", {"ts_ms": start_ms, "kind": "allocated", "amount": amount, "note": table["id"]})


def _instances(ledger: Ledger, table: Mapping[str, Any], effective: int) -> None:
    """Instances with what was said of them before, and the weights of all; what the deployment leaves out is off."""
    known = {row["id"]: row for row in ledger.rows(_ENABLED)}
    rows = []
    for row in table["instances"]:
        before = known.get(row["id"])
        rows.append({
            "id": row["id"], "deployment": table["id"], "strategy": row["strategy"], "symbol": row["symbol"],
            "exchange": row["exchange"], "base": row["base"], "interval": row["interval"], "document": json.dumps(row),
            "weight": row["weight"], "enabled": 1 if before is None else before["enabled"],
            "note": None if before is None else before["note"],
        })  # fmt: skip
    ledger.put("instances", rows)
    weights = [
        {"effective_ms": effective, "instance": row["id"], "weight": row["weight"], "cause": table["id"]}
        for row in table["instances"]
    ]
    ledger.put("weights", weights)
