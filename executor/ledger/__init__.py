"""The executor's truth: one SQLite file in which each decision is durable before the next action.

`Ledger` opens it; `ledger.lock` keeps a second daemon off it; `ledger.backup` copies and restores it; `ledger.views`
reads it for people. No other package touches SQLite.
"""

from executor.ledger.ledger import Ledger, Row, number

__all__ = ["Ledger", "Row", "number"]
