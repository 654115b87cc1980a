"""Bars into files that `toolkit data import` reads back unchanged."""

from pathlib import Path
from typing import Literal, TypeAlias

import polars as pl

from toolkit.bars.columns import COLUMNS
from toolkit.bars.series import Bars
from toolkit.durable import durable
from toolkit.errors import InputError

Format: TypeAlias = Literal["parquet", "csv"]


def default_name(bars: Bars, format: Format) -> str:
    """`binance_BTC_USDT_1m.parquet`: exchange, symbol and interval are read back from it."""
    symbol = bars.symbol.replace("/", "_").replace(":", "_")
    return f"{bars.exchange}_{symbol}_{bars.interval}.{format}"


def export_bars(bars: Bars, path: Path, format: Format) -> int:
    """Write the bars, without the filled ones, and return how many; `ts` is the open in epoch ms.

    The file appears whole or not at all.

    Raises
    ------
    InputError : the format is unknown, or the file cannot be written.
    """
    if format not in ("parquet", "csv"):
        raise InputError(f"format must be 'parquet' or 'csv', was {format!r}")
    table = pl.DataFrame({name: getattr(bars, name)[~bars.filled] for name in COLUMNS})
    try:
        with durable(path) as file:
            if format == "csv":
                table.write_csv(file)
            else:
                table.write_parquet(file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path} cannot be written ({error}); check its folder, permissions and free space") from None
    return len(table)
