"""Any trades.csv, one or many, as one table of trades.

Needed columns, named exactly so (capitals do not matter):

    symbol, side (long or short, buy or sell), entry_ts, exit_ts (empty: still open),
    and pnl (profit after costs, money), or entry_price, exit_price and qty (pnl is then made from them, less `fees`)

Read where given: strategy (else the file's name), instance (else strategy, symbol and interval), trade_id, interval,
family, exit_reason, fees, funding (received), return (pnl over entry notional), r_multiple, mae and mfe (fractions of
the entry price), and the other columns of a run's `trades`. All others are ignored, and named.

Times are ISO (without a zone: UTC), or epoch seconds or milliseconds. Rows are counted as a spreadsheet does: the
header is row 1. Commas, semicolons or tabs separate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from toolkit.analysis.frames import TIME, TRADE_COLUMNS
from toolkit.errors import InputError
from toolkit.portfolio.trades_cells import LARGEST, number_of, side_of, time_of

NEEDED = ("symbol", "side", "entry_ts", "exit_ts")
PRICED = ("entry_price", "exit_price", "qty")
_TIMES = ("signal_ts", "entry_ts", "exit_ts")
_TEXTS = (
    "trade_id", "strategy", "instance", "params", "symbol", "interval", "family", "exit_reason", "model_version",
    "deployment", "run_id",
)  # fmt: skip
_POSITIVE = (*PRICED, "expected_entry_price", "expected_exit_price", "stop_price", "target_price")
_KNOWN = (*TRADE_COLUMNS, "family")


@dataclass(frozen=True)
class Trades:
    """Trades of one or many files.

    Attributes
    ----------
    trades : a row a trade in order of entry: trade_id, strategy, instance, symbol, interval, side, family, entry_ts,
        exit_ts (null: open), pnl, return (null where only money is told), `source` (its file), and what else was given.
    ignored : by file, the names of the columns that were not read.
    """

    trades: pl.DataFrame
    ignored: dict[str, list[str]]


def read_trades(paths: Sequence[str | Path]) -> Trades:
    """Read and check one trades.csv or several, combined.

    Ids of trades that several files number alike get the file's name in front.

    Raises
    ------
    InputError : names file, row, value, rule and remedy: no such file or no CSV, columns missing or twice, a time or
    number that is none (or beyond 1e15), an exit before its entry, a price or qty that is not positive, an id twice, a
    file given twice.
    """
    files = [Path(path) for path in paths]
    labels = _labels(files)
    tables, ignored = [], {}
    for file, label in zip(files, labels, strict=True):
        cells = _cells(file)
        ignored[str(file)] = [name for name in cells.columns if name not in _KNOWN]
        tables.append(_table(file, label, cells))
    trades = pl.concat(tables, how="diagonal")
    if trades["trade_id"].is_duplicated().any():
        trades = trades.with_columns(pl.format("{}:{}", "source", "trade_id").alias("trade_id"))
    return Trades(trades.sort("entry_ts", maintain_order=True), {f: names for f, names in ignored.items() if names})


def _labels(files: Sequence[Path]) -> list[str]:
    """What each file is called: its name, with the folder's in front where two files have the same."""
    if not files:
        raise InputError("name at least one trades.csv")
    for k, file in enumerate(files):
        if file.resolve() in [other.resolve() for other in files[:k]]:
            raise InputError(f"{file} is given twice, and its trades would count twice; name it once")
    stems = [file.stem for file in files]
    return [s if stems.count(s) == 1 else str(f.resolve().with_suffix("")) for s, f in zip(stems, files, strict=True)]


