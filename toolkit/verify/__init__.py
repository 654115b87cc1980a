"""Proofs on the user's own bars and strategies: no look-ahead, hop equals step, an edit reaches its callers.

`tk.verify(...)` is `toolkit.verify.run.verify`.
"""

from toolkit.callable_module import make_callable
from toolkit.verify.cache import verify_cache
from toolkit.verify.hop import verify_hop
from toolkit.verify.lookahead import verify_lookahead

__all__ = ["verify_cache", "verify_hop", "verify_lookahead"]

make_callable(__name__, "toolkit.verify.run")
