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
    rows = ledger.rows(MEMBERS)
    return [_member(row) for row in rows if row["state"] != "retired" or row["id"] in also]


def strategy_of(row: Mapping[str, Any], folder: str, instance: str) -> Strategy:
    """The strategy of an instance's row: the bundle's where it carries sources, else the project's."""
    if folder and (Path(folder) / SOURCES).is_dir():
        found = bundle_strategies(Path(folder))
        if row["strategy"] not in found:
            raise StrategyError(f"{folder} carries no strategy {row['strategy']!r}; deploy it anew")
        strategy = found[row["strategy"]]
    else:
        strategy = get_strategy(row["strategy"])
    code = code_hash(strategy)
    if code != row["code"]:
        raise StrategyError(
            f"{instance} was deployed with other code ({row['code'][:12]} then, {code[:12]} now), so it would not "
            f"trade what was tested; go back to the Lockstep and the strategy that it was made with, or deploy it anew"
        )
    return strategy


def _member(row: Row) -> DeployedMember:
    said = json.loads(row["document"])
    strategy = strategy_of(said, row["folder"], row["id"])
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
