"""A portfolio's run as a `vectorbt.Portfolio`."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from toolkit.analysis.vectorbt_bridge import account_to_vectorbt, order_records
from toolkit.engine.identity import leg_id
from toolkit.engine.market import first_t
from toolkit.types import FloatArray, IntArray

if TYPE_CHECKING:
    from toolkit.portfolio.simulate import PortfolioRun


def vectorbt_account(run: "PortfolioRun") -> Any:
    """The account on its daily marks, a column for each leg that traded; see `account_to_vectorbt`."""
    trades, marks = run.trades, run.days["ts"]
    base_ms = np.array([one.bars.base.interval_ms for one in run.members], np.int64)[run.trade_member]
    legs, column = np.unique(np.stack([run.trade_member, trades["side"]]), axis=1, return_inverse=True)
    names = [leg_id(run.members[int(member)].instance.id, int(side)) for member, side in legs.T]
    close = {name: _marked(run, int(member), marks) for name, member in zip(names, legs[0], strict=True)}
    # What happened by the close of a bar is in the mark of that moment.
    entry_at, exit_at = (np.searchsorted(marks, (trades[name] + 1) * base_ms) for name in ("entry_t", "exit_t"))
    orders = order_records(trades, column.astype(np.int64), entry_at, np.minimum(exit_at, len(marks) - 1))
    return account_to_vectorbt(marks, pd.DataFrame(close), orders, run.capital)


def _marked(run: "PortfolioRun", member: int, marks: IntArray) -> FloatArray:
    """float64[n_days]: the last close that the member's market knew at each mark, its first one before that."""
    base = run.members[member].bars.base
    index = np.clip(marks // base.interval_ms - first_t(base) - 1, 0, len(base) - 1)
    return base.close[index]