def _cells(file: Path) -> pl.DataFrame:
    """Every cell as text (null: empty), names of columns in small letters."""
    try:
        head = file.read_text(encoding="utf-8-sig").partition("\n")[0]
        separator = max(",;\t", key=head.count)
        cells = pl.read_csv(file, infer_schema=False, separator=separator)
        # The header as it is: a name that is there twice is not what it is called in the table.
        names = pl.read_csv(file, has_header=False, n_rows=1, infer_schema=False, separator=separator).row(0)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}; name a trades.csv") from None
    except (UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{file} is no CSV of trades ({why}); save it as CSV in UTF-8 with a header") from None
    cells.columns = _header(file, [str(name or "") for name in names])
    missing = [name for name in NEEDED if name not in cells.columns]
    if "pnl" not in cells.columns and not set(PRICED) <= set(cells.columns):
        missing.append("pnl (or entry_price, exit_price and qty)")
    if missing:
        raise InputError(
            f"{file} lacks the columns {', '.join(missing)}; it has {', '.join(cells.columns)}: a table of trades "
            f"needs {', '.join(NEEDED)} and pnl, or prices and qty; rename its columns"
        )
    if not cells.height:
        raise InputError(f"{file} has a header and no trades; add a row a trade")
    stripped = cells.select(pl.all().str.strip_chars())
    return stripped.select(pl.when(pl.all() == "").then(None).otherwise(pl.all()).name.keep())


def _header(file: Path, names: Sequence[str]) -> list[str]:
    """Names of the columns in small letters, each once."""
    first: dict[str, str] = {}
    for name in names:
        small = name.strip().lower()
        if small in first and small:
            other = first[small]
            said = f"{name!r} twice" if name == other else f"{other!r} and {name!r}, which are one name"
            raise InputError(f"{file} has the columns {said}; remove one, or rename it")
        first[small] = name
    return [name.strip().lower() or f"column {k}" for k, name in enumerate(names, start=1)]


def _table(file: Path, label: str, cells: pl.DataFrame) -> pl.DataFrame:
    """The checked trades of one file."""
    columns: dict[str, pl.Series] = {"symbol": _column(file, cells, "symbol", str, pl.String, needed=True)}
    columns["side"] = _column(file, cells, "side", side_of, pl.String, needed=True)
    for name in _KNOWN:
        if name not in cells.columns or name in columns:
            continue
        if name in _TIMES:
            times = _column(file, cells, name, time_of, pl.Int64, needed=name == "entry_ts")
            columns[name] = times.cast(TIME)
        elif name in _TEXTS:
            columns[name] = cells[name]
        else:
            columns[name] = _column(file, cells, name, number_of, pl.Float64)
            _check_positive(file, name, columns[name])
    table = pl.DataFrame([series.alias(name) for name, series in columns.items()])
    _check_order(file, table, cells)
    return _named(file, _priced(file, table), label)


def _column(
    file: Path, cells: pl.DataFrame, name: str, read: Callable[[str], Any], kind: Any, *, needed: bool = False
) -> pl.Series:  # fmt: skip
    """The cells of one column, read; a cell that cannot be read, or a needed one that is empty, is an error."""
    values: list[Any] = []
    for row, text in enumerate(cells[name], start=2):
        if text is None:
            if needed:
                raise InputError(f"{file}, row {row}: `{name}` is empty, and every trade needs one; fill it in")
            values.append(None)
            continue
        try:
            values.append(read(text))
        except ValueError as error:
            raise InputError(f"{file}, row {row}: `{name}` must be {error}, was {text!r}; correct the row") from None
    return pl.Series(name, values, dtype=kind)


def _check_positive(file: Path, name: str, values: pl.Series) -> None:
    bad = (values <= 0.0).arg_true()
    if name in _POSITIVE and len(bad):
        raise InputError(
            f"{file}, row {bad[0] + 2}: `{name}` must be more than 0, was {values[bad[0]]:g}; correct the row (a short "
            f"trade is told by its side, not by a sign)"
        )


def _check_order(file: Path, table: pl.DataFrame, cells: pl.DataFrame) -> None:
    early = (table["exit_ts"] < table["entry_ts"]).arg_true()
    if len(early):
        row = early[0]
        raise InputError(
            f"{file}, row {row + 2}: `exit_ts` must not be before `entry_ts`, was {cells['exit_ts'][row]} with an "
            f"entry at {cells['entry_ts'][row]}; correct the row"
        )
    if "trade_id" in table.columns:
        seen: dict[str, int] = {}
        for row, name in enumerate(table["trade_id"], start=2):
            if name is not None and name in seen:
                raise InputError(
                    f"{file}, row {row}: `trade_id` must name one trade, and {name!r} is in row {seen[name]} too; "
                    f"remove one, or leave the column out"
                )
            seen[name] = row


def _priced(file: Path, table: pl.DataFrame) -> pl.DataFrame:
    """With `pnl` of every closed trade and, where entry notional is known, `return`."""
    zero = [pl.lit(None, dtype=pl.Float64).alias(n) for n in ("pnl", "return") if n not in table.columns]
    table = table.with_columns(zero)
    costs = pl.lit(0.0)
    if "fees" in table.columns:
        costs += pl.col("fees").fill_null(0.0)
    if "funding" in table.columns:
        costs -= pl.col("funding").fill_null(0.0)
    if set(PRICED) <= set(table.columns):
        sign = pl.when(pl.col("side") == "long").then(1.0).otherwise(-1.0)
        gross = sign * pl.col("qty") * (pl.col("exit_price") - pl.col("entry_price"))
        table = table.with_columns(pl.coalesce("pnl", gross - costs).alias("pnl"))
    if {"entry_price", "qty"} <= set(table.columns):
        share = pl.col("pnl") / (pl.col("entry_price") * pl.col("qty"))
        table = table.with_columns(pl.coalesce("return", share).alias("return"))
    unknown = (table["exit_ts"].is_not_null() & table["pnl"].is_null()).arg_true()
    if len(unknown):
        raise InputError(
            f"{file}, row {unknown[0] + 2}: a closed trade needs `pnl`, or entry_price, exit_price and qty, and has "
            f"neither; fill it in"
        )
    for name in ("pnl", "return"):
        beyond = (~(table[name].abs() <= LARGEST)).arg_true()
        if len(beyond):
            raise InputError(
                f"{file}, row {beyond[0] + 2}: `{name}` must be from -{LARGEST:g} to {LARGEST:g}, and prices, qty and "
                f"pnl give {table[name][beyond[0]]:g}; correct the row"
            )
    return table


def _named(file: Path, table: pl.DataFrame, label: str) -> pl.DataFrame:
    """With strategy, instance, interval, family, trade_id and source of every trade."""
    texts = ("strategy", "instance", "interval", "family", "trade_id")
    absent = [pl.lit(None, dtype=pl.String).alias(name) for name in texts if name not in table.columns]
    parts = [pl.col("strategy"), pl.col("symbol").str.replace_all(r"[^\p{L}\p{N}]", ""), pl.col("interval")]
    return (
        table.with_columns(absent)
        .with_columns(pl.col("strategy").fill_null(label), pl.lit(label).alias("source"))
        .with_columns(
            pl.col("instance").fill_null(pl.concat_str(parts, separator="-", ignore_nulls=True)),
            pl.col("family").fill_null(pl.col("strategy")),
            pl.col("interval").fill_null(""),
            pl.col("trade_id").fill_null(pl.format("row-{}", pl.int_range(2, pl.len() + 2))),
        )
    )
