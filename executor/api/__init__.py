"""The daemon over HTTP: JSON of the ledger, a page, metrics. It reads; writing `commands` is on only by config."""

from executor.api.config import ApiConfig
from executor.api.serving import serve

__all__ = ["ApiConfig", "serve"]
