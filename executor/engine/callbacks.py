"""What a strategy's file may listen to: functions `on_start, on_signal, on_order, on_trade, on_stop` at its top level.

Each is called with one mapping, the row that the ledger keeps, after it is durable; alike in replay, dry and live. What
one raises is reported and changes nothing.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from executor.engine.records import Changes
from executor.engine.signals import Traded
from toolkit.engine.types import ExitReason

NAMES = ("on_start", "on_signal", "on_order", "on_trade", "on_stop")
_STOPS = (ExitReason.STOP, ExitReason.TRAIL)
_log = logging.getLogger(__name__)
Listener: TypeAlias = Callable[[Mapping[str, object]], Any]


class Callbacks:
    """The listeners of all instances, by the instance whose rows they are told."""

    def __init__(self, members: Sequence[Traded]) -> None:
        self._found: dict[str, dict[str, Listener]] = {}
        for one in members:
            # Not the module of that name: a bundle's strategies are no longer among those that are imported.
            names = one.strategy.function.__globals__
            found = {name: names[name] for name in NAMES if callable(names.get(name))}
            if found:
                self._found[one.instance_id] = found

    def started(self) -> None:
        for instance in self._found:
            self._call("on_start", instance, {"instance": instance})

    def tell(self, changes: Changes) -> None:
        """What a moment changed: its signals, orders and trades, and the trades that a stop closed."""
        if not self._found:
            return
        for name, table in (("on_signal", "signals"), ("on_order", "orders"), ("on_trade", "trades")):
            for row in changes.puts.get(table, ()):
                self._call(name, str(row["instance"]), row)
        for row in changes.puts.get("trades", ()):
            if row["exit_reason"] in _STOPS:
                self._call("on_stop", str(row["instance"]), row)

    def _call(self, name: str, instance: str, row: Mapping[str, object]) -> None:
        listener = self._found.get(instance, {}).get(name)
        if listener is None:
            return
        try:
            listener(row)
        except Exception:
            _log.exception("%s of %s raised", name, instance)
