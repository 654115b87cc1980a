"""Factor values at the entry signals of any number of runs on one series, each factor computed once."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl

from toolkit.analysis.frames import AnyNaming, signal_frame
from toolkit.bars.series import Bars
from toolkit.factors.table import FactorSpec, default_specs, factor_table
from toolkit.types import FloatArray, IntArray, Records

AT_ONCE = 16


def signal_bar(bars: Bars, t: IntArray) -> IntArray:
    """int64: the bar of `bars` that closes together with each base bar of `t` (absolute numbers)."""
    return np.searchsorted(bars.close_ts, (t + 1) * bars.base.interval_ms).astype(np.int64)


def entry_factors(
    bars: Bars, runs: Sequence[tuple[Records, AnyNaming]], specs: Iterable[FactorSpec | str] | None = None
) -> pl.DataFrame:
    """A row an entry signal, a column a factor, as known when the signal was decided; null where history is too short.

    Parameters
    ----------
    bars : the signal-interval bars that all the runs were made on.
    runs : SIGNAL records of each run, and how its rows are named.
    specs : factors such as "atr(14)" or "1d:range(10)"; `default_specs` of the interval unless given.
    """
    chosen = default_specs(bars.interval) if specs is None else list(specs)
    at = signal_bar(bars, np.concatenate([signals["t"] for signals, _ in runs]))
    table: dict[str, FloatArray] = {}
    # Kernels release the GIL. A factor is computed over the whole series, whatever the number of entries, so the arrays
    # are let go as it goes on.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for first in range(0, len(chosen), AT_ONCE):
            some = chosen[first : first + AT_ONCE]
            for part in pool.map(lambda spec: factor_table(bars, at, [spec]), some):
                table |= part
            bars.drop_factors()
    heads = [signal_frame(signals, naming).select("signal_id", "instance", "ts", "side") for signals, naming in runs]
    return pl.concat(heads).with_columns(pl.Series(name, values).fill_nan(None) for name, values in table.items())
