"""A local exchange that speaks Gate.io's REST API, for tests: ccxt, unmodified, is pointed at it."""

from tests.exchange.faults import Fault, Faults
from tests.exchange.market import Market
from tests.exchange.server import GateServer

__all__ = ["Fault", "Faults", "GateServer", "Market"]
