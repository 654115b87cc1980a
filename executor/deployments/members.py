"""Members of a ledger's deployments: `members` and `active`."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executor.ledger import Ledger
from executor.ledger.ledger import Row
from toolkit.engine.identity import code_hash
from toolkit.engine.rules import Costs, TradeRules, costs_from, rules_from
from toolkit.errors import LedgerError, StrategyError
from toolkit.portfolio.bundle import SOURCES
from toolkit.portfolio.bundle_code import bundle_strategies
from toolkit.portfolio.limits import Instrument, Limits, instruments_from, limits_from
from toolkit.strategy import Strategy, get_strategy

ACTIVE = "SELECT id, document, folder FROM deployments WHERE state = 'active'"
MEMBERS = """
SELECT i.id, i.deployment, i.document, i.exchange, i.symbol, i.base, i.interval, i.weight, d.folder, d.state
FROM instances i JOIN deployments d ON d.id = i.deployment ORDER BY i.id
"""


@dataclass(frozen=True)
class DeployedMember:
    """An instance of a deployment, with the strategy of its own version."""

    instance_id: str
    deployment: str
    strategy: Strategy
    params: Any
    rules: TradeRules
    costs: Costs
    symbol: str
    exchange: str
    base: str
    interval: str
    weight: float


@dataclass(frozen=True)
class Active:
    """What the account keeps to: the deployment that holds now."""

    id: str
    limits: Limits
    instruments: Mapping[str, Instrument]
    capital: float


def active(ledger: Ledger) -> Active:
    """The deployment that holds; `LedgerError` where the ledger has none."""
    found = ledger.rows(ACTIVE)
    if not found:
        raise LedgerError(f"{ledger.path} has no deployment; load one: executor load DEPLOYMENT --ledger {ledger.path}")
    table = json.loads(found[-1]["document"])
    return Active(
        found[-1]["id"], limits_from(table["limits"]), instruments_from(table["instruments"]), float(table["capital"])
    )


def members(ledger: Ledger, also: Collection[str] = ()) -> list[DeployedMember]:
    """Instances of the active deployment and of those that are loaded, and the older ones that are named in `also`.

    Raises
    ------
    StrategyError : a strategy is not there, or its code is not the one that was deployed.
    """
    rows, versions = ledger.rows(MEMBERS), Versions()
    return [_member(row, versions) for row in rows if row["state"] != "retired" or row["id"] in also]


class Versions:
    """Strategies by the code of the version that a row names, each looked up once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Strategy, str]] = {}

    def strategy(self, row: Mapping[str, Any], folder: str) -> Strategy:
        """The strategy of an instance's row: the bundle's where the folder is one, else the project's.

        Raises
        ------
        StrategyError : it is not there, or its code is not the one that the row names.
        """
        key = (folder, row["strategy"])
        if key not in self._known:
            found = _of_bundle(folder, row["strategy"]) if folder else get_strategy(row["strategy"])
            self._known[key] = (found, code_hash(found))
        strategy, code = self._known[key]
        if code != row["code"]:
            raise StrategyError(
                f"{row['id']} was deployed with other code ({row['code'][:12]} then, {code[:12]} now), so it would not "
                f"trade what was tested; go back to the version of Lockstep and of the strategy that it was made with, "
                f"or deploy it anew"
            )
        return strategy


def _of_bundle(folder: str, name: str) -> Strategy:
    if not (Path(folder) / SOURCES).is_dir():
        raise StrategyError(f"{folder} holds no sources of strategy {name!r}; copy the bundle back, or deploy it anew")
    found = bundle_strategies(Path(folder))
    if name not in found:
        raise StrategyError(f"{folder} carries no strategy {name!r}; deploy it anew")
    return found[name]


def _member(row: Row, versions: Versions) -> DeployedMember:
    said = json.loads(row["document"])
    strategy = versions.strategy(said, row["folder"])
    return DeployedMember(
        instance_id=row["id"],
        deployment=row["deployment"],
        strategy=strategy,
        params=strategy.params(said["params"]),
        rules=rules_from(said["rules"]),
        costs=costs_from(said["costs"]),
        symbol=row["symbol"],
        exchange=row["exchange"],
        base=row["base"],
        interval=row["interval"],
        weight=float(row["weight"] or 0.0),
    )
