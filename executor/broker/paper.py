"""The paper broker: its orders work in the account's own tables, where the backtest's matching function fills them.

Every bar `toolkit.engine.account_leg.settle` matches what is pending; the engine reads off what filled and writes it to
the ledger in the same transaction. What is left for this class is what a venue does besides: it acknowledges.
"""

from collections.abc import Sequence

from executor.broker.base import Intent, Order, Report, Status, Verb


class PaperBroker:
    """Takes every order at once and never refuses."""

    name = "paper"

    def __init__(self) -> None:
        self._open: dict[str, Order] = {}

    def send(self, intent: Intent) -> Sequence[Report]:
        order = intent.order
        if intent.verb is Verb.CANCEL:
            self._open.pop(order.order_id, None)
            return ()
        self._open[order.order_id] = order
        if intent.verb is Verb.AMEND:
            return ()
        return (Report(order.order_id, Status.OPEN, order.created_ms),)

    def flush(self, now_ms: int) -> None:
        """Nothing waits."""

    def resume(self, orders: Sequence[Order]) -> Sequence[Report]:
        self._open = {order.order_id: order for order in orders}
        return tuple(Report(order.order_id, Status.OPEN, order.created_ms) for order in orders)

    def reports(self) -> Sequence[Report]:
        return ()

    def ended(self, order_id: str) -> None:
        self._open.pop(order_id, None)

    def open_orders(self) -> Sequence[Order]:
        return tuple(self._open.values())
