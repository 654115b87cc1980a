"""What the ledger's deployments say is traded, each instance by the code that its own version carries."""

from collections.abc import Collection

from executor.deployments import DeployedMember, active, members
from executor.engine.signals import Traded
from executor.engine.state import Plan
from executor.feed.base import Series
from executor.ledger import Ledger
from toolkit.bars.symbols import canonical_symbol


def load_plan(ledger: Ledger, busy: Collection[str]) -> Plan:
    """The members of the active deployment, and of older ones those that are `busy`: they run to their end."""
    deployment = active(ledger)
    return Plan([traded(one) for one in members(ledger, also=busy)], deployment.limits, deployment.instruments)


def traded(one: DeployedMember) -> Traded:
    series = Series(one.exchange, one.symbol, one.base)
    peers = (canonical_symbol(peer) for peer in one.strategy.peers)
    return Traded(
        instance_id=one.instance_id,
        deployment=one.deployment,
        strategy=one.strategy,
        params=one.params,
        rules=one.rules,
        costs=one.costs,
        series=series,
        interval=one.interval,
        native=tuple(series._replace(base=interval) for interval in one.strategy.native),
        peers=tuple(series._replace(symbol=peer) for peer in peers if peer != one.symbol),
    )
