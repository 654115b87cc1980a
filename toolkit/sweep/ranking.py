"""The best combinations of a metrics table."""

import polars as pl

from toolkit.analysis.metrics import METRICS
from toolkit.errors import UnknownNameError

# Of these less is better; of every other metric more.
LESS_IS_BETTER = frozenset(
    {
        "max_drawdown", "max_drawdown_days", "max_drawdown_intraday", "fees", "turnover", "exposure",
        "ambiguous_trades", "ambiguous_pnl", "open_trades",
    }
)  # fmt: skip


def best(metrics: pl.LazyFrame, k: int, by: str, min_trades: int = 1) -> pl.DataFrame:
    """The `k` best rows by a metric with their rank from 1, among those with `min_trades` closed trades.

    A row whose metric is undefined (null) or infinite is left out; of equal rows the lower combination comes first.
    """
    if by not in METRICS:
        raise UnknownNameError("metric", by, METRICS)
    # Two passes: whole rows are read of the chosen ones only.
    numbers = (
        metrics.select("combination", "trades", by)
        .filter(pl.col("trades") >= min_trades, pl.col(by).is_finite())
        .sort([by, "combination"], descending=[by not in LESS_IS_BETTER, False])
        .limit(k)
        .select("combination")
        .collect()
        .with_row_index("rank", offset=1)
    )
    rows = metrics.filter(pl.col("combination").is_in(numbers["combination"].to_list())).collect()
    return numbers.join(rows, on="combination", how="left", maintain_order="left")
