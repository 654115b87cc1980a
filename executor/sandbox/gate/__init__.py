"""The local exchange as Gate spot and USDT futures: REST with signatures, price orders, websockets."""

from executor.sandbox.gate.front import GateFront
from executor.sandbox.gate.signing import GateKey

__all__ = ["GateFront", "GateKey"]
