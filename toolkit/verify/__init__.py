"""Proofs on the user's own bars and strategies: no look-ahead, hop equals step, an edit reaches its callers."""

from toolkit.verify.cache import verify_cache
from toolkit.verify.hop import verify_hop
from toolkit.verify.lookahead import verify_lookahead

__all__ = ["verify_cache", "verify_hop", "verify_lookahead"]
