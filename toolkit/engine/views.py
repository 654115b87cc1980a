"""Arrays by address: any number of markets and legs in one table, without a copy of their bars.

A compiled loop over hundreds of legs cannot take a list of NamedTuples of arrays (numba would compile it anew for
every length, or convert the list in every process). So each array's address goes into a row, where the kernel looks.
Whoever makes such a table keeps the arrays alive while a kernel runs on it.
"""

from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.numpy_support import carray

from toolkit.compiled import expanded
from toolkit.engine.types import CostRates, LegSignals, Market
from toolkit.types import FloatArray, Records

MARKET = np.dtype(
    [(name, np.int64) for name in (
        "t0", "n", "base_ms", "open", "high", "low", "close", "can_trade", "low64", "high64", "low4096", "high4096",
        "fine", "fine_ratio", "fine_rows", "volume",
        "end_t",
    )]
)  # fmt: skip
"""A `Market` with its bars' volume: `open` to `fine` and `volume` are addresses. `end_t` : the first bar that never
comes."""

SEAT = np.dtype(
    [(name, np.int64) for name in (
        "market", "member", "side", "strategy", "symbol", "sibling", "start_t", "spot", "hedge",
        "entry_t", "n_entry", "exit_t", "n_exit", "distances", "n_distances", "verdicts", "n_verdicts",
        "gates", "n_gates", "predictions", "n_predictions", "scales", "n_scales",
        "ratio", "origin_bars", "first", "funding_bars",
    )]
    + [(name, np.float64) for name in (
        "taker", "maker", "slippage", "funding_rate", "tick", "lot_step", "min_qty", "min_notional",
    )]
)  # fmt: skip
"""A leg at the account's table: what it trades (`market`), whose it is (`member`; `sibling` the other side's seat, -1:
none), its venue's rules, its `LegSignals` by address, and its `CostRates`."""


@intrinsic
def _intrinsic_pointer(context: Any, address: Any) -> Any:
    """An address as a pointer."""

    def generate(_: Any, builder: Any, __: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


# Called with an address alone inside kernels; the typing context is numba's.
_pointer: Any = _intrinsic_pointer


@expanded
def floats(address: int, n: int) -> FloatArray:
    """float64[n] at an address."""
    return carray(_pointer(address), (n,), np.float64)


@expanded
def market_at(markets: Records, m: int) -> Market:
    """Row `m` of the markets."""
    row = markets[m]
    n = row["n"]
    n64, n4096 = (n + 63) // 64, (n + 4095) // 4096
    return Market(
        row["t0"], floats(row["open"], n), floats(row["high"], n), floats(row["low"], n), floats(row["close"], n),
        carray(_pointer(row["can_trade"]), (n,), np.bool_), floats(row["low64"], n64), floats(row["high64"], n64),
        floats(row["low4096"], n4096), floats(row["high4096"], n4096),
        carray(_pointer(row["fine"]), (row["fine_rows"], 4), np.float64), row["fine_ratio"],
    )  # fmt: skip


@expanded
def signals_of(seats: Records, leg: int) -> LegSignals:
    """The events of a seat."""
    row = seats[leg]
    n = row["n_entry"]
    return LegSignals(
        carray(_pointer(row["entry_t"]), (n,), np.int64),
        carray(_pointer(row["exit_t"]), (row["n_exit"],), np.int64),
        carray(_pointer(row["distances"]), (row["n_distances"], n), np.float64),
        carray(_pointer(row["verdicts"]), (row["n_verdicts"],), np.uint8),
        carray(_pointer(row["gates"]), (row["n_gates"],), np.uint8),
        row["ratio"], row["origin_bars"], row["first"],
    )  # fmt: skip


@expanded
def costs_of(seats: Records, leg: int) -> CostRates:
    """The cost rates of a seat."""
    row = seats[leg]
    return CostRates(
        row["taker"], row["maker"], row["slippage"], row["funding_rate"], row["funding_bars"], row["tick"]
    )  # fmt: skip
