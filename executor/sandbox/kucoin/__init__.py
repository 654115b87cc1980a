"""The local exchange as KuCoin spot: REST with signatures, stop orders, websockets."""

from executor.sandbox.kucoin.front import KucoinFront
from executor.sandbox.kucoin.signing import ApiKey

__all__ = ["ApiKey", "KucoinFront"]
